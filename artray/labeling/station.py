"""Station 5: label a whole collection.

A run finds out what there is to do (see `artray.labeling.plan`), stages one row a picture with all its scores (see
`artray.storage.passes` for what survives a crash), and publishes the new labels with those that stay as one commit
(see `artray.labeling.published` for what readers see).
"""

from __future__ import annotations

import json
import platform
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

import artray
from artray import console
from artray.bundles.classifier import works_of_training
from artray.bundles.novelty import LIMIT
from artray.bundles.thresholds import abstention_told
from artray.errors import ArtrayError, InputError, count_of
from artray.features.objects import Objects
from artray.features.specs import build_feature, trusted_spec
from artray.images.decoding import DECODE_VERSION
from artray.job import Counts, Options
from artray.labeling.contract import LABELS, METADATA_KEY, SCHEMA_VERSION, LabelDataset, read_notes
from artray.labeling.decisions import Prior
from artray.labeling.half_precision import PassPrecision
from artray.labeling.label_rows import label_rows
from artray.labeling.mixes import LabelModel, load_models, with_mix
from artray.labeling.models import PRECISION, LabelWorker
from artray.labeling.plan import FeatureTable, Flags, Plan, make_plan, read_manifest
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
from artray.storage import (
    PASS_FILES,
    Location,
    dataset_digest,
    digest,
    keep_apart,
    refuse_other_job,
    remove_scratch,
)
from artray.storage.passes import run_pass

_STAGING = "_staging"
_STAGED = (r"work\.parquet", *(f"parts/{name}" for name in PASS_FILES))
_KEY = "[0-9a-f]{24}"
_BATCH = 16_384
_VERSIONS = ("keras", "numpy", "pillow", "pyarrow", "ray", "tensorflow")


class LabelOptions(Options):
    """Label every picture of a manifest with one or more model bundles; what is labelled already is kept."""

    manifest: Location = Field(description="the manifest of ingest", examples=["URI"])
    model: list[Location] = Field(
        min_length=1, description="a model bundle; give the flag again for more", examples=["URI"]
    )
    out: Location = Field(description="folder or s3:// prefix for the labels", examples=["URI"])
    features: Location | None = Field(
        None, description="the feature table: pictures whose features are in it are not read again", examples=["URI"]
    )
    prior: Prior = Field(
        "training",
        description="the mix of classes that the collection is taken to have, under which scores are probabilities. "
        "training: the training part's; balanced: all classes equally often; estimated: from the collection itself",
    )
    detector: Location | None = Field(
        None,
        description="a TensorFlow SavedModel of the Object Detection API, for models that need one: the same as in "
        "extract_features",
        examples=["DIR"],
    )
    precision: PassPrecision = Field(
        "auto",
        description="in which networks are computed. auto: bfloat16 where train has found that a bundle's labels stay "
        "the same (--check-bfloat16) and the GPU or processor is made for it, else float32",
        examples=["auto|float32|bfloat16"],
    )
    overwrite: bool = Field(
        False, description="label all pictures again, and drop the labels of those that the manifest has no more"
    )


@dataclass(frozen=True)
class _Run:
    """A run that is about to be published.

    Attributes:
        out: Where to.
        run_id: Its name.
        at: When it began, UTC.
        models: Each task's.
        plan: What was to be computed, and what stays.
        published: The run before.
    """

    out: Location
    run_id: str
    at: datetime
    models: Sequence[LabelModel]
    plan: Plan
    published: Published | None


