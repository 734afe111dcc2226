"""GIF: what the first frame leaves of the screen."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from artray.images.decoding import decode
from tests.images.files import encode, error


def on_a_screen(frame, screen, place, background=0):
    data = bytearray(encode(frame, format="GIF"))
    struct.pack_into("<HH", data, 6, *screen)
    data[11] = background
    colors = 3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0
    at = data.index(b",", 13 + colors)
    struct.pack_into("<HH", data, at + 1, *place)
    return bytes(data)


@pytest.mark.parametrize("background", [0, 1])
@pytest.mark.parametrize("mode", ["P", "L"])
def test_the_rest_is_white(mode, background):
    """No browser shows the background colour of the file."""
    picture = (
        Image.fromarray(np.full((10, 20), 90, np.uint8)) if mode == "L" else Image.new("RGB", (20, 10), (200, 0, 0))
    )
    data = on_a_screen(picture, (40, 30), (5, 7), background)
    expected = np.full((30, 40, 3), 255)
    expected[7:17, 5:25] = np.asarray(picture.convert("RGB"))
    assert error(data, expected) == 0


def test_a_transparent_frame():
    palette = Image.new("P", (20, 10), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.paste(0, (0, 0, 10, 10))
    sink = io.BytesIO()
    palette.save(sink, "GIF", transparency=0)
    expected = np.full((10, 20, 3), 255)
    expected[:, 10:] = 10, 200, 30
    assert error(sink.getvalue(), expected) == 0


def test_data_that_end_before_the_picture():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50), np.uint8))
    data = encode(noise, format="GIF")
    assert decode(data[: len(data) // 2] + b"\0;", None).status == "truncated"
    assert decode(data[:-2], None).status == "ok"
