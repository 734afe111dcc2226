"""The curator's page: one folder of plain files that shows what the models said about each work.

The page needs no server and no internet: `index.html`, `page.css` and the scripts are fixed files of this package,
`data/` holds the collection, and the thumbnails lie beside them. Titles, artists, file names and error texts come from
strangers. They reach the browser only inside one JSON string (`encode_script`), are shown only as text, never as
markup, and a content security policy forbids the page every connection.

A page opened from a disk may not fetch, so data are scripts. What finding and sorting need is one file, column by
column; what is seen only of a single work is in files of `SHARD` works, loaded when one of them is opened.

    data/collection.js   globalThis.artrayPage = JSON.parse('{…}')

    {format, run, tasks, evaluations, shard, count, fields, id, file, status, thumbnail, palette, labels, position}
    tasks        [{name, classes: [{label, uri}], models: [{id, threshold: score or null}]}]
    evaluations  as `evaluation.json` of the model bundles
    fields       [{name, …column}]: the catalogue's, cut to `SEARCHED` characters
    status       a column: {values: [text]}, one a work; or {values, places}, where works share their values
    palette      "rrggbbss…" in hexadecimal: the first colours and their shares of 255
    labels       one a task: {label: [a class's place in its task, or null], score: [0..10000, or null],
                 uncertain: [the works whose score is below their model's threshold]}
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
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from artray.errors import InputError
from artray.report.overview import Overview
from artray.storage import Location, remove_written

DATA_FORMAT = 2
SHARD = 256
SEARCHED = 200
PALETTE_COLOURS = 8
STRIP_COLOURS = 5
SCORE_DECIMALS = 4
LEAST_OBJECT = 0.01
"""Objects less sure than this are not on the page: a detector gives up to a hundred of them a picture."""
STATIC_FILES = {name: name for name in ("page.css", "page.js", "corrections.js", "grid.js", "map.js")} | {
    "page.html": "index.html"
}

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
MACHINE_COLUMNS = {"object_id", "image_uri", "version", "group", "split", "change", "status", "error"}
NUMBER_COLUMNS = ("palette_rgb", "palette_share", "brightness", "objects")
# What a card shows comes first, whatever the catalogue's order.
LEADING_FIELDS = ("title", "artist", "date")
_BATCH = 4096


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
        status: `ok`, or why the picture has no label (see `artray.images.decoding`).
        error: The reader's own words where the status is not `ok`.
        labels: The label of each task.
        record: The catalogue's fields as text, among them `title`, `artist` and `date` where the museum has them.
        palette: The dominant colours, most important first, each as ((red, green, blue) 0..255, share 0..1).
        brightness: Perceived brightness, 0..255 (system B2).
        objects: What a detector saw (system B5): (label, score 0..1, ymin, xmin, ymax, xmax in 0..1 of the picture).
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
    objects: Sequence[tuple[str, float, float, float, float, float]] = ()
    thumbnail: str | None = None


def assemble_works(
    labels: pa.Table, features: pa.Table | None = None, thumbnails: Mapping[str, str] | None = None
) -> list[Work]:
    """Joins the labels of each picture with its catalogue record, palette, objects and thumbnail.

    Args:
        labels: The label dataset under the labels' contract: one row a picture and task, `task` among the columns.
        features: The feature table, keyed by `object_id`. Of its columns the page takes the museum's (`record_columns`)
            and `NUMBER_COLUMNS`. Works without labels are left out.
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
    for row in _rows(labels.select(LABEL_COLUMNS)):
        # Next to nothing is what most of many classes have: it would fill the memory, and half the page's files.
        row["scores"] = {name: score for name, score in (row["scores"] or {}).items() if _score(score) > 0}
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
                    task: Label(row["label"], row["score"], row["scores"], row["label_uri"], row["model_id"])
                    for task, row in by_task.items()
                    if row["status"] == "ok"
                },
                thumbnail=thumbnails.get(object_id),
                **records.get(object_id, {}),
            )
        )
    return works


def record_columns(schema: pa.Schema) -> list[str]:
    """The museum's columns of a feature table: every text column that artray did not write."""
    return [item.name for item in schema if _is_text(item.type) and item.name not in MACHINE_COLUMNS]


