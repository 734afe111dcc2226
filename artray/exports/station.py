"""The job that writes a trained classifier in forms that run without artray, and says what each of them is worth.

OUT/FORM/…          the form's files (see `forms`), and `form.json`, written last: its figures
OUT/model.json      what a program must know to use them: classes, input, thresholds
OUT/export.json     all figures
OUT/export.md       the table
OUT/export.html     the page
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from pydantic import Field, field_validator
from ray.exceptions import RayError

import artray
from artray import cluster, console
from artray.bundles.classifier import Bundle, load_bundle, load_model, read_predictions
from artray.engine.sparsity import sparsity_of
from artray.errors import ArtrayError, InputError, did_you_mean
from artray.exports.forms import FORMS, MissingPackageError, Runner, Source
from artray.exports.judging import figures_of, rate_of, scores_of, size_of
from artray.exports.page import markdown, rows_of, write_page
from artray.exports.works import Judges, read_judges
from artray.job import Counts, Options
from artray.storage import PLAN, RUN, Location, digest, keep_apart, refuse_other_job, remove_written
from artray.storage.nodes import check_nodes

_JOB = "export"
_FORM = "form.json"
_LOW = 0.9  # an agreement that is said aloud


class ExportOptions(Options):
    """Write a trained classifier as LiteRT, ONNX, OpenVINO and SavedModel, and compare each with the model."""

    model: Location = Field(description="the model bundle", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for the exported models", examples=["URI"])
    forms: list[str] = Field(list(FORMS), description="which forms", examples=["NAME,NAME"])
    features: Location | None = Field(
        None,
        description="feature table of the same works, where the model looks at features; default: they are computed "
        "from the pictures",
        examples=["URI"],
    )
    works: int = Field(500, ge=1, description="how many works of the test part the forms are judged by, at most")
    representative: int = Field(
        100, ge=1, description="how many works of the training part tell 8-bit forms the range of their numbers"
    )
    seed: int = Field(0, ge=0, description="of the draw of both")
    overwrite: bool = Field(False, description="replace the export of another model, or with other settings")

    @field_validator("forms")
    @classmethod
    def _are_known(cls, forms: list[str]) -> list[str]:
        for name in forms:
            if name not in FORMS:
                raise ValueError(f"there is no form {name!r} ({', '.join(FORMS)}){did_you_mean(name, FORMS)}")
        if not forms:
            raise ValueError(f"at least one is needed ({', '.join(FORMS)})")
        return [name for name in FORMS if name in forms]


def export_model(options: ExportOptions) -> Counts:
    """Write what is missing, judge it, and write the table and the page.

    A form that can't hold the model, or whose packages are not installed, is said and counted; the others are written.

    Raises:
        InputError: It is no bundle, its works can't be read, or `out` can't be written or holds something else.
        ArtrayError: No form could be written.
    """
    out = options.out
    keep_apart(out, {"--model": options.model}, {"--features": options.features})
    refuse_other_job(out, _JOB)
    bundle = load_bundle(options.model)
    predictions = read_predictions(options.model)
    out.ensure_writable()
    plan = _plan(options, bundle)
    _begin(out, plan, options.overwrite)
    done = {name: form for name in ("model", *FORMS) if (form := _finished(out, name, plan)) is not None}
    # What an older release has judged is judged again, asked for or not: a table is made by one rule.
    wanted = ["model", *(name for name in FORMS if name in options.forms or (out / name / _FORM).exists())]
    missing = [name for name in wanted if name not in done]
    if missing:
        cluster.connect()
        check_nodes([options.model, *([options.features] if options.features else [])], [out])
        drawn = {"features": options.features, "seed": options.seed}
        judges = _task(read_judges, bundle, predictions, "test", most=options.works, **drawn)
        known = _task(read_judges, bundle, predictions, "train", most=options.representative, **drawn)
        _get(judges), _get(known)  # what is wrong with them is said before anything is converted
        for name in missing:
            console.say(f"{name}: writing" if name != "model" else "the model itself: judging")
            try:
                done[name] = _get(_task(export_form, options.model, out, name, judges=judges, known=known, plan=plan))
            except RayError as error:  # a converter that took its whole process with it
                reason = " ".join(str(error).split())[:200]
                done[name] = {"status": "failed", "error": f"the process that converts it has died: {reason}"}
    model = done.pop("model")
    forms = {name: done[name] for name in FORMS if name in done}
    return _finish(options, bundle, model, forms)


def export_form(
    model: Location, out: Location, name: str, *, judges: Judges, known: Judges, plan: dict[str, Any]
) -> dict[str, Any]:
    """Write one form and judge it; a task, with TensorFlow.

    Args:
        model: The bundle.
        out: Where the job writes; the form's folder below it.
        name: The form, or `model`: the bundle's own is judged, and nothing is written but its figures.
        judges: Works of the test part.
        known: Works of the training part.
        plan: What the export is of, for `form.json`.

    Returns:
        `status`: ok, missing (a package) or failed, with `error`; `bytes`, `compressed`, `rate`, and of
        `judging.figures_of` all; of the model `sparsity` and `scores` too.
    """
    cluster.quicken_keras()
    bundle = load_bundle(model)
    keras_model = load_model(model, bundle)

    def run(inputs: Any) -> Any:
        return keras_model.predict_on_batch(inputs)

    scores = scores_of(run, bundle, judges)
    form: dict[str, Any] = {"status": "ok", "error": None, "plan": plan}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        runner: Runner = run
        try:
            if name == "model":
                (folder / "model.keras").write_bytes((model / "model.keras").read_bytes())
                form["sparsity"] = sparsity_of(keras_model)
                form |= {"representative": len(known.ids), "representative_left_out": known.left_out}
            else:
                with Source(keras_model, known.inputs.astype("float32")) as source:
                    FORMS[name].write(source, folder)
                runner = FORMS[name].load(folder)
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            form |= size_of(files)
            own_scores = scores if name == "model" else scores_of(runner, bundle, judges)
            form |= figures_of(own_scores, scores, bundle, judges.true)
            form["rate"] = round(rate_of(runner, judges.inputs), 2)
            form |= {"works": len(judges.ids), "left_out": judges.left_out, "shape": judges.inputs.shape[1:]}
        except MissingPackageError as error:
            return {"status": "missing", "error": str(error)}
        except Exception as error:  # converters raise whatever they like
            return {"status": "failed", "error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
        if name != "model":
            (out / name).upload(folder)
        (_folder(out, name) / _FORM).write_json(form)
    return form


def _folder(out: Location, name: str) -> Location:
    return out / ("_model" if name == "model" else name)


def _task(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """What a function gives, once: in a process of the cluster."""
    return ray.remote(max_retries=0)(function).remote(*arguments, **named)


def _get(reference: Any) -> Any:
    with cluster.unwrapped_errors():
        return ray.get(reference)


def _plan(options: ExportOptions, bundle: Bundle) -> dict[str, Any]:
    settings = options.model_dump(mode="json", include={"works", "representative", "seed", "features"})
    return {
        "job": _JOB,
        "artray": artray.__version__,
        "model_id": bundle.model_id,
        "digest": digest(bundle.model_dump_json().encode()),
        "settings": settings,
    }


def _begin(out: Location, plan: dict[str, Any], overwrite: bool) -> None:
    """Note of what the export is; one of something else is refused, or removed.

    Raises:
        InputError: `out` holds the export of another model, or with other settings.
    """
    note = out / PLAN
    if note.exists():
        before = note.read_json()
        if _same(before, plan):
            if before.get("artray") != plan["artray"]:
                console.say(f"{out}: written by artray {before.get('artray')}: its forms are written and judged again")
                note.write_json(plan)
            return
        if not overwrite and any((_folder(out, name) / _FORM).exists() for name in ("model", *FORMS)):
            what = "another model" if before.get("digest") != plan["digest"] else "this model with other settings"
            raise InputError(f"{out}: holds the export of {what}; give another --out, or --overwrite")
        written = [rf"{name}/({'|'.join(form.files)})" for name, form in FORMS.items()]
        remove_written(
            out,
            [
                r"_run\.json",
                r"\w+/form\.json",
                *written,
                r"(export|model)\.json|export\.(md|html)|(page|evaluation)\.css",
            ],
        )
    note.write_json(plan)


def _same(before: Any, plan: dict[str, Any]) -> bool:
    keys = ("digest", "settings")
    return isinstance(before, dict) and all(before.get(key) == plan[key] for key in keys)


def _finished(out: Location, name: str, plan: dict[str, Any]) -> dict[str, Any] | None:
    file = _folder(out, name) / _FORM
    if not file.exists():
        return None
    figures = file.read_json()
    known = figures.get("plan")
    return figures if _same(known, plan) and known.get("artray") == plan["artray"] else None


def _finish(options: ExportOptions, bundle: Bundle, model: dict[str, Any], forms: dict[str, Any]) -> Counts:
    out = options.out
    if model["status"] != "ok":
        raise ArtrayError(f"{options.model}: the model can't be run: {model['error']}")
    for name, form in forms.items():
        if form["status"] != "ok":
            console.say(f"{name}: not written: {form['error']}")
        elif form["agreement"] < _LOW:
            console.say(
                f"{name}: gives only {form['agreement']:.0%} of the works the model's label; look at its accuracy "
                f"({form['accuracy']:.3f}, the model's {model['accuracy']:.3f}) before you use it"
            )
    left_out = sum(model["left_out"].values())
    if left_out:
        told = ", ".join(f"{number:,} {status}" for status, number in model["left_out"].items())
        console.say(f"works of the test part that can't be read: {left_out:,} ({told})")
    written = [name for name, form in forms.items() if form["status"] == "ok"]
    if not written:
        name, form = next(iter(forms.items()))
        raise ArtrayError(f"no form could be written; {name}: {form['error']}")
    figures = {
        "job": _JOB,
        "artray": artray.__version__,
        "model_id": bundle.model_id,
        "task": bundle.task,
        "trained_on_test": bool(bundle.metrics.get("finalized")),
        "settings": options.model_dump(mode="json", exclude={"overwrite", "out"}),
        "model": _told(model),
        "forms": {name: _told(form) for name, form in forms.items()},
    }
    (out / "model.json").write_json(_description(bundle, model.get("shape")))
    (out / "export.json").write_json(figures)
    (out / "export.md").write_bytes(markdown(figures).encode())
    page = write_page(out, figures)
    header, rows = rows_of(figures)
    console.table(f"{bundle.task}: {model['works']:,} works of the test part", header, rows)
    (out / RUN).write_json({"job": _JOB, "model_id": bundle.model_id, "forms": written})
    console.say(f"open {page}")
    return {
        "rows": len(forms),
        "ok": len(written),
        "failed": len(forms) - len(written),
        "out": str(out),
        "model_id": bundle.model_id,
        "works": model["works"],
        "works_left_out": left_out,
        "sparsity": model["sparsity"]["share"],
        "forms": {name: form["status"] for name, form in forms.items()},
    }


def _told(form: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in form.items() if name != "plan"}


def _description(bundle: Bundle, shape: Sequence[int] | None) -> dict[str, Any]:
    """What a program must know to use a form: classes in the order of the scores, which is said, what the input is.

    Args:
        bundle: The model.
        shape: Of one input; None where an older release has judged the model.
    """
    thresholds = bundle.class_thresholds().tolist() if bundle.multilabel else None
    return {
        "model_id": bundle.model_id,
        "task": bundle.task,
        "classes": [item.model_dump() for item in bundle.classes],
        "scores": "a label each, for itself (thresholds)" if bundle.multilabel else "they sum to 1",
        "thresholds": thresholds,
        "decision": None if bundle.multilabel else bundle.decision,
        "shares": bundle.shares or None,
        "input": bundle.input.model_dump(mode="json"),
        "input_shape": shape,
        "input_values": bundle.input.values,
    }