def label_catalog(options: LabelOptions) -> Counts:
    """Label the collection; a run that was interrupted goes on where it was.

    Raises:
        InputError: A bundle, the manifest or the feature table can't be used, two bundles have one task, a model needs
            a detector and none is named, or `out` can't be written, holds something else or is the place of an input.
        ArtrayError: No picture could be read.
    """
    begun = time.monotonic()
    started = datetime.now(timezone.utc)
    out = options.out
    datasets = {"--manifest": options.manifest, "--features": options.features}
    models = load_models(options.model, options.prior, options.manifest)
    keep_apart(out, {"--model": options.model, "--detector": options.detector}, datasets)
    for model in models:
        if model.bundle.doubt:
            console.say(f"{model.bundle.task}: {model.bundle.doubt}")
        elif model.abstain and model.abstain["threshold"] is None:
            console.say(f"{model.bundle.task}: {abstention_told(model.abstain)}")
    published = read_published(out)
    refuse_other_job(out, "labels")
    pictures = read_manifest(options.manifest)
    features = _features(options, models)
    out.ensure_writable()
    settle(out, published)
    sources = {model.bundle.task: model.source for model in models}
    plan = make_plan(pictures, sources, out, None if options.overwrite else published, features)
    _check_gone(options, plan, published)
    _say(plan, models, published)
    news = [model for model in models if published and _says_news(model, out, published)]
    for model in news:
        console.say(f"{model.bundle.task}: what the bundle says of its model has changed, and is written to its labels")
    if not len(plan.rows) and not plan.gone and published and not news:
        _unstage(out)  # of a run that was killed after its commit
        console.say("nothing to do")
        return _counts(out, published.run_id, len(pictures), plan, _states(out, published.tasks[models[0].bundle.task]))
    if len(plan.rows):
        _check_networks(options, models, features)
    settings = {
        "models": [model.notes() for model in models],
        "decode_version": DECODE_VERSION,
        "manifest": dataset_digest(options.manifest.dataset()),
        "features": features.digest if features else None,
        "before": published.run_id if published else None,
        "overwrite": options.overwrite,
        "detector": str(options.detector) if options.detector else None,
        "precision": options.precision,
        "staged": [PRECISION],  # so that what an earlier release has staged is not gone on with
    }
    staging = _staging(out, settings, plan.rows)
    statuses = _compute(staging, models, features, options) if len(plan.rows) else {}
    _check_read(staging, plan, statuses)
    scores = _part_files(staging) if len(plan.rows) else None
    models = [with_mix(model, number, out, scores, published) for number, model in enumerate(models)]
    run_id = f"{started:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"  # sorts as runs follow each other
    notes = {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "artray": artray.__version__,
        "bundles": [model.notes() for model in models],
        "options": options.model_dump(mode="json"),
        "precision": _precisions(scores),
    }
    committing = False
    try:
        run = _Run(out=out, run_id=run_id, at=started, models=models, plan=plan, published=published)
        tasks, tallies, states = _write(run, staging, notes)
        counts = _counts(out, run_id, len(pictures), plan, dict(states))
        counts["tasks"] = {name: dict(tally.most_common()) for name, tally in tallies.items()}
        described = {
            "job": "labels",
            **notes,
            "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in _VERSIONS}},
            "manifest": {"uri": str(options.manifest), "fingerprint": settings["manifest"]},
            "started_at": started.isoformat(timespec="seconds"),
            "finished_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - begun, 2),
            "counts": counts,
            "tasks": {**(published.tasks if published else {}), **tasks},
            "previous": published.files() if published else [],
        }
        committing = True
        commit(out, Published.model_validate(described), published)
    except BaseException:
        discard(out, run_id, committing=committing)
        raise
    _unstage(out)
    _show(tallies, states)
    return counts


def _says_news(model: LabelModel, out: Location, published: Published) -> bool:
    """Whether its task's labels, from this very model, don't say yet how far they can be relied on.

    Labels of earlier versions don't, nor do those from before the model was evaluated anew.
    """
    task = published.tasks.get(model.bundle.task)
    if task is None or task.source != model.source:
        return False
    if model.prior == "estimated":  # what it says of itself follows from works that are not looked at again
        return False
    now = json.loads(json.dumps(model.notes()))
    notes = [read_notes(file) for file in (out / task.labels).dataset().get_fragments()]
    told = [bundle for each in notes for bundle in each.get("bundles", []) if bundle["model_id"] == now["model_id"]]
    return any((told or [{}])[0].get(name) != now[name] for name in ("doubt", "abstain"))


def _features(options: LabelOptions, models: Sequence[LabelModel]) -> FeatureTable | None:
    """The feature table, unless it has nothing that a model needs."""
    if options.features is None:
        return None
    table = FeatureTable(options.features)
    if any(spec in table.specs for model in models for spec in model.bundle.input.specs()):
        return table
    console.say(f"{options.features}: not used, what these bundles need is not in it, or was made with other options")
    return None


def _check_networks(options: LabelOptions, models: Sequence[LabelModel], features: FeatureTable | None) -> None:
    """Say before any worker starts that a detector is needed or is none, or that a backbone's file is another one."""
    for model in models:
        for spec in model.bundle.input.specs():
            given = features is not None and spec in features.specs
            model.bundle.input.check_backbone(spec, features.files if features is not None and given else None)
            if options.detector is not None or not given:
                trusted = trusted_spec(spec, options.detector, model.uri)
                if spec["name"] == Objects.name:
                    build_feature(trusted)