def _feature_rows(features: pa.Table) -> dict[str, dict[str, Any]]:
    """The keyword arguments of `Work` that the feature table knows, by object_id."""
    catalogue = record_columns(features.schema)
    numbers = [name for name in NUMBER_COLUMNS if name in features.column_names]
    rows: dict[str, dict[str, Any]] = {}
    for row in _rows(features.select(["object_id", *catalogue, *numbers])):
        if row["object_id"] in rows:
            raise InputError(f"the features hold {row['object_id']!r} twice")
        colours = zip(row.get("palette_rgb") or (), row.get("palette_share") or (), strict=True)
        rows[row["object_id"]] = {
            "record": {name: row[name] or "" for name in catalogue},
            "palette": [(tuple(rgb), share) for rgb, share in list(colours)[:PALETTE_COLOURS]],
            "brightness": row.get("brightness"),
            "objects": [tuple(item.values()) for item in row.get("objects") or () if item["score"] >= LEAST_OBJECT],
        }
    return rows


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """A table's rows; only some of them are Python objects at one time."""
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist(maps_as_pydicts="strict")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def write_page(
    out: Path,
    works: Iterable[Work],
    evaluations: Sequence[Mapping[str, Any]] = (),
    run: Mapping[str, str | int | float] | None = None,
    *,
    thresholds: Mapping[str, float] | None = None,
    overview: Overview | None = None,
) -> Path:
    """Writes the page into a folder, over an older page if there is one. Equal input gives equal bytes.

    Args:
        out: The folder; made where it is missing. The thumbnails' paths are relative to it.
        works: The collection, each object_id once.
        evaluations: Each bundle's `evaluation.json`. The page takes `task`, `model_id`, `classes`, `majority_share` and
            `levels`, which maps `artwork` (and `patch`) to `n`, `accuracy`, `balanced_accuracy` and `confusion` (rows
            true, columns predicted); and `page`, the name of a page beside this one that says more.
        run: What to say about the run. `title` heads the page, every other entry stands at its end as it is. The
            browser keeps a curator's corrections by the entry `run`.
        thresholds: By model_id, the score below which its labels are uncertain; infinite: all of them are.
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
    data = encode_data(works, evaluations, run or {}, thresholds or {}, overview)
    static = files("artray.report")
    try:
        remove_written(
            Location.parse(out / "data"), [r"collection\.js|works-\d{4,}\.js"]
        )  # an older page may have had more works
        (out / "data").mkdir(parents=True, exist_ok=True)
        for name, text in data:
            (out / "data" / name).write_text(text, encoding="ascii", newline="\n")
        for source, target in STATIC_FILES.items():
            (out / target).write_bytes(static.joinpath(source).read_bytes())
    except OSError as error:
        raise InputError(f"can't write the page to {out}: {error.strerror}") from error
    return out / "index.html"


def encode_data(
    works: Iterable[Work],
    evaluations: Sequence[Mapping[str, Any]],
    run: Mapping[str, str | int | float],
    thresholds: Mapping[str, float],
    overview: Overview | None,
) -> Iterator[tuple[str, str]]:
    """The files of `data/`, each as its name and its text; what can't be shown is refused before the first."""
    works = sorted(works, key=lambda work: work.object_id)
    shown = [_evaluation(evaluation) for evaluation in evaluations]
    fields = _fields(works)
    tasks = _tasks(works, shown, thresholds)
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
        "labels": [_labels(works, task, classes, thresholds) for task, classes in places.items()],
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
    works: list[Work], task: str, places: dict[str, int], thresholds: Mapping[str, float]
) -> dict[str, list[Any]]:
    own = [work.labels.get(task) for work in works]
    return {
        "label": [None if label is None or label.label is None else places[label.label] for label in own],
        "score": [None if label is None else _scaled(label.score) for label in own],
        "uncertain": [
            place
            for place, label in enumerate(own)
            if label is not None and label.score is not None and label.score < thresholds.get(label.model_id, 0)
        ],
    }


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


def _tasks(
    works: list[Work], evaluations: list[dict[str, Any]], thresholds: Mapping[str, float]
) -> list[dict[str, Any]]:
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
            "models": [
                # JSON has no infinity; no score reaches 2.
                {"id": model, "threshold": _rounded(min(thresholds.get(model, math.nan), 2), SCORE_DECIMALS)}
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
        "brightness": _rounded(work.brightness, 1),
        "scores": [_ranked(work.labels.get(task), classes) for task, classes in places.items()],
        "near": near,
        "objects": [[name, *(round(number, 3) for number in numbers)] for name, *numbers in work.objects],
    }


def _ranked(label: Label | None, places: dict[str, int]) -> list[float] | None:
    if label is None:
        return None
    ranked = sorted((-_score(score), places[name]) for name, score in label.scores.items())
    return [number for score, place in ranked if score < 0 for number in (place, -score)]


def _score(score: float | None) -> float:
    return _rounded(score, SCORE_DECIMALS) or 0.0


def _scaled(score: float | None) -> int | None:
    return None if score is None or not math.isfinite(score) else round(score * 10**SCORE_DECIMALS)


def _rounded(value: float | None, decimals: int) -> float | None:
    return round(value, decimals) if value is not None and math.isfinite(value) else None


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
            "page": _relative_url(evaluation.get("page")),
            "levels": levels,
        }
        shapes = [[len(row) for row in level["confusion"]] for level in levels.values()]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"an evaluation can't be shown: {error!r}") from error
    if not levels or any(shape != [len(classes)] * len(classes) for shape in shapes):
        raise InputError(f"the evaluation of {shown['task']!r} has a confusion matrix that does not fit its classes")
    return shown
