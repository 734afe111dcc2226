"""The labels' contract: what others may rely on when they read labels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

SCHEMA_VERSION = 1

SCORES = pa.map_(pa.string(), pa.float32())

LABELS = pa.schema(
    [
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("image_uri", pa.string()),
        pa.field("label", pa.string()),  # null where status is not ok
        pa.field("label_uri", pa.string()),  # AAT
        pa.field("score", pa.float32()),  # calibrated
        pa.field("scores", SCORES),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("labeled_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("error", pa.string()),
    ]
)
"""One row a picture and task; the task is the folder's name, `task=NAME/`."""

METADATA_KEY = "artray"
"""File metadata: JSON with `schema_version`, `run_id`, `bundles` (with hashes) and `options`."""


def read_notes(fragment: pads.Fragment) -> dict[str, Any]:
    """What a file of labels says of itself under `METADATA_KEY`; empty where it says nothing."""
    notes: dict[str, Any] = json.loads((fragment.physical_schema.metadata or {}).get(METADATA_KEY.encode(), b"{}"))
    return notes


def thresholds_of(notes: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """By model_id, the score below which labels are uncertain; infinite where at no score enough of them are right.

    A model that knows no threshold is left out.
    """
    return {
        bundle["model_id"]: math.inf if bundle["abstain"]["threshold"] is None else bundle["abstain"]["threshold"]
        for each in notes
        for bundle in each.get("bundles", [])
        if bundle.get("abstain")
    }
