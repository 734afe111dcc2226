"""How near generated pictures are to real ones, from embeddings of both (D8). Plain NumPy.

All of it is as good as the embedding: metrics of two embeddings don't compare, and neither do those from different
numbers of pictures, as most of them change with that number even where the pictures are equally good.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

NEIGHBOURS = 3
"""k of `precision_and_recall`, as in its paper."""
DENSITY_NEIGHBOURS = 5
"""k of `density_and_coverage`, as in its paper."""

_BLOCK = 2048  # embeddings in float64 at once: of two blocks the distances are 32 MB


class Moments:
    """Mean and covariance of a set of embeddings, added up block by block; none is kept.

    What stands for the covariance is a triangle R with RᵀR = (n − 1) Σ, no more rows of it than dimensions. Means of
    blocks differ: what lies between them is one row more (Chan, Golub and LeVeque 1983). Unlike sums of squares that
    loses no digits, also where there are fewer pictures than dimensions.

    Attributes:
        n: How many there were.
        mean: (d,).
        triangle: (min(n, d) or a few more, d).
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean: npt.NDArray[np.float64] = np.zeros(0)
        self.triangle: npt.NDArray[np.float64] = np.zeros((0, 0))

    @classmethod
    def of(cls, embeddings: Floats) -> Moments:
        """Of a set that is there, (n, d)."""
        moments = cls()
        for block in _blocks(embeddings):
            moments.add(block)
        return moments

    def add(self, embeddings: Floats) -> None:
        """Some more of the set, (rows, d)."""
        values = np.asarray(embeddings, np.float64)
        if not len(values):
            return
        if not self.n:
            self.mean, self.triangle = np.zeros(values.shape[1]), np.zeros((0, values.shape[1]))
        n, mean = self.n + len(values), values.mean(axis=0)
        between = (mean - self.mean) * np.sqrt(self.n * len(values) / n)
        rows = np.concatenate([self.triangle, between[None], values - mean])
        self.mean = self.mean + (mean - self.mean) * (len(values) / n)
        self.triangle = rows if len(rows) <= rows.shape[1] else np.asarray(np.linalg.qr(rows, mode="r"))
        self.n = n


def frechet_distance(first: Moments, second: Moments) -> float:
    """The Fréchet distance between normal distributions fitted to two sets of embeddings (FID on an embedding).

        |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁Σ₂)^½

    With Σ = RᵀR / (n − 1) the last trace is the sum of the singular values of R₁R₂ᵀ: it needs no matrix root, and is
    exact where there are fewer pictures than dimensions too. Of few pictures the distance is too large, also for two
    halves of one set.

    Args:
        first: Of two embeddings or more.
        second: Likewise.

    Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium" (2017).
    """
    one, two = (moments.triangle / np.sqrt(moments.n - 1) for moments in (first, second))
    means = first.mean - second.mean
    root = np.linalg.svd(one @ two.T, compute_uv=False).sum()
    return max(0.0, float(means @ means + (one**2).sum() + (two**2).sum() - 2 * root))


def kernel_distance(first: Floats, second: Floats) -> float:
    """The squared maximum mean discrepancy with the kernel (x·y/d + 1)³ (KID on an embedding), without bias.

    Its expectation is 0 for two sets from one distribution, whatever their sizes; single values may be below 0.

    Args:
        first: (n, d), n ≥ 2.
        second: (m, d), m ≥ 2.

    Bińkowski et al., "Demystifying MMD GANs" (2018).
    """
    between = _kernel_sum(first, second) / (len(first) * len(second))
    return _mean_of_pairs(first) + _mean_of_pairs(second) - 2 * between


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
    centre = np.asarray(real).mean(axis=0, dtype=np.float64)  # near it differences of large squares lose least
    return _share_within(generated, real, neighbours, centre), _share_within(real, generated, neighbours, centre)


def density_and_coverage(real: Floats, generated: Floats, neighbours: int = DENSITY_NEIGHBOURS) -> tuple[float, float]:
    """How much of what is generated lies among what is real, and how much of what is real has something near it.

    Both look at the balls around real members that reach to their k-th nearest other one. Density is the mean number of
    balls that a generated picture lies in, over k: of two samples from one distribution about 1, more where pictures
    lie where works are many. Coverage is the share of balls with a generated picture in them. Unlike recall it does not
    grow with pictures that are far from everything, nor fall with them.

    Args:
        real: (n, d), n > k.
        generated: (m, d).
        neighbours: k.

    Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models" (2020).
    """
    centre = np.asarray(real).mean(axis=0, dtype=np.float64)
    held, covered = 0, 0
    for one, radii in _balls(real, neighbours, centre):
        inside: npt.NDArray[np.bool_] = np.zeros(len(one), bool)
        for block in _blocks(generated):
            within = _squared_distances(block - centre, one) <= radii
            held += int(within.sum())
            inside |= within.any(axis=0)
        covered += int(inside.sum())
    return held / (neighbours * len(generated)), covered / len(real)


