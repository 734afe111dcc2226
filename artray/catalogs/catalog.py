"""A museum's catalogue export, read as a table of strings.

Every value stays the text that the museum wrote: `007`, `1929` and `c. 1929` can stand in one column without any of
them being changed by a guessed type. What was repaired, left out or looks wrong is a `Problem`, with its lines.
"""

import gzip
import os
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.cells import AddProblem, Lines, Raw, text_column
from artray.catalogs.continued_rows import fill_down
from artray.catalogs.delimited import read_delimited
from artray.catalogs.encodings import codec, decode_text
from artray.catalogs.formulas import seen, with_addresses
from artray.catalogs.garbled import mended, mended_text
from artray.catalogs.json_records import read_json
from artray.catalogs.lists import read_list_texts
from artray.catalogs.matlab import read_mat
from artray.catalogs.parquet import read_parquet
from artray.catalogs.sideways import upright
from artray.catalogs.spoilt_numbers import report_spoilt
from artray.catalogs.unicode import as_utf8, nfc
from artray.catalogs.workbook import column_of_sheets, read_workbook
from artray.errors import InputError
from artray.storage import Location

MAX_BYTES = 4 << 30
_PACKED_BYTES = 256 << 20  # a compressed file may always unpack to so many …
_PACKED_RATIO = 100  # … and to so many times its size
SAVE_ANEW = "where letters are wrong, save it as UTF-8"  # of files that no flag is about
_LONG_CELL = 1 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """Something the user should know about the catalogue.

    Attributes:
        what: What it is, in words; names the column where it concerns one.
        count: How many rows it concerns; 0: it is about the whole file.
        lines: The first ten of them: lines of a text file, rows of a sheet, places in a list (1-based).
    """

    what: str
    count: int
    lines: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(map(str, self.lines)) + (", …" if self.count > len(self.lines) else "")
        return self.what + (f": {self.count:,}" if self.count else "") + (f" (line {where})" if self.lines else "")


