"""Which of the labels that a model learns from, or is tested by, people have checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.corrections import Corrections
from artray.catalogs.statements import Decision, folded

_DECISIONS = get_args(Decision)


def review_columns(target: str, schema: pa.Schema) -> list[str]:
    """Those columns that tell who has checked a target column's labels, as `ingest --corrections` writes them."""
    names = [f"{target}_reviewer", f"{target}_decision"]
    return names if set(names) <= set(schema.names) else []


def reviewers_of(table: pa.Table, target: str, task: str, corrections: Corrections | None) -> pa.Array:
    """Who has checked each row's label: a name, empty where none was given; null: nobody.

    Args:
        table: Rows with `object_id`, and `review_columns` where the table has them.
        target: The column of the labels.
        task: Of which corrections tell.
        corrections: The latest word of people, which counts for more than the columns.
    """
    said = {} if corrections is None else corrections.said(task)
    by = {folded(object_id): one.reviewer or "" for object_id, one in said.items()}
    told: Sequence[str | None] = [None] * len(table)
    if review_columns(target, table.schema):
        # They may be the catalogue's own, of any kind.
        names, decided = (table[name].to_pylist() for name in review_columns(target, table.schema))
        told = [
            None if what not in _DECISIONS else "" if who is None else str(who)
            for who, what in zip(names, decided, strict=True)
        ]
    if not by:
        return pa.array(told, pa.string())
    ids = map(folded, table["object_id"].to_pylist())
    return pa.array([by.get(object_id, before) for object_id, before in zip(ids, told, strict=True)], pa.string())


def count_reviewed(object_ids: pa.ChunkedArray, reviewers: pa.Array) -> dict[str, int]:
    """How many of some works' labels were checked, and by how many people: no names, which a model need not tell.

    Args:
        object_ids: Of each row; a work may have several.
        reviewers: As from `reviewers_of`.

    Returns:
        `works`, and `people` who gave their names; empty where nobody has checked any.
    """
    checked = object_ids.filter(pc.is_valid(reviewers))
    names = set(reviewers.drop_null().to_pylist()) - {""}
    return {"works": pc.count_distinct(checked).as_py(), "people": len(names)} if len(checked) else {}
