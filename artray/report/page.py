"""The curator's page: one folder of plain files that shows what the models said about each work.

The page needs no server and no internet: `index.html`, `page.css` and the scripts are fixed files of this package,
`data/` holds the collection, and the thumbnails lie beside them. Titles, artists, file names and error texts come from
strangers. They reach the browser only inside one JSON string (`script`), are shown only as text, never as
markup, and a content security policy forbids the page every connection but one: pictures of the IIIF image services
that records name, which it asks for when a work is enlarged.

A page opened from a disk may not fetch, so data are scripts. What finding and sorting need is one file, column by
column; what is seen only of a single work is in files of `SHARD` works, loaded when one of them is opened.

    data/words.js        globalThis.artrayWords = JSON.parse('{language, words}'), from `words/LANGUAGE.json`

    data/collection.js   globalThis.artrayPage = JSON.parse('{…}')

    {format, run, tasks, evaluations, shard, count, fields, id, file, status, thumbnail, zoom, palette, labels,
     position, queues}
    tasks        [{name, question, multilabel, catalogue, classes: [{label, uri}], models: [{id, threshold: score or
                 null, doubt: text or null}]}]; tasks of one question are several models' answers to it; multilabel: a
                 work may have several labels; catalogue: which of the fields holds the catalogue's own label, or null;
                 doubt: why nothing that a model says is certain
    evaluations  as `evaluation.json` of the model bundles, with `heading` (the task, and which model where
                 there are several of it), `commonest`, the label that the simple answer always gives, and
                 `tested`: {work: [place], truth: [[class]], said: [[class]], score: [0..1]}, or null
    fields       [{name, …column}]: the catalogue's, cut to `SEARCHED` characters
    status       a column: {values: [text]}, one a work; or {values, places}, where works share their values
    palette      "rrggbbss…" in hexadecimal: the first colours and their shares of 255
    labels       one a task: {label: [a class's place in its task, or null], score: [0..10000, or null],
                 uncertain: [the works whose score is below their model's threshold, that look like none of the
                 classes, or of which nothing is said],
                 learned: [the works that the model learned from],
                 said: null, or where a work may have several labels one list a work: [place, score, place, score, …],
                 the surest first}; label is the most likely class, said or not
    position     {x: [0..10000, or null], y: […]}, where each work lies on the map; null: there is no map
    queues       [{name, task: its place or null, works: [place, first to look at first], said: [what a model says that
                 has not seen the work], score: [0..1], twin: [the place of a work that looks the same]}]; the last
                 three are as long as `works`, or empty
    said         [[place, task, label or "", when or "", who or ""]], what curators have said before
    terms        how many words works can be found by; they are in data/terms.js (see report/terms.py)

    data/works-0000.js   globalThis.artrayShards[0] = JSON.parse('[…]')

    [{uri, service: the address of its IIIF image service, or null, error, record: [text, one a field],
      palette: [[r, g, b, share]], brightness,
      scores: [one a task: flat, [place, score, place, score, …], best first; or null],
      near: flat, [work, similarity, …], nearest first; objects: [[label, score, ymin, xmin, ymax, xmax]],
      maps: [one a task: a picture of what spoke for the label, or null], or none}]

Works are sorted by id, and a work is named by its place.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.thresholds import doubt_of
from artray.catalogs.corrections import Corrections
from artray.errors import InputError
from artray.labeling.contract import Models
from artray.labeling.exports.files import whole_file
from artray.report.columns import Gathered, as_json, relative_url, written
from artray.report.evaluation_sections import commonest, headings
from artray.report.image_services import image_service
from artray.report.languages import filled, read_words
from artray.report.overview import Overview
from artray.report.terms import Terms
from artray.report.works import PALETTE_COLOURS, SCORE_DECIMALS, Label, Work, Works, rounded, shown_score
from artray.storage import Location, explained, remove_written

DATA_FORMAT = 4
SHARD = 256
MODULES = (
    "words",
    "nodes",
    "csv",
    "corrections",
    "collection",
    "details",
    "judging",
    "cards",
    "selection",
    "terms",
    "filters",
    "grid",
    "image_service",
    "zoom",
    "answers",
    "record",
    "work",
    "layouts",
    "map",
    "map_view",
    "trust",
    "print",
    "page",
)
"""The page's script: files of `script/`, each of which knows those before it."""