@dataclass(frozen=True, slots=True)
class Catalog:
    """A catalogue as it was read.

    Attributes:
        table: Strings only, null where a cell is empty; trimmed, Unicode NFC; no empty rows.
        lines: Each row's line in the file (see `Problem.lines`), int64.
        form: How it was read, for example "UTF-8, cells separated by ','".
        problems: What was repaired, left out or looks wrong.
        folders: Of a folder of files the folder below it that each row's file lies in; None for a single file.
    """

    table: pa.Table
    lines: Lines
    form: str
    problems: tuple[Problem, ...]
    folders: pa.Array | None = None

    def folders_below(self, location: Location, images: Location) -> pa.Array | None:
        """For each row the folder that its file lies in, below that of the pictures; empty: in that itself.

        Args:
            location: Where the catalogue was read from.
            images: Where the pictures lie.

        Returns:
            None where all are empty, or where a single file lies elsewhere. Of a folder elsewhere the folders below it.
        """
        base = location if self.folders is not None else location.parent
        at, root = (each.uri if each.is_s3 else os.path.realpath(each) for each in (base, images))
        folders = self.folders if self.folders is not None else pa.repeat("", len(self.table))
        if f"{at}/".startswith(f"{root}/"):
            before = at[len(root) + 1 :]
            folders = pc.binary_join_element_wise(before, folders, "/") if before else folders
            folders = pc.utf8_trim(folders, "/")
        elif root.startswith(f"{at}/"):
            within = pc.starts_with(pc.binary_join_element_wise(folders, "", "/"), f"{root[len(at) + 1 :]}/")
            folders = pc.if_else(within, pc.utf8_slice_codeunits(folders, len(root) - len(at)), "")
        return folders if pc.any(pc.not_equal(folders, ""), min_count=0).as_py() else None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a user says about how a catalogue is to be read, where it is not found rightly.

    Attributes:
        encoding: A text file's, by a name that Python knows.
        sheet: A workbook's sheet; by default the first that is seen and holds a table.
        records: Where the list of records lies in JSON, `response.items`.
        header_line: The header's line, or row in a sheet; 0: there is none.
        max_bytes: The largest file read, after decompression; by default 4 GiB, and for a compressed file 256 MiB or
            100 times its size, whichever is more.
        remedy: What to do where the encoding is not sure.
        list_texts: Lists written as text, `['a', 'b']`, become values joined by `|`; else they stay as they are.
    """

    encoding: str | None = None
    sheet: str | None = None
    records: str | None = None
    header_line: int | None = None
    max_bytes: int | None = None
    remedy: str = "--encoding says otherwise"
    list_texts: bool = True


class Problems:
    """Collects problems in the order in which they are met."""

    def __init__(self) -> None:
        self.listed: list[Problem] = []

    def __call__(self, what: str, lines: Lines | list[int] | None = None) -> None:
        """Add one; see `artray.catalogs.cells.AddProblem`."""
        if lines is None:
            self.listed.append(Problem(what, 0))
        elif len(lines):
            self.listed.append(Problem(what, len(lines), tuple(int(line) for line in lines[:10])))


def read_catalog(
    file: BinaryIO,
    name: str,
    *,
    encoding: str | None = None,
    sheet: str | None = None,
    records: str | None = None,
    header_line: int | None = None,
    max_bytes: int | None = None,
) -> Catalog:
    """Read a catalogue; its format follows from the name.

    `.csv`, `.tsv`, `.tab`, `.txt` (delimiter, encoding and header are found), `.xlsx`, `.json`, `.jsonl` and `.ndjson`
    (see `artray.catalogs.json_records`), `.parquet`, `.mat` (Pandora-18K's list); the text formats also with `.gz`.
    Lists inside a cell become text joined by `|`. A password in a URL, and the signature of a signed one, is
    replaced by `***` in every cell.

    Args:
        file: An open binary file.
        name: Its name or URI.
        encoding: See `Reading`, as for the others.
        sheet: A workbook's.
        records: JSON's.
        header_line: A text file's or a workbook's.
        max_bytes: The largest file read, after decompression.

    Raises:
        InputError: The file can't be read as a catalogue.
    """
    reading = Reading(encoding, sheet, records, header_line, max_bytes)
    return read_bytes(file.read(), name, reading)


_TEXT = frozenset((".csv", ".tsv", ".tab", ".txt"))
JSON = frozenset((".json", ".jsonl", ".ndjson"))
SUFFIXES = _TEXT | JSON | {".mat", ".parquet", ".xlsx", ".gz"}


def read_bytes(data: bytes, name: str, reading: Reading) -> Catalog:
    """Read a file's bytes as `read_catalog` does.

    Raises:
        InputError: They can't be read as a catalogue.
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    compressed = suffixes[-1:] == [".gz"]
    suffix = "".join((suffixes[:-1] if compressed else suffixes)[-1:])
    if suffix not in SUFFIXES - {".gz"} or (compressed and suffix not in _TEXT | JSON):
        known = ", ".join(sorted(SUFFIXES - {".gz"}))
        raise InputError(f"{name}: a catalogue is one of {known} (text also with .gz), or a folder of such files")
    refuse_foreign(suffix, name, reading)
    problems = Problems()
    try:
        packed = max(_PACKED_BYTES, _PACKED_RATIO * len(data))
        limit = reading.max_bytes or min(MAX_BYTES, packed if compressed or suffix == ".xlsx" else MAX_BYTES)
        if compressed:
            data = _unpacked(data, limit)
        elif len(data) > limit:
            raise InputError(f"larger than {limit:,} bytes: --max-catalog-mb raises the limit")
        raw = _raw(data, suffix, problems, replace(reading, max_bytes=limit))
        return as_catalog(raw, problems, list_texts=reading.list_texts, rows_go_on=suffix in _TEXT | {".xlsx"})
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def refuse_foreign(suffix: str, name: str, reading: Reading) -> None:
    """Refuse what the user says of a file of another format: it would change nothing, unsaid."""
    if reading.sheet is not None and suffix != ".xlsx":
        raise InputError(f"{name}: only an .xlsx file has sheets")
    if reading.records is not None and suffix not in JSON:
        raise InputError(f"--records {reading.records}: {name} is not JSON")
    if reading.header_line is not None and suffix not in _TEXT | {".xlsx"}:
        raise InputError(f"--header-line {reading.header_line}: {name} has no header")
    if reading.encoding is not None:
        codec(reading.encoding)
        if suffix not in _TEXT | JSON:
            raise InputError(f"--encoding {reading.encoding}: {name} is not text")


def _raw(data: bytes, suffix: str, problem: Problems, reading: Reading) -> Raw:
    if suffix in _TEXT:
        text = read_delimited(data, problem, encoding=reading.encoding, header_line=reading.header_line)
        _say_doubt(text.form.partition(",")[0], text.sure, problem, reading)
        raw = Raw(text.header, text.table.columns, text.lines, text.form)
        return _as_seen(_upright(raw, problem, reading), problem)
    if suffix in JSON:
        decoded = decode_text(data, reading.encoding)
        _say_doubt(decoded.encoding, decoded.sure, problem, reading)
        return read_json(decoded, problem, by_line=suffix != ".json", path=reading.records)
    if suffix == ".xlsx":
        raw = read_workbook(
            data,
            problem,
            sheet=reading.sheet,
            header_line=reading.header_line,
            max_bytes=reading.max_bytes or MAX_BYTES,
        )
        return _upright(raw, problem, reading)
    if suffix == ".parquet":
        return read_parquet(data, problem, max_bytes=reading.max_bytes or MAX_BYTES)
    return read_mat(data, problem)


def _upright(raw: Raw, problem: Problems, reading: Reading) -> Raw:
    """A table that lies on its side set upright, unless the user says which line is the header."""
    if reading.header_line is not None:
        return raw
    standing = upright(raw, problem)
    if standing is not raw:  # its first row was looked at as a header, which it is not
        problem.listed = [told for told in problem.listed if not told.what.startswith("no header: ")]
    return standing


def _as_seen(raw: Raw, problem: AddProblem) -> Raw:
    """A text file's cells without formulas that only write links and texts; a column more for links' targets."""
    header: list[str | None] = list(raw.header)
    columns = list(raw.columns)
    for index, column in enumerate(raw.columns):
        column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([pa.array(column, pa.string())])
        columns[index], targets, written = seen(column)
        if targets is None:
            columns[index], targets = with_addresses(column)
        name = header[index] or f"column_{index + 1}"
        problem(f'column {name!r} holds texts written as formulas (="…"), read as texts', raw.lines[written])
        if targets is not None and targets.null_count < len(targets):
            header.append(f"{name} link")
            columns.append(pa.chunked_array([targets]))
            count = len(targets) - targets.null_count
            problem(f"column {name!r} holds links, their targets are column {header[-1]!r}: {count:,}")
    return Raw(header, columns, raw.lines, raw.form)


def _say_doubt(encoding: str, sure: bool, problem: AddProblem, reading: Reading) -> None:
    if not sure:
        problem(f"read as {encoding}, not sure; {reading.remedy}")


def _unpacked(data: bytes, limit: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=BytesIO(data)) as file:
            unpacked = file.read(limit + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"damaged gzip data: {error}") from None
    if len(unpacked) > limit:
        raise InputError(f"unpacks to more; larger than {limit:,} bytes: --max-catalog-mb raises the limit")
    return unpacked


# -- from raw cells to the table ---------------------------------------------------------------------------------------


def as_catalog(raw: Raw, problems: Problems, *, list_texts: bool = True, rows_go_on: bool = False) -> Catalog:
    """The table of what a reader of a format hands on.

    Args:
        raw: That.
        problems: Takes what was repaired or left out.
        list_texts: See `Reading`.
        rows_go_on: It is of people: a spreadsheet may have spoilt numbers, and rows may go on with the record above.

    Raises:
        InputError: A value is nested too deeply.
    """
    columns = {
        column_name: column
        if isinstance(column, pa.ChunkedArray)
        else text_column(column_name, column, raw.lines, problems)
        for column_name, column in zip(_column_names(raw.header, problems), raw.columns, strict=True)
    }
    table, lines = _normalize(pa.table(columns), raw.lines, problems)
    if rows_go_on:
        report_spoilt(table, lines, problems)
        table = fill_down(table, lines, problems, sheet=column_of_sheets(raw.form, table.column_names))
    if list_texts:
        table = read_list_texts(table, problems)
    return Catalog(table, lines, raw.form, tuple(problems.listed))


def _column_names(header: Sequence[str | None], problem: AddProblem) -> list[str]:
    names: list[str] = []
    for position, cell in enumerate(header, 1):
        wanted = unicodedata.normalize("NFC", mended_text(as_utf8(cell or "")).strip()) or f"column_{position}"
        name, copy = wanted, 2
        while name in names:
            name, copy = f"{wanted}_{copy}", copy + 1
        if name != wanted:
            problem(f"a second column {wanted!r}, now {name!r}", [1])
        names.append(name)
    return names


# RE2. The user and password before the host, and the query fields that grant access by themselves.
_USER_INFO = r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/?#@]*@"
_SECRET_FIELD = (
    r"(?i)([?&;](?:x-(?:amz|goog)-(?:signature|credential|security-token)|awsaccesskeyid|signature|sig|token|auth"
    r"|access[_-]?token|api[_-]?key|password|passwd|pwd|secret)=)[^&#\s]+"
)
SECRET = "***"


def mask_secrets(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Strings with the passwords and signatures of the URLs in them replaced by `***`."""
    masked = pc.replace_substring_regex(values, _USER_INFO, rf"\1{SECRET}@")
    return pc.replace_substring_regex(masked, _SECRET_FIELD, rf"\1{SECRET}")


def _normalize(table: pa.Table, lines: Lines, problem: AddProblem) -> tuple[pa.Table, Lines]:
    """Trim, NFC, null for empty, garbled text mended, secrets masked; empty rows and unnamed empty columns left out."""
    columns: dict[str, pa.ChunkedArray] = {}
    empty: list[str] = []
    secret = np.zeros(len(lines), bool)
    formula = np.zeros(len(lines), bool)
    long = np.zeros(len(lines), bool)
    filled = np.zeros(len(lines), bool)
    garbled: dict[str, np.ndarray[Any, np.dtype[np.bool_]]] = {}

    def note(what: str, where: pa.ChunkedArray) -> None:
        garbled[what] = garbled.get(what, False) | _flags(where)

    for position, (name, raw) in enumerate(zip(table.column_names, table.columns, strict=True), 1):
        column = pc.utf8_trim_whitespace(mended(raw, note))
        column = pa.chunked_array([nfc(chunk) for chunk in column.chunks], column.type)
        if pc.any(pc.match_substring(column, "://"), min_count=0).as_py():
            masked = mask_secrets(column)
            secret |= _flags(pc.not_equal(masked, column))
            column = masked
        sizes = pc.binary_length(column)
        column = pc.if_else(pc.greater(sizes, 0), column, pa.scalar(None, pa.string()))
        formula |= _flags(pc.starts_with(column, "="))
        long |= _flags(pc.greater(sizes, _LONG_CELL))
        has_text = _flags(pc.is_valid(column))
        filled |= has_text
        if has_text.any():
            columns[name] = column
        elif name != f"column_{position}":  # a column without name and cells is only a delimiter too many
            columns[name] = column
            empty.append(name)
    for what, rows in garbled.items():
        problem(what, lines[rows])
    problem(f"URLs with a password or signature, replaced by {SECRET}", lines[secret])
    problem("cells with a formula, kept as text", lines[formula])
    problem("cells longer than 1 MiB, kept", lines[long])
    problem("empty rows, left out", lines[~filled])
    if len(lines):
        for name in empty:
            problem(f"column {name!r} is empty", [1])
    result = pa.table(columns)
    return (result, lines) if filled.all() else (result.filter(pa.array(filled)), lines[filled])


def _flags(values: pa.ChunkedArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.asarray(pc.fill_null(values, False).to_numpy(), bool)
