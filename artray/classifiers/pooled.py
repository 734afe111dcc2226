"""One result of a cross-validation: all works that were held out, each as the model says that had not seen it.

Folds are no independent trials (their models have learned from nearly the same works), so the spread over them is no
interval. What is pooled here is: works, and whole groups, are drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray import console
from artray.bundles.inputs import by_artwork
from artray.bundles.thresholds import DECISION
from artray.classifiers.breakdown import Share, decades_of, shares_by
from artray.classifiers.evaluation import METRICS, metric, true_classes
from artray.classifiers.examples import Examples
from artray.classifiers.metrics import Thresholds, decisions, evaluate, intervals, rounded

_SHOWN = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_f1": "mean F1"}

_MOST = 200  # values of a column that are told of


def pooled_figures(
    examples: Examples,
    predictions: pa.Table,
    dealings: npt.NDArray[np.float32],
    multilabel: bool,
    *,
    thresholds: Thresholds = DECISION,
) -> dict[str, Any]:
    """The figures of works that were held out.

    Args:
        examples: All; those that were held out are their validation part.
        predictions: As from `evaluation_of`; of a work held out several times its scores are the mean.
        dealings: (repeats, examples, classes) the scores of each dealing of the folds.
        multilabel: A work may have several labels.
        thresholds: By which a dealing's labels are said, as in `metrics.decisions`; the predictions' have been.

    Returns:
        JSON values: `n`, `groups`, `repeats`, `figures` (those of `METRICS` that are defined), `intervals` (95 %: unit
        drawn, `works` or `groups`, → metric → bounds), `by_repeat` (metric → one value a dealing), and `by` (`artist`,
        else `group`, and `decade`, where they are known → those of which most works are, with `n`, `accuracy` and
        `interval`).
    """
    held = predictions.filter(pa.array(np.asarray(predictions["part"]) == "validation"))
    classes = examples.classes
    column_of = {name: number for number, name in enumerate(classes)}
    has = _classes_of(held["true"], column_of)
    given = _classes_of(held["label"], column_of)
    true = has if multilabel else has.argmax(axis=1)
    said = given.astype(float)
    ranked = np.array([[score for _, score in row] for row in held["scores"].to_pylist()])
    told = evaluate(true, said, classes)
    scored = evaluate(true, ranked, classes)
    told["log_loss"] = scored["log_loss"]
    told["macro"] |= {name: scored["macro"][name] for name in ("roc_auc", "average_precision")}
    names = held["object_id"].to_pylist()
    groups = held["group"].to_pylist() if "group" in held.column_names else names
    units = {"works": names, **({"groups": groups} if len(set(groups)) < len(names) else {})}
    bounds = {unit: intervals(true, said, owners) for unit, owners in units.items()}
    return {
        "n": len(names),
        "groups": len(set(groups)),
        "repeats": len(dealings),
        "figures": {name: value for name in METRICS if (value := metric(told, name)) is not None},
        "intervals": {
            unit: {name: [rounded(bound) for bound in ends[name]] for name in _SHOWN} for unit, ends in bounds.items()
        },
        "by_repeat": _by_repeat(examples, dealings, multilabel, thresholds),
        "by": _by_value(examples.table, held, (has == given).all(axis=1)),
    }


def _by_value(known: pa.Table, held: pa.Table, right: npt.NDArray[np.bool_]) -> dict[str, list[dict[str, Any]]]:
    """Accuracies of works held out by artist, else by what was kept together, and by decade."""
    indices = pc.index_in(held["object_id"], value_set=known["object_id"].combine_chunks())

    def told(name: str) -> list[str | None]:
        cells = known[name].take(indices).to_pylist() if name in known.column_names else []
        return [_text(cell) for cell in cells]

    breakdown: dict[str, list[Share]] = {}
    for name in ("artist", "group"):
        if not breakdown and any(values := told(name)):
            breakdown[name] = shares_by([right], values)
    if any(decades := decades_of(told("date"))):
        breakdown["decade"] = shares_by([right], decades, in_order=True)
    return {name: [share.first for share in shares[:_MOST]] for name, shares in breakdown.items()}


def _text(cell: Any) -> str | None:
    """A cell of any kind: a work may have several artists."""
    if isinstance(cell, list):
        return "; ".join(map(str, cell)) or None
    return None if cell is None else str(cell)


def _classes_of(labels: pa.ChunkedArray, column_of: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """(works, classes) zeros and ones."""
    has = np.zeros((len(labels), len(column_of)), np.int64)
    for row, label in enumerate(labels.to_pylist()):
        for name in label if isinstance(label, list) else [label]:
            has[row, column_of[name]] = 1
    return has


def _by_repeat(
    examples: Examples, dealings: npt.NDArray[np.float32], multilabel: bool, thresholds: Thresholds
) -> dict[str, list[float]]:
    """Accuracy and balanced accuracy of each dealing's labels."""
    held = examples.part("validation")
    owners = examples.table["object_id"].take(held).to_pylist()
    first = {owner: row for row, owner in zip(held[::-1].tolist(), reversed(owners), strict=True)}
    values_of: dict[str, list[float]] = {"accuracy": [], "balanced_accuracy": []}
    for scores in dealings:
        names, work_scores = by_artwork(owners, scores[held])
        true = true_classes(examples.targets[[first[name] for name in names]], multilabel)
        said = decisions(work_scores, multilabel, thresholds).astype(float)
        told = evaluate(true, said, examples.classes)
        for name, values in values_of.items():
            values.append(told[name])
    return values_of


def pooled_accuracy(pooled: Mapping[str, Any]) -> dict[str, Any]:
    """Of pooled figures the accuracy, its widest interval, and how many works and groups they are of."""
    unit = list(pooled["intervals"])[-1]
    return {
        "n": pooled["n"],
        "groups": pooled["groups"],
        "accuracy": pooled["figures"]["accuracy"],
        "interval": pooled["intervals"][unit]["accuracy"],
    }


def show_pooled(task: str, pooled: Mapping[str, Any]) -> None:
    """Show pooled figures on the terminal."""
    rows = []
    for name, title in _SHOWN.items():
        row = [title, f"{pooled['figures'][name]:.3f}"]
        for ends_of in pooled["intervals"].values():
            low, high = ends_of[name]
            row.append(f"{low:.3f} to {high:.3f}")
        if pooled["repeats"] > 1:
            values = pooled["by_repeat"].get(name)
            row.append(f"{min(values):.3f} to {max(values):.3f}" if values else "")
        rows.append(row)
    header = ["", "all", *(f"95 %, {unit}" for unit in pooled["intervals"])]
    if pooled["repeats"] > 1:
        header.append(f"{pooled['repeats']} dealings")
    title = f"{task}: all {pooled['n']:,} works that were held out, each by the models that had not seen it"
    console.table(title, header, rows)
