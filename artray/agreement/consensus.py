"""What annotators say together: one label a work, by majority and by Dawid and Skene's model, and shares of labels.

The shares are how people voted: what a painting is taken for by two of three, and what by the third, is what a model
with `labels: soft` learns from. The model's probabilities say something else, which label is the true one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.agreement.annotations import Annotations
from artray.agreement.coefficients import Floats, Integers
from artray.agreement.dawid_skene import DawidSkene, dawid_skene

By: TypeAlias = Literal["dawid-skene", "majority"]


@dataclass(frozen=True, slots=True)
class Consensus:
    """What is said of each work.

    Attributes:
        votes: (works, classes): annotators by label.
        majority: (works,): the label of most; -1 where several have most votes, or none has one.
        model: Dawid and Skene's.
        label: (works,): the label chosen: gold where it is known, else by the method asked for; -1 where there is none.
        disagreement: (works,): the mean distance of two annotators' labels, from 0 to 1; NaN with fewer than two.
    """

    votes: npt.NDArray[np.int32]
    majority: Integers
    model: DawidSkene
    label: Integers
    disagreement: Floats

    @property
    def ties(self) -> int:
        """Works in which several labels have most votes."""
        return int(((self.majority < 0) & (self.votes.sum(axis=1) > 0)).sum())


def agree(annotations: Annotations, distance: Floats, active: npt.NDArray[np.bool_], by: By) -> Consensus:
    """Bring the labels of some annotators together.

    Args:
        annotations: All annotations.
        distance: (classes, classes): of labels.
        active: (annotators,): whose labels count.
        by: Whose label is chosen.
    """
    votes = annotations.votes(active)
    said = active[annotations.annotator]
    shape = len(annotations.objects), len(annotations.annotators), len(annotations.classes)
    model = dawid_skene(
        annotations.object[said], annotations.annotator[said], annotations.label[said], shape, known=annotations.gold
    )
    sizes = votes.sum(axis=1)
    most = votes.max(axis=1)
    clear = (votes == most[:, None]).sum(axis=1) == 1
    majority = np.where(clear & (most > 0), votes.argmax(axis=1), -1)
    label = np.where(sizes > 0, model.classes.argmax(axis=1), -1) if by == "dawid-skene" else majority
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = ((votes @ distance) * votes).sum(axis=1) / (sizes * (sizes - 1)) / distance.max()
    return Consensus(
        votes=votes,
        majority=majority,
        model=model,
        label=np.where(annotations.gold >= 0, annotations.gold, label),
        disagreement=np.where(sizes > 1, apart, np.nan),
    )


def consensus_table(annotations: Annotations, consensus: Consensus) -> pa.Table:
    """A row a work: `task`, `object_id`, `label`, `gold`, `majority`, `dawid_skene` with its `probability`.

    Then `annotations` (how many count), `disagreement` (0 to 1, null with fewer than two), `shares` (of the votes, by
    label) and `probabilities` (the model's, by label; those below 0.0005 are left out). Of numbers `mean` too.
    """
    sizes = consensus.votes.sum(axis=1)
    there = sizes > 0
    best = consensus.model.classes.argmax(axis=1)
    columns = {
        "task": pa.repeat(pa.scalar(annotations.task), len(annotations.objects)),
        "object_id": pa.array(annotations.objects, pa.string()),
        "label": _names(annotations, consensus.label),
        "gold": _names(annotations, annotations.gold),
        "majority": _names(annotations, consensus.majority),
        "dawid_skene": _names(annotations, np.where(there, best, -1)),
        "probability": pa.array(consensus.model.classes.max(axis=1), pa.float32(), mask=~there),
        "annotations": pa.array(sizes, pa.int32()),
        "disagreement": pa.array(consensus.disagreement, pa.float32(), mask=np.isnan(consensus.disagreement)),
        "shares": _maps(annotations, _shares(consensus.votes), there),
        "probabilities": _maps(
            annotations, np.where(consensus.model.classes < 5e-4, 0, consensus.model.classes), there
        ),
    }
    if annotations.level == "interval" and annotations.values is not None:
        columns["mean"] = pa.array(_shares(consensus.votes) @ annotations.values, pa.float64(), mask=~there)
    return pa.table(columns)


def label_rows(annotations: Annotations, consensus: Consensus) -> pa.Table:
    """The labels as the curator's corrections are written: `object_id`, `task`, `label`, for works that have one.

    See `artray.catalogs.corrections`.
    """
    return _rows(annotations, _names(annotations, consensus.label))


def soft_rows(annotations: Annotations, consensus: Consensus) -> pa.Table:
    """The same with the shares of the votes for labels, as a JSON object, which `labels: soft` reads in every case."""
    shares = _shares(consensus.votes).round(6)
    texts: list[str | None] = [None] * len(shares)
    # Works of which the same was said have the same text.
    kinds, of_work = np.unique(shares, axis=0, return_inverse=True)
    told = [
        json.dumps({annotations.classes[at]: row[at] for at in np.flatnonzero(row).tolist()}, ensure_ascii=False)
        or None
        for row in kinds
    ]
    for work, kind in enumerate(of_work.reshape(-1).tolist()):
        if consensus.votes[work].any():
            texts[work] = told[kind]
    return _rows(annotations, pa.array(texts, pa.string()))


def _rows(annotations: Annotations, labels: pa.Array) -> pa.Table:
    ids = pa.array(annotations.objects, pa.string())
    table = pa.table({"object_id": ids, "task": pa.repeat(pa.scalar(annotations.task), len(ids)), "label": labels})
    return table.filter(labels.is_valid())


def _shares(votes: npt.NDArray[np.int32]) -> Floats:
    return np.asarray(votes / np.maximum(votes.sum(axis=1, keepdims=True), 1))


def _names(annotations: Annotations, codes: Integers) -> pa.Array:
    return pa.array(annotations.classes, pa.string()).take(pa.array(codes, mask=codes < 0))


def _maps(annotations: Annotations, shares: Floats, there: npt.NDArray[np.bool_]) -> pa.Array:
    """Maps from label to share, of those above 0."""
    rows, classes = np.nonzero(np.where(there[:, None], shares, 0))
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(shares)))]).astype(np.int32)
    keys = pa.array(annotations.classes, pa.string()).take(pa.array(classes))
    values = pa.array(shares[rows, classes], pa.float32())
    maps = pa.MapArray.from_arrays(pa.array(ends), keys, values)
    return maps.take(pa.array(np.arange(len(shares)), mask=~there))
