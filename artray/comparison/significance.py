"""Whether two models differ by more than chance: tests for works that both have labelled.

McNemar's test takes works for independent of each other. Works of one artist are not: where a model knows the artist's
hand, all of them are right together. So there is beside it a test that swaps the two models for whole groups at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.precision import lower_bound

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_CELLS = 4_000_000  # of an array of draws that is in memory at once
_EXACT_UNITS = 20  # of as many, all 2**units assignments are gone through


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test.

    Attributes:
        first: Works that the first model alone has right.
        second: Works that the second alone has right.
        p: Two-sided: how often chance would divide as many works as unevenly.
        odds: `first` / `second`; None where the second is 0.
        interval: 95 %, of the odds (from Clopper and Pearson's of the share); an end is None where it is infinite.
    """

    first: int
    second: int
    p: float
    odds: float | None
    interval: tuple[float, float | None]


def mcnemar(first: Flags, second: Flags) -> McNemar:
    """McNemar's exact test of two models on the same works.

    Args:
        first: (n,) whether the first model is right.
        second: (n,) whether the second is.

    Example:
        >>> round(mcnemar(np.array([1, 1, 1, 1, 1, 0], bool), np.array([0, 0, 0, 0, 1, 1], bool)).p, 3)
        0.375
    """
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    n = b + c
    if not n:
        return McNemar(b, c, 1.0, None, (0.0, None))
    low = lower_bound(b, n, 0.025)
    high = 1 - lower_bound(c, n, 0.025)
    ends = low / (1 - low), high / (1 - high) if high < 1 else None
    return McNemar(b, c, binomial_p(min(b, c), n), b / c if c else None, ends)


def binomial_p(fewer: int, n: int) -> float:
    """How often n fair coins show one side at most `fewer` times, either side; at most 1."""
    logs = [
        math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2) for k in range(fewer + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's correction: each p so that, of all that are below a level, none is wrong with that probability.

    Args:
        ps: Of several tests.

    Returns:
        The adjusted ones, in the same order, at most 1.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(ps)), key=lambda at: ps[at])
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[at]))
        adjusted[at] = highest
    return adjusted


def swapped(difference: Floats, groups: Ints, *, draws: int = 10_000, seed: int = 0) -> float:
    """A permutation test in which two models change places for whole groups of works.

    If the models were equally good, each group's result might as well be the other's. With groups of one work each and
    ones and minus ones this is McNemar's test.

    Args:
        difference: (n,) by how much the first model is better on each work.
        groups: (n,) numbers of the works' groups, from 0.
        draws: How many assignments are drawn where there are too many to go through all.
        seed: Of the drawing.

    Returns:
        Two-sided p: the share of assignments whose sum is at least as far from 0.
    """
    sums = np.bincount(groups, difference)
    sums = sums[np.abs(sums) > 1e-12]
    reached = abs(float(sums.sum())) - 1e-9
    if len(sums) <= _EXACT_UNITS:
        totals = np.zeros(1)
        for value in sums:
            totals = np.concatenate([totals + value, totals - value])
        return float((np.abs(totals) >= reached).mean())
    chance = np.random.default_rng(seed)
    far = 0
    for number in chunks(draws, len(sums)):
        signs = chance.integers(0, 2, (number, len(sums)), dtype=np.int8) * 2 - 1
        far += int((np.abs(signs @ sums) >= reached).sum())
    return (far + 1) / (draws + 1)


def chunks(draws: int, width: int) -> list[int]:
    """Draws in pieces that fit into memory."""
    most = max(1, _CELLS // max(width, 1))
    return [most] * (draws // most) + ([draws % most] if draws % most else [])


def numbered(names: Sequence[str]) -> Ints:
    """Each name's number, from 0."""
    _, numbers = np.unique(np.asarray(list(names), dtype=str), return_inverse=True)
    return np.asarray(numbers.reshape(-1), np.int64)


def resampled(tallies: Sequence[npt.NDArray[Any]], units: Ints, *, resamples: int, seed: int = 0) -> list[Floats]:
    """Several models' sums over works that are drawn again: in each draw the same works for all of them.

    Args:
        tallies: Of each model (n, k), what is summed.
        units: (n,) numbers from 0 of what is drawn: each work for itself, or whole groups.
        resamples: How many draws.
        seed: Of the drawing.

    Returns:
        For each model (resamples, k).
    """
    number = int(units.max()) + 1
    widths = [table.shape[1] for table in tallies]
    together = np.concatenate([np.asarray(table, np.float64) for table in tallies], axis=1)
    summed = np.zeros((number, together.shape[1]))
    np.add.at(summed, units, together)
    # Units of which the same is to be said are alike: how often a kind is drawn is all that matters.
    kinds, counts = np.unique(summed, axis=0, return_counts=True)
    chance = np.random.default_rng(seed)
    shares = counts / number
    drawn = [chance.multinomial(number, shares, size) @ kinds for size in chunks(resamples, len(kinds))]
    return np.split(np.concatenate(drawn), np.cumsum(widths)[:-1], axis=1)


def two_sided(differences: Floats) -> float:
    """How surely a resampled difference is not 0, as a p: twice the smaller share on one side of it."""
    n = len(differences)
    below, above = int((differences <= 0).sum()), int((differences >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (n + 1))
