"""From a catalogue's cells to a task's labels: one class a row (`labels`), or all that its cell names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.cells import LIST_SEPARATOR
from artray.catalogs.columns import Task
from artray.catalogs.labels import Labels, read_labels, values_of
from artray.errors import count_of
from artray.vocabulary import Vocabulary, fold


def read_task_labels(
    column: pa.ChunkedArray | pa.Array, how: Task, vocabulary: Vocabulary | None, separator: str | None
) -> Labels:
    """A task's labels, one a row or lists of them, as its mapping says.

    Args:
        column: Cells as text, null where empty.
        how: How they are read.
        vocabulary: The classes there are; see `labels.read_labels`.
        separator: What stands between several values of a cell.

    Raises:
        InputError: A class or grouping that `how` names does not exist.
    """
    if separator and separator != LIST_SEPARATOR and not _holds(column, separator) and _holds(column, LIST_SEPARATOR):
        separator = LIST_SEPARATOR  # lists, of JSON or written as text: no mark of the catalogue's own divides them
    given: dict[str, Any] = {
        "separator": separator,
        "grouping": how.grouping,
        "merge": how.merge,
        "keep": how.keep,
        "min_class_size": how.min_class_size,
    }
    if how.several == "all" or how.several == "found":
        lists = read_label_lists(column, vocabulary, **given)
        longest = pc.max(pc.list_value_length(lists.labels)).as_py() or 0
        return lists if how.several == "all" or longest > 1 else read_labels(column, vocabulary, **given)
    return read_labels(column, vocabulary, several=how.several, **given)


# What may stand between the values of a cell and is not divided unless the user says so: it belongs to names too.
_MARKS = (
    ", ",
    ",",
    " / ",
    "/",
    " & ",
    " + ",
    " and ",
    " und ",
    " et ",
    "<br>",
    "<br/>",
    "\t",
    "::",
    " • ",
    "、",
    "^^",
    "~",
    "#",
)


def undivided(column: pa.ChunkedArray | pa.Array, vocabulary: Vocabulary | None) -> str | None:
    """A word on cells that seem to hold several values, each of which is a label elsewhere: `A / B` beside `A` and `B`.

    Args:
        column: Cells as text, null where empty, of which no separator is known.
        vocabulary: The classes there are.
    """
    counts = {item["values"]: item["counts"] for item in pc.value_counts(pc.drop_null(column)).to_pylist()}
    known = {fold(text) for text in counts} | set(vocabulary.spellings() if vocabulary is not None else ())
    for mark in _MARKS:
        several: dict[str, int] = {}
        for text, count in counts.items():
            words = {fold(word) for word in text.split(mark) if word.strip()} if mark in text else set()
            if len(words) > 1 and words <= known and fold(text) not in words:
                several[text] = count
        if several:
            most = max(several, key=lambda text: several[text])
            cells = count_of(sum(several.values()), "cell")
            return (
                f"{cells} with {mark!r} between values that are labels by themselves ({most}); --separator divides them"
            )
    return None


def _holds(column: pa.ChunkedArray | pa.Array, mark: str) -> bool:
    return bool(pc.any(pc.match_substring(column, mark), min_count=0).as_py())


def read_label_lists(
    column: pa.ChunkedArray | pa.Array,
    vocabulary: Vocabulary | None = None,
    *,
    separator: str | None = None,
    grouping: str | None = None,
    merge: Mapping[str, Sequence[str]] | None = None,
    keep: Sequence[str] | None = None,
    min_class_size: int = 1,
) -> Labels:
    """Give each row all classes that its cell names.

    Args:
        column: Cells as text, null where empty.
        vocabulary: As in `labels.read_labels`, like all that follow.
        separator: What stands between several values of a cell.
        grouping: One of the vocabulary's; the groups are the labels.
        merge: New class by the classes it replaces.
        keep: The only classes kept.
        min_class_size: Classes with fewer rows are dropped.

    Returns:
        Lists of strings in the order of the cell, each class once; null where a row has none. `dropped` counts values,
        not rows.

    Raises:
        InputError: A class in `merge` or `keep`, or the grouping, does not exist.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    cells = pc.dictionary_encode(array)
    values = [values_of(text, separator) or [""] for text in cells.dictionary.to_pylist()]
    # One row a value: those of each different cell, of which an empty one has none.
    number = np.array([*map(len, values), 1])
    code = np.asarray(pc.fill_null(cells.indices, len(values)))
    start = np.cumsum(number) - number
    flat: list[str | None] = [value for cell in values for value in cell]
    owner = np.repeat(np.arange(len(code)), number[code])
    within = np.arange(len(owner)) - np.repeat(np.cumsum(number[code]) - number[code], number[code])
    order = pa.array(start[code[owner]] + within)
    read = read_labels(
        pa.array([*flat, None], pa.string()).take(order),
        vocabulary,
        grouping=grouping,
        merge=merge,
        keep=keep,
        min_class_size=min_class_size,
    )
    table = pa.table({"row": owner, "label": read.labels}).filter(pc.is_valid(read.labels))
    # Two values of a cell may be one class.
    table = table.append_column("place", pa.array(np.arange(len(table)))).group_by(["row", "label"])
    table = table.aggregate([("place", "min")]).sort_by("place_min")
    each = np.bincount(np.asarray(table["row"]), minlength=len(array))
    ends = np.concatenate([[0], np.cumsum(each)]).astype(np.int32)
    labels = pa.ListArray.from_arrays(pa.array(ends), table["label"].combine_chunks().cast(pa.string()))
    lists = labels.take(pa.array(np.arange(len(array)), mask=each == 0))
    counted = {item["values"]: item["counts"] for item in table["label"].value_counts().to_pylist()}
    return replace(read, labels=lists, counts={name: counted[name] for name in read.classes})


def each_label(labels: pa.ChunkedArray | pa.Array) -> tuple[list[int], list[str | None]]:
    """Every label of every row: the rows' numbers, and the labels, None for a row without one.

    Args:
        labels: Text, or lists of it.
    """
    rows: list[list[str] | str | None] = labels.to_pylist()
    lists = [row if isinstance(row, list) and row else [None if isinstance(row, list) else row] for row in rows]
    return [number for number, row in enumerate(lists) for _ in row], [label for row in lists for label in row]


def rarest(labels: pa.ChunkedArray | pa.Array) -> list[str | None]:
    """One label a row, by which a split can be dealt out: of several the rarest, None where there is none.

    Args:
        labels: Text, or lists of it.
    """
    rows: list[list[str] | str | None] = labels.to_pylist()
    if not (pa.types.is_list(labels.type) or pa.types.is_large_list(labels.type)):
        return [row if isinstance(row, str) else None for row in rows]
    counts = {item["values"]: item["counts"] for item in pc.value_counts(pc.list_flatten(labels)).to_pylist()}
    return [min(row, key=lambda name: (counts[name], name)) if row else None for row in rows]
