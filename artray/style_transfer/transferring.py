"""Pictures of a collection in another style, as a collection: a resumable pass, and the manifest of what it made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.stylizer import load_stylizer_bundle
from artray.errors import InputError
from artray.gans.sampling import keep_table
from artray.images.digital_source import changed_by
from artray.images.encoding import png
from artray.images.pictures import DecodeSize, Picture, Pictures, read_pictures
from artray.ingest.manifest import PLACE, RESERVED
from artray.job import Counts
from artray.models.batches import batch_of, largest_batch
from artray.storage import PASS_FILES, Location, remove_scratch
from artray.storage.gpus import gpu_memory
from artray.storage.passes import run_pass
from artray.style_transfer.feed_forward import Stylizer
from artray.style_transfer.measures import Judge
from artray.style_transfer.optimizing import Looks, StyleTransfer
from artray.style_transfer.references import read_target
from artray.style_transfer.shapes import batches_by_shape, resized

PICTURES = "pictures"
_PLAN = "_plan"
_PLANNED = (r"rows\.parquet", *(f"parts/{name}" for name in PASS_FILES))
MADE = (*(f"{_PLAN}/{name}" for name in _PLANNED), rf"{PICTURES}/\d{{4,}}/\d{{6,}}\.png")
"""The files below `OUT`, as `storage.remove_written` takes them."""

_CHUNK = 16  # pictures that are optimised again where a process dies: each takes seconds
_AT_ONCE = 8  # of 224 by 224, whose maps and their gradients are in memory together; a fourth of what labelling takes

FIGURES = (
    "style_loss_before", "style_loss", "content_loss", "style_distance_before", "style_distance", "content_distance",
)  # fmt: skip
"""Of each picture. The first three are of the network that it was made by, the others of the one that measures."""

STATE = pa.schema(
    [
        ("object_id", pa.string()),
        ("content", pa.string()),
        ("strength", pa.float64()),
        ("image_uri", pa.string()),
        ("status", pa.string()),
        ("error", pa.string()),
        *((name, pa.float64()) for name in FIGURES),
    ]
)
"""Columns of `transfers.parquet`; figures are null where they were not measured."""


def planned(content: Location, out: Location, strengths: Sequence[float], told: str) -> pa.Table:
    """A row for each picture of a manifest and each strength: where the picture comes from, and where it will lie.

    Args:
        content: The manifest.
        out: The job's place.
        strengths: How strongly each picture is to be changed.
        told: A digest of what the pictures are made by, a part of their ids.

    Raises:
        InputError: The manifest has not the columns, or no rows.
    """
    dataset = content.dataset()
    names = dataset.schema.names
    for name in ("object_id", "image_uri"):
        if name not in names:
            raise InputError(f"--content {content}: has no column {name!r} (it has {', '.join(names)})")
    kept = [name for name in ("group", "split") if name in names]
    table = dataset.to_table(columns=["object_id", "image_uri", *kept])
    if not len(table):
        raise InputError(f"--content {content}: has no rows")
    number = len(strengths)
    rows = table.take(np.repeat(np.arange(len(table)), number))
    numbers = range(len(rows))
    columns = {
        "object_id": pa.array([f"stylised-{told[:10]}-{number:06d}" for number in numbers]),
        "content": pc.cast(rows["object_id"], pa.string()),
        "image_uri": rows["image_uri"],
        # A thousand a folder: some file systems, and people, are slow with more.
        "picture": pa.array(
            [str(out / PICTURES / f"{number // 1000:04d}" / f"{number:06d}.png") for number in numbers]
        ),
        "strength": pa.array(np.tile(np.asarray(strengths, np.float64), len(table))),
        **{name: rows[name] for name in kept},
    }
    return pa.table(columns)


def transfer(rows: pa.Table, out: Location, arguments: dict[str, Any]) -> tuple[pa.Table, Counts]:
    """Make the pictures of planned rows in one pass.

    Args:
        rows: As from `planned`.
        out: The job's place.
        arguments: Of the worker.

    Returns:
        Rows of `STATE`, in the order of the plan, and the pass' counts.
    """
    plan = out / _PLAN / "rows.parquet"
    if arguments["model"] is None:
        keep_table(plan, rows, row_group_size=_CHUNK)
    else:
        keep_table(plan, rows)
    counts = run_pass("transfers", plan, out / _PLAN / "parts", _Transferrer, arguments, overwrite=True, gpus=True)
    made = (out / _PLAN / "parts").dataset().to_table(columns=STATE.names)
    return made.take(pc.index_in(rows["object_id"].combine_chunks(), made["object_id"].combine_chunks())), counts


def remove_plan(out: Location) -> None:
    """Remove what the pass needed until all was done."""
    remove_scratch(out / _PLAN, _PLANNED)


def manifest_of(
    rows: pa.Table, made: pa.Table, out: Location, *, generator: str, label: tuple[str, str] | None
) -> pa.Table:
    """What was made as a manifest; a picture that could not be made has no `image_uri`, and says why.

    The part and group are the content's: a picture made of a test work must not be learned from.

    Args:
        rows: As from `planned`.
        made: As from `transfer`.
        out: The job's place.
        generator: What made them.
        label: The column and class whose works are the style, if they are.
    """
    files = {info.uri: info for info in (out / PICTURES).list_files()}
    infos = [files.get(uri) for uri in made["image_uri"].to_pylist()]
    arrays = [
        made["object_id"].combine_chunks(),
        made["image_uri"].combine_chunks(),
        pa.array([info.size if info else None for info in infos], pa.int64()),
        pa.array([info.version if info else None for info in infos], pa.string()),
    ]
    number = len(rows)
    table = pa.table(arrays, schema=PLACE)
    columns = {
        "content": rows["content"],
        "strength": rows["strength"],
        "generator": pa.array([generator] * number),
        "transfer_status": made["status"],
        "transfer_error": made["error"],
        "group": rows["group"] if "group" in rows.column_names else rows["content"],
        "split": rows["split"] if "split" in rows.column_names else pa.array(["train"] * number),
    }
    if label is not None and label[0] not in columns and label[0] not in RESERVED:
        columns = {label[0]: pa.array([label[1]] * number), **columns}
    for name, values in columns.items():
        table = table.append_column(name, values)
    return table


class _Transferrer:
    """Makes the pictures of planned rows and writes them; measures them where it is told to."""

    def __init__(
        self,
        *,
        size: int,
        looks: dict[str, Any],
        scales: int,
        steps: int,
        model: str | None,
        style: str | None,
        target: str | None,
        judge: str | None,
        generator: str,
        **_: Any,
    ):
        self._decode_size = DecodeSize(size, "inside")
        self._batch = largest_batch(max(1, batch_of(gpu_memory()) * _AT_ONCE // 32), size)
        self._target = read_target(Location(target)) if target is not None else None
        self._judge = Judge(judge) if judge is not None else None
        self._source = changed_by(generator)
        if model is None:
            self._stylizer = None
            self._transfer = StyleTransfer(Looks.model_validate(looks), size, scales, steps)
        else:
            self._stylizer = Stylizer(Location(model), load_stylizer_bundle(Location(model)), style)

    def __call__(self, rows: pa.Table) -> pa.Table:
        return pa.concat_tables([self._made(read) for read in read_pictures(rows, [self._decode_size])])

    def _made(self, read: Pictures) -> pa.Table:
        images = read.images[self._decode_size]
        strengths = read.rows["strength"].to_pylist()
        figures = np.full((len(read.rows), len(FIGURES)), math.nan)
        uris: list[str | None] = [None] * len(read.rows)
        for numbers, pictures in batches_by_shape(images, self._batch):
            rows = [read.readable[number] for number in numbers]
            painted, figures[rows, :3] = self._painted(pictures, [strengths[row] for row in rows])
            figures[rows, 3:] = self._measured(pictures, painted)
            for number, row, picture in zip(numbers, rows, painted, strict=True):
                uri = read.rows["picture"][row].as_py()
                height, width = images[number].shape[:2]
                Location(uri).write_bytes(png(resized(picture, height, width), source=self._source))
                uris[row] = uri
        table = read.rows.select(["object_id", "content", "strength"])
        columns = [pa.array(uris, pa.string()), read.state["status"], read.state["error"]]
        columns += [pa.array(column, mask=np.isnan(column)) for column in figures.T]
        for name, values in zip(STATE.names[3:], columns, strict=True):
            table = table.append_column(name, values)
        return table.cast(STATE)

    def _painted(self, pictures: Picture, strengths: list[float]) -> tuple[Picture, Any]:
        if self._stylizer is not None:
            return self._stylizer(pictures, strengths), math.nan
        assert self._target is not None
        painted, before, after = self._transfer(pictures, strengths, self._target.scales)
        return painted, np.stack([before[:, 0], after[:, 0], after[:, 1]], axis=1)

    def _measured(self, pictures: Picture, painted: Picture) -> Any:
        if self._judge is None:
            return math.nan
        styles = [math.nan, math.nan]
        figures = np.tile(np.array([*styles, math.nan]), (len(pictures), 1))
        if self._target is not None and self._target.measured:
            figures[:, 0] = self._judge.style_distances(pictures, self._target.measured)
            figures[:, 1] = self._judge.style_distances(painted, self._target.measured)
        figures[:, 2] = self._judge.content_distances(painted, pictures)
        return figures
