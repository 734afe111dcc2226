"""Logistic regression solved for exactly: classes weighted, weights kept short by a penalty (L2).

The loss is convex, so L-BFGS (Nocedal 1980) comes to its one minimum, which is scikit-learn's too. Examples come block
by block: beside a block only ten pairs of vectors as long as the weights are in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.classifiers.calibration import sigmoid

Floats = npt.NDArray[np.floating[Any]]
Blocks = Callable[[], Iterable[tuple[Floats, Floats]]]
"""Gives all examples, block by block, as often as asked: features (rows, d) and targets (rows, classes)."""

_MEMORY = 10
_STEPS = 1000
_SUFFICIENT = 1e-4  # of the fall that the slope promises (Armijo)


def balanced_weights(sizes: Floats) -> Floats:
    """Of each class, so that all count alike and an example counts 1 on average: `class_weight="balanced"`.

    Args:
        sizes: (classes,) examples of each, all above 0.
    """
    return np.asarray(sizes.sum() / (len(sizes) * sizes))


def fit_logistic(
    blocks: Blocks,
    penalty: float,
    *,
    class_weights: Floats | None = None,
    multilabel: bool = False,
    start: tuple[Floats, Floats] | None = None,
    tolerance: float = 1e-6,
) -> tuple[Floats, Floats]:
    """Minimises mean weighted log loss + penalty / 2 · |weights|²; the bias is free.

    scikit-learn's `C` is 1 / (penalty · the sum of the examples' weights).

    Args:
        blocks: The examples; targets are 0..1, rows sum to 1. Best standardised: a feature on another scale takes
            longer, and is penalised by it.
        penalty: Above 0.
        class_weights: (classes,) how much a class's examples count; default: 1.
        multilabel: An example may have several classes, each of which has a regression of its own, the targets of
            which need not sum to 1; without class weights.
        start: Weights and bias from which to begin, such as those of a neighbouring penalty.
        tolerance: The gradient's largest entry at the end, beside the entries of the first.

    Returns:
        (d, classes) weights and (classes,) bias, float64.

    Raises:
        ValueError: The penalty is not above 0.
    """
    if penalty <= 0:
        raise ValueError(f"penalty: must be above 0, not {penalty}")
    loss = _Loss(blocks, penalty, class_weights, multilabel)
    point = np.zeros((loss.width + 1, loss.classes)) if start is None else np.vstack([start[0], start[1][None]])
    value, gradient = loss(point)
    enough = tolerance * max(float(np.abs(gradient).max()), 1e-3)
    moves: list[tuple[Floats, Floats, float]] = []
    for _ in range(_STEPS):
        if np.abs(gradient).max() <= enough:
            break
        direction = -_inverse_curvature(gradient, moves)
        slope = float((direction * gradient).sum())
        step = 1.0 if moves else min(1.0, 1.0 / float(np.abs(gradient).sum()))
        while True:
            ahead = point + step * direction
            there, slopes = loss(ahead)
            if there <= value + _SUFFICIENT * step * slope or step < 1e-10:
                break
            step /= 2
        if there >= value:  # as far as floating point goes
            break
        moved, bent = ahead - point, slopes - gradient
        curvature = float((moved * bent).sum())
        if curvature > 0:
            moves = [*moves[1 - _MEMORY :], (moved, bent, curvature)]
        point, value, gradient = ahead, there, slopes
    return point[:-1], point[-1]


class _Loss:
    """The loss and its gradient at a point, both by one pass over the examples."""

    def __init__(self, blocks: Blocks, penalty: float, class_weights: Floats | None, multilabel: bool):
        self._blocks, self._penalty, self._weights, self._multilabel = blocks, penalty, class_weights, multilabel
        x, targets = next(iter(blocks()))
        self.width, self.classes = x.shape[1], targets.shape[1]

    def __call__(self, point: Floats) -> tuple[float, Floats]:
        weights, bias = point[:-1], point[-1]
        value, total = 0.0, 0.0
        gradient = np.zeros_like(point)
        for x, targets in self._blocks():
            counts = targets if self._weights is None else targets * self._weights
            logits = np.asarray(x @ weights.astype(x.dtype), np.float64) + bias
            if self._multilabel:
                value += float((np.logaddexp(0, logits) - targets * logits).sum())
                wrong = sigmoid(logits) - targets
                total += len(x)
            else:
                logits -= logits.max(axis=1, keepdims=True)
                scores = np.exp(logits)
                sums = scores.sum(axis=1, keepdims=True)
                value -= float((counts * (logits - np.log(sums))).sum())
                each = counts.sum(axis=1, keepdims=True)
                wrong = scores / sums * each - counts
                total += float(each.sum())
            gradient[:-1] += x.T @ wrong.astype(x.dtype)
            gradient[-1] += wrong.sum(axis=0)
        value = value / total + self._penalty / 2 * float((weights**2).sum())
        gradient /= total
        gradient[:-1] += self._penalty * weights
        return value, gradient


def _inverse_curvature(gradient: Floats, moves: list[tuple[Floats, Floats, float]]) -> Floats:
    """The gradient divided by what the last moves tell of the curvature (two loops)."""
    if not moves:
        return gradient
    result = gradient
    shares = []
    for moved, bent, curvature in reversed(moves):
        share = float((moved * result).sum()) / curvature
        result = result - share * bent
        shares.append(share)
    _, bent, curvature = moves[-1]
    result = result * (curvature / float((bent**2).sum()))
    for (moved, bent, curvature), share in zip(moves, reversed(shares), strict=True):
        result = result + (share - float((bent * result).sum()) / curvature) * moved
    return result
