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
from artray.bundles.thresholds import abstention_told, doubt_of
from artray.classifiers.evaluation import metric
from artray.errors import InputError
from artray.images.encoding import jpeg
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.report.charts import COLOURS, Series, heat_map, line_chart
from artray.report.sections import section, static_page, table
from artray.storage import Location, remove_written

ERRORS = 24
_THUMBNAIL = 360
_METRICS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "F1, mean over classes",
    "macro_precision": "Precision, mean over classes",
    "macro_recall": "Recall, mean over classes",
    "macro_roc_auc": "Area under the ROC curve, mean over classes",
    "macro_average_precision": "Average precision, mean over classes",
    "hamming_loss": "Wrong labels, share of all (Hamming loss; lower is better)",
    "log_loss": "Log loss (lower is better)",
}
_PER_CLASS = (("precision", "precision"), ("recall", "recall"), ("f1", "F1"))
_CONSTANT = "always the same label"


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
    sections = [
        *(_metrics(level, values, evaluation) for level, values in evaluation["levels"].items()),
        _folds(evaluation.get("folds")),
        _classes(evaluation),
        _confusion(evaluation),
        _curves(evaluation),
        _kept(evaluation),
        _calibration(evaluation),
        _learning(history),
        _errors(works, pictures, names or {}),
    ]
    written = static_page(
        about.task,
        sections=sections,
        styles=("page.css", "evaluation.css"),
        kind="evaluation",
        eyebrow="How far to trust the labels",
        lead=_lead(evaluation),
        about=escape(f"Model {about.model_id}, {about.created_at}. " + _parts(about.data)),
        suffix=": evaluation",
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
        """For each work, the drawn pictures and what they show.

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
            drawn[row].append((picture, f"what spoke for {name}"))
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
) -> dict[str, list[tuple[str, str]]]:
    """Each work's pictures beside the page: (path, what it shows), by object_id."""
    remove_written(Location.parse(out / name), [r"\d{3,}-\d+\.jpg"])
    thumbnail = DecodeSize(_THUMBNAIL, "inside")
    decode_sizes = [thumbnail, *(explain.decode_sizes if explain else [])]
    table = pa.table({key: [work[key] for work in works] for key in ("object_id", "image_uri")})
    written: dict[str, list[tuple[str, str]]] = {}
    start = 0
    for batch in read_pictures(table.set_column(1, "image_uri", table["image_uri"].cast(pa.string())), decode_sizes):
        shown = [works[start + row] for row in batch.readable]
        start += len(batch.rows)
        plain = batch.images[thumbnail]
        drawn = explain(shown, batch.images, plain) if explain and shown else [[] for _ in shown]
        for work, picture, maps in zip(shown, plain, drawn, strict=True):
            written[work["object_id"]] = []
            for number, (image, what) in enumerate([(picture, "the work"), *maps]):
                path = f"{name}/{len(written) - 1:03d}-{number}.jpg"  # numbered: an object_id may hold anything
                Location.parse(out / path).write_bytes(jpeg(image, quality=82))
                written[work["object_id"]].append((path, what))
    return written


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(bounds: Sequence[float | None] | None) -> str:
    if bounds is None or None in bounds:
        return ""
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def _lead(evaluation: Mapping[str, Any]) -> str:
    level = evaluation["levels"]["artwork"]
    low, high = level["intervals"]["accuracy"]
    whole = " in all their labels" if evaluation["labels"] in ("multilabel", "several") else ""
    parts = [
        f"Of {level['n']:,} works that it never saw while it learned, the model labelled "
        f"<strong>{level['accuracy']:.0%}</strong> rightly{whole} (95 % interval {low:.0%} to {high:.0%})."
    ]
    constant = f"Giving every work {_CONSTANT} would be right for {level['majority_share']:.0%}"
    if level["baseline"]:
        constant += f", a logistic regression for {level['baseline']['accuracy']:.0%}"
    doubt = doubt_of(evaluation["levels"])
    told = [f"<strong>{escape(doubt)}</strong>"] if doubt else []
    return " ".join([*parts, f"{constant}.", *told])


def _parts(data: Mapping[str, Any]) -> str:
    parts = [f"{data[part]:,} {part}" for part in ("train", "validation", "test") if part in data]
    return f"Examples: {', '.join(parts)}."


def _metrics(level: str, values: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    rows = []
    for name, title in _METRICS.items():
        if metric(values, name) is None and name == "hamming_loss":
            continue
        rows.append(
            [
                title,
                _number(metric(values, name)),
                _range(values["intervals"].get(name)),
                _number(metric(values["majority"], name)),
                *([_number(metric(values["baseline"], name))] if values["baseline"] else []),
            ]
        )
    calibration = evaluation["calibration"][level]
    rows.append(
        ["Expected calibration error (lower is better)", _number(calibration["after"]["ece"]), "", "", ""][
            : len(rows[0])
        ]
    )
    header = ["", "this model", "95 % interval", _CONSTANT]
    hint = "Intervals by drawing the works of the test part again, 1,000 times."
    if values["baseline"]:
        header.append("logistic regression")
        hint += f" The logistic regression saw {escape(', '.join(values['baseline']['columns']))}."
    title = "Per work" if level == "artwork" else f"Per {escape(level)}"
    return section(f"figures-{level}", f"{title}: {values['n']:,}", hint, table(header, rows, 1, (2,)))


def _folds(folds: Mapping[str, Any] | None) -> str:
    if not folds:
        return ""
    rows = [
        [title, f"{values['mean']:.3f}", f"± {values['spread']:.3f}", *(f"{value:.3f}" for value in values["values"])]
        for name, title in _METRICS.items()
        if (values := folds["figures"].get(name))
    ]
    header = ["", "mean", "spread", *(f"fold {number}" for number in range(folds["n"]))]
    hint = "Each fold's model on the works of its own validation part; the spread is the standard deviation."
    return section("folds", f"{folds['n']} folds", hint, table(header, rows, 1, (2,)))


def _classes(evaluation: Mapping[str, Any]) -> str:
    level = evaluation["levels"]["artwork"]
    baseline = level["baseline"]
    header = ["class", "works"]
    for _, title in _PER_CLASS:
        header += [title, "95 %", *(["regression"] if baseline else [])]
    header += ["F1, same label", "ROC area", "average precision"]
    rows = []
    for name in evaluation["classes"]:
        values = level["per_class"][name]
        row = [name, f"{values['support']:,}"]
        for key, _ in _PER_CLASS:
            row += [_number(values[key]), _range(values["intervals"][key])]
            row += [_number(baseline["per_class"][name][key])] if baseline else []
        row += [_number(level["majority"]["per_class"][name]["f1"])]
        rows.append([*row, _number(values["roc_auc"]), _number(values["average_precision"])])
    hint = f"Regression: the logistic regression. Same label: {_CONSTANT}."
    if evaluation.get("thresholds"):
        told = ", ".join(f"{name} {threshold:.2f}" for name, threshold in evaluation["thresholds"].items())
        hint += f" A work gets a label from a score of: {escape(told)}."
    width = 3 if baseline else 2
    return section("classes", "Per class", hint, table(header, rows, 0, range(3, 3 + 3 * width, width)))


def _confusion(evaluation: Mapping[str, Any]) -> str:
    level = evaluation["levels"]["artwork"]
    chart = heat_map("Confusion matrix", level["confusion"], evaluation["classes"], "true class", "given label")
    hint = "Rows: what a work is. Columns: what the model called it. The darker, the larger the share of the row."
    if evaluation["labels"] in ("multilabel", "several"):
        hint = "How many works that have the row's class were given the column's label; a work may have several."
    return section(
        "confusion", "What is taken for what", hint, f'<div class="charts"><figure class="wide">{chart}</figure></div>'
    )


def _curves(evaluation: Mapping[str, Any]) -> str:
    level, curves = evaluation["levels"]["artwork"], evaluation["curves"]["artwork"]
    figures = []
    for key, area, title, x, y, chance in (
        ("roc", "roc_auc", "ROC", "false positive rate", "true positive rate", [(0.0, 0.0), (1.0, 1.0)]),
        ("precision_recall", "average_precision", "Precision and recall", "recall", "precision", []),
    ):
        series = [Series("", chance, dashed=True)] if chance else []
        for number, name in enumerate(evaluation["classes"]):
            if curves[name][key] is not None:
                value = _number(level["per_class"][name][area])
                points = [(first, second) for first, second in curves[name][key]]
                series.append(Series(f"{name} {value}", points, number % COLOURS))
        figures.append(f"<figure><figcaption>{title}</figcaption>{line_chart(title, series, x, y)}</figure>")
    hint = "Each class against all others, by its score. In the legend: the area under the curve, average precision."
    return section("curves", "From sure to unsure", hint, f'<div class="charts">{"".join(figures)}</div>')


def _kept(evaluation: Mapping[str, Any]) -> str:
    """Which labels are certain, and what that is worth; nothing where evaluations of before don't say it."""
    kept, abstain = evaluation["levels"]["artwork"].get("kept"), evaluation.get("abstain")
    if not kept or not abstain:
        return ""
    points = [(share, precision) for _, share, precision in kept["curve"]]
    series = [
        Series(f"asked for: {abstain['target']:.0%}", [(0, abstain["target"]), (1, abstain["target"])], dashed=True),
        Series("test part", points, 1),
    ]
    if kept["threshold"] is not None and kept["precision"] is not None:
        series.append(Series("labels that are certain", [(kept["share"], kept["precision"])], 0, marked=True))
    title = "Labels kept and labels right"
    chart = line_chart(title, series, "share of the works whose label is kept", "share of these that is right")
    rows = [["all", _number(kept["share"]), _number(kept["precision"]), _range(kept["interval"])]]
    rows += [
        [name, _number(values["share"]), _number(values["precision"]), ""] for name, values in kept["by_class"].items()
    ]
    told = abstention_told(abstain)
    hint = (
        f"{escape(told[:1].upper() + told[1:])} Below: what that is worth on the test part, by the class that is "
        f"said. The interval is that of other artists or families: {kept['groups']:,} groups, drawn again."
    )
    body = f'<div class="charts"><figure><figcaption>{title}</figcaption>{chart}</figure></div>'
    header = ["label", "kept", "right of these", "95 %"]
    return section("kept", "Which labels are certain", hint, body + table(header, rows, 0, (3,)))


def _calibration(evaluation: Mapping[str, Any]) -> str:
    figures = []
    for level, bins in evaluation["calibration"].items():
        series = [Series("", [(0, 0), (1, 1)], dashed=True)]
        for number, (key, title) in enumerate((("before", "as trained"), ("after", "as given in the labels"))):
            points = [(item["confidence"], item["accuracy"]) if item["n"] else None for item in bins[key]["bins"]]
            joined = [point for point in points if point]
            series.append(Series(f"{title}: error {_number(bins[key]['ece'])}", joined, 1 - number, marked=True))
        numbers = [item["n"] for item in bins["after"]["bins"]]
        title = "Scores and how often they are right" + ("" if level == "artwork" else f", per {level}")
        chart = line_chart(title, series, "score", "share that is right", bars=[n / max(numbers) for n in numbers])
        figures.append(f"<figure><figcaption>{escape(title)}</figcaption>{chart}</figure>")
    hint = (
        "On the dashed line a score of 0.8 is right in 80 of 100 cases. Bars: how many works have such a score. "
        f"The scores were divided by the temperature {evaluation['temperature']:.2f}, found on the validation part."
    )
    return section("calibration", "What a score means", hint, f'<div class="charts">{"".join(figures)}</div>')


def _learning(history: Sequence[Mapping[str, Any]]) -> str:
    runs: dict[int | None, list[Mapping[str, Any]]] = {}
    for epoch in history:
        runs.setdefault(epoch.get("fold"), []).append(epoch)
    figures = []
    for title, keys in (
        ("Loss", {"loss": "training", "validation_loss": "validation"}),
        (
            "Validation part",
            {"validation_accuracy": "accuracy", "validation_balanced_accuracy": "balanced accuracy"},
        ),
    ):
        series = []
        for number, (key, name) in enumerate(keys.items()):
            for place, epochs in enumerate(runs.values()):
                points = [(float(epoch["epoch"]), float(epoch[key])) for epoch in epochs if key in epoch]
                if points:
                    series.append(Series(name if not place else "", points, number, marked=len(points) == 1))
        if series:
            last = max(point[0] for line in series for point in line.points if point)
            top = max(point[1] for line in series for point in line.points if point)
            high = 1.0 if title != "Loss" else top * 1.05 or 1.0
            first = min(1.0, last - 1)
            chart = line_chart(title, series, "epoch", title.lower(), x_range=(first, last), y_range=(0, high))
            figures.append(f"<figure><figcaption>{title}</figcaption>{chart}</figure>")
    hint = "A line a fold." if len(runs) > 1 else ""
    return (
        section("learning", "How it learned", hint, f'<div class="charts">{"".join(figures)}</div>') if figures else ""
    )


def _errors(works: Sequence[dict[str, Any]], pictures: Mapping[str, Any], names: Mapping[str, str]) -> str:
    if not works:
        return section("errors", "Errors", "There is none in the test part.")
    items = []
    for work in works:
        shown = "".join(
            f'<img src="{escape(path)}" alt="{escape(what)}" title="{escape(what)}" loading="lazy">'
            for path, what in pictures.get(work["object_id"], [])
        )
        name = names.get(work["object_id"], work["object_id"])
        true, label = _labels(work["true"]), _labels(work["label"])
        about = "" if label == work["subject"] else f", {work['subject']}"
        items.append(
            f'<li><div class="pair">{shown or "<p>no picture</p>"}</div><div class="text">'
            f'<p class="name" dir="auto">{escape(name)}</p>'
            f'<p class="said">called <bdi>{escape(label + about)}</bdi> ({work["score"]:.0%})</p>'
            f"<p>is <bdi>{escape(true)}</bdi></p></div></li>"
        )
    hint = "Works of the test part, the one first that the model was surest of."
    if any(len(shown) > 1 for shown in pictures.values()):
        hint += " Beside each: what in it spoke for the label that it was given, and for the true one (bright: most)."
    return section("errors", "Where it was sure and wrong", hint, f'<ul class="errors">{"".join(items)}</ul>')


def _labels(value: str | Sequence[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value) or "nothing"
