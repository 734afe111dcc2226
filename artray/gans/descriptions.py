"""Descriptions of works from columns of their catalogue: what a generator is told of each, and learns to be told.

See `artray.bundles.conditions` for what becomes of a column's values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.conditions import Condition, Kind, Vectors
from artray.bundles.description import check_names
from artray.catalogs.targets import encode_targets, separate
from artray.errors import InputError
from artray.features.columns import matrix
from artray.gans.config import GanConfig, PictureChoice

KEPT = 1024
"""So many works' descriptions stay in a bundle."""

_MOST_LABELS = 1000
_NUMBERS = 0.95  # of a text column's different values must be numbers for it to be one of numbers


@dataclass(frozen=True)
class Descriptions:
    """What is known of some rows.

    Attributes:
        conditions: What each part of a vector says.
        vectors: (rows, width).
        known: (rows,) whether anything is known of a row.
        held_out: (rows,) whether a row is one of the combinations that training is to do without.
    """

    conditions: list[Condition]
    vectors: Vectors
    known: npt.NDArray[np.bool_]
    held_out: npt.NDArray[np.bool_]


def describe(table: pa.Table, config: GanConfig | PictureChoice) -> Descriptions:
    """Learn the conditions from rows, and describe these.

    Names, means and deviations are those of the rows that are not held out.

    Args:
        table: Has the conditions' columns.
        config: Its `conditions` and `held_out`.

    Raises:
        InputError: A column can't be read so, says nothing, or has more labels than a generator can learn; or what is
            to be held out is not there, or is said nowhere else.
    """
    columns = {
        name: _read(name, table[name], _kind(table[name]) if kind == "auto" else kind)
        for name, kind in config.conditions.items()
    }
    held = np.zeros(len(table), bool)
    for wish in config.held_out:
        has_all = np.ones(len(table), bool)
        for name, value in wish.items():
            has_all &= columns[name].has(value)
        if not has_all.any():
            raise InputError(f"held_out: no work of the training part is {_told(wish)}")
        held |= has_all
    conditions, blocks = [], []
    for name, column in columns.items():
        condition, vectors = column.learned(~held)
        if not condition:
            raise InputError(f"conditions: column {name!r} says nothing of the works that are learned from")
        conditions.append(condition)
        blocks.append(vectors)
    for wish in config.held_out:
        for condition in conditions:
            if condition.name in wish and condition.kind != "number":
                try:
                    condition.read(wish[condition.name])
                except InputError as error:
                    raise InputError(
                        f"held_out: only works that are held out have {condition.name}={wish[condition.name]}, so it "
                        "can't be learned"
                    ) from error
    known = np.any([column.known for column in columns.values()], axis=0)
    return Descriptions(conditions, np.concatenate(blocks, axis=1), known, held)


def spread(vectors: Vectors, count: int) -> Vectors:
    """So many rows from everywhere in a table; some twice where it has fewer."""
    return vectors[np.linspace(0, len(vectors) - 1, count).round().astype(np.int64)]


def _told(wish: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in wish.items())


def _kind(column: pa.ChunkedArray) -> Kind:
    """What a column seems to hold."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        number = pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)
        return "vector" if number else "labels"
    if pa.types.is_nested(kind):
        return "labels"
    values = [value for value in pc.unique(column).to_pylist() if value]
    numbers = [value for value in values if np.isfinite(_number(value))]
    return "number" if values and len(numbers) >= _NUMBERS * len(values) else "label"


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _read(name: str, column: pa.ChunkedArray, kind: Kind) -> _Labels | _Numbers:
    if kind in ("label", "labels"):
        return _Labels(name, column, kind)
    return _Numbers(name, column, kind)


class _Labels:
    """A column of names.

    Attributes:
        known: Which rows have any.
    """

    def __init__(self, name: str, column: pa.ChunkedArray, kind: Kind):
        self._name, self._kind = name, kind
        as_text = column if pa.types.is_nested(column.type) else column.cast(pa.string())
        self._targets = encode_targets(as_text, "one" if kind == "label" else "multilabel", name)
        self.known = self._targets.counts > 0

    def has(self, value: str) -> npt.NDArray[np.bool_]:
        """Which rows have a label, or all of several."""
        has_all = np.ones(len(self.known), bool)
        targets = self._targets
        for name in separate(value) if self._kind == "labels" else [value]:
            here = np.zeros(len(self.known), bool)
            if name in targets.names:
                here[targets.rows[targets.codes == targets.names.index(name)]] = True
            has_all &= here
        return has_all

    def learned(self, rows: npt.NDArray[np.bool_]) -> tuple[Condition | None, Vectors]:
        """The condition, of some rows, and every row's part of the vector; what only others have is not in it."""
        targets = self._targets
        there = np.zeros(len(targets.names), bool)
        there[targets.codes[rows[targets.rows]]] = True
        names = [name for name, is_there in zip(targets.names, there.tolist(), strict=True) if is_there]
        if not names:
            return None, np.zeros((len(rows), 0), np.float32)
        if len(names) > _MOST_LABELS:
            raise InputError(
                f"conditions: column {self._name!r} has {len(names):,} labels, more than {_MOST_LABELS:,}; --set "
                f"'conditions={{{self._name}: number}}' if they are numbers"
            )
        try:
            check_names(names)
        except ValueError as error:
            raise InputError(f"conditions: column {self._name!r}: {error}") from error
        column = np.where(there, np.cumsum(there) - 1, -1)[targets.codes]
        vectors = np.zeros((len(rows), len(names)), np.float32)
        vectors[targets.rows[column >= 0], column[column >= 0]] = 1
        return Condition(name=self._name, kind=self._kind, names=names), vectors


class _Numbers:
    """A column of numbers, or of lists of equally many.

    Attributes:
        known: Which rows have one.
    """

    def __init__(self, name: str, column: pa.ChunkedArray, kind: Kind):
        self._name, self._kind = name, kind
        self._values: npt.NDArray[np.float64]
        if kind == "vector":
            self.known = np.asarray(pc.is_valid(column), bool)
            numbers = matrix(column.drop_null(), name) if self.known.any() else np.zeros((0, 1), np.float32)
            self._values = np.zeros((len(column), numbers.shape[1]))
            self._values[self.known] = numbers
        else:
            self._values = np.array([_number(value) for value in column.to_pylist()], np.float64)[:, None]
            self.known = np.isfinite(self._values[:, 0])
            self._values[~self.known] = 0

    def has(self, value: str) -> npt.NDArray[np.bool_]:
        """Which rows have a number; of vectors none is asked for."""
        if self._kind == "vector":
            raise InputError(f"held_out: {self._name} is an embedding, which can't be held out")
        return np.asarray(self.known & (self._values[:, 0] == _number(value)), bool)

    def learned(self, rows: npt.NDArray[np.bool_]) -> tuple[Condition | None, Vectors]:
        """The condition, of some rows, and every row's part of the vector."""
        learned = self._values[rows & self.known]
        if not len(learned):
            return None, np.zeros((len(rows), 0), np.float32)
        mean, deviation = learned.mean(axis=0), float(np.sqrt(learned.var(axis=0).sum())) or 1.0
        vectors = np.where(self.known[:, None], (self._values - mean) / deviation, 0).astype(np.float32)
        return Condition(name=self._name, kind=self._kind, mean=mean.tolist(), deviation=deviation), vectors
