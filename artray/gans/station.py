"""Train a GAN with Ray Train and write a generator bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import Field

from artray import console
from artray.bundles.conditions import Condition
from artray.bundles.description import made_from, read_history
from artray.bundles.generator import ANIMATION, BUNDLE, GENERATOR, load_generator_bundle
from artray.engine.arithmetic import Precision
from artray.engine.options import TrainingOptions
from artray.engine.outputs import earlier_bundle, say_left_out
from artray.engine.shards import EXAMPLE_FILES, cache_of, remove_examples
from artray.engine.worker_group import CHECKPOINTS, join_cluster, remove_checkpoints
from artray.errors import ArtrayError, first_of
from artray.gans.config import GanConfig, read_config
from artray.gans.examples import Pictures, load_pictures
from artray.gans.loop import GanTraining
from artray.gans.sampling import EMBEDDED, WRITTEN
from artray.job import Counts
from artray.storage import Location, dataset_digest, digest, keep_apart, refuse_other_job, remove_written

# The bundle's own file first: a folder without it holds no bundle, whatever else is left where the job is killed.
_WRITTEN = (
    r"generator\.json",
    r"(generator|discriminator)\.keras|history\.json|scores\.json|samples\.webp|descriptions\.parquet",
    r"samples/epoch-\d+\.png",
    r"latent/(interpolation|arithmetic|classes|truncation)\.png",
    r"page/((page|evaluation|gan)\.css|index\.html)",
    r"page/pictures/(epoch-\d+|nearest-\d+-(generated|work)|interpolation|arithmetic|classes|truncation|samples)\.(png|webp)",
    r"tensorboard/events\.out\.tfevents\.[^/]+",
    CHECKPOINTS,
    EXAMPLE_FILES,
    *(rf"_scores/(works|samples)/{name}" for name in EMBEDDED),
    *(f"generated/{name}" for name in WRITTEN),
)


class GanOptions(TrainingOptions):
    """Train a generator of pictures as a config says, on several workers."""

    config: str = Field(description="what to train: a packaged gan_… config's name, or a file", examples=["NAME|FILE"])
    data: Location = Field(description="manifest or patches, as the config's `input` says", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for the generator bundle", examples=["URI"])
    precision: Precision | None = Field(
        None,
        description="compute in this precision; default: the config's, which is float32 unless it says another",
        examples=["auto|float32|bfloat16"],
    )
    tensorboard: bool = Field(False, description="write logs for TensorBoard below OUT/tensorboard")


def train_gan(options: GanOptions) -> Counts:
    """Train, or go on with a run that was interrupted, or say that the bundle is there already.

    Raises:
        InputError: The config or the data can't be used, or `out` holds another bundle or another job's output, or is
            the place of the data.
        ArtrayError: Training failed.
    """
    config = read_config(options.config, options.changes())
    out = options.out
    keep_apart(out, {}, {"--data": options.data})
    refuse_other_job(out, "generator")
    out.ensure_writable()
    cache = cache_of(options.cache, out, [options.data], options.in_memory)
    source = dataset_digest(options.data.dataset())
    earlier = earlier_bundle(
        out,
        load_generator_bundle,
        lambda bundle: made_from(bundle, config, source),
        file=BUNDLE,
        network=GENERATOR,
        overwrite=options.overwrite,
    )
    if earlier is not None:
        console.say(f"{out} holds this generator already")
        return _summary(out)
    join_cluster(options.workers, options.gpus_per_worker, options.data, out)
    console.say(f"reading pictures from {options.data}")
    pictures = load_pictures(config, options.data, cache)
    _show(pictures)
    if (out / BUNDLE).exists():  # removed only now that the data can be used
        remove_written(out, _WRITTEN)
    summaries = out / "tensorboard" if options.tensorboard else None
    training = GanTraining(config=config, pictures=pictures, out=out, source=source, summaries=summaries)
    options.run(training, title=config.model.name, note=_note)
    return _summary(out)


def train_gans(several: Sequence[tuple[str, GanOptions]], shared: Location) -> dict[Location, str]:
    """Train what is not trained yet of several GANs, in one group of workers: each is what it would be alone.

    Args:
        several: Each with what it is called beside the progress bar. Their data and workers are the same.
        shared: Checkpoints and decoded pictures lie below this place until all is done.

    Returns:
        Why those failed that did, by their place.

    Raises:
        InputError: The cluster can't do it.
    """
    first = several[0][1]
    source = dataset_digest(first.data.dataset())
    failed: dict[Location, str] = {}
    todo: list[tuple[str, GanConfig, Location]] = []
    for title, options in several:
        config = read_config(options.config, options.changes())
        try:
            refuse_other_job(options.out, "generator")
            same = partial(made_from, config=config, source=source)
            earlier = earlier_bundle(
                options.out, load_generator_bundle, same, file=BUNDLE, network=None, overwrite=False
            )
        except ArtrayError as error:
            failed[options.out] = str(error)
        else:
            if earlier is None:
                todo.append((title, config, options.out))
    if not todo:
        return failed
    join_cluster(first.workers, first.gpus_per_worker, first.data, shared)
    console.say(f"reading pictures from {first.data}")
    sets = {_pictures_of(config) for _, config, _ in todo}
    cache = cache_of(first.cache, shared, [first.data], first.in_memory / len(sets))
    read: dict[str, Pictures] = {}
    trainings: list[GanTraining] = []
    for title, config, out in todo:
        key = _pictures_of(config)
        try:
            if key not in read:
                read[key] = load_pictures(config, first.data, cache)
                _show(read[key])
        except ArtrayError as error:
            failed[out] = str(error)
            continue
        trainings.append(GanTraining(config=config, pictures=read[key], out=out, source=source, title=title))
    group = first.group(
        shared,
        name=digest(source.encode()),  # whatever was done before, or comes later
        title="GANs",
        note=_note,
    )
    while trainings:
        try:
            group.run(trainings)
            break
        except ArtrayError as error:
            done = [training.is_done() for training in trainings]
            if all(done):
                raise
            lost = trainings[done.index(False)]  # one follows the other
            failed[lost.out] = str(error)
            console.say(f"{lost.title} failed: {error}")
            trainings = trainings[done.index(False) + 1 :]
    if not failed:  # else the same command may go on
        remove_checkpoints(shared)
        remove_examples(shared)
    return failed


def _pictures_of(config: GanConfig) -> str:
    """By what of a config its pictures, and whether they are enough, are the same."""
    return config.model_dump_json(include={"input", "size", "target", "classes", "batch_size"})


def _show(pictures: Pictures) -> None:
    if pictures.classes:
        counts = pictures.labels.sum(axis=0).astype(int).tolist()
        console.table("pictures", ["class", "train"], zip(pictures.classes, counts, strict=True))
    else:
        console.say(f"pictures: {len(pictures.ids):,}")
    if pictures.conditions:
        rows = [[one.name, one.kind, one.width, _values(one)] for one in pictures.conditions]
        console.table("conditions", ["column", "kind", "numbers", "values"], rows)
    say_left_out(pictures.dropped)


def _values(condition: Condition) -> str:
    if condition.names:
        return first_of(condition.names, 8)
    return f"{condition.mean[0]:g} ± {condition.deviation:g}" if condition.kind == "number" else ""


def _note(metrics: Mapping[str, Any]) -> str:
    loss = metrics["generator_loss"]
    note = f"epoch {metrics['epoch']}  losses D {metrics['discriminator_loss']:.3f}"
    note += f" G {loss:.3f}" if loss is not None else ""
    note += f"  real {metrics['real_score']:.2f} fake {metrics['fake_score']:.2f}"
    if metrics.get("diversity") is not None:
        note += f"  diversity {metrics['diversity']:.0%}"
    return f"{note}  {metrics['rate']:,.0f} pictures/s, {metrics['data_wait']:.1%} waiting for data"


def _summary(out: Location) -> Counts:
    bundle = load_generator_bundle(out)
    history = read_history(out)
    last = bundle.metrics
    rows = []
    for name in ("discriminator_loss", "generator_loss", "real_score", "fake_score", "diversity"):
        values = [metrics[name] for metrics in history if metrics.get(name) is not None]
        if values:
            rows.append([name.replace("_", " "), *(f"{value:.3f}" for value in (values[0], values[-1]))])
    console.table(f"{bundle.model_id}: {last['epoch']} epochs, {last['steps']} steps", ["", "first", "last"], rows)
    if last.get("warning"):
        console.say(last["warning"])
    console.say(f"samples of every epoch: {out / ANIMATION}")
    left_out = sum(bundle.data["dropped"].values())
    return {
        "rows": bundle.data["train"] + left_out,
        "ok": bundle.data["train"],
        "failed": bundle.data["dropped"]["unreadable"],
        "out": str(out),
        "model_id": bundle.model_id,
        "steps": last["steps"],
        "diversity": last["diversity"],
        "data_wait": round(
            sum(metrics["data_wait"] * metrics["seconds"] for metrics in history)
            / max(sum(metrics["seconds"] for metrics in history), 1e-9),
            4,
        ),
    }