class Queue(NamedTuple):
    """Works in the order in which a curator should look at them.

    Attributes:
        name: One of `artray.queues.QUEUES`; any other is shown as it is.
        task: What they are looked at for; None: for all tasks.
        object_ids: The works, the first to look at first.
        said: Of each, what a model says that has not seen it; or nothing of any.
        scores: Likewise how surely, 0..1.
        twins: Likewise the object_id of a work that looks the same.
    """

    name: str
    task: str | None
    object_ids: Sequence[str]
    said: Sequence[str | None] = ()
    scores: Sequence[float | None] = ()
    twins: Sequence[str | None] = ()


def write_page(
    out: Path,
    works: Iterable[Work],
    evaluations: Sequence[Mapping[str, Any]] = (),
    run: Mapping[str, str | int | float] | None = None,
    *,
    models: Models | None = None,
    overview: Overview | None = None,
    queues: Sequence[Queue] = (),
    corrections: Corrections | None = None,
    language: str = "en",
    terms: Terms | None = None,
) -> Path:
    """Writes the page into a folder, over an older page if there is one. Equal input gives equal bytes.

    Args:
        out: The folder; made where it is missing. The thumbnails' paths are relative to it.
        works: The collection, each object_id once.
        evaluations: Each bundle's `evaluation.json`. The page takes `task`, `model_id`, `classes`, `majority_share` and
            `levels`, which maps `artwork` (and `patch`) to `n`, `accuracy`, `balanced_accuracy` and `confusion` (rows
            true, columns predicted); `labels` and, where a work may have several, each level's `per_class`; `page`,
            the name of a page beside this one that says more; and `predictions`, a table of `object_id`, `true`,
            `label` and `scores` of the works that it was tried on.
        run: What to say about the run. `title` heads the page, every other entry stands at its end as it is. The
            browser keeps a curator's corrections by the entry `run`.
        models: What is known of the models: which labels are uncertain, where a work may have several.
        overview: Which works are alike, and where each lies on the map.
        queues: What to look at first; works that are not on the page are left out.
        corrections: What curators have said, with which the page begins.
        language: Of the page's own words.
        terms: Words by which works can be found.

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
    origins: set[str] = set()
    data = encode_data(
        works,
        evaluations,
        run or {},
        models or Models(),
        overview,
        queues=queues,
        corrections=corrections,
        terms=terms,
        origins=origins,
    )
    static = files("artray.report")
    folder = Location.parse(out)
    with explained(folder / "data"):
        remove_written(
            folder / "data", [r"collection\.js|words\.js|terms\.js|works-\d{4,}\.js"]
        )  # an older page may have had more works
    for name, pieces in data:
        with whole_file(out / "data" / name) as scratch, scratch.open("w", encoding="ascii", newline="") as file:
            file.writelines(pieces)
    words = {"language": language, "words": dict(read_words(language))}
    (folder / "data" / "words.js").write_bytes("".join(script("artrayWords", [as_json(words)])).encode("ascii"))
    with explained(folder):
        remove_written(folder, [r"(corrections|grid|map)\.js"])  # of a page by an earlier release
    (folder / "page.css").write_bytes(static.joinpath("page.css").read_bytes())
    (folder / "page.js").write_bytes(page_script().encode())
    template = static.joinpath("page.html").read_text("utf-8")
    page = filled(template, language, image_services="".join(f" {address}" for address in sorted(origins)))
    (folder / "index.html").write_bytes(page.encode())
    return out / "index.html"


def page_script() -> str:
    """The modules as one classic script: a page opened from a disk can't load modules. It leaves no names behind."""
    room = files("artray.report").joinpath("script")
    modules = "\n".join(room.joinpath(f"{name}.js").read_text("utf-8") for name in MODULES)
    return f'"use strict";\n(() => {{\n{modules}}})();\n'


