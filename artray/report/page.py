"""The curator's page: one folder of plain files that shows what the models said about each work.

The page needs no server and no internet: `index.html`, `page.css` and the scripts are fixed files of this package,
`data/` holds the collection, and the thumbnails lie beside them. Titles, artists, file names and error texts come from
strangers. They reach the browser only inside one JSON string (`encode_script`), are shown only as text, never as
markup, and a content security policy forbids the page every connection.

A page opened from a disk may not fetch, so data are scripts. What finding and sorting need is one file, column by
column; what is seen only of a single work is in files of `SHARD` works, loaded when one of them is opened.

    data/collection.js   globalThis.artrayPage = JSON.parse('{…}')

    {format, run, tasks, evaluations, shard, count, fields, id, file, status, thumbnail, palette, labels, position}
    tasks        [{name, multilabel, classes: [{label, uri}], models: [{id, threshold: score or null, doubt: text or
                 null}]}]; multilabel: a work may have several labels; doubt: why nothing that a model says is certain
    evaluations  as `evaluation.json` of the model bundles
    fields       [{name, …column}]: the catalogue's, cut to `SEARCHED` characters
    status       a column: {values: [text]}, one a work; or {values, places}, where works share their values
    palette      "rrggbbss…" in hexadecimal: the first colours and their shares of 255
    labels       one a task: {label: [a class's place in its task, or null], score: [0..10000, or null],
                 uncertain: [the works whose score is below their model's threshold, or of which nothing is said],
                 said: null, or where a work may have several labels one list a work: [place, score, place, score, …],
                 the surest first}; label is the most likely class, said or not
    position     {x: [0..10000, or null], y: […]}, where each work lies on the map; null: there is no map

    data/works-0000.js   globalThis.artrayShards[0] = JSON.parse('[…]')

    [{uri, error, record: [text, one a field], palette: [[r, g, b, share]], brightness,
      scores: [one a task: flat, [place, score, place, score, …], best first; or null],
      near: flat, [work, similarity, …], nearest first; objects: [[label, score, ymin, xmin, ymax, xmax]]}]

Works are sorted by id, and a work is named by its place.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from artray.bundles.thresholds import doubt_of
from artray.errors import InputError
from artray.labeling.contract import Models
from artray.report.overview import Overview
from artray.report.works import PALETTE_COLOURS, SCORE_DECIMALS, Label, Work, rounded, shown_score
from artray.storage import Location, explained, remove_written

DATA_FORMAT = 3
SHARD = 256
SEARCHED = 200
STRIP_COLOURS = 5
STATIC_FILES = {name: name for name in ("page.css", "page.js", "corrections.js", "grid.js", "map.js")} | {
    "page.html": "index.html"
}
# What a card shows comes first, whatever the catalogue's order.
LEADING_FIELDS = ("title", "artist", "date")


def write_page(
    out: Path,
    works: Iterable[Work],
    evaluations: Sequence[Mapping[str, Any]] = (),
    run: Mapping[str, str | int | float] | None = None,
    *,
    models: Models | None = None,
    overview: Overview | None = None,
) -> Path:
    """Writes the page into a folder, over an older page if there is one. Equal input gives equal bytes.

    Args:
        out: The folder; made where it is missing. The thumbnails' paths are relative to it.
        works: The collection, each object_id once.
        evaluations: Each bundle's `evaluation.json`. The page takes `task`, `model_id`, `classes`, `majority_share` and
            `levels`, which maps `artwork` (and `patch`) to `n`, `accuracy`, `balanced_accuracy` and `confusion` (rows
            true, columns predicted); `labels` and, where a work may have several, each level's `per_class`; and
            `page`, the name of a page beside this one that says more.
        run: What to say about the run. `title` heads the page, every other entry stands at its end as it is. The
            browser keeps a curator's corrections by the entry `run`.
        models: What is known of the models: which labels are uncertain, where a work may have several.
        overview: Which works are alike, and where each lies on the map.

    Returns:
        The path of the page to open.

    Raises:
        InputError: An evaluation is incomplete, a thumbnail or a page lies outside the folder, or the folder can't be
            written.

    Example:
        >>> works = [Work("1901.12", "/scans/1901.12.jpg", record={"title": "Great Wave"})]
        >>> write_page(Path("report"), works, run={"title": "Prints and drawings"})
        PosixPath('report/index.html')
    """
    data = encode_data(works, evaluations, run or {}, models or Models(), overview)
    static = files("artray.report")
    folder = Location.parse(out)
    with explained(folder / "data"):
        remove_written(folder / "data", [r"collection\.js|works-\d{4,}\.js"])  # an older page may have had more works
    for name, text in data:
        (folder / "data" / name).write_bytes(text.encode("ascii"))
    for source, target in STATIC_FILES.items():
        (folder / target).write_bytes(static.joinpath(source).read_bytes())
    return out / "index.html"


def encode_data(
    works: Iterable[Work],
    evaluations: Sequence[Mapping[str, Any]],
    run: Mapping[str, str | int | float],
    models: Models,
    overview: Overview | None,
) -> Iterator[tuple[str, str]]:
    """The files of `data/`, each as its name and its text; what can't be shown is refused before the first."""
    works = sorted(works, key=lambda work: work.object_id)
    shown = [_evaluation(evaluation) for evaluation in evaluations]
    fields = _fields(works)
    tasks = _tasks(works, shown, models)
    places = {task["name"]: {c["label"]: i for i, c in enumerate(task["classes"])} for task in tasks}
    at = {} if overview is None else {key: row for row, key in enumerate(overview.object_ids)}
    rows = [at.get(work.object_id) for work in works]  # of the overview
    collection = {
        "format": DATA_FORMAT,
        "run": dict(run),
        "tasks": tasks,
        "evaluations": shown,
        "shard": SHARD,
        "count": len(works),
        "fields": [{"name": name, **_column([_cut(work.record.get(name, "")) for work in works])} for name in fields],
        "id": [work.object_id for work in works],
        "file": [work.image_uri.rpartition("/")[2] for work in works],
        "status": _column([work.status for work in works]),
        "thumbnail": [_relative_url(work.thumbnail) for work in works],
        "palette": [_strip(work.palette) for work in works],
        "labels": [
            _labels(works, task["name"], places[task["name"]], models.thresholds, task["multilabel"]) for task in tasks
        ],
        "position": None if overview is None else _positions(overview, rows),
    }
    return _scripts(collection, works, fields=fields, places=places, overview=overview, rows=rows)


