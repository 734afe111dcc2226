"""Values inside cells that hold objects: `movements[].name` of `[{"id": 7, "name": "Cubism"}]` is `Cubism`.

JSON's nested values stand in a cell as JSON text. A path names a value within: names divided by dots, `[]` where a list
is gone through. The path's column is made where it is asked for.
"""

import ast
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.cells import LIST_SEPARATOR

_OBJECTS = r"""^\s*(\[\s*)?\{\s*(\}|['"])"""  # RE2
_LOOKED_AT = 200  # cells
_DEPTH = 6
_MOST_PATHS = 200


def with_paths(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """A table with a column for each name that is none of its columns but a path into one.

    Args:
        table: Strings.
        names: Columns and paths; a name that is neither is left to others to refuse.
    """
    for name in names:
        if name in table.column_names:
            continue
        column, path = _divided(table, name)
        if column is None or not holds_objects(table[column]):
            continue
        encoded = pc.dictionary_encode(table[column].combine_chunks())
        texts = [_values(_parsed(text), path) for text in encoded.dictionary.to_pylist()]
        if any(text is not None for text in texts):
            values = pa.array(texts, pa.string()).take(encoded.indices)
            table = table.append_column(name, pa.chunked_array([values]))
    return table


def holds_objects(column: pa.ChunkedArray) -> bool:
    """Whether most of a column's cells hold JSON objects, or lists of them."""
    head = column.drop_null().slice(0, _LOOKED_AT)
    return len(head) > 0 and pc.mean(pc.match_substring_regex(head, _OBJECTS)).as_py() > 0.5


def paths_in(table: pa.Table, name: str) -> list[str]:
    """The paths to plain values inside a column's cells, those found most often first; none for a plain column."""
    column = table[name]
    if not holds_objects(column):
        return []
    counts: Counter[str] = Counter()
    for text in column.drop_null().slice(0, _LOOKED_AT).to_pylist():
        counts.update(set(_paths(_parsed(text), name)))
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0].count("."), len(item[0])))
    return [path for path, _ in order[:_MOST_PATHS]]


def objects_in_labels(table: pa.Table, labels: Mapping[str, str]) -> list[str]:
    """A line for each task whose column holds objects, with paths to what is in them."""
    lines = []
    for task, column in labels.items():
        if column in table.column_names and (paths := paths_in(table, column)):
            shown = ", ".join(paths[:5])
            lines.append(
                f"{task}: column {column!r} holds objects; --label {task}=PATH takes a value in them ({shown})"
            )
    return lines


def _divided(table: pa.Table, name: str) -> tuple[str | None, list[str]]:
    """The column that a path begins with, and the names behind it."""
    columns = [column for column in table.column_names if name.startswith((f"{column}.", f"{column}[]"))]
    if not columns:
        return None, []
    column = max(columns, key=len)
    return column, [step for step in name[len(column) :].replace("[]", ".").split(".") if step]


def _parsed(text: str) -> Any:
    """A cell's value: JSON, or what Python prints of one; None for any other text."""
    try:
        return json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _paths(value: Any, above: str, depth: int = 0) -> Iterator[str]:
    if depth > _DEPTH:
        return
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _paths(below, f"{above}.{name}", depth + 1)
    elif isinstance(value, list):
        for below in value:
            yield from _paths(below, f"{above}[]", depth + 1)
    elif value is not None:
        yield above


def _values(value: Any, path: list[str]) -> str | None:
    """The different values at a path, joined by `|`."""
    texts = [text for text in _at(value, path) if text]
    return LIST_SEPARATOR.join(dict.fromkeys(texts)) or None


def _at(value: Any, path: list[str], depth: int = 0) -> Iterator[str]:
    if isinstance(value, list):
        for item in value if depth <= _DEPTH else ():
            yield from _at(item, path, depth + 1)
    elif path:
        if isinstance(value, dict):
            yield from _at(value.get(path[0]), path[1:], depth)
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, (str, int, float)):
        yield str(value).strip()
