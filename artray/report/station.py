"""Station 6: the page for the curator."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from pydantic import Field

from artray import console
from artray.collection import storage
from artray.errors import InputError
from artray.job import Counts
from artray.labeling.contract import METADATA_KEY
from artray.labeling.exports import ExportOptions, export_labels
from artray.labeling.published import labelled_pictures, read_labels
from artray.report.evaluation import evaluation_page
from artray.report.overview import Overview, make_overview
from artray.report.page import NUMBER_COLUMNS, assemble_works, record_columns, write_page
from artray.report.thumbnails import make_thumbnails
from artray.training.bundle import read_json


class ReportOptions(ExportOptions):
    """Write a page that shows every picture with its labels; it needs no server and no internet."""

    labels: str = Field(description="the labels of label_catalog", examples=["URI"])
    features: str | None = Field(
        None, description="the feature table: titles, artists, palettes, the map", examples=["URI"]
    )
    evaluation: list[str] = Field([], description="a model bundle: how good it is, where it errs", examples=["URI"])
    out: str = Field(description="a folder on this machine", examples=["DIR"])
    map_layer: str | None = Field(
        None,
        description="layer of the activation maps beside the errors of a model that takes pictures; default the last",
        examples=["NAME"],
    )
    map_method: Literal["cam", "grad-cam", "guided"] | None = Field(
        None, description="default: cam where the model allows it, else grad-cam", examples=["NAME"]
    )
    title: str = Field("Collection", description="the page's heading", examples=["TEXT"])
    thumbnail: int = Field(320, ge=64, le=1024, description="long side of a thumbnail in pixels")
    limit: int = Field(50_000, ge=1, le=200_000, description="most works on the page; the least certain are taken")
    seed: int = Field(0, ge=0, description="of the map")


def report(options: ReportOptions) -> Counts:
    """Write `index.html` and all it needs into a folder.

    Raises:
        InputError: The labels can't be read, or `out` is not a folder on this machine that can be written.
    """
    out = storage.normalize(options.out)
    if out.startswith("s3://"):
        raise InputError(f"--out {options.out}: must be a folder on this machine")
    storage.ensure_writable(out)
    found = read_labels(options.labels)
    chosen, total = _chosen(found, options.limit)
    labels = found.to_table(filter=None if chosen is None else pads.field("object_id").isin(chosen))
    labels = labels.set_column(labels.column_names.index("task"), "task", labels["task"].cast(pa.string()))
    thumbnails = make_thumbnails(Path(out), _pictures(options, labels), options.thumbnail)
    features, overview = _features(options, labels)
    works = assemble_works(labels, features, thumbnails)
    titles = {work.object_id: work.record["title"] for work in works if work.record.get("title")}
    evaluations = [
        {**read_json(uri, "evaluation.json"), "page": _evaluation_page(options, uri, titles).name}
        for uri in options.evaluation
    ]
    about = _about(options, labels)
    if len(works) < total:
        about["shown"] = f"Shown are the least certain of {total:,}"
        console.say(f"on the page: {len(works):,} of {total:,} works, the failed and the least certain (--limit)")
    page = write_page(Path(out), works, evaluations, about, thresholds=_thresholds(found), overview=overview)
    counts: Counts = {
        "rows": len(works),
        "ok": sum(work.status == "ok" for work in works),
        "failed": sum(work.status != "ok" for work in works),
        "thumbnails": len(thumbnails),
        "on_map": 0 if overview is None or overview.positions is None else len(overview.object_ids),
        "out": out,
        "page": str(page),
    }
    exported = export_labels(options, options.labels, Path(out), options.features)
    if exported:
        counts["exports"] = exported
    console.say(f"open {page}")
    return counts


def _evaluation_page(options: ReportOptions, bundle: str, titles: dict[str, str]) -> Path:
    out = Path(storage.normalize(options.out))
    return evaluation_page(bundle, out, titles, layer=options.map_layer, method=options.map_method)


def _chosen(labels: pads.Dataset, limit: int) -> tuple[pa.Array | None, int]:
    """The works for the page: those that failed and the least certain; None: all. And how many there are."""
    scores = labels.to_table(columns=["object_id", "score"])
    scores = scores.set_column(1, "score", pc.fill_null(scores["score"], -1))  # a failed one
    works = scores.group_by("object_id").aggregate([("score", "min")])
    if len(works) <= limit:
        return None, len(works)
    order = pc.sort_indices(works, [("score_min", "ascending"), ("object_id", "ascending")])
    return works["object_id"].take(order[:limit]).combine_chunks(), len(works)


def _features(options: ReportOptions, labels: pa.Table) -> tuple[pa.Table | None, Overview | None]:
    """What the page shows of the feature table, and the overview made of its embedding."""
    if options.features is None:
        return None, None
    found = storage.dataset(options.features)
    names = ["object_id", *record_columns(found.schema), *NUMBER_COLUMNS, "embedding"]
    wanted = pads.field("object_id").isin(pc.unique(labels["object_id"]))
    features = found.to_table(columns=[name for name in names if name in found.schema.names], filter=wanted)
    if "embedding" not in features.column_names:
        return features, None
    # By object_id: the map does not depend on the order of the table.
    embedded = features.select(["object_id", "embedding"]).drop_null().sort_by("object_id")
    features = features.drop_columns("embedding")
    if not len(embedded):
        return features, None
    console.say(f"looking for works that are alike, among {len(embedded):,}")
    vectors = np.array(storage.stack_lists(embedded["embedding"], "embedding"), np.float32)
    overview = make_overview(embedded["object_id"].to_pylist(), vectors, options.seed)
    if overview is not None and overview.positions is None:
        console.say("no map: the package openTSNE is not installed")
    return features, overview


def _thresholds(labels: pads.Dataset) -> dict[str, float]:
    """By model, the score below which its labels are uncertain, from the labels' metadata."""
    thresholds = {}
    for fragment in labels.get_fragments():
        metadata = fragment.physical_schema.metadata or {}
        for bundle in json.loads(metadata.get(METADATA_KEY.encode(), b"{}")).get("bundles", []):
            abstain = bundle.get("abstain")
            if abstain:
                least = abstain["threshold"]  # null: at no score are enough of the labels right
                thresholds[bundle["model_id"]] = math.inf if least is None else least
    return thresholds


def _pictures(options: ReportOptions, labels: pa.Table) -> pa.Table:
    """The labelled pictures with their version, where it is known."""
    pictures = labels.select(["object_id", "image_uri"]).group_by("object_id").aggregate([("image_uri", "min")])
    pictures = pictures.rename_columns(["object_id", "image_uri"])
    known = labelled_pictures(options.labels)
    if known is None:
        return pictures.append_column("version", pa.nulls(len(pictures), pa.string()))
    places = pc.index_in(pictures["object_id"], known["object_id"].combine_chunks())
    return pictures.append_column("version", known["version"].take(places))


def _about(options: ReportOptions, labels: pa.Table) -> dict[str, str]:
    newest = pc.max(labels["labeled_at"]).as_py()
    return {
        "title": options.title,
        "labels": options.labels,
        "run": ", ".join(sorted(set(labels["run_id"].to_pylist()))),
        "labelled": f"{newest:%Y-%m-%d %H:%M} UTC",
    }
