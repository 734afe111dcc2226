"""How much memory the curator's page takes to make: the whole of `report`, without reading pictures.

    python benchmarks/report.py [--works 50000,200000] [--embedding]

The labels are made up: two tasks of 24 and 16 classes, and a feature table with a record, a palette and objects, with
--embedding also an embedding of 1,280 numbers (neighbours and map take most of the time then, which grows with the
square of the works). In place of the pass that makes thumbnails each work gets the same small one. Each number of works
is a process of its own, beside one that makes the page of 100.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from artray import console
from artray.images.encoding import jpeg
from artray.labeling.contract import LABELS, METADATA_KEY
from artray.report import thumbnails
from artray.report.station import ReportOptions, report
from artray.storage import Location, list_column

CLASSES = {"style": 24, "emotion": 16}
ROWS = 4096


def make_collection(folder: Path, works: int, embedding: bool) -> None:
    """Labels and a feature table, written some rows at a time."""
    chance = np.random.default_rng(0)
    for task, number in CLASSES.items():
        names = [f"{task} {label:02}" for label in range(number)]
        notes = {"bundles": [{"model_id": task, "abstain": {"threshold": 0.4}}]}
        schema = LABELS.with_metadata({METADATA_KEY: json.dumps(notes)})
        place = folder / "labels" / f"task={task}"
        place.mkdir(parents=True)
        with pq.ParquetWriter(place / "labels.parquet", schema) as writer:
            for start in range(0, works, ROWS):
                rows = range(start, min(start + ROWS, works))
                writer.write_table(_labels(names, rows, chance, schema, task))
    with pq.ParquetWriter(folder / "features.parquet", _features(range(1), chance, embedding).schema) as writer:
        for start in range(0, works, ROWS):
            writer.write_table(_features(range(start, min(start + ROWS, works)), chance, embedding))


def _labels(names: list[str], rows: range, chance: np.random.Generator, schema: pa.Schema, task: str) -> pa.Table:
    scores = chance.dirichlet(np.full(len(names), 0.3), len(rows))
    best = scores.argmax(axis=1)
    known = {
        "object_id": [f"w{row:07}" for row in rows],
        "image_uri": [f"/museum/scans/w{row:07}.jpg" for row in rows],
        "label": [names[label] for label in best],
        "score": scores.max(axis=1),
        "scores": [list(zip(names, own, strict=True)) for own in scores.tolist()],
        "model_id": [task] * len(rows),
        "run_id": ["run-1"] * len(rows),
        "labeled_at": [datetime(2026, 11, 22, tzinfo=timezone.utc)] * len(rows),
        "status": ["ok"] * len(rows),
    }
    columns = [
        pa.array(known[field.name], field.type) if field.name in known else pa.nulls(len(rows), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _features(rows: range, chance: np.random.Generator, embedding: bool) -> pa.Table:
    n = len(rows)
    columns: dict[str, Any] = {
        "object_id": [f"w{row:07}" for row in rows],
        "title": [f"Study number {row} of a lady by the river" for row in rows],
        "artist": [f"Artist {row % 3500}" for row in rows],
        "date": [str(1400 + row % 600) for row in rows],
        "medium": [f"medium {row % 300}" for row in rows],
        "credit": [f"Presented by a friend of the museum, {1880 + row % 140}, in memory of {row}" for row in rows],
        "palette_rgb": list_column(chance.integers(0, 256, (n, 5, 3), np.uint8)),
        "palette_share": list_column(np.full((n, 5), 0.2, np.float32)),
        "brightness": chance.uniform(20, 230, n).astype(np.float32),
    }
    if embedding:
        columns["embedding"] = list_column(chance.normal(size=(n, 1280)).astype(np.float32))
    return pa.table(columns)


def no_pass(title: str, manifest: Location, out: Location, worker: Any, arguments: Mapping[str, Any], **_: Any) -> None:
    """In place of the pass: the same thumbnail for each work."""
    content = jpeg(np.zeros((8, 10, 3), np.uint8), quality=75)
    rows = manifest.dataset().to_table()
    for start in range(0, len(rows), 256):
        part = rows.slice(start, 256)
        part = part.append_column("status", pa.array(["ok"] * len(part)))
        part = part.append_column("thumbnail", pa.array([content] * len(part), pa.binary()))
        (out / f"part-{start // 256:06d}.parquet").write_table(part)


def make_page(folder: str, works: int, results: Any) -> None:
    """Make the page and tell this process' memory at most, in MB, and the seconds."""
    thumbnails.run_pass = no_pass
    started = time.process_time()
    report(
        ReportOptions(
            labels=f"{folder}/labels", features=f"{folder}/features.parquet", out=f"{folder}/page", limit=works
        )
    )
    results.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.process_time() - started))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--works", default="50000,200000")
    parser.add_argument("--embedding", action="store_true")
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    rows = []
    for works in [100, *(int(number) for number in options.works.split(","))]:
        with tempfile.TemporaryDirectory() as folder:
            make_collection(Path(folder), works, options.embedding)
            results = context.SimpleQueue()
            process = context.Process(target=make_page, args=(folder, works, results))
            process.start()
            process.join()
            peak, seconds = results.get()
            data = sum(file.stat().st_size for file in Path(folder, "page", "data").iterdir())
        rows.append((f"{works:,}", f"{peak:,.0f}", f"{seconds:.1f}", f"{data / 1e6:,.1f}"))
    console.table("making the page", ["works", "memory at most, MB", "CPU seconds", "data, MB"], rows)


if __name__ == "__main__":
    main()
