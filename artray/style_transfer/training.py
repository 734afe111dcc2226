"""Train a network that paints pictures in some styles, with Ray Train, and write a stylizer bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from artray import console
from artray.bundles.description import made_from, read_history, refuse_bad_names
from artray.bundles.stylizer import BUNDLE, NETWORK, load_stylizer_bundle
from artray.engine.options import TrainingOptions
from artray.engine.outputs import earlier_bundle, say_left_out
from artray.engine.shards import EXAMPLE_FILES, cache_of
from artray.engine.worker_group import CHECKPOINTS, join_cluster
from artray.errors import InputError
from artray.gans.config import PictureChoice
from artray.gans.examples import load_pictures
from artray.job import Counts
from artray.storage import (
    Location,
    dataset_digest,
    digest,
    keep_apart,
    refuse_other_job,
    remove_scratch,
    remove_written,
)
from artray.style_transfer.config import StyleConfig, read_config
from artray.style_transfer.loop import StyleTraining
from artray.style_transfer.references import SUMMED, Target, Wanted, find_target

_STYLES = "_styles"
_SUMMED = rf"\d+/{SUMMED}"
_WRITTEN = (
    r"stylizer\.json",
    r"stylizer\.keras|history\.json",
    CHECKPOINTS,
    EXAMPLE_FILES,
    rf"{_STYLES}/{_SUMMED}",
)


class TrainStyleOptions(TrainingOptions):
    """Train a network that paints pictures in one or several styles in one pass, as a config says."""

    config: str = Field(
        description="what to train: a packaged style_… config's name, or a file", examples=["NAME|FILE"]
    )
    data: Location = Field(description="the manifest whose pictures are painted while it learns", examples=["URI"])
    style: Location | None = Field(
        None, description="works of the styles: a manifest, or one picture; default: those of --data",
        examples=["URI|FILE"],
    )  # fmt: skip
    out: Location = Field(description="folder or s3:// prefix for the stylizer bundle", examples=["URI"])


def train_style(options: TrainStyleOptions) -> Counts:
    """Train, or go on with a run that was interrupted, or say that the bundle is there already.

    Raises:
        InputError: The config or the data can't be used, or `out` holds another bundle or another job's output, or is
            the place of the data.
        ArtrayError: Training failed.
    """
    config = read_config(options.config, options.changes())
    out, styles_location = options.out, options.style or options.data
    keep_apart(out, {"--style": options.style}, {"--data": options.data})
    refuse_other_job(out, "stylizer")
    styles = _styles(config, styles_location)
    out.ensure_writable()
    cache = cache_of(options.cache, out, [options.data], options.in_memory)
    prints = [dataset_digest(options.data.dataset()), *(wanted.digest() for wanted in styles[:1])]
    source = digest(*(text.encode() for text in prints))
    earlier = earlier_bundle(
        out,
        load_stylizer_bundle,
        lambda bundle: made_from(bundle, config, source),
        file=BUNDLE,
        network=NETWORK,
        overwrite=options.overwrite,
    )
    if earlier is not None:
        console.say(f"{out} holds this stylizer already")
        return _summary(out)
    join_cluster(options.workers, options.gpus_per_worker, options.data, out)
    if (out / BUNDLE).exists():
        remove_written(out, _WRITTEN)
    targets = [_target(wanted, out / _STYLES / str(number), config) for number, wanted in enumerate(styles)]
    names = [wanted.name for wanted in styles]
    console.table("styles", ["style", "works"], [(name, one.works) for name, one in zip(names, targets, strict=True)])
    console.say(f"reading pictures from {options.data}")
    # Chosen as a generator's are.
    pictures = load_pictures(PictureChoice(size=config.size, batch_size=max(2, config.batch_size)), options.data, cache)
    console.say(f"pictures: {len(pictures.ids):,}")
    say_left_out(pictures.dropped)
    training = StyleTraining(
        config=config,
        pictures=pictures,
        styles=names,
        targets=[one.scales[0] for one in targets],
        works=[one.works for one in targets],
        out=out,
        source=source,
    )
    options.run(training, title=config.model.name, note=_note)
    remove_scratch(out / _STYLES, [_SUMMED])
    return _summary(out)


def _target(wanted: Wanted, out: Location, config: StyleConfig) -> Target:
    return find_target(wanted, out, config.looks, size=config.size, scales=1, judge=None)[1]


def _styles(config: StyleConfig, location: Location) -> list[Wanted]:
    """The styles of a config, each with its works.

    Raises:
        InputError: There is no such column or class.
    """
    whole = Wanted(location=location)
    if config.target is None:
        whole.rows()
        return [whole]
    if whole.is_picture():
        raise InputError(f"--style {location}: is one picture, which has no column {config.target!r}; leave target out")
    dataset = location.dataset()
    names = dataset.schema.names
    if config.target not in names:
        raise InputError(
            f"{location}: has no column {config.target!r}; it is the config's target: --set target=NAME takes another "
            f"(it has {', '.join(names)})"
        )
    column: pa.ChunkedArray = pc.cast(dataset.to_table(columns=[config.target])[config.target], pa.string())
    all_names = sorted(filter(None, pc.unique(column).to_pylist()))
    classes = config.styles if config.styles is not None else all_names
    for name in classes:
        if name not in all_names:
            raise InputError(
                f"styles: {location} has no work of {name!r} in {config.target!r} ({', '.join(all_names[:12])})"
            )
    if not classes:
        raise InputError(f"{location}: column {config.target!r} has no label")
    refuse_bad_names(classes, location, config.target)
    return [Wanted(location=location, column=config.target, value=name) for name in classes]


def _note(metrics: Mapping[str, Any]) -> str:
    loss = metrics["loss"]
    told = f"loss {loss:.3f}  " if loss is not None else ""
    return f"epoch {metrics['epoch']}  {told}{metrics['rate']:,.0f} pictures/s"


def _summary(out: Location) -> Counts:
    bundle = load_stylizer_bundle(out)
    history = read_history(out)
    first, last = history[0]["loss"], history[-1]["loss"]
    console.table(
        f"{bundle.model_id}: {last:.3f} after {bundle.metrics['steps']:,} steps",
        ["", "first", "last"],
        [["loss", f"{first:.3f}", f"{last:.3f}"]],
    )
    left_out = sum(bundle.data["dropped"].values())
    return {
        "rows": bundle.data["train"] + left_out,
        "ok": bundle.data["train"],
        "failed": bundle.data["dropped"]["unreadable"],
        "out": str(out),
        "model_id": bundle.model_id,
        "styles": bundle.styles,
        "steps": bundle.metrics["steps"],
        "loss": [first, last],
    }
