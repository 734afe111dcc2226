"""The curator's page: one folder of plain files that shows what the models said about each work.

The page needs no server and no internet: `index.html`, `page.css` and `page.js` are fixed files of this package,
`data.js` holds the collection, and the thumbnails lie beside them. Titles, artists, file names and error texts come
from strangers. They reach the browser only inside one JSON string (`encode_data`), are shown only as text, never as
markup, and a content security policy forbids the page every connection.

    data.js    globalThis.artrayPage = JSON.parse('{…}')

    {format, run, fields, tasks, evaluations, works}
    fields       names of the catalogue columns, in the order of a work's record
    tasks        [{name, classes: [{label, uri}], models: [model_id]}]
    evaluations  as `evaluation.json` of the model bundles
    works        [{id, uri, thumbnail, status, error, record: [text], palette: [[r, g, b, share]], brightness,
                   labels: [{label, score, scores} or null, one a task]}], sorted by id;
                 `label` is a class's place in its task, `scores` is flat: [place, score, place, score, …], best first
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from artray.errors import InputError

DATA_FORMAT = 1
PALETTE_COLOURS = 8
SCORE_DECIMALS = 4
STATIC_FILES = {"page.css": "page.css", "page.js": "page.js", "page.html": "index.html"}

LABEL_COLUMNS = (
    "object_id",
    "image_uri",
    "task",
    "label",
    "label_uri",
    "score",
    "scores",
    "model_id",
    "status",
    "error",
)
# Text columns of the feature table that the manifest or a job wrote, not the museum.
MACHINE_COLUMNS = {"object_id", "image_uri", "version", "group", "split", "status", "error"}
# What a card shows comes first, whatever the catalogue's order.
LEADING_FIELDS = ("title", "artist", "date")


@dataclass(frozen=True, slots=True)
class Label:
    """What one model said about one work.

    Attributes:
        label: The class, or None where the model gave none.
        score: The label's calibrated score, 0..1.
        scores: The score of each class, 0..1.
        label_uri: The label's AAT id as a URI.
        model_id: The bundle that gave it.
    """

    label: str | None
    score: float | None
    scores: Mapping[str, float] = field(default_factory=dict)
    label_uri: str | None = None
    model_id: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """One picture of the collection with all that the page shows of it.

    Attributes:
        object_id: The museum's key.
        image_uri: Where the original lies.
        status: `ok`, or why the picture has no label (see `artray.collection.decoding`).
        error: The reader's own words where the status is not `ok`.
        labels: The label of each task.
        record: The catalogue's fields as text, among them `title`, `artist` and `date` where the museum has them.
        palette: The dominant colours, most important first, each as ((red, green, blue) 0..255, share 0..1).
        brightness: Perceived brightness, 0..255 (system B2).
        thumbnail: The thumbnail's path relative to the page, with forward slashes.
    """

    object_id: str
    image_uri: str
    status: str = "ok"
    error: str | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    record: Mapping[str, str] = field(default_factory=dict)
    palette: Sequence[tuple[tuple[int, int, int], float]] = ()
    brightness: float | None = None
    thumbnail: str | None = None


def assemble_works(
    labels: pa.Table, features: pa.Table | None = None, thumbnails: Mapping[str, str] | None = None
) -> list[Work]:
    """Joins the labels of each picture with its catalogue record, palette and thumbnail.

    Args:
        labels: The label dataset under the labels' contract: one row a picture and task, `task` among the columns.
        features: The feature table, keyed by `object_id`. Of its columns the page takes the museum's (every text
            column that artray did not write), `palette_rgb` (list<list<uint8>>), `palette_share` (list<float>) and
            `brightness`. Works without labels are left out.
        thumbnails: The thumbnails' paths relative to the page, by `object_id`.

    Returns:
        One work an `object_id` of `labels`, sorted by it.

    Raises:
        InputError: `labels` lacks a column of the contract, or an id stands twice where it may stand once.
    """
    missing = [name for name in LABEL_COLUMNS if name not in labels.column_names]
    if missing:
        raise InputError(f"the labels lack the column {', '.join(missing)}")
    thumbnails = thumbnails or {}
    records = _feature_rows(features) if features is not None else {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in labels.select(LABEL_COLUMNS).to_pylist(maps_as_pydicts="strict"):
        rows.setdefault(row["object_id"], []).append(row)
    works = []
    for object_id, own in sorted(rows.items()):
        by_task = {row["task"]: row for row in own}
        if len(by_task) < len(own):
            raise InputError(f"the labels hold {object_id!r} twice for one task")
        # A picture that one of the models could not use is one that the curator should hear about.
        worst = next((row for row in own if row["status"] != "ok"), own[0])
        works.append(
            Work(
                object_id=object_id,
                image_uri=worst["image_uri"] or "",
                status=worst["status"],
                error=worst["error"],
                labels={
                    task: Label(row["label"], row["score"], row["scores"] or {}, row["label_uri"], row["model_id"])
                    for task, row in by_task.items()
                    if row["status"] == "ok"
                },
                thumbnail=thumbnails.get(object_id),
                **records.get(object_id, {}),
            )
        )
    return works


def _feature_rows(features: pa.Table) -> dict[str, dict[str, Any]]:
    """The keyword arguments of `Work` that the feature table knows, by object_id."""
    catalogue = [f.name for f in features.schema if _is_text(f.type) and f.name not in MACHINE_COLUMNS]
    numbers = [name for name in ("palette_rgb", "palette_share", "brightness") if name in features.column_names]
    rows: dict[str, dict[str, Any]] = {}
    for row in features.select(["object_id", *catalogue, *numbers]).to_pylist():
        if row["object_id"] in rows:
            raise InputError(f"the features hold {row['object_id']!r} twice")
        colours = zip(row.get("palette_rgb") or (), row.get("palette_share") or (), strict=True)
        rows[row["object_id"]] = {
            "record": {name: row[name] or "" for name in catalogue},
            "palette": [(tuple(rgb), share) for rgb, share in colours],
            "brightness": row.get("brightness"),
        }
    return rows


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def write_page(
    out: Path,
    works: Iterable[Work],
    evaluations: Sequence[Mapping[str, Any]] = (),
    run: Mapping[str, str | int | float] | None = None,
) -> Path:
    """Writes the page into a folder, over an older page if there is one. Equal input gives equal bytes.

    Args:
        out: The folder; made where it is missing. The thumbnails' paths are relative to it.
        works: The collection, each object_id once.
        evaluations: Each bundle's `evaluation.json`. The page takes `task`, `model_id`, `classes`, `majority_share` and
            `levels`, which maps `artwork` (and `patch`) to `n`, `accuracy`, `balanced_accuracy` and `confusion` (rows
            true, columns predicted).
        run: What to say about the run. `title` heads the page, every other entry stands at its end as it is.

    Returns:
        The path of the page to open.

    Raises:
        InputError: An evaluation is incomplete, a thumbnail lies outside the page's folder, or the folder can't be
            written.

    Example:
        >>> works = assemble_works(pq.read_table("labels"), pq.read_table("features"))
        >>> write_page(Path("report"), works, run={"title": "Prints and drawings"})
        PosixPath('report/index.html')
    """
    data = encode_data(works, evaluations, run or {})
    static = files("artray.report")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "data.js").write_text(data, encoding="ascii", newline="\n")
        for source, target in STATIC_FILES.items():
            (out / target).write_bytes(static.joinpath(source).read_bytes())
    except OSError as error:
        raise InputError(f"can't write the page to {out}: {error.strerror}") from error
    return out / "index.html"


def encode_data(
    works: Iterable[Work], evaluations: Sequence[Mapping[str, Any]], run: Mapping[str, str | int | float]
) -> str:
    """The text of `data.js`: ASCII, one statement, whatever the titles hold.

    The JSON escapes `<`, `>` and everything but ASCII (so U+2028 and right-to-left marks too), then stands in a
    single-quoted JavaScript string. `JSON.parse` rather than an object literal: it is faster on megabytes, and a class
    named `__proto__` stays a string.
    """
    works = sorted(works, key=lambda work: work.object_id)
    shown = [_evaluation(evaluation) for evaluation in evaluations]
    fields = _fields(works)
    tasks = _tasks(works, shown)
    places = {task["name"]: {c["label"]: i for i, c in enumerate(task["classes"])} for task in tasks}
    data = {
        "format": DATA_FORMAT,
        "run": dict(run),
        "fields": fields,
        "tasks": tasks,
        "evaluations": shown,
        "works": [_work(work, fields, places) for work in works],
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c").replace(">", "\\u003e")
    return "globalThis.artrayPage = JSON.parse('" + text.replace("\\", "\\\\").replace("'", "\\'") + "');\n"


def _fields(works: list[Work]) -> list[str]:
    """Every catalogue field that some work has: title, artist and date, then the catalogue's own order."""
    seen = dict.fromkeys(name for work in works for name in work.record)
    return [*LEADING_FIELDS, *(name for name in seen if name not in LEADING_FIELDS)]


