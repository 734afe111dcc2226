"""Station 5: label a whole collection.

The run first stages one row a picture with all its scores (see `artray.collection.passes` for what survives a crash),
then publishes each task as one file, `task=NAME/labels.parquet`, that takes the place of the previous one in a single
step. Readers see a task's old labels or its new ones, never half.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

import artray
from artray import console
from artray.collection import storage
from artray.collection.decoding import DECODE_VERSION
from artray.collection.passes import RUN, run_pass
from artray.errors import InputError
from artray.job import Counts, Options
from artray.labeling.contract import LABELS, METADATA_KEY, SCHEMA_VERSION, SCORES
from artray.labeling.models import LabelWorker
from artray.training.bundle import Bundle, load_bundle

_STAGING = "_staging"


class LabelOptions(Options):
    """Label every picture of a manifest with one or more model bundles."""

    manifest: str = Field(description="the manifest of ingest", examples=["URI"])
    model: list[str] = Field(min_length=1, description="a model bundle; give the flag again for more", examples=["URI"])
    out: str = Field(description="folder or s3:// prefix for the labels", examples=["URI"])


def label_catalog(options: LabelOptions) -> Counts:
    """Label the collection; a run that was interrupted goes on where it was.

    Raises:
        InputError: A bundle or the manifest can't be used, two bundles have one task, or `out` can't be written.
    """
    out = storage.normalize(options.out)
    bundles = [load_bundle(uri) for uri in options.model]
    _check_tasks(bundles, options.model)
    models = [
        {"uri": storage.normalize(uri), "model_id": bundle.model_id, "model_sha": bundle.model_sha}
        for uri, bundle in zip(options.model, bundles, strict=True)
    ]
    staging = storage.join(out, _STAGING)
    started = datetime.now(timezone.utc)
    arguments = {"models": models, "decode_version": DECODE_VERSION}
    # What an unfinished run with other models or another manifest has staged is of no use to anybody.
    counts = run_pass("labels", options.manifest, staging, LabelWorker, arguments, overwrite=True)
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{storage.fingerprint(json.dumps([models, counts['rows']]).encode())[:8]}"
    notes = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "artray": artray.__version__,
        "bundles": models,
        "options": options.model_dump(),
    }
    labels: dict[str, dict[str, int]] = {}
    for number, bundle in enumerate(bundles):
        labels[bundle.task] = _publish(out, staging, number, bundle, run_id, started, notes)
    finished = {**notes, "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"), "counts": counts}
    storage.write_bytes(storage.join(out, RUN), json.dumps(finished, indent=1).encode())
    storage.remove(staging)
    for task, tally in labels.items():
        rows = sorted(tally.items(), key=lambda item: -item[1])[:12]
        console.table(task, ["label", "works"], rows)
    if counts["failed"]:
        failures = [(status, number) for status, number in counts["statuses"].items() if status != "ok"]
        console.table("pictures that could not be read", ["status", "works"], failures)
    return counts | {"out": out, "run_id": run_id, "tasks": labels}


def _check_tasks(bundles: Sequence[Bundle], uris: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for bundle, uri in zip(bundles, uris, strict=True):
        if bundle.task in seen:
            raise InputError(f"--model: {seen[bundle.task]} and {uri} both label the task {bundle.task!r}")
        seen[bundle.task] = uri


def _publish(
    out: str, staging: str, number: int, bundle: Bundle, run_id: str, at: datetime, notes: dict[str, Any]
) -> dict[str, int]:
    """Write one task's labels from the staged scores; returns how many works got which label."""
    schema = LABELS.with_metadata({METADATA_KEY: json.dumps(notes)})
    tally: dict[str, int] = {}
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in _staged(staging, number):
            table = label_rows(batch, f"scores_{number}", bundle, run_id, at).cast(schema)
            writer.write_table(table)
            for item in pc.value_counts(table["label"]).to_pylist():
                if item["values"] is not None:
                    tally[item["values"]] = tally.get(item["values"], 0) + item["counts"]
    storage.write_bytes(storage.join(out, f"task={bundle.task}", "labels.parquet"), sink.getvalue().to_pybytes())
    return tally


def _staged(staging: str, number: int) -> Iterator[pa.Table]:
    columns = ["object_id", "image_uri", "status", "error", f"scores_{number}"]
    for batch in storage.dataset(staging).to_batches(columns=columns, batch_size=65536):
        yield pa.Table.from_batches([batch])


def label_rows(staged: pa.Table, column: str, bundle: Bundle, run_id: str, at: datetime) -> pa.Table:
    """Staged scores as rows of the contract: the best class and all classes' scores.

    Args:
        staged: `object_id`, `image_uri`, `status`, `error` and the scores.
        column: The scores' name: lists of float32 in the order of the bundle's classes, null where not ok.
        bundle: Gives the classes' names and URIs.
        run_id: Of this run.
        at: When it began, UTC.
    """
    names = [item.name for item in bundle.classes]
    scored = np.asarray(pc.is_valid(staged[column]))
    flat = staged[column].combine_chunks().drop_null().flatten().to_numpy(zero_copy_only=False)
    scores = flat.reshape(-1, len(names))
    best = np.zeros(len(staged), np.int64)
    best[scored] = scores.argmax(axis=1)
    top = np.zeros(len(staged), np.float32)
    top[scored] = scores.max(axis=1)
    offsets = np.concatenate([[0], np.cumsum(scored * len(names))]).astype(np.int32)
    keys = pa.array(names).take(pa.array(np.tile(np.arange(len(names)), len(scores))))
    maps = pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(flat, pa.float32()))
    missing = pa.array(~scored)

    def known(values: pa.Array) -> pa.Array:
        return pc.if_else(missing, pa.scalar(None, values.type), values)

    return pa.table(
        {
            "object_id": staged["object_id"],
            "image_uri": staged["image_uri"],
            "label": known(pa.array(names).take(pa.array(best))),
            "label_uri": known(pa.array([item.uri for item in bundle.classes], pa.string()).take(pa.array(best))),
            "score": known(pa.array(top)),
            "scores": _nulled(maps, scored),
            "model_id": pa.repeat(bundle.model_id, len(staged)),
            "run_id": pa.repeat(run_id, len(staged)),
            "labeled_at": pa.repeat(pa.scalar(at, pa.timestamp("us", tz="UTC")), len(staged)),
            "status": staged["status"],
            "error": staged["error"],
        }
    )


def _nulled(maps: pa.MapArray, valid: np.ndarray[Any, Any]) -> pa.Array:
    index = pa.array([row if good else None for row, good in enumerate(valid.tolist())], pa.int64())
    return maps.take(index).cast(SCORES)
