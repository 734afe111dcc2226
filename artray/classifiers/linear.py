"""Linear classifiers that are solved for: strengths and temperatures by folds, then the weights on all works.

What a worker does with a training (`closed_form`) and what scikit-learn's estimators do with a matrix is this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.classifiers.logistic import Blocks
from artray.classifiers.out_of_fold import LDA, LDA_MIDDLE, LOGISTIC, Columns, Family, Folds, Linear, Scored, number_of

Floats = npt.NDArray[np.floating[Any]]

CLOSED_FORM: dict[str, tuple[Family, ...]] = {
    "lda": (LDA,),
    "logistic": (LOGISTIC,),
    "linear_mean": (LDA, LDA_MIDDLE, LOGISTIC),
}
"""Classifiers by name that are solved for, and of what they are the mean."""

Families = Mapping[Family, Columns]
"""Which of the features each sees."""


def families_of(name: str, widths: Mapping[str, int]) -> dict[Family, Columns]:
    """Those of a classifier that have something to see.

    Args:
        name: Of `CLOSED_FORM`.
        widths: How many numbers each group of features has, in their order.
    """
    columns = {family: family.columns(widths) for family in CLOSED_FORM[name]}
    return {family: seen for family, seen in columns.items() if seen is not None}


@dataclass(frozen=True)
class Chosen:
    """What the folds like best.

    Attributes:
        strengths: By the families' settings.
        scales: The temperature of each family's classifier.
        logits: (n, classes), their mean, of classifiers that have not seen the work.
        together: The same calibrated.
    """

    strengths: dict[str, float]
    scales: dict[str, float]
    logits: Floats
    together: Scored


def choose(folds: Folds, families: Families, settings: Mapping[str, Any]) -> Chosen:
    """Strengths and temperatures.

    Args:
        folds: Works to learn from.
        families: Of which the mean is the classifier.
        settings: Strengths that are given.
    """
    scored = {
        family.setting: folds.choose(family, columns, settings.get(family.setting))
        for family, columns in families.items()
    }
    logits = np.mean([each.logits for each in scored.values()], axis=0)
    return Chosen(
        strengths={setting: each.strength for setting, each in scored.items()},
        scales={setting: each.temperature for setting, each in scored.items()},
        logits=logits,
        together=folds.calibrated(0, logits),
    )


def solve(
    whole: Blocks,
    families: Families,
    strengths: Mapping[str, float],
    scales: Mapping[str, float],
    class_weights: Floats,
    *,
    width: int,
) -> Linear:
    """The mean of the families' classifiers, each divided by its temperature.

    Args:
        whole: The works, standardised.
        families: As in `choose`.
        strengths: Of each.
        scales: Likewise.
        class_weights: (classes,) how much each counts, where a family weighs classes.
        width: How many features there are.
    """
    weights, bias = np.zeros((width, len(class_weights))), np.zeros(len(class_weights))
    for family, columns in families.items():
        source = whole if number_of(columns) == width else _some_columns(whole, columns)
        solved = family.prepare(source, number_of(columns), class_weights)
        each, intercept = solved(strengths[family.setting])
        weights[columns] += each / scales[family.setting] / len(families)
        bias += intercept / scales[family.setting] / len(families)
    return weights, bias


def _some_columns(blocks: Blocks, columns: Columns) -> Blocks:
    return lambda: ((x[:, columns], targets) for x, targets in blocks())
