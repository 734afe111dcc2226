"""What programs write around the lines of a text table: quotes around whole records, lines of dashes, comments."""

import csv
import io
import re
from collections.abc import Callable

from artray.catalogs.cells import AddProblem
from artray.catalogs.header import against_a_record

_LOOKED_AT = 50  # lines
_RULE = re.compile(r"[ \t]*[|+]?[-=:+| \t]*-{2,}[-=:+| \t]*\r?")  # of Markdown, psql and MySQL
_COMMENT = re.compile(r"#+ *[^\s#].*")
_WHOLE = re.compile(r'"(?:[^"\n]|"")*"\r?')


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
    return re.sub(r'(?m)^"((?:[^"\n]|"")*)"(\r?)$', lambda found: found[1].replace('""', '"') + found[2], text)


def without_rules(text: str, first_line: int, problem: AddProblem) -> str:
    """A text without the lines of dashes above and below its records, which are left blank."""
    lines = text[: 1 << 16].split("\n")[:_LOOKED_AT]
    rules = [place for place, line in enumerate(lines[:-1] if len(lines) > 1 else []) if _RULE.fullmatch(line)]
    if not rules or rules[0] > 3:
        return text
    begin = len("\n".join(lines[: rules[-1] + 1]))
    head = "\n".join("" if place in rules else line for place, line in enumerate(lines[: rules[-1] + 1]))
    rest, end = text[begin:], ""
    last = rest.rstrip().rfind("\n")
    if last >= 0 and _RULE.fullmatch(rest[last + 1 :].rstrip()):
        rules.append(text.count("\n", 0, begin + last + 1))
        rest, end = rest[: last + 1], "\n"
    problem("lines of dashes, left out", [first_line + place for place in rules])
    return head + rest + end


def without_comments(text: str, delimiter: str, first_line: int, problem: AddProblem) -> tuple[str, int]:
    """A text without the lines above the header that begin with `#`, and the line in which it begins.

    A header may begin so too: it has as many cells as the line below it, and that is a record.
    """
    lines = text[: 1 << 16].split("\n")[:_LOOKED_AT]
    count = next((place for place, line in enumerate(lines) if not _COMMENT.fullmatch(line.strip())), 0)
    if not count:
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
