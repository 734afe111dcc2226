"""What every training worker does: epochs of steps, a checkpoint each, and at the end the model bundle."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from ray import train

import artray
from artray.collection import storage
from artray.collection.decoding import DECODE_VERSION
from artray.errors import ArtrayError
from artray.training.augmentation import augment
from artray.training.bundle import BUNDLE, MODEL, Bundle, Class
from artray.training.config import TrainConfig
from artray.training.data import PARTS, Examples, Inputs
from artray.training.evaluation import by_artwork, evaluate, fit_temperature, log_loss, softmax
from artray.vocabulary import load_vocabulary, vocabularies

_CHECKPOINT = "state.npz"


def train_worker(job: dict[str, Any]) -> None:
    """One worker's whole run.

    Args:
        job: `config`, `examples` (their inputs are references), `standardize`, `out`, `source` (the data's
            fingerprint), `epochs_actor`.
    """
    context = train.get_context()
    threads = max(1, (os.cpu_count() or 1) // context.get_local_world_size())
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(threads))
    os.environ.pop("TF_USE_LEGACY_KERAS", None)  # Ray Train sets it for fit(); our step is Keras 3
    # Imported here: with them comes TensorFlow, which the driver does without.
    import keras

    from artray.models.classifiers import classifier
    from artray.training.distributed import Replicas

    config: TrainConfig = job["config"]
    examples: Examples = job["examples"]
    inputs = Inputs(examples.blocks, examples.place)

    def build() -> keras.Model:
        return classifier(
            config.model.name, examples.shape, len(examples.classes), config.model.settings(), job["standardize"]
        )

    def optimizer() -> keras.optimizers.Optimizer:
        return keras.optimizers.get({"class_name": config.optimizer.name, "config": config.optimizer.settings()})

    keras.utils.set_random_seed(config.seed)
    replicas = Replicas(build, optimizer, config.label_smoothing)
    first, best, history = _restore(replicas)
    training, validation = examples.part("train"), examples.part("validation")

    for epoch in range(first, config.epochs):

        def take(indices: npt.NDArray[np.int64], epoch: int = epoch) -> tuple[Any, Any]:
            x = inputs.take(indices)
            if len(examples.shape) == 3:
                x = augment(x, indices, config.augment, config.seed, epoch)
            return x, examples.targets[indices]

        order = np.random.default_rng([config.seed, epoch]).permutation(training)
        batches = [order[start : start + config.batch_size] for start in range(0, len(order), config.batch_size)]
        losses = [replicas.step(take, batch) for batch in batches]
        scores = softmax(replicas.predict(inputs.take, validation, config.batch_size))
        true = examples.targets[validation].argmax(axis=1)
        metrics = {
            "epoch": epoch + 1,
            "loss": float(np.average(losses, weights=[len(batch) for batch in batches])),
            "validation_loss": log_loss(true, scores),
            "validation_accuracy": float((scores.argmax(axis=1) == true).mean()),
        }
        if not np.isfinite(metrics["loss"]):
            raise ArtrayError(f"the loss is {metrics['loss']} in epoch {epoch + 1}: try a smaller learning rate")
        history.append(metrics)
        if best is None or metrics["validation_loss"] < best["validation_loss"]:
            state = {name: value for name, value in replicas.state().items() if name.startswith("model/")}
            best = {"validation_loss": metrics["validation_loss"], "epoch": epoch + 1, "state": state}
        _report(replicas, best, history, metrics)
        if context.get_world_rank() == 0:
            job["epochs_actor"].add.remote(metrics)
    assert best is not None  # a config has at least one epoch
    replicas.load(best["state"])
    everything = np.arange(len(examples.table))
    logits = replicas.predict(inputs.take, everything, config.batch_size)
    if context.get_world_rank() == 0:
        _write_bundle(job["out"], job["source"], config, examples, replicas, build, logits, best["epoch"], history)


def _restore(replicas: Any) -> tuple[int, dict[str, Any] | None, list[dict[str, Any]]]:
    """The epoch to go on with, the best weights so far and the history, from the run's last checkpoint."""
    checkpoint = train.get_checkpoint()
    if checkpoint is None:
        return 0, None, []
    with checkpoint.as_directory() as folder:
        arrays = dict(np.load(Path(folder) / _CHECKPOINT))
        notes = json.loads((Path(folder) / "notes.json").read_text())
    replicas.load(arrays)
    best = {
        **notes["best"],
        "state": {f"model/{name[5:]}": value for name, value in arrays.items() if name[:5] == "best/"},
    }
    return len(notes["history"]), best, notes["history"]


