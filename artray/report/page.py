"""The curator's page: one folder of plain files that shows what the models said about each work.

The page needs no server and no internet: `index.html`, `page.css` and the scripts are fixed files of this package,
`data/` holds the collection, and the thumbnails lie beside them. Titles, artists, file names and error texts come from
strangers. They reach the browser only inside one JSON string (`script`), are shown only as text, never as
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
                 uncertain: [the works whose score is below their model's threshold, that look like none of the
                 classes, or of which nothing is said],
                 said: null, or where a work may have several labels one list a work: [place, score, place, score, …],
                 the surest first}; label is the most likely class, said or not
    position     {x: [0..10000, or null], y: […]}, where each work lies on the map; null: there is no map

    data/works-0000.js   globalThis.artrayShards[0] = JSON.parse('[…]')

    [{uri, error, record: [text, one a field], palette: [[r, g, b, share]], brightness,
      scores: [one a task: flat, [place, score, place, score, …], best first; or null],
      near: flat, [work, similarity, …], nearest first; objects: [[label, score, ymin, xmin, ymax, xmax]]}]

Works are sorted by id, and a work is named by its place.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from artray.bundles.thresholds import doubt_of
from artray.errors import InputError
from artray.labeling.contract import Models
from artray.labeling.exports.files import whole_file
from artray.report.columns import Gathered, as_json, relative_url, written
from artray.report.overview import Overview
from artray.report.works import PALETTE_COLOURS, SCORE_DECIMALS, Label, Work, Works, rounded, shown_score
from artray.storage import Location, explained, remove_written

DATA_FORMAT = 3
SHARD = 256
STATIC_FILES = {name: name for name in ("page.css", "page.js", "corrections.js", "grid.js", "map.js")} | {
    "page.html": "index.html"
}


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
    for name, pieces in data:
        with whole_file(out / "data" / name) as part, part.open("w", encoding="ascii", newline="") as file:
            file.writelines(pieces)
    for source, target in STATIC_FILES.items():
        (folder / target).write_bytes(static.joinpath(source).read_bytes())
    return out / "index.html"


def encode_data(
    works: Iterable[Work],
    evaluations: Sequence[Mapping[str, Any]],
    run: Mapping[str, str | int | float],
    models: Models,
    overview: Overview | None,
) -> Iterator[tuple[str, Iterator[str]]]:
    """The files of `data/`, each as its name and the pieces of its text, to be taken in this order.

    What can't be shown is refused before the first.
    """
    if not isinstance(works, Works):
        works = sorted(works, key=lambda work: work.object_id)
    shown = [_evaluation(evaluation) for evaluation in evaluations]
    gathered = Gathered(models, shown)
    at = {} if overview is None else {key: row for row, key in enumerate(overview.object_ids)}
    rows = array("i")  # of the overview; -1: none
    for work in works:
        gathered.add(work)
        rows.append(at.get(work.object_id, -1))
    fields, tasks = gathered.fields(), gathered.tasks()
    places = {task["name"]: {c["label"]: i for i, c in enumerate(task["classes"])} for task in tasks}
    collection = {
        "format": DATA_FORMAT,
        "run": dict(run),
        "tasks": tasks,
        "evaluations": shown,
        "shard": SHARD,
        "count": len(works),
        "fields": [{"name": name, **gathered.texts(name)} for name in fields],
        "id": gathered.ids,
        "file": gathered.files,
        "status": gathered.status.shared(),
        "thumbnail": gathered.thumbnails,
        "palette": gathered.palettes,
        "labels": [gathered.labels(task, places[task["name"]]) for task in tasks],
        "position": None if overview is None else _positions(overview, rows),
    }
    return _scripts(collection, works, fields=fields, places=places, overview=overview, rows=rows)


def _scripts(
    collection: dict[str, Any],
    works: Collection[Work],
    *,
    fields: list[str],
    places: dict[str, dict[str, int]],
    overview: Overview | None,
    rows: array[int],
) -> Iterator[tuple[str, Iterator[str]]]:
    yield "collection.js", script("artrayPage", written(collection))
    # A row of the overview -> the work's place on the page, where it is there.
    work_of = {row: place for place, row in enumerate(rows) if row >= 0}
    going = iter(works)
    for number, start in enumerate(range(0, len(works), SHARD)):
        details = []
        for row, work in zip(rows[start : start + SHARD], going, strict=False):
            near: list[float] = []
            if overview is not None and row >= 0:
                for other, similarity in zip(overview.nearest[row], overview.similarity[row], strict=True):
                    if int(other) in work_of:
                        near += [work_of[int(other)], round(float(similarity), 3)]
            details.append(_detail(work, fields, places, near))
        yield f"works-{number:04d}.js", script(f"artrayShards[{number}]", [as_json(details)])


def script(name: str, value: Iterable[str]) -> Iterator[str]:
    """A script of one statement that sets a global to JSON, both piece by piece: ASCII, whatever the titles hold.

    The JSON escapes `<`, `>` and everything but ASCII (so U+2028 and right-to-left marks too), then stands in a
    single-quoted JavaScript string. `JSON.parse` rather than an object literal: it is faster on megabytes, and a class
    named `__proto__` stays a string.
    """
    yield f"globalThis.{name} = JSON.parse('"
    for piece in value:
        text = piece.replace("<", "\\u003c").replace(">", "\\u003e")
        yield text.replace("\\", "\\\\").replace("'", "\\'")
    yield "');\n"


def _positions(overview: Overview, rows: array[int]) -> dict[str, list[int | None]] | None:
    if overview.positions is None:
        return None
    return {
        axis: [None if row < 0 else round(10_000 * float(overview.positions[row, number])) for row in rows]
        for number, axis in enumerate("xy")
    }


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
            "page": relative_url(evaluation.get("page")),
            "levels": levels,
        }
        shapes = [[len(row) for row in level["confusion"]] for level in levels.values()]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"an evaluation can't be shown: {error!r}") from error
    if not levels or any(shape != [len(classes)] * len(classes) for shape in shapes):
        raise InputError(f"the evaluation of {shown['task']!r} has a confusion matrix that does not fit its classes")
    return shown
