"""Train an upscaler with Ray Train, measure it beside interpolation, and write a page about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from artray import console
from artray.bundles.description import made_from
from artray.bundles.upscaler import BUNDLE, NETWORK, UpscalerBundle, load_upscaler_bundle, read_evaluation
from artray.engine.options import TrainingOptions
from artray.engine.outputs import earlier_bundle, say_left_out
from artray.engine.shards import EXAMPLE_FILES, cache_of
from artray.engine.worker_group import CHECKPOINTS, join_cluster
from artray.job import Counts
from artray.storage import Location, dataset_digest, digest, keep_apart, refuse_other_job, remove_written
from artray.super_resolution.config import read_config
from artray.super_resolution.examples import counts, load_originals
from artray.super_resolution.loop import UpscalerTraining
from artray.super_resolution.page import write_page

# The bundle's own file first: a folder without it holds no bundle, whatever else is left where the job is killed.
_WRITTEN = (
    r"upscaler\.json",
    r"upscaler\.keras|history\.json|evaluation\.json",
    r"examples/\d{2,}-(small|bicubic|upscaler|original)\.png",
    r"page/((page|evaluation|upscaler)\.css|index\.html|pictures/\d{2,}-(small|bicubic|upscaler|original)\.png)",
    CHECKPOINTS,
    EXAMPLE_FILES,
)


class UpscalerOptions(TrainingOptions):
    """Train a network that enlarges pictures (super-resolution), and measure it beside interpolation."""

    config: str = Field(description="what to train: a packaged sr_… config's name, or a file", examples=["NAME|FILE"])
    data: Location = Field(description="patches or a manifest, as the config's `input` says", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for the upscaler bundle", examples=["URI"])
    start: Location | None = Field(
        None, description="begin with the weights of this upscaler, such as one of another loss", examples=["URI"]
    )


def train_upscaler(options: UpscalerOptions) -> Counts:
    """Train, or go on with a run that was interrupted, or say that the bundle is there already; then the page.

    Raises:
        InputError: The config or the data can't be used, or `out` holds another bundle or another job's output, or is
            the place of the data.
        ArtrayError: Training failed.
    """
    config = read_config(options.config, options.changes())
    out = options.out
    keep_apart(out, {"--start": options.start}, {"--data": options.data})
    refuse_other_job(out, "upscaler")
    out.ensure_writable()
    cache = cache_of(options.cache, out, [options.data], options.in_memory)
    source = dataset_digest(options.data.dataset())
    if options.start is not None:
        source = digest(source.encode(), load_upscaler_bundle(options.start).upscaler_sha.encode())
    earlier = earlier_bundle(
        out,
        load_upscaler_bundle,
        lambda bundle: made_from(bundle, config, source),
        file=BUNDLE,
        network=NETWORK,
        overwrite=options.overwrite,
    )
    if earlier is not None:
        console.say(f"{out} holds this upscaler already")
        return _summary(out)
    join_cluster(options.workers, options.gpus_per_worker, options.data, out)
    console.say(f"reading pictures from {options.data}")
    originals = load_originals(config, options.data, cache)
    console.table("pictures", ["part", "number"], counts(originals).items())
    say_left_out(originals.dropped)
    if (out / BUNDLE).exists():  # removed only now that the data can be used
        remove_written(out, _WRITTEN)
    training = UpscalerTraining(config=config, originals=originals, out=out, source=source, start=options.start)
    options.run(training, title=f"{config.model.name} ×{config.scale}", note=_note)
    return _summary(out)


def _note(metrics: Mapping[str, Any]) -> str:
    note = f"epoch {metrics['epoch']}  loss {metrics['loss']:.4f}"
    if "psnr" in metrics:
        note += f"  validation PSNR {metrics['psnr']:.2f} dB"
    return f"{note}  {metrics['rate']:,.0f} squares/s"


def _summary(out: Location) -> Counts:
    bundle, evaluation = load_upscaler_bundle(out), read_evaluation(out)
    page = write_page(out)
    _show(bundle, evaluation)
    console.say(f"open {page}")
    used = sum(bundle.data[part] for part in ("train", "validation", "test"))
    return {
        "rows": used + sum(bundle.data["dropped"].values()),
        "ok": used,
        "failed": bundle.data["dropped"]["unreadable"],
        "out": str(out),
        "model_id": bundle.model_id,
        "scale": bundle.scale,
        "upscaler": evaluation["upscaler"],
        "bicubic": evaluation["bicubic"],
        "page": str(page),
    }


def _show(bundle: UpscalerBundle, evaluation: Mapping[str, Any]) -> None:
    if not evaluation["n"]:
        console.say("there is no test part: nothing says how good it is")
        return
    rows = [
        [name, f"{evaluation[kind]['psnr']:.2f} dB", f"{evaluation[kind]['ssim']:.4f}"]
        for name, kind in (("this upscaler", "upscaler"), ("bicubic interpolation", "bicubic"))
    ]
    title = f"{bundle.model_id}: on {evaluation['n']:,} pictures of the test part, never trained on"
    console.table(title, ["", "PSNR", "SSIM"], rows)
    if evaluation["upscaler"]["psnr"] <= evaluation["bicubic"]["psnr"] and bundle.config["loss"]["name"] == "l1":
        console.say("it is no better than interpolation: train it for longer, or on more pictures")
