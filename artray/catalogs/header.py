"""Where a table's records begin and end: titles above, a header of two rows, none, one a cell short, totals below.

Looked for in the first rows alone, as they stand in a text file or a sheet. Where it can't be told without doubt, the
file is refused with a line: a record must never be taken for a header, nor a header for a record, unsaid.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from artray.catalogs import roles
from artray.errors import InputError

LOOKED_AT = 200  # rows
_MOST_TITLE_LINES = 30
MOST_SHARE = 0.9
_ASK = "say with --header-line which line is the header (0: there is none)"

Row = Sequence[str]


@dataclass(frozen=True, slots=True)
class Header:
    """What was found.

    Attributes:
        skip: Rows above the header: a title, a date, blank lines.
        names: Its cells, None where it is the row after `skip` as it stands: columns may have been named for it, or
            named by two rows.
        is_row: Whether a row of the file is the header; else the row after `skip` is a record.
        said: What the user should know, a line each.
    """

    skip: int = 0
    names: tuple[str, ...] | None = None
    is_row: bool = True
    said: tuple[str, ...] = ()


def find_header(
    rows: Sequence[Row], lines: Sequence[int], said: int | None = None, *, is_sheet: bool = False
) -> Header:
    """Find the header among a table's first rows.

    Args:
        rows: The first ones, blank ones left out.
        lines: Their lines in the file, or rows in the sheet.
        said: The header's line where the user says it; 0: there is none.
        is_sheet: Whether cells stand in columns by themselves, and more of them than the header has mean nothing.

    Raises:
        InputError: It can't be told which row it is, or the line that the user says is none.
    """
    if said is not None:
        return _said(rows, lines, said)
    if not rows:
        return Header()
    skip = title_rows(rows)
    skip += _is_sentence(rows[skip : skip + 3])
    above = _above(rows, skip)
    for top in range(max(0, skip - 2), skip + 1):
        if three := _three_rows(rows[top : top + 3], rows[top + 3 :], lines[top : top + 3]):
            told = f"lines {lines[top]} to {lines[top + 2]} are the header, put together: {_shown(three)}"
            return Header(top + 2, three, said=(*_above(rows, top), told))
    head, body = rows[skip], rows[skip + 1 :]
    names = [cell.strip() for cell in head]
    if not body:
        return Header(skip, said=above)
    if not skip or not _is_group_row(rows[skip - 1]) or lines[skip - 1] + 1 != lines[skip]:
        groups = _groups_over(names, body, lines[skip])
        if groups:
            put = f"lines {lines[skip]} and {lines[skip + 1]} are the header, put together: {_shown(groups)}"
            return Header(skip + 1, groups, said=(*above, put))
    short = None if is_sheet else _one_short(names, body, lines[skip])
    if short is not None:
        return Header(
            skip,
            short,
            said=(*above, f"the header has a cell less than the rows: the first column is now {short[0]!r}"),
        )
    is_header, data = _looks_like(names, body)
    if is_header and skip and _is_group_row(rows[skip - 1]) and lines[skip - 1] + 1 == lines[skip]:
        both = _put_together(rows[skip - 1], names)
        if both != tuple(names):
            put = f"lines {lines[skip - 1]} and {lines[skip]} are the header, put together: {_shown(both)}"
            return Header(skip, both, said=(*_above(rows, skip - 1), put))
    if skip and not is_header:
        again = next((name for column, name in enumerate(names) if name and name in cells_in(body, column)), None)
        if data or again:
            raise InputError(f"line {lines[skip]} looks like a record ({data or again}), not like a header: {_ASK}")
        if _filled(rows[skip - 1]) > 1:
            raise InputError(f"line {lines[skip - 1]} or line {lines[skip]} may be the header: {_ASK}")
    if is_header or data is None:
        return Header(skip, said=(*above, *_second_line(body, lines[skip + 1])))
    width = max(row_width(row) for row in rows)
    said_so = f"no header: line {lines[0]} looks like a record ({data}); the columns are column_1 to column_{width}"
    return Header(0, _numbered(width), False, (f"{said_so} (--header-line {lines[0]} makes it the header)",))


def _is_sentence(rows: Sequence[Row]) -> bool:
    """Whether the first of some rows is a title with delimiters in it: the second has columns' usual names, it none."""
    if len(rows) < 3:
        return False
    first, second = ([cell.strip() for cell in row if cell.strip()] for row in rows[:2])
    known = [sum(roles.folded(cell) in roles.NAMES for cell in row) for row in (first, second)]
    return not known[0] and known[1] > 1 and len(set(first)) == len(first) and "" not in map(str.strip, rows[0])