def encode_data(
    works: Iterable[Work],
    evaluations: Sequence[Mapping[str, Any]],
    run: Mapping[str, str | int | float],
    models: Models,
    overview: Overview | None,
    *,
    queues: Sequence[Queue] = (),
    corrections: Corrections | None = None,
    terms: Terms | None = None,
    origins: set[str] | None = None,
) -> Iterator[tuple[str, Iterator[str]]]:
    """The files of `data/`, each as its name and the pieces of its text, to be taken in this order.

    What can't be shown is refused before the first. `origins` gets those of the image services that records name.
    """
    if not isinstance(works, Works):
        works = sorted(works, key=lambda work: work.object_id)
    shown: list[dict[str, Any]] = [_evaluation(evaluation) for evaluation in evaluations]
    for item, heading in zip(shown, headings([(item["task"], item["model_id"]) for item in shown]), strict=True):
        item["heading"] = heading
    gathered = Gathered(models, shown)
    at = {} if overview is None else {key: row for row, key in enumerate(overview.object_ids)}
    rows = array("i")  # of the overview; -1: none
    for work in works:
        gathered.add(work)
        rows.append(at.get(work.object_id, -1))
    if origins is not None:
        origins.update(gathered.origins)
    fields, tasks = gathered.fields(), gathered.tasks()
    codes = {task["name"]: {c["label"]: i for i, c in enumerate(task["classes"])} for task in tasks}
    ids = gathered.id_array()
    for item, evaluation in zip(shown, evaluations, strict=True):
        item["tested"] = _tested(evaluation.get("predictions"), item["classes"], ids)
    names = [task["name"] for task in tasks]
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
        "zoom": gathered.zooms if gathered.has_zooms else None,
        "palette": gathered.palettes,
        "labels": [gathered.labels(task, codes[task["name"]]) for task in tasks],
        "position": None if overview is None else _positions(overview, rows),
        "queues": [_queue(queue, names, ids) for queue in queues if queue.task is None or queue.task in names],
        "said": _said(corrections, names, ids),
        "terms": 0 if terms is None else len(terms.terms),
    }
    scripts = _scripts(collection, works, fields=fields, codes=codes, overview=overview, rows=rows)
    if terms is None:
        return scripts
    told = terms.as_json({name: row for row, name in enumerate(ids.to_pylist())})
    return chain(scripts, [("terms.js", script("artrayTerms", written(told)))])


def _scripts(
    collection: dict[str, Any],
    works: Collection[Work],
    *,
    fields: list[str],
    codes: dict[str, dict[str, int]],
    overview: Overview | None,
    rows: array[int],
) -> Iterator[tuple[str, Iterator[str]]]:
    yield "collection.js", script("artrayPage", written(collection))
    # A row of the overview -> the work's place on the page, where it is there.
    work_of = {row: number for number, row in enumerate(rows) if row >= 0}
    going = iter(works)
    for number, start in enumerate(range(0, len(works), SHARD)):
        details = []
        for row, work in zip(rows[start : start + SHARD], going, strict=False):
            near: list[float] = []
            if overview is not None and row >= 0:
                for other, similarity in zip(overview.nearest[row], overview.similarity[row], strict=True):
                    if int(other) in work_of:
                        near += [work_of[int(other)], round(float(similarity), 3)]
            details.append(_detail(work, fields, codes, near))
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


def _detail(work: Work, fields: list[str], codes: dict[str, dict[str, int]], near: list[float]) -> dict[str, Any]:
    return {
        "uri": work.image_uri,
        "service": image_service(work.record),
        "error": work.error,
        "record": [work.record.get(name, "") for name in fields],
        "palette": [[*rgb, round(share, 3)] for rgb, share in work.palette[:PALETTE_COLOURS]],
        "brightness": rounded(work.brightness, 1),
        "scores": [_ranked(work.labels.get(task), classes) for task, classes in codes.items()],
        "near": near,
        "maps": [relative_url(work.maps.get(task)) for task in codes] if work.maps else [],
        "objects": [[name, *(round(number, 3) for number in numbers)] for name, *numbers in work.objects],
    }


