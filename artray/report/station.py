"""Station 6: the page for the curator."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from pydantic import Field

from artray import console
from artray.collection import storage
from artray.collection.decoding import DECODE_VERSION
from artray.collection.passes import run_pass
from artray.collection.pictures import View, read_pictures
from artray.errors import InputError
from artray.job import Counts, Options
from artray.report.page import assemble_works, write_page
from artray.training.bundle import read_json

_THUMBNAILS = "thumbnails"


class ReportOptions(Options):
    """Write a page that shows every picture with its labels; it needs no server and no internet."""

    labels: str = Field(description="the labels of label_catalog", examples=["URI"])
    features: str | None = Field(None, description="the feature table: titles, artists, palettes", examples=["URI"])
    evaluation: list[str] = Field([], description="a model bundle, for its confusion matrix", examples=["URI"])
    out: str = Field(description="a folder on this machine", examples=["DIR"])
    title: str = Field("Collection", description="the page's heading", examples=["TEXT"])
    thumbnail: int = Field(320, ge=64, le=1024, description="long side of a thumbnail in pixels")


def report(options: ReportOptions) -> Counts:
    """Write `index.html` and all it needs into a folder.

    Raises:
        InputError: The labels can't be read, or `out` is not a folder on this machine that can be written.
    """
    out = storage.normalize(options.out)
    if out.startswith("s3://"):
        raise InputError(f"--out {options.out}: must be a folder on this machine")
    storage.ensure_writable(out)
    labels = storage.dataset(options.labels).to_table()
    if "task" not in labels.column_names:
        raise InputError(f"{options.labels}: not labels: there is no folder task=NAME")
    labels = labels.set_column(labels.column_names.index("task"), "task", labels["task"].cast(pa.string()))
    features = storage.dataset(options.features).to_table() if options.features else None
    evaluations = [read_json(uri, "evaluation.json") for uri in options.evaluation]
    thumbnails = _thumbnails(options, Path(out), str(labels["task"][0]))
    works = assemble_works(labels, features, thumbnails)
    page = write_page(Path(out), works, evaluations, _about(options, labels))
    counts: Counts = {
        "rows": len(works),
        "ok": sum(work.status == "ok" for work in works),
        "failed": sum(work.status != "ok" for work in works),
        "thumbnails": len(thumbnails),
        "out": out,
        "page": str(page),
    }
    console.say(f"open {page}")
    return counts


def _thumbnails(options: ReportOptions, out: Path, task: str) -> dict[str, str]:
    """Thumbnails as files beside the page; paths relative to it, by object_id."""
    staging = out / "_thumbnails"
    run_pass(
        "thumbnails",
        storage.join(options.labels, f"task={task}"),
        str(staging),
        _ThumbnailWorker,
        {"size": options.thumbnail, "decode_version": DECODE_VERSION},
        overwrite=True,
    )
    folder = out / _THUMBNAILS
    storage.remove(str(folder))
    folder.mkdir()
    paths: dict[str, str] = {}
    for batch in storage.dataset(str(staging)).to_batches(columns=["object_id", "thumbnail"], batch_size=256):
        table = pa.Table.from_batches([batch])
        for row in table.filter(pc.is_valid(table["thumbnail"])).to_pylist():
            # Numbered: an object_id may hold anything, also what no file system takes.
            name = f"{len(paths):07d}.jpg"
            (folder / name).write_bytes(row["thumbnail"])
            paths[row["object_id"]] = f"{_THUMBNAILS}/{name}"
    storage.remove(str(staging))
    return paths


def _about(options: ReportOptions, labels: pa.Table) -> dict[str, str]:
    newest = pc.max(labels["labeled_at"]).as_py()
    return {
        "title": options.title,
        "labels": options.labels,
        "run": ", ".join(sorted(set(labels["run_id"].to_pylist()))),
        "labelled": f"{newest:%Y-%m-%d %H:%M} UTC",
    }


class _ThumbnailWorker:
    def __init__(self, size: int, decode_version: int):
        self._view = View(size, "inside")

    def __call__(self, rows: pa.Table) -> pa.Table:
        tables = []
        for pictures in read_pictures(rows.select(["object_id", "image_uri"]), [self._view]):
            images = [_jpeg(image) for image in pictures.images[self._view]]
            table = pictures.rows.append_column("status", pictures.state["status"])
            tables.append(table.append_column("thumbnail", pictures.spread(pa.array(images, pa.binary()))))
        return pa.concat_tables(tables)


def _jpeg(image: Any) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "JPEG", quality=82, optimize=True)
    return sink.getvalue()
