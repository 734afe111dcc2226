"""Label Studio's export in JSON: tasks with `data`, and `annotations` with `completed_by` and `result`.

A result's `from_name` is the control it was made with. Choices, ratings, numbers and taxonomies of the whole picture
are labels; regions of it are none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from artray.catalogs.cells import LIST_SEPARATOR
from artray.catalogs.statements import Annotation, Statement, cell_of, moment, one_line

LISTS = ("annotations", "completions")  # today's name, and that of early versions
_LOOKED_AT = 200
_IN_A_PATH = " / "
_PICTURES = ("image", "url", "picture")


def list_column(table: pa.Table) -> str | None:
    """The column of a table that holds annotations; None: these are not Label Studio's tasks."""
    for name in LISTS:
        if name in table.column_names:
            for text in table[name].drop_null().slice(0, _LOOKED_AT).to_pylist():
                if any("result" in item for item in listed(text)):
                    return name
    return None


def read_statements(table: pa.Table) -> Iterator[Annotation | None]:
    """What people said of the works of an export: each control is a task; None for each annotation that is skipped.

    The work is `data.object_id`, else it is known by its picture. What the model had said is the annotation's own
    prediction, or the task's first.
    """
    column = list_column(table)
    assert column is not None
    nothing = [None] * len(table)
    data = table["data"].to_pylist() if "data" in table.column_names else nothing
    predicted = table["predictions"].to_pylist() if "predictions" in table.column_names else nothing
    for row, values, before in zip(table[column].to_pylist(), map(_object, data), predicted, strict=True):
        object_id = values.get("object_id")
        picture = next((values[key] for key in _PICTURES if isinstance(values.get(key), str)), None)
        first = next(iter(listed(before)), {})
        for annotation in listed(row):
            if annotation.get("was_cancelled") is True or annotation.get("skipped") is True:
                yield None
                continue
            said, _ = _answers(annotation.get("result"))
            prediction = annotation.get("prediction")
            told, _ = _answers(
                (prediction if isinstance(prediction, dict) and prediction.get("result") else first).get("result")
            )
            person, at = one_line(completed_by(annotation.get("completed_by"))), moment(_time(annotation))
            # A control that was emptied says that none of its labels is right.
            for task in {**told, **said}:
                statement = Statement(cell_of(said.get(task, [])), cell_of(told.get(task, [])), person, at)
                yield Annotation(statement, None if object_id is None else str(object_id), task, picture)


def _time(annotation: Mapping[str, Any]) -> str | None:
    at = annotation.get("updated_at") or annotation.get("created_at")
    return at if isinstance(at, str) else None


def answers_of(result: Any) -> tuple[dict[str, str], int]:
    """The labels of each control, several joined; and how many results are none."""
    said, others = _answers(result)
    return {control: LIST_SEPARATOR.join(labels) for control, labels in said.items()}, others


def _answers(result: Any) -> tuple[dict[str, list[str]], int]:
    said: dict[str, list[str]] = {}
    others = 0
    for item in result if isinstance(result, list) else ():
        labels = _labels(item) if isinstance(item, dict) else None
        if labels is None:
            others += 1
        else:
            said.setdefault(str(item.get("from_name")), []).extend(labels)
    return {control: labels for control, labels in said.items() if labels}, others


def _labels(item: Mapping[str, Any]) -> Sequence[str] | None:
    value = item.get("value")
    if not isinstance(value, dict) or "x" in value or "points" in value or "rle" in value:
        return None
    match item.get("type"):
        case "choices":
            given = value.get("choices")
            return [str(choice).strip() for choice in given] if isinstance(given, list) else None
        case "rating" | "number" as kind:
            return [str(value[kind])] if value.get(kind) is not None else []
        case "taxonomy":
            paths = value.get("taxonomy")
            if not isinstance(paths, list) or not all(isinstance(path, list) for path in paths):
                return None
            return [_IN_A_PATH.join(map(str, path)) for path in paths]
    return None


def completed_by(given: Any) -> str | None:
    """Who completed an annotation: a number, an address, or an object that holds them."""
    if isinstance(given, dict):
        given = next((given[key] for key in ("email", "username", "id") if given.get(key)), None)
    return None if given is None else str(given).strip() or None


def listed(text: str | None) -> list[dict[str, Any]]:
    """The objects of a cell that holds a list of them in JSON."""
    try:
        values = json.loads(text) if text and text.lstrip().startswith("[") else []
    except (ValueError, RecursionError):
        return []
    return [value for value in values if isinstance(value, dict)]


def _object(text: str | None) -> dict[str, Any]:
    return next(iter(listed(f"[{text}]")), {}) if text else {}