def _check_gone(options: LabelOptions, plan: Plan, published: Published | None) -> None:
    if options.overwrite or published is None:
        return
    rows = max((len(kept) for kept in plan.kept.values()), default=0)
    if plan.gone > rows / 2:
        raise InputError(
            f"{options.out}: {plan.gone:,} of {rows:,} labelled works are not in {options.manifest}; "
            "if it is the same collection, --overwrite drops their labels, else give another --out"
        )


def _say(plan: Plan, models: Sequence[LabelModel], published: Published | None) -> None:
    if published is None:
        return
    kinds = [f"{number:,} {name}" for name, number in plan.counts.items() if number]
    console.say(f"works since the last run: {', '.join([*kinds, *([f'{plan.gone:,} gone'] if plan.gone else [])])}")
    for model in models:
        before = published.tasks.get(model.bundle.task)
        if before and before.source != model.source:
            console.say(f"{model.bundle.task}: {model.bundle.model_id} takes the place of {before.model_id}")


def _staging(out: Location, settings: Mapping[str, Any], rows: pa.Table) -> Location:
    """The folder in which these rows' scores are staged; what another run has staged there is of no use to anybody."""
    key = digest(json.dumps(settings, sort_keys=True).encode())
    root = out / _STAGING
    for name in {*root.names()} - {key}:
        if re.fullmatch(_KEY, name):
            remove_scratch(root / name, _STAGED)
    staging = root / key
    if not _rows_file(staging).exists():
        # Not written again for a run that goes on: the pass knows its rows by the file.
        _rows_file(staging).write_table(rows)
    return staging


def _unstage(out: Location) -> None:
    remove_scratch(out / _STAGING, [f"{_KEY}/{name}" for name in _STAGED])


def _rows_file(staging: Location) -> Location:
    return staging / "work.parquet"


def _part_files(staging: Location) -> Location:
    return staging / "parts"


def _compute(
    staging: Location, models: Sequence[LabelModel], features: FeatureTable | None, options: LabelOptions
) -> dict[str, int]:
    arguments = {
        "models": [{"uri": str(model.uri), "task": model.bundle.task, "identity": model.identity} for model in models],
        "features": {"uri": str(features.uri), "specs": features.specs} if features else None,
        "decode_version": DECODE_VERSION,
        "detector": str(options.detector) if options.detector else None,
        "precision": options.precision,
    }
    counts = run_pass(
        "labels", _rows_file(staging), _part_files(staging), LabelWorker, arguments, overwrite=True, gpus=True
    )
    statuses: dict[str, int] = counts["statuses"]
    return statuses


def _check_read(staging: Location, plan: Plan, statuses: Mapping[str, int]) -> None:
    """Labels without a single readable picture are nobody's wish: storage or keys are at fault.

    Raises:
        ArtrayError: There are none.
    """
    if not len(plan.rows) or statuses.get("ok") or any(kept.any() for kept in plan.kept.values()):
        return
    errors = _part_files(staging).dataset().to_table(columns=["error"])["error"]
    example = errors.drop_null()[0].as_py() if errors.null_count < len(errors) else ""
    remove_scratch(staging, _STAGED)  # or the same command would find them done
    told = ", ".join(f"{number:,} {status}" for status, number in statuses.items())
    raise ArtrayError(f"no picture could be read: {told} ({example}); nothing was published")


def _precisions(scores: Location | None) -> dict[str, int]:
    """In which precision networks saw how many of the run's pictures; of features at hand they saw none."""
    counts: Counter[str] = Counter()
    if scores is not None:
        _add(counts, scores.dataset().to_table(columns=[PRECISION])[PRECISION])
    return dict(counts.most_common())


