"""A museum's catalogue export, read as a table of strings.

Every value stays the text that the museum wrote: `007`, `1929` and `c. 1929` can stand in one column without any of
them being changed by a guessed type. What was repaired, left out or looks wrong is a `Problem`, with its lines.
"""

import gzip
import json
import math
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from io import BytesIO
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from openpyxl.utils.escape import unescape

from artray.catalogs.delimited import AddProblem, Lines, decode_text, read_delimited
from artray.catalogs.unicode import nfc
from artray.errors import InputError

MAX_BYTES = 4 << 30
LIST_SEPARATOR = "|"  # joins the values of a list (JSON, Parquet) into one cell
_LONG_CELL = 1 << 20
_EXCEL_ERRORS = frozenset({"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A"})


@dataclass(frozen=True, slots=True)
class Problem:
    """Something the user should know about the catalogue.

    Attributes:
        what: What it is, in words; names the column where it concerns one.
        count: How many rows it concerns.
        lines: The first ten of them: lines of a text file, rows of a sheet, places in a list (1-based).
    """

    what: str
    count: int
    lines: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(map(str, self.lines)) + (", …" if self.count > len(self.lines) else "")
        return f"{self.what}: {self.count:,}" + (f" (line {where})" if self.lines else "")


@dataclass(frozen=True, slots=True)
class Catalog:
    """A catalogue as it was read.

    Attributes:
        table: Strings only, null where a cell is empty; trimmed, Unicode NFC; no empty rows.
        lines: Each row's line in the file (see `Problem.lines`), int64.
        form: How it was read, for example "UTF-8, cells separated by ','".
        problems: What was repaired, left out or looks wrong.
    """

    table: pa.Table
    lines: Lines
    form: str
    problems: tuple[Problem, ...]


class _Problems:
    """Collects problems in the order in which they are met."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def __call__(self, what: str, lines: Lines | list[int]) -> None:
        if len(lines):
            self.found.append(Problem(what, len(lines), tuple(int(line) for line in lines[:10])))


def read_catalog(file: BinaryIO, name: str, *, sheet: str | None = None, max_bytes: int = MAX_BYTES) -> Catalog:
    """Read a catalogue; its format follows from the name.

    `.csv`, `.tsv`, `.txt` (delimiter and encoding are found), `.xlsx`, `.json` (a list of objects, or an object of
    equally long lists), `.jsonl` and `.ndjson`, `.parquet`, `.mat` (Pandora-18K's list); the text formats also
    with `.gz`. Lists inside a cell become text joined by `|`. A password in a URL, and the signature of a signed one,
    is replaced by `***` in every cell.

    Args:
        file: An open binary file.
        name: Its name or URI.
        sheet: A workbook's sheet; by default the first with any cell.
        max_bytes: The largest file read, after decompression.

    Raises:
        InputError: The file can't be read as a catalogue.
    """
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    compressed = suffixes[-1:] == [".gz"]
    suffix = (suffixes[:-1] if compressed else suffixes)[-1:] or [""]
    reader = _READERS.get(suffix[0])
    if reader is None or (compressed and suffix[0] in _BINARY):
        known = ", ".join(sorted(_READERS))
        raise InputError(f"{name}: a catalogue is one of {known} (text also with .gz)")
    if sheet is not None and suffix[0] != ".xlsx":
        raise InputError(f"{name}: only an .xlsx file has sheets")
    problems = _Problems()
    try:
        data = _read_bytes(file, compressed, max_bytes)
        raw = reader(data, problems, sheet)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    columns = {
        column_name: column
        if isinstance(column, pa.ChunkedArray)
        else _as_text(column_name, column, raw.lines, problems)
        for column_name, column in zip(_column_names(raw.header, problems), raw.columns, strict=True)
    }
    table, lines = _normalize(pa.table(columns), raw.lines, problems)
    return Catalog(table, lines, raw.form, tuple(problems.found))


def _read_bytes(file: BinaryIO, compressed: bool, max_bytes: int) -> bytes:
    try:
        source: Any = gzip.GzipFile(fileobj=file) if compressed else file
        data: bytes = source.read(max_bytes + 1)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputError(f"damaged gzip data: {error}") from None
    if len(data) > max_bytes:
        raise InputError(f"larger than {max_bytes:,} bytes")
    return data


# -- from raw cells to the table ---------------------------------------------------------------------------------------


def _column_names(header: Sequence[str | None], problem: AddProblem) -> list[str]:
    names: list[str] = []
    for position, cell in enumerate(header, 1):
        wanted = unicodedata.normalize("NFC", as_utf8((cell or "").strip())) or f"column_{position}"
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
    """Trim, NFC, null for empty, secrets masked; empty rows and unnamed empty columns left out."""
    columns: dict[str, pa.ChunkedArray] = {}
    empty: list[str] = []
    secret = np.zeros(len(lines), bool)
    formula = np.zeros(len(lines), bool)
    long = np.zeros(len(lines), bool)
    filled = np.zeros(len(lines), bool)
    for position, (name, raw) in enumerate(zip(table.column_names, table.columns, strict=True), 1):
        column = pc.utf8_trim_whitespace(raw)
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


class _Number(str):
    """A number as it was written, so that 1.10 stays 1.10; its type only tells mixed columns."""

    __slots__ = ()


def _text(value: object) -> str | None:
    """A cell's text; lists of plain values joined by `|`, anything deeper as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return _Number(int(value) if value.is_integer() and abs(value) < 2**53 else repr(value))
    if isinstance(value, int):
        return _Number(value)
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value):
        return LIST_SEPARATOR.join(text for item in value if (text := _text(item)))
    return json.dumps(value, ensure_ascii=False, default=str)


