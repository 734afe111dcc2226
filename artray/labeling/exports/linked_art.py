"""Linked Art: each work with what was assigned to it, as JSON-LD, one record a line.

A label is an AttributeAssignment, not a plain `classified_as`: the museum's own data says what the museum holds to be
true, and a program's opinion stays one, with who, when and how sure. An uncertain label's assignment is classified as
"possibly" (AAT 300435722). A style is classified as such (AAT 300015646). A label without AAT id is a concept by a URI
of our own; none is made up. Of several labels of a work each is an assignment; where none is sure enough to be said,
the most likely is there as "possibly". Works without any label have no record.

Sources: https://linked.art/model/assertion/ and https://linked.art/api/1.0/ (shape of the assignment). That model knows
persons and groups as actors and no programs; artray and its model stand there as a group. What a person has accepted or
given is an assignment too, by that person; a model's assignment says what somebody decided about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

import artray
from artray.job import Counts
from artray.labeling.exports.files import dumped, whole_file
from artray.labeling.exports.reviews import KEPT
from artray.labeling.exports.source import UNCERTAIN, LabelledTask, Said, Source, shortest, side_by_side, utc
from artray.vocabulary import AAT, load_vocabulary

CONTEXT = "https://linked.art/ns/v1/linked-art.json"
STYLE = {"id": f"{AAT}300015646", "type": "Type", "_label": "Styles and Periods"}
POSSIBLY = {"id": f"{AAT}300435722", "type": "Type", "_label": "Possibly"}
_COLUMNS = ("object_id", "image_uri", "label", "label_uri", "score", "model_id", "labeled_at")
_SEVERAL = ("labels", "scores")  # read only where there may be several labels: scores of all classes are many

Json = dict[str, Any]


def write_linked_art(source: Source, path: Path) -> Counts:
    """Write a record for each work that has a label."""
    rows = assignments = 0
    with whole_file(path) as scratch, scratch.open("w", encoding="utf-8") as file:
        for record in _records(source):
            file.write(dumped(record) + "\n")
            rows += 1
            assignments += len(record["attributed_by"])
    return {"file": str(path), "rows": rows, "assignments": assignments}


def _records(source: Source) -> Iterator[Json]:
    titles = source.lookup(source.column("title"))
    several = any(task.multilabel for task in source.tasks)
    for tables in side_by_side(source.tasks, (*_COLUMNS, *_SEVERAL) if several else _COLUMNS):
        ids = pc.coalesce(*(table["object_id"] for table in tables))
        names = titles.of(ids) if titles else [None] * len(ids)
        for object_id, title, *labels in zip(
            ids.to_pylist(), names, *(table.to_pylist() for table in tables), strict=True
        ):
            given = [(task, row) for task, row in zip(source.tasks, labels, strict=True) if row["label"] is not None]
            if given:
                name = [{"type": "Name", "content": title}] if title else []
                yield {
                    "@context": CONTEXT,
                    "id": source.uri("object", object_id),
                    "type": "HumanMadeObject",
                    "_label": title or object_id,
                    "identified_by": [*name, {"type": "Identifier", "content": object_id}],
                    "attributed_by": [
                        assignment for task, row in given for assignment in _assignments(source, task, row)
                    ],
                }


def _assignments(source: Source, task: LabelledTask, row: Json) -> Iterator[Json]:
    """By software, and by a person."""
    if not task.only_accepted:
        yield from (_assignment(source, task, row, said) for said in task.said(row))
    if row["review"] not in KEPT:
        return
    who = row["reviewer"]
    at = {"begin_of_the_begin": row["reviewed_at"], "end_of_the_end": row["reviewed_at"]} if row["reviewed_at"] else {}
    for name in task.several(row["reviewed_label"]):
        yield {
            "type": "AttributeAssignment",
            "_label": f"{task.name} by {who or 'a person'}",
            "identified_by": [{"type": "Name", "content": task.name}],
            "assigned_property": "classified_as",
            "assigned": [_concept(source, task, name, task.concept(name))],
            "carried_out_by": [{"id": source.person(who), "type": "Person", **({"_label": who} if who else {})}],
            **({"timespan": {"type": "TimeSpan", **at}} if at else {}),
        }


def _concept(source: Source, task: LabelledTask, label: str, uri: str | None) -> Json:
    concept: Json = {"id": uri or source.uri("concept", f"{task.name}/{label}"), "type": "Type", "_label": label}
    if _is_style(task.name, uri):
        concept["classified_as"] = [STYLE]
    if same := task.elsewhere(label):
        concept["equivalent"] = [{"id": each, "type": "Type", "_label": label} for each in same]
    return concept


def _told(row: Json) -> Iterator[Json]:
    """What somebody decided about a model's label, as a note."""
    if row["review"]:
        by, at = (
            f" {word} {row[name]}" if row[name] else "" for word, name in (("by", "reviewer"), ("at", "reviewed_at"))
        )
        yield {"type": "LinguisticObject", "content": f"{row['review']}{by}{at}"}


def _assignment(source: Source, task: LabelledTask, row: Json, said: Said) -> Json:
    at = utc(row["labeled_at"])
    score = [] if said.score is None else [{"type": "LinguisticObject", "content": f"score {shortest(said.score)}"}]
    return {
        "type": "AttributeAssignment",
        "_label": f"{task.name} by {row['model_id']}",
        **({"classified_as": [POSSIBLY]} if row["decision"] == UNCERTAIN else {}),
        "identified_by": [{"type": "Name", "content": task.name}],
        "assigned_property": "classified_as",
        "assigned": [_concept(source, task, said.label, said.uri)],
        "carried_out_by": [
            {
                "id": source.uri("model", row["model_id"]),
                "type": "Group",
                "_label": f"artray {source.run.get('artray', artray.__version__)} (software), model {row['model_id']}",
            }
        ],
        "timespan": {"type": "TimeSpan", "begin_of_the_begin": at, "end_of_the_end": at},
        "referred_to_by": [*score, *_told(row)],
    }


@cache
def _styles() -> frozenset[str]:
    return frozenset(each.uri for each in load_vocabulary("style").classes if each.uri)


def _is_style(task: str, uri: str | None) -> bool:
    return uri in _styles() if uri else task == "style"
