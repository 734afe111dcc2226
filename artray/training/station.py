"""Station 4: train a classifier with Ray Train and write a model bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import ray
from pydantic import Field

from artray import cluster, console
from artray.collection import storage
from artray.collection.splits import PARTS
from artray.errors import InputError
from artray.job import Counts, Options
from artray.training.bagging import bag
from artray.training.baseline import fit_baseline
from artray.training.bundle import BUNDLE, load_bundle, made_from, read_json
from artray.training.config import TrainConfig, read_config
from artray.training.data import Examples, load_examples
from artray.training.evaluation import figure, true_classes
from artray.training.groups import TRAINING, Group, Workers, join_cluster
from artray.training.loop import Job, Refit, train_worker
from artray.training.metrics import one_hot

# The bundles' own files first: a folder without them holds no bundle, whatever else is left where the job is killed.
_WRITTEN = (
    r"bundle\.json",
    r"folds/\d+/bundle\.json",
    r"(folds/\d+/)?(model\.keras|evaluation\.json|history\.json|predictions\.parquet)",
    r"(folds/\d+/)?tensorboard/(training|refit)/events\.out\.tfevents\.[^/]+",
    rf"(folds/\d+/)?{TRAINING}/.+",
)


class TrainOptions(Options):
    """Train a classifier as a config says, on several workers, and evaluate it on works it never saw."""

    config: str = Field(description="what to train: one of jobs/configs/ or your own", examples=["FILE"])
    data: str = Field(description="feature table, patches or manifest, as the config's `input` says", examples=["URI"])
    out: str = Field(description="folder or s3:// prefix for the model bundle", examples=["URI"])
    features: str | None = Field(
        None,
        description="feature table of the same works, to compare with a logistic regression on their embedding; "
        "default: --data, where it is one",
        examples=["URI"],
    )
    workers: Workers = 1
    gpus_per_worker: int = Field(0, ge=0, description="GPUs of each")
    folds: int | None = Field(
        None,
        ge=2,
        description="cross-validate: deal training and validation part anew into so many folds, train a model on all "
        "but each, and make their mean the bundle",
    )
    finalize: bool = Field(
        False, description="then fit again on all parts, test included, for as many epochs as were best"
    )
    tensorboard: bool = Field(False, description="write logs for TensorBoard below OUT/tensorboard")
    corrections: list[str] = Field(
        [], description="the curator's corrections from the page, on top of the target column", examples=["FILE"]
    )
    set: dict[str, str] = Field({}, description="change a key of the config", examples=["KEY=VALUE"])
    overwrite: bool = Field(False, description="replace a bundle made from other data or with another config")


def train(options: TrainOptions) -> Counts:
    """Train, or go on with a run that was interrupted, or say that the bundle is there already.

    Raises:
        InputError: The config or the data can't be used, or `out` holds another bundle or another job's output, or is
            a place of data.
        ArtrayError: Training failed.
    """
    config = read_config(options.config, options.set)
    out = storage.normalize(options.out)
    storage.keep_apart(out, {}, {"--data": options.data, "--features": options.features})
    storage.refuse_other_job(out, "model")
    storage.ensure_writable(out)
    source = storage.dataset_fingerprint(storage.dataset(options.data))
    if options.corrections:
        files = [storage.read_bytes(storage.normalize(uri)) for uri in options.corrections]
        source = storage.fingerprint(source.encode(), *files)
    if options.folds is not None:
        return _train_folds(options, config, out, source)
    evaluated = None
    replaced = storage.exists(storage.join(out, BUNDLE))
    if replaced and not options.overwrite:
        evaluated = load_bundle(out)
        if not made_from(evaluated, config, source):
            raise InputError(f"{out}: holds a bundle of another config or data; give another --out, or --overwrite")
        finalized = evaluated.metrics.get("finalized", False)
        if finalized and not options.finalize:
            raise InputError(f"{out}: holds this model fitted on all parts (--finalize); give another --out")
        if finalized == options.finalize:
            console.say(f"{out} holds this model already")
            return _summary(out, config)
    join_cluster(options.workers, options.gpus_per_worker, options.data, out)
    if evaluated is None:
        console.say(f"reading examples from {options.data}")
        examples = load_examples(config, options.data, corrections=options.corrections)
        _show(config, examples)
        baseline = fit_baseline(config, examples, baseline_features(options.features, options.data, config))
        if replaced:  # only now that the data can be used
            storage.remove_written(out, _WRITTEN)
        _fit(options, Job(config, examples, standardization(examples), baseline, out, source, None))
    if options.finalize:
        console.say("fitting again on all parts")
        _refit(options, config, out, source)
    storage.remove(storage.join(out, TRAINING))
    return _summary(out, config)


def _train_folds(options: TrainOptions, config: TrainConfig, out: str, source: str) -> Counts:
    """A model a fold, each a bundle below `out/folds/`, and their mean as the bundle in `out`."""
    if options.finalize or config.folds is not None or config.colormaps:
        raise InputError("--folds: goes neither with --finalize nor with the config's `folds` or `colormaps`")
    config = config.model_copy(update={"folds": options.folds})
    replaced = storage.exists(storage.join(out, BUNDLE))
    if replaced and not options.overwrite:
        bundle = load_bundle(out)
        if bundle.metrics.get("bagged") != options.folds or not made_from(bundle, config, source):
            raise InputError(f"{out}: holds a bundle of another config or data; give another --out, or --overwrite")
        console.say(f"{out} holds this model already")
        return _summary(out, config)
    join_cluster(options.workers, options.gpus_per_worker, options.data, out)
    console.say(f"reading examples from {options.data}")
    decoded: dict[Any, Any] = {}
    whole = config.model_copy(update={"folds": None})
    examples = load_examples(whole, options.data, corrections=options.corrections, decoded=decoded)
    _show(config, examples)
    baseline = fit_baseline(config, examples, baseline_features(options.features, options.data, config))
    if replaced:
        storage.remove_written(out, _WRITTEN)
    members = [storage.join(out, "folds", str(fold)) for fold in range(config.folds or 0)]
    for fold, member in enumerate(members):
        told = config.model_copy(update={"fold": fold, "classes": examples.classes})
        if storage.exists(storage.join(member, BUNDLE)):
            if made_from(load_bundle(member), told, source):
                console.say(f"fold {fold}: done before")
                continue
            storage.remove_written(member, _WRITTEN)
        dealt = load_examples(told, options.data, corrections=options.corrections, decoded=decoded)
        _fit(options, Job(told, dealt, standardization(dealt), None, member, source, None))
        storage.remove(storage.join(member, TRAINING))
    with cluster.own_errors():
        task = ray.remote(bag).options(num_cpus=min(1, cluster.cpus()), num_gpus=options.gpus_per_worker)
        ray.get(task.remote(members, Job(config, examples, None, baseline, out, source, None)))
    folds = read_json(out, "evaluation.json")["folds"]
    rows = [[name, f"{item['mean']:.3f}", f"± {item['spread']:.3f}"] for name, item in folds["figures"].items()]
    console.table(f"{config.task}: each of {options.folds} folds, on its validation part", ["", "mean", "spread"], rows)
    return _summary(out, config) | {"folds": folds["figures"]}


def baseline_features(features: str | None, data: str, config: TrainConfig) -> str | None:
    """The table whose embedding the baseline sees: the one given, else the data if they are features."""
    return features or (data if config.input == "features" else None)


def _refit(options: TrainOptions, config: TrainConfig, out: str, source: str) -> None:
    """Replace the evaluated model in `out` by one that has learned from the test part too; the evaluation stays."""
    bundle = load_bundle(out)
    classes = [item.name for item in bundle.classes]
    examples = load_examples(
        config.model_copy(update={"classes": classes}),
        options.data,
        all_for_training=True,
        corrections=options.corrections,
    )
    evaluation = read_json(out, "evaluation.json")
    refit = Refit(
        epochs=bundle.metrics["best_epoch"],
        history=json.loads(storage.read_bytes(storage.join(out, "history.json"))),
        temperature=bundle.temperature,
        evaluation={name: value for name, value in evaluation.items() if name != "model_id"},
        predictions=storage.dataset(storage.join(out, "predictions.parquet")).to_table(),
    )
    _fit(options, Job(config, examples, standardization(examples), None, out, source, None, refit=refit))


def _fit(options: TrainOptions, job: Job) -> None:
    """Run the workers until the bundle is written."""
    config, refitted = job.config, job.refit is not None
    epochs = job.refit.epochs if job.refit else config.epochs
    group = Group(
        workers=options.workers,
        gpus=options.gpus_per_worker,
        out=job.out,
        bundle=BUNDLE,
        name=storage.fingerprint(config.model_dump_json().encode(), job.source.encode(), str(refitted).encode()),
        title=config.task,
        examples=epochs * len(job.examples.part("train")),
        note=partial(_note, monitor=config.monitor),
    )
    group.run(train_worker, replace(job, summaries=_summaries(options, job)))


def _note(metrics: Mapping[str, Any], monitor: str) -> str:
    note = f"epoch {metrics['epoch']}  loss {metrics['loss']:.3f}"
    if "validation_loss" in metrics:
        note += f"  validation loss {metrics['validation_loss']:.3f}"
        shown = "validation_accuracy" if monitor == "validation_loss" else monitor
        note += f"  {shown.removeprefix('validation_').replace('_', ' ')} {metrics[shown]:.2f}"
    return f"{note}  {metrics['rate']:,.0f} examples/s"


def _summaries(options: TrainOptions, job: Job) -> str | None:
    if not options.tensorboard:
        return None
    return storage.join(job.out, "tensorboard", "refit" if job.refit else "training")


def standardization(examples: Examples) -> tuple[list[float], list[float]] | None:
    """Mean and variance of each feature over the training part; pictures are scaled by their model."""
    if len(examples.shape) != 1:
        return None
    matrix = ray.get(examples.blocks[0])[examples.place[examples.part("train"), 1]]
    variance = matrix.var(axis=0)
    return matrix.mean(axis=0).tolist(), np.where(variance > 1e-8, variance, 1.0).tolist()


def _show(config: TrainConfig, examples: Examples) -> None:
    true = one_hot(true_classes(examples.targets, config.labels == "several"), len(examples.classes))
    counts = {part: true[examples.part(part)].sum(axis=0) for part in PARTS}
    rows: list[list[Any]] = [
        [name, *(int(counts[part][index]) for part in PARTS)] for index, name in enumerate(examples.classes)
    ]
    console.table("examples", ["class", *PARTS], rows)
    for part, column in zip(PARTS[1:], (2, 3), strict=True):
        lacking = [str(row[0]) for row in rows if not row[column]]
        if lacking:
            console.say(f"no {part} example of {', '.join(lacking)}: what is said of the {part} part leaves them out")
    for reason, number in examples.dropped.items():
        if number:
            console.say(f"left out: {number} {reason}")


def _figures(values: dict[str, Any]) -> list[str]:
    return [f"{figure(values, name) or 0:.3f}" for name in ("accuracy", "balanced_accuracy", "macro_f1")]


def _summary(out: str, config: TrainConfig) -> Counts:
    bundle = load_bundle(out)
    evaluation = read_json(out, "evaluation.json")
    rows = []
    for level, values in evaluation["levels"].items():
        low, high = values["intervals"]["accuracy"]
        rows.append([level, values["n"], "this model", *_figures(values), f"{low:.3f} to {high:.3f}"])
        rows.append(["", "", "always the same label", *_figures(values["majority"]), ""])
        if values["baseline"]:
            rows.append(["", "", "logistic regression", *_figures(values["baseline"]), ""])
    header = ["per", "n", "", "accuracy", "balanced", "mean F1", "accuracy, 95 %"]
    console.table(f"{config.task}: on the test part, never trained on", header, rows)
    artwork = evaluation["levels"]["artwork"]
    used = sum(bundle.data[part] for part in PARTS)
    left_out = sum(bundle.data["dropped"].values())
    return {
        "rows": used + left_out,
        "ok": used,
        "failed": bundle.data["dropped"]["unreadable"],
        "out": out,
        "model_id": bundle.model_id,
        "accuracy": artwork["accuracy"],
        "balanced_accuracy": artwork["balanced_accuracy"],
        "majority_share": artwork["majority_share"],
        "levels": {level: values["accuracy"] for level, values in evaluation["levels"].items()},
    }
