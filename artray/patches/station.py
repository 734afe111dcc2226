"""Random squares of every picture of a manifest, as files to learn from (see `artray.patches.squares`)."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pydantic import Field

from artray.images.decoding import DECODE_VERSION
from artray.images.encoding import png
from artray.images.pictures import STATE, DecodeSize, Picture, read_pictures
from artray.ingest.manifest import make_room
from artray.job import Counts, Options
from artray.patches.squares import draw, enlarged, positions
from artray.storage import Location
from artray.storage.passes import run_pass

PATCH = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""The Hugging Face image convention: `datasets` shows such a column as pictures."""


_COLUMNS = ("patch", "left", "top", "image")


class PatchOptions(Options):
    """Cut random squares from every picture of a manifest, as PNG in Parquet."""

    manifest: Location = Field(description="the manifest of ingest", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for the patches", examples=["URI"])
    size: int = Field(256, ge=8, le=4096, description="side of a square in pixels")
    per_image: int = Field(10, ge=1, le=1000, description="squares from each picture")
    seed: int = Field(0, ge=0, description="other seeds draw other squares")
    long_side: int = Field(
        1024, ge=8, description="pictures larger than this are scaled down to it before the squares are cut"
    )
    overwrite: bool = Field(False, description="replace patches made with other options")


def make_patches(options: PatchOptions) -> Counts:
    """Station 3: one row a patch, with the manifest's columns, `patch` (0 …), `left`, `top` and the picture.

    A picture that can't be read is one row with its status and no patch.
    """
    arguments = options.model_dump(include={"size", "per_image", "seed", "long_side"})
    counts = run_pass(
        "patches",
        options.manifest,
        options.out,
        _PatchWorker,
        {**arguments, "decode_version": DECODE_VERSION},
        overwrite=options.overwrite,
    )
    return counts | {"size": options.size, "per_image": options.per_image}


class _PatchWorker:
    def __init__(self, size: int, per_image: int, seed: int, long_side: int, decode_version: int):
        self._draw = {"size": size, "per_image": per_image, "seed": seed}
        self._decode_size = DecodeSize(long_side, "inside")

    def __call__(self, rows: pa.Table) -> pa.Table:
        return pa.concat_tables(
            [
                self._cut(pictures.rows, pictures.state, pictures.readable, pictures.images[self._decode_size])
                for pictures in read_pictures(make_room(rows, [*STATE.names, *_COLUMNS]), [self._decode_size])
            ]
        )

    def _cut(self, rows: pa.Table, state: pa.Table, readable: Sequence[int], images: Sequence[Picture]) -> pa.Table:
        picture = dict(zip(readable, images, strict=True))
        ids = rows["object_id"].to_pylist()
        source: list[int] = []  # the row each patch comes from
        columns: dict[str, list[object]] = {name: [] for name in _COLUMNS}
        for row, object_id in enumerate(ids):
            if row not in picture:
                source.append(row)
                for values in columns.values():
                    values.append(None)
                continue
            image = enlarged(picture[row], self._draw["size"])
            corners = positions(object_id, image.shape[1], image.shape[0], **self._draw)
            for number, ((left, top), patch) in enumerate(
                zip(corners.tolist(), draw(image, object_id, **self._draw), strict=True)
            ):
                source.append(row)
                columns["patch"].append(number)
                columns["left"].append(left)
                columns["top"].append(top)
                # PNG, not JPEG: labelling draws its patches from the decoded picture and must see the same pixels.
                columns["image"].append({"bytes": png(patch, compression=1), "path": f"{object_id}-{number:03d}.png"})
        table = rows.take(source)
        for name in state.column_names:
            table = table.append_column(name, state[name].take(source))
        types = {"patch": pa.int32(), "left": pa.int32(), "top": pa.int32(), "image": PATCH}
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values, types[name]))
        return table
