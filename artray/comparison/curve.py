"""A learning curve through a few points, and what it says of more labelled works than there are.

Errors of classifiers fall about as a power of the number of works that they have learned from (Cortes et al. 1994;
Hestness et al. 2017): error(n) = a + b · n^-c, where a is what no number of works would take away. Three numbers from
ten points are not known well, so nothing is said without its uncertainty: groups of test works and draws are drawn
again, the curve is fitted to each, and what is told of n works is what 95 % of these curves say. Beyond four times the
works that there are nothing is said at all. How far such a forecast can be trusted is tried where the truth is known:
the first half of the curve forecasts its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

FURTHEST = 4
"""How many times the works that there are may be spoken of."""
_POWERS = np.arange(0.05, 2.01, 0.05)
_GRID = 200  # numbers of works at which the target is looked for
_LEAST_SIZES = 4  # of fewer no curve is fitted


@dataclass(frozen=True)
class Runs:
    """Trainings on some of the works, judged on the same test works.

    Attributes:
        sizes: (runs,) how many works each has learned from.
        right: (runs, works) whether each test work was given its true label.
        groups: (works,) numbers of the test works' groups, from 0.
    """

    sizes: Ints
    right: npt.NDArray[np.bool_]
    groups: Ints


@dataclass(frozen=True)
class Point:
    """The accuracy at one number of works.

    Attributes:
        works: How many were learned from, the mean of its runs.
        runs: How many runs.
        accuracy: Their mean.
        interval: 95 %: test works (by group) and runs drawn again.
    """

    works: float
    runs: int
    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Needed:
    """How many works a target needs.

    Attributes:
        target: The accuracy.
        works: As most curves say, rounded up; None where more than half of them don't reach it.
        interval: 95 %; an end is None where it lies beyond what may be spoken of.
        reached: The share of curves that reach it within that.
        most: The number of works beyond which nothing is said.
    """

    target: float
    works: int | None
    interval: tuple[int | None, int | None]
    reached: float
    most: int


@dataclass(frozen=True)
class Tried:
    """The forecast of the curve's end from its first half.

    Attributes:
        works: How many works its end has.
        forecast: What was forecast for it.
        interval: 95 % of it.
        accuracy: What came true.
    """

    works: float
    forecast: float
    interval: tuple[float, float]
    accuracy: float


@dataclass(frozen=True)
class Curve:
    """A learning curve.

    Attributes:
        points: By number of works.
        forecast: (n, 4): works, accuracy, lower and upper end, up to the furthest; None where points are too few.
        needed: What the target needs; None where none was asked for, or points are too few.
        tried: How a forecast from the first half would have done; None where points are too few.
        gain: What twice as many works would add to the accuracy, and 95 % of it: all at the same test works, so that
            it is known better than the accuracy itself; None where points are too few.
    """

    points: list[Point]
    forecast: Floats | None
    needed: Needed | None
    tried: Tried | None
    gain: tuple[float, float, float] | None = None


def learning_curve(
    runs: Runs, shares: Sequence[float], *, target: float | None = None, resamples: int = 500, seed: int = 0
) -> Curve:
    """A curve through runs.

    Args:
        runs: The trainings.
        shares: (runs,) of the works that each has learned from; equal ones are one point.
        target: An accuracy to be reached.
        resamples: How many times works and runs are drawn again.
        seed: Of the drawing.
    """
    steps, of = np.unique(np.asarray(shares), return_inverse=True)
    works = np.array([runs.sizes[of == step].mean() for step in range(len(steps))])
    accuracies = runs.right.mean(axis=1)
    means = np.array([accuracies[of == step].mean() for step in range(len(steps))])
    drawn = _drawn_again(runs, of, len(steps), resamples, seed)
    points = [
        Point(float(works[step]), int((of == step).sum()), float(means[step]), _ends(drawn[:, step]))
        for step in range(len(steps))
    ]
    if len(steps) < _LEAST_SIZES:
        return Curve(points, None, None, None)
    weights = np.bincount(of).astype(float)
    most = int(FURTHEST * works[-1])
    sizes = np.unique(np.geomspace(works[0], most, _GRID))
    curves = _values(fitted(works, drawn, weights), sizes)
    middle = _values(fitted(works, means[None], weights), sizes)[0]
    low, high = np.percentile(curves, (2.5, 97.5), axis=0)
    half = max(3, int(np.searchsorted(works, works[-1] / 2, side="right")))
    tried = None
    if half < len(steps):
        first = works[:half]
        ends = _values(fitted(first, drawn[:, :half], weights[:half]), works[-1:])[:, 0]
        told = _values(fitted(first, means[None, :half], weights[:half]), works[-1:])[0, 0]
        tried = Tried(float(works[-1]), float(told), _ends(ends), float(means[-1]))
    needed = None if target is None else _needed(target, sizes, curves, most)
    now = np.array([works[-1], 2 * works[-1]])
    gains = np.diff(_values(fitted(works, drawn, weights), now), axis=1)[:, 0]
    told = _values(fitted(works, means[None], weights), now)[0]
    gain = (float(told[1] - told[0]), *_ends(gains))
    return Curve(points, np.column_stack([sizes, middle, low, high]), needed, tried, gain)


def fitted(works: Floats, accuracies: Floats, weights: Floats) -> Floats:
    """a, b and c of the curves that are nearest to some points, a and b not negative.

    Args:
        works: (points,).
        accuracies: (curves, points).
        weights: (points,) how much each counts.

    Returns:
        (curves, 3).
    """
    errors = 1 - accuracies
    share = weights / weights.sum()
    x = (works[None, :] / works[-1]) ** -_POWERS[:, None]
    mean, level = x @ share, errors @ share
    apart = x - mean[:, None]
    spread = np.maximum((apart**2) @ share, 1e-15)
    b = (errors - level[:, None]) @ (apart * share).T / spread
    alone = errors @ (x * share).T / ((x * x) @ share)
    flat = np.broadcast_to(level[:, None], b.shape)
    # By least squares, and with either of a and b 0: only those count that are not negative.
    solutions = [(level[:, None] - b * mean, b), (np.zeros_like(b), alone), (flat, np.zeros_like(b))]
    losses = np.stack(
        [np.where((a < 0) | (slope < 0), np.inf, _loss(errors, a, slope, x, share)) for a, slope in solutions]
    )
    kind, power = np.divmod(losses.transpose(1, 0, 2).reshape(len(errors), -1).argmin(axis=1), len(_POWERS))
    rows = np.arange(len(errors))
    a_of, b_of = (np.stack([each[side] for each in solutions])[kind, rows, power] for side in (0, 1))
    return np.column_stack([a_of, b_of * works[-1] ** _POWERS[power], _POWERS[power]])


def _loss(errors: Floats, a: Floats, b: Floats, x: Floats, share: Floats) -> Floats:
    """(curves, powers) mean squared distance."""
    return np.asarray(((errors[:, None, :] - a[:, :, None] - b[:, :, None] * x[None]) ** 2) @ share)


def _values(curves: Floats, works: Floats) -> Floats:
    """(curves, works) accuracies."""
    a, b, power = (curves[:, [column]] for column in range(3))
    return np.asarray(1 - np.clip(a + b * works[None, :] ** -power, 0, 1))


def _drawn_again(runs: Runs, of: Ints, steps: int, resamples: int, seed: int) -> Floats:
    """(resamples, steps) accuracies where groups of test works, and each step's runs, are drawn again."""
    chance = np.random.default_rng(seed)
    number = int(runs.groups.max()) + 1
    sizes = np.bincount(runs.groups, minlength=number)
    hits = np.stack([np.bincount(runs.groups, each, number) for each in runs.right.astype(float)])
    counts = chance.multinomial(number, np.full(number, 1 / number), resamples)
    accuracies = counts @ hits.T / np.maximum(counts @ sizes, 1)[:, None]
    drawn = np.empty((resamples, steps))
    for step in range(steps):
        rows = np.flatnonzero(of == step)
        picked = rows[chance.integers(0, len(rows), (resamples, len(rows)))]
        drawn[:, step] = np.take_along_axis(accuracies, picked, axis=1).mean(axis=1)
    return drawn


def _ends(values: Floats) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def _needed(target: float, sizes: Floats, curves: Floats, most: int) -> Needed:
    above = curves >= target
    reached = above.any(axis=1)
    first = np.where(reached, sizes[above.argmax(axis=1)], np.inf)
    low, middle, high = np.percentile(first, (2.5, 50, 97.5), method="inverted_cdf")

    def told(value: float) -> int | None:
        return int(np.ceil(value)) if np.isfinite(value) else None

    return Needed(target, told(middle), (told(low), told(high)), float(reached.mean()), most)
