"""CSV, TSV and their kin: encoding, delimiter and broken quotes, found and reported by line.

A file whose quoting follows RFC 4180 goes through Arrow's reader; NumPy checks that beforehand from the positions of
quotes and line ends alone. Any other file is read record by record, so that one stray quote costs one row and never
the thousand rows up to the next quote.
"""

import csv
import io
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from artray.catalogs import stacked_tables
from artray.catalogs.cells import LIST_SEPARATOR, AddProblem, Lines
from artray.catalogs.columns import IMAGE_SUFFIX
from artray.catalogs.encodings import REPLACEMENT, decode_text
from artray.catalogs.formulas import quoted_links
from artray.catalogs.header import LOOKED_AT, Header, find_header, is_totals, title_rows
from artray.catalogs.line_forms import (
    USE_ANOTHER,
    odd_delimiter,
    refuse_other_formats,
    unwrapped,
    without_comments,
    without_rules,
    without_spaces_before_quotes,
)
from artray.catalogs.stacked_tables import header_below, said_of
from artray.errors import InputError

DELIMITERS = (",", "\t", ";", "|")
_SAMPLE = 1 << 18  # bytes looked at to find the delimiter
_MOST_ABOVE = 10  # lines above the header
_MOST_TOTALS = 5
_LONGEST_TOTAL = 1000
_SAMPLE_BELOW = 1 << 15  # bytes looked at below a blank line
_SPACED = re.compile(r'"[^"\n]*"(?: "[^"\n]*")+\r?\n')
_PICTURE_AND_CLASS = re.compile(rf"\S+{IMAGE_SUFFIX.removeprefix('(?i)').removesuffix('$')} [^ ]+(?: [^ ]+)*\r?", re.I)
_SUBTOTAL = r"(?i)^\s*(sub-?totals?|zwischensumme|sous-total|subtotale|subtotaal|delsumma|suma parcial)\b"
_SEPARATOR_HINT = re.compile(r'(?i)"?sep=(.)"?[ ;,\t]*\r?\n')  # Excel's own


def find_delimiter(text: str) -> str:
    """The delimiter that cuts most records of the beginning into as many cells as the header has.

    A delimiter that does not occur in the header is none, however often the cells hold it. Lines above the header (a
    title, a date) are passed over where no delimiter fits the first line.

    Raises:
        InputError: Something else divides the cells, that is not read.
    """
    sample = _head(text)
    widths = {
        mark: [len(row) for row in csv.reader(io.StringIO(sample, newline=""), delimiter=mark) if row][:LOOKED_AT]
        for mark in DELIMITERS
    }
    best, best_share, best_score = ",", 0.0, 0.0
    for above in range(_MOST_ABOVE):
        for mark, sizes in widths.items():
            header = next((index for index, size in enumerate(sizes) if size > 1), 0) if above else 0
            below = sizes[max(above, header) :]
            if below and below[0] > 1:
                share = below.count(below[0]) / len(below)
                score = share * share * below[0]  # many equal records count more than many cells
                if score > best_score and (not above or len(below) > 1):
                    best, best_share, best_score = mark, share, score
        if best_share > 0.5:
            break
    # R's write.table divides by spaces, and puts names and texts into quotes; lists for training name a picture first.
    lines = [line for line in sample.split("\n")[:LOOKED_AT] if line.strip()]
    listed = len(lines) > 1 and all(map(_PICTURE_AND_CLASS.fullmatch, lines))
    if best_score:
        return best
    return " " if listed or _SPACED.match(sample) else odd_delimiter(lines) or best


def _head(text: str) -> str:
    sample = text[:_SAMPLE].replace("\0", REPLACEMENT)  # at a NUL, Python 3.10's csv gives up
    if len(text) > _SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    return sample


@dataclass(frozen=True, slots=True)
class DelimitedText:
    """What a delimited file holds.

    Attributes:
        header: As it stands.
        table: All strings, columns "0", "1", …; empty cells are "".
        lines: Each row's line in the file (1-based).
        form: How it was read: encoding and delimiter.
        sure: Whether the encoding is.
    """

    header: list[str]
    table: pa.Table
    lines: Lines
    form: str
    sure: bool


