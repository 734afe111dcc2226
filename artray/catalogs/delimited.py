"""CSV, TSV and their kin: encoding, delimiter and broken quotes, found and reported by line.

A file whose quoting follows RFC 4180 goes through Arrow's reader; NumPy checks that beforehand from the positions of
quotes and line ends alone. Any other file is read record by record, so that one stray quote costs one row and never
the thousand rows up to the next quote.
"""

import csv
import io
from collections.abc import Callable
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from artray.errors import InputError

DELIMITERS = (",", "\t", ";", "|")
_SAMPLE = 1 << 18  # bytes looked at to find the delimiter
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

Lines = npt.NDArray[np.int64]


# Where a reader reports what it met: what it was, and in which lines.
AddProblem = Callable[[str, Lines | list[int]], None]


def decode_text(data: bytes) -> tuple[str, str]:
    """Text of a file in UTF-8 (with or without BOM), UTF-16, Windows-1252 or Latin-1.

    Mostly valid UTF-8 stays UTF-8: a few damaged bytes become U+FFFD, because reading the whole file as Windows-1252
    would spoil every accent in it.

    Returns:
        The text without its BOM, and the encoding's name.
    """
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode("utf-8", "replace"), "UTF-8 with BOM"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace"), "UTF-16"
    head = np.frombuffer(data[:4096], np.uint8)
    zeros = [float(np.mean(head[parity::2] == 0)) if head.size > 1 else 0.0 for parity in (0, 1)]
    if max(zeros) > 0.4 and min(zeros) < 0.1:
        encoding = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        return data.decode(encoding, "replace"), f"{encoding.upper()} without BOM"
    try:
        return data.decode("utf-8"), "UTF-8"
    except UnicodeDecodeError:
        pass
    text = data.decode("utf-8", "replace")
    replaced = text.count(_REPLACEMENT)
    ascii_bytes = int(np.count_nonzero(np.frombuffer(data, np.uint8) < 0x80))
    if len(text) - ascii_bytes - replaced > replaced:
        return text, "UTF-8 with damaged bytes"
    try:
        return data.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError:  # five bytes have no meaning there
        return data.decode("latin-1"), "Latin-1"


def find_delimiter(text: str) -> str:
    """The delimiter that cuts most records of the beginning into as many cells as the header has.

    A delimiter that does not occur in the header is none, however often the cells hold it.
    """
    sample = text[:_SAMPLE].replace("\0", _REPLACEMENT)  # at a NUL, Python 3.10's csv gives up
    if len(text) > _SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    best, best_score = ",", 0.0
    for delimiter in DELIMITERS:
        widths = [len(row) for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if row][:200]
        if widths and widths[0] > 1:
            share = widths.count(widths[0]) / len(widths)
            score = share * share * widths[0]  # many equal records count more than many cells
            if score > best_score:
                best, best_score = delimiter, score
    return best


def read_delimited(data: bytes, problem: AddProblem) -> tuple[list[str], pa.Table, Lines, str]:
    """Read a delimited text file with a header.

    Args:
        data: The file's bytes.
        problem: Takes every damage met, by line.

    Returns:
        The header as it stands, the table (all strings, columns "0", "1", …; empty cells are ""), each row's line in
        the file (1-based), and how it was read (encoding and delimiter).

    Raises:
        InputError: There is no header.
    """
    # The csv module's own limit of 128 KiB is global; museums' cells (transcribed inscriptions) are longer.
    csv.field_size_limit(2**31 - 1)
    text, encoding = decode_text(data)
    if "\r" in text and "\n" not in text:
        text = text.replace("\r", "\n")
    first_line = 1
    if text[:4].lower() == "sep=" and text[5:6] in ("\r", "\n"):  # Excel's own hint
        delimiter, first_line = text[4], 2
        text = text[text.index("\n") + 1 :]
    else:
        delimiter = find_delimiter(text)
    if "\0" in text:
        problem(f"NUL characters, now {_REPLACEMENT}", _lines_with(text, "\0", first_line))
        text = text.replace("\0", _REPLACEMENT)
    elif _REPLACEMENT in text:
        problem(f"unreadable characters, now {_REPLACEMENT}", _lines_with(text, _REPLACEMENT, first_line))

    table_and_lines = _read_fast(text, delimiter)
    if table_and_lines is None:
        table_and_lines = _read_by_record(text, delimiter, first_line, problem)
    table, lines = table_and_lines
    if not table.num_columns:
        raise InputError("the catalogue is empty: it has no header line")
    header = [column[0].as_py() for column in table.columns]
    name = {"\t": "tab"}.get(delimiter, repr(delimiter))
    return header, table.slice(1), lines[1:] + (first_line - 1), f"{encoding}, cells separated by {name}"


def _lines_with(text: str, character: str, first_line: int) -> Lines:
    lines = [number for number, line in enumerate(text.split("\n"), first_line) if character in line]
    return np.asarray(lines, np.int64)


