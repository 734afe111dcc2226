"""JPEG 2000 whose samples don't stand at every pixel, or not from the grid's corner on."""

import numpy as np
import pytest
from PIL import Image

from artray.images.decoding import decode
from tests.images.files import encode, error, joined, jp2

X, Y = np.meshgrid(np.arange(320), np.arange(240))
WAVES = np.dstack([np.sin(X / 31), np.cos(Y / 23), np.sin((X + Y) / 41)]) * 100 + 128
PICTURE = Image.fromarray(WAVES.astype(np.uint8))


def expected(size):
    return np.asarray(PICTURE.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0) if size else PICTURE)


@pytest.mark.parametrize("size", [None, 100, 16])
@pytest.mark.parametrize("steps", [(1, 1), (2, 1), (2, 2), (4, 1), (1, 2)])
def test_colours_with_fewer_samples(steps, size):
    ycc = PICTURE.convert("YCbCr").split()
    small = (320 // steps[0], 240 // steps[1])
    planes = [np.asarray(ycc[0]), *(np.asarray(plane.resize(small, Image.Resampling.BOX)) for plane in ycc[1:])]
    stream = joined(planes, [(1, 1), steps, steps], (320, 240))
    assert error(jp2(stream, (320, 240), 18), expected(size), size) < 2
    if steps != (1, 1):  # a bare codestream says nothing of colours, but that they have fewer samples
        assert error(stream, expected(size), size) < 2


@pytest.mark.parametrize("size", [None, 100, 16])
def test_all_channels_with_fewer_samples(size):
    planes = [np.asarray(plane.resize((160, 120), Image.Resampling.BOX)) for plane in PICTURE.split()]
    data = jp2(joined(planes, [(2, 2)] * 3, (320, 240)), (320, 240), 16)
    result = decode(data, size)
    assert (result.width, result.height) == (320, 240)
    assert error(data, expected(size), size) < 2


@pytest.mark.parametrize("size", [None, 100, 16])
@pytest.mark.parametrize("bare", [False, True], ids=["jp2", "codestream"])
@pytest.mark.parametrize(
    "where",
    [
        {"offset": (1, 1), "tile_size": (321, 241)},
        {"offset": (3, 5), "tile_size": (323, 245)},
        {"offset": (3, 5), "tile_size": (128, 128)},
        {"offset": (101, 71), "tile_size": (128, 100), "tile_offset": (50, 33)},
        {"tile_size": (99, 77)},
    ],
)
def test_offsets_and_tiles(where, bare, size):
    assert error(encode(PICTURE, format="JPEG2000", no_jp2=bare, **where), expected(size), size) < 1.5


@pytest.mark.parametrize("bare", [False, True], ids=["jp2", "codestream"])
def test_no_end_marker(bare):
    data = encode(PICTURE, format="JPEG2000", no_jp2=bare, tile_size=(128, 128))
    assert error(data[:-2], expected(100), 100) < 1.5
    assert error(data + b"more", expected(100), 100) < 1.5
    for end in (b"", b"\xff\xd9"):
        assert decode(data[:-500] + end, 100).status in ("truncated", "failed")


def test_a_header_that_claims_more():
    stream = encode(PICTURE, format="JPEG2000", no_jp2=True)
    assert decode(jp2(stream, (320, 240), 16), 32).status == "ok"
    result = decode(jp2(stream, (320, 480), 16), 32)
    assert (result.status, result.width, result.height) == ("failed", 320, 240)
