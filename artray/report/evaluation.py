"""The page of one model's evaluation (E4): how good it is, where it errs, and what it looked at when it did.

One static page a bundle, `evaluation-TASK.html`, with its pictures in a folder of that name. It needs no server, no
internet and no script: charts are SVG in the page, and a content security policy forbids it every connection. Names of
classes and works come from strangers and are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import ray
from PIL import Image

from artray import cluster
from artray.bundles.classifier import Bundle, load_bundle, load_model, read_evaluation, read_predictions
from artray.bundles.description import read_history
from artray.bundles.inputs import PictureInput, Works
from artray.errors import InputError
from artray.images.encoding import jpeg
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.report.evaluation_sections import EvaluationSections, spaced
from artray.report.languages import Speech
from artray.report.sections import static_page
from artray.storage import Location, remove_written

ERRORS = 24
_THUMBNAIL = 360


def evaluation_page(
    bundle: Location,
    out: Path,
    names: Mapping[str, str] | None = None,
    *,
    errors: int = ERRORS,
    layer: str | None = None,
    method: Literal["cam", "grad-cam", "guided"] | None = None,
    page: str | None = None,
    language: str = "en",
) -> Path:
    """Write the page of a bundle's evaluation, over an older one if there is one.

    Args:
        bundle: URI of the model bundle.
        out: The folder, which also holds (or gets) `page.css`.
        names: What to call works, by object_id; default: the object_id.
        errors: How many works to show that the model was surest and wrong about.
        layer: Of the class activation maps (C13) beside them, where the model takes pictures; default the last.
        method: Of the maps; default: CAM where the model allows it, else Grad-CAM.
        page: The curator's page, beside this one: what is said of works leads to them there.
        language: Of the page's own words.

    Returns:
        The path of the page to open.

    Raises:
        InputError: It is no bundle, its evaluation is an older release's, it has no such maps, or `out` can't be
            written.
    """
    about = load_bundle(bundle)
    evaluation = read_evaluation(bundle)
    if "curves" not in evaluation:
        raise InputError(f"{bundle}: its evaluation was made by an older release: train it again")
    history = read_history(bundle)
    predictions = read_predictions(bundle)
    name = f"evaluation-{about.task}"
    works = worst_errors(predictions, evaluation["part"], errors)
    for static in ("page.css", "evaluation.css"):
        Location.parse(out / static).write_bytes(files("artray.report").joinpath(static).read_bytes())
    explain = None
    if isinstance(about.input, PictureInput) and works:
        explain = _Maps(bundle, about, layer, method)
    pictures = _write_pictures(works, out, name, explain)
    say = Speech(language)
    told = EvaluationSections({**evaluation, "task": about.task, "repeats": about.metrics.get("repeats", 1)}, say, page)
    sections = [
        told.summary(),
        *(told.metrics(level, values) for level, values in evaluation["levels"].items()),
        told.folds(),
        told.classes(),
        told.confusion(),
        told.curves(),
        told.kept(),
        told.calibration(),
        told.novelty(),
        told.learning(history),
        told.errors(works, pictures, names or {}),
    ]
    eyebrow = escape(say("trust_title"))
    if page:
        eyebrow = f'<a href="{escape(page)}#view=trust">← {escape(say("ev.back"))}</a> {eyebrow}'
    parts = ", ".join(
        say(f"ev.part.{part}", n=about.data[part]) for part in ("train", "validation", "test") if part in about.data
    )
    checked = (about.data.get("reviewed") or {}).get("works")
    if checked:
        parts += f"; {say('ev.reviewed', n=checked)}"
    written = static_page(
        spaced(about.task),
        sections=sections,
        styles=("page.css", "evaluation.css"),
        kind="evaluation",
        eyebrow=eyebrow,
        lead=told.lead(),
        about=escape(f"{say('model_named', id=about.model_id)}, {about.created_at}. {say('ev.examples', parts=parts)}"),
        suffix=f": {escape(say('ev.evaluation'))}",
        language=language,
    )
    Location.parse(out / f"{name}.html").write_bytes(written)
    return out / f"{name}.html"


def worst_errors(predictions: pa.Table, part: str, most: int) -> list[dict[str, Any]]:
    """The works of a part that the model was surest and wrong about, the surest first.

    Args:
        predictions: As in the bundle.
        part: Which works.
        most: How many.

    Returns:
        Each work's `object_id`, `image_uri` (or None), `true`, `label` and `score`, and `subject`: the class that the
        error is about. That is the label given; where a work may have several, the class whose score is furthest from
        the truth, and `score` is its.
    """
    rows = predictions.filter(pc.equal(predictions["part"], part)).to_pylist(maps_as_pydicts="strict")
    errors = []
    for row in rows:
        scores, true, label = row["scores"], row["true"], row["label"]
        if isinstance(true, list):
            gaps = {name: abs(score - (name in true)) for name, score in scores.items()}
            subject = max(gaps, key=lambda name: gaps[name])
            wrong, sure = set(true) != set(label), gaps[subject]
        else:
            subject, wrong, sure = label, true != label, scores[label]
        if wrong:
            item = {name: row.get(name) for name in ("object_id", "image_uri", "true", "label")}
            errors.append((-sure, {**item, "subject": subject, "score": scores[subject]}))
    return [item for _, item in sorted(errors, key=lambda pair: (pair[0], pair[1]["object_id"]))[:most]]


class _Maps:
    """Draws what in a work spoke for a class."""

    def __init__(self, uri: Location, bundle: Bundle, layer: str | None, method: str | None):
        self._uri, self._layer, self._method = uri, layer, method
        self._classes = [item.name for item in bundle.classes]
        self._input = bundle.input
        self.decode_sizes = bundle.input.decode_sizes()

    def __call__(
        self,
        errors: Sequence[dict[str, Any]],
        images: Mapping[DecodeSize, Sequence[Picture]],
        pictures: Sequence[Picture],
    ) -> list[list[tuple[Picture, str]]]:
        """For each work, the drawn pictures and the class that each explains.

        Args:
            errors: The works, as from `worst_errors`.
            images: Their pictures in `decode_sizes`.
            pictures: The works as they are shown.
        """
        asked = [(row, name) for row, work in enumerate(errors) for name in _explained(work)]
        inputs = self._input.prepare(Works([work["object_id"] for work in errors], images))
        cluster.connect()
        task = ray.remote(num_cpus=1)(_draw).remote(
            self._uri,
            inputs[[row for row, _ in asked]],
            [pictures[row] for row, _ in asked],
            [self._classes.index(name) for _, name in asked],
            layer=self._layer,
            method=self._method,
        )
        with cluster.unwrapped_errors():
            maps = ray.get(task)
        drawn: list[list[tuple[Picture, str]]] = [[] for _ in errors]
        for (row, name), picture in zip(asked, maps, strict=True):
            drawn[row].append((picture, name))
        return drawn


def _explained(work: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes that an error is about: what it was taken for, and what it is."""
    return (work["subject"],) if isinstance(work["true"], list) else (work["subject"], work["true"])


