"""Label Studio: tasks with the labels as predictions, and the labelling interface that shows them.

    tasks.json    [{"data": {image, object_id, title}, "predictions": [{model_version, score, result}]}, …]
    config.xml    the interface: a control of the task's name with its classes

Import `tasks.json` into a project that has `config.xml` as its interface. What people make of the predictions comes
back with `--corrections`, as Label Studio's own export in JSON (see `artray.catalogs.label_studio`): a work is known by
`object_id`. Works without any label have no prediction; a prediction's score is that of its least sure label. `image`
is the picture's address, which Label Studio must be able to read: of files on this machine it needs its local storage.

Source: https://labelstud.io/guide/predictions (October 2026).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pyarrow as pa
import pyarrow.compute as pc

from artray.job import Counts
from artray.labeling.exports.files import dumped, whole_files
from artray.labeling.exports.source import LabelledTask, Source, iri, shortest, side_by_side

TASKS, CONFIG = "tasks.json", "config.xml"
_COLUMNS = ("object_id", "image_uri", "label", "labels", "label_uri", "score", "scores", "model_id")
_IMAGE = "image"


def write_label_studio(source: Source, folder: Path) -> Counts:
    """Write both files; the folder's others stay."""
    rows = predictions = 0
    classes: dict[str, dict[str, None]] = {task.name: {} for task in source.tasks}
    with whole_files(folder, [r"tasks\.json", r"config\.xml"]) as scratch:
        with (scratch / TASKS).open("w", encoding="utf-8") as file:
            file.write("[")
            for item in _tasks(source, classes):
                file.write(("\n" if not rows else ",\n") + dumped(item))
                rows += 1
                predictions += len(item["predictions"])
            file.write("\n]\n")
        (scratch / CONFIG).write_text(_config(source, classes), encoding="utf-8")
    return {"file": str(folder / TASKS), "rows": rows, "predictions": predictions}


def _tasks(source: Source, classes: dict[str, dict[str, None]]) -> Iterator[dict[str, Any]]:
    titles = source.lookup(source.column("title"))
    for tables in side_by_side(source.tasks, _COLUMNS):
        for task, table in zip(source.tasks, tables, strict=True):
            classes[task.name] |= dict.fromkeys(_named(table))
        ids = pc.coalesce(*(table["object_id"] for table in tables))
        names = titles.of(ids) if titles else [None] * len(ids)
        for object_id, title, *labels in zip(
            ids.to_pylist(), names, *(table.to_pylist() for table in tables), strict=True
        ):
            there = [row for row in labels if row["image_uri"]]
            said = [(task, row) for task, row in zip(source.tasks, labels, strict=True) if row["label"] is not None]
            scores = [row["score"] for _, row in said if row["score"] is not None]
            prediction = {
                "model_version": ", ".join(dict.fromkeys(row["model_id"] for _, row in said)),
                **({"score": shortest(min(scores))} if scores else {}),
                "result": [_result(source, task, object_id, row) for task, row in said],
            }
            yield {
                "data": {
                    _IMAGE: iri(there[0]["image_uri"]) if there else "",
                    "object_id": object_id,
                    **({"title": title} if title else {}),
                },
                "predictions": [prediction] if said else [],
            }


def _result(source: Source, task: LabelledTask, object_id: str, row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": source.uri("annotation", f"{task.name}/{object_id}"),
        "from_name": task.name,
        "to_name": _IMAGE,
        "type": "choices",
        "value": {"choices": [each.label for each in task.said(row)]},
    }


def _named(table: pa.Table) -> list[str]:
    """All classes that a table's rows know, those of people too."""
    names: dict[str, None] = {}
    for column in (table["scores"], table["labels"]):
        for chunk in column.chunks:
            values = chunk.keys if pa.types.is_map(chunk.type) else chunk.flatten()
            names |= dict.fromkeys(pc.unique(values).drop_null().to_pylist())
    return list(names)


def _config(source: Source, classes: dict[str, dict[str, None]]) -> str:
    lines = ["<View>", f'  <Image name="{_IMAGE}" value="${_IMAGE}"/>']
    for task in source.tasks:
        several = "multiple" if task.multilabel else "single"
        lines.append(f'  <Header value="{task.name}"/>')
        lines.append(f'  <Choices name="{task.name}" toName="{_IMAGE}" choice="{several}" showInLine="true">')
        lines += [f"    <Choice value={quoteattr(_legal(name))}/>" for name in sorted(classes[task.name])]
        lines.append("  </Choices>")
    return "\n".join([*lines, "</View>"]) + "\n"


def _legal(text: str) -> str:
    """Without what XML can't hold."""
    return "".join(sign for sign in text if sign in "\t\n\r" or ord(sign) >= 32)
