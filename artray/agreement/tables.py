"""Tables of annotations in the forms that people have them: a row an annotation, a column an annotator, an export."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.agreement.annotations import Rows
from artray.catalogs.cells import LIST_SEPARATOR
from artray.errors import InputError, did_you_mean, first_of


def column(table: pa.Table, name: str, asked: str) -> pa.Array:
    """A column of text.

    Args:
        table: Which has it.
        name: Its name.
        asked: How the user asked for it, for the message.

    Raises:
        InputError: There is none of that name.
    """
    if name not in table.column_names:
        hint = did_you_mean(name, table.column_names)
        raise InputError(f"{asked}: there is no such column{hint} (there is: {', '.join(table.column_names)})")
    return table[name].combine_chunks()


def read_long(
    table: pa.Table, object_column: str, annotator_column: str, labels: Mapping[str, str], gold: str | None = None
) -> Rows:
    """Annotations of a table with a row for each.

    Args:
        table: Text.
        object_column: Which column names the work.
        annotator_column: Which names who labelled it.
        labels: The column of each task's labels.
        gold: The annotator whose labels are right.

    Raises:
        InputError: There is no such column, or no such annotator.
    """
    people = column(table, annotator_column, f"--annotator {annotator_column}")
    columns = {f"label {task}": plain(column(table, name, f"--label {task}={name}")) for task, name in labels.items()}
    is_gold: npt.NDArray[Any] = np.zeros(len(table), bool)
    if gold is not None:
        is_gold = np.asarray(pc.fill_null(pc.equal(people, gold), False))
        if not is_gold.any():
            known = pc.unique(people.drop_null()).to_pylist()
            raise InputError(
                f"--gold-annotator {gold}: there is none{did_you_mean(gold, known)} (there is: {first_of(known, 8)})"
            )
    objects = column(table, object_column, f"--object {object_column}")
    return Rows(
        pa.table({"object": objects, "annotator": people, **columns}),
        is_gold,
        {task: f"label {task}" for task in labels},
    )


def read_wide(
    table: pa.Table, object_column: str, annotators: Sequence[str], task: str, gold: str | None = None
) -> Rows:
    """Annotations of a table with a row a work and a column an annotator.

    Args:
        table: Text.
        object_column: Which column names the work.
        annotators: The columns with their labels.
        task: What the labels are called.
        gold: The column with labels that are right.

    Raises:
        InputError: There is no such column.
    """
    objects = column(table, object_column, f"--object {object_column}")
    given = {name: column(table, name, f"--annotators {name}") for name in annotators if name != gold}
    if gold is not None:
        given[gold] = column(table, gold, f"--gold-annotator {gold}")
    if len(given) < 2:
        raise InputError("--annotators: agreement needs the columns of two annotators or more")
    rows = pa.table(
        {
            "object": pa.concat_arrays([objects] * len(given)),
            "annotator": pa.concat_arrays([pa.repeat(pa.scalar(name), len(table)) for name in given]),
            "label": plain(pa.concat_arrays(list(given.values()))),
        }
    )
    is_gold = np.repeat([name == gold for name in given], len(table))
    # A cell that is empty is no annotation; that it is missing is counted with the others'.
    return Rows(rows, is_gold, {task: "label"})


def plain(cells: pa.Array) -> pa.Array:
    """Cells in which Label Studio wrote an answer as JSON, `{"choices": ["a", "b"]}`, as the values in it."""
    encoded = pc.dictionary_encode(cells)
    texts = [_plain(text) for text in encoded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _plain(text: str) -> str:
    if not text.startswith(("{", "[")):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return LIST_SEPARATOR.join(value)
    return text


def with_gold(rows: Rows, gold: pa.Table, object_column: str, labels: Mapping[str, str]) -> Rows:
    """Annotations with the works whose label is known.

    Args:
        rows: The annotations.
        gold: A table of those works.
        object_column: Which of its columns names the work.
        labels: The column of a task's labels in it, for each task that it is about.

    Raises:
        InputError: There is no such column.
    """
    objects = column(gold, object_column, f"--object {object_column}")
    missing = pa.nulls(len(gold), pa.string())
    more = {"object": objects, "annotator": missing}
    for task, name in rows.tasks.items():
        more[name] = plain(column(gold, labels[task], f"--gold: {labels[task]}")) if task in labels else missing
    table = pa.concat_tables([rows.table, pa.table(more)])
    return Rows(table, np.concatenate([rows.gold, np.ones(len(gold), bool)]), rows.tasks, rows.left_out)


def named_as_in(rows: Rows, manifest: pa.Table) -> tuple[Rows, list[str]]:
    """Annotations whose works are called as in a manifest.

    A work is found by its `object_id`, else by the name of its picture's file, with or without its suffix, wherever a
    labelling tool has put it (`/data/upload/3/1b2c3d4e-w1.jpg`, `…?d=scans/w1.jpg`). A name that two pictures have
    names none.

    Args:
        rows: The annotations.
        manifest: `object_id` and `image_uri`.

    Returns:
        The annotations, and the works that the manifest does not have, which keep their name.
    """
    encoded = pc.dictionary_encode(rows.table["object"].combine_chunks())
    works: list[str] = encoded.dictionary.to_pylist()
    ids, uris = manifest["object_id"], manifest["image_uri"]
    number_of = _look_up(works, ids, ids)
    files = pc.replace_substring_regex(uris, r"^.*/", "")
    for names in (files, pc.replace_substring_regex(files, r"\.[^.]*$", "")):
        for shorten in (_file, _without_prefix, _stem):
            rest = {shorten(work): work for work in works if work not in number_of}
            number_of |= {rest[name]: number for name, number in _look_up(list(rest), names, ids).items()}
    renamed = pa.array([number_of.get(work, work) for work in works], pa.string()).take(encoded.indices)
    table = rows.table.set_column(rows.table.column_names.index("object"), "object", renamed)
    return Rows(table, rows.gold, rows.tasks, rows.left_out), [work for work in works if work not in number_of]


def _look_up(wanted: list[str], names: pa.ChunkedArray, ids: pa.ChunkedArray) -> dict[str, str]:
    """The ids of those that one row is called."""
    fits = pc.fill_null(pc.is_in(names, pa.array(wanted, pa.string())), False)
    number_of: dict[str, str] = {}
    several = set()
    for name, number in zip(names.filter(fits).to_pylist(), ids.filter(fits).to_pylist(), strict=True):
        if number_of.setdefault(name, number) != number:
            several.add(name)
    return {name: number for name, number in number_of.items() if name not in several}


def _file(work: str) -> str:
    return unquote(re.split(r"[/\\=]", work.rstrip("/"))[-1])


def _without_prefix(work: str) -> str:
    """Label Studio puts eight digits before the name of an uploaded file."""
    return re.sub(r"^[0-9a-f]{8}-", "", _file(work))


def _stem(work: str) -> str:
    return re.sub(r"\.[^.]*$", "", _without_prefix(work))
