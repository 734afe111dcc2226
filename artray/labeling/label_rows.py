"""A model's scores as rows of labels."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.classifier import Bundle
from artray.labeling.contract import SCORES
from artray.labeling.decisions import decide
from artray.storage import stack_lists


def label_rows(
    staged: pa.Table,
    column: str,
    bundle: Bundle,
    run_id: str,
    at: datetime,
    *,
    prior: npt.NDArray[np.float64] | None = None,
    novelty: str | None = None,
) -> pa.Table:
    """Staged scores as rows of the contract: the class that is said, or all that are, and all classes' scores.

    Args:
        staged: `object_id`, `image_uri`, `status`, `error` and the scores.
        column: The scores' name: lists of float32 in the order of the bundle's classes, null where not ok.
        bundle: Gives the classes' names and URIs, and where a work may have several labels their thresholds.
        run_id: Of this run.
        at: When it began, UTC.
        prior: (classes,) the collection's mix of classes, under which scores are then; None: the training part's.
        novelty: The name of a column with each work's novelty; None: nobody knows it.
    """
    names = [item.name for item in bundle.classes]
    scored = np.asarray(pc.is_valid(staged[column]))
    scores = stack_lists(staged[column].drop_null(), column, len(names))
    decided = decide(scores, bundle.decision, shares=bundle.class_shares(), prior=prior)
    scores = decided.scores.astype(np.float32)
    best = np.zeros(len(staged), np.int64)
    best[scored] = decided.label
    top = np.zeros(len(staged), np.float32)
    top[scored] = decided.score
    offsets = np.concatenate([[0], np.cumsum(scored * len(names))]).astype(np.int32)
    keys = pa.array(names).take(pa.array(np.tile(np.arange(len(names)), len(scores))))
    maps = pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(scores.ravel(), pa.float32()))
    missing = pa.array(~scored)
    # Of one label a work the one, else each that reaches its threshold, the surest first.
    ranked = np.argsort(-scores, axis=1, kind="stable") if bundle.multilabel else decided.label[:, None]
    said = np.ones(ranked.shape, bool)
    if bundle.multilabel:
        said = np.take_along_axis(scores >= bundle.class_thresholds(), ranked, axis=1)
    number = np.zeros(len(staged), np.int64)
    number[scored] = said.sum(axis=1)
    ends = pa.array(np.concatenate([[0], np.cumsum(number)]).astype(np.int32))
    labels = pa.ListArray.from_arrays(ends, pa.array(names).take(pa.array(ranked[said])))

    def known(values: pa.Array) -> pa.Array:
        return pc.if_else(missing, pa.scalar(None, values.type), values)

    return pa.table(
        {
            "object_id": staged["object_id"],
            "image_uri": staged["image_uri"],
            "label": known(pa.array(names).take(pa.array(best))),
            "labels": _nulled(labels, scored),
            "label_uri": known(pa.array([item.uri for item in bundle.classes], pa.string()).take(pa.array(best))),
            "score": known(pa.array(top)),
            "scores": _nulled(maps, scored).cast(SCORES),
            "model_id": pa.repeat(bundle.model_id, len(staged)),
            "run_id": pa.repeat(run_id, len(staged)),
            "labeled_at": pa.repeat(pa.scalar(at, pa.timestamp("us", tz="UTC")), len(staged)),
            "status": staged["status"],
            "error": staged["error"],
            "novelty": pa.nulls(len(staged), pa.float32()) if novelty is None else staged[novelty],
            "learned_from": pa.nulls(len(staged), pa.bool_()),
        }
    )


def _nulled(lists: pa.Array, valid: np.ndarray[Any, Any]) -> pa.Array:
    return lists.take(pa.array(np.arange(len(valid)), pa.int64(), mask=~valid))
