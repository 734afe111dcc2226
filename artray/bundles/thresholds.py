"""When to keep a label to oneself: the score from which on labels are right as often as asked.

The exports call a label below it `uncertain`. A museum rather has fewer labels that it can trust, and a list of works
for its curators, than all labels with an unknown share of wrong ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

TARGET = 0.9
"""Nine of ten labels right."""
LEAST_WORKS = 20
"""Fewer validation works tell nothing of a target of nine in ten, nor do fewer works above a threshold."""


def abstention(right: npt.NDArray[np.bool_], scores: npt.NDArray[Any], target: float = TARGET) -> dict[str, Any] | None:
    """The lowest threshold at which labels are right as often as asked, from works not trained on.

    Works are taken from the highest score down, those of equal score together; the threshold lies halfway between the
    last one taken and the next, so that no score rounded otherwise changes sides.

    Args:
        right: (n,) whether the best class is the true one.
        scores: (n,) the best class's calibrated score.
        target: The share of the kept labels that is to be right.

    Returns:
        JSON values: `threshold` (0 keeps every label; null where no threshold reaches the target: then every label is
        uncertain), `coverage` (the share of the works kept), `accuracy` (of the kept ones; null where there is none),
        `target` and `n`. None where fewer than `LEAST_WORKS` works can tell.

    Example:
        >>> abstention(np.arange(100) >= 20, np.linspace(0.01, 1, 100))["coverage"]
        0.88
    """
    n = len(scores)
    if n < LEAST_WORKS:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(float)
    accuracy = np.cumsum(right[order]) / np.arange(1, n + 1)
    ends = np.append(ranked[1:] < ranked[:-1], True)  # the last of its score
    enough = np.arange(1, n + 1) >= LEAST_WORKS
    reached = np.flatnonzero(ends & enough & (accuracy >= target))
    found: dict[str, Any] = {"threshold": None, "coverage": 0.0, "accuracy": None, "target": target, "n": n}
    if len(reached):
        last = int(reached[-1])
        threshold = 0.0 if last == n - 1 else float((ranked[last] + ranked[last + 1]) / 2)
        found |= {
            "threshold": threshold,
            "coverage": round((last + 1) / n, 4),
            "accuracy": round(float(accuracy[last]), 4),
        }
    return found


def abstention_of(predictions: pa.Table, target: float = TARGET) -> dict[str, Any] | None:
    """`abstention` from the validation part of a bundle's predictions.

    Args:
        predictions: `predictions.parquet` of a bundle whose works have one label each.
        target: As there.
    """
    part = predictions.filter(pc.equal(predictions["part"], "validation"))
    if not pa.types.is_string(part["true"].type):  # lists: a work may have several labels
        return None
    scores = [max(score for _, score in row) for row in part["scores"].to_pylist()]
    right = np.asarray(pc.equal(part["true"], part["label"]), bool)
    return abstention(right, np.asarray(scores, np.float64), target)
