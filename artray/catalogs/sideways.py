"""Tables that lie on their side: the first column holds the columns' names, and each other column is a record."""

import re
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
import pyarrow as pa

from artray.catalogs import roles
from artray.catalogs.cells import AddProblem, Raw
from artray.catalogs.header import KINDS, LOOKED_AT, MOST_SHARE, share_of

_KNOWN = frozenset((*roles.IDS, *roles.FILES, *roles.ADDRESSES, *roles.TITLES, *roles.ARTISTS, *roles.DATES))
_KNOWN |= {name for names in roles.LABELS.values() for name in names}
SIDEWAYS = ", columns as rows"
"""How the form of a table ends that was set upright."""
_NUMBERED = re.compile(r"column_[0-9]+")


def upright(raw: Raw, problem: AddProblem) -> Raw:
    """A table set upright, and said; one that stands, as it is.

    It lies where the names of its first column are a catalogue's, those of its first row are not, and each of some
    rows, but of no column, holds cells of one kind: numbers, dates, addresses, names of pictures. Without a row of
    such a kind it must be two cells wide, and its first cell a catalogue's name as well: one work, a field a line.

    Args:
        raw: The table as it was read, its first row taken for the header.
        problem: Takes that it was set upright.
    """
    if not len(raw.header) >= 2 or not 1 <= len(raw.lines) < LOOKED_AT:
        return raw
    rows = [list(row) for row in zip_longest(*(_cells(column) for column in raw.columns))]
    if not all(_NUMBERED.fullmatch(name or "") for name in raw.header):
        rows.insert(0, list(raw.header))
    if not _lies(rows):
        return raw
    names = [_text(row[0]) or None for row in rows]
    columns = [list(row[1:]) for row in rows]
    filled = max((row for column in columns for row, cell in enumerate(column, 1) if _text(cell)), default=0)
    problem(f"lies on its side: its first column holds the columns' names, each other column is a row ({filled:,})")
    return Raw(
        names,
        [column[:filled] for column in columns],
        np.arange(2, filled + 2, dtype=np.int64),
        f"{raw.form}{SIDEWAYS}",
    )


def _lies(rows: Sequence[Sequence[object]]) -> bool:
    names = [_text(row[0]) for row in rows]
    known = sum(roles.folded(name) in _KNOWN for name in names)
    first = roles.folded(names[0]) in _KNOWN
    head = sum(roles.folded(_text(cell)) in _KNOWN for cell in rows[0][1:])
    if known < 2 or head or len(set(filter(None, names))) < sum(map(bool, names)) or 2 * known < len(rows) - 1:
        return False
    below = rows[1:]
    if any(_kind([_text(row[column]) for row in below]) for column in range(1, len(rows[0]))) and len(below) > 2:
        return False
    if len(rows[0]) == 2:
        return first and known > 2
    return any(_kind([_text(cell) for cell in row[1:]]) for row in rows)


def _kind(cells: Sequence[str]) -> bool:
    """Whether cells are all of one kind."""
    filled = [cell for cell in cells if cell]
    return len(filled) > 1 and any(share_of(kind, filled) >= MOST_SHARE for kind in KINDS.values())


def _cells(column: pa.ChunkedArray | Sequence[object]) -> Sequence[object]:
    return column.to_pylist() if isinstance(column, pa.ChunkedArray) else column


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()
