"""Pictures that are too large, or take too long: refused by their header, and without the memory."""

import pickle
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from artray.images.decoding import decode
from tests.images.files import box, encode, png
from tests.images.test_decoding import FORMATS
from tests.tools.fuzz_decoding import seed_files

# pytest takes the module's own filter away (see `test_nothing_is_said…`, which runs without pytest).
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

SEEDS = seed_files()


def codestream(width, height):
    siz = struct.pack(">HHIIIIIIIIH", 47, 0, width, height, 0, 0, width, height, 0, 0, 3) + b"\7\1\1" * 3
    return (
        b"\xff\x4f\xff\x51"
        + siz
        + b"\xff\x52\0\x0c\0\0\0\1\0\5\4\4\0\1"
        + b"\xff\x5c\0\x13\x40"
        + bytes(16)
        + b"\xff\xd9"
    )


def jp2(header, stream):
    ihdr = box(b"ihdr", struct.pack(">IIHBBBB", *header, 3, 7, 7, 0, 0)) + box(
        b"colr", b"\1\0\0" + struct.pack(">I", 16)
    )
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return start + box(b"jp2h", ihdr) + box(b"jp2c", stream)


def bomb_jpeg(**options):
    data = bytearray(encode(Image.new("RGB", (8, 8)), format="JPEG", **options))
    at = data.index(b"\xff\xc2" if options else b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 60000, 60000)
    return bytes(data)


def bomb_tiff(**options):
    data = encode(Image.new("RGB", (8, 8)), format="TIFF", **options)
    for tag in (256, 257):
        for kind in (3, 4):  # libtiff writes short integers, Pillow long ones
            data = data.replace(struct.pack("<HHII", tag, kind, 1, 8), struct.pack("<HHII", tag, kind, 1, 60000))
    return data


def bomb_webp():
    """An animation: only there may the canvas be larger than what is drawn on it."""
    first, second = Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8), "red")
    data = bytearray(encode(first, format="WEBP", save_all=True, append_images=[second]))
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = (16383).to_bytes(3, "little") * 2
    return bytes(data)


BOMBS = {
    "jpeg": bomb_jpeg(),
    "jpeg progressive": bomb_jpeg(progressive=True),
    "png": png([], 60000, 8, 2, height=60000),
    "tiff": bomb_tiff(),
    "tiff lzw": bomb_tiff(compression="tiff_lzw"),
    "gif": b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 0x80, 0, 0) + bytes(6)
    + b"," + struct.pack("<HHHHB", 0, 0, 60000, 60000, 0) + b"\2\2\x4c\1\0;",
    "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0),
    "webp": bomb_webp(),
    "jpeg 2000": jp2((60000, 60000), codestream(60000, 60000)),
    "jpeg 2000 whose header lies": jp2((10, 10), codestream(60000, 60000)),
    "jpeg 2000 codestream": codestream(60000, 60000),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_by_their_header(name, monkeypatch):
    def load(picture):
        raise AssertionError("it is decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert len(BOMBS[name]) < 2000
    result = decode(BOMBS[name], 224)
    assert (result.status, result.image) == ("too_large", None), result


def big_tiff(width, height):
    """Of the BigTIFF kind, whose numbers may have 64 bits."""
    tags = [(256, 16, width), (257, 16, height), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 16, 8), (279, 16, 8)]
    entries = b"".join(struct.pack("<HHQQ", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, len(tags)) + entries + bytes(16)


def bmp(width, height):
    return b"BM" + struct.pack("<IHHIIIIHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        big_tiff(2**31, 4),
        big_tiff(4, 2**64 - 1),
        png([], 3_000_000_000, 8, 2, height=2),
        bmp(-127 % 2**32, 4),
        jp2((2**32 - 1, 1), codestream(2**32 - 1, 1)),
    ],
    ids=["wide BigTIFF", "high BigTIFF", "wide PNG", "BMP of negative width", "wide JPEG 2000"],
)
def test_sizes_that_no_table_holds_are_told_in_words_only(data):
    result = decode(data, 224)
    assert result.status == "too_large"
    assert "pixels, over the limit" in result.error
    assert (result.width, result.height) == (None, None)


def test_the_largest_size_is_told():
    result = decode(png([], 2**31 - 1, 8, 2, height=2), 224)
    assert (result.status, result.width, result.height) == ("too_large", 2**31 - 1, 2)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads its peak memory from /proc")
def test_bombs_take_no_memory():
    # Not ru_maxrss: a child inherits its parent's.
    code = (
        "import pickle, re, sys; from pathlib import Path; from artray.images.decoding import decode;"
        "bombs = pickle.load(sys.stdin.buffer);"
        "peak = lambda: int(re.search('VmHWM:[^0-9]*([0-9]+)', Path('/proc/self/status').read_text())[1]);"
        "before = peak(); [decode(data, 224) for data in bombs]; print((peak() - before) // 1024)"
    )
    bombs = pickle.dumps(list(BOMBS.values()))
    grown = subprocess.run([sys.executable, "-c", code], input=bombs, stdout=subprocess.PIPE, check=True).stdout
    assert int(grown) < 20


def test_limits_count_what_is_really_decoded():
    data = FORMATS["jpeg"]  # 1201 × 903
    assert decode(data, 50, max_pixels=1201 * 903).status == "ok"
    assert decode(data, 50, max_pixels=1201 * 903 - 1).status == "too_large"
    assert decode(data, 50, max_full_pixels=100_000).status == "ok"
    assert decode(data, None, max_full_pixels=100_000).status == "too_large"
    assert decode(FORMATS["jpeg 2000"], 50, max_full_pixels=100_000).status == "ok"
    # Their decoders need the whole picture, whatever the scale.
    for name in ("jpeg progressive", "png", "tiff", "webp"):
        assert decode(FORMATS[name], 50, max_full_pixels=100_000).status == "too_large"


def test_the_process_wide_pixel_limit_is_neither_used_nor_changed(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("jpeg", "png", "tiff", "tiff lzw", "tiff tiled", "bmp", "jpeg 2000", "avif"):
        assert decode(FORMATS[name], 64).status == "ok"
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("name", SEEDS)
def test_no_time_left(name):
    result = decode(SEEDS[name], 64, time_limit=0.0)
    assert (result.status, result.image) == ("failed", None)
    assert "within 0 s" in result.error


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_time_limit_holds_in_a_thread():
    """A progressive JPEG with 4,000 passes over 16 megapixels: minutes of work in 1 MB."""
    data = encode(Image.new("L", (4000, 4000), 128), format="JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    data = data[:-2] + scan * 12_000 + b"\xff\xd9"
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(decode, data, 64, time_limit=0.2).result()
    assert result.status == "failed"
    assert "within 0.2 s" in result.error
