"""Patches (A6): k random squares of side p from each artwork, the same ones wherever and whenever they are drawn."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image
from pydantic import Field

from artray.images.decoding import DECODE_VERSION
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.job import Counts, Options
from artray.storage import Location
from artray.storage.passes import run_pass

PATCH = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""The Hugging Face image convention: `datasets` shows such a column as pictures."""


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


def positions(object_id: str, width: int, height: int, size: int, per_image: int, seed: int) -> npt.NDArray[np.int64]:
    """Where the squares lie: (per_image, 2) of left and top, uniform over all places where a square fits.

    They depend on nothing but the arguments: not on the order, the batch or the machine.

    Raises:
        ValueError: The picture is smaller than a square.
    """
    if min(width, height) < size:
        raise ValueError(f"a {width}x{height} picture has no {size}x{size} square")
    digest = hashlib.blake2b(f"{seed}\0{object_id}".encode(), digest_size=16).digest()
    # PCG64's raw words are the same on every platform and release; numpy's derived distributions need not be.
    words = np.random.PCG64(int.from_bytes(digest, "big")).random_raw(2 * per_image).reshape(per_image, 2)
    room = np.array([width - size + 1, height - size + 1], np.uint64)
    return (words % room).astype(np.int64)


def draw(image: Picture, object_id: str, size: int, per_image: int, seed: int) -> npt.NDArray[np.uint8]:
    """The squares of one picture, (per_image, size, size, 3).

    A picture with a side shorter than `size` is enlarged until it is as long (bicubic, aspect kept).
    """
    image = enlarged(image, size)
    height, width = image.shape[:2]
    corners = positions(object_id, width, height, size, per_image, seed)
    return np.stack([image[top : top + size, left : left + size] for left, top in corners])


def enlarged(image: Picture, size: int) -> Picture:
    """The picture, or an enlarged one whose shorter side is `size`."""
    height, width = image.shape[:2]
    if min(height, width) >= size:
        return image
    factor = size / min(height, width)
    wide, high = max(size, round(width * factor)), max(size, round(height * factor))
    return np.asarray(Image.fromarray(image).resize((wide, high), Image.Resampling.BICUBIC))


def resized(image: Picture, size: int) -> Picture:
    """A square patch at a model's size (a box filter); training and labelling both come through here."""
    if image.shape[0] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))


class _PatchWorker:
    def __init__(self, size: int, per_image: int, seed: int, long_side: int, decode_version: int):
        self._draw = {"size": size, "per_image": per_image, "seed": seed}
        self._decode_size = DecodeSize(long_side, "inside")

    def __call__(self, rows: pa.Table) -> pa.Table:
        return pa.concat_tables(
            [
                self._cut(pictures.rows, pictures.state, pictures.readable, pictures.images[self._decode_size])
                for pictures in read_pictures(rows, [self._decode_size])
            ]
        )

    def _cut(self, rows: pa.Table, state: pa.Table, readable: Sequence[int], images: Sequence[Picture]) -> pa.Table:
        picture = dict(zip(readable, images, strict=True))
        ids = rows["object_id"].to_pylist()
        source: list[int] = []  # the row each patch comes from
        columns: dict[str, list[object]] = {"patch": [], "left": [], "top": [], "image": []}
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
                columns["image"].append({"bytes": _png(patch), "path": f"{object_id}-{number:03d}.png"})
        table = rows.take(source)
        for name in state.column_names:
            table = table.append_column(name, state[name].take(source))
        types = {"patch": pa.int32(), "left": pa.int32(), "top": pa.int32(), "image": PATCH}
        for name, values in columns.items():
            table = table.append_column(name, pa.array(values, types[name]))
        return table


def _png(image: Picture) -> bytes:
    sink = io.BytesIO()
    # PNG, not JPEG: labelling draws its patches from the decoded picture and must see the same pixels.
    Image.fromarray(image).save(sink, "PNG", compress_level=1)
    return sink.getvalue()
