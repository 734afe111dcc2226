"""Station 4: train a classifier with Ray Train and write a model bundle."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import ray
from pydantic import Field
from ray.train import FailureConfig, RunConfig, ScalingConfig

from artray import cluster, console
from artray.collection import storage
from artray.errors import ArtrayError, InputError
from artray.job import Counts, Options
from artray.training.bundle import BUNDLE, load_bundle, read_json
from artray.training.config import TrainConfig, read_config
from artray.training.data import PARTS, Examples, load_examples
from artray.training.loop import train_worker


class TrainOptions(Options):
    """Train a classifier as a config says, on several workers, and evaluate it on works it never saw."""

    config: str = Field(description="what to train: one of jobs/configs/ or your own", examples=["FILE"])
    data: str = Field(description="feature table, patches or manifest, as the config's `input` says", examples=["URI"])
    out: str = Field(description="folder or s3:// prefix for the model bundle", examples=["URI"])
    workers: int = Field(1, ge=1, description="processes that share each batch")
    gpus_per_worker: int = Field(0, ge=0, description="GPUs of each")
    set: dict[str, str] = Field({}, description="change a key of the config", examples=["KEY=VALUE"])
    overwrite: bool = Field(False, description="replace a bundle made from other data or with another config")


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
    scratch = storage.join(out, "_training")
    replaced = storage.exists(storage.join(out, BUNDLE))
    if replaced and not options.overwrite:
        bundle = load_bundle(out)
        if bundle.config != config.model_dump() or bundle.data["source"] != source:
            raise InputError(f"{out}: holds a bundle of another config or data; give another --out, or --overwrite")
        console.say(f"{out} holds this model already")
        return _summary(out, config)
    cluster.connect()
    console.say(f"reading examples from {options.data}")
    examples = load_examples(config, options.data)
    _show(examples)
    if replaced:  # only now that the data can be used, and never a folder that holds no bundle
        storage.remove(out)
    _fit(options, config, examples, out, scratch, source)
    storage.remove(scratch)
    return _summary(out, config)


def _fit(options: TrainOptions, config: TrainConfig, examples: Examples, out: str, scratch: str, source: str) -> None:
    with console.silent_stderr():  # here and not above: this brings TensorFlow into the driver, seconds and chatter
        from ray.train.tensorflow import TensorflowTrainer

    epochs = ray.remote(num_cpus=0)(_Epochs).remote()
    fs, path = storage.arrow_filesystem(scratch)
    resources: dict[str, float] = {"CPU": min(1.0, cluster.cpus() / options.workers)}
    if options.gpus_per_worker:
        resources["GPU"] = options.gpus_per_worker
    trainer = TensorflowTrainer(
        train_worker,
        train_loop_config={
            "config": config,
            "examples": examples,
            "standardize": _standardize(examples),
            "out": out,
            "source": source,
            "epochs_actor": epochs,
        },
        scaling_config=ScalingConfig(
            num_workers=options.workers, use_gpu=options.gpus_per_worker > 0, resources_per_worker=resources
        ),
        run_config=RunConfig(
            # The same name finds the checkpoints of an interrupted run.
            name=storage.fingerprint(config.model_dump_json().encode(), source.encode()),
            storage_path=path,
            storage_filesystem=fs,
            failure_config=FailureConfig(max_failures=3),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    )
    stop = threading.Event()
    with console.bar(config.task, config.epochs, note=f"starting {options.workers} worker(s)") as bar:
        watcher = threading.Thread(target=_watch, args=(epochs, bar, stop), daemon=True)
        watcher.start()
        try:
            with cluster.own_errors():
                trainer.fit()
        finally:
            stop.set()
            watcher.join()
    if not storage.exists(storage.join(out, BUNDLE)):
        raise ArtrayError("training ended without a bundle (-v shows the workers' logs)")


class _Epochs:
    """Takes what rank 0 says of each epoch, so that the driver can show it."""

    def __init__(self) -> None:
        self._seen: dict[int, dict[str, Any]] = {}

    def add(self, metrics: dict[str, Any]) -> None:
        self._seen[metrics["epoch"]] = metrics

    def after(self, epoch: int) -> list[dict[str, Any]]:
        return [self._seen[number] for number in sorted(self._seen) if number > epoch]


def _watch(epochs: Any, bar: console.Bar, stop: threading.Event) -> None:
    done = 0
    while True:
        last = stop.wait(0.3)
        for metrics in ray.get(epochs.after.remote(done)):
            note = (
                f"loss {metrics['loss']:.3f}  validation loss {metrics['validation_loss']:.3f}"
                f"  accuracy {metrics['validation_accuracy']:.2f}"
            )
            bar.advance(metrics["epoch"] - done, note=note)
            done = metrics["epoch"]
        if last:
            return


def _standardize(examples: Examples) -> tuple[list[float], list[float]] | None:
    """Mean and variance of each feature over the training part; pictures are scaled by their model."""
    if len(examples.shape) != 1:
        return None
    matrix = ray.get(examples.blocks[0])[examples.place[examples.part("train"), 1]]
    variance = matrix.var(axis=0)
    return matrix.mean(axis=0).tolist(), np.where(variance > 1e-8, variance, 1.0).tolist()


def _show(examples: Examples) -> None:
    true = examples.targets.argmax(axis=1)
    rows = []
    for index, name in enumerate(examples.classes):
        counts = [int((true[examples.part(part)] == index).sum()) for part in PARTS]
        rows.append([name, *counts])
    console.table("examples", ["class", *PARTS], rows)
    for reason, number in examples.dropped.items():
        if number:
            console.say(f"left out: {number} {reason}")


def _summary(out: str, config: TrainConfig) -> Counts:
    bundle = load_bundle(out)
    evaluation = read_json(out, "evaluation.json")
    rows = [
        [
            level,
            values["n"],
            f"{values['accuracy']:.3f}",
            f"{values['balanced_accuracy']:.3f}",
            f"{values['majority_share']:.3f}",
        ]
        for level, values in evaluation["levels"].items()
    ]
    console.table(
        f"{config.task}: on the test part, never trained on",
        ["per", "n", "accuracy", "balanced", "majority share"],
        rows,
    )
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
