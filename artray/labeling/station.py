"""Station 5: label a whole collection.

A run finds out what there is to do (see `artray.labeling.work`), stages one row a picture with all its scores (see
`artray.collection.passes` for what survives a crash), and publishes the new labels with those that stay as one commit
(see `artray.labeling.published` for what readers see).
"""

from __future__ import annotations

import json
import platform
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

import artray
from artray import console
from artray.collection import storage
from artray.collection.decoding import DECODE_VERSION
from artray.collection.passes import run_pass
from artray.errors import ArtrayError, InputError
from artray.job import Counts, Options
from artray.labeling.contract import LABELS, METADATA_KEY, SCHEMA_VERSION, SCORES
from artray.labeling.models import LabelWorker, identity, specs_of
from artray.labeling.published import (
    PICTURES,
    RUNS,
    Published,
    TaskLabels,
    commit,
    discard,
    parquet_writer,
    read_published,
    settle,
)
from artray.labeling.work import FeatureTable, Flags, Work, plan_work, read_manifest
from artray.training.bundle import Bundle, load_bundle

_STAGING = "_staging"
_BATCH = 16_384
_VERSIONS = ("keras", "numpy", "pillow", "pyarrow", "ray", "tensorflow")


class LabelOptions(Options):
    """Label every picture of a manifest with one or more model bundles; what is labelled already is kept."""

    manifest: str = Field(description="the manifest of ingest", examples=["URI"])
    model: list[str] = Field(min_length=1, description="a model bundle; give the flag again for more", examples=["URI"])
    out: str = Field(description="folder or s3:// prefix for the labels", examples=["URI"])
    features: str | None = Field(
        None, description="the feature table: pictures whose features are in it are not read again", examples=["URI"]
    )
    overwrite: bool = Field(
        False, description="label all pictures again, and drop the labels of those that the manifest has no more"
    )


@dataclass(frozen=True)
class _Model:
    """One of the run's models."""

    uri: str
    bundle: Bundle
    identity: str

    def notes(self) -> dict[str, Any]:
        """What the run's metadata says of it."""
        bundle = self.bundle
        return {
            "uri": self.uri,
            "task": bundle.task,
            "model_id": bundle.model_id,
            "model_sha": bundle.model_sha,
            "identity": self.identity,
            "abstain": bundle.metrics.get("abstain"),
        }


def label_catalog(options: LabelOptions) -> Counts:
    """Label the collection; a run that was interrupted goes on where it was.

    Raises:
        InputError: A bundle, the manifest or the feature table can't be used, two bundles have one task, `out` can't be
            written, or holds something else.
        ArtrayError: No picture could be read.
    """
    begun = time.monotonic()
    started = datetime.now(timezone.utc)
    out = storage.normalize(options.out)
    models = _load(options.model)
    published = read_published(out)
    pictures = read_manifest(options.manifest)
    features = _features(options, models)
    storage.ensure_writable(out)
    settle(out, published)
    sources = {model.bundle.task: model.identity for model in models}
    work = plan_work(pictures, sources, out, None if options.overwrite else published, features)
    _check_gone(options, work, published)
    _say(work, models, published)
    if not len(work.rows) and not work.gone and published:
        storage.remove(storage.join(out, _STAGING))  # of a run that was killed after its commit
        console.say("nothing to do")
        return _counts(out, published.run_id, len(pictures), work, _states(out, published.tasks[models[0].bundle.task]))
    settings = {
        "models": [model.notes() for model in models],
        "decode_version": DECODE_VERSION,
        "manifest": storage.dataset_fingerprint(storage.dataset(options.manifest)),
        "features": features.fingerprint if features else None,
        "before": published.run_id if published else None,
        "overwrite": options.overwrite,
    }
    staging = _staging(out, settings, work.rows)
    statuses = _compute(staging, models, features) if len(work.rows) else {}
    _check_read(staging, work, statuses)
    run_id = f"{started:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"  # sorts as runs follow each other
    notes = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "artray": artray.__version__,
        "bundles": settings["models"],
        "options": options.model_dump(),
    }
    try:
        tasks, tallies, states = _write(out, staging, run_id, started, models, work, published, notes)
        counts = _counts(out, run_id, len(pictures), work, dict(states))
        counts["tasks"] = {name: dict(tally.most_common()) for name, tally in tallies.items()}
        run = {
            **notes,
            "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in _VERSIONS}},
            "manifest": {"uri": storage.normalize(options.manifest), "fingerprint": settings["manifest"]},
            "started_at": started.isoformat(timespec="seconds"),
            "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - begun, 2),
            "counts": counts,
            "tasks": {**(published.tasks if published else {}), **tasks},
            "previous": published.files() if published else [],
        }
        commit(out, Published.model_validate(run), published)
    except BaseException:
        discard(out, run_id)
        raise
    storage.remove(storage.join(out, _STAGING))
    _show(tallies, states)
    return counts


