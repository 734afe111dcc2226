"""A small feature table with something to learn in it."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from artray.storage import Location, list_column

EXAMPLES = 61
CONFIG = str(Path(__file__).parent / "linear_head.yaml")
"""A training config for it."""


def write_features(uri: str, seed: int = 0) -> None:
    """Two classes of points around two centres in 16 dimensions, in the form that extract_features gives."""
    chance = np.random.default_rng(seed)
    labels = ["code" if number % 2 else "hand" for number in range(EXAMPLES)]
    centres = {"code": chance.normal(size=16), "hand": chance.normal(size=16)}
    points = np.stack([centres[label] + chance.normal(size=16) for label in labels]).astype(np.float32)
    parts = ["test" if number % 5 == 4 else "validation" if number % 5 == 3 else "train" for number in range(EXAMPLES)]
    table = pa.table(
        {
            "object_id": [f"work-{number:02d}" for number in range(EXAMPLES)],
            "image_uri": [f"/nowhere/{number}.jpg" for number in range(EXAMPLES)],
            "medium": labels,
            "split": parts,
            "status": ["ok"] * EXAMPLES,
            "embedding": list_column(points),
        }
    )
    (Location.parse(uri) / "part-000000.parquet").write_table(table)
    run = {"arguments": {"features": [{"name": "embedding", "size": 224}]}}
    (Location.parse(uri) / "_run.json").write_bytes(json.dumps(run).encode())
