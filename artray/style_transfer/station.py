"""A collection in another style (D9): by optimisation towards works of a style, or in one pass by a trained network.

OUT/index.html          works beside what was made of them, and how that was judged
OUT/pictures            the pictures, PNG; each says in its XMP what it is
OUT/manifest            them as a manifest, for all other stations
OUT/transfers.parquet   a row a picture: what became of it, and its figures
OUT/scores.json         their means by strength
OUT/labels              with --judge: their labels, as of label_catalog; OUT/content-labels: those of the works
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from html import escape
from typing import Any, Literal

import pyarrow.compute as pc
import pyarrow.dataset as pads
from pydantic import Field, field_validator

import artray
from artray import console
from artray.bundles.classifier import load_bundle
from artray.bundles.stylizer import load_stylizer_bundle
from artray.errors import ArtrayError, InputError, count_of
from artray.ingest.manifest import FILE
from artray.job import Counts, Options
from artray.labeling.published import read_labels
from artray.labeling.station import LabelOptions, label_catalog
from artray.models import DEFAULT_BACKBONE
from artray.storage import (
    RUN,
    Location,
    dataset_digest,
    digest,
    keep_apart,
    refuse_other_file,
    refuse_other_job,
    remove_written,
)
from artray.style_transfer.feed_forward import style_of
from artray.style_transfer.measures import judge_of
from artray.style_transfer.optimizing import Looks
from artray.style_transfer.page import WRITTEN as PAGE
from artray.style_transfer.page import judged_rows, write_page
from artray.style_transfer.references import SUMMED, Wanted, find_target, remove_target, wanted_style
from artray.style_transfer.scores import SCORES, Classified, scores_of
from artray.style_transfer.shapes import side_lengths
from artray.style_transfer.transferring import MADE, manifest_of, planned, remove_plan, transfer

MANIFEST = "manifest"
TRANSFERS = "transfers.parquet"
_JOB = "stylised"
_WRITTEN = (
    rf"{MANIFEST}/_run\.json",
    rf"{MANIFEST}/manifest\.parquet",
    r"transfers\.parquet",
    r"scores\.json",
    SUMMED,
    *PAGE,
    *MADE,
)


class TransferOptions(Options):
    """Paint a collection's pictures in the style of other works, judge the results, and write a page of them."""

    content: Location = Field(description="the manifest whose pictures are to be painted", examples=["URI"])
    style: Location | None = Field(
        None, description="works of the style: a manifest, or one picture", examples=["URI|FILE"]
    )
    style_class: str | None = Field(
        None,
        description="the style is what the manifest's works of this class have in common, such as emotion=sadness",
        examples=["COLUMN=VALUE"],
    )
    model: Location | None = Field(
        None, description="paint in one pass by a network of train_style; --style then only measures", examples=["URI"]
    )
    out: Location = Field(description="folder or s3:// prefix for pictures/, manifest/ and the page", examples=["URI"])
    strength: list[float] = Field(
        [1.0], min_length=1, description="what style counts beside content; several: each picture in each",
        examples=["X,X"],
    )  # fmt: skip
    size: int = Field(256, ge=32, le=4096, description="long side in pixels; larger pictures are scaled down")
    steps: int = Field(150, ge=1, le=10_000, description="of optimisation")
    scales: int = Field(3, ge=1, le=6, description="sizes to work at, each half of the next")
    smoothness: float = Field(10.0, ge=0, description="what even surfaces count (total variation)")
    backbone: str = Field(
        DEFAULT_BACKBONE, description="network that style and content are seen through, such as VGG19"
    )
    weights: str = Field("imagenet", description="its weights: imagenet, none, or a file", examples=["imagenet|FILE"])
    activations: Literal["auto", "soft", "plain"] = Field(
        "auto",
        description="whether a softmax goes before the comparison (SWAG); auto: not for VGG",
        examples=["auto|soft|plain"],
    )
    measure: Literal["auto", "on", "off"] = Field(
        "auto",
        description="measure with another network; auto: if its weights are installed (artray[lite])",
        examples=["auto|on|off"],
    )
    judge: Location | None = Field(
        None, description="a classifier's bundle that labels works and results", examples=["URI"]
    )
    title: str = Field("Style transfer", description="the page's heading", examples=["TEXT"])
    overwrite: bool = Field(False, description="replace what was made with other options")

    @field_validator("strength")
    @classmethod
    def _are_strengths(cls, strengths: list[float]) -> list[float]:
        if not all(0 < strength <= 1e4 for strength in strengths):
            raise ValueError("must be above 0, 10,000 at most")
        if len(set(strengths)) < len(strengths):
            raise ValueError("one stands there twice")
        return strengths