def _report(replicas: Any, best: dict[str, Any], history: list[dict[str, Any]], metrics: dict[str, Any]) -> None:
    """Give Ray Train this epoch's checkpoint (from rank 0; the others only meet it there)."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if train.get_context().get_world_rank() == 0:
            state = replicas.state()
            state |= {f"best/{name.removeprefix('model/')}": value for name, value in best["state"].items()}
            np.savez(Path(folder) / _CHECKPOINT, **state)
            notes = {"best": {"validation_loss": best["validation_loss"], "epoch": best["epoch"]}, "history": history}
            (Path(folder) / "notes.json").write_text(json.dumps(notes))
            checkpoint = train.Checkpoint.from_directory(folder)
        train.report(metrics, checkpoint=checkpoint)


def _write_bundle(
    out: str,
    source: str,
    config: TrainConfig,
    examples: Examples,
    replicas: Any,
    build: Any,
    logits: npt.NDArray[Any],
    best_epoch: int,
    history: list[dict[str, Any]],
) -> None:
    import keras

    from artray.models.classifiers import calibrated

    true = examples.targets.argmax(axis=1)
    validation = examples.part("validation")
    temperature = fit_temperature(true[validation], logits[validation])
    scores = softmax(logits / temperature)
    evaluation, predictions = evaluation_of(config, examples, scores)
    plain = build()  # outside the strategy: a model of ordinary variables
    plain.set_weights([variable.numpy() for variable in replicas.model.weights])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / MODEL
        calibrated(plain, temperature).save(file)
        model = file.read_bytes()
    weights = storage.fingerprint(
        *(variable.numpy().tobytes() for variable in plain.weights), str(temperature).encode()
    )
    ids = [f"{row['object_id']}\0{row['part']}" for row in examples.table.to_pylist()]
    bundle = Bundle(
        model_id=f"{config.task}-{weights[:12]}",
        task=config.task,
        target=config.target,
        classes=[Class(name=name, uri=_concept(config.target, name)) for name in examples.classes],
        input=examples.input,
        decode_version=DECODE_VERSION,
        temperature=temperature,
        model_sha=storage.fingerprint(model),
        data={
            "fingerprint": storage.fingerprint("\n".join(ids).encode(), examples.targets.tobytes()),
            **{part: len(examples.part(part)) for part in PARTS},
            "dropped": examples.dropped,
            "source": source,
        },
        config=config.model_dump(),
        metrics={"best_epoch": best_epoch, "test": evaluation["levels"]},
        versions={
            "artray": artray.__version__,
            "keras": keras.__version__,
            "tensorflow": metadata.version("tensorflow"),
        },
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    evaluation = {"model_id": bundle.model_id, **evaluation}
    storage.write_bytes(storage.join(out, MODEL), model)
    storage.write_bytes(storage.join(out, "evaluation.json"), json.dumps(evaluation, indent=1).encode())
    storage.write_bytes(storage.join(out, "history.json"), json.dumps(history, indent=1).encode())
    storage.write_table(storage.join(out, "predictions.parquet"), predictions)
    storage.write_bytes(storage.join(out, BUNDLE), bundle.model_dump_json(indent=1).encode())


def _concept(target: str, label: str) -> str | None:
    """A label's AAT URI, where there is a vocabulary called like the catalogue column and it knows one."""
    if target not in vocabularies():
        return None
    vocabulary = load_vocabulary(target)
    return vocabulary.uri(vocabulary.find(label) or "")


def evaluation_of(config: TrainConfig, examples: Examples, scores: npt.NDArray[Any]) -> tuple[dict[str, Any], pa.Table]:
    """The test part's evaluation per artwork (and per patch), and every artwork's prediction."""
    true = examples.targets.argmax(axis=1)
    test = examples.part("test")
    levels: dict[str, Any] = {}
    owners = examples.table["object_id"].to_pylist()
    names, artwork_scores = by_artwork(owners, scores)
    first = {owner: row for row, owner in reversed(list(enumerate(owners)))}
    rows = [first[name] for name in names]
    artwork_true = true[rows]
    part = [examples.table["part"][row].as_py() for row in rows]
    unseen = np.flatnonzero(np.asarray(part) == "test")
    levels["artwork"] = evaluate(artwork_true[unseen], artwork_scores[unseen], examples.classes)
    if len(names) != len(owners):
        levels["patch"] = evaluate(true[test], scores[test], examples.classes)
    predictions = pa.table(
        {
            "object_id": names,
            "part": part,
            "true": [examples.classes[index] for index in artwork_true],
            "label": [examples.classes[index] for index in artwork_scores.argmax(axis=1)],
            "scores": pa.array(
                [list(zip(examples.classes, row, strict=True)) for row in artwork_scores.tolist()],
                pa.map_(pa.string(), pa.float32()),
            ),
        }
    )
    evaluation = {
        "task": config.task,
        "part": "test",
        "classes": examples.classes,
        "majority_share": levels["artwork"]["majority_share"],
        "levels": levels,
    }
    return evaluation, predictions
