"""A model bundle with everything that its evaluation page needs."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from artray.bundles.classifier import MODEL, Bundle, BundleClass
from artray.classifiers.baseline import Baseline
from artray.classifiers.calibration import softmax
from artray.classifiers.evaluation import evaluation_of
from artray.images.decoding import DECODE_VERSION
from artray.storage import digest

WORKS = 90


def write_bundle(folder: Path, classes: list[str], **about: object) -> None:
    """Ninety works; every third is in the test part, some of them wrong, every other one has a picture, 60 × 40."""
    rng = np.random.default_rng(0)
    ids = [f"w{row:02}" for row in range(WORKS)]
    for name in ids[::2]:
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(folder / f"{name}.png")
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, WORKS)]
    table = pa.table(
        {
            "object_id": ids,
            "image_uri": [f"{folder}/{name}.png" for name in ids],
            "part": [["train", "validation", "test"][row % 3] for row in range(WORKS)],
        }
    )
    examples = SimpleNamespace(table=table, classes=classes, targets=targets)
    logits = 2 * targets + rng.normal(size=(WORKS, 3))
    baseline = Baseline(["embedding"], 0.1, ids, softmax(rng.normal(size=(WORKS, 3)) + targets))
    evaluation, predictions = evaluation_of(examples, 3 * logits, 2.0, task="style", labels="one", baseline=baseline)
    evaluation["folds"] = {"n": 2, "figures": {"accuracy": {"mean": 0.7, "spread": 0.1, "values": [0.6, 0.8]}}}
    history = [
        {"epoch": n + 1, "loss": 1 / (n + 1), "validation_loss": 1.2 / (n + 1), "validation_accuracy": 0.5 + n / 20}
        for n in range(8)
    ]
    model = folder / MODEL
    bundle = Bundle(
        model_id="style-1",
        task="style",
        target="style",
        classes=[BundleClass(name=name) for name in classes],
        decode_version=DECODE_VERSION,
        temperature=2.0,
        model_sha=digest(model.read_bytes()) if model.exists() else "",
        data={"train": 30, "validation": 30, "test": 30},
        config={},
        versions={},
        created_at="2026-01-01T00:00:00+00:00",
        **({"input": {"kind": "features", "features": [], "columns": []}, "metrics": {}} | about),
    )
    (folder / "bundle.json").write_text(bundle.model_dump_json())
    (folder / "evaluation.json").write_text(json.dumps({"model_id": "style-1", **evaluation}))
    (folder / "history.json").write_text(json.dumps(history))
    pq.write_table(predictions, folder / "predictions.parquet")
