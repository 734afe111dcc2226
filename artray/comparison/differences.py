"""What compared models say of each work, the works on which they differ, and how good they are by artist, decade, ….

All are tables, for CSV and the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.classifiers.breakdown import decades_of, shares_by
from artray.comparison.subjects import Works
from artray.errors import InputError, did_you_mean
from artray.storage import Location

DECADE = "decade"
_YEARS = ("year", "date")
_DESCRIBED = ("title", "artist")
_SAID = ("label", "score", "right")


@dataclass(frozen=True)
class Records:
    """What the manifest says of the works.

    Attributes:
        columns: By name (works,) texts, None where it says nothing.
    """

    columns: Mapping[str, Sequence[str | None]]

    @property
    def decades(self) -> list[str | None] | None:
        """Of each work, `1870s`; None where there is no column `year` or `date`."""
        for name in _YEARS:
            if name in self.columns:
                return decades_of(self.columns[name])
        return None


def read_records(manifest: Location | None, works: Works) -> Records:
    """The manifest's columns of text, of the works.

    Raises:
        InputError: It is no manifest.
    """
    if manifest is None:
        return Records({})
    dataset = manifest.dataset()
    if "object_id" not in dataset.schema.names:
        raise InputError(f"--manifest {manifest}: has no column 'object_id': it is no manifest")
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating)
    names = [field.name for field in dataset.schema if any(kind(field.type) for kind in kinds)]
    wanted = pa.array(works.object_ids, pa.string())
    table = dataset.to_table(columns=names, filter=pc.field("object_id").isin(wanted))
    indices = pc.index_in(wanted, value_set=table["object_id"].combine_chunks())
    return Records({name: table[name].take(indices).cast(pa.string()).to_pylist() for name in names})


def predictions_table(works: Works, records: Records) -> pa.Table:
    """A row a work: what is known of it, what is true, and what each model said with which score."""
    columns: dict[str, pa.Array] = {"object_id": pa.array(works.object_ids)}
    for name in _DESCRIBED:
        if name in records.columns:
            columns[name] = pa.array(records.columns[name], pa.string())
    columns["image_uri"] = pa.array(works.image_uris, pa.string())
    columns["group"] = pa.array(works.groups)
    columns["true"] = pa.array(works.labels(works.true))
    for subject, scores, given, right in zip(works.subjects, works.scores, works.given, works.right, strict=True):
        columns[f"{subject.name}: label"] = pa.array(works.labels(given))
        if not works.multilabel:
            columns[f"{subject.name}: score"] = pa.array(scores[np.arange(len(works)), given])
        columns[f"{subject.name}: right"] = pa.array(right)
        for at, name in enumerate(works.classes):
            of = f"score of {name}" if name in _SAID else name  # a class may be called "right"
            columns[f"{subject.name}: {of}"] = pa.array(scores[:, at])
    return pa.table(columns)


def differing(works: Works) -> npt.NDArray[np.int64]:
    """Works of which the models don't all say the same; those first of which some are right, and surest and wrong."""
    labels = np.array([works.labels(given) for given in works.given], dtype=object)
    apart = (labels != labels[0]).any(axis=0)
    right = np.array(works.right)
    wrong = np.zeros(len(works))
    for scores, given, is_right in zip(works.scores, works.given, right, strict=True):
        sure = scores.max(axis=1) if works.multilabel else scores[np.arange(len(works)), given]
        wrong = np.maximum(wrong, np.where(is_right, 0, sure))
    some = right.any(axis=0) & ~right.all(axis=0)
    order = np.lexsort((np.arange(len(works)), -wrong, ~some))
    return np.asarray(order[apart[order]], np.int64)


@dataclass(frozen=True)
class Breakdown:
    """How good models are on the works of one value of a column.

    Attributes:
        column: Which.
        value: Its value; `unknown` where the manifest says nothing.
        n: How many works.
        accuracy: Of each model.
        intervals: Of each, 95 % (Clopper and Pearson).
    """

    column: str
    value: str
    n: int
    accuracy: list[float]
    intervals: list[tuple[float, float]]


def breakdown(works: Works, records: Records, by: Sequence[str]) -> list[Breakdown]:
    """Accuracies by the values of columns, those first of which there are most works; decades in their order.

    Args:
        works: The works.
        records: What is known of them.
        by: Columns of the manifest, or `decade`. Empty: artist (else what the split kept together) and decade, where
            they are known.

    Raises:
        InputError: There is no such column.
    """
    asked = list(by)
    if not asked:
        asked = ["artist"] if "artist" in records.columns else ["group"] if works.grouped else []
        asked += [DECADE] if records.decades is not None else []
    rows: list[Breakdown] = []
    for column in asked:
        shares = shares_by(works.right, _values(works, records, column), in_order=column == DECADE)
        rows += [Breakdown(column, each.value, each.n, each.accuracy, each.intervals) for each in shares]
    return rows


def _values(works: Works, records: Records, column: str) -> Sequence[str | None]:
    if column == DECADE and DECADE not in records.columns:
        decades = records.decades
        if decades is None:
            raise InputError("--by decade: needs --manifest with a column 'year' or 'date'")
        return decades
    if column in records.columns:
        return records.columns[column]
    if column == "group":
        return works.groups
    known = [*records.columns, "group"]
    hint = did_you_mean(column, known)
    raise InputError(f"--by {column}: no such column{hint} (of --manifest there is: {', '.join(known)})")


def breakdown_table(rows: Sequence[Breakdown], names: Sequence[str]) -> pa.Table:
    """The rows as columns."""
    columns: dict[str, list[object]] = {
        "column": [row.column for row in rows],
        "value": [row.value for row in rows],
        "works": [row.n for row in rows],
    }
    for at, name in enumerate(names):
        columns[f"{name}: accuracy"] = [row.accuracy[at] for row in rows]
        columns[f"{name}: lower"] = [row.intervals[at][0] for row in rows]
        columns[f"{name}: upper"] = [row.intervals[at][1] for row in rows]
    return pa.table(columns)
