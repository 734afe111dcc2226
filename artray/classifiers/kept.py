"""How many labels are said, and how many of them are right: what a threshold is worth on works never seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_POINTS = 50
_RESAMPLES = 1_000
_DECIMALS = 4


def kept_labels(predictions: pa.Table, threshold: float | None) -> dict[str, Any]:
    """Share and precision of the labels that are said from a score on.

    Args:
        predictions: Rows of `predictions.parquet` of works of one label each; `group` where it is known.
        threshold: The score; None: no label is said.

    Returns:
        JSON values: `threshold`, `share` (of the works whose label is said), `precision` (of these labels; null where
        there is none), `interval` (95 %, of the precision: whole groups are drawn again, as all that is known of new
        artists comes from some artists), `groups` (how many), `by_class` (class that is said → `share`, `precision`)
        and `curve`: from few works to all, each [threshold, share, precision].
    """
    said = predictions["label"].to_pylist()
    rows = zip(said, predictions["scores"].to_pylist(), strict=True)
    scores = np.array([next(score for name, score in row if name == label) for label, row in rows], float)
    right = np.asarray(pc.equal(predictions["true"], predictions["label"]), bool)
    owners = predictions["group" if "group" in predictions.column_names else "object_id"].to_pylist()
    _, groups = np.unique(np.asarray(owners, dtype=str), return_inverse=True)
    kept = np.zeros(len(scores), bool) if threshold is None else scores >= threshold
    labels = np.asarray(said, dtype=str)
    by_class = {}
    for name in sorted(set(said)):
        has_label = labels == name
        by_class[name] = {"share": _rounded(kept[has_label].mean()), "precision": _precision(right[has_label & kept])}
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(scores) else np.zeros(0, int)
    chosen = ends[np.unique(np.linspace(0, len(ends) - 1, min(_POINTS, len(ends))).astype(int))] if len(ends) else ends
    hits = np.cumsum(right[order])
    curve = [
        [_rounded(scores[order[last]]), _rounded((last + 1) / len(scores)), _rounded(hits[last] / (last + 1))]
        for last in chosen.tolist()
    ]
    return {
        "threshold": threshold,
        "share": _rounded(kept.mean()) if len(kept) else None,
        "precision": _precision(right[kept]),
        "interval": _interval(right, kept, groups),
        "groups": len(set(groups.tolist())),
        "by_class": by_class,
        "curve": curve,
    }


def _interval(right: Any, kept: Any, groups: Any) -> list[float] | None:
    """Of the precision, with whole groups drawn again."""
    if not kept.any():
        return None
    number = int(groups.max()) + 1
    hits, said = np.bincount(groups, right & kept, number), np.bincount(groups, kept, number)
    drawn = np.random.default_rng(0).multinomial(number, np.full(number, 1 / number), size=_RESAMPLES)
    total = drawn @ said
    shares = (drawn @ hits)[total > 0] / total[total > 0]
    return [_rounded(value) for value in np.quantile(shares, [0.025, 0.975])]


def _precision(right: Any) -> float | None:
    return _rounded(right.mean()) if len(right) else None


def _rounded(value: Any) -> float:
    return round(float(value), _DECIMALS)