def _load(uris: Sequence[str]) -> list[_Model]:
    models: dict[str, _Model] = {}
    for uri in uris:
        bundle = load_bundle(uri)
        if bundle.task in models:
            raise InputError(f"--model: {models[bundle.task].uri} and {uri} both label the task {bundle.task!r}")
        models[bundle.task] = _Model(storage.normalize(uri), bundle, identity(bundle))
    return list(models.values())


def _features(options: LabelOptions, models: Sequence[_Model]) -> FeatureTable | None:
    """The feature table, unless it has nothing that a model needs."""
    if options.features is None:
        return None
    table = FeatureTable(options.features)
    if any(spec in table.specs for model in models for spec in specs_of(model.bundle)):
        return table
    console.say(f"{options.features}: not used, what these bundles need is not in it, or was made with other options")
    return None


def _check_gone(options: LabelOptions, work: Work, published: Published | None) -> None:
    if options.overwrite or published is None:
        return
    rows = max((len(kept) for kept in work.kept.values()), default=0)
    if work.gone > rows / 2:
        raise InputError(
            f"{options.out}: {work.gone:,} of {rows:,} labelled works are not in {options.manifest}; "
            "if it is the same collection, --overwrite drops their labels, else give another --out"
        )


def _say(work: Work, models: Sequence[_Model], published: Published | None) -> None:
    if published is None:
        return
    found = [f"{number:,} {name}" for name, number in work.counts.items() if number]
    console.say(f"works since the last run: {', '.join([*found, *([f'{work.gone:,} gone'] if work.gone else [])])}")
    for model in models:
        before = published.tasks.get(model.bundle.task)
        if before and before.source != model.identity:
            console.say(f"{model.bundle.task}: {model.bundle.model_id} takes the place of {before.model_id}")


def _staging(out: str, settings: Mapping[str, Any], rows: pa.Table) -> str:
    """The folder in which these rows' scores are staged; what another run has staged there is of no use to anybody."""
    key = storage.fingerprint(json.dumps(settings, sort_keys=True).encode())
    root = storage.join(out, _STAGING)
    fs, path = storage.filesystem(root)
    if fs.exists(path):
        for name in {entry.rstrip("/").rsplit("/", 1)[-1] for entry in fs.ls(path, detail=False)} - {key}:
            storage.remove(storage.join(root, name))
    staging = storage.join(root, key)
    if not storage.exists(_work_file(staging)):
        # Not written again for a run that goes on: the pass knows its rows by the file.
        storage.write_table(_work_file(staging), rows)
    return staging


def _work_file(staging: str) -> str:
    return storage.join(staging, "work.parquet")


def _parts(staging: str) -> str:
    return storage.join(staging, "parts")


def _compute(staging: str, models: Sequence[_Model], features: FeatureTable | None) -> dict[str, int]:
    arguments = {
        "models": [{"uri": model.uri, "task": model.bundle.task, "identity": model.identity} for model in models],
        "features": {"uri": features.uri, "specs": features.specs} if features else None,
        "decode_version": DECODE_VERSION,
    }
    counts = run_pass("labels", _work_file(staging), _parts(staging), LabelWorker, arguments, overwrite=True, gpus=True)
    statuses: dict[str, int] = counts["statuses"]
    return statuses


def _check_read(staging: str, work: Work, statuses: Mapping[str, int]) -> None:
    """Labels without a single readable picture are nobody's wish: storage or keys are at fault.

    Raises:
        ArtrayError: There are none.
    """
    if not len(work.rows) or statuses.get("ok") or any(kept.any() for kept in work.kept.values()):
        return
    errors = storage.dataset(_parts(staging)).to_table(columns=["error"])["error"]
    example = errors.drop_null()[0].as_py() if errors.null_count < len(errors) else ""
    storage.remove(staging)  # or the same command would find them done
    found = ", ".join(f"{number:,} {status}" for status, number in statuses.items())
    raise ArtrayError(f"no picture could be read: {found} ({example}); nothing was published")


