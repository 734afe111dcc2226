"""Several tables in one sheet or file, one below the other: where the second begins.

It begins below a blank row, or below a title, with names of its own. Blank rows and titles within one table (Paintings,
Prints) begin none: the rows below them go on as those above.
"""

from collections.abc import Sequence

from artray.catalogs.header import KINDS, MOST_SHARE, Row, against_a_record, cells_in, row_width, share_of, title_rows
from artray.catalogs.header import LOOKED_AT as FIRST_ROWS
from artray.errors import InputError

LOOKED_AT = 50  # rows of each table
MOST_GAPS = 1000  # blank rows and titles below which another table is looked for


def header_below(first: Sequence[Row], rows: Sequence[Row]) -> int | None:
    """The place of another table's header among the rows below a blank one; None where they go on as those above.

    Args:
        first: The first table's header and some records.
        rows: The rows below; some of them are enough.
    """
    skip = title_rows(rows)
    if len(rows) < skip + 2:
        return None
    names = [cell.strip() for cell in rows[skip]]
    size = row_width(names)
    names, body = names[:size], rows[skip + 1 :]
    if size < 2 or not all(names) or len(set(names)) < size or len(first) < 2:
        return None
    if names == [cell.strip() for cell in first[0]][: row_width(first[0])]:
        return None
    if any(name in cells_in(first[1:], column) for column, name in enumerate(names)):
        return None
    told = against_a_record(names, body)
    if told is None:
        return None
    # One column may hold a word among numbers in any table; else the rows differ from those above as well.
    others = _other_kinds(first[1:], body)
    other_size = size != row_width(first[0])
    if told > 1 or (told and (others or other_size)):
        return skip
    same_size = all(row_width(row) == size for row in body)
    return skip if len(body) > 1 and (others > 1 or (other_size and same_size)) else None


def said_of(header: Row, line: int, rows: int, records: int) -> str:
    """What the user is told of a second table that is left out.

    Args:
        header: Its header.
        line: The header's line or row.
        rows: How many rows it and all below it have.
        records: How many the first table has.

    Raises:
        InputError: The second is the larger: the first may be no more than a note.
    """
    shown = repr(" ".join(" ".join(header).split())[:60])
    way = f"--header-line {line} reads it" if line <= FIRST_ROWS else "give it a file of its own to read it"
    if rows - 1 > 2 * records:
        raise InputError(f"holds two tables, and the second, from line {line} ({shown}), is the larger: {way}")
    return f"another table below, left out ({shown}); {way}"


def _other_kinds(above: Sequence[Row], below: Sequence[Row]) -> int:
    """How many columns hold numbers, dates, addresses or pictures' names above, and nothing of the kind below."""
    number = 0
    for column in range(max(map(row_width, above), default=0)):
        cells, others = cells_in(above, column), cells_in(below, column)
        kind = next((kind for kind in KINDS.values() if cells and share_of(kind, cells) >= MOST_SHARE), None)
        number += bool(kind and others and not any(map(kind.fullmatch, others)))
    return number
