"""Station 4: train a classifier with Ray Train and write a model bundle."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import ray
from pydantic import Field, ValidationError, field_validator
from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from artray import cluster, console
from artray.collection import storage
from artray.collection.splits import PARTS
from artray.errors import ArtrayError, InputError
from artray.job import Counts, Options
from artray.training.bagging import bag
from artray.training.baseline import fit_baseline
from artray.training.bundle import BUNDLE, Bundle, load_bundle, read_json
from artray.training.config import TrainConfig, read_config
from artray.training.data import Examples, load_examples
from artray.training.evaluation import figure, true_classes
from artray.training.loop import Job, Refit, train_worker
from artray.training.metrics import one_hot
from artray.training.workers import Progress, TensorflowCluster, watch

_FAILURES_WITHOUT_PROGRESS = 3


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
    workers: int | str = Field(
        1, description="processes that share each batch; 1-4: as many as there is room for", examples=["N|N-M"]
    )
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

    @field_validator("workers")
    @classmethod
    def _is_a_number_or_range(cls, value: int | str) -> int | str:
        _range(value)
        return value

    @property
    def worker_range(self) -> tuple[int, int]:
        """The fewest and the most workers."""
        return _range(self.workers)


def _range(value: int | str) -> tuple[int, int]:
    low, dash, high = str(value).partition("-")
    if not low.isdecimal() or (dash and not high.isdecimal()) or not 1 <= int(low) <= int(high or low):
        raise ValueError("must be a number from 1 on, or a range such as 1-4")
    return int(low), int(high or low)


def train(options: TrainOptions) -> Counts:
    """Train, or go on with a run that was interrupted, or say that the bundle is there already.

    Raises:
        InputError: The config or the data can't be used, or `out` holds another bundle.
        ArtrayError: Training failed.
    """
    config = read_config(options.config, options.set)
    out = storage.normalize(options.out)
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
        if not _made_from(evaluated, config, source):
            raise InputError(f"{out}: holds a bundle of another config or data; give another --out, or --overwrite")
        finalized = evaluated.metrics.get("finalized", False)
        if finalized and not options.finalize:
            raise InputError(f"{out}: holds this model fitted on all parts (--finalize); give another --out")
        if finalized == options.finalize:
            console.say(f"{out} holds this model already")
            return _summary(out, config)
    cluster.connect()
    _check_gpus(options)
    if evaluated is None:
        console.say(f"reading examples from {options.data}")
        examples = load_examples(config, options.data, corrections=options.corrections)
        _show(config, examples)
        baseline = fit_baseline(config, examples, baseline_features(options.features, options.data, config))
        if replaced:  # only now that the data can be used, and never a folder that holds no bundle
            storage.remove(out)
        _fit(options, Job(config, examples, standardization(examples), baseline, out, source, None))
    if options.finalize:
        console.say("fitting again on all parts")
        _refit(options, config, out, source)
    storage.remove(storage.join(out, "_training"))
    return _summary(out, config)


def _train_folds(options: TrainOptions, config: TrainConfig, out: str, source: str) -> Counts:
    """A model a fold, each a bundle below `out/folds/`, and their mean as the bundle in `out`."""
    if options.finalize or config.folds is not None or config.colormaps:
        raise InputError("--folds: goes neither with --finalize nor with the config's `folds` or `colormaps`")
    config = config.model_copy(update={"folds": options.folds})
    replaced = storage.exists(storage.join(out, BUNDLE))
    if replaced and not options.overwrite:
        bundle = load_bundle(out)
        if bundle.metrics.get("bagged") != options.folds or not _made_from(bundle, config, source):
            raise InputError(f"{out}: holds a bundle of another config or data; give another --out, or --overwrite")
        console.say(f"{out} holds this model already")
        return _summary(out, config)
    cluster.connect()
    _check_gpus(options)
    console.say(f"reading examples from {options.data}")
    decoded: dict[Any, Any] = {}
    whole = config.model_copy(update={"folds": None})
    examples = load_examples(whole, options.data, corrections=options.corrections, decoded=decoded)
    _show(config, examples)
    baseline = fit_baseline(config, examples, baseline_features(options.features, options.data, config))
    if replaced:
        storage.remove(out)
    members = [storage.join(out, "folds", str(fold)) for fold in range(config.folds or 0)]
    for fold, member in enumerate(members):
        told = config.model_copy(update={"fold": fold, "classes": examples.classes})
        if storage.exists(storage.join(member, BUNDLE)):
            if _made_from(load_bundle(member), told, source):
                console.say(f"fold {fold}: done before")
                continue
            storage.remove(member)
        dealt = load_examples(told, options.data, corrections=options.corrections, decoded=decoded)
        _fit(options, Job(told, dealt, standardization(dealt), None, member, source, None))
        storage.remove(storage.join(member, "_training"))
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


def _made_from(bundle: Bundle, config: TrainConfig, source: str) -> bool:
    try:
        return TrainConfig.model_validate(bundle.config) == config and bundle.data["source"] == source
    except ValidationError:  # the config of another release
        return False


def _check_gpus(options: TrainOptions) -> None:
    """GPUs that a local Ray does not have would be waited for for ever; a cluster may be about to add some."""
    wanted = options.worker_range[0] * options.gpus_per_worker
    found = int(ray.cluster_resources().get("GPU", 0))
    if wanted > found and not os.environ.get("RAY_ADDRESS"):
        raise InputError(f"--gpus-per-worker {options.gpus_per_worker}: {wanted} GPUs are needed, there are {found}")


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
    """Run the workers until the bundle is written; begun again where they die, while they get further each time."""
    config = job.config
    progress = ray.remote(num_cpus=0)(Progress).remote()
    job = replace(job, progress=progress, summaries=_summaries(options, job))
    fewest, most = options.worker_range
    fs, path = storage.arrow_filesystem(storage.join(job.out, "_training"))
    resources: dict[str, float] = {"CPU": min(1.0, cluster.cpus() / most)}
    if options.gpus_per_worker:
        resources["GPU"] = options.gpus_per_worker
    epochs = job.refit.epochs if job.refit else config.epochs
    name = storage.fingerprint(config.model_dump_json().encode(), job.source.encode(), str(bool(job.refit)).encode())

    def trainer() -> DataParallelTrainer:
        return DataParallelTrainer(
            train_worker,
            train_loop_config={"job": job},
            backend_config=TensorflowCluster(),
            scaling_config=ScalingConfig(
                num_workers=most if fewest == most else (fewest, most),
                use_gpu=options.gpus_per_worker > 0,
                resources_per_worker=resources,
            ),
            run_config=RunConfig(
                name=name,  # the same name finds the checkpoints of an interrupted run
                storage_path=path,
                storage_filesystem=fs,
                failure_config=FailureConfig(max_failures=_FAILURES_WITHOUT_PROGRESS),
                checkpoint_config=CheckpointConfig(num_to_keep=2),
            ),
        )

    stop = threading.Event()
    started = f"starting {options.workers} worker(s)"
    with console.bar(config.task, epochs * len(job.examples.part("train")), note=started) as bar:
        watcher = threading.Thread(target=watch, args=(progress, bar, config.monitor, stop), daemon=True)
        watcher.start()
        try:
            with cluster.own_errors():
                _run_while_it_gets_further(trainer, progress)
        finally:
            stop.set()
            watcher.join()
    error = ray.get(progress.error.remote())
    if error is not None:
        raise error
    if not storage.exists(storage.join(job.out, BUNDLE)):
        raise ArtrayError("training ended without a bundle (-v shows the workers' logs)")


def _run_while_it_gets_further(trainer: Callable[[], DataParallelTrainer], progress: Any) -> None:
    """Ray gives up after a number of failures, however far apart they are; a long run on many machines has many."""
    reached = -1
    while True:
        try:
            trainer().fit()
        except TrainingFailedError:
            epochs, _ = ray.get(progress.news.remote(reached))
            if not epochs:
                raise
            reached = epochs[-1]["epoch"]
        else:
            return


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
