"""How sure a share is that was counted: the lower end of its 95 % interval, also of works that come in groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt


def lower_bound(right: float, n: float, error: float = 0.05) -> float:
    """Below which a share lies with a probability of at most `error` (Clopper & Pearson 1934, one side).

    Args:
        right: How many of n, 0..n. Neither need be whole, so that works which tell less can count less.
        n: Above 0.
        error: 0..1.

    Returns:
        The quantile `error` of Beta(right, n - right + 1), 0..1.

    Example:
        >>> round(lower_bound(95, 100), 3)
        0.898
    """
    if right <= 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        if beta_below(middle, right, n - right + 1) < error:
            low = middle
        else:
            high = middle
    return low


def surely(target: float, right: float, n: float, error: float = 0.05) -> bool:
    """Whether `lower_bound` of the same numbers is at least `target`, in less time."""
    return right > 0 and beta_below(target, right, n - right + 1) <= error


def likeness(wrong: npt.NDArray[Any], groups: npt.NDArray[np.int64]) -> float:
    """How alike the works of a group are in whether they are right: their intraclass correlation.

    Args:
        wrong: (n,) by how much each work was more often right than expected.
        groups: (n,) numbers of the works' groups.

    Returns:
        0 (errors have nothing to do with groups) to 1 (a group is right or wrong as a whole).
    """
    single, size = float((wrong**2).sum()), mean_size(groups)
    if not single or size <= 1:
        return 0.0
    together = float((np.bincount(groups, wrong) ** 2).sum()) / single
    return float(np.clip((together - 1) / (size - 1), 0, 1))


def mean_size(groups: npt.NDArray[np.int64]) -> float:
    """In how large a group a work is on average: 1 + likeness · (size - 1) such works count as one (Kish 1965).

    Args:
        groups: (n,) numbers of the works' groups.
    """
    sizes = np.bincount(groups).astype(float)
    return float((sizes**2).sum() / sizes.sum())


def beta_below(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, 0..1, by its continued fraction (Lentz)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_below(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + term * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + term / c
            c = c if abs(c) > tiny else tiny
            value *= c * d
        if abs(c * d - 1) < 1e-12:
            break
    return front * value / a