def _above(rows: Sequence[Row], count: int) -> tuple[str, ...]:
    """What is said of rows above the header."""
    if not count:
        return ()
    return (f"{'line' if count == 1 else 'lines'} above the header, left out: {count} ({_shown(rows[0])})",)


def _said(rows: Sequence[Row], lines: Sequence[int], said: int) -> Header:
    if said == 0:
        width = max((row_width(row) for row in rows), default=0)
        return Header(0, _numbered(width), False)
    if said not in lines:
        raise InputError(f"--header-line {said}: that line is blank, or not among the first {LOOKED_AT}")
    return Header(list(lines).index(said))


def _numbered(width: int) -> tuple[str, ...]:
    return tuple(f"column_{number}" for number in range(1, width + 1))


def row_width(row: Row) -> int:
    """Cells up to the last that is filled."""
    return max((width for width, cell in enumerate(row, 1) if cell.strip()), default=0)


def _filled(row: Row) -> int:
    return sum(bool(cell.strip()) for cell in row)


def title_rows(rows: Sequence[Row]) -> int:
    """How many rows stand above the header: they fill few cells where all others fill many."""
    if not rows:
        return 0
    usual = sorted(_filled(row) for row in rows)[len(rows) // 2]
    width = sorted(row_width(row) for row in rows)[len(rows) // 2]
    if usual < 3 and not (usual == 2 and len(rows) > 4):
        return 0
    for index, row in enumerate(rows[: _MOST_TITLE_LINES + 1]):
        names = [cell.strip() for cell in row if cell.strip()]
        if len(names) > max(1, width // 2) and len(names) >= min(usual, width) // 2 + 1:
            return index
    return 0


def _shown(row: Row) -> str:
    text = " ".join(" ".join(row).split())
    return repr(text if len(text) <= 60 else text[:59] + "…")


# -- two rows of names ------------------------------------------------------------------------------------------------


def _is_group_row(row: Row) -> bool:
    return _filled(row) > 1


def _put_together(*rows: Row) -> tuple[str, ...]:
    """Columns' names of two or three rows: the lowest one's, those above where there is none or a name stands twice.

    A group's name stands over the first of its columns, or over each. It ends where a group above it does.
    """
    size = max(map(row_width, rows))
    filled = [[*(" ".join(cell.split()) for cell in row), *[""] * size][:size] for row in rows]
    groups: list[list[str]] = []
    for row in filled[:-1]:
        told: list[str] = []
        for column, name in enumerate(row):
            begins = column > 0 and any(above[column] != above[column - 1] for above in groups)
            told.append(name or ("" if begins or not column else told[-1]))
        groups.append(told)
    names = [next((row[column] for row in filled[::-1] if row[column]), "") for column in range(size)]
    for above in groups[::-1]:
        twice = {name for name, count in Counter(names).items() if name and count > 1}
        names = [
            f"{group} {name}".strip() if name in twice and group != name else name
            for group, name in zip(above, names, strict=True)
        ]
    return tuple(names)


def _three_rows(rows: Sequence[Row], below: Sequence[Row], lines: Sequence[int]) -> tuple[str, ...] | None:
    """The columns' names where rows name groups, groups within these, and columns; None where they don't."""
    if len(rows) < 3 or len(below) < 3 or lines[2] - lines[0] > 2:
        return None
    cells = [[cell.strip() for cell in row] for row in rows]
    size = max(map(row_width, rows))
    top, middle, low = ([*row, *[""] * size][:size] for row in cells)
    told = [against_a_record(row, below) for row in (top, middle, low)]
    names = [cell or under for cell, under in zip(middle, low, strict=True)]
    if None in told or not told[2] or not (_names_groups(top, names) and _names_groups(middle, low)):
        return None
    return _put_together(top, middle, low)


def _names_groups(row: Sequence[str], below: Sequence[str]) -> bool:
    """Whether a row's cells stand over several columns: one is empty over a name, or says what the one before does."""
    again = any(name and name == before for before, name in pairwise(row))
    return _is_group_row(row) and (again or any(name and not above for above, name in zip(row, below, strict=True)))


def _groups_over(head: Sequence[str], body: Sequence[Row], line: int) -> tuple[str, ...] | None:
    """The names of columns where a row that was taken for the header names groups, and the row below it the columns.

    Raises:
        InputError: It may be so, and can't be told.
    """
    names = [cell.strip() for cell in body[0]]
    filled = {column for column, name in enumerate(names) if name}
    cells = [*head, *[""] * len(names)]
    again = [column for column in filled if column and cells[column] and cells[column] == cells[column - 1]]
    grouped = again or any(not cells[column] for column in filled)
    if len(body) < 4 or len(filled) < 2 or not _is_group_row(head) or not grouped or names == cells[: len(names)]:
        return None
    told = against_a_record(names, body[1:])
    if told is None:
        return None
    if not told:
        # No column of the records is of a kind that a name is not: only how the names stand speaks.
        if 2 * len(set(filter(None, head))) <= len(filled) and len(filled) > 3 and again:
            alike = f"line {line} names several columns alike ({cells[again[0]]})"
            raise InputError(f"{alike}, and line {line + 1} may hold their names: {_ASK}")
        return None
    return _put_together(head, names)


def against_a_record(row: Sequence[str], below: Sequence[Row]) -> int | None:
    """How many columns say that a row is no record, as those below are; None where anything says that it is one."""
    filled = {column: cell for column, cell in enumerate(row) if cell}
    if any(kind.fullmatch(cell) for cell in filled.values() for kind in KINDS.values()):
        return None
    columns = {index: cells_in(below, index) for index in filled}
    if any(filled[index] in column for index, column in columns.items()):
        return None
    full = [(filled[index], column) for index, column in columns.items() if 2 * len(column) > len(below)]
    votes = [_looks_like([cell], [[other] for other in column]) for cell, column in full]
    return None if any(record for _, record in votes) else sum(is_header for is_header, _ in votes)


def _second_line(body: Sequence[Row], line: int) -> tuple[str, ...]:
    """A word on first records that seem to be none: labels of the columns, or their units."""
    for count in (2, 1):
        first = [[cell.strip() for cell in row] for row in body[:count]]
        below = body[count:]
        if len(below) < 3 or re.search("[0-9]", "".join(map("".join, first))):
            continue
        if all((against_a_record(row, below) or 0) >= 2 for row in first):
            those = "lines {} and {} look" if count > 1 else "line {} looks"
            is_read = "not like records, but are read as such" if count > 1 else "not like a record, but is read as one"
            return (f"{those.format(line, line + 1)} like names or units of the columns, {is_read}",)
    return ()


# -- a cell less than the rows -----------------------------------------------------------------------------------------

_NUMBER = re.compile(r"[0-9]+")


def _one_short(names: Sequence[str], body: Sequence[Row], line: int) -> tuple[str, ...] | None:
    """The header's cells with one for the rows' numbers, as R writes a table; None where it is not short.

    Raises:
        InputError: Most rows have more cells than the header, and it is not that.
    """
    width = row_width(names)
    widths = Counter(row_width(row) for row in body)
    longer = sum(count for size, count in widths.items() if size > width)
    if longer <= len(body) / 2 or not width:
        return None
    longest = max(widths)
    wrong = InputError(
        f"most rows have more cells ({longest}) than the header in line {line} ({width}): name the column that is "
        "missing there, or put cells that hold the separator into quotes"
    )
    # An unquoted decimal comma makes a cell more as well, and would move each value under its neighbour's name.
    numbers = [[bool(_NUMBER.fullmatch(cell.strip())) for cell in row] for row in body]
    pairs = [{column for column in range(1, len(row) - 1) if row[column] and row[column + 1]} for row in numbers]
    if len(body) < 2 or longest != width + 1 or widths[longest] < MOST_SHARE * len(body) or set.intersection(*pairs):
        raise wrong
    first = [row[0].strip() for row in body]
    start = int(first[0]) if _NUMBER.fullmatch(first[0]) and len(first[0]) < 10 else -1
    if start not in (0, 1) or first != [str(start + index) for index in range(len(first))]:
        raise wrong
    name = "row"
    while name in names:
        name += "_"
    return (name, *names[:width])


# -- no header ---------------------------------------------------------------------------------------------------------

KINDS: dict[str, re.Pattern[str]] = {
    "the name of a picture": re.compile(r"(?i).+\.(jpe?g|jpe|jfif|png|tiff?|webp|gif|bmp|jp2|j2k|avif)"),
    "an address": re.compile(r"(?i)[a-z][a-z0-9+.-]*://.+"),
    "a number": re.compile(r"[-+]?[0-9][0-9.,]*"),
    "a date": re.compile(r"[0-9]{1,4}([-./])[0-9]{1,2}\1[0-9]{1,4}([T ].*)?"),
}


def cells_in(body: Sequence[Row], column: int) -> list[str]:
    """The filled cells of a column."""
    return [cell for row in body if column < len(row) and (cell := row[column].strip())]


def _looks_like(names: Sequence[str], body: Sequence[Row]) -> tuple[bool, str | None]:
    """Whether a row must be a header, and else the cell that gives it away as a record, if one does.

    In a column of numbers, dates, addresses, names of pictures or numbers with letters (`h00`, `h01`) a header's cell
    is none, and a record's is one. One cell that speaks for a header decides.
    """
    given_away: str | None = None
    for column, name in enumerate(names):
        cells = cells_in(body, column)
        if not cells:
            continue
        kind = next(
            (kind for kind in (*KINDS.values(), _shape(name)) if kind and share_of(kind, cells) >= MOST_SHARE), None
        )
        if kind is None:
            shapes = Counter(re.sub("[0-9]+", "9", cell) for cell in cells)
            (shape, count), *_ = shapes.most_common(1)
            if "9" in shape and count >= MOST_SHARE * len(cells) and name and len(cells) > 1:
                return True, None  # numbers with letters, and the name is none of them
            continue
        if not name:
            continue
        if not kind.fullmatch(name):
            return True, None
        given_away = given_away or name
    return False, given_away


def share_of(kind: re.Pattern[str], cells: Sequence[str]) -> float:
    """Which share of some cells is of a kind, 0..1."""
    return sum(bool(kind.fullmatch(cell)) for cell in cells) / len(cells)


def _shape(name: str) -> re.Pattern[str] | None:
    """What looks like a cell: the same letters and marks, other digits; None for a cell without digits."""
    if not re.search("[0-9]", name) or len(name) > 100:
        return None
    return re.compile("[0-9]+".join(map(re.escape, re.split("[0-9]+", name))))


# -- totals ------------------------------------------------------------------------------------------------------------

_TOTALS = re.compile(
    r"(?i)\s*(grand |sub-?|number of |report |)(total|totals|sum|summe|gesamt|gesamtzahl|gesamtsumme|insgesamt|anzahl|"
    r"endsumme|totale|totaux|somme|nombre|suma|número total|totaal|aantal|som|summa|totalt|antal|count|records|rows|"
    r"datensätze|end of (report|file|list)|page [0-9]+( (of|/) [0-9]+)?|"
    r"(exported|generated|retrieved|downloaded) .*[0-9].*|(printed|exported) (on|by)\b.*|"
    r"printed(:| .*[0-9]+[-./][0-9]+[-./]) ?.*[0-9].*|"
    r"[0-9]+ (records|rows|objects|items|works|datensätze|objekte|werke|enregistrements|objets|registros))\b"
    r"\s*([:=(].*|[0-9.,]*\s*|(records|rows|objects|items|works|of records|of rows|of objects|of works).*)"
    r"|\s*\(?[0-9]+ (rows?|records?)( affected| in set.*)?\)?\s*"  # of databases' own tools
    r"|\s*(source|licen[cs]e|notes?|credits?|copyright|quelle|lizenz|hinweis|anmerkung|legende|source|fuente|fonte|bron"
    r"|källa|kilde)\s*:.*|\s*©.*|\s*[*†]\s*[^\W\d].*"
)

_SUM = re.compile(
    r"(?i)(grand |sub-?)?(totals?|sum|summe|gesamt|gesamtsumme|insgesamt|endsumme|totale|totaux|somme|suma|totaal|som|"
    r"summa|totalt)\s*:?"
)
_YEAR = re.compile("(1[0-9]|20)[0-9]{2}")


def is_totals(row: Row, columns: int) -> bool:
    """Whether a table's last row counts its records ("Total: 12") and is none itself."""
    first, *others = [cell.strip() for cell in row if cell.strip()] or [""]
    sums = all(map(KINDS["a number"].fullmatch, others)) and not all(map(_YEAR.fullmatch, others))
    few = len(others) < max(1, columns // 2) or (sums and bool(_SUM.fullmatch(first)))
    return few and columns > 1 and bool(_TOTALS.fullmatch(first))