def read_delimited(
    data: bytes, problem: AddProblem, *, encoding: str | None = None, header_line: int | None = None
) -> DelimitedText:
    """Read a delimited text file.

    Args:
        data: The file's bytes.
        problem: Takes every damage met, by line.
        encoding: Where the user has said it.
        header_line: The header's line where the user has said it; 0: there is none.

    Raises:
        InputError: There is no header, or it can't be told which line it is.
    """
    # The csv module's own limit of 128 KiB is global; museums' cells (transcribed inscriptions) are longer.
    csv.field_size_limit(2**31 - 1)
    refuse_other_formats(data)
    decoded = decode_text(data, encoding)
    # DOS filled files up with NULs, or ended them by Ctrl-Z.
    text = decoded.text.lstrip("\ufeff").rstrip("\0\x1a")
    if "\r" in text and "\n" not in text:
        text = text.replace("\r", "\n")
    text = text.replace("\n\ufeff", "\n")  # of files that were put one behind the other
    hint = _SEPARATOR_HINT.match(text)
    first_line = 1
    if hint:
        delimiter, first_line = hint[1], 2
        if not delimiter.isascii():
            raise InputError(f"its first line says that cells are divided by {delimiter!r}: {USE_ANOTHER}")
        text = text[hint.end() :]
    else:
        text = unwrapped(text, find_delimiter, problem)
        delimiter = find_delimiter(text)
    text = without_spaces_before_quotes(text, delimiter)
    if header_line is None:
        text = without_rules(text, first_line, problem)
        text, first_line = without_comments(text, delimiter, first_line, problem)
    if "\0" in text:
        problem(f"NUL characters, now {REPLACEMENT}", _lines_with(text, "\0", first_line))
        text = text.replace("\0", REPLACEMENT)
    elif REPLACEMENT in text:
        problem(f"unreadable characters, now {REPLACEMENT}", _lines_with(text, REPLACEMENT, first_line))
    text = quoted_links(text, delimiter)
    text = _without_second(text, delimiter, first_line, header_line, problem)
    text, first_line = _with_header(text, delimiter, first_line, header_line, problem)
    text = _without_totals(text, delimiter, first_line, problem)

    table_and_lines = _read_fast(text, delimiter)
    if table_and_lines is None:
        table_and_lines = _read_by_record(text, delimiter, first_line, problem)
    table, lines = table_and_lines
    if not table.num_columns:
        raise InputError("the catalogue is empty: it has no header line")
    header = [column[0].as_py() for column in table.columns]
    table, lines = _without_repeated_header(table, header, lines + (first_line - 1), problem)
    table, lines = _without_subtotals(table, lines, problem)
    if "\v" in text or "\x1d" in text:  # FileMaker's line end within a cell, and what divides a repeating field
        columns = [
            pc.replace_substring(pc.replace_substring(c, "\v", "\n"), "\x1d", LIST_SEPARATOR) for c in table.columns
        ]
        table = pa.table(columns, names=table.column_names)
    name = {"\t": "tab", " ": "space"}.get(delimiter, repr(delimiter))
    return DelimitedText(header, table, lines, f"{decoded.encoding}, cells separated by {name}", decoded.sure)


def _without_second(text: str, delimiter: str, first_line: int, said: int | None, problem: AddProblem) -> str:
    """The text without another table below the first."""
    rows, lines = _first_rows(text, delimiter, first_line)
    above = lines.index(said) if said in lines else title_rows(rows)
    if len(rows) < above + 3:
        return text
    mark = re.escape(delimiter)
    # A blank line, or one with a single cell: a title.
    apart = re.compile(rf"\n(?:[ \t]|{mark})*\r?(?=\n)|\n(?:[^\n{mark}\"]+|\"[^\n{mark}\"]+\"){mark}*\r?(?=\n)")
    begin = text.find("\n")
    for _ in range(lines[above + 1] - first_line):
        begin = text.find("\n", begin + 1)
    start, quotes, line = 0, 0, first_line + 1  # the line that begins after `start`
    for _, gap in zip(range(stacked_tables.MOST_GAPS), apart.finditer(text, begin), strict=False):
        quotes += text.count('"', start, gap.start())
        line += text.count("\n", start, gap.start())
        start = gap.start()
        if quotes % 2:
            continue  # within a cell
        first = rows[above : min(bisect_left(lines, line), above + stacked_tables.LOOKED_AT)]
        below, line_numbers = _first_rows(text[start + 1 : start + _SAMPLE_BELOW], delimiter, line)
        below = below[: stacked_tables.LOOKED_AT]
        row = header_below(first, below)
        if row is not None:
            left = list(_record_lines(text[start + 1 :], delimiter, line))
            problem(said_of(below[row], line_numbers[row], len(left), line - 1 - lines[above]), left)
            return text[: start + 1]
    return text