class Nearest:
    """For each query the work most like it, of works that come block by block.

    Args:
        queries: (n, d).
        own_rows: (n,) which of the works each query is, and is not compared with; None: they are others.

    Attributes:
        rows: (n,) the rows of the works.
    """

    def __init__(self, queries: Floats, own_rows: npt.NDArray[np.int64] | None = None):
        self._queries, self._own_rows = queries, own_rows
        self._seen = 0
        self._likeness: npt.NDArray[np.float64] = np.full(len(queries), -np.inf)
        self.rows: npt.NDArray[np.int64] = np.zeros(len(queries), np.int64)

    def add(self, works: Floats) -> None:
        """Some more of the works, (rows, d)."""
        for block in _blocks(works):
            self._add(_unit(block))

    def _add(self, works: npt.NDArray[np.float64]) -> None:
        for start in range(0, len(self._queries), _BLOCK):
            alike = _unit(self._queries[start : start + _BLOCK]) @ works.T
            rows = start + np.arange(len(alike))
            if self._own_rows is not None:
                own_columns = self._own_rows[rows] - self._seen
                here = (own_columns >= 0) & (own_columns < len(works))
                alike[here, own_columns[here]] = -np.inf
            most = alike.max(axis=1)
            better = most > self._likeness[rows]
            self.rows[rows[better]] = self._seen + alike[better].argmax(axis=1)
            self._likeness[rows[better]] = most[better]
        self._seen += len(works)

    @property
    def distances(self) -> npt.NDArray[np.float64]:
        """(n,) the cosine distances to those works, 0..2."""
        return np.maximum(1 - self._likeness, 0)


def nearest(
    queries: Floats, works: Floats, *, themselves: bool = False
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For each query the work most like it, and the cosine distance to it, 0..2.

    Args:
        queries: (n, d).
        works: (m, d).
        themselves: The queries are the works, and each one's nearest other is asked for.

    Returns:
        The works' rows (n,) and the distances (n,).
    """
    search = Nearest(queries, np.arange(len(queries)) if themselves else None)
    search.add(works)
    return search.rows, search.distances


def share_closer(samples: Floats, works: Floats) -> float:
    """The share of samples that are nearer to a training work than that work is to any other training work.

    Of a generator that repeats what it has learned from it is nearly 1. Of new works of the same kind it is anything
    from 0.2 to 0.7, by the embedding and the number of works: compare with real works that are not among these.

    Args:
        samples: (n, d).
        works: (m, d), m ≥ 2.

    The authenticity of Alaa et al., "How Faithful is your Synthetic Data?" (2022), counted the other way round.
    """
    rows, distances = nearest(samples, works)
    _, among = nearest(works, works, themselves=True)
    return float((distances < among[rows]).mean())


def _blocks(embeddings: Floats) -> Iterator[Floats]:
    for start in range(0, len(embeddings), _BLOCK):
        yield embeddings[start : start + _BLOCK]


def _kernel(one: Floats, two: Floats) -> npt.NDArray[np.float64]:
    first, second = np.asarray(one, np.float64), np.asarray(two, np.float64)
    return np.asarray((first @ second.T / first.shape[1] + 1) ** 3)


def _kernel_sum(first: Floats, second: Floats) -> float:
    return sum(float(_kernel(one, two).sum()) for one in _blocks(first) for two in _blocks(second))


def _mean_of_pairs(values: Floats) -> float:
    """The kernel's mean over pairs of different members."""
    total, n = 0.0, len(values)
    for start in range(0, n, _BLOCK):  # what is above the diagonal counts twice
        one = values[start : start + _BLOCK]
        kernel = _kernel(one, one)
        total += float(kernel.sum() - np.trace(kernel)) + 2 * _kernel_sum(one, values[start + _BLOCK :])
    return total / (n * (n - 1))


def _share_within(queries: Floats, members: Floats, neighbours: int, centre: npt.NDArray[np.float64]) -> float:
    """The share of queries that lie in the ball of a member at least."""
    inside: npt.NDArray[np.bool_] = np.zeros(len(queries), bool)
    for one, radii in _balls(members, neighbours, centre):
        for start in range(0, len(queries), _BLOCK):
            rows = slice(start, start + _BLOCK)
            inside[rows] |= (_squared_distances(queries[rows] - centre, one) <= radii).any(axis=1)
    return float(inside.mean())


def _balls(
    members: Floats, neighbours: int, centre: npt.NDArray[np.float64]
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """Some members at a time, less the centre, and their squared distances to the k-th nearest other one."""
    for block in _blocks(members):
        one = np.asarray(block - centre)
        near: npt.NDArray[Any] = np.empty((len(one), 0))
        for others in _blocks(members):
            distances = np.concatenate([near, _squared_distances(one, others - centre)], axis=1)
            if distances.shape[1] > neighbours:
                distances = np.partition(distances, neighbours, axis=1)[:, : neighbours + 1]
            near = distances
        yield one, near[:, neighbours]  # not neighbours - 1: each member is its own nearest


def _squared_distances(one: npt.NDArray[np.float64], two: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    squares = (one**2).sum(axis=1)[:, None] + (two**2).sum(axis=1) - 2 * one @ two.T
    return np.asarray(np.maximum(squares, 0))


def _unit(values: Floats) -> npt.NDArray[np.float64]:
    rows = np.asarray(values, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))
