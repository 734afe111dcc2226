"""Linear discriminant analysis with a shrunken covariance: a classifier of frozen features, fitted in one step.

Classes are taken for normal distributions with means of their own and one covariance within all of them, (1 - s) S +
s · tr(S) / d · I: S as the training part has it, drawn towards a ball by the shrinkage s (Friedman 1989; Ledoit & Wolf
2004). With thousands of features and hundreds of works S alone has no inverse; and what little is known of it is worth
little weight: the best s is often .8 and more.

Of n examples with d features no matrix is larger than min(n, d)² numbers: with fewer examples than features the system
that is solved is that of the examples (Woodbury's identity). Of thousands of examples it is solved in single precision
by conjugate gradients, and corrected by what is left over in double precision until nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Blocks = Callable[[], Iterable[tuple[Floats, Floats]]]
"""Gives all examples, block by block, as often as asked: features (rows, d) and targets (rows, classes)."""

DIRECT = 2000
"""Of so many examples the system is solved at once."""
_STRIP = 128
_LEFT = 1e-10  # of the right side, when it counts as solved
_CORRECTIONS, _STEPS = 12, 300  # then it is solved at once after all

SHRINKAGES = (0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99)
"""From weak to strong."""


class Discriminant:
    """The moments of a training part, from which the classifier of any shrinkage follows.

    Args:
        blocks: The training part; targets are 0..1, one-hot or shares, rows of which sum to 1. A million examples may
            come: more than there are features are added up, block by block, and not kept.
        dimension: How many features there are where the blocks hold `out_of_fold.coordinates` of them; default: d.
        direct: Of more examples than these, if of fewer than features, the system is solved by steps.

    Raises:
        ValueError: A class has no example.
    """

    def __init__(self, blocks: Blocks, dimension: int | None = None, *, direct: int = DIRECT):
        self._blocks = blocks
        n, first, sizes, sums = 0, None, None, None
        for x, targets in blocks():
            first = x if first is None else first
            weights = np.asarray(targets, np.float64)
            sizes = weights.sum(axis=0) + (0 if sizes is None else sizes)
            sums = weights.T @ x + (0 if sums is None else sums)
            n += len(x)
        if sizes is None or sums is None or (sizes <= 0).any():
            raise ValueError("a class has no example")
        self._n, self._d = n, sums.shape[1]
        self._means: Floats = sums / sizes[:, None]
        self._log_prior: Floats = np.log(sizes / sizes.sum())
        self._few = n < self._d
        self._residuals: Floats = np.concatenate(list(self._centred())) if self._few else np.zeros((0, self._d))
        if self._few:
            single = len(self._residuals) > direct
            rows = self._residuals.astype(np.float32) if single else self._residuals
            self._gram: Floats = rows @ rows.T
        else:
            self._gram = np.zeros((self._d, self._d))
            for rows in self._centred():
                self._gram += rows.T @ rows
        self._ball = float(np.trace(self._gram)) / (n * (dimension or self._d)) or 1.0  # all alike: any ball is as good

    def _centred(self) -> Iterator[Floats]:
        """Examples less the mean of their class; of shares each with its weight."""
        for x, targets in self._blocks():
            for label in range(targets.shape[1]):
                weight = np.sqrt(np.asarray(targets[:, label], np.float64))
                there = weight > 0
                if there.any():
                    yield (x[there] - self._means[label]) * weight[there, None]

    def fit(self, shrinkage: float) -> tuple[Floats, Floats]:
        """The classifier as a linear layer: log of the posterior probabilities, up to a constant of each example.

        Args:
            shrinkage: Above 0, at most 1.

        Returns:
            (d, classes) weights and (classes,) bias, float64.
        """
        ridge, scale = shrinkage * self._ball, (1 - shrinkage) / self._n
        if not self._few:
            covariance = scale * self._gram
            covariance[np.diag_indices(self._d)] += ridge
            weights = np.linalg.solve(covariance, self._means.T)
        else:
            seen = self._solve(scale, ridge, self._residuals @ self._means.T)
            weights = (self._means.T - scale * (self._residuals.T @ seen)) / ridge
        return weights, self._log_prior - 0.5 * np.einsum("kd,dk->k", self._means, weights)

    def _solve(self, scale: float, ridge: float, right: Floats) -> Floats:
        """The solution of (scale · R Rᵀ + ridge) · solution = right, of residuals R, in double precision."""
        gram = self._gram
        if gram.dtype == np.float32:
            enough = _LEFT * float(np.linalg.norm(right))
            solution, left = np.zeros_like(right), right
            for _ in range(_CORRECTIONS):
                if (size := float(np.linalg.norm(left))) <= enough:
                    return solution
                solution = solution + size * _conjugate_gradients(gram, scale / ridge, left / size) / ridge
                rest = right - scale * (self._residuals @ (self._residuals.T @ solution)) - ridge * solution
                if not np.linalg.norm(rest) < 0.1 * size:
                    break
                left = rest
            gram = self._residuals @ self._residuals.T
        inner = scale * gram
        inner[np.diag_indices(len(inner))] += ridge
        return _solve_positive(inner, right)


def _solve_positive(matrix: Floats, right: Floats) -> Floats:
    """The solution of a system whose matrix is symmetric and positive definite, by its root, strip by strip."""
    try:
        root = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:  # rounding has left it none
        return np.asarray(np.linalg.solve(matrix, right))
    n, solution = len(root), right.astype(np.float64)
    strips = [slice(start, min(start + _STRIP, n)) for start in range(0, n, _STRIP)]
    for strip in strips:
        rest = solution[strip] - root[strip, : strip.start] @ solution[: strip.start]
        solution[strip] = np.linalg.solve(root[strip, strip], rest)
    for strip in reversed(strips):
        rest = solution[strip] - root[strip.stop :, strip].T @ solution[strip.stop :]
        solution[strip] = np.linalg.solve(root[strip, strip].T, rest)
    return solution


def _conjugate_gradients(gram: Floats, scale: float, right: Floats) -> Floats:
    """About the solution of (scale · gram + 1) · solution = right, column by column, in the precision of the gram."""
    rest = right.astype(gram.dtype)
    solution = np.zeros_like(rest)
    direction = rest.copy()
    sizes = np.einsum("nk,nk->k", rest, rest)
    enough = 1e-8 * max(float(sizes.max()), 1e-30)  # squares
    for _ in range(_STEPS):
        if float(sizes.max()) <= enough:
            break
        ahead = scale * (gram @ direction) + direction
        step = sizes / np.maximum(np.einsum("nk,nk->k", direction, ahead), 1e-30)
        solution += step * direction
        rest -= step * ahead
        following = np.einsum("nk,nk->k", rest, rest)
        direction = rest + following / np.maximum(sizes, 1e-30) * direction
        sizes = following
    return solution
