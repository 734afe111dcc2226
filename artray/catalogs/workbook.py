"""A sheet of a workbook (.xlsx) as a person sees it, with the other sheets that have the same columns.

Numbers by their formats, links by their targets, merged cells in each of their rows.
"""

import html
import posixpath
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from io import BytesIO
from itertools import islice, zip_longest
from typing import Any

import numpy as np
import openpyxl
from openpyxl.utils import range_boundaries
from openpyxl.utils.escape import unescape

from artray.catalogs import stacked_tables
from artray.catalogs.cells import AddProblem, Lines, Number, Raw, reason, text_of
from artray.catalogs.formulas import hyperlink, target
from artray.catalogs.header import LOOKED_AT, Header, find_header, is_totals, title_rows
from artray.catalogs.number_formats import shown_date, shown_number
from artray.catalogs.roles import DATES, folded
from artray.catalogs.spoilt_numbers import is_of_a_number
from artray.catalogs.stacked_tables import header_below, said_of
from artray.errors import InputError

_EXCEL_ERRORS = frozenset({"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A"})
_MOST_CELLS = 100_000_000
_MOST_TOTALS = 5
SHEET, SHEETS = "workbook, sheet ", "workbook, sheets "


def column_of_sheets(form: str, names: Sequence[str]) -> str | None:
    """The column that says on which of several sheets a row stands; None where there was one, or no workbook.

    Args:
        form: Of the catalogue, how it was read.
        names: Its columns.
    """
    return names[-1] if form.startswith(SHEETS) else None


"""How a form begins. Of several sheets that were read as one the last column says in which a row stands."""
_NEAR_THE_TOP = 30  # rows in which another sheet's header is looked for

Row = tuple[object, ...]
Rows = dict[int, Row]
"""The filled rows by their numbers; texts, `Number`s and what is neither."""


class _Date(str):
    """A cell that is a date, as text."""

    __slots__ = ()


def read_workbook(
    data: bytes, problem: AddProblem, *, sheet: str | None = None, header_line: int | None = None, max_bytes: int
) -> Raw:
    """Read one sheet, and with it others of the same columns.

    Args:
        data: The file's bytes.
        problem: Takes what was left out or looks wrong, by row.
        sheet: Its title; by default the first that is not hidden and holds a table, and all that have its columns.
        header_line: The header's row where the user has said it; 0: there is none.
        max_bytes: The most its parts may hold when unpacked.

    Raises:
        InputError: It is no workbook, has no such sheet, or unpacks to more.
    """
    if not data.startswith(b"PK"):
        raise InputError(_what_it_is(data))
    if not openpyxl.DEFUSEDXML:
        raise InputError("to read .xlsx safely the package defusedxml is needed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's, about parts of a workbook that hold no cells
            return _read(data, problem, sheet, header_line, max_bytes=max_bytes)
    except InputError:
        raise
    except Exception as error:  # a damaged part shows as KeyError, ValueError, ParseError, EntitiesForbidden, …
        raise InputError(f"is not a workbook that can be read ({reason(error)})") from None


def _what_it_is(data: bytes) -> str:
    """What is said of a file that is called a workbook and is none."""
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        return "is an old workbook (.xls), or one with a password: save it as .xlsx, without one"
    if data.lstrip()[:1] == b"<":
        return "is HTML or XML, not a workbook: open it in a spreadsheet and save it as .xlsx"
    if data and b"\0" not in data[:1000]:
        return "is text, not a workbook: let its name end in .csv"
    return "is not a workbook that can be read"


def _read(data: bytes, problem: AddProblem, sheet: str | None, header_line: int | None, *, max_bytes: int) -> Raw:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > max_bytes:
            raise InputError(f"unpacks to {size:,} bytes, more than {max_bytes:,}: --max-catalog-mb raises the limit")
        workbook = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True)
        title, rows = _sheet(workbook, sheet)
        raw = _read_sheet(archive, data, title, rows, header_line=header_line, problem=problem)
        more = _more_sheets(workbook, title, raw.header) if sheet is None and header_line is None else {}
        if more:
            raws = {title: raw}
            for other, line in more.items():
                rows = dict(_filled_rows(_cells(workbook, other)))
                say = in_sheet(other, problem)
                raws[other] = _read_sheet(archive, data, other, rows, header_line=line, problem=say)
            raw = _joined(raws)
            named = ", ".join(map(repr, raws))
            problem(f"sheets with the same columns, read as one ({named}): {len(raw.lines):,} rows")
        others = [name for name in workbook.sheetnames if name not in (title, *more)]
        if others:
            problem(f"sheets not read ({', '.join(map(repr, others))})", [1] * len(others))
        return raw


