"""JSON lines: a label a line, for programs, and back with `--corrections`.

    {"image", "object_id", "task", "label", "predicted", "score", "model_id", "labeled_at", "decision",
     "reviewer", "reviewed_at"}

`label` is what is known best: the reviewer's where somebody has looked (null: none is right), else the model's, which
`predicted` always is. `decision` is accepted, corrected or rejected after a review, else label or uncertain. Of a task
in which a work may have several labels both hold all of them in one text, with semicolons between them. Pictures
without a label have no line. Read back, lines that nobody has looked at are no corrections: those with neither
`reviewer` nor `reviewed_at` whose `decision` is label or uncertain.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from artray.catalogs.statements import cell_of
from artray.job import Counts
from artray.labeling.exports.files import dumped, whole_file
from artray.labeling.exports.source import DECISION, LabelledTask, Source, iri, shortest, utc

_COLUMNS = ("object_id", "image_uri", "label", "labels", "score", "model_id", "labeled_at")


def write_json_lines(source: Source, path: Path) -> Counts:
    """Write the lines, task by task."""
    rows = 0
    with whole_file(path) as scratch, scratch.open("w", encoding="utf-8", newline="\n") as file:
        for task in source.tasks:
            for table in task.batches(_COLUMNS):
                for row in table.filter(pc.is_valid(table["label"])).to_pylist():
                    file.write(dumped(_line(task, row)) + "\n")
                    rows += 1
    return {"file": str(path), "rows": rows}


def _line(task: LabelledTask, row: dict[str, Any]) -> dict[str, Any]:
    predicted = cell_of(row["labels"]) if task.multilabel else row["label"]
    return {
        "image": iri(row["image_uri"]),
        "object_id": row["object_id"],
        "task": task.name,
        "label": row["reviewed_label"] if row["review"] else predicted,
        "predicted": predicted,
        "score": None if row["score"] is None else shortest(row["score"]),
        "model_id": row["model_id"],
        "labeled_at": utc(row["labeled_at"]),
        "decision": row["review"] or row[DECISION.name],
        "reviewer": row["reviewer"],
        "reviewed_at": row["reviewed_at"],
    }
