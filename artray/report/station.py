"""Station 6: the page for the curator."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from pydantic import Field

from artray import console
from artray.bundles.classifier import read_evaluation, read_predictions
from artray.bundles.thresholds import doubt_of
from artray.catalogs.corrections import Corrections
from artray.errors import InputError
from artray.job import Counts
from artray.labeling.contract import Models, models_of, read_notes
from artray.labeling.exports import ExportOptions, export_labels
from artray.labeling.exports.source import statements_about
from artray.labeling.published import labelled_pictures, read_labels
from artray.queues import QUEUES, Alike, make_queues
from artray.report.evaluation import evaluation_page, remove_evaluations
from artray.report.evaluation_sections import headings
from artray.report.explained_pictures import maps_of_models, remove_maps
from artray.report.languages import Language, Speech
from artray.report.overview import Overview, make_overview
from artray.report.page import Queue, write_page
from artray.report.terms import Terms
from artray.report.thumbnails import ZOOM_FOLDER, make_thumbnails, remove_thumbnails
from artray.report.works import NUMBER_COLUMNS, assemble_works, certainty, record_columns
from artray.storage import Location, keep_apart, refuse_other_file, refuse_other_job, stack_lists
from artray.words.terms import read_terms

_BATCH = 4096


class ReportOptions(ExportOptions):
    """Write a page that shows every picture with its labels; it needs no server and no internet."""

    labels: Location = Field(description="the labels of label_catalog", examples=["URI"])
    features: Location | None = Field(
        None, description="the feature table: titles, artists, palettes, the map", examples=["URI"]
    )
    evaluation: list[Location] = Field(
        [], description="a model bundle: how good it is, where it errs", examples=["URI"]
    )
    out: Location = Field(description="a folder on this machine", examples=["DIR"])
    map_layer: str | None = Field(
        None,
        description="layer of the activation maps beside the errors of a model that takes pictures; default the last",
        examples=["NAME"],
    )
    map_method: Literal["cam", "grad-cam", "guided"] | None = Field(
        None, description="default: cam where the model allows it, else grad-cam", examples=["NAME"]
    )
    maps: int | None = Field(
        None,
        ge=1,
        le=5000,
        description="for so many works, those unlike anything learned first, then the least certain, what in the "
        "picture spoke for the label; of models given by --evaluation that take pictures; default: none",
        examples=["N"],
    )
    title: str = Field("Collection", description="the page's heading", examples=["TEXT"])
    language: Language = Field("en", description="of the page's own words: en, de, fr, es, it or nl", examples=["CODE"])
    thumbnail: int = Field(320, ge=64, le=1024, description="long side of a thumbnail in pixels")
    zoom: int | None = Field(
        None,
        ge=256,
        le=8192,
        description="long side in pixels of a larger picture of each work, beside the page; default: none",
        examples=["N"],
    )
    limit: int = Field(50_000, ge=1, le=200_000, description="most works on the page; the least certain are taken")
    seed: int = Field(0, ge=0, description="of the map")
    terms: Location | None = Field(
        None,
        description="words with vectors, as prepare-backbone --words writes them: works can be found by them; needs "
        "--features with the same backbone's embedding",
        examples=["FILE"],
    )
    terms_column: str | None = Field(
        None, description="that embedding's column; default: the one of the same width", examples=["NAME"]
    )


def report(options: ReportOptions) -> Counts:
    """Write `index.html` and all it needs into a folder.

    Raises:
        InputError: The labels can't be read, or `out` is not a folder on this machine that can be written, or is that
            of an input or of another job.
    """
    out = options.out
    if out.is_s3:
        raise InputError(f"--out {out}: must be a folder on this machine")
    datasets = {"--labels": options.labels, "--features": options.features}
    keep_apart(out, {"--evaluation": options.evaluation, "--terms": options.terms}, datasets)
    refuse_other_job(out, "page")
    refuse_other_file(out, "index.html", b'src="data/collection.js"')
    out.ensure_writable()
    folder = Path(out)
    dataset = read_labels(options.labels)
    chosen, total = _chosen(dataset, options.limit)
    labels = dataset.to_table(filter=None if chosen is None else pads.field("object_id").isin(chosen))
    labels = labels.set_column(labels.column_names.index("task"), "task", labels["task"].cast(pa.string()))
    about = _about(options, labels)
    used = labels.group_by(["task", "model_id"]).aggregate([]).sort_by("task").to_pylist()
    evaluations = [_evaluation(uri) for uri in options.evaluation]
    _refuse_same(options.evaluation, [item["model_id"] for item in evaluations])
    pictures = _pictures(options, labels)
    thumbnails = make_thumbnails(folder, pictures, options.thumbnail)
    zooms = make_thumbnails(folder, pictures, options.zoom, ZOOM_FOLDER) if options.zoom else {}
    if not options.zoom:
        remove_thumbnails(folder, ZOOM_FOLDER)  # an older page's: who publishes the folder gives away what it shows
    features, overview = _features(options, labels)
    terms = None if options.terms is None else _terms(options, options.terms, labels)
    learned = {item["model_id"]: item.pop("learned") for item in evaluations}
    names = model_names([item["task"] for item in evaluations])
    maps = _maps(options, labels, names)
    works = assemble_works(labels, features, thumbnails, zooms=zooms, learned=learned, maps=maps)
    titles = works.titles() if options.evaluation else {}
    told_apart = headings([(item["task"], item["model_id"]) for item in evaluations])
    for item, uri, name, heading in zip(evaluations, options.evaluation, names, told_apart, strict=True):
        item["page"] = _evaluation_page(options, uri, titles, f"evaluation-{name}", heading).name
    remove_evaluations(folder, [folder / item["page"] for item in evaluations])  # of models that are no longer given
    if len(works) < total:
        about["shown"] = Speech(options.language)("run.least_certain", n=total)
        console.say(f"on the page: {len(works):,} of {total:,} works, the failed and the least certain (--limit)")
    # Of models whose labels an older release wrote only their evaluations say that they are no better than chance.
    told = {item["model_id"]: doubt_of(item["levels"]) for item in evaluations}
    doubts = {name: doubt for name, doubt in told.items() if doubt}
    models = models_of(read_notes(file) for file in dataset.get_fragments()).doubted(doubts)
    for item in used:
        if item["model_id"] in models.doubts:
            console.say(f"{item['task']}: {models.doubts[item['model_id']]}")
    reviewed = _reviewed(options, dataset)
    page = write_page(
        folder,
        works,
        evaluations,
        about,
        models=models,
        overview=overview,
        queues=_queues(options, labels, models, overview, reviewed),
        corrections=reviewed,
        language=options.language,
        terms=terms,
    )
    counts: Counts = {
        "rows": len(works),
        "ok": len(works) - works.failed,
        "failed": works.failed,
        "thumbnails": len(thumbnails),
        "on_map": 0 if overview is None or overview.positions is None else len(overview.object_ids),
        "out": str(out),
        "page": str(page),
    }
    exported = export_labels(options, options.labels, folder, options.features, doubts=doubts)
    if exported:
        counts["exports"] = exported
    console.say(f"open {page}")
    return counts


def _maps(options: ReportOptions, labels: pa.Table, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """By task, pictures of what spoke for the labels of the least certain works; an earlier page's are removed."""
    folder = Path(options.out)
    remove_maps(folder)
    if options.maps is None:
        return {}
    models = dict(zip(names, options.evaluation, strict=True))
    maps = maps_of_models(models, labels, options.maps, folder, layer=options.map_layer, method=options.map_method)
    if not maps:
        console.say("--maps: nothing to draw: no model of --evaluation takes pictures and gave these labels")
    return maps