def _read_sheet(
    archive: zipfile.ZipFile, data: bytes, title: str, rows: Rows, *, header_line: int | None, problem: AddProblem
) -> Raw:
    member = _sheet_members(archive).get(title, "")
    xml = archive.read(member) if member in archive.namelist() else b""
    links = _links(archive, member, xml)
    _fill_merged(rows, xml, problem)
    formulas = _formulas(data, title) if re.search(rb"<(\w+:)?f[ >/]", xml) else {}
    stored = [line for (line, column), _ in formulas.items() if _cell(rows, line, column) is not None]
    problem("formulas, their stored values taken", stored)
    problem("formulas without a stored value, left empty", [line for line, _ in formulas if line not in set(stored)])
    links |= {at: link[0] for at, formula in formulas.items() if (link := hyperlink(formula)) and link[0]}

    header, lines, records = _table(rows, header_line, problem)
    problem("rows that are hidden in the sheet, read too", _hidden(xml, lines))
    errors = [line for line, row in zip(lines, records, strict=True) if any(_is_error(value) for value in row)]
    problem("cells with a spreadsheet error, left empty", errors)
    columns: list[Sequence[object]] = list(zip_longest(*records)) if records else []
    if errors:
        columns = [tuple(None if _is_error(value) else value for value in column) for column in columns]
    columns += [[None] * len(lines)] * (len(header) - len(columns))
    header += [None] * (len(columns) - len(header))
    for name, column in zip(header, columns, strict=True):
        _report_dates(name, column, lines, problem)
    for index, (name, column) in list(enumerate(zip(header, columns, strict=True))):
        targets = [links.get((line, index)) for line in lines]
        shown = zip(targets, column, strict=True)
        if any(link and link != text for link, text in shown):
            header.append(f"{name or f'column_{index + 1}'} link")
            columns.append(targets)
            problem(
                f"column {name!r} holds links, their targets are column {header[-1]!r}: {sum(map(bool, targets)):,}"
            )
    return Raw(header, columns, np.asarray(lines, np.int64), f"{SHEET}{title!r}")


def in_sheet(title: str, problem: AddProblem) -> AddProblem:
    """Where a further sheet's reader reports."""

    def report(what: str, lines: Lines | list[int] | None = None) -> None:
        problem(f"sheet {title!r}: {what}", lines)

    return report


def _more_sheets(workbook: openpyxl.Workbook, title: str, header: Sequence[str | None]) -> dict[str, int]:
    """The other seen sheets in which a row near the top holds the same names as a header, two at least; that row."""
    wanted = _names(header)
    last_lines: dict[str, int] = {}
    if len(wanted) < 2:
        return last_lines
    for sheet in workbook.worksheets:
        if sheet.title != title and sheet.sheet_state == "visible":
            top = islice(_filled_rows(_cells(workbook, sheet.title)), _NEAR_THE_TOP)
            line = next((line for line, row in top if _names(row) == wanted), None)
            if line is not None:
                last_lines[sheet.title] = line
    return last_lines


def _names(header: Iterable[object]) -> set[str]:
    """A header's names; those of links' targets are not in the sheet."""
    names = [str(cell).strip() for cell in header if cell is not None]
    return {name for name in names if name and not (name.endswith(" link") and name[:-5] in names)}


def _joined(raws: Mapping[str, Raw]) -> Raw:
    """Sheets one below the other, by their columns' names, and a column that says in which sheet a row stands."""
    keys = {title: _numbered(raw.header) for title, raw in raws.items()}
    columns: dict[tuple[str | None, int], list[object]] = {
        key: [] for columns_there in keys.values() for key in columns_there
    }
    header = [name for name, _ in columns]
    sheets: list[object] = []
    for title, raw in raws.items():
        count = len(raw.lines)
        by_key = dict(zip(keys[title], raw.columns, strict=True))
        for key, values in columns.items():
            values += by_key.get(key, [None] * count)
        sheets += [title] * count
    sheet_column = next(name for name in ("sheet", "workbook_sheet", "sheet_of_the_workbook") if name not in header)
    lines = np.concatenate([raw.lines for raw in raws.values()])
    return Raw([*header, sheet_column], [*columns.values(), sheets], lines, f"{SHEETS}{', '.join(map(repr, raws))}")


def _numbered(header: Sequence[str | None]) -> list[tuple[str | None, int]]:
    """Each column's name, and how many have had it, or none, before."""
    before: Counter[str | None] = Counter()
    keys = []
    for name in header:
        keys.append((name, before[name]))
        before[name] += 1
    return keys


def _is_error(value: object) -> bool:
    return isinstance(value, str) and value in _EXCEL_ERRORS


def _cell(rows: Rows, line: int, column: int) -> object:
    row = rows.get(line, ())
    return row[column] if column < len(row) else None


