"""What pictures of a described generator can be asked for by: columns of the catalogue, as one vector of numbers.

label    one of some names: a number each, 1 for the one it is
labels   any of some names: likewise, 1 for each it has
number   a number, in standard deviations from the mean
vector   an embedding, less the mean, such that its length is about 1

What is not known of a work is 0 everywhere: no name, or the mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from artray.bundles.description import Names
from artray.catalogs.targets import separate
from artray.errors import InputError, did_you_mean, first_of

Kind: TypeAlias = Literal["label", "labels", "number", "vector"]

Vectors: TypeAlias = npt.NDArray[np.float32]

Numbers = Annotated[list[float], Field(max_length=65_536)]


class Condition(BaseModel):
    """One column, and where its values lie in the vector.

    Attributes:
        name: The column's.
        kind: What it holds.
        names: Of labels, in the vector's order.
        mean: Of a number, or of each number of a vector.
        deviation: Of a number its standard deviation; of a vector the root of all its variances' sum.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    kind: Kind
    names: Names = []
    mean: Numbers = []
    deviation: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _fits_together(self) -> Condition:
        told = {"label": self.names, "labels": self.names, "number": self.mean[:1], "vector": self.mean}[self.kind]
        if not told or (self.kind == "number" and len(self.mean) != 1):
            raise ValueError(f"condition {self.name!r}: says nothing of its values")
        return self

    @property
    def width(self) -> int:
        """How many numbers it has in the vector."""
        return len(self.names) or len(self.mean)

    def read(self, text: str) -> Vectors:
        """Its part of the vector, (width,), as the user says it; of several labels with semicolons between them.

        Raises:
            InputError: There is no such label, it is no number, or it is a vector, which nobody can say.
        """
        vector = np.zeros(self.width, np.float32)
        if self.kind == "vector":
            raise InputError(f"--condition {self.name}: is an embedding; samples take it from works")
        if self.kind == "number":
            try:
                value = float(text)
            except ValueError:
                value = np.nan
            if not np.isfinite(value):
                raise InputError(f"--condition {self.name}={text}: is not a number")
            vector[0] = (value - self.mean[0]) / self.deviation
            return vector
        for name in separate(text) if self.kind == "labels" else [text]:
            if name not in self.names:
                known = first_of(self.names, 20)
                hint = did_you_mean(name, self.names)
                raise InputError(f"--condition {self.name}={name}: it has learned no such label ({known}){hint}")
            vector[self.names.index(name)] = 1
        return vector

    def told(self, vector: Vectors) -> Any:
        """A label or None, labels, or a number, of its part of a vector; None of an embedding."""
        if self.kind == "vector":
            return None
        if self.kind == "number":
            return round(float(vector[0]) * self.deviation + self.mean[0], 4)
        names = [name for name, value in zip(self.names, vector.tolist(), strict=True) if value > 0.5]
        if self.kind == "labels":
            return names
        return names[0] if names else None


def slices_of(conditions: Sequence[Condition]) -> Iterator[tuple[Condition, slice]]:
    """Each condition, and where in the vector it is."""
    start = 0
    for condition in conditions:
        yield condition, slice(start, start + condition.width)
        start += condition.width


def with_wishes(conditions: Sequence[Condition], vectors: Vectors, wishes: Mapping[str, str]) -> Vectors:
    """Vectors of which some conditions are what the user wants.

    Args:
        conditions: All of them.
        vectors: (n, width).
        wishes: What is wanted, by the conditions' names.

    Returns:
        (n, width).

    Raises:
        InputError: There is no such condition, or it can't be so.
    """
    known = [condition.name for condition in conditions]
    for name in wishes:
        if name not in known:
            there = ", ".join(known) or "none: it was trained without conditions"
            raise InputError(f"--condition {name}: the generator has no such condition (it has {there})")
    wished = vectors.copy()
    for condition, columns in slices_of(conditions):
        if condition.name in wishes:
            wished[:, columns] = condition.read(wishes[condition.name])
    return wished
