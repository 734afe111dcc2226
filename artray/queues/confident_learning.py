"""Labels that are likely wrong, by confident learning (Northcutt, Jiang, Chuang 2021, JAIR 70, arXiv:1911.00068).

A class's threshold is the mean score that the works labelled with it have of it: what the model says of a typical one.
A work whose score of a class reaches its threshold is counted for it, by the likelier where there are several. What is
counted for another class than its label's lies off the diagonal of the confident joint: such a label is likely wrong.
Neither classes that the model finds hard nor an uncalibrated model mislead it, as each class is compared with itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

_CLOSE = 1e-6  # a class with one work has that work's score for threshold


def likely_wrong(given: Indices, scores: Floats) -> Indices:
    """The works whose labels are likely wrong, surest first.

    Args:
        given: (n,) the label of each, as a class's number.
        scores: (n, classes) 0..1, of a model that has not seen the work.

    Returns:
        Their numbers, by the likeliest class's score less the label's, largest first; of equals the earlier first.
    """
    n, classes = scores.shape
    if not n:
        return np.zeros(0, np.int64)
    of_given = scores[np.arange(n), given]
    number = np.bincount(given, minlength=classes)
    thresholds = np.bincount(given, weights=of_given, minlength=classes) / np.maximum(number, 1)
    thresholds[number == 0] = np.inf  # nobody knows how a work of such a class looks to the model
    reached = scores >= thresholds - _CLOSE
    best = scores.argmax(axis=1)
    guess = np.where(reached.sum(axis=1) > 1, best, reached.argmax(axis=1))
    # Where the label is the likeliest class after all, the curator would be shown a work that the model agrees about.
    wrong = np.flatnonzero(reached.any(axis=1) & (guess != given) & (best != given))
    return wrong[np.argsort(of_given[wrong] - scores[wrong, best[wrong]], kind="stable")]
