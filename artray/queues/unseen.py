"""Scores of the catalogue's works by a classifier that has not seen them nor their group, for any number of works."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.classifiers.calibration import softmax
from artray.classifiers.out_of_fold import LDA, MOST, Folds, drawn

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

_ABSENT = 30.0  # as in `out_of_fold`: how far the logit of a class lies below the others that a fold could not learn
_BLOCK = 4096


def unseen_scores(x: npt.NDArray[np.float32], given: Indices, classes: int, groups: Sequence[str]) -> Floats:
    """What discriminants of the other folds say of each work: (n, classes) float64, 0..1, calibrated.

    Args:
        x: (n, d), best an embedding. Is overwritten: standardised.
        given: (n,) each work's label.
        classes: How many there are; each has a work.
        groups: (n,) what a fold must not divide.

    Returns:
        The scores; nan in rows of whose class the other folds have no example, about which nothing can be said.
    """
    x -= x.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = np.sqrt(np.einsum("nd,nd->d", x, x, dtype=np.float64) / len(x)).astype(np.float32)
    np.divide(x, deviation, out=x, where=deviation > 0)
    targets = np.zeros((len(x), classes))
    targets[np.arange(len(x)), given] = 1
    folds = Folds(x, targets, groups)
    columns = slice(0, x.shape[1])
    if len(x) <= MOST:
        logits = folds.choose(LDA, columns).logits
    else:  # shrinkage and temperature, which take most of the time, by some of the works
        some = drawn(groups)
        present, codes = np.unique(given[some], return_inverse=True)
        few = Folds(x[some], np.eye(len(present))[codes], [groups[row] for row in some.tolist()])
        strength = few.choose(LDA, columns).strength
        logits = _logits(x, given, classes, folds.numbers, shrinkage=strength)
        logits /= few.calibrated(strength, logits[np.ix_(some, present)]).temperature
    scores = np.asarray(softmax(logits), np.float64)
    scores[~folds.judged] = np.nan
    return scores


def _logits(x: npt.NDArray[np.float32], given: Indices, classes: int, fold: Indices, *, shrinkage: float) -> Floats:
    """Of `Discriminant`, fold by fold; each work's products are added up once, not once for each other fold."""
    d = x.shape[1]
    number = int(fold.max()) + 1
    products = np.zeros((number, d, d))
    sums, sizes = np.zeros((number, classes, d)), np.zeros((number, classes))
    for each in range(number):
        rows = np.flatnonzero(fold == each)
        for start in range(0, len(rows), _BLOCK):
            block, labels = x[rows[start : start + _BLOCK]], given[rows[start : start + _BLOCK]]
            products[each] += block.T @ block
            sums[each] += np.eye(classes, dtype=np.float32)[labels].T @ block
            sizes[each] += np.bincount(labels, minlength=classes)
    logits = np.zeros((len(x), classes))
    for each in range(number):
        size = sizes.sum(axis=0) - sizes[each]
        present = np.flatnonzero(size > 0)
        n = size.sum()
        means = (sums.sum(axis=0) - sums[each])[present] / size[present, None]
        scatter = products.sum(axis=0) - products[each] - (means.T * size[present]) @ means
        ball = float(np.trace(scatter)) / (n * d) or 1.0
        covariance = scatter * ((1 - shrinkage) / n)
        covariance[np.diag_indices(d)] += shrinkage * ball
        weights = np.linalg.solve(covariance, means.T)
        bias = np.log(size[present] / n) - 0.5 * np.einsum("kd,dk->k", means, weights)
        rows = np.flatnonzero(fold == each)
        told = x[rows] @ weights + bias
        logits[rows] = told.min(axis=1, keepdims=True) - _ABSENT
        logits[np.ix_(rows, present)] = told
    return logits