def _reviewed(options: ReportOptions, labels: pads.Dataset) -> Corrections | None:
    """What curators have said, with which the page begins; what of it is left out is said, by the exports if any."""
    if not options.corrections:
        return None
    features = None if options.features is None else options.features.dataset()
    corrections = statements_about(options.corrections, labels, features)
    if not options.export:
        for problem in corrections.problems:
            console.say(f"corrections: {problem}")
    return corrections


def _refuse_same(uris: Sequence[Location], models: Sequence[str]) -> None:
    for uri, model in zip(uris, models, strict=True):
        first = uris[models.index(model)]
        if first is not uri:
            raise InputError(f"--evaluation: {first} and {uri} hold the same model, {model}: give one of them")


def _evaluation(bundle: Location) -> dict[str, Any]:
    """A bundle's evaluation, with the works that the model was tried on, and those that it was made with."""
    evaluation = read_evaluation(bundle)
    predictions = read_predictions(bundle, ["object_id", "part", "true", "label", "scores"])
    tried = pc.equal(predictions["part"], evaluation.get("part", "test"))
    return {
        **evaluation,
        "predictions": predictions.filter(tried),
        "learned": frozenset(predictions["object_id"].filter(pc.invert(tried)).to_pylist()),
    }


def model_names(tasks: Sequence[str]) -> list[str]:
    """What models are called in the names of their pages and pictures, by their tasks: no two alike.

    >>> model_names(["style", "genre", "style"])
    ['style', 'genre', 'style-2']
    """
    names: list[str] = []
    for name in tasks:
        others = (f"{name}-{number}" for number in range(2, 2 * len(tasks) + 2))
        free = (other for other in others if other not in {*tasks, *names})
        names.append(next(free) if name in names else name)
    return names


