"""Label Studio's export in JSON: tasks with `data`, and `annotations` with `completed_by` and `result`.

A result's `from_name` is the control it was made with, and here the task. Choices, ratings, numbers and taxonomies of
the whole picture are labels; regions of it are none.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from artray.agreement.annotations import Rows
from artray.catalogs.cells import LIST_SEPARATOR
from artray.errors import InputError, did_you_mean

_LISTS = ("annotations", "completions")  # today's name, and that of early versions
_LOOKED_AT = 200
_IN_A_PATH = " / "


def is_export(table: pa.Table) -> bool:
    """Whether a table's rows are Label Studio's tasks."""
    return _list_column(table) is not None


def _list_column(table: pa.Table) -> str | None:
    for name in _LISTS:
        if name in table.column_names:
            for text in table[name].drop_null().slice(0, _LOOKED_AT).to_pylist():
                if any("result" in item for item in _objects(text)):
                    return name
    return None


def read_export(table: pa.Table, work: str | None, labels: Mapping[str, str]) -> Rows:
    """Annotations of an export.

    Annotations marked as ground truth are gold, and count for no annotator. Skipped ones are left out.

    Args:
        table: The tasks, as `artray.catalogs` reads them: nested values are JSON.
        work: The key of `data` that names the work, or a column such as `id`; default: the only key there is.
        labels: The control of each of our tasks; none: every control, under its own name.

    Raises:
        InputError: There is no such key or control, or several keys and none is named.
    """
    name = _list_column(table)
    assert name is not None
    objects: list[str | None] = []
    people: list[str | None] = []
    answers: list[dict[str, str]] = []
    gold: list[bool] = []
    left_out: Counter[str] = Counter()
    for row, of_work in zip(table[name].to_pylist(), _works(table, work), strict=True):
        for annotation in _objects(row):
            if annotation.get("was_cancelled") is True or annotation.get("skipped") is True:
                left_out["annotations skipped by their annotator"] += 1
                continue
            said, other = _answers(annotation.get("result"))
            if other:
                left_out["regions and texts, which are no labels of a work"] += other
            objects.append(of_work)
            people.append(_person(annotation.get("completed_by")))
            answers.append(said)
            gold.append(annotation.get("ground_truth") is True)
    controls = Counter(control for said in answers for control in said)
    wanted = labels or {control: control for control in controls}
    for task, control in wanted.items():
        if control not in controls:
            known = ", ".join(controls) or "none"
            hint = did_you_mean(control, controls)
            raise InputError(f"--label {task}={control}: no annotation answers it{hint} (there is: {known})")
    if not wanted:
        raise InputError("the export holds no choice, rating or number about a whole picture")
    columns = {f"label {task}": [said.get(control) for said in answers] for task, control in wanted.items()}
    cells = {"object": objects, "annotator": people, **columns}
    rows = pa.table({key: pa.array(values, pa.string()) for key, values in cells.items()})
    return Rows(rows, np.array(gold, bool), {task: f"label {task}" for task in wanted}, dict(left_out))


def _works(table: pa.Table, work: str | None) -> Iterator[str | None]:
    if work in table.column_names and work not in ("data", *_LISTS):
        yield from table[work].to_pylist()
        return
    if "data" not in table.column_names:
        raise InputError(
            f"--object {work or 'KEY'}: the export's tasks have no data (they have: {', '.join(table.column_names)})"
        )
    data = [_object(text) for text in table["data"].to_pylist()]
    keys = list(dict.fromkeys(key for values in data for key in values))
    name = work.removeprefix("data.") if work else None
    if name is None:
        if len(keys) != 1:
            shown = ", ".join(keys) or "none"
            raise InputError(f"--object KEY says which key of the tasks' data names the work (there is: {shown}, id)")
        (name,) = keys
    if name not in keys:
        raise InputError(
            f"--object {name}: the tasks' data have no such key{did_you_mean(name, keys)} (there is: {', '.join(keys)})"
        )
    for values in data:
        value = values.get(name)
        yield str(value).strip() or None if value is not None else None


def _answers(result: Any) -> tuple[dict[str, str], int]:
    """The labels of each control, several joined; and how many results are none."""
    said: dict[str, list[str]] = {}
    others = 0
    for item in result if isinstance(result, list) else ():
        found = _labels(item) if isinstance(item, dict) else None
        if found is None:
            others += 1
        else:
            said.setdefault(str(item.get("from_name")), []).extend(found)
    return {control: LIST_SEPARATOR.join(found) for control, found in said.items() if found}, others


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


def _person(given: Any) -> str | None:
    """Who completed an annotation: a number, an address, or an object that holds them."""
    if isinstance(given, dict):
        given = next((given[key] for key in ("email", "username", "id") if given.get(key)), None)
    return None if given is None else str(given).strip() or None


def _objects(text: str | None) -> list[dict[str, Any]]:
    try:
        values = json.loads(text) if text and text.lstrip().startswith("[") else []
    except (ValueError, RecursionError):
        return []
    return [value for value in values if isinstance(value, dict)]


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