def _ranked(label: Label | None, codes: dict[str, int]) -> list[float] | None:
    if label is None:
        return None
    # Of scores that look alike the label's comes first.
    ranked = sorted((-shown_score(score), name != label.label, codes[name]) for name, score in label.scores.items())
    return [number for score, _, code in ranked if score < 0 for number in (code, -score)]


def _said(corrections: Corrections | None, tasks: Sequence[str], ids: pa.Array) -> list[list[Any]]:
    """What curators have said of works on the page: place, task, label, when, and who."""
    if corrections is None:
        return []
    rows: list[list[Any]] = []
    for number, task in enumerate(tasks):
        said = corrections.said(task)
        indices = pc.index_in(pa.array(list(said), pa.string()), ids).to_pylist()
        for row, one in zip(indices, said.values(), strict=True):
            if row is not None:
                rows.append([row, number, one.label or "", one.at or "", one.reviewer or ""])
    return rows


def _queue(queue: Queue, tasks: Sequence[str], ids: pa.Array) -> dict[str, Any]:
    """A queue's works on the page, and what speaks for each."""
    indices = pc.index_in(pa.array(queue.object_ids, pa.string()), ids).to_pylist()
    twins = pc.index_in(pa.array(queue.twins, pa.string()), ids).to_pylist()
    there = [row for row, index in enumerate(indices) if index is not None]
    return {
        "name": queue.name,
        "task": None if queue.task is None else tasks.index(queue.task),
        "works": [indices[row] for row in there],
        "said": [queue.said[row] for row in there] if queue.said else [],
        "score": [rounded(queue.scores[row], SCORE_DECIMALS) for row in there] if queue.scores else [],
        "twin": [twins[row] for row in there] if queue.twins else [],
    }


def _tested(predictions: pa.Table | None, classes: Sequence[str], ids: pa.Array) -> dict[str, Any] | None:
    """The works on the page that a model was tried on: what each is, what was said of it, and how surely."""
    if predictions is None:
        return None
    code_of = {name: number for number, name in enumerate(classes)}
    tested: dict[str, list[Any]] = {"work": [], "truth": [], "said": [], "score": []}
    works = pc.index_in(predictions["object_id"], ids).to_pylist()
    rows = predictions.select(["true", "label", "scores"]).to_pylist(maps_as_pydicts="strict")
    for work, row in zip(works, rows, strict=True):
        if work is None:
            continue
        truth, said = (([row[name]] if isinstance(row[name], str) else row[name]) or [] for name in ("true", "label"))
        scores = row["scores"] or {}
        tested["work"].append(work)
        tested["truth"].append([code_of[name] for name in truth if name in code_of])
        tested["said"].append([code_of[name] for name in said if name in code_of])
        tested["score"].append(rounded(min((scores.get(name, 0.0) for name in said), default=None), SCORE_DECIMALS))
    return tested


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
                "interval": _interval(level),
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
            "commonest": None if multilabel else commonest(evaluation["levels"]),
            "page": relative_url(evaluation.get("page")),
            "levels": levels,
        }
        shapes = [[len(row) for row in level["confusion"]] for level in levels.values()]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"an evaluation can't be shown: {error!r}") from error
    if not levels or any(shape != [len(classes)] * len(classes) for shape in shapes):
        raise InputError(f"the evaluation of {shown['task']!r} has a confusion matrix that does not fit its classes")
    return shown


def _interval(level: Mapping[str, Any]) -> list[float | None] | None:
    """Within which the share that is right lies, with 95 % confidence; None where nobody has worked it out."""
    bounds = (level.get("intervals") or {}).get("accuracy")
    return None if not bounds or None in bounds else [rounded(bound, SCORE_DECIMALS) for bound in bounds]