def _write(
    out: str,
    staging: str,
    run_id: str,
    at: datetime,
    models: Sequence[_Model],
    work: Work,
    published: Published | None,
    notes: Mapping[str, Any],
) -> tuple[dict[str, TaskLabels], dict[str, Counter[str]], Counter[str]]:
    """Write the run's files; its tasks, how many works have which label, and in which state pictures are."""
    folder = f"{RUNS}/{run_id}"
    pictures = f"{folder}/{PICTURES}"
    with parquet_writer(storage.join(out, pictures), work.pictures.schema) as writer:
        writer.write_table(work.pictures, row_group_size=_BATCH)
    tasks, tallies = {}, {}
    states: Counter[str] = Counter()
    for number, model in enumerate(models):
        task = model.bundle.task
        file = f"{folder}/{task}.parquet"
        tally, states = Counter[str](), Counter()
        schema = LABELS.with_metadata({METADATA_KEY: json.dumps(notes)})
        with parquet_writer(storage.join(out, file), schema) as writer:
            rows: list[Iterator[pa.Table]] = []
            if published and task in work.kept:
                rows.append(_kept(storage.join(out, published.tasks[task].labels), work.kept[task]))
            if len(work.rows):
                rows.append(_new(staging, number, model.bundle, run_id, at))
            for table in _gathered(chain.from_iterable(rows)):
                writer.write_table(table.cast(schema))
                _add(tally, table["label"])
                _add(states, table["status"])
        if states.total() != len(work.pictures):
            raise ArtrayError(f"{task}: {states.total():,} labels for {len(work.pictures):,} pictures: not published")
        tasks[task] = TaskLabels(
            run_id=run_id,
            model_id=model.bundle.model_id,
            source=model.identity,
            rows=states.total(),
            labels=file,
            pictures=pictures,
        )
        tallies[task] = tally
    return tasks, tallies, states


def _kept(labels: str, kept: Flags) -> Iterator[pa.Table]:
    """The rows of a task's published labels that stay."""
    start = 0
    for batch in storage.dataset(labels).to_batches(batch_size=_BATCH):
        yield pa.Table.from_batches([batch.filter(pa.array(kept[start : start + len(batch)]))]).cast(LABELS)
        start += len(batch)


def _new(staging: str, number: int, bundle: Bundle, run_id: str, at: datetime) -> Iterator[pa.Table]:
    """The rows that a run's model has made."""
    names = ["object_id", "image_uri", "status", "error", "models", f"scores_{number}"]
    for batch in storage.dataset(_parts(staging)).to_batches(columns=names, batch_size=_BATCH):
        table = pa.Table.from_batches([batch])
        own = table.filter(pc.not_equal(pc.bit_wise_and(table["models"], 1 << number), 0))
        yield label_rows(own, f"scores_{number}", bundle, run_id, at).cast(LABELS)


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Tables of a good size for a row group: a staged part has only a few rows."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(map(len, waiting)) >= _BATCH:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _add(tally: Counter[str], values: pa.ChunkedArray) -> None:
    for item in pc.value_counts(values).to_pylist():
        if item["values"] is not None:
            tally[item["values"]] += item["counts"]


def _states(out: str, task: TaskLabels) -> Counter[str]:
    states: Counter[str] = Counter()
    _add(states, storage.dataset(storage.join(out, task.labels)).to_table(columns=["status"])["status"])
    return states


def _counts(out: str, run_id: str, rows: int, work: Work, states: Mapping[str, int]) -> Counts:
    return {
        "rows": rows,
        "ok": states.get("ok", 0),
        "failed": sum(states.values()) - states.get("ok", 0),
        "statuses": dict(states),
        "computed": len(work.rows),
        "kept": rows - len(work.rows),
        "gone": work.gone,
        "out": out,
        "run_id": run_id,
    }


def _show(tallies: Mapping[str, Counter[str]], states: Counter[str]) -> None:
    for task, tally in tallies.items():
        console.table(task, ["label", "works"], tally.most_common(12))
    failures = [(status, number) for status, number in states.most_common() if status != "ok"]
    if failures:
        console.table("pictures that could not be read", ["status", "works"], failures)


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
    scores = storage.stack_lists(staged[column].drop_null(), column, len(names))
    best = np.zeros(len(staged), np.int64)
    best[scored] = scores.argmax(axis=1)
    top = np.zeros(len(staged), np.float32)
    top[scored] = scores.max(axis=1)
    offsets = np.concatenate([[0], np.cumsum(scored * len(names))]).astype(np.int32)
    keys = pa.array(names).take(pa.array(np.tile(np.arange(len(names)), len(scores))))
    maps = pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(scores.ravel(), pa.float32()))
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