def _read_fast(text: str, delimiter: str) -> tuple[pa.Table, Lines] | None:
    """The table and its rows' lines, header included; None if the file is not well formed."""
    data = text.encode("utf-8", "replace")
    records = _well_formed_records(data, delimiter)
    if records is None:
        return None
    starts, lines = records
    if not len(starts):
        return pa.table({}), lines
    longest = int(np.max(np.diff(np.append(starts, len(data)))))
    width = len(
        next(csv.reader(io.StringIO(data[: starts[1] if len(starts) > 1 else None].decode()), delimiter=delimiter))
    )
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            # A record must fit into a block, and its neighbour's beginning with it.
            read_options=pa_csv.ReadOptions(autogenerate_column_names=True, block_size=max(1 << 20, 2 * longest + 2)),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types={f"f{index}": pa.string() for index in range(width)}, strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:  # a record with more or fewer cells
        return None
    if table.num_rows != len(lines):
        return None
    return table.rename_columns([str(index) for index in range(width)]), lines


def _well_formed_records(data: bytes, delimiter: str) -> tuple[Lines, Lines] | None:
    """Offset and line of each record, blank lines left out; None if any quote is out of place (RFC 4180)."""
    array = np.frombuffer(data, np.uint8)
    line_ends = np.flatnonzero(array == ord("\n"))
    quotes = np.flatnonzero(array == ord('"'))
    if len(quotes) % 2:
        return None
    record_ends = line_ends
    if len(quotes):
        border = np.zeros(256, bool)
        border[[ord(delimiter), ord("\n"), ord("\r")]] = True
        opening, closing = quotes[0::2], quotes[1::2]
        doubled = opening[1:] == closing[:-1] + 1  # "" inside a quoted cell closes and opens it again
        fine_before = (opening == 0) | border[array[opening - 1]]
        fine_before[1:] |= doubled
        fine_after = (closing == len(array) - 1) | border[array[np.minimum(closing + 1, len(array) - 1)]]
        fine_after[:-1] |= doubled
        if not (fine_before.all() and fine_after.all()):
            return None
        record_ends = line_ends[np.searchsorted(quotes, line_ends) % 2 == 0]
    starts = np.concatenate([[0], record_ends + 1])
    ends = np.concatenate([record_ends, [len(array)]])
    if len(array):
        ends = ends - ((ends > starts) & (array[ends - 1] == ord("\r")))
    starts = starts[ends > starts]
    return starts, np.searchsorted(line_ends, starts) + 1


def _read_by_record(text: str, delimiter: str, first_line: int, problem: AddProblem) -> tuple[pa.Table, Lines]:
    """Read a damaged file: each record by itself, what can't be trusted is left out and reported."""
    physical = text.split("\n")
    rows: list[list[str]] = []
    lines: list[int] = []
    broken: list[int] = []
    hopeless: list[int] = []
    long: list[int] = []
    short: list[int] = []
    width, at = 0, 0
    while at < len(physical):
        cells, used = _record(physical, at, delimiter, width)
        line, at = at + 1, at + used
        if cells is None:
            cells = _cells_despite_quotes(physical[line - 1].rstrip("\r"), delimiter, width)
            if cells is None:
                hopeless.append(line + first_line - 1)
                continue
            broken.append(line + first_line - 1)
        if not any(cells):
            continue
        width = width or len(cells)
        if any(cells[width:]):  # a delimiter too many: the cells after it are not where they belong
            long.append(line + first_line - 1)
            continue
        if len(cells) < width:
            short.append(line + first_line - 1)
        rows.append(cells[:width])
        lines.append(line)
    problem("broken quotes, taken as letters", broken)
    problem("broken quotes that hide where the cells end, rows left out", hopeless)
    problem("rows with more cells than the header, left out", long)
    problem("rows with fewer cells than the header, the rest left empty", short)
    columns = list(zip_longest(*rows, fillvalue=""))
    return pa.table({str(index): pa.array(column, pa.string()) for index, column in enumerate(columns)}), np.asarray(
        lines, np.int64
    )


def _record(physical: list[str], at: int, delimiter: str, width: int) -> tuple[list[str] | None, int]:
    """Cells of the record that begins at a line, and how many lines it takes; None if its quotes are broken."""
    if '"' not in physical[at]:
        return physical[at].rstrip("\r").split(delimiter), 1
    # An unclosed quote ends at another row's quote, and what follows there gives it away.
    lines = (f"{physical[number]}\n" for number in range(at, len(physical)))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        cells = next(reader)
    except csv.Error:
        return None, 1
    used = reader.line_num
    return (None, 1) if used > 1 and width and len(cells) != width else (cells, used)


def _cells_despite_quotes(line: str, delimiter: str, width: int) -> list[str] | None:
    """Cells of one line with broken quotes, or None if they don't come out as many as the header has.

    A quoted cell ends at the first quote before a delimiter: `"The "Night, dark" Watch",1642` gives
    `The "Night, dark" Watch` and `1642`. If that doesn't fit the header, every quote is a letter.
    """
    pieces = line.split(delimiter)
    cells: list[str] = []
    at = 0
    while at < len(pieces):
        end = at + 1
        cell = pieces[at]
        if cell.startswith('"'):
            while end < len(pieces) and not (len(cell.rstrip()) > 1 and cell.rstrip().endswith('"')):
                cell = f"{cell}{delimiter}{pieces[end]}"
                end += 1
            cell = cell.rstrip()
            cell = cell[1:-1].replace('""', '"') if len(cell) > 1 and cell.endswith('"') else cell
        cells.append(cell)
        at = end
    if len(cells) == width or not width:
        return cells
    return pieces if len(pieces) == width else None
