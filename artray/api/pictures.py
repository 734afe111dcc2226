"""The pictures that a program gives: paths, bytes, arrays, Pillow's images, or a manifest."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from PIL import Image

from artray.api.collections import Collection, as_rows
from artray.errors import InputError
from artray.images.pictures import DecodeSize, Pictures, decode_pictures
from artray.storage import Location, ReadError, read_many
from artray.storage.chunks import BATCH

Picture: TypeAlias = "str | os.PathLike[str] | Location | bytes | Image.Image | np.ndarray[Any, Any]"
"""A path or s3:// address, a file's bytes, an image of Pillow, or an array of numbers 0 to 255."""

Given: TypeAlias = "Picture | Iterable[Picture] | Collection | pa.Table"
"""One picture or several, a manifest's folder, or a table with `image_uri`."""

_IN_PNG = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
_IN_TIFF = ("CMYK", "YCbCr", "LAB", "I", "F")


@dataclass(frozen=True)
class GivenPictures:
    """Pictures, of which no pixel has been looked at.

    Attributes:
        rows: `object_id` and `image_uri` of each; what has no address has no URI, and its number from 0 for an id.
        contents: The bytes of those that have none; None for the others.
    """

    rows: pa.Table
    contents: Sequence[bytes | None]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, decode_sizes: Sequence[DecodeSize], batch: int = BATCH) -> Iterator[Pictures]:
        """Fetched and decoded, so many at a time; of no pictures one batch, without any."""
        for start in range(0, max(1, len(self.rows)), batch):
            rows = self.rows.slice(start, batch)
            yield decode_pictures(rows, _bytes_of(rows, self.contents[start : start + batch]), decode_sizes)


def given_pictures(pictures: Given) -> GivenPictures:
    """What was given, as rows.

    Args:
        pictures: A path or s3:// address of a picture; of a manifest; a file's bytes; a Pillow image; an array (h, w),
            (h, w, 3) or (h, w, 4) of numbers 0 to 255, or (n, h, w, 3); any number of these; or a table with the
            column `image_uri`.

    Raises:
        InputError: It is none of these.
    """
    if isinstance(pictures, (str, os.PathLike, Location)):
        location = Location.parse(pictures)
        if not location.uri.endswith(".parquet") and location.is_file():
            return GivenPictures(_rows([str(pictures)], [str(location)]), [None])
        if not location.exists():
            raise InputError(f"{pictures}: no such picture, nor a manifest")
        try:
            pictures = Collection(location.dataset())
        except InputError as error:
            raise InputError(f"{error}; of a folder of pictures give these themselves, as a list") from error
    rows = as_rows(pictures)
    if rows is not None:
        return GivenPictures(rows, [None] * len(rows))
    single = isinstance(pictures, (bytes, Image.Image)) or (isinstance(pictures, np.ndarray) and pictures.ndim != 4)
    if not single and not isinstance(pictures, Iterable):
        raise InputError(f"a {type(pictures).__name__}: no picture, nor several")
    listed: list[Any] = [pictures] if single else list(pictures)  # type: ignore[arg-type]
    ids, uris, contents = [], [], []
    for number, picture in enumerate(listed):
        is_path = isinstance(picture, (str, os.PathLike, Location))
        ids.append(str(picture) if is_path else str(number))
        uris.append(str(Location.parse(picture)) if is_path else None)
        contents.append(None if is_path else _content(picture, number))
    return GivenPictures(_rows(ids, uris), contents)


def _rows(ids: Sequence[str], uris: Sequence[str | None]) -> pa.Table:
    return pa.table({"object_id": pa.array(ids, pa.string()), "image_uri": pa.array(uris, pa.string())})


def _bytes_of(rows: pa.Table, contents: Sequence[bytes | None]) -> list[bytes | ReadError]:
    uris = rows["image_uri"].to_pylist()
    asked = [uri for uri, content in zip(uris, contents, strict=True) if content is None and uri]
    found: dict[str, bytes | ReadError] = {}
    for alike in ([uri for uri in asked if uri.startswith("s3://")], [uri for uri in asked if "s3://" not in uri[:5]]):
        found.update(zip(alike, read_many(alike), strict=True))
    nowhere = ReadError("missing", "the record names no picture")
    return [
        content if content is not None else found[uri] if uri else nowhere
        for uri, content in zip(uris, contents, strict=True)
    ]


def _content(picture: object, number: int) -> bytes:
    """A picture that has no file as the bytes of one, of which no pixel is lost.

    Raises:
        InputError: It is no picture.
    """
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, np.ndarray):
        picture = _image(picture, number)
    if not isinstance(picture, Image.Image):
        raise InputError(
            f"picture {number}: a {type(picture).__name__} is none; give a path, bytes, a Pillow image or an array"
        )
    sink = io.BytesIO()
    told = {"icc_profile": picture.info.get("icc_profile")}
    exif = picture.getexif()
    if picture.mode in _IN_TIFF:
        picture.save(sink, "TIFF", exif=exif, **told)
    else:
        shown = picture if picture.mode in _IN_PNG else picture.convert("LA" if picture.mode == "La" else "RGB")
        shown.save(sink, "PNG", compress_level=0, exif=exif.tobytes(), **told)
    return sink.getvalue()


def _image(array: np.ndarray[Any, Any], number: int) -> Image.Image:
    shape = "×".join(map(str, array.shape))
    if array.dtype != np.uint8:
        raise InputError(
            f"picture {number}: an array of {array.dtype} ({shape}); it must be of uint8, 0 to 255: "
            "(255 * array).round().astype('uint8') for one of 0 to 1"
        )
    if array.size and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        return Image.fromarray(np.ascontiguousarray(array))
    raise InputError(f"picture {number}: an array of {shape}; it must be height × width, or × 3 (RGB) or × 4 (RGBA)")
