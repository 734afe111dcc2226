"""The labels' contract: what others may rely on when they read labels."""

from __future__ import annotations

import pyarrow as pa

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