def transfer_style(options: TransferOptions) -> Counts:
    """Paint the pictures, label and measure them, write the page; a run that died goes on with the same command.

    Raises:
        InputError: The manifests, bundles or pictures can't be used, or `out` can't be written or holds something else.
        ArtrayError: No picture could be painted.
    """
    out = options.out
    wanted = _wanted(options)
    inputs = {"--style": options.style, "--model": options.model, "--judge": options.judge}
    keep_apart(out, inputs, {"--content": options.content})
    refuse_other_job(out / MANIFEST, _JOB)
    refuse_other_file(out, "index.html", b'href="transfer.css"')
    if options.judge is not None:
        load_bundle(options.judge)  # said before hours of painting
    out.ensure_writable()
    looks = _looks(options)
    judge = None
    if options.measure != "off":
        judge = judge_of(looks.backbone, needed=options.measure == "on")
        if judge is None:
            console.say("style and content are not measured: pip install 'artray[lite]' has the network for it")
    settings = _settings(options, wanted, judge)
    if _made_before(out, settings, options.overwrite):
        console.say(f"{out} holds these pictures already")
        _remove_scratch(out)  # where a run was killed in its last moment
        counts: Counts = (out / MANIFEST / RUN).read_json()["counts"]
        return counts
    generator, arguments, works = _generator(options, wanted, looks, judge)
    rows = planned(options.content, out, options.strength, digest(json.dumps(settings, sort_keys=True).encode()))
    made, passed = transfer(rows, out, arguments)
    label = (wanted.column, wanted.value) if wanted and wanted.column and wanted.value else None
    (out / TRANSFERS).write_table(made)
    _refuse_nothing(made)
    (out / MANIFEST / FILE).write_table(manifest_of(rows, made, out, generator=generator, label=label))
    run = {"job": _JOB, "artray": artray.__version__}
    (out / MANIFEST / RUN).write_json(run)  # whose it is; without arguments, as it is not done
    classified = _classified(options, wanted) if options.judge is not None else None
    scores = scores_of(made, options.strength, judge=judge, classified=classified)
    (out / SCORES).write_json(scores)
    page = _page(options, wanted, made, scores, works=works, generator=generator)
    counts = {
        "rows": len(made),
        "ok": passed["ok"],
        "failed": passed["failed"],
        "statuses": passed["statuses"],
        "out": str(out),
        "manifest": str(out / MANIFEST),
        "scores": scores["strengths"],
        "page": str(page),
    }
    now = f"{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
    (out / MANIFEST / RUN).write_json({**run, "arguments": settings, "finished_at": now, "counts": counts})
    _remove_scratch(out)
    header, lines = judged_rows(scores)
    console.table("by strength", header, lines)
    console.say(f"open {page}")
    return counts


def _remove_scratch(out: Location) -> None:
    remove_plan(out)
    remove_target(out)


def _wanted(options: TransferOptions) -> Wanted | None:
    """Which works are the style.

    Raises:
        InputError: Flags don't go together.
    """
    if options.model is None:
        if options.style is None:
            raise InputError("--style: is required, or --model with a network of train_style")
    else:
        bundle = load_stylizer_bundle(options.model)
        style_of(bundle, options.model, options.style_class)
        if max(options.strength) > 1:
            raise InputError(f"--strength {max(options.strength):g}: with --model it is from 0 to 1")
    if options.style is None:
        return None
    if options.model is not None and options.style_class is not None and "=" not in options.style_class:
        raise InputError(f"--style-class {options.style_class}: with --style it must be COLUMN=VALUE")
    return wanted_style(options.style, options.style_class)


def _looks(options: TransferOptions) -> Looks:
    soften = {"auto": None, "soft": True, "plain": False}[options.activations]
    return Looks(backbone=options.backbone, weights=options.weights, soften=soften, smoothness=options.smoothness)


