"""PNG: sound pixels behind broken chunks, and rows that are not there."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from artray.images.decoding import decode
from tests.images import profiles
from tests.images.files import chunk, encode, error, pixels

X, Y = np.meshgrid(np.arange(64), np.arange(48))
PICTURE = np.dstack([X * 4, Y * 5, X + Y]).astype(np.uint8)
PNG = encode(Image.fromarray(PICTURE), format="PNG")
HEAD, BODY = PNG[:33], PNG[33:]
PIXELS_END = len(PNG) - 12

bad_sum = lambda data: data[:-1] + bytes((data[-1] ^ 255,))  # noqa: E731

BROKEN = {
    "text checksum": bad_sum(chunk(b"tEXt", b"Title\0wrong")),
    "text of 4 MB": chunk(b"zTXt", b"Title\0\0" + zlib.compress(bytes(4_000_000))),
    "text without end": chunk(b"tEXt", b"Title"),
    "international text": chunk(b"iTXt", b"Title\0\1\0\0\0nothing packed"),
    "short pHYs": chunk(b"pHYs", b"\0\0"),
    "short gAMA": chunk(b"gAMA", b"\0"),
    "short cHRM": chunk(b"cHRM", b"\0" * 8),
    "empty sRGB": chunk(b"sRGB", b""),
    "short tRNS": chunk(b"tRNS", b"\0"),
    "short eXIf": chunk(b"eXIf", b"II*"),
    "iCCP checksum": bad_sum(chunk(b"iCCP", b"icc\0\0" + zlib.compress(profiles.rgb_profile("Adobe RGB")))),
    "iCCP method": chunk(b"iCCP", b"icc\0\1" + zlib.compress(b"profile")),
    "iCCP not packed": chunk(b"iCCP", b"icc\0\0profile"),
    "empty iCCP": chunk(b"iCCP", b""),
    "animation of no frames": chunk(b"acTL", bytes(8)),
    "frame outside": chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", b"\xff" * 26),
    "unknown": chunk(b"abCd", bytes(5)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_chunks(name):
    assert error(HEAD + BROKEN[name] + BODY, PICTURE) == 0
    assert error(PNG[:PIXELS_END] + BROKEN[name] + PNG[PIXELS_END:], PICTURE) == 0


def test_no_end_and_more_after_it():
    assert error(PNG[:PIXELS_END], PICTURE) == 0
    assert error(PNG + b"more", PICTURE) == 0


def exif(orientation):
    return b"Exif\0\0II*\0\x08\0\0\0\1\0" + struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0) + bytes(4)


RAW_EXIF = b"\nexif\n      32\n" + exif(6).hex().encode() + b"\n"


@pytest.mark.parametrize(
    "turning",
    [
        chunk(b"eXIf", exif(6)[6:]),
        chunk(b"tEXt", b"Raw profile type exif\0" + RAW_EXIF),
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(RAW_EXIF)),
    ],
    ids=["eXIf", "tEXt", "zTXt"],
)
def test_orientation_before_and_after_the_pixels(turning):
    upright = np.rot90(PICTURE, -1)
    assert error(HEAD + turning + BODY, upright) == 0
    assert error(PNG[:PIXELS_END] + turning + PNG[PIXELS_END:], upright) == 0
    assert error(HEAD + bad_sum(turning) + BODY, PICTURE) == 0


def test_orientation_in_xmp_alone_is_ignored():
    xmp = b'XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation="6"/>'
    assert error(HEAD + chunk(b"iTXt", xmp) + BODY, PICTURE) == 0


def test_a_profile_of_more_than_a_megabyte():
    profile = profiles.rgb_profile("Adobe RGB")
    small = encode(Image.fromarray(PICTURE), format="PNG", icc_profile=profile)
    grown = struct.pack(">I", len(profile) + 1_500_000) + profile[4:] + bytes(1_500_000)
    large = HEAD + chunk(b"iCCP", b"icc\0\0" + zlib.compress(grown)) + BODY
    assert np.array_equal(pixels(large), pixels(small))
    assert not np.array_equal(pixels(large), PICTURE)


def claiming(data, height):
    head = data[12:20] + struct.pack(">I", height) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


def interlaced(rows, width, bits, color):
    """Adam7, from a picture's rows of one byte a pixel."""
    body = b""
    for x, y, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        part = rows[y::dy, x::dx]
        if part.size:
            body += b"".join(b"\0" + row.tobytes() for row in part)
    header = struct.pack(">IIBBBBB", width, len(rows), bits, color, 0, 0, 1)
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


MODES = {
    "RGB": PNG,
    "RGBA": encode(Image.fromarray(PICTURE).convert("RGBA"), format="PNG"),
    "grey": encode(Image.fromarray(PICTURE[..., 0]), format="PNG"),
    "palette": encode(Image.fromarray(PICTURE).quantize(16), format="PNG"),
    "1 bit": encode(Image.fromarray(PICTURE).convert("1"), format="PNG"),
    "16 bits": encode(Image.fromarray(PICTURE[..., 0].astype(np.uint16) * 257), format="PNG"),
    "one pixel wide": encode(Image.fromarray(PICTURE[:, :1, 0]), format="PNG"),
}


@pytest.mark.parametrize("name", MODES)
def test_a_header_that_claims_more_rows(name):
    data = MODES[name]
    assert decode(data, None).status == "ok"
    assert decode(claiming(data, 1), None).status == "ok"
    for height in (49, 50, 51, 96):
        result = decode(claiming(data, height), None)
        assert (result.status, result.height) == ("truncated", height), result


def test_an_interlaced_header_that_claims_more_rows():
    """Its passes are found elsewhere then: what is read for the filter of a row is often none."""
    data = interlaced(PICTURE[..., 0], 64, 8, 0)
    for height in (49, 50, 51, 96):
        assert decode(claiming(data, height), None).status in ("truncated", "failed")


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (1, 64), (3, 5), (48, 64)])
def test_interlaced(shape):
    rows = PICTURE[: shape[0], : shape[1], 1]
    assert error(interlaced(rows, shape[1], 8, 0), rows[..., np.newaxis].repeat(3, axis=-1)) == 0


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 7)])
def test_no_colour_passes_for_one_that_was_not_written(shape):
    for value in range(0, 256, 5):
        picture = np.full((*shape, 3), value, np.uint8)
        assert error(encode(Image.fromarray(picture), format="PNG"), picture) == 0


def test_a_last_row_like_what_is_looked_for():
    """What stands in the memory beforehand may be what the picture holds."""
    picture = np.frombuffer((bytes((90, 195, 23, 240, 61, 134, 77)) * 30)[:192] * 2, np.uint8).reshape(2, 64, 3)
    assert error(encode(Image.fromarray(picture), format="PNG"), picture) == 0