def _scripts(
    collection: dict[str, Any],
    works: list[Work],
    *,
    fields: list[str],
    places: dict[str, dict[str, int]],
    overview: Overview | None,
    rows: list[int | None],
) -> Iterator[tuple[str, str]]:
    yield "collection.js", encode_script("artrayPage", collection)
    # A row of the overview -> the work's place on the page, where it is there.
    work_of = {row: place for place, row in enumerate(rows) if row is not None}
    for number, start in enumerate(range(0, len(works), SHARD)):
        details = []
        for work, row in zip(works[start : start + SHARD], rows[start : start + SHARD], strict=True):
            near: list[float] = []
            if overview is not None and row is not None:
                for other, similarity in zip(overview.nearest[row], overview.similarity[row], strict=True):
                    if int(other) in work_of:
                        near += [work_of[int(other)], round(float(similarity), 3)]
            details.append(_detail(work, fields, places, near))
        yield f"works-{number:04d}.js", encode_script(f"artrayShards[{number}]", details)


def encode_script(name: str, value: object) -> str:
    """A script of one statement that sets a global: ASCII, whatever the titles hold.

    The JSON escapes `<`, `>` and everything but ASCII (so U+2028 and right-to-left marks too), then stands in a
    single-quoted JavaScript string. `JSON.parse` rather than an object literal: it is faster on megabytes, and a class
    named `__proto__` stays a string.
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e")
    return f"globalThis.{name} = JSON.parse('" + text.replace("\\", "\\\\").replace("'", "\\'") + "');\n"


def _column(texts: list[str]) -> dict[str, list[Any]]:
    """One text a work; where works share their texts, each text once."""
    place = {text: number for number, text in enumerate(dict.fromkeys(texts))}
    if 2 * len(place) > len(texts):
        return {"values": texts}
    return {"values": list(place), "places": [place[text] for text in texts]}


def _cut(text: str) -> str:
    return text if len(text) <= SEARCHED else text[: SEARCHED - 1] + "…"


def _strip(palette: Sequence[tuple[tuple[int, int, int], float]]) -> str:
    return "".join(
        f"{red:02x}{green:02x}{blue:02x}{round(255 * share):02x}"
        for (red, green, blue), share in palette[:STRIP_COLOURS]
    )


def _labels(
    works: list[Work], task: str, places: dict[str, int], thresholds: Mapping[str, float], multilabel: bool
) -> dict[str, list[Any] | None]:
    own = [work.labels.get(task) for work in works]
    return {
        "label": [None if label is None or label.label is None else places[label.label] for label in own],
        "score": [None if label is None else _scaled(label.score) for label in own],
        "uncertain": [
            place
            for place, label in enumerate(own)
            if label is not None
            and label.score is not None
            and (label.score < thresholds.get(label.model_id, 0) or not label.said)
        ],
        "said": [None if label is None else _said(label, places) for label in own] if multilabel else None,
    }


def _said(label: Label, places: dict[str, int]) -> list[int | None]:
    """Class and score of each label that is said, flat."""
    scores = {label.label: label.score} | dict(label.scores)
    return [number for name in label.said for number in (places[name], _scaled(scores.get(name)))]


def _positions(overview: Overview, rows: list[int | None]) -> dict[str, list[int | None]] | None:
    if overview.positions is None:
        return None
    return {
        axis: [None if row is None else round(10_000 * float(overview.positions[row, number])) for row in rows]
        for number, axis in enumerate("xy")
    }


def _fields(works: list[Work]) -> list[str]:
    """Every catalogue field that some work has: title, artist and date, then the catalogue's own order.

    A field that says what one of these three says, in the museum's own word for it, is not shown twice.
    """
    seen = dict.fromkeys(name for work in works for name in work.record)
    # One value may be the same by chance.
    leading = [name for name in LEADING_FIELDS if len({work.record.get(name) or "" for work in works} - {""}) > 1]

    def is_another_name(name: str) -> bool:
        return any(all(work.record.get(name) == work.record.get(first) for work in works) for first in leading)

    return [*LEADING_FIELDS, *(name for name in seen if name not in LEADING_FIELDS and not is_another_name(name))]


def _tasks(works: list[Work], evaluations: list[dict[str, Any]], known: Models) -> list[dict[str, Any]]:
    """Each task's classes, in the bundle's order where an evaluation tells it, else by name."""
    # Class name -> AAT URI; of every class of a task only those that are somewhere the label bring theirs.
    classes: dict[str, dict[str, str | None]] = {}
    models: dict[str, set[str]] = {}
    multilabel = {evaluation["task"] for evaluation in evaluations if evaluation["multilabel"]}
    for work in works:
        for task, label in work.labels.items():
            uris = classes.setdefault(task, {})
            for name in label.scores:
                uris.setdefault(name, None)
            concepts = known.concepts.get(label.model_id, {})
            for name in label.said:
                uris[name] = concepts.get(name) or uris.get(name)
            if label.label is not None:
                uris[label.label] = label.label_uri or uris.get(label.label)
            if label.model_id in known.multilabel or list(label.said) != [label.label]:
                multilabel.add(task)
            models.setdefault(task, set()).add(label.model_id)
    order: dict[str, dict[str, None]] = {}
    for evaluation in evaluations:
        order.setdefault(evaluation["task"], {}).update(dict.fromkeys(evaluation["classes"]))
    return [
        {
            "name": task,
            "multilabel": task in multilabel,
            "classes": [
                {"label": name, "uri": classes[task].get(name)}
                for name in {**order.get(task, {}), **dict.fromkeys(sorted(classes[task]))}
            ],
            "models": [
                {
                    "id": model,
                    # JSON has no infinity; no score reaches 2.
                    "threshold": rounded(min(known.thresholds.get(model, math.nan), 2), SCORE_DECIMALS),
                    "doubt": known.doubts.get(model),
                }
                for model in sorted(models[task])
            ],
        }
        for task in sorted(classes)
    ]


def _detail(work: Work, fields: list[str], places: dict[str, dict[str, int]], near: list[float]) -> dict[str, Any]:
    return {
        "uri": work.image_uri,
        "error": work.error,
        "record": [work.record.get(name, "") for name in fields],
        "palette": [[*rgb, round(share, 3)] for rgb, share in work.palette[:PALETTE_COLOURS]],
        "brightness": rounded(work.brightness, 1),
        "scores": [_ranked(work.labels.get(task), classes) for task, classes in places.items()],
        "near": near,
        "objects": [[name, *(round(number, 3) for number in numbers)] for name, *numbers in work.objects],
    }


def _ranked(label: Label | None, places: dict[str, int]) -> list[float] | None:
    if label is None:
        return None
    # Of scores that look alike the label's comes first.
    ranked = sorted((-shown_score(score), name != label.label, places[name]) for name, score in label.scores.items())
    return [number for score, _, place in ranked if score < 0 for number in (place, -score)]


def _scaled(score: float | None) -> int | None:
    return None if score is None or not math.isfinite(score) else round(score * 10**SCORE_DECIMALS)


def _relative_url(path: str | None) -> str | None:
    if path is None:
        return None
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or ".." in parts:
        raise InputError(f"{path!r} lies outside the page's folder")
    return quote("/".join(parts))


def _evaluation(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of an evaluation, checked, with None where a figure is not defined."""
    try:
        classes = [str(name) for name in evaluation["classes"]]
        multilabel = evaluation.get("labels") in ("multilabel", "several")  # so called by 0.1
        levels: dict[str, dict[str, Any]] = {
            name: {
                "n": int(level["n"]),
                "accuracy": rounded(level["accuracy"], SCORE_DECIMALS),
                "balanced_accuracy": rounded(level.get("balanced_accuracy"), SCORE_DECIMALS),
                "confusion": [[int(count) for count in row] for row in level["confusion"]],
                # Rows of a confusion matrix say how many were found only where a work has one label.
                "found": [rounded(level["per_class"][each]["recall"], SCORE_DECIMALS) for each in classes]
                if multilabel
                else None,
            }
            for name, level in sorted(evaluation["levels"].items())
        }
        shown = {
            "task": str(evaluation["task"]),
            "model_id": str(evaluation["model_id"]),
            "classes": classes,
            "multilabel": multilabel,
            "doubt": doubt_of(evaluation["levels"]),
            "majority_share": rounded(evaluation["majority_share"], SCORE_DECIMALS),
            "page": _relative_url(evaluation.get("page")),
            "levels": levels,
        }
        shapes = [[len(row) for row in level["confusion"]] for level in levels.values()]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"an evaluation can't be shown: {error!r}") from error
    if not levels or any(shape != [len(classes)] * len(classes) for shape in shapes):
        raise InputError(f"the evaluation of {shown['task']!r} has a confusion matrix that does not fit its classes")
    return shown