def _settings(options: TransferOptions, wanted: Wanted | None, judge: str | None) -> dict[str, Any]:
    """What the output depends on."""
    kept = {"style_class", "strength", "size", "steps", "scales", "smoothness", "backbone", "weights", "activations"}
    settings = {"judged_by": judge, "title": options.title, **options.model_dump(include=kept)}
    settings["content"] = dataset_digest(options.content.dataset())
    if wanted is not None:
        settings["style"] = wanted.digest()
    if options.model is not None:
        settings["model"] = load_stylizer_bundle(options.model).stylizer_sha
    if options.judge is not None:
        settings["judge"] = load_bundle(options.judge).model_id
    return settings


def _made_before(out: Location, settings: Mapping[str, Any], overwrite: bool) -> bool:
    """Whether the same pictures are there; others are removed or refused.

    Raises:
        InputError: There are others, and they are not to be replaced.
    """
    finished = out / MANIFEST / RUN
    if not finished.exists():
        return False
    earlier = finished.read_json().get("arguments")
    if earlier == settings:
        return True
    if earlier is None:  # it died while it labelled, or wrote the page
        return False
    if not overwrite:
        raise InputError(f"{out}: was made from other works or with other options; give another --out, or --overwrite")
    remove_written(out, _WRITTEN)
    return False


def _generator(
    options: TransferOptions, wanted: Wanted | None, looks: Looks, judge: str | None
) -> tuple[str, dict[str, Any], int]:
    """What the pictures say that made them, what the pass' workers are told, and of how many works the style is."""
    target, works = None, 0
    scales = len(side_lengths(options.size, options.scales))
    if wanted is not None:
        file, target_found = find_target(wanted, options.out, looks, size=options.size, scales=scales, judge=judge)
        target, works = str(file), target_found.works
        console.say(f"style: {wanted.name}, {count_of(works, 'work')}")
    style = None
    if options.model is not None:
        bundle = load_stylizer_bundle(options.model)
        generator, style = bundle.model_id, style_of(bundle, options.model, options.style_class)
    else:
        generator = f"style transfer by {options.backbone}"
    arguments = {
        "size": options.size,
        "looks": looks.model_dump(),
        "scales": options.scales,
        "steps": options.steps,
        "model": str(options.model) if options.model is not None else None,
        "style": style,
        "target": target,
        "judge": judge,
        "generator": generator,
    }
    return generator, arguments, works


def _refuse_nothing(made: Any) -> None:
    if not pc.any(pc.equal(made["status"], "ok")).as_py():
        error = made["error"].drop_null()
        raise ArtrayError(
            f"no picture of --content could be read ({error[0].as_py() if len(error) else 'no pictures'})"
        )


def _classified(options: TransferOptions, wanted: Wanted | None) -> Classified:
    """What the classifier says of the works and of what was made of them."""
    assert options.judge is not None
    bundle = load_bundle(options.judge)
    tables = []
    for manifest, name in ((options.content, "content-labels"), (options.out / MANIFEST, "labels")):
        label_catalog(LabelOptions(manifest=manifest, model=[options.judge], out=options.out / name, overwrite=True))
        dataset = read_labels(options.out / name)
        columns = ["object_id", "label", "scores"]
        tables.append(dataset.to_table(columns=columns, filter=pads.field("task") == bundle.task))
    value = wanted.value if wanted is not None else None
    if options.model is not None:
        value = style_of(load_stylizer_bundle(options.model), options.model, options.style_class)
    return Classified(bundle, value, *tables)


def _page(
    options: TransferOptions,
    wanted: Wanted | None,
    made: Any,
    scores: Mapping[str, Any],
    *,
    works: int,
    generator: str,
) -> Location:
    content = options.content.dataset().to_table(columns=["object_id", "image_uri"]).to_pydict()
    originals = dict(zip(content["object_id"], content["image_uri"], strict=True))
    styles = wanted.rows()["image_uri"].to_pylist() if wanted is not None else []
    if wanted is None:
        assert options.model is not None
        named = style_of(load_stylizer_bundle(options.model), options.model, options.style_class)
        lead = f"In the style “{escape(named)}”, by a network that was trained for it."
    else:
        common = f"what {works:,} works have in common" if works > 1 else "one work"
        how = "in one pass by a trained network" if options.model is not None else f"by {options.steps:,} steps"
        lead = f"Towards “{escape(wanted.name)}”, {common}, {how}."
    return write_page(
        options.title, options.out, made, originals, styles[:: max(1, len(styles) // 6)],
        scores=scores, lead=lead, generator=generator,
    )  # fmt: skip