def _record_lines(text: str, delimiter: str, first_line: int) -> Iterator[int]:
    """The line of each record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line = first_line
    for row in reader:
        if any(cell.strip() for cell in row):
            yield line
        line = first_line + reader.line_num


def _first_rows(text: str, delimiter: str, first_line: int) -> tuple[list[list[str]], list[int]]:
    """The first records that are not blank, and their lines."""
    rows: list[list[str]] = []
    lines: list[int] = []
    physical = _head(text).split("\n")
    at = 0
    while at < len(physical) and len(rows) < LOOKED_AT:
        row, used = _record(physical, at, delimiter, 0)
        if row is None and not rows:
            row = physical[at].rstrip("\r").split(delimiter)
        if row is not None and any(cell.strip() for cell in row):  # where quotes are broken it says nothing
            rows.append(row)
            lines.append(at + first_line)
        at += used
    return rows, lines


def _with_header(text: str, delimiter: str, first_line: int, said: int | None, problem: AddProblem) -> tuple[str, int]:
    """The text from its header on, which may have to be put before it, and the line of the file in which it begins."""
    rows, lines = _first_rows(text, delimiter, first_line)
    head: Header = find_header(rows, lines, said)
    for what in head.said:
        problem(what)
    if not rows:
        return text, first_line
    start = 0
    for _ in range(lines[head.skip] - first_line if head.is_row else 0):
        start = text.index("\n", start) + 1
    text, first_line = text[start:], lines[head.skip] if head.is_row else first_line
    if not head.is_row:
        return f"{delimiter.join(head.names or ())}\n{text}", first_line - 1
    if head.names:
        used = _record(_head(text).split("\n"), 0, delimiter, 0)[1]
        header = io.StringIO()
        csv.writer(header, delimiter=delimiter, lineterminator="\n").writerow(head.names)
        return header.getvalue() + text.split("\n", used)[-1], first_line + used - 1
    return text, first_line


def _without_totals(text: str, delimiter: str, first_line: int, problem: AddProblem) -> str:
    """The text without lines below the records that count them."""
    end = len(text)
    taken: list[str] = []
    for _ in range(_MOST_TOTALS):
        stop = len(text[max(0, end - _LONGEST_TOTAL) : end].rstrip()) + max(0, end - _LONGEST_TOTAL)
        start = max(text.rfind("\n", 0, stop), 0)
        if not start:
            break
        row = next(csv.reader([text[start:stop].strip()], delimiter=delimiter), [])
        columns = text.count(delimiter, 0, text.find("\n")) + 1
        if not is_totals(row, columns):
            break
        taken.append(" ".join(filter(None, row)))
        end = start + 1
    if taken:
        last = first_line + text.count("\n", 0, end)
        problem(f"lines below the records, left out ({taken[-1][:60]!r})", list(range(last, last + len(taken))))
    return text[:end]


def _without_repeated_header(
    table: pa.Table, header: list[str], lines: Lines, problem: AddProblem
) -> tuple[pa.Table, Lines]:
    """The rows below the header, without those that are it again, as files put together hold it."""
    table, lines = table.slice(1), lines[1:]
    same = np.ones(table.num_rows, bool)
    for name, column in zip(header, table.columns, strict=True):
        same &= np.asarray(pc.equal(column, name).to_numpy(), bool)
        if not same.any():
            return table, lines
    if not any(name.strip() for name in header):
        return table, lines
    problem("rows that repeat the header, left out", lines[same])
    return table.filter(pa.array(~same)), lines[~same]


def _without_subtotals(table: pa.Table, lines: Lines, problem: AddProblem) -> tuple[pa.Table, Lines]:
    """The rows without those between them that only count: `Subtotal: 4`, and no cell more than a number."""
    if table.num_columns < 3 or not table.num_rows:
        return table, lines
    counts = np.asarray(pc.match_substring_regex(table.column(0), _SUBTOTAL).to_numpy(), bool)
    if counts.any():
        filled = sum(np.asarray(pc.not_equal(pc.utf8_trim_whitespace(c), "").to_numpy(), int) for c in table.columns)
        counts &= filled <= max(1, table.num_columns // 2)
        problem("rows that count those above, left out", lines[counts])
        return table.filter(pa.array(~counts)), lines[~counts]
    return table, lines


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
        if any(
            cell.strip() for cell in cells[width:]
        ):  # a delimiter too many: the cells after it are not where they belong
            long.append(line + first_line - 1)
            continue
        if len(cells) < width:
            short.append(line + first_line - 1)
        rows.append(cells[:width])
        lines.append(line)
    if len(long) > max(1, len(rows) - 1):
        raise InputError(
            f"most rows have more cells than the header, which has {width}, the first in line {long[0]}: put cells "
            f"that hold {delimiter!r} into quotes, or give the header a name for each column"
        )
    if len(hopeless) > max(1, len(rows) - 1):
        raise InputError(
            f"the quotes of most rows are broken, and hide where the cells end, the first in line {hopeless[0]}: put "
            f"cells that hold {delimiter!r} into quotes, and double the quotes in them"
        )
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