def _as_text(name: str, values: Sequence[object], lines: Lines, problem: AddProblem) -> pa.Array:
    """A workbook's or JSON's values as strings; a column with numbers and texts is reported."""
    texts = [_text(value) for value in values]
    numbers = [line for line, text in zip(lines, texts, strict=True) if isinstance(text, _Number)]
    if 0 < len(numbers) < sum(bool(text) for text in texts):
        problem(f"column {name!r} holds text, and numbers kept as text", numbers)
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([as_utf8(text) for text in texts], pa.string())


_Text = TypeVar("_Text", str, str | None)


def as_utf8(text: _Text) -> _Text:
    """Text with `?` for what UTF-8, and so a table, can't hold: half a surrogate pair, as JSON's escapes can write."""
    return text and text.encode("utf-8", "replace").decode()


# -- one reader a format -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Raw:
    """What a reader hands on: columns are Arrow arrays of strings, or sequences of Python values."""

    header: Sequence[str | None]
    columns: Sequence[pa.ChunkedArray | Sequence[object]]
    lines: Lines
    form: str


def _read_text(data: bytes, problem: AddProblem, sheet: str | None) -> _Raw:
    header, table, lines, form = read_delimited(data, problem)
    return _Raw(header, table.columns, lines, form)


def _read_xlsx(data: bytes, problem: AddProblem, sheet: str | None) -> _Raw:
    """The values of one sheet; its first row with any cell is the header."""
    if not openpyxl.DEFUSEDXML:
        raise InputError("to read .xlsx safely the package defusedxml is needed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's, about parts of a workbook that hold no cells
            return _read_workbook(data, problem, sheet)
    except InputError:
        raise
    except Exception as error:  # a damaged part shows as KeyError, ValueError, ParseError, EntitiesForbidden, …
        raise InputError(f"is not a workbook that can be read ({_reason(error)})") from None


def _reason(error: BaseException) -> str:
    """What a library's error says, in one line."""
    error = error.__cause__ or error
    return " ".join(f"{type(error).__name__}: {error}".split())


def _read_workbook(data: bytes, problem: AddProblem, sheet: str | None) -> _Raw:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        if sum(part.file_size for part in archive.infolist()) > MAX_BYTES:
            raise InputError(f"larger than {MAX_BYTES:,} bytes when unpacked")
        formulas_stored = any(
            b"<f>" in archive.read(part) or b"<f " in archive.read(part)
            for part in archive.namelist()
            if part.startswith("xl/worksheets/") and part.endswith(".xml")
        )
    workbook = openpyxl.load_workbook(BytesIO(data), read_only=True, data_only=True)
    titles = [worksheet.title for worksheet in workbook.worksheets]
    if sheet is not None and sheet not in titles:
        raise InputError(f"has no sheet {sheet!r}, but {', '.join(map(repr, titles))}")
    rows: list[tuple[int, tuple[object, ...]]] = []
    for title in [sheet] if sheet is not None else titles:
        rows = list(_filled_rows(_cells(workbook, title, values_only=True)))
        if rows:
            break
    if not rows:
        raise InputError("has no sheet with a cell in it")
    others = [other for other in titles if other != title]
    if others:
        problem(f"sheets not read ({', '.join(map(repr, others))})", [1] * len(others))
    (_, header), rows = rows[0], rows[1:]
    lines = np.asarray([line for line, _ in rows], np.int64)
    if formulas_stored:
        _report_formulas(data, title, dict(rows), problem)
    errors = [line for line, row in rows if not _EXCEL_ERRORS.isdisjoint(v for v in row if isinstance(v, str))]
    problem("cells with a spreadsheet error, left empty", errors)
    columns = list(zip_longest(header, *(row for _, row in rows)))
    if errors:
        columns = [tuple(None if value in _EXCEL_ERRORS else value for value in column) for column in columns]
    names = [_text(column[0]) for column in columns]
    return _Raw(names, [column[1:] for column in columns], lines, f"workbook, sheet {title!r}")


def _cells(workbook: openpyxl.Workbook, title: str, *, values_only: bool = False) -> Iterable[tuple[Any, ...]]:
    worksheet: Any = workbook[title]
    worksheet.reset_dimensions()  # what the file says of its size may be wrong
    rows: Iterable[tuple[Any, ...]] = worksheet.iter_rows(values_only=values_only)
    return rows


def _filled_rows(rows: Iterable[tuple[object, ...]]) -> Iterator[tuple[int, tuple[object, ...]]]:
    for line, row in enumerate(rows, 1):
        if any(value is not None for value in row):
            yield line, tuple(unescape(value) if isinstance(value, str) and "_x" in value else value for value in row)


def _report_formulas(data: bytes, title: str, values: dict[int, tuple[object, ...]], problem: AddProblem) -> None:
    stored: list[int] = []
    without: list[int] = []
    workbook = openpyxl.load_workbook(BytesIO(data), read_only=True)
    for line, row in enumerate(_cells(workbook, title), 1):
        for position, cell in enumerate(row):
            if cell.data_type == "f":
                row_values = values.get(line, ())
                has_value = position < len(row_values) and row_values[position] is not None
                (stored if has_value else without).append(line)
    problem("formulas, their stored values taken", stored)
    problem("formulas without a stored value, left empty", without)


def _parse_json(text: str) -> object:
    return json.loads(text, parse_int=_Number, parse_float=_Number, parse_constant=lambda _: None)


def _read_json(data: bytes, problem: AddProblem, sheet: str | None) -> _Raw:
    text, encoding = decode_text(data)
    try:
        content = _parse_json(text)
    except json.JSONDecodeError as error:
        raise InputError(f"is not JSON: {error.msg} (line {error.lineno})") from None
    except RecursionError:
        raise InputError("is nested too deeply") from None
    if isinstance(content, dict) and content and all(isinstance(value, list) for value in content.values()):
        if len(content) > 1 or not any(isinstance(item, dict) for item in next(iter(content.values()))):
            lengths = {len(value) for value in content.values()}
            if len(lengths) > 1:
                raise InputError("its lists, one a column, have different lengths")
            lines = np.arange(1, lengths.pop() + 1)
            return _Raw(list(content), list(content.values()), lines, f"JSON, {encoding}, one list a column")
        content = next(iter(content.values()))
    if not isinstance(content, list):
        raise InputError("is neither a list of objects nor an object of lists")
    return _from_objects(enumerate(content, 1), f"JSON, {encoding}", problem)


def _read_json_lines(data: bytes, problem: AddProblem, sheet: str | None) -> _Raw:
    text, encoding = decode_text(data)

    def objects() -> Iterator[tuple[int, object]]:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    yield number, _parse_json(line)
                except (json.JSONDecodeError, RecursionError):
                    yield number, None

    return _from_objects(objects(), f"JSON lines, {encoding}", problem)


def _from_objects(items: Iterable[tuple[int, object]], form: str, problem: AddProblem) -> _Raw:
    rows: list[dict[str, object]] = []
    lines: list[int] = []
    others: list[int] = []
    for line, item in items:
        if isinstance(item, dict):
            rows.append(item)
            lines.append(line)
        else:
            others.append(line)
    if others and not rows:
        raise InputError("holds no JSON object")
    problem("entries that are not a JSON object, left out", others)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return _Raw(names, [[row.get(name) for row in rows] for name in names], np.asarray(lines, np.int64), form)


def _read_parquet(data: bytes, problem: AddProblem, sheet: str | None) -> _Raw:
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"is not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    header: list[str] = []
    columns: list[pa.ChunkedArray | Sequence[object]] = []
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.name.startswith("__index_level_"):
            continue
        values: pa.ChunkedArray | Sequence[object]
        if pa.types.is_nested(field.type):
            values = _cell_by_cell(field.name, column, problem)
        else:
            if pa.types.is_floating(field.type):
                column = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
            try:
                values = column.cast(pa.string())
            except pa.ArrowException:
                problem(f"column {field.name!r} is not text but {field.type}, left out", [1])
                continue
            try:
                values.validate(full=True)
            except pa.ArrowInvalid:
                values = _cell_by_cell(field.name, values, problem)
        header.append(field.name)
        columns.append(values)
    return _Raw(header, columns, np.arange(1, table.num_rows + 1), "Parquet")


def _cell_by_cell(name: str, column: pa.ChunkedArray, problem: AddProblem) -> list[object]:
    """Python values; None for dates after 9999 and for text that is not UTF-8, which not every writer looks at."""
    values: list[object] = []
    unreadable: list[int] = []
    for line, cell in enumerate(column, 1):
        try:
            values.append(cell.as_py())
        except (ValueError, OverflowError):
            values.append(None)
            unreadable.append(line)
    problem(f"column {name!r}: cells that can't be read, left empty", unreadable)
    return values


def _read_mat(data: bytes, problem: AddProblem, sheet: str | None) -> _Raw:
    """Pandora-18K's `pandora18kMain_v2.mat`: `imageListFile`, a cell array of (path, class index, artist index)."""
    try:
        from scipy.io import loadmat
    except ImportError:
        raise InputError("to read .mat the package scipy is needed: pip install scipy") from None
    try:
        entries = loadmat(BytesIO(data), variable_names=["imageListFile"], simplify_cells=True)["imageListFile"]
        rows = [tuple(_leaves(entry)) for entry in entries]
    except KeyError:
        raise InputError("holds no imageListFile") from None
    except Exception as error:  # scipy meets damaged files with any of ValueError, TypeError, OverflowError, …
        raise InputError(f"is not a MATLAB file that can be read ({_reason(error)})") from None
    lines = np.arange(1, len(rows) + 1)
    whole = np.array([len(row) == 3 and isinstance(row[0], str) for row in rows], bool)
    problem("entries that are not (path, class, artist), left out", lines[~whole])
    kept = [row for row, ok in zip(rows, whole, strict=True) if ok]
    columns = list(zip(*kept, strict=True)) or [(), (), ()]
    return _Raw(["imageListFile", "class", "artist"], columns, lines[whole], "MATLAB, imageListFile")


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist()
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


_READERS: dict[str, Callable[[bytes, AddProblem, str | None], _Raw]] = {
    ".csv": _read_text,
    ".tsv": _read_text,
    ".txt": _read_text,
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".mat": _read_mat,
    ".parquet": _read_parquet,
    ".xlsx": _read_xlsx,
}
_BINARY = frozenset({".mat", ".parquet", ".xlsx"})
