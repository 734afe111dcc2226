"""The penalty of a linear head that is trained by steps, chosen by folds.

What the head makes small is the loss of a logistic regression on the same features. So the folds need not be trained
for: they are solved for, in a second or two, and the head is trained once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from artray.classifiers.config import ModelConfig
from artray.classifiers.examples import Examples
from artray.classifiers.logistic import fit_logistic
from artray.classifiers.out_of_fold import LOGISTIC, Folds, coordinates, drawn, fold_numbers
from artray.errors import InputError
from artray.models import BY_FOLDS

Floats = npt.NDArray[np.floating[Any]]

_HEAD = "linear_head"
_TOLERANCE = 1e-3


def check_penalty(model: ModelConfig) -> None:
    """See that folds can tell the penalty, where a config wants them to.

    Raises:
        InputError: Of this model they can't.
    """
    if model.settings().get("l2") == BY_FOLDS and model.name != _HEAD:
        raise InputError(
            f"model.l2: {BY_FOLDS} is for {_HEAD}; of {model.name} give a number (artray search --grid "
            "model.l2=0.0001,0.001 compares several)"
        )


def found_by_folds(
    model: ModelConfig,
    examples: Examples,
    standardize: tuple[list[float], list[float]] | None,
    *,
    multilabel: bool,
    balanced: bool,
) -> dict[str, float]:
    """The settings of a model that are chosen by folds of the training part, by group: `l2`, or none.

    Nothing is known there of dropout, label smoothing, and class weights other than balanced ones.

    Args:
        model: What is trained.
        examples: From what.
        standardize: Mean and variance of each feature.
        multilabel: Whether a work may have several labels.
        balanced: Whether all classes count the same, by weight or by how often they are drawn.
    """
    if model.settings().get("l2") != BY_FOLDS or standardize is None:
        return {}
    table, rows = examples.table, examples.part("train")
    groups = table["group" if "group" in table.column_names else "object_id"].take(rows).to_pylist()
    some = drawn(groups)
    rows, groups = rows[some], [groups[row] for row in some.tolist()]
    mean, variance = (np.asarray(values, np.float32) for values in standardize)
    x, targets = (examples.inputs.take(rows) - mean) / np.sqrt(variance), examples.targets[rows].astype(np.float64)
    if multilabel:
        # The head's loss is the mean over the labels, the regression's their sum.
        return {"l2": several_labels_penalty(x, targets, groups) / 2 / targets.shape[1]}
    folds = Folds(x, targets, groups, weighted=balanced)
    return {"l2": folds.choose(LOGISTIC, slice(0, x.shape[1])).strength / 2}


def several_labels_penalty(x: Floats, targets: Floats, groups: list[str]) -> float:
    """Of `LOGISTIC.strengths` the one whose regressions, one a label, have the lowest loss on works not seen.

    Args:
        x: (n, d) features, standardised.
        targets: (n, labels), 0..1.
        groups: (n,) what must not be divided.
    """
    points, dimension = coordinates(x), x.shape[1]
    numbers = fold_numbers(groups, targets.argmax(axis=1))
    folds = [(numbers != fold, numbers == fold) for fold in np.unique(numbers)]
    starts: list[tuple[Floats, Floats] | None] = [None] * len(folds)
    best, lowest = LOGISTIC.strengths[0], np.inf
    for penalty in LOGISTIC.strengths:
        loss = 0.0
        for number, (learned, held) in enumerate(folds):
            block = [(points[learned], targets[learned])]
            weights, bias = starts[number] = fit_logistic(
                block.copy, penalty * dimension, multilabel=True, start=starts[number], tolerance=_TOLERANCE
            )
            logits = points[held] @ weights + bias
            loss += float((np.logaddexp(0, logits) - targets[held] * logits).sum())
        if loss >= lowest:
            break
        best, lowest = penalty, loss
    return best
