"""AVIF: the part that is to be seen."""

import struct

import numpy as np
import pytest
from PIL import Image

from artray.images.boxes import boxes
from artray.images.decoding import decode
from tests.images.files import encode, error

X, Y = np.meshgrid(np.arange(64), np.arange(48))
PICTURE = np.dstack([X * 4, Y * 5, X + Y]).astype(np.uint8)


def with_aperture(values, **options):
    """Pillow's AVIF, with one property more for its only item."""
    data = encode(Image.fromarray(PICTURE), format="AVIF", quality=100, subsampling="4:4:4", speed=10, **options)
    meta = next((a, b) for name, a, b in boxes(data, 0, len(data)) if name == b"meta")
    inner = {name: (a, b) for name, a, b in boxes(data, meta[0] + 4, meta[1])}
    parts = {name: (a, b) for name, a, b in boxes(data, *inner[b"iprp"])}
    number = 1 + len(list(boxes(data, *parts[b"ipco"])))
    aperture = struct.pack(">I4sIIIIiIiI", 40, b"clap", *values)
    out = bytearray(data)
    item = parts[b"ipma"][0] + 10
    out[item] += 1
    out.insert(item + 1 + data[item], number | 0x80)
    out[parts[b"ipco"][1] : parts[b"ipco"][1]] = aperture

    def grow(at, by):
        struct.pack_into(">I", out, at, struct.unpack_from(">I", out, at)[0] + by)

    grow(parts[b"ipma"][0] - 8 + 40, 1)
    grow(parts[b"ipco"][0] - 8, 40)
    for start in (inner[b"iprp"][0], meta[0]):
        grow(start - 8, 41)
    at = inner[b"iloc"][0] + 8
    for _ in range(struct.unpack_from(">H", data, at - 2)[0]):
        extents = struct.unpack_from(">H", data, at + 4)[0]
        for extent in range(extents):
            grow(at + 6 + 8 * extent, 41)
        at += 6 + 8 * extents
    return bytes(out)


@pytest.mark.parametrize(
    ("values", "left", "top", "width", "height"),
    [
        ((32, 1, 24, 1, 0, 1, 0, 1), 16, 12, 32, 24),
        ((20, 1, 10, 1, -10, 1, 4, 1), 12, 23, 20, 10),
        ((63, 1, 47, 1, 1, 2, -1, 2), 1, 0, 63, 47),
    ],
)
def test_clean_aperture(values, left, top, width, height):
    """As libvips and browsers crop it."""
    seen = PICTURE[top : top + height, left : left + width]
    result = decode(with_aperture(values), None)
    assert (result.width, result.height) == (width, height)
    assert error(with_aperture(values), seen) < 2
    exif = Image.Exif()
    exif[0x0112] = 6
    assert error(with_aperture(values, exif=exif), np.rot90(seen, -1)) < 2


def test_exif_that_is_none():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "described"
    data = encode(Image.fromarray(PICTURE), format="AVIF", quality=100, subsampling="4:4:4", speed=10, exif=exif)
    at = data.index(b"described") - 60
    at = data.index(b"II*\0", at) if b"II*\0" in data[at:] else data.index(b"MM\0*", at)
    assert error(data[:at] + b"junk" + data[at + 4 :], np.rot90(PICTURE, -1)) < 2


@pytest.mark.parametrize(
    "values",
    [(100, 1, 24, 1, 0, 1, 0, 1), (31, 1, 24, 1, 0, 1, 0, 1), (32, 0, 24, 1, 0, 1, 0, 1), (32, 1, 24, 1, 40, 1, 0, 1)],
    ids=["too wide", "half a pixel", "no width", "outside"],
)
def test_an_aperture_that_is_none_is_ignored(values):
    assert error(with_aperture(values), PICTURE) < 2