def _sheet(workbook: openpyxl.Workbook, wanted: str | None) -> tuple[str, Rows]:
    """The sheet that is asked for, or else the first that is seen and holds a table."""
    sheets: list[Any] = workbook.worksheets
    titles = [sheet.title for sheet in sheets]
    hidden = {sheet.title for sheet in sheets if sheet.sheet_state != "visible"}
    if wanted is not None:
        if wanted not in titles:
            raise InputError(f"has no sheet {wanted!r}, but {', '.join(map(repr, titles))}")
        candidates = [wanted]
    else:
        candidates = sorted(titles, key=lambda title: title in hidden)
    first: tuple[str, Rows] | None = None
    narrow: tuple[str, Rows] | None = None
    for title in candidates:
        if narrow and wanted is None and title in hidden:
            break
        rows = dict(_filled_rows(_cells(workbook, title)))
        if rows and first is None:
            first = title, rows
        # Two columns may be a cover sheet, "Exported by | …": only where no other sheet holds a wider table.
        wide = sum(_filled(row) > 2 for row in rows.values()) > 1
        if wanted or wide or (narrow is None and sum(_filled(row) > 1 for row in rows.values()) > 1):
            narrow = (title, rows) if rows else None
            if wanted or wide:
                break
    first = narrow or first
    if first is None:
        raise InputError("has no sheet with a cell in it" if wanted is None else f"sheet {wanted!r} is empty")
    return first


def _filled(row: Row) -> int:
    return sum(value is not None for value in row)


def _cells(workbook: openpyxl.Workbook, title: str) -> Iterable[tuple[Any, ...]]:
    worksheet: Any = workbook[title]
    worksheet.reset_dimensions()  # what the file says of its size may be wrong
    rows: Iterable[tuple[Any, ...]] = worksheet.iter_rows()
    return rows


def _filled_rows(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, Row]]:
    count = 0
    for line, row in enumerate(rows, 1):
        values = [_shown(cell) for cell in row]
        while values and values[-1] is None:
            values.pop()
        if values:
            count += len(values)
            if count > _MOST_CELLS:
                raise InputError(f"has more than {_MOST_CELLS:,} cells: save the sheet as CSV")
            yield line, tuple(values)


def _shown(cell: Any) -> object:
    """What is seen in a cell."""
    value = cell.value
    if value is None:
        return None
    if isinstance(value, str):
        return unescape(value) if "_x" in value else value
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return Number(shown_number(value, cell.number_format))
    if isinstance(value, (date, datetime, time, timedelta)):
        return _Date(shown_date(value, cell.number_format))
    return str(value)


def _table(rows: Rows, header_line: int | None, problem: AddProblem) -> tuple[list[str | None], list[int], list[Row]]:
    """The header's cells, and the records with their rows in the sheet."""
    lines, records = list(rows), list(rows.values())
    _leave_second(lines, records, header_line, problem)
    head = [[text_of(value) or "" for value in row] for row in records[:LOOKED_AT]]
    header: Header = find_header(head, lines[:LOOKED_AT], header_line, is_sheet=True)
    for what in header.said:
        problem(what)
    names: list[str | None] = [name or None for name in (header.names or head[header.skip])]
    if header.is_row:
        lines, records = lines[header.skip + 1 :], records[header.skip + 1 :]
    below: list[int] = []
    while records and len(below) < _MOST_TOTALS and is_totals([text_of(v) or "" for v in records[-1]], len(names)):
        below.append(lines.pop())
        records.pop()
    problem("rows below the records, left out", below[::-1])
    again = [index for index, row in enumerate(records) if header.is_row and row and list(map(text_of, row)) == names]
    problem("rows that repeat the header, left out", [lines[index] for index in again])
    for index in reversed(again):
        del lines[index], records[index]
    return names, lines, records


def _leave_second(lines: list[int], records: list[Row], header_line: int | None, problem: AddProblem) -> None:
    """Take another table below the first, and all below it, out of the rows."""

    def texts(begin: int) -> list[list[str]]:
        return [[text_of(value) or "" for value in row] for row in records[begin : begin + stacked_tables.LOOKED_AT]]

    above = lines.index(header_line) if header_line in lines else title_rows(texts(0))
    first: list[list[str]] = []
    gaps = (
        index
        for index in range(above + 2, len(lines))
        if lines[index] != lines[index - 1] + 1 or sum(value is not None for value in records[index]) == 1
    )
    for index in islice(gaps, stacked_tables.MOST_GAPS):
        first = first or texts(above)
        below = texts(index)
        at = header_below(first[: index - above], below)
        if at is not None:
            told = said_of(below[at], lines[index + at], len(lines) - index, index - above - 1)
            problem(told, lines[index:])
            del lines[index:], records[index:]
            return


