"""What the cells of a target column say: a label, several labels, or shares of labels."""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import suppress
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from artray.errors import InputError

Labels: TypeAlias = Literal["one", "multilabel", "soft"]
"""What a cell holds: a label; several, each true or not for itself; or shares of labels, which sum to 1."""

SEPARATOR = ";"


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
    parts: list[Any] = cell.split(SEPARATOR)
    if cell.lstrip().startswith("["):
        with suppress(ValueError):  # a label that begins so
            parts = list(json.loads(cell))
    return list(dict.fromkeys(str(part).strip() for part in parts if part is not None and str(part).strip()))


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
    for part in filter(None, (part.strip() for part in cell.split(SEPARATOR))):
        label, colon, number = part.rpartition(":")
        pairs.append((label.strip(), float(number)) if colon else (part, 1.0))
    return pairs
