"""The labels' contract: what others may rely on when they read labels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

SCHEMA_VERSION = 1

SCORES = pa.map_(pa.string(), pa.float32())

LABELS = pa.schema(
    [
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("image_uri", pa.string()),
        pa.field("label", pa.string()),  # the class that is said; null where status is not ok
        pa.field("labels", pa.list_(pa.string())),  # all that are said: `label`, or of several those sure enough, or []
        pa.field("label_uri", pa.string()),  # AAT
        pa.field("score", pa.float32()),  # calibrated
        pa.field("scores", SCORES),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("labeled_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
        pa.field("novelty", pa.float32()),  # how little it looks like any class, 0..1; null where nobody knows
        pa.field("learned_from", pa.bool_()),  # whether the model was made with this work; null where nobody knows
    ]
)
"""One row a picture and task; the task is the folder's name, `task=NAME/`."""

ADDED = ("labels", "novelty", "learned_from")
"""Columns that labels of earlier releases may lack."""

METADATA_KEY = "artray"
"""File metadata: JSON with `schema_version`, `run_id`, `options` and `bundles`: of each its hashes, `decision`, and as
`prior` the mix of classes under which scores are probabilities (`kind`: training, balanced or estimated; `shares`)."""


class LabelDataset(pads.FileSystemDataset):  # type: ignore[misc]  # pyarrow has no types
    """Label files of this release and of earlier ones, whose `labels` are filled in as they are read.

    Files of before have no such column: one label was all that was said.
    """

    def scanner(self, columns: Any = None, filter: Any = None, **options: Any) -> pads.Scanner:
        """As of any dataset, which reads all of its rows by this."""
        needed = None
        if isinstance(columns, list):
            if "labels" not in columns:
                return super().scanner(columns=columns, filter=filter, **options)
            needed = list(dict.fromkeys([*columns, "label"]))
        plain = super().scanner(columns=needed, filter=filter, **options)
        batches = map(completed, plain.to_batches())
        return pads.Scanner.from_batches(batches, schema=plain.projected_schema, columns=columns)


def completed(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Rows of labels in which `labels` holds `label` where it is null, as in files of before; nothing without it."""
    if "labels" not in rows.schema.names or "label" not in rows.schema.names:
        return rows
    column = rows.schema.get_field_index("labels")
    labels, label = rows.column(column), rows.column(rows.schema.get_field_index("label"))
    lacking = pc.and_(pc.is_null(labels), pc.is_valid(label))
    if not pc.any(lacking).as_py():
        return rows
    known = np.asarray(pc.is_valid(label))
    offsets = np.concatenate([[0], np.cumsum(known)]).astype(np.int32)
    alone = pa.ListArray.from_arrays(pa.array(offsets), label.drop_null(), type=labels.type)
    columns = list(rows.columns)
    columns[column] = pc.if_else(lacking, alone, labels)
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def read_notes(fragment: pads.Fragment) -> dict[str, Any]:
    """What a file of labels says of itself under `METADATA_KEY`; empty where it says nothing."""
    notes: dict[str, Any] = json.loads((fragment.physical_schema.metadata or {}).get(METADATA_KEY.encode(), b"{}"))
    return notes


@dataclass(frozen=True)
class Models:
    """What label files say of the models that their labels are from, by model_id.

    Attributes:
        thresholds: The score below which labels are uncertain; infinite where at no score enough of them are right, or
            where the model is no better than chance. A model that knows no threshold is left out.
        doubts: Why nothing that a model says can be relied on, as a sentence; others are left out.
        multilabel: The models of tasks in which a work may have several labels.
        concepts: The URIs of models' classes, where they have any.
        equivalents: The URIs of the same concepts elsewhere, likewise.
        targets: The column of the catalogue that each has learned from; of labels of before it is not known.
    """

    thresholds: Mapping[str, float] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    multilabel: frozenset[str] = frozenset()
    concepts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    equivalents: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)

    def doubted(self, doubts: Mapping[str, str]) -> Models:
        """The same with more models, by model_id, of which nothing can be relied on."""
        thresholds = {**self.thresholds, **dict.fromkeys(doubts, math.inf)}
        return replace(self, thresholds=thresholds, doubts={**self.doubts, **doubts})


def models_of(notes: Iterable[Mapping[str, Any]]) -> Models:
    """What the notes of some files (`read_notes`) say of their models."""
    bundles = {bundle["model_id"]: bundle for each in notes for bundle in each.get("bundles", [])}
    return Models(
        thresholds=dict(_thresholds(bundles.values())),
        doubts={name: bundle["doubt"] for name, bundle in bundles.items() if bundle.get("doubt")},
        multilabel=frozenset(name for name, bundle in bundles.items() if bundle.get("labels") == "multilabel"),
        concepts={name: bundle["concepts"] for name, bundle in bundles.items() if bundle.get("concepts")},
        equivalents={name: bundle["equivalents"] for name, bundle in bundles.items() if bundle.get("equivalents")},
        targets={name: bundle["target"] for name, bundle in bundles.items() if bundle.get("target")},
    )


def _thresholds(bundles: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    for bundle in bundles:
        told = bundle.get("abstain")
        if bundle.get("doubt") or (told and told["threshold"] is None):
            yield bundle["model_id"], math.inf
        elif told:
            yield bundle["model_id"], told["threshold"]
