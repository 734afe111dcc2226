"""The page of one model's evaluation (E4): how good it is, where it errs, and what it looked at when it did.

One static page a bundle, `evaluation-TASK.html`, with its pictures in a folder of that name; that of a second bundle of
the task is `evaluation-TASK-2.html`. It needs no server, no internet and no script: charts are SVG in the page, and a
content security policy forbids it every connection. Names of classes and works come from strangers and are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.classifier import load_bundle, read_evaluation, read_predictions
from artray.bundles.description import read_history
from artray.bundles.inputs import PictureInput
from artray.errors import InputError
from artray.report.evaluation_sections import EvaluationSections, spaced
from artray.report.explained_pictures import ActivationMaps, remove_pictures, write_pictures
from artray.report.languages import Speech
from artray.report.sections import static_page
from artray.storage import Location

ERRORS = 24
_MARK = b'href="evaluation.css"'


def evaluation_page(
    bundle: Location,
    out: Path,
    names: Mapping[str, str] | None = None,
    *,
    file: str | None = None,
    heading: str | None = None,
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
        file: What the page is called, without `.html`; default: `evaluation-TASK`.
        heading: What stands above it; default: the task.
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
    name = file or f"evaluation-{about.task}"
    works = worst_errors(predictions, evaluation["part"], errors)
    for static in ("page.css", "evaluation.css"):
        Location.parse(out / static).write_bytes(files("artray.report").joinpath(static).read_bytes())
    explain = None
    if isinstance(about.input, PictureInput) and works:
        explain = ActivationMaps(bundle, about, layer, method)
    pictures = write_pictures(works, out, name, explain)
    say = Speech(language)
    known = {"task": about.task, "model_id": about.model_id, "repeats": about.metrics.get("repeats", 1)}
    told = EvaluationSections({**evaluation, **known}, say, page)
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
    sizes = ", ".join(
        say(f"ev.part.{part}", n=about.data[part]) for part in ("train", "validation", "test") if part in about.data
    )
    checked = (about.data.get("reviewed") or {}).get("works")
    if checked:
        sizes += f"; {say('ev.reviewed', n=checked)}"
    written = static_page(
        heading or spaced(about.task),
        sections=sections,
        styles=("page.css", "evaluation.css"),
        kind="evaluation",
        eyebrow=eyebrow,
        lead=told.lead(),
        about=escape(f"{say('model_named', id=about.model_id)}, {about.created_at}. {say('ev.examples', parts=sizes)}"),
        suffix=f": {escape(say('ev.evaluation'))}",
        language=language,
    )
    Location.parse(out / f"{name}.html").write_bytes(written)
    return out / f"{name}.html"


def remove_evaluations(out: Path, kept: Sequence[Path]) -> None:
    """Remove the evaluation pages, with their pictures, that are in a page's folder; all but some.

    What is called like one and is not of our making stays.
    """
    for page in set(out.glob("evaluation-*.html")) - set(kept):
        if _MARK in page.read_bytes():
            remove_pictures(out, page.stem)
            page.unlink()


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
