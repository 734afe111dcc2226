"""Train a GAN with Ray Train and write a generator bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from artray import console
from artray.collection import storage
from artray.errors import InputError
from artray.gans.bundle import ANIMATION, BUNDLE, HISTORY, load_generator_bundle
from artray.gans.config import read_config
from artray.gans.data import Pictures, load_pictures
from artray.gans.loop import Job, train_worker
from artray.gans.sampling import WRITTEN
from artray.job import Counts, Options
from artray.training.bundle import made_from
from artray.training.groups import TRAINING, Group, Workers, join_cluster

# The bundle's own file first: a folder without it holds no bundle, whatever else is left where the job is killed.
_WRITTEN = (
    r"generator\.json",
    r"(generator|discriminator)\.keras|history\.json|scores\.json|samples\.webp",
    r"samples/epoch-\d+\.png",
    r"latent/(interpolation|arithmetic|classes)\.png",
    r"page/([a-z]+\.css|index\.html|pictures/[^/]+\.(png|webp))",
    r"tensorboard/events\.out\.tfevents\.[^/]+",
    rf"({TRAINING}|_scores)/.+",
    *(f"generated/{name}" for name in WRITTEN),
)


class GanOptions(Options):
    """Train a generator of pictures as a config says, on several workers."""

    config: str = Field(description="what to train: one of jobs/configs/gan_*.yaml or your own", examples=["FILE"])
    data: str = Field(description="manifest or patches, as the config's `input` says", examples=["URI"])
    out: str = Field(description="folder or s3:// prefix for the generator bundle", examples=["URI"])
    workers: Workers = 1
    gpus_per_worker: int = Field(0, ge=0, description="GPUs of each")
    tensorboard: bool = Field(False, description="write logs for TensorBoard below OUT/tensorboard")
    set: dict[str, str] = Field({}, description="change a key of the config", examples=["KEY=VALUE"])
    overwrite: bool = Field(False, description="replace a bundle made from other data or with another config")


def train_gan(options: GanOptions) -> Counts:
    """Train, or go on with a run that was interrupted, or say that the bundle is there already.

    Raises:
        InputError: The config or the data can't be used, or `out` holds another bundle or another job's output, or is
            the place of the data.
        ArtrayError: Training failed.
    """
    config = read_config(options.config, options.set)
    out = storage.normalize(options.out)
    storage.keep_apart(out, {}, {"--data": options.data})
    storage.refuse_other_job(out, "generator")
    storage.ensure_writable(out)
    source = storage.dataset_fingerprint(storage.dataset(options.data))
    replaced = storage.exists(storage.join(out, BUNDLE))
    if replaced and not options.overwrite:
        if not made_from(load_generator_bundle(out), config, source):
            raise InputError(f"{out}: holds a bundle of another config or data; give another --out, or --overwrite")
        console.say(f"{out} holds this generator already")
        return _summary(out)
    join_cluster(options.workers, options.gpus_per_worker, options.data, out)
    console.say(f"reading pictures from {options.data}")
    pictures = load_pictures(config, options.data)
    _show(pictures)
    if replaced:  # only now that the data can be used
        storage.remove_written(out, _WRITTEN)
    group = Group(
        workers=options.workers,
        gpus=options.gpus_per_worker,
        out=out,
        bundle=BUNDLE,
        name=storage.fingerprint(config.model_dump_json().encode(), source.encode()),
        title=config.model.name,
        examples=config.epochs * (len(pictures.ids) // config.batch_size) * config.batch_size,
        note=_note,
    )
    summaries = storage.join(out, "tensorboard") if options.tensorboard else None
    group.run(train_worker, Job(config, pictures, out, summaries=summaries))
    storage.remove(storage.join(out, TRAINING))
    return _summary(out)


def _show(pictures: Pictures) -> None:
    if pictures.classes:
        counts = pictures.labels.sum(axis=0).astype(int).tolist()
        console.table("pictures", ["class", "train"], zip(pictures.classes, counts, strict=True))
    else:
        console.say(f"pictures: {len(pictures.ids):,}")
    for reason, number in pictures.dropped.items():
        if number:
            console.say(f"left out: {number} {reason}")


def _note(metrics: Mapping[str, Any]) -> str:
    loss = metrics["generator_loss"]
    note = f"epoch {metrics['epoch']}  losses D {metrics['discriminator_loss']:.3f}"
    note += f" G {loss:.3f}" if loss is not None else ""
    note += f"  real {metrics['real_score']:.2f} fake {metrics['fake_score']:.2f}"
    if metrics.get("diversity") is not None:
        note += f"  diversity {metrics['diversity']:.0%}"
    return f"{note}  {metrics['rate']:,.0f} pictures/s, {metrics['data_wait']:.1%} waiting for data"


def _summary(out: str) -> Counts:
    bundle = load_generator_bundle(out)
    history = json.loads(storage.read_bytes(storage.join(out, HISTORY)))
    last = bundle.metrics
    rows = []
    for name in ("discriminator_loss", "generator_loss", "real_score", "fake_score", "diversity"):
        found = [metrics[name] for metrics in history if metrics.get(name) is not None]
        if found:
            rows.append([name.replace("_", " "), *(f"{value:.3f}" for value in (found[0], found[-1]))])
    console.table(f"{bundle.model_id}: {last['epoch']} epochs, {last['steps']} steps", ["", "first", "last"], rows)
    if last.get("warning"):
        console.say(last["warning"])
    console.say(f"samples of every epoch: {storage.join(out, ANIMATION)}")
    left_out = sum(bundle.data["dropped"].values())
    return {
        "rows": bundle.data["train"] + left_out,
        "ok": bundle.data["train"],
        "failed": bundle.data["dropped"]["unreadable"],
        "out": out,
        "model_id": bundle.model_id,
        "steps": last["steps"],
        "diversity": last["diversity"],
        "data_wait": round(
            sum(metrics["data_wait"] * metrics["seconds"] for metrics in history)
            / max(sum(metrics["seconds"] for metrics in history), 1e-9),
            4,
        ),
    }
