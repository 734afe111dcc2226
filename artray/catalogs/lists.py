"""Cells that hold a list written as text, in Python, JSON or R: `['Cubism', 'Fauvism']` is `Cubism|Fauvism`."""

import ast
import csv
import json
import re
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.cells import LIST_SEPARATOR, AddProblem

# RE2. `[1900]` is a date that the museum infers; NumPy writes `array([...], dtype=object)`, Postgres `{a,"b c"}`.
_LIST = (
    r"""^(?:array\(|frozenset\(|c)?[\[({]\s*(?:['"](?s:.*)['"]\s*,?\s*)?[\])}](?:, dtype=[a-z0-9<'"]+)?\)?$"""
    r"""|^\{[^{}:'"]*\}$|^\{(?:"[^{}:"]*"|[^{}:'",]+)(?:,(?:"[^{}:"]*"|[^{}:'",]+))*\}$"""
    r"""|^(?:set|frozenset|character)\(0?\)$"""
)
_FILLED = r"""^(?:array\(|frozenset\(|c)?[\[({]\s*['"]|^\{[^{}:'"]+\}$"""
_WRAPPED = re.compile(r"""(?s)(?:array|frozenset)\((.*?)(?:,\s*dtype=[^()]+)?\)""")
_POSTGRES = re.compile(r"""\{((?:"[^{}:"]*"|[^{}:'",]*)(?:,(?:"[^{}:"]*"|[^{}:'",]+))*)\}""")
_EMPTY = re.compile(r"(?:set|frozenset|character)\(0?\)")
_BARE = r"""^\[[^\[\]{}'"]*\]$"""  # as Java writes it
_NUMBER = re.compile(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?")
_LEAST_SHARE = 0.5
_LEAST_BARE = 0.95
_LOOKED_AT = 2000


def read_list_texts(table: pa.Table, problem: AddProblem) -> pa.Table:
    """A table with the values of lists joined by `|`, in columns at least half of whose cells are lists of texts.

    Args:
        table: Strings.
        problem: Is told which columns.
    """
    for index, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        head = column.drop_null().slice(0, _LOOKED_AT)
        if not len(head) or not pc.any(pc.match_substring_regex(head, rf"^\[|{_FILLED}"), min_count=0).as_py():
            continue
        bare = _are_bare(head)
        if not bare and pc.mean(pc.match_substring_regex(head, _LIST)).as_py() < _LEAST_SHARE:
            continue
        encoded = pc.dictionary_encode(column.combine_chunks())
        texts: list[str] = encoded.dictionary.to_pylist()
        read = [LIST_SEPARATOR.join(_bare(text)) if bare else _joined(text) for text in texts]
        if sum(new != text for new, text in zip(read, texts, strict=True)) < len(texts) * _LEAST_SHARE:
            continue
        values = pa.array([text or None for text in read], pa.string()).take(encoded.indices)
        table = table.set_column(index, name, pa.chunked_array([values]))
        problem(f"column {name!r} holds lists written as text, their values are now joined by {LIST_SEPARATOR!r}")
    return table


def _are_bare(head: pa.ChunkedArray) -> bool:
    """Whether cells hold lists without quotes, `[Cubism, Dada]`: some have several values, and most values come again.

    Titles and dates in brackets, which the museum inferred, are none: `[Landscape, with cows]`, `[1900]`; nor are
    numbers, which are places in a picture.
    """
    if pc.mean(pc.match_substring_regex(head, _BARE)).as_py() < _LEAST_BARE:
        return False
    lists = [_bare(text) for text in pc.unique(head).to_pylist()]
    values = [value for values in lists for value in values]
    again = sum(count for count in Counter(values).values() if count > 1)
    numbers = sum(bool(_NUMBER.fullmatch(value)) for value in values)
    return any(len(values) > 1 for values in lists) and 2 * again > len(values) and 2 * numbers < len(values)


def _bare(text: str) -> list[str]:
    inside = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return [value for value in map(str.strip, inside.split(",")) if value and value not in ("null", "None", "nan")]


def _joined(text: str) -> str:
    """The values of a list of texts; any other text as it stands."""
    if _EMPTY.fullmatch(text):
        return ""
    if text.startswith("c(") and text.endswith(")"):  # R's
        text = f"[{text[2:-1]}]"
    wrapped = _WRAPPED.fullmatch(text)
    text_of_list = wrapped[1] if wrapped else text
    if match := _POSTGRES.fullmatch(text_of_list):
        words = [word.strip().strip('"').strip() for word in next(csv.reader([match[1]]), [])]
        return LIST_SEPARATOR.join(word for word in words if word and word != "NULL")
    if not re.match(r"""[\[({]\s*(['"\])])""", text_of_list):
        return text
    try:
        values = json.loads(text_of_list)
    except (ValueError, RecursionError):
        try:
            # NumPy divides texts by spaces alone, and to Python such texts are one.
            values = ast.literal_eval(re.sub(r"""(['"])\s+(['"])""", r"\1, \2", text_of_list))
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            return text
    if isinstance(values, set):
        values = sorted(values, key=str)
    if isinstance(values, (list, tuple)) and all(value is None or isinstance(value, str) for value in values):
        return LIST_SEPARATOR.join(value.strip() for value in values if value and value.strip())
    return text
