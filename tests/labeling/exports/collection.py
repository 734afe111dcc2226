"""Labels as label_catalog writes them, with texts as bad as strangers make them."""

import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from artray.labeling.contract import LABELS, METADATA_KEY, SCHEMA_VERSION

AT = datetime(2026, 5, 4, 3, 2, 1, 654321, tzinfo=timezone.utc)
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"quotes\" and 'quotes', and a comma; a semicolon",
    "right-to-left \u202egnp.exe\u202c \u200f עברית",
    "emoji 🖼️👩‍🎨 and 浮世絵",
    "long " + "x" * 10_000,
    "two\nlines\r\nand\ta tab",
    '=HYPERLINK("http://example.org","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "'=1",
    "＝1",
    "-12",
    "back\\slash ${x} {{y}} `z` | pipe",
    "\u2028line separator",
    "---\nyaml: [",
    "NULL",
    "nan",
    " spaces ",
    "%20 percent #hash ?query",
]


def labels(
    task: str, classes: dict[str, str | None], ids: list[str], seed: int = 0, model: str | None = None
) -> list[dict]:
    """Rows of the contract; every seventh picture is broken."""
    chance = np.random.default_rng(seed)
    rows = []
    for number, object_id in enumerate(ids):
        scores = chance.dirichlet(np.full(len(classes), 0.4)).astype(np.float32)
        best = list(classes)[int(scores.argmax())]
        ok = number % 7 != 6
        rows.append(
            {
                "object_id": object_id,
                "image_uri": f"s3://museum/scans/{object_id[:40]}.jpg",
                "label": best if ok else None,
                "label_uri": classes[best] if ok else None,
                "score": float(scores.max()) if ok else None,
                "scores": list(zip(classes, scores.tolist(), strict=True)) if ok else None,
                "model_id": model or f"{task}-0123456789ab",
                "run_id": "20260504T030201Z-0",
                "labeled_at": AT,
                "status": "ok" if ok else "truncated",
                "error": None if ok else HOSTILE[number % len(HOSTILE)],
            }
        )
    return rows


def write_labels(folder: Path, task: str, rows: list[dict], abstain: dict | None = None) -> None:
    models = sorted({row["model_id"] for row in rows})
    notes = {
        "schema_version": SCHEMA_VERSION,
        "artray": "1.2.3",
        "bundles": [{"model_id": name, "uri": "/nowhere", "abstain": abstain} for name in models],
    }
    path = folder / f"task={task}" / "labels.parquet"
    path.parent.mkdir(parents=True)
    schema = LABELS.with_metadata({METADATA_KEY: json.dumps(notes)})
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=10)


def write_features(path: Path, ids: list[str], columns: dict[str, list]) -> None:
    uris = [f"/scans/{object_id[:40]}.jpg" for object_id in ids]
    pq.write_table(pa.table({"object_id": ids, "image_uri": uris, **columns}), path)
