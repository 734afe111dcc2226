"""Label Studio's export (see `catalogs.label_studio`) as annotations of several people: a control is a task."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from artray.agreement.annotations import Rows
from artray.catalogs.label_studio import LISTS, answers_of, completed_by, list_column, listed
from artray.errors import InputError, did_you_mean


def is_export(table: pa.Table) -> bool:
    """Whether a table's rows are Label Studio's tasks."""
    return list_column(table) is not None


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
    name = list_column(table)
    assert name is not None
    objects: list[str | None] = []
    people: list[str | None] = []
    answers: list[dict[str, str]] = []
    gold: list[bool] = []
    left_out: Counter[str] = Counter()
    for row, of_work in zip(table[name].to_pylist(), _works(table, work), strict=True):
        for annotation in listed(row):
            if annotation.get("was_cancelled") is True or annotation.get("skipped") is True:
                left_out["annotations skipped by their annotator"] += 1
                continue
            said, other = answers_of(annotation.get("result"))
            if other:
                left_out["regions and texts, which are no labels of a work"] += other
            objects.append(of_work)
            people.append(completed_by(annotation.get("completed_by")))
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
    if work in table.column_names and work not in ("data", *LISTS):
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


def _object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