def _draw(
    uri: Location,
    inputs: npt.NDArray[np.uint8],
    pictures: Sequence[Picture],
    classes: Sequence[int],
    *,
    layer: str | None,
    method: Any,
) -> list[Picture]:
    """Pictures with the activation maps of a bundle's model over them; of a fold ensemble's models their mean."""
    from artray.classifiers.activation_maps import activation_maps, overlay  # with it comes TensorFlow

    bundle = load_bundle(uri)
    model = load_model(uri, bundle)
    models = (
        [part for part in model.layers if hasattr(part, "layers")] if bundle.metrics.get("fold_ensemble") else [model]
    )
    heats = np.mean([activation_maps(part, inputs, classes, layer, method) for part in models], axis=0)
    drawn = []
    for picture, heat in zip(pictures, heats, strict=True):
        size = picture.shape[1], picture.shape[0]
        drawn.append(overlay(picture, np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR))))
    return drawn


def _write_pictures(
    works: Sequence[dict[str, Any]], out: Path, name: str, explain: _Maps | None
) -> dict[str, list[tuple[str, str | None]]]:
    """Each work's pictures beside the page: (path, the class that it explains or None), by object_id."""
    remove_written(Location.parse(out / name), [r"\d{3,}-\d+\.jpg"])
    thumbnail = DecodeSize(_THUMBNAIL, "inside")
    decode_sizes = [thumbnail, *(explain.decode_sizes if explain else [])]
    table = pa.table({key: [work[key] for work in works] for key in ("object_id", "image_uri")})
    written: dict[str, list[tuple[str, str | None]]] = {}
    start = 0
    for batch in read_pictures(table.set_column(1, "image_uri", table["image_uri"].cast(pa.string())), decode_sizes):
        shown = [works[start + row] for row in batch.readable]
        start += len(batch.rows)
        plain = batch.images[thumbnail]
        drawn = explain(shown, batch.images, plain) if explain and shown else [[] for _ in shown]
        for work, picture, maps in zip(shown, plain, drawn, strict=True):
            written[work["object_id"]] = []
            for number, (image, what) in enumerate([(picture, None), *maps]):
                path = f"{name}/{len(written) - 1:03d}-{number}.jpg"  # numbered: an object_id may hold anything
                Location.parse(out / path).write_bytes(jpeg(image, quality=82))
                written[work["object_id"]].append((path, what))
    return written
