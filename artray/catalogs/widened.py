"""A catalogue's file with columns more, and otherwise as it came: encoding, separator, line ends, header and all rows.

A text file's lines keep their characters; the new cells stand at the end of each record. A workbook (.xlsx) is read and
written by openpyxl, which keeps cells, formulas, formats and widths of all sheets, and loses charts and macros.
"""

from __future__ import annotations

import codecs
import csv
import re
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.catalog import Catalog
from artray.catalogs.delimited import find_delimiter
from artray.catalogs.encodings import codec, decode_text
from artray.catalogs.sideways import SIDEWAYS
from artray.catalogs.statements import folded
from artray.catalogs.workbook import SHEET, column_of_sheets
from artray.errors import InputError

TEXT = (".csv", ".tsv", ".tab", ".txt")
_HINT = re.compile(r'(?i)\ufeff?"?sep=(.)"?[ ;,\t]*\r?\n')
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins with UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

Cells = Mapping[int, Sequence[str]]
"""By the row of a catalogue's table, its new cells; rows that have none are not there."""


def key_column(catalog: Catalog, ids: pa.Array) -> str:
    """The column with the works' ids: the one that holds most of them.

    Raises:
        InputError: None holds any.
    """
    hits = {name: int(pc.sum(pc.is_in(catalog.table[name], ids)).as_py() or 0) for name in catalog.table.column_names}
    best: str | None = max(hits, key=lambda name: hits[name], default=None)
    if best is None or not hits[best]:
        raise InputError("no column of it holds the works' object_ids")
    return best


def widened(data: bytes, name: str, catalog: Catalog, columns: Sequence[str], cells: Cells) -> tuple[bytes, int]:
    """The file's bytes with columns more, and how many cells hold letters that its encoding lacks, which become `?`.

    Args:
        data: The file.
        name: Its name, by which its format is known.
        catalog: As read from it.
        columns: The new ones' names.
        cells: Their cells.

    Raises:
        InputError: It is neither a text file nor a workbook, or its lines are not where its records are.
    """
    if catalog.form.endswith(SIDEWAYS):
        raise InputError(f"{name}: lies on its side, each work in a column; turn it, rows for columns, and try again")
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".xlsx":
        return _workbook(data, catalog, columns, cells), 0
    if suffix not in TEXT:
        raise InputError(
            f"{name}: columns can be added to {', '.join(TEXT)} and .xlsx only; --export csv needs no file"
        )
    return _Text(data, name, catalog).widened(columns, cells)


class _Text:
    """A delimited file, line by line."""

    def __init__(self, data: bytes, name: str, catalog: Catalog):
        self._name, self._catalog = name, catalog
        self._codec = next((name for mark, name in _BOMS if data.startswith(mark)), None) or codec(
            re.sub(r" with(out)? .*", "", decode_text(data).encoding)
        )
        text = data.decode(self._codec, "surrogateescape")
        if text.encode(self._codec, "surrogateescape") != data:
            raise InputError(f"{name}: can't be written again as it came; save it as UTF-8")
        hint = _HINT.match(text)
        self._delimiter = hint[1] if hint else find_delimiter(text.lstrip("\ufeff").replace("\r\n", "\n"))
        end = "\n" if "\n" in text else "\r"
        self._lines = [f"{line}{end}" for line in text.split(end)]
        self._lines[-1] = self._lines[-1].removesuffix(end)
        self._lost = 0

    def widened(self, columns: Sequence[str], cells: Cells) -> tuple[bytes, int]:
        starts = (np.asarray(self._catalog.lines, np.int64) - 1).tolist()
        header = self._header(starts)
        limits = [*starts[1:], len(self._lines)] if starts else []
        records = {start: self._end(start, limit) for start, limit in zip(starts, limits, strict=True)}
        widths = {start: len(self._cells(start, end)) for start, end in records.items()}
        width = max([*widths.values(), 0 if header is None else len(self._cells(header, header))])
        rows = dict(enumerate(starts))
        added: dict[int, Sequence[str]] = {rows[row]: own_cells for row, own_cells in cells.items()}
        empty = [""] * len(columns)
        for start, end in records.items():
            self._append(end, width - widths[start], added.get(start, empty))
        if header is not None:
            self._append(header, width - len(self._cells(header, header)), columns)
        return "".join(self._lines).encode(self._codec, "surrogateescape"), self._lost

    def _header(self, starts: Sequence[int]) -> int | None:
        """The line above the first record; None where there is none."""
        first = starts[0] if starts else len(self._lines)
        return next((line for line in range(first - 1, -1, -1) if self._lines[line].strip("\ufeff\r\n")), None)

    def _end(self, start: int, limit: int) -> int:
        """The last line of a record."""
        quotes = 0
        for line in range(start, max(limit, start + 1)):
            quotes += self._lines[line].count('"')
            if quotes % 2 == 0:
                return line
        return start

    def _cells(self, start: int, end: int) -> list[str]:
        text = "".join(self._lines[start : end + 1]).lstrip("\ufeff")
        return next(csv.reader(StringIO(text.rstrip("\r\n"), newline=""), delimiter=self._delimiter), [])

    def _append(self, line: int, missing: int, cells: Sequence[str]) -> None:
        text = self._lines[line]
        body = text.rstrip("\r\n")
        added = self._delimiter * missing + "".join(self._delimiter + self._cell(cell) for cell in cells)
        self._lines[line] = f"{body}{added}{text[len(body) :]}"

    def _cell(self, text: str) -> str:
        written = text.encode(self._codec, "replace").decode(self._codec)
        self._lost += written != text
        quoted = any(sign in written for sign in (self._delimiter, '"', "\n", "\r"))
        return '"' + written.replace('"', '""') + '"' if quoted else written


def _workbook(data: bytes, catalog: Catalog, columns: Sequence[str], cells: Cells) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl's, about parts of a workbook that hold no cells
        workbook = openpyxl.load_workbook(BytesIO(data))
    lines = np.asarray(catalog.lines, np.int64).tolist()
    if (sheet := column_of_sheets(catalog.form, catalog.table.column_names)) is not None:
        named = {folded(title): title for title in workbook.sheetnames}
        rows_of: dict[str, dict[int, int]] = {}
        for row, title in enumerate(catalog.table[sheet].to_pylist()):
            rows_of.setdefault(named[title], {})[row] = lines[row]
    else:
        (title,) = (title for title in workbook.sheetnames if catalog.form == f"{SHEET}{title!r}")
        rows_of = {title: dict(enumerate(lines))}
    for title, rows in rows_of.items():
        _widen_sheet(workbook[title], rows, columns, cells)
    written = BytesIO()
    workbook.save(written)
    return written.getvalue()


def _widen_sheet(sheet: Any, lines: Mapping[int, int], columns: Sequence[str], cells: Cells) -> None:
    """Write the cells of some rows of a catalogue, each with its line in the sheet."""
    right = sheet.max_column
    first = next(iter(lines.values()), 2)
    header = next(
        (row for row in range(first - 1, 0, -1) if any(cell.value is not None for cell in sheet[row])),
        None,
    )
    rows = {line: cells[row] for row, line in lines.items() if row in cells}
    rows |= {} if header is None else {header: columns}
    for row, own_cells in rows.items():
        for column, text in enumerate(own_cells, right + 1):
            if text:
                cell = sheet.cell(row, column)
                cell.value = text
                cell.data_type = "s"  # whatever it begins with: no formula