def _tasks(works: list[Work], evaluations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each task's classes, in the bundle's order where an evaluation tells it, else by name."""
    # Class name -> AAT URI; of every class of a task only those that are somewhere the label bring theirs.
    classes: dict[str, dict[str, str | None]] = {}
    models: dict[str, set[str]] = {}
    for work in works:
        for task, label in work.labels.items():
            uris = classes.setdefault(task, {})
            for name in label.scores:
                uris.setdefault(name, None)
            if label.label is not None:
                uris[label.label] = label.label_uri or uris.get(label.label)
            models.setdefault(task, set()).add(label.model_id)
    order: dict[str, dict[str, None]] = {}
    for evaluation in evaluations:
        order.setdefault(evaluation["task"], {}).update(dict.fromkeys(evaluation["classes"]))
    return [
        {
            "name": task,
            "classes": [
                {"label": name, "uri": classes[task].get(name)}
                for name in {**order.get(task, {}), **dict.fromkeys(sorted(classes[task]))}
            ],
            "models": sorted(models[task]),
        }
        for task in sorted(classes)
    ]


def _work(work: Work, fields: list[str], places: dict[str, dict[str, int]]) -> dict[str, Any]:
    return {
        "id": work.object_id,
        "uri": work.image_uri,
        "thumbnail": _relative_url(work.thumbnail),
        "status": work.status,
        "error": work.error,
        "record": [work.record.get(name, "") for name in fields],
        "palette": [[*rgb, round(share, 3)] for rgb, share in work.palette[:PALETTE_COLOURS]],
        "brightness": _rounded(work.brightness, 1),
        "labels": [
            _label(work.labels[task], classes) if task in work.labels else None for task, classes in places.items()
        ],
    }


def _label(label: Label, places: dict[str, int]) -> dict[str, Any]:
    ranked = sorted(((-_score(score), places[name]) for name, score in label.scores.items()))
    return {
        "label": None if label.label is None else places[label.label],
        "score": _rounded(label.score, SCORE_DECIMALS),
        # Most of many classes have next to nothing: leaving them out halves the file.
        "scores": [number for score, place in ranked if score < 0 for number in (place, -score)],
    }


def _score(score: float | None) -> float:
    return _rounded(score, SCORE_DECIMALS) or 0.0


def _rounded(value: float | None, decimals: int) -> float | None:
    return round(value, decimals) if value is not None and math.isfinite(value) else None


def _relative_url(path: str | None) -> str | None:
    if path is None:
        return None
    parts = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or ".." in parts:
        raise InputError(f"the thumbnail {path!r} lies outside the page's folder")
    return quote("/".join(parts))


def _evaluation(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of an evaluation, checked, with None where a figure is not defined."""
    try:
        classes = [str(name) for name in evaluation["classes"]]
        levels: dict[str, dict[str, Any]] = {
            name: {
                "n": int(level["n"]),
                "accuracy": _rounded(level["accuracy"], SCORE_DECIMALS),
                "balanced_accuracy": _rounded(level.get("balanced_accuracy"), SCORE_DECIMALS),
                "confusion": [[int(count) for count in row] for row in level["confusion"]],
            }
            for name, level in sorted(evaluation["levels"].items())
        }
        shown = {
            "task": str(evaluation["task"]),
            "model_id": str(evaluation["model_id"]),
            "classes": classes,
            "majority_share": _rounded(evaluation["majority_share"], SCORE_DECIMALS),
            "levels": levels,
        }
        shapes = [[len(row) for row in level["confusion"]] for level in levels.values()]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"an evaluation can't be shown: {error!r}") from error
    if not levels or any(shape != [len(classes)] * len(classes) for shape in shapes):
        raise InputError(f"the evaluation of {shown['task']!r} has a confusion matrix that does not fit its classes")
    return shown
