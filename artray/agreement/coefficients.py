"""How far annotators agree beyond chance: Krippendorff's alpha, Fleiss' and Cohen's kappa, with bootstrap intervals.

All of them are 1 − observed disagreement / disagreement expected by chance: 1 where all agree, 0 where they agree as
often as labels dealt out blindly would, below 0 where they agree less. A coefficient is NaN where chance alone leaves
no disagreement, as where there is one label only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

Level: TypeAlias = Literal["nominal", "ordinal", "interval"]
"""What labels are: names, ranks in the order of the classes, or numbers whose distances mean something."""

_CELLS = 2_000_000  # of an array that resamples are computed in
_FEW_PATTERNS = 1 / 20  # of the works: from there on it is quicker to draw works than numbers of patterns


@dataclass(frozen=True, slots=True)
class Patterns:
    """Works by what was said of them: works of which the same was said are one pattern.

    Attributes:
        counts: (patterns, classes): how many annotators gave each label; two or more in all, since a label without
            another is neither agreement nor disagreement.
        works: (patterns,): of how many works that was said.
        of_work: (works,): each work's pattern.
    """

    counts: Floats
    works: Integers
    of_work: Integers

    @property
    def sizes(self) -> Floats:
        """(patterns,): how many annotators labelled such a work."""
        return np.asarray(self.counts.sum(axis=1))


def patterns(counts: npt.NDArray[np.int32]) -> Patterns:
    """The patterns of works.

    Args:
        counts: (works, classes): how many annotators gave each label. Works with fewer than two annotations are left
            out.
    """
    paired = counts[counts.sum(axis=1) >= 2]
    if not len(paired):
        empty = np.zeros(0, np.int64)
        return Patterns(np.zeros((0, counts.shape[1])), empty, empty)
    distinct, of_work, works = np.unique(paired, axis=0, return_inverse=True, return_counts=True)
    return Patterns(distinct.astype(np.float64), works.astype(np.int64), of_work.reshape(-1).astype(np.int64))


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Coefficients of one set of works, or of several resamples of it (`n` of them).

    Attributes:
        alpha: Krippendorff's by level, (n,): nominal always, ordinal and interval where the labels allow it.
        fleiss: Fleiss' kappa, (n,). Where works have different numbers of annotators, the mean over works of the
            share of pairs of annotators that agree.
        classes: Nominal alpha of each class against all others, (n, classes).
    """

    alpha: dict[Level, Floats]
    fleiss: Floats
    classes: Floats


def coefficients(
    patterns: Patterns, weights: npt.NDArray[np.generic], values: Floats | None, level: Level
) -> Coefficients:
    """The coefficients of works, with missing annotations.

    Args:
        patterns: What was said.
        weights: (n, patterns): how many works there are of each pattern.
        values: (classes,): the classes' numbers where `level` is interval.
        level: Up to which level alpha is wanted.
    """
    counts, sizes, weight = patterns.counts, patterns.sizes, weights.astype(np.float64)
    totals = weight @ counts
    total = totals.sum(axis=1)
    paired = counts * (counts - 1) / (sizes - 1)[:, None]
    same = weight @ paired  # coincidences of a class with itself
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = 1 - same.sum(axis=1) / total
        expected = 1 - (totals * (totals - 1)).sum(axis=1) / (total * (total - 1))
        alpha: dict[Level, Floats] = {"nominal": _beyond_chance(observed, expected)}
        if level != "nominal":
            # Half of a class's annotations are below its middle rank: Krippendorff's ordinal distance is the
            # difference of these, squared.
            ranks = np.cumsum(totals, axis=1) - totals / 2
            alpha["ordinal"] = _alpha_of_values(patterns, weight, totals, ranks - ranks.mean(axis=1, keepdims=True))
        if level == "interval":
            assert values is not None
            alpha["interval"] = _alpha_of_values(
                patterns, weight, totals, np.broadcast_to(_scaled(values), totals.shape)
            )
        agreed = weight @ (paired.sum(axis=1) / sizes) / weight.sum(axis=1)
        by_chance = ((totals / total[:, None]) ** 2).sum(axis=1)
        rest = total[:, None] - totals
        of_class = _beyond_chance((totals - same) / total[:, None], totals * rest / (total * (total - 1))[:, None])
    return Coefficients(alpha, _beyond_chance(1 - agreed, 1 - by_chance), of_class)


