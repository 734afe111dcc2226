"""VIKUS Viewer's `data.csv`: a row an object, its labels as keywords.

    id, keywords, year, _title, _TASK, _TASK_score, …

VIKUS Viewer (https://github.com/cpietsch/vikus-viewer) needs `id`, by which it finds the pictures of its sprites,
`keywords` with commas between them, and `year`. Columns that begin with an underscore are shown of a single work.
Labels that are uncertain are no keywords. `year` is the first year in the date that has four digits
and is of our era; without one, empty.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from artray.catalogs.formulas import guard
from artray.catalogs.years import year_of
from artray.job import Counts
from artray.labeling.exports.files import whole_file
from artray.labeling.exports.source import DECISION, LABEL, SEPARATOR, Source, side_by_side

_COLUMNS = ("object_id", "label", "labels", "score")


def write_vikus(source: Source, path: Path) -> Counts:
    """Write the CSV, in UTF-8 with commas."""
    titles = source.lookup(source.column("title"))
    dates = source.lookup(source.column("year", "date"))
    shown = [name for task in source.tasks for name in (f"_{task.name}", f"_{task.name}_score")]
    schema = pa.schema([pa.field(name, pa.string()) for name in ("id", "keywords", "year", "_title", *shown)])
    rows = 0
    with whole_file(path) as scratch, scratch.open("wb") as sink, pacsv.CSVWriter(sink, schema) as writer:
        for tables in side_by_side(source.tasks, _COLUMNS):
            ids = pc.coalesce(*(table["object_id"] for table in tables))
            keywords: list[list[str]] = [[] for _ in range(len(ids))]
            details: list[pa.Array] = []
            for table in tables:
                sure = table[DECISION.name].to_pylist()
                labels = table["labels"].to_pylist()
                for words, said, decided in zip(keywords, labels, sure, strict=True):
                    if decided == LABEL:
                        words += [name.replace(",", " ") for name in said]
                told = [
                    SEPARATOR.join(said) if said and decided == LABEL else None
                    for said, decided in zip(labels, sure, strict=True)
                ]
                details += [pa.array(told, pa.string()), table["score"].cast(pa.string()).combine_chunks()]
            years = [year_of(text or "") for text in dates.of(ids)] if dates else [None] * len(ids)
            columns = [
                ids.cast(pa.string()),
                pa.array([",".join(dict.fromkeys(words)) for words in keywords], pa.string()),
                pa.array(years, pa.string()),
                pa.array(titles.of(ids) if titles else [None] * len(ids), pa.string()),
                *details,
            ]
            writer.write_table(pa.table([_guarded(column) for column in columns], schema=schema))
            rows += len(ids)
    return {"file": str(path), "rows": rows}


def _guarded(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return guard(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
