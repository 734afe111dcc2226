"""Works about which models of one question disagree, and near-duplicates with different labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

DUPLICATE = 0.85
"""Cosine of two embeddings (EfficientNet-Lite0) from which on works are taken for near-duplicates.

Of the 626,640 pairs of 1,120 paintings and prints five reach it: the three that perceptual hashes find too, and two
more of one maker and motif; from .80 on it is nineteen, most of them other works of one maker.
"""


def disagreements(labels: Indices, scores: Floats) -> Indices:
    """The works that models label differently: first those where each is sure.

    Args:
        labels: (n, models) the class that each says; -1: nothing.
        scores: (n, models) of these classes, 0..1.

    Returns:
        Their numbers, by the score of the surest model that contradicts the surest of all.
    """
    said = np.where(labels >= 0, np.nan_to_num(scores), -1.0)
    surest = said.argmax(axis=1)
    first = labels[np.arange(len(labels)), surest]
    against = np.where(labels != first[:, None], said, -1.0).max(axis=1, initial=-1.0)
    rows = np.flatnonzero((first >= 0) & (against >= 0))
    return rows[np.argsort(-against[rows], kind="stable")]


def different_twins(
    given: Indices, nearest: Indices, similarity: Floats, least: float = DUPLICATE
) -> tuple[Indices, Indices]:
    """Near-duplicates that have different labels.

    Args:
        given: (n,) each work's label; -1: none.
        nearest: (n, k) places of the works most like each.
        similarity: (n, k) the cosine to each of them.
        least: From which cosine on.

    Returns:
        (m,) the works, both of a pair one after the other, those most alike first; and (m,) the other of each.
    """
    work, column = np.nonzero(similarity >= least)
    other = nearest[work, column].astype(np.int64)
    kept = (given[work] >= 0) & (given[other] >= 0) & (given[work] != given[other])
    work, other, alike = work[kept], other[kept], similarity[work[kept], column[kept]]
    low, high = np.minimum(work, other), np.maximum(work, other)
    order = np.lexsort((high, low, -alike))
    works: dict[int, int] = {}
    for one, two in zip(low[order].tolist(), high[order].tolist(), strict=True):
        works.setdefault(one, two)
        works.setdefault(two, one)
    return np.array(list(works), np.int64), np.array(list(works.values()), np.int64)