def _write(
    run: _Run, staging: Location, notes: Mapping[str, Any]
) -> tuple[dict[str, TaskLabels], dict[str, Counter[str]], Counter[str]]:
    """Write the run's files; its tasks, how many works have which label, and in which state pictures are."""
    folder = f"{RUNS}/{run.run_id}"
    pictures = f"{folder}/{PICTURES}"
    with parquet_writer(run.out / pictures, run.plan.pictures.schema) as writer:
        writer.write_table(run.plan.pictures, row_group_size=_BATCH)
    tasks, tallies = {}, {}
    states: Counter[str] = Counter()
    schema = LABELS.with_metadata({METADATA_KEY: json.dumps(notes)})
    for number, model in enumerate(run.models):
        task = model.bundle.task
        file = f"{folder}/{task}.parquet"
        tally, states = Counter[str](), Counter()
        unsaid = novel = 0
        learned = works_of_training(model.uri, model.bundle)
        with parquet_writer(run.out / file, schema) as writer:
            for table in _gathered(_rows(run, staging, number)):
                table = _with_learned(table, learned)
                writer.write_table(table.cast(schema))
                _add(tally, pc.list_flatten(table["labels"]))
                _add(states, table["status"])
                novel += pc.sum(pc.greater_equal(table["novelty"], LIMIT)).as_py() or 0
                unsaid += pc.sum(pc.equal(pc.list_value_length(table["labels"]), 0)).as_py() or 0
        if unsaid:
            works = count_of(unsaid, "work has", "works have")
            console.say(f"{task}: {works} no label: no class reaches its threshold")
        if novel:
            works = count_of(novel, "work looks", "works look")
            console.say(f"{task}: {works} like none of the classes (novelty from {LIMIT} on): uncertain")
        if states.total() != len(run.plan.pictures):
            raise ArtrayError(
                f"{task}: {states.total():,} labels for {len(run.plan.pictures):,} pictures: not published"
            )
        tasks[task] = TaskLabels(
            run_id=run.run_id,
            model_id=model.bundle.model_id,
            source=model.source,
            rows=states.total(),
            labels=file,
            pictures=pictures,
        )
        tallies[task] = tally
    return tasks, tallies, states


def _rows(run: _Run, staging: Location, number: int) -> Iterator[pa.Table]:
    """The rows of a model's task: those that stay, then the new ones."""
    task = run.models[number].bundle.task
    if run.published and task in run.plan.kept:
        yield from _kept(run.out / run.published.tasks[task].labels, run.plan.kept[task])
    if len(run.plan.rows):
        yield from _new(run, staging, number)


def _kept(labels: Location, kept: Flags) -> Iterator[pa.Table]:
    """The rows of a task's published labels that stay."""
    start = 0
    dataset_read = labels.dataset()
    dataset = LabelDataset(list(dataset_read.get_fragments()), LABELS, dataset_read.format, dataset_read.filesystem)
    for batch in dataset.to_batches(batch_size=_BATCH):
        yield pa.Table.from_batches([batch.filter(pa.array(kept[start : start + len(batch)]))])
        start += len(batch)


def _with_learned(rows: pa.Table, learned: pa.Array | None) -> pa.Table:
    """Rows of one model with the column `learned_from`, those that an earlier release has written too."""
    known = pa.nulls(len(rows), pa.bool_())
    if learned is not None:
        there = pc.is_in(rows["object_id"], value_set=learned)
        known = pc.if_else(pc.equal(rows["status"], "ok"), there, pa.scalar(None, pa.bool_()))
    return rows.set_column(rows.column_names.index("learned_from"), "learned_from", known)


def _new(run: _Run, staging: Location, number: int) -> Iterator[pa.Table]:
    """The rows that a model of the run has made."""
    column, model = f"scores_{number}", run.models[number]
    novelty = f"novelty_{number}" if model.bundle.novelty_sha is not None else None
    names = ["object_id", "image_uri", "status", "error", "models", column, *([novelty] if novelty else [])]
    for batch in _part_files(staging).dataset().to_batches(columns=names, batch_size=_BATCH):
        table = pa.Table.from_batches([batch])
        made = table.filter(pc.not_equal(pc.bit_wise_and(table["models"], 1 << number), 0))
        rows = label_rows(made, column, model.bundle, run.run_id, run.at, prior=model.mix, novelty=novelty)
        yield rows.cast(LABELS)


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


def _states(out: Location, task: TaskLabels) -> Counter[str]:
    states: Counter[str] = Counter()
    _add(states, (out / task.labels).dataset().to_table(columns=["status"])["status"])
    return states


def _counts(out: Location, run_id: str, rows: int, plan: Plan, states: Mapping[str, int]) -> Counts:
    return {
        "rows": rows,
        "ok": states.get("ok", 0),
        "failed": sum(states.values()) - states.get("ok", 0),
        "statuses": dict(states),
        "computed": len(plan.rows),
        "kept": rows - len(plan.rows),
        "gone": plan.gone,
        "out": str(out),
        "run_id": run_id,
    }


def _show(tallies: Mapping[str, Counter[str]], states: Counter[str]) -> None:
    for task, tally in tallies.items():
        console.table(task, ["label", "works"], tally.most_common(12))
    failures = [(status, number) for status, number in states.most_common() if status != "ok"]
    if failures:
        console.table("pictures that could not be read", ["status", "works"], failures)
