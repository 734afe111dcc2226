"""How often models are right on the works of one artist, of one decade, …."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.precision import lower_bound
from artray.catalogs.years import year_of

UNKNOWN = "unknown"

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Share:
    """How good models are on the works that have one value in common.

    Attributes:
        value: Which; `unknown` for works of which it isn't known.
        n: How many works.
        accuracy: Of each model.
        intervals: Of each, 95 % (Clopper and Pearson).
    """

    value: str
    n: int
    accuracy: list[float]
    intervals: list[tuple[float, float]]

    @property
    def first(self) -> dict[str, Any]:
        """Of the first model, as JSON values."""
        low, high = self.intervals[0]
        return {
            "value": self.value,
            "n": self.n,
            "accuracy": round(self.accuracy[0], 4),
            "interval": [round(low, 4), round(high, 4)],
        }


def shares_by(right: Sequence[Flags], values: Sequence[str | None], *, in_order: bool = False) -> list[Share]:
    """The shares of works that models have right, by a value; works of which it isn't known come last.

    Args:
        right: Of each model (works,) whether it is.
        values: Of each work.
        in_order: By the values, as decades are; else those first of which there are most works.
    """
    names = np.array([value or UNKNOWN for value in values], dtype=str)
    distinct, numbers, counts = np.unique(names, return_inverse=True, return_counts=True)
    hits = np.array([np.bincount(numbers.reshape(-1), hits_of_one, len(distinct)) for hits_of_one in right])
    order = sorted(
        range(len(distinct)), key=lambda at: (distinct[at] == UNKNOWN, 0 if in_order else -counts[at], distinct[at])
    )
    shares = []
    for at in order:
        n = int(counts[at])
        intervals = [(lower_bound(hit, n, 0.025), 1 - lower_bound(n - hit, n, 0.025)) for hit in hits[:, at].tolist()]
        shares.append(Share(str(distinct[at]), n, (hits[:, at] / n).tolist(), intervals))
    return shares


def decades_of(dates: Sequence[str | None]) -> list[str | None]:
    """Of each date its decade.

    >>> decades_of(["c. 1874", None])
    ['1870s', None]
    """
    years = [year_of(date or "") for date in dates]
    return [f"{year[:3]}0s" if year else None for year in years]
