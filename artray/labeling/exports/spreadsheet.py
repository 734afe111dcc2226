"""A wide CSV for the museum's own system: a row an object, fourteen columns a task.

    object_id, image_uri, title
    TASK_label, TASK_label_uri, TASK_score, TASK_decision, TASK_status, TASK_error, TASK_labels,
    TASK_learned_from, TASK_model_id, TASK_labeled_at,
    TASK_review, TASK_reviewed_label, TASK_reviewer, TASK_reviewed_at

`TASK_label` is the most likely class. `TASK_labels` holds all that are said, with semicolons between them: of a task
with one label that one, of a task with several any number, also none. The last four say what somebody said of the label
(see `artray.labeling.exports.reviews`).

UTF-8, commas, quotes where a cell needs them. `title` is there where the feature table has one. A cell that a
spreadsheet could take for a formula has an apostrophe before it (see `artray.catalogs.formulas`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from artray.catalogs.formulas import guard
from artray.job import Counts
from artray.labeling.exports.files import whole_file
from artray.labeling.exports.reviews import REVIEW
from artray.labeling.exports.source import DECISION, SEPARATOR, Source, side_by_side

_ADDED = ("learned_from", "model_id", "labeled_at")
COLUMNS = (
    "label",
    "label_uri",
    "score",
    DECISION.name,
    "status",
    "error",
    "labels",
    *_ADDED,
    *(item.name for item in REVIEW),
)
_STORED = ("object_id", "image_uri", "label", "labels", "label_uri", "score", "status", "error", *_ADDED)
_KINDS = {"score": pa.float32(), "learned_from": pa.bool_(), "labeled_at": pa.timestamp("s", tz="UTC")}
_BOM = b"\xef\xbb\xbf"


def write_csv(source: Source, path: Path, *, bom: bool = False) -> Counts:
    """Write the CSV.

    Args:
        source: The labels; each object once a task.
        path: The file.
        bom: Begin with a byte order mark, without which older Excel takes UTF-8 for the local encoding.
    """
    titles = source.lookup(source.column("title"))
    fields = [pa.field(name, pa.string()) for name in ("object_id", "image_uri", *(["title"] if titles else []))]
    for task in source.tasks:
        fields += [pa.field(f"{task.name}_{name}", _KINDS.get(name, pa.string())) for name in COLUMNS]
    schema = pa.schema(fields)
    rows = 0
    with whole_file(path) as scratch, scratch.open("wb") as sink:
        if bom:
            sink.write(_BOM)
        with pacsv.CSVWriter(sink, schema) as writer:
            for tables in side_by_side(source.tasks, _STORED):
                ids = _first(tables, "object_id")
                columns = [ids, _first(tables, "image_uri")]
                if titles:
                    columns.append(pa.chunked_array([pa.array(titles.of(ids), pa.string())]))
                columns += [_cells(table[name]) for table in tables for name in COLUMNS]
                cells = [_guarded(column) if pa.types.is_string(column.type) else column for column in columns]
                writer.write_table(pa.table(cells, schema=schema))
                rows += len(ids)
    return {"file": str(path), "rows": rows}


def _cells(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(column.type):
        return column.cast(_KINDS["labeled_at"], safe=False)
    return pc.binary_join(column, SEPARATOR) if pa.types.is_list(column.type) else column


def _guarded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([guard(chunk) for chunk in column.chunks], column.type)


def _first(tables: Sequence[pa.Table], name: str) -> pa.ChunkedArray:
    """A column that all tasks have, from the first task that has the row."""
    return pc.coalesce(*(table[name] for table in tables)) if len(tables) > 1 else tables[0][name]
