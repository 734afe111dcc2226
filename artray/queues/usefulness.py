"""Which works a model would learn most from: uncertain ones, unlike what is known and unlike each other.

Works are chosen one after the other. Each time it is the one with the largest (1 - margin) · distance: margin is the
likeliest class's score less the next one's, distance the smallest, in the embedding, to a work that is known or was
chosen before. Margins alone choose twenty works of one artist; distances alone (greedy k-centre, Sener and Savarese
2018) choose what looks odd.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]

MOST = 5_000
"""Works that are compared, of the smallest margins, and known works they are compared with, by lot."""
CHOSEN = 500
"""Works that are chosen: more than a curator checks before the next training."""


def margins(scores: Floats) -> Floats:
    """How far the likeliest class is before the next: (n,) 0..1.

    Args:
        scores: (n, classes), of two classes or more.
    """
    top = np.partition(scores, scores.shape[1] - 2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0])


def most_useful(margin: Floats, vectors: Floats, known: Floats, number: int = CHOSEN) -> Indices:
    """The works to check, the most useful first.

    Args:
        margin: (n,) 0..1, of those that may be chosen.
        vectors: (n, d), their embeddings.
        known: (m, d), those of works whose labels are known.
        number: How many, at most.

    Returns:
        Their numbers.
    """
    candidates = np.argsort(margin, kind="stable")[:MOST]
    if len(known) > MOST:
        known = known[np.random.default_rng(0).choice(len(known), MOST, replace=False)]
    x, others = _unit(vectors[candidates]), _unit(known)
    weight = 1 - margin[candidates]
    nearest = np.full(len(x), -1.0, np.float32)  # the largest cosine to a known or chosen work
    if len(others):
        nearest = (x @ others.T).max(axis=1)
    chosen: list[int] = []
    for _ in range(min(number, len(x))):
        worth = weight * np.sqrt(np.maximum(2 - 2 * nearest, 0))
        worth[chosen] = -1  # of the others some may be worth 0: sure ones, and those that look like a chosen one
        best = int(np.argmax(worth))
        chosen.append(best)
        np.maximum(nearest, x @ x[best], out=nearest)
    return candidates[np.array(chosen, np.int64)]


def _unit(vectors: Floats) -> npt.NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
    return unit
