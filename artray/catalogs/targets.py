"""What the cells of a target column say: a label, several labels, or shares of labels."""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.errors import InputError

Labels: TypeAlias = Literal["one", "multilabel", "soft"]
"""What a cell holds: a label; several, each true or not for itself; or shares of labels, which sum to 1."""

SEPARATOR = ";"
_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class Targets:
    """The labels of many rows, in arrays: a million rows are no million dictionaries.

    Row `r` has the labels `names[codes[i]]`, each with `shares[i]`, for `i` from `offsets[r]` to `offsets[r + 1]`.

    Attributes:
        names: All labels that occur, sorted.
        offsets: (rows + 1,)
        codes: (entries,) labels as indices into `names`.
        shares: (entries,) 1, or of soft labels the shares of a row, which sum to 1.
    """

    names: list[str]
    offsets: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float64]

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """(entries,) whose label each entry is."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.counts)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(rows,) how many labels each row has."""
        return np.diff(self.offsets)

    def main(self) -> npt.NDArray[np.int64]:
        """(rows,) each row's label with the largest share, of equal ones the last by name; -1 where it has none."""
        codes = np.full(len(self.offsets) - 1, -1, np.int64)
        order = np.lexsort((self.codes, self.shares, self.rows))
        codes[self.rows[order]] = self.codes[order]  # of several the last stays
        return codes


def encode_targets(column: pa.ChunkedArray | pa.Array, labels: Labels, name: str) -> Targets:
    """What `read_targets` says of a column, in arrays; each different text is read once.

    Args:
        column: As there.
        labels: Likewise.
        name: Likewise.

    Raises:
        InputError: As there.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not pa.types.is_nested(column.type):
        different = pc.unique(column)
        read = _encoded(read_targets(different, labels, name))
        return _taken(read, pc.index_in(column, value_set=different).to_numpy().astype(np.int64))
    found: list[dict[str, float]] = []
    indices: list[npt.NDArray[np.int64]] = []
    number: dict[tuple[tuple[str, float], ...], int] = {}
    for start in range(0, len(column), _ROWS_AT_ONCE):
        cells = read_targets(column.slice(start, _ROWS_AT_ONCE), labels, name)
        rows = np.empty(len(cells), np.int64)
        for row, cell in enumerate(cells):
            rows[row] = number.setdefault(tuple(cell.items()), len(found))
            if rows[row] == len(found):
                found.append(cell)
        indices.append(rows)
    return _taken(_encoded(found), np.concatenate(indices or [np.empty(0, np.int64)]))


def _encoded(cells: list[dict[str, float]]) -> Targets:
    names = sorted({label for cell in cells for label in cell})
    code = {label: number for number, label in enumerate(names)}
    return Targets(
        names,
        np.cumsum([0, *map(len, cells)]),
        np.array([code[label] for cell in cells for label in cell], np.int64),
        np.array([share for cell in cells for share in cell.values()], np.float64),
    )


def _taken(targets: Targets, rows: npt.NDArray[np.int64]) -> Targets:
    """The labels of some rows, which may be there several times."""
    counts = targets.counts[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    entries = np.arange(offsets[-1]) + np.repeat(targets.offsets[rows] - offsets[:-1], counts)
    return Targets(targets.names, offsets, targets.codes[entries], targets.shares[entries])


def read_targets(column: pa.ChunkedArray | pa.Array, labels: Labels, name: str) -> list[dict[str, float]]:
    """How much of each label every row has: 1 for each it has, or shares that sum to 1; nothing if it is not labelled.

    Args:
        column: Text, lists of text (a label a person), or maps or structs from label to share.
        labels: What they hold.
        name: The column's, for messages.

    Raises:
        InputError: The column or a cell is not of this kind.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    composed = pa.types.is_nested(kind)
    if labels == "one" and composed:
        raise InputError(
            f"column {name!r} holds {kind}, not one label: set labels to multilabel or soft (--set labels=multilabel)"
        )
    cells = column.to_pylist(maps_as_pydicts="strict") if pa.types.is_map(kind) else column.to_pylist()
    read = {"one": _one, "multilabel": _several, "soft": _soft}[labels]
    targets = []
    for cell in cells:
        try:
            targets.append(read(cell))
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"column {name!r}: {str(cell)[:60]!r} can't be read as labels: {error}") from error
    return targets


def _one(cell: Any) -> dict[str, float]:
    return {} if cell in (None, "") else {str(cell): 1.0}


def separate(cell: str) -> list[str]:
    """The labels of a cell: with semicolons between them, or a JSON list, which labels with semicolons need.

    >>> separate("oil; ink"), separate('["oil; varnished", "ink"]')
    (['oil', 'ink'], ['oil; varnished', 'ink'])
    """
    labels: list[Any] = cell.split(SEPARATOR)
    if cell.lstrip().startswith("["):
        with suppress(ValueError):  # a label that begins so
            labels = list(json.loads(cell))
    return list(dict.fromkeys(str(label).strip() for label in labels if label is not None and str(label).strip()))


def _several(cell: Any) -> dict[str, float]:
    values = separate(cell) if isinstance(cell, str) else cell or []
    if isinstance(values, dict):
        values = [label for label, share in values.items() if share]
    return {str(value).strip(): 1.0 for value in values if value is not None and str(value).strip()}


def _soft(cell: Any) -> dict[str, float]:
    if isinstance(cell, str):
        cell = json.loads(cell) if cell.lstrip().startswith(("{", "[")) else dict(_pairs(cell))
    if isinstance(cell, list):
        cell = Counter(str(label) for label in cell if label not in (None, ""))
    shares = {str(label): float(share) for label, share in (cell or {}).items() if share}
    if not all(0 <= share < math.inf for share in shares.values()):
        raise ValueError("a share must be a number from 0 on")
    total = sum(shares.values())
    return {label: share / total for label, share in shares.items()}


def _pairs(cell: str) -> list[tuple[str, float]]:
    """`sad: 2; calm: 1`; a label without a number counts 1."""
    pairs = []
    for pair in filter(None, (pair.strip() for pair in cell.split(SEPARATOR))):
        label, colon, number = pair.rpartition(":")
        pairs.append((label.strip(), float(number)) if colon else (pair, 1.0))
    return pairs