def _evaluation_page(options: ReportOptions, bundle: Location, titles: dict[str, str], file: str, heading: str) -> Path:
    return evaluation_page(
        bundle,
        Path(options.out),
        titles,
        file=file,
        heading=heading,
        layer=options.map_layer,
        method=options.map_method,
        page="index.html",
        language=options.language,
    )


def _chosen(labels: pads.Dataset, limit: int) -> tuple[pa.Array | None, int]:
    """The works for the page: those that failed and the least certain; None: all. And how many there are."""
    novelty = ["novelty"] if "novelty" in labels.schema.names else []
    scores = labels.to_table(columns=["object_id", "score", *novelty])
    works = scores.set_column(1, "score", certainty(scores)).group_by("object_id").aggregate([("score", "min")])
    if len(works) <= limit:
        return None, len(works)
    order = pc.sort_indices(works, [("score_min", "ascending"), ("object_id", "ascending")])
    return works["object_id"].take(order[:limit]).combine_chunks(), len(works)


def _features(options: ReportOptions, labels: pa.Table) -> tuple[pa.Table | None, Overview | None]:
    """What the page shows of the feature table, and the overview made of its embedding."""
    if options.features is None:
        return None, None
    table = options.features.dataset()
    names = ["object_id", *record_columns(table.schema), *NUMBER_COLUMNS, "embedding"]
    ids = pc.unique(labels["object_id"])
    wanted = pads.field("object_id").isin(ids)
    shown = [name for name in names if name in table.schema.names]
    features = table.to_table(columns=[name for name in shown if name != "embedding"], filter=wanted)
    if "embedding" not in shown:
        return features, None
    # By object_id: the map does not depend on the order of the table.
    embedded, vectors = _embeddings(table, ids.take(pc.sort_indices(ids)))
    if not len(embedded):
        return features, None
    console.say(f"looking for works that are alike, among {len(embedded):,}")
    overview = make_overview(embedded, vectors, options.seed)
    if overview is not None and overview.positions is None:
        console.say("no map: the package openTSNE is not installed")
    return features, overview


def _queues(
    options: ReportOptions,
    labels: pa.Table,
    models: Models,
    overview: Overview | None,
    reviewed: Corrections | None,
) -> list[Queue]:
    """What to look at first, by task; queues without works are left out."""
    alike = None if overview is None else Alike(overview.object_ids, overview.nearest, overview.similarity)
    features = None if options.features is None else options.features.dataset()
    table = make_queues(labels, features, models=models, reviewed=reviewed, alike=alike)
    queues = []
    for name in QUEUES:
        for task in sorted(pc.unique(table["task"]).to_pylist()):
            rows = table.filter(pc.and_(pc.equal(table["task"], task), pc.is_valid(table[name]))).sort_by(name)
            if len(rows):
                said, scores, twins = (
                    rows[column].to_pylist() if name == queue else ()
                    for column, queue in (
                        ("unseen_label", "differs"),
                        ("unseen_score", "differs"),
                        ("duplicate_of", "duplicates"),
                    )
                )
                queues.append(Queue(name, task, rows["object_id"].to_pylist(), said=said, scores=scores, twins=twins))
    return queues