def _alpha_of_values(patterns: Patterns, weight: Floats, totals: Floats, values: Floats) -> Floats:
    """Alpha whose distance is the squared difference of numbers; (n,) from values (n, classes)."""
    total = totals.sum(axis=1)
    sums, squares = patterns.counts @ values.T, patterns.counts @ (values**2).T
    sizes = patterns.sizes[:, None]
    within = (sizes * squares - sums**2) / (sizes - 1)  # (patterns, n)
    observed = np.einsum("nu,un->n", weight, within) / total
    over_all = total * (totals * values**2).sum(axis=1) - (totals * values).sum(axis=1) ** 2
    return _beyond_chance(observed, over_all / (total * (total - 1)))


def _scaled(values: Floats) -> Floats:
    """Numbers around 0 and of the size of 1: neither small nor large ones lose digits when they are squared."""
    centred = values - values.mean()
    return np.asarray(centred / (np.abs(centred).max() or 1))


def _beyond_chance(observed: Floats, expected: Floats) -> Floats:
    tiny = 1e-12 * np.maximum(1, np.abs(observed))
    return np.asarray(np.where(expected > tiny, 1 - observed / np.where(expected > tiny, expected, 1), np.nan))


def draws(works: Integers, resamples: int, rng: np.random.Generator) -> Iterator[Integers]:
    """Numbers of each kind of work when all of them are drawn again with replacement, (n, kinds) at a time.

    Args:
        works: (kinds,): how many works there are of each kind.
        resamples: How often.
        rng: Draws.
    """
    total, kinds = int(works.sum()), len(works)
    by_kind = kinds <= _FEW_PATTERNS * total
    of_work = np.repeat(np.arange(kinds), works)
    at_once = max(1, _CELLS // max(1, kinds if by_kind else total))
    for start in range(0, resamples, at_once):
        number = min(at_once, resamples - start)
        if by_kind:
            yield rng.multinomial(total, works / total, size=number)
        else:
            drawn = of_work[rng.integers(0, total, (number, total))] + kinds * np.arange(number)[:, None]
            yield np.bincount(drawn.ravel(), minlength=number * kinds).reshape(number, kinds)


def bootstrap(
    patterns: Patterns, values: Floats | None, level: Level, *, resamples: int, rng: np.random.Generator
) -> Coefficients:
    """The coefficients of works drawn again with replacement; see `coefficients`."""
    drawn = [coefficients(patterns, weights, values, level) for weights in draws(patterns.works, resamples, rng)]
    return Coefficients(
        {name: np.concatenate([draw.alpha[name] for draw in drawn]) for name in drawn[0].alpha},
        np.concatenate([draw.fleiss for draw in drawn]),
        np.concatenate([draw.classes for draw in drawn]),
    )


def interval(values: Floats) -> tuple[float, float] | None:
    """Where the middle 95 % of resamples lie; None where fewer than half of them have a value."""
    there = values[np.isfinite(values)]
    if not len(there) or 2 * len(there) < len(values):
        return None
    low, high = np.percentile(there, [2.5, 97.5])
    return float(low), float(high)


def coincidences(patterns: Patterns) -> Floats:
    """(classes, classes): how often two annotators gave two labels to one work, each annotation counted once."""
    weight = patterns.works / (patterns.sizes - 1) if len(patterns.works) else np.zeros(0)
    together = (patterns.counts * weight[:, None]).T @ patterns.counts
    return np.asarray(together - np.diag((patterns.counts * weight[:, None]).sum(axis=0)))


def distances(classes: int, level: Level, values: Floats | None, weights: Literal["linear", "quadratic"]) -> Floats:
    """(classes, classes): how far two labels are apart, by which Cohen's kappa is weighted.

    Args:
        classes: How many.
        level: Of names any two differ alike.
        values: The classes' numbers where `level` is interval; of ranks it is their places.
        weights: The difference, or its square.
    """
    if level == "nominal":
        return 1 - np.eye(classes)
    positions = np.linspace(-1, 1, classes) if level == "ordinal" or values is None else _scaled(values)
    apart = np.abs(positions[:, None] - positions[None, :])
    return apart if weights == "linear" else apart**2


def kappa(observed: Floats, first: Floats, second: Floats, distance: Floats) -> Floats:
    """Cohen's kappa, weighted by distance, of one or many pairs of annotators.

    Args:
        observed: (...): the mean distance of the two labels of a work.
        first: (..., classes): how often the one gave each label, in any unit.
        second: Likewise the other.
        distance: (classes, classes): of labels.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = ((first @ distance) * second).sum(axis=-1) / (first.sum(axis=-1) * second.sum(axis=-1))
        return _beyond_chance(observed, expected)
