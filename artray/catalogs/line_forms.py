"""What programs write around the lines and cells of a text table, and what is no such table.

Quotes around whole records, lines of dashes, comments, spaces before quotes, rare delimiters.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence

from artray.catalogs.cells import AddProblem
from artray.catalogs.header import KINDS, against_a_record
from artray.errors import InputError

_LOOKED_AT = 50  # lines
_RULE = re.compile(r"(?=.*--)[-=:+|,; \t]*\r?")  # of Markdown, psql, MySQL and sqlcmd
_COMMENT = re.compile(r"#+ *[^\s#].*")
_WHOLE = re.compile(r'"(?:[^"\n]|"")*"\r?')
_RARE = ("^", "~", "\x1f", "\x01")
_ODD = re.compile(r"[ \t]*(?:[:^~¦¬§¶‡†`*=<>|]+|\\t|[\x00-\x08\x0e-\x1f]+)[ \t]*| {2,}")
_OTHER_FORMATS = {
    b"pk\x03\x04": "a zip archive, not text: a workbook's name ends in .xlsx",
    b"\x1f\x8b": "gzip data, not text: let its name end in .gz",
    b"\xd0\xcf\x11\xe0": "an old workbook (.xls), or one with a password, not text: save it as .xlsx",
    **dict.fromkeys(
        (b"<html", b"<!doctype", b"<?xml", b"<table"), "HTML or XML, not a table of text: export it as CSV or .xlsx"
    ),
    **dict.fromkeys((b"[{", b'{":'), "JSON, not a table of text: let its name end in .json (.jsonl: an object a line)"),
    b"par1": "a Parquet file, not text: let its name end in .parquet",
    b"sqlite format 3": "a database, not text: export the table as CSV",
    b"%pdf": "a PDF, not a table of text: export it as CSV or .xlsx",
    b"{\\rtf": "a text document (RTF), not a table of text: export it as CSV or .xlsx",
}
USE_ANOTHER = "export it with commas, semicolons or tabs between the cells"


def refuse_other_formats(data: bytes) -> None:
    """Refuse a file that is something else by its first bytes.

    Raises:
        InputError: It is; the message says what, and what to do.
    """
    start = re.sub(rb"(?<=[\[{])\s+", b"", data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower())
    start = re.sub(rb'^\{"[^"]*"\s*:', b'{":', start)  # {"Cubism"} is a list of Postgres
    for signature, what in _OTHER_FORMATS.items():
        if start.startswith(signature):
            raise InputError(f"is {what}")


def odd_delimiter(lines: Sequence[str]) -> str | None:
    """What divides the cells of lines that no usual delimiter divides; None where nothing seems to.

    Raises:
        InputError: It is more than a character, or spaces, or one that a file's reader can't take.
    """
    rows = [line.strip() for line in lines]
    if len(rows) < 2 or any(kind.fullmatch(rows[0]) for kind in KINDS.values()):
        return None
    for mark in dict.fromkeys(match[0] for match in _ODD.finditer(rows[0])):
        pattern = " {2,}" if not mark.strip(" ") else re.escape(mark.strip(" "))
        pattern += r"(?![/\\])" if pattern == ":" else ""  # https://…, C:\…
        widths = [len(re.split(pattern, row)) for row in rows]
        if widths[0] > 1 and all(re.split(pattern, rows[0])) and 10 * widths.count(widths[0]) >= 9 * len(widths):
            if mark in _RARE:
                return mark
            shown = "several spaces" if not mark.strip(" ") else repr(mark)
            raise InputError(f"its cells seem to be divided by {shown}: {USE_ANOTHER}")
    return None


def without_spaces_before_quotes(text: str, delimiter: str) -> str:
    """A text without the spaces between a delimiter and the quotes that a cell begins with: `1, "Sea, calm"`."""
    mark = re.escape(delimiter)
    spaced = re.compile(rf'(?<={mark}) +(?="(?!")[^"\n]*" *(?:{mark}|\r|\n|$))')
    lines = text[: 1 << 16].split("\n")[:_LOOKED_AT]
    if delimiter == " " or not any(map(spaced.search, lines)):
        return text
    # Within a quoted cell it would be a letter.
    if any(re.search(rf'(?:^|{mark})"[^"]*{mark} +"', line) for line in lines):
        return text
    return re.sub(rf'(?<={mark}) +(?="(?!"))', "", text)


def unwrapped(text: str, find_delimiter: Callable[[str], str], problem: AddProblem) -> str:
    """A text each of whose records stands in one pair of quotes, without these: `"1,""Sea, calm"",a.jpg"`.

    Args:
        text: The file's.
        find_delimiter: Finds what divides the cells of records.
        problem: Is told.
    """
    head = [line for line in text[: 1 << 16].split("\n")[:_LOOKED_AT] if line.strip()]
    if len(head) < 2 or not all(_WHOLE.fullmatch(line) for line in head):
        return text
    lines = "\n".join(line.strip("\r")[1:-1].replace('""', '"') for line in head)
    delimiter = find_delimiter(lines)
    widths = [len(row) for row in csv.reader(io.StringIO(lines), delimiter=delimiter)]
    if widths[0] < 2 or 10 * widths.count(widths[0]) < 9 * len(widths):
        return text
    problem("each row stands in quotes as a whole, which are left out")
    return re.sub(r'(?m)^"((?:[^"\n]|"")*)"(\r?)$', lambda match: match[1].replace('""', '"') + match[2], text)


def without_rules(text: str, first_line: int, problem: AddProblem) -> str:
    """A text without the lines of dashes above and below its records, which are left blank."""
    lines = text[: 1 << 16].split("\n")[:_LOOKED_AT]
    rules = [index for index, line in enumerate(lines[:-1] if len(lines) > 1 else []) if _RULE.fullmatch(line)]
    if not rules or rules[0] > 3:
        return text
    begin = len("\n".join(lines[: rules[-1] + 1]))
    head = "\n".join("" if index in rules else line for index, line in enumerate(lines[: rules[-1] + 1]))
    rest, end = text[begin:], ""
    last = rest.rstrip().rfind("\n")
    if last >= 0 and _RULE.fullmatch(rest[last + 1 :].rstrip()):
        rules.append(text.count("\n", 0, begin + last + 1))
        rest, end = rest[: last + 1], "\n"
    problem("lines of dashes, left out", [first_line + index for index in rules])
    return head + rest + end


def without_comments(text: str, delimiter: str, first_line: int, problem: AddProblem) -> tuple[str, int]:
    """A text without the lines above the header that begin with `#`, and the line in which it begins.

    A header may begin so too: it has as many cells as the line below it, and that is a record.
    """
    lines = text[: 1 << 16].split("\n")[:_LOOKED_AT]
    count = next((index for index, line in enumerate(lines) if not _COMMENT.fullmatch(line.strip())), 0)
    if not count or not any(line.strip() for line in lines[count:]):
        return text, first_line
    first, *rows = csv.reader(lines[count - 1 :], delimiter=delimiter)
    if rows and len(first) == len(rows[0]) > 1 and not against_a_record([cell.strip() for cell in rows[0]], rows[1:]):
        count -= 1
    if not count:
        return text, first_line
    problem(
        f"comments above the header, left out ({lines[0].strip()[:60]!r})", list(range(first_line, first_line + count))
    )
    return text[len("\n".join(lines[:count])) + 1 :], first_line + count