def _terms(options: ReportOptions, file: Location, labels: pa.Table) -> Terms:
    """The words of a file, and the works' embeddings by the same model."""
    words, vectors, _ = read_terms(file)
    if options.features is None:
        raise InputError("--terms: needs --features, a feature table with the same backbone's embedding")
    table = options.features.dataset()
    width = vectors.shape[1]
    named = [name for name in table.schema.names if name == "embedding" or name.startswith("embedding_")]
    fitting = [name for name in named if _width(table, name) == width]
    column = options.terms_column or (fitting[0] if len(fitting) == 1 else None)
    if column is None or column not in fitting:
        there = ", ".join(f"{name} ({_width(table, name)})" for name in named) or "none"
        raise InputError(
            f"--terms {file}: its vectors have {width} numbers, and {options.features} has the embeddings {there}: "
            "name the one of the same backbone with --terms-column"
        )
    ids, works = _embeddings(table, pc.unique(labels["object_id"]), column)
    return Terms(words, vectors, ids, works)


def _width(table: pads.Dataset, column: str) -> int:
    """How many numbers a column's lists have; 0 where it has none."""
    first = table.scanner(columns=[column], filter=pads.field(column).is_valid(), batch_size=16).head(1)
    kind = first.schema.field(column).type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return 0
    return len(first[column][0]) if len(first) else 0


def _embeddings(
    table: pads.Dataset, ids: pa.Array, column: str = "embedding"
) -> tuple[list[str], npt.NDArray[np.float32]]:
    """Which of some works have an embedding, and these, (n, d): once in memory, and never as Arrow's too."""
    vectors = np.empty((0, 0), np.float32)
    there: npt.NDArray[np.bool_] = np.zeros(len(ids), bool)
    scanner = table.scanner(
        columns=["object_id", column],
        filter=pads.field("object_id").isin(ids) & pads.field(column).is_valid(),
        batch_size=_BATCH,
        batch_readahead=2,
        fragment_readahead=2,
    )
    for batch in scanner.to_batches():
        if not len(batch):
            continue
        numbers = stack_lists(batch.column(column), column)
        if not vectors.size:
            vectors = np.empty((len(ids), numbers.shape[1]), np.float32)
        elif numbers.shape[1] != vectors.shape[1]:
            raise InputError(f"column {column!r} holds lists of different lengths")
        indices = pc.index_in(batch.column("object_id"), ids).to_numpy()
        vectors[indices] = numbers
        there[indices] = True
    rows = np.flatnonzero(there)
    for start in range(0, len(rows) if len(rows) < len(ids) else 0, _BATCH):  # close the gaps
        kept = rows[start : start + _BATCH]
        vectors[start : start + len(kept)] = vectors[kept]
    return ids.take(pa.array(rows)).to_pylist(), vectors[: len(rows)]


def _pictures(options: ReportOptions, labels: pa.Table) -> pa.Table:
    """The labelled pictures with their version, where it is known."""
    pictures = labels.select(["object_id", "image_uri"]).group_by("object_id").aggregate([("image_uri", "min")])
    pictures = pictures.rename_columns(["object_id", "image_uri"])
    known = labelled_pictures(options.labels)
    if known is None:
        return pictures.append_column("version", pa.nulls(len(pictures), pa.string()))
    indices = pc.index_in(pictures["object_id"], known["object_id"].combine_chunks())
    return pictures.append_column("version", known["version"].take(indices))


def _about(options: ReportOptions, labels: pa.Table) -> dict[str, str]:
    newest = pc.max(labels["labeled_at"]).as_py()
    return {
        "title": options.title,
        "labels": str(options.labels),
        "run": ", ".join(sorted(pc.unique(labels["run_id"]).to_pylist())),
        "labelled": f"{newest:%Y-%m-%d %H:%M} UTC",
    }
