"""How near generated pictures are to real ones, from embeddings of both (D8). Plain NumPy.

All of it is as good as the embedding: metrics of two embeddings don't compare, and neither do those from different
numbers of pictures, as most of them change with that number even where the pictures are equally good.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

NEIGHBOURS = 3
"""k of `precision_and_recall`, as in its paper."""

_BLOCK = 2048
_WORKS = 16_384  # embeddings in float64 at once


def frechet_distance(first: Floats, second: Floats) -> float:
    """The Fréchet distance between normal distributions fitted to two sets of embeddings (FID on an embedding).

        |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁Σ₂)^½

    With centred embeddings X and Y, divided by √(n − 1), the last trace is the sum of the singular values of X Yᵀ: it
    needs no matrix root, and is exact where there are fewer pictures than dimensions too. Of few pictures the distance
    is too large, also for two halves of one set.

    Args:
        first: (n, d), n ≥ 2.
        second: (m, d), m ≥ 2.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium" (2017).
    """
    one, two = _deviations(first), _deviations(second)
    means = first.mean(axis=0, dtype=np.float64) - second.mean(axis=0, dtype=np.float64)
    root = np.linalg.svd(_triangle(one) @ _triangle(two).T, compute_uv=False).sum()
    return max(0.0, float(means @ means + (one**2).sum() + (two**2).sum() - 2 * root))


def kernel_distance(first: Floats, second: Floats) -> float:
    """The squared maximum mean discrepancy with the kernel (x·y/d + 1)³ (KID on an embedding), without bias.

    Its expectation is 0 for two sets from one distribution, whatever their sizes; single values may be below 0.

    Args:
        first: (n, d), n ≥ 2.
        second: (m, d), m ≥ 2.

    Bińkowski et al., "Demystifying MMD GANs" (2018).
    """
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    return _mean_of_pairs(one) + _mean_of_pairs(two) - 2 * float(_kernel(one, two).mean())


def kernel_distance_error(first: Floats, second: Floats, blocks: int = 10) -> float | None:
    """The standard error of `kernel_distance`: from its values for disjoint blocks of the two sets.

    Args:
        first: (n, d).
        second: (m, d).
        blocks: How many; each must have two pictures of both sets, else None.
    """
    if min(len(first), len(second)) < 2 * blocks:
        return None
    pairs = zip(np.array_split(first, blocks), np.array_split(second, blocks), strict=True)
    return float(np.std([kernel_distance(one, two) for one, two in pairs], ddof=1) / np.sqrt(blocks))


def precision_and_recall(real: Floats, generated: Floats, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """How many generated pictures look real, and how much of what is real is generated.

    Both sets' manifolds are the balls around their members that reach to the k-th nearest other member. Precision is
    the share of the generated in the manifold of the real, recall the share of the real in that of the generated.

    Args:
        real: (n, d), n > k.
        generated: (m, d), m > k.
        neighbours: k.

    Kynkäänniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models" (2019).
    """
    centre = np.asarray(real, np.float64).mean(axis=0)  # near it differences of large squares lose least
    one, two = np.asarray(real, np.float64) - centre, np.asarray(generated, np.float64) - centre
    return _share_within(two, one, neighbours), _share_within(one, two, neighbours)


def nearest(
    queries: Floats, works: Floats, *, themselves: bool | npt.NDArray[np.int64] = False
) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each query the work most like it, and the cosine distance to it, 0..2.

    Args:
        queries: (n, d).
        works: (m, d).
        themselves: The queries are the works, or those in these rows (n,), and each one's nearest other is asked for.

    Returns:
        The works' rows (n,) and the distances (n,).
    """
    own = np.arange(len(queries)) if themselves is True else themselves
    places, likeness = np.zeros(len(queries), np.int64), np.full(len(queries), -np.inf)
    for start in range(0, len(queries), _BLOCK):
        one = _unit(queries[start : start + _BLOCK])
        rows = start + np.arange(len(one))
        for begin in range(0, len(works), _WORKS):
            alike = one @ _unit(works[begin : begin + _WORKS]).T
            if own is not False:
                here = (own[rows] >= begin) & (own[rows] < begin + _WORKS)
                alike[here, own[rows[here]] - begin] = -np.inf
            most = alike.max(axis=1)
            better = most > likeness[rows]
            places[rows[better]] = begin + alike[better].argmax(axis=1)
            likeness[rows[better]] = most[better]
    return places, np.maximum(1 - likeness, 0)


def share_closer(samples: Floats, works: Floats) -> float:
    """The share of samples that are nearer to a training work than that work is to any other training work.

    Of a generator that repeats what it has learned from it is nearly 1. Of new works of the same kind it is anything
    from 0.2 to 0.7, by the embedding and the number of works: compare with real works that are not among these.

    Args:
        samples: (n, d).
        works: (m, d), m ≥ 2.

    The authenticity of Alaa et al., "How Faithful is your Synthetic Data?" (2022), counted the other way round.
    """
    places, distances = nearest(samples, works)
    _, among = nearest(works, works, themselves=True)
    return float((distances < among[places]).mean())


def _deviations(embeddings: Floats) -> npt.NDArray[np.float64]:
    values = np.asarray(embeddings, np.float64)
    return np.asarray((values - values.mean(axis=0)) / np.sqrt(len(values) - 1))


def _triangle(deviations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows with the same covariance, no more of them than dimensions."""
    if len(deviations) <= deviations.shape[1]:
        return deviations
    return np.asarray(np.linalg.qr(deviations, mode="r"))


def _kernel(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray((one @ two.T / one.shape[1] + 1) ** 3)


def _mean_of_pairs(values: npt.NDArray[np.float64]) -> float:
    """The kernel's mean over pairs of different members."""
    kernel = _kernel(values, values)
    return float((kernel.sum() - np.trace(kernel)) / (len(values) * (len(values) - 1)))


def _share_within(queries: npt.NDArray[np.float64], members: npt.NDArray[np.float64], neighbours: int) -> float:
    """The share of queries that lie in the ball of a member at least."""
    radii = np.concatenate(
        [
            # Not [neighbours - 1]: each member is its own nearest.
            np.partition(_squared_distances(members[start : start + _BLOCK], members), neighbours, axis=1)[
                :, neighbours
            ]
            for start in range(0, len(members), _BLOCK)
        ]
    )
    inside = 0
    for start in range(0, len(queries), _BLOCK):
        inside += int((_squared_distances(queries[start : start + _BLOCK], members) <= radii).any(axis=1).sum())
    return inside / len(queries)


def _squared_distances(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    squares = (one**2).sum(axis=1)[:, None] + (two**2).sum(axis=1) - 2 * one @ two.T
    return np.asarray(np.maximum(squares, 0))


def _unit(values: Floats) -> npt.NDArray[np.float64]:
    rows = np.asarray(values, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))
