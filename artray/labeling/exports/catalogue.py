"""The museum's own catalogue file, with the labels' columns added: see `artray.catalogs.widened`.

A work's row is the one that has its object_id in the column that holds most of them. Each task adds

    TASK_label, TASK_label_uri, TASK_score, TASK_decision, TASK_labels, TASK_model_id, TASK_labeled_at,
    TASK_review, TASK_reviewed_label, TASK_reviewer, TASK_reviewed_at

named `artray_TASK_…` where the catalogue has such columns already.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from artray import console
from artray.catalogs.catalog import Reading
from artray.catalogs.folder import load_catalog
from artray.catalogs.formulas import guard
from artray.catalogs.widened import key_column, widened
from artray.errors import InputError, count_of
from artray.job import Counts
from artray.labeling.exports.files import whole_file
from artray.labeling.exports.reviews import REVIEW
from artray.labeling.exports.source import DECISION, SEPARATOR, LabelledTask, Source, shortest, utc
from artray.storage import Location

_COLUMNS = ("label", "label_uri", "score", DECISION.name, "labels", "model_id", "labeled_at")
_STORED = ("object_id", "label", "label_uri", "score", "labels", "model_id", "labeled_at")


def write_catalogue(source: Source, catalogue: Location, folder: Path) -> Counts:
    """Write the file under its own name.

    Args:
        source: The labels.
        catalogue: The museum's file: text or .xlsx.
        folder: Where to.

    Raises:
        InputError: It can't be read, or has no column with the works' ids.
    """
    name = catalogue.name
    catalog = load_catalog(catalogue, Reading(list_texts=False))
    ids = pa.concat_arrays([pa.array([], pa.string()), *(_ids(task) for task in source.tasks)]).unique()
    try:
        key = key_column(catalog, ids)
    except InputError as error:
        raise InputError(f"--catalog {catalogue}: {error}") from None
    row_of: dict[str, int] = {}
    for row, object_id in enumerate(catalog.table[key].to_pylist()):
        if object_id is not None:
            row_of.setdefault(object_id, row)
    cells: dict[int, list[str]] = {}
    names: list[str] = []
    there = set(catalog.table.column_names)
    for task in source.tasks:
        own_columns = [f"{task.name}_{column}" for column in (*_COLUMNS, *(item.name for item in REVIEW))]
        own_columns = [f"artray_{column}" for column in own_columns] if there & set(own_columns) else own_columns
        for object_id, texts in _texts(task):
            if object_id in row_of:
                before = cells.setdefault(row_of[object_id], [])
                before += [""] * (len(names) - len(before)) + texts
        names += own_columns
    full = {row: own_cells + [""] * (len(names) - len(own_cells)) for row, own_cells in cells.items()}
    is_text = not name.lower().endswith(".xlsx")
    if is_text:  # a workbook's cells say that they are texts
        full = {row: guard(pa.array(cells_of_row, pa.string())).to_pylist() for row, cells_of_row in full.items()}
    data, lost = widened(catalogue.read_bytes(), name, catalog, names, full)
    with whole_file(folder / name) as scratch:
        scratch.write_bytes(data)
    known = int(pc.sum(pc.is_in(ids, pa.array(list(row_of), pa.string()))).as_py() or 0)
    console.say(f"catalogue: {known:,} of {len(ids):,} labelled works have a row in {name}, by its column {key!r}")
    if lost:
        held = count_of(lost, "cell holds", "cells hold")
        console.say(f"catalogue: {held} letters that the encoding of {name} lacks, now '?'")
    return {"file": str(folder / name), "rows": len(catalog.table), "labelled": known}


def _ids(task: LabelledTask) -> pa.Array:
    batches = [table["object_id"].combine_chunks() for table in task.batches(["object_id"])]
    return pa.concat_arrays([pa.array([], pa.string()), *batches])


def _texts(task: LabelledTask) -> Iterator[tuple[str, list[str]]]:
    """Each work's id with its cells."""
    for table in task.batches(_STORED):
        for row in table.to_pylist():
            values = [row[name] for name in (*_COLUMNS, *(item.name for item in REVIEW))]
            yield (
                row["object_id"],
                [_text(name, value) for name, value in zip(_COLUMNS + ("",) * len(REVIEW), values, strict=True)],
            )


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name == "score":
        return str(shortest(value))
    if name == "labels":
        return SEPARATOR.join(value)
    return utc(value) if name == "labeled_at" else str(value)