def _report_dates(name: str | None, column: Sequence[object], lines: Sequence[int], problem: AddProblem) -> None:
    """Say where a spreadsheet has made dates of what may have been numbers: `1912.5.3`."""
    dates = [line for line, value in zip(lines, column, strict=True) if isinstance(value, _Date)]
    filled = sum(value is not None for value in column)
    is_date = name is not None and folded(name) in DATES
    if dates and not is_date and (len(dates) < filled or (name and is_of_a_number(name))):
        problem(f"column {name!r} holds dates, which may have been numbers; now as {_first_date(column)}", dates)


def _first_date(column: Sequence[object]) -> str:
    return next(value for value in column if isinstance(value, _Date))


def _formulas(data: bytes, title: str) -> dict[tuple[int, int], str]:
    """Formulas by row and column (the latter from 0)."""
    workbook = openpyxl.load_workbook(BytesIO(data), read_only=True)
    return {
        (line, column): str(cell.value)
        for line, row in enumerate(_cells(workbook, title), 1)
        for column, cell in enumerate(row)
        if cell.data_type == "f"
    }


# -- what openpyxl leaves out where it reads row by row ----------------------------------------------------------------

_ATTRIBUTE = re.compile(rb"""([\w:]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


def _elements(xml: bytes, name: bytes) -> Iterator[dict[str, str]]:
    """The attributes of elements; by letters, since an element of a sheet's end needs no tree of its million cells."""
    for match in re.finditer(rb"<(?:\w+:)?" + name + rb"\s([^>]*)>", xml):
        yield {
            key.decode().rpartition(":")[2]: html.unescape((double or single).decode("utf-8", "replace"))
            for key, double, single in _ATTRIBUTE.findall(match[1])
        }


def _sheet_members(archive: zipfile.ZipFile) -> dict[str, str]:
    """The part of the archive in which each sheet lies."""
    names = set(archive.namelist())
    if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= names:
        return {}
    targets = _targets(archive.read("xl/_rels/workbook.xml.rels"))
    sheets = _elements(archive.read("xl/workbook.xml"), b"sheet")
    return {
        sheet["name"]: posixpath.normpath(posixpath.join("/xl", targets.get(sheet.get("id", ""), ""))).lstrip("/")
        for sheet in sheets
        if "name" in sheet
    }


def _targets(xml: bytes) -> dict[str, str]:
    return {item["Id"]: item["Target"] for item in _elements(xml, b"Relationship") if {"Id", "Target"} <= item.keys()}


def _links(archive: zipfile.ZipFile, member: str, xml: bytes) -> dict[tuple[int, int], str]:
    """Targets outside the workbook by row and column (the latter from 0)."""
    folder, name = posixpath.split(member)
    relations = f"{folder}/_rels/{name}.rels"
    tail = xml[xml.rfind(b"sheetData>") :]
    if b"hyperlink" not in tail or relations not in archive.namelist():
        return {}
    targets = _targets(archive.read(relations))
    links = {}
    for item in _elements(tail, b"hyperlink"):
        leads_to = target(targets.get(item.get("id", ""), ""))
        if leads_to and "ref" in item:
            left, top, right, bottom = _area(item["ref"])
            for line in range(top, min(bottom, top + 1000) + 1):
                for column in range(left, min(right, left + 100) + 1):
                    links[line, column - 1] = leads_to
    return links


def _hidden(xml: bytes, lines: Sequence[int]) -> list[int]:
    """Which of some rows are hidden, by a filter or a person."""
    if b' hidden="1"' not in xml:
        return []
    hidden = {item.get("r") for item in _elements(xml, b"row") if item.get("hidden") == "1"}
    return [line for line in lines if str(line) in hidden]


def _area(reference: str) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of `B2:D4`, from 1."""
    left, top, right, bottom = range_boundaries(reference)
    return left or 1, top or 1, right or 1, bottom or 1


def _fill_merged(rows: Rows, xml: bytes, problem: AddProblem) -> None:
    """Write the value of cells merged over several rows into each of them, as one reads it."""
    tail = xml[xml.rfind(b"sheetData>") :]
    if b"mergeCell" not in tail:
        return
    filled: list[int] = []
    for item in _elements(tail, b"mergeCell"):
        left, top, _, bottom = _area(item.get("ref", ""))
        value = _cell(rows, top, left - 1)
        if bottom == top or value is None:
            continue
        for line in range(top + 1, min(bottom, max(rows)) + 1):
            row = rows.get(line)
            if row is not None and _cell(rows, line, left - 1) is None:
                cells = [*row, *[None] * (left - len(row))]
                cells[left - 1] = value
                rows[line] = tuple(cells)
                filled.append(line)
    problem("merged cells, their value taken for each of their rows", sorted(filled))
