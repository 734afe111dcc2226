"""The job that says which works to label first: balanced over what is known of them, and unlike each other.

OUT/plan.csv      a row a work, in the order in which to label, with the task and an empty column for the label
OUT/plan.json     how many works of each value

Values of the columns (artist, decade, a model's label) take turns, so that small ones are not forgotten. Within a value
the first work is the most typical, and each next one that which is least like all that were chosen, of the artists of
whom fewest works were chosen so far. So a plan can be stopped anywhere, and a longer one begins with the shorter one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

import artray
from artray import console
from artray.catalogs.formulas import csv_bytes
from artray.classifiers.breakdown import decades_of
from artray.comparison.differences import DECADE
from artray.errors import InputError, count_of, did_you_mean
from artray.features.columns import matrix
from artray.job import Counts, Options
from artray.storage import RUN, Location, keep_apart, refuse_other_file, refuse_other_job

_JOB = "sample-plan"
_MOST = 20_000  # works among which are looked for
_FEATURES = ("embedding", "style_statistics")
_SHOWN = ("title", "artist", "year", "date", "image_uri")
_UNKNOWN = "unknown"

Floats = npt.NDArray[np.floating[Any]]


class PlanOptions(Options):
    """Say which works to label first: balanced over artists, decades or what else is known, and unlike each other."""

    manifest: Location = Field(description="the manifest", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for the plan", examples=["URI"])
    works: int = Field(50, ge=1, le=100_000, description="how many to label")
    by: list[str] = Field(
        [],
        description="columns of the manifest or of --labels, or decade, whose values are to be balanced; default: "
        "decade, where years are known",
        examples=["COLUMN,COLUMN"],
    )
    task: str | None = Field(
        None,
        description="the task that is to be labelled; works that have a label of it already are left out",
        examples=["NAME"],
    )
    features: Location | None = Field(
        None,
        description="feature table of the same works: chosen are those that look unlike each other; default: by lot",
        examples=["URI"],
    )
    labels: Location | None = Field(
        None,
        description="labels that a first model gave (one task's folder): --by label balances its classes",
        examples=["URI"],
    )
    seed: int = Field(0, ge=0, description="for all that is drawn by lot")


def sample_plan(options: PlanOptions) -> Counts:
    """Write the plan.

    Raises:
        InputError: A table lacks a column, there is nothing to label, or `out` can't be written, holds something else
            or is the place of an input.
    """
    out = options.out
    keep_apart(out, {"--features": options.features, "--labels": options.labels}, {"--manifest": options.manifest})
    refuse_other_job(out, _JOB)
    refuse_other_file(out, "plan.json", b'"job": "sample-plan"')
    table, by = _candidates(options)
    strata = _strata(table, by, options.manifest)
    groups = [
        group or name
        for group, name in zip(
            table["group" if "group" in table.column_names else "object_id"].to_pylist(),
            table["object_id"].to_pylist(),
            strict=True,
        )
    ]
    lots = np.array([_lot(name, options.seed) for name in table["object_id"].to_pylist()])
    kept = _within(lots, strata)
    features = None if options.features is None else _features(options.features, table.take(kept))
    if features is not None:
        there = np.isfinite(features).all(axis=1)
        if not there.any():
            raise InputError(f"--features {options.features}: has none of the works of {options.manifest}")
        if not there.all():
            console.say(f"left out: {count_of(int((~there).sum()), 'work')} without features")
        kept, features = kept[there], features[there]
    own_strata = [strata[row] for row in kept.tolist()]
    chosen = kept[plan([groups[row] for row in kept.tolist()], own_strata, lots[kept], features, options.works)]
    out.ensure_writable()
    counted = Counter(strata[row] for row in chosen.tolist())
    (out / "plan.csv").write_bytes(
        csv_bytes(_plan_table(table.take(chosen), [strata[at] for at in chosen.tolist()], options.task))
    )
    told = {
        "job": _JOB,
        "artray": artray.__version__,
        "options": options.model_dump(mode="json"),
        "candidates": len(table),
        "strata": dict(counted.most_common()),
        "groups": len({groups[row] for row in chosen.tolist()}),
    }
    (out / "plan.json").write_json(told)
    (out / RUN).write_json({"job": _JOB})
    if by:
        rows = [[name, count] for name, count in counted.most_common(20)]
        console.table(f"{count_of(len(chosen), 'work')} to label, by {', '.join(by)}", ["", "works"], rows)
    if len(chosen) < options.works:
        console.say(f"no more than {count_of(len(chosen), 'work')} to label could be found")
    columns = "the column 'label'" if options.task else "the columns 'task' and 'label'"
    console.say(f"fill in {columns} of {out / 'plan.csv'}, then: artray ingest … --corrections {out / 'plan.csv'}")
    return {
        "rows": len(table), "ok": len(chosen), "out": str(out), "strata": len(counted), "groups": told["groups"],
    }  # fmt: skip


def plan(
    groups: Sequence[str], strata: Sequence[str], lots: npt.NDArray[Any], features: Floats | None, works: int
) -> npt.NDArray[np.int64]:
    """Which works to label, in order.

    Args:
        groups: (n,) the artist of each, or whatever makes works alike.
        strata: (n,) the value that is to be balanced.
        lots: (n,) numbers by which ties are broken.
        features: (n, d), standardised or not; None: by lot.
        works: How many at most.

    Returns:
        Places in the sequences.
    """
    n = len(groups)
    _, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    names, of = np.unique(np.asarray(strata, dtype=str), return_inverse=True)
    used = np.zeros(group.max() + 1, np.int64)
    free = np.ones(n, bool)
    distance = np.full(n, np.inf)
    points = None
    if features is not None:
        points = np.asarray(features, np.float32)
        points = points - points.mean(axis=0)
        points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    rows_of = [np.flatnonzero(of == value) for value in range(len(names))]
    chosen: list[int] = []
    while len(chosen) < min(works, n):
        for rows in rows_of:
            left = rows[free[rows]]
            if not len(left) or len(chosen) >= works:
                continue
            left = left[used[group[left]] == used[group[left]].min()]
            if points is None:
                pick = int(left[np.argmin(lots[left])])
            elif not free[rows].all():
                pick = int(left[np.argmax(distance[left])])
            else:  # the first of its value: the most typical
                middle = points[rows].mean(axis=0)
                pick = int(left[np.argmax(points[left] @ middle)])
            chosen.append(pick)
            free[pick] = False
            used[group[pick]] += 1
            if points is not None:
                distance = np.minimum(distance, 1 - points @ points[pick])
    return np.array(chosen, np.int64)


def _candidates(options: PlanOptions) -> tuple[pa.Table, list[str]]:
    """The works that may be labelled, and the columns that are balanced."""
    dataset = options.manifest.dataset()
    known = dataset.schema.names
    if "object_id" not in known:
        raise InputError(f"--manifest {options.manifest}: has no column 'object_id': it is no manifest")
    if options.task is not None and options.task not in known:
        hint = did_you_mean(options.task, known)
        raise InputError(f"--task {options.task}: {options.manifest} has no such column{hint}")
    by = list(options.by) or ([DECADE] if {"year", "date"} & set(known) else [])
    wanted = ["object_id", "group", "status", *_SHOWN, *by, *([options.task] if options.task else [])]
    table = dataset.to_table(columns=[name for name in dict.fromkeys(wanted) if name in known])
    if "status" in table.column_names:
        table = table.filter(pc.equal(table["status"], "ok"))
    if options.task is not None:
        cells = table[options.task]
        if pa.types.is_string(cells.type):
            empty = pc.or_kleene(pc.is_null(cells), pc.equal(cells, ""))
        else:
            empty = pc.is_null(cells)
        table = table.filter(empty)
    if options.labels is not None:
        given = options.labels.dataset().to_table()
        if "object_id" not in given.column_names:
            raise InputError(f"--labels {options.labels}: has no column 'object_id': give one task's folder of labels")
        names = [name for name in by if name in given.column_names and name not in table.column_names]
        if not names:
            raise InputError(
                f"--labels {options.labels}: --by names none of its columns: give --by label, or leave it out"
            )
        indices = pc.index_in(table["object_id"], value_set=given["object_id"].combine_chunks())
        for name in names:
            table = table.append_column(name, given[name].take(indices))
    if not len(table):
        raise InputError(f"--manifest {options.manifest}: there is no work without a label")
    return table, by


def _strata(table: pa.Table, by: Sequence[str], manifest: Location) -> list[str]:
    columns_told = []
    for column in by:
        if column in table.column_names:
            columns_told.append([str(cell) if cell is not None else _UNKNOWN for cell in table[column].to_pylist()])
        elif column == DECADE and {"year", "date"} & set(table.column_names):
            years = table["year" if "year" in table.column_names else "date"].to_pylist()
            decades = decades_of([str(cell) if cell is not None else None for cell in years])
            columns_told.append([decade or _UNKNOWN for decade in decades])
        else:
            hint = did_you_mean(column, table.column_names)
            raise InputError(f"--by {column}: neither {manifest} nor --labels has such a column{hint}")
    return ["; ".join(values) for values in zip(*columns_told, strict=True)] if columns_told else [""] * len(table)


def _lot(name: str, seed: int) -> int:
    key = str(seed).encode()
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=7, key=key).digest(), "big")


def _within(lots: npt.NDArray[Any], strata: Sequence[str]) -> npt.NDArray[np.int64]:
    """Of very many works some, by lot, of each value alike."""
    n = len(lots)
    if n <= _MOST:
        return np.arange(n)
    _, of = np.unique(np.asarray(strata, dtype=str), return_inverse=True)
    order = np.lexsort((lots, of))
    starts = np.append(0, np.flatnonzero(np.diff(of[order])) + 1)
    rank = np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))
    chosen = order[np.lexsort((lots[order], rank))][:_MOST]
    console.say(f"of {n:,} works {_MOST:,} are looked at, by lot, of each value alike")
    return np.sort(chosen)


def _features(features: Location, table: pa.Table) -> Floats:
    """(works, d), NaN where a work has none."""
    dataset = features.dataset()
    column = next((name for name in _FEATURES if name in dataset.schema.names), None)
    if column is None or "object_id" not in dataset.schema.names:
        raise InputError(f"--features {features}: has no column 'embedding': it is extract-features that writes it")
    wanted = table["object_id"].combine_chunks()
    rows = pc.field("object_id").isin(wanted)
    if "status" in dataset.schema.names:
        rows = rows & (pc.field("status") == "ok")
    embedded = dataset.to_table(columns=["object_id", column], filter=rows)
    indices = pc.index_in(wanted, value_set=embedded["object_id"].combine_chunks()).to_pylist()
    values = matrix(embedded[column], column) if len(embedded) else np.zeros((0, 1))
    told = np.full((len(table), values.shape[1]), np.nan, np.float32)
    for row, at in enumerate(indices):
        if at is not None:
            told[row] = values[at]
    return told


def _plan_table(table: pa.Table, strata: Sequence[str], task: str | None) -> pa.Table:
    columns: dict[str, pa.Array] = {"object_id": table["object_id"].cast(pa.string()).combine_chunks()}
    for name in _SHOWN:
        if name in table.column_names:
            columns[name] = table[name].cast(pa.string()).combine_chunks()
    columns["chosen_for"] = pa.array(list(strata), pa.string())
    columns["task"] = pa.array([task or ""] * len(table))
    columns["label"] = pa.array([""] * len(table))
    return pa.table(columns)
