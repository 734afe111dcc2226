"""JPEG: sound pixels behind broken segments, and pixels that are not there."""

import struct

import numpy as np
import pytest
from PIL import Image

from artray.images.decoding import decode
from tests.images.files import encode, error, pixels

# pytest takes away the filter that `artray.images.decoding` sets for the process.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")

X, Y = np.meshgrid(np.arange(96), np.arange(80))
PICTURE = np.dstack([X * 2, Y * 3, (X + Y)]).astype(np.uint8)
NOISY = (PICTURE.astype(int) + np.random.default_rng(0).integers(-30, 30, PICTURE.shape)).clip(0, 255).astype(np.uint8)
JPEG = encode(Image.fromarray(PICTURE), format="JPEG", quality=95)
KINDS = {
    "baseline": {},
    "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "optimised": {"optimize": True},
}
FILES = {name: encode(Image.fromarray(NOISY), format="JPEG", **options) for name, options in KINDS.items()} | {
    "grey": encode(Image.fromarray(NOISY[..., 0]), format="JPEG"),
    "CMYK": encode(Image.fromarray(NOISY).convert("CMYK"), format="JPEG"),
}


def scan(data):
    """Where the pixels begin."""
    at = data.index(b"\xff\xda")
    return at + 2 + struct.unpack_from(">H", data, at + 2)[0]


def with_segment(marker, content, length=None):
    segment = struct.pack(">BBH", 0xFF, marker, len(content) + 2 if length is None else length) + content
    return JPEG[:2] + segment + JPEG[2:]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"JFIF",
        b"JFIF\0\1",
        b"Adobe",
        b"Adobe\0",
        b"Exif\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        b"ICC_PROFILE\0",
        b"ICC_PROFILE\0\1",
        b"MPF\0",
        b"Photoshop 3.0\0008BIM",
        b"http://ns.adobe.com/xap/1.0/\0",
    ],
)
def test_short_segments(content):
    for marker in (0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xEF, 0xFE):
        assert error(with_segment(marker, content), PICTURE) < 2, marker


@pytest.mark.parametrize("length", [0, 1])
def test_segments_of_impossible_length(length):
    for marker in (0xE0, 0xE1, 0xEE, 0xFE):
        assert error(with_segment(marker, b"", length), PICTURE) < 2, marker


def test_junk_between_segments_and_after_the_end():
    assert error(JPEG[:2] + b"\xff\xff\0junk" + JPEG[2:], PICTURE) < 2
    assert error(JPEG + b"\0more\xff\xd9", PICTURE) < 2


def test_another_picture_after_the_end():
    """As phones write them; the first is meant."""
    assert error(JPEG + encode(Image.new("RGB", (8, 8)), format="JPEG"), PICTURE) < 2


@pytest.mark.parametrize("name", FILES)
def test_no_end_marker(name):
    whole = FILES[name]
    assert np.array_equal(pixels(whole[:-2]), pixels(whole))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("end", [b"\xff\xd9", b""], ids=["an end marker", "none"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_part_of_the_pixels(name, end, share):
    """libjpeg makes the rest grey."""
    data = FILES[name]
    start = scan(data)
    for size in (None, 16):
        result = decode(data[: start + int((len(data) - start) * share)] + end, size)
        assert (result.status, result.width, result.height) == ("truncated", 96, 80), result


def test_cut_between_two_restart_markers():
    data = FILES["restarts"]
    result = decode(data[: data.index(b"\xff\xd3")] + b"\xff\xd9", None)
    assert result.status == "truncated"


def test_missing_scans():
    """The end marker may stand where the next scan would begin."""
    data = FILES["progressive"]
    second = data.index(b"\xff\xc4", scan(data))
    assert decode(data[:second] + b"\xff\xd9", None).status == "truncated"


def test_cut_with_something_after_it():
    data = FILES["baseline"]
    cut = data[: len(data) // 2]
    assert decode(cut + b"\xff\xd9" + data, None).status == "truncated"
    assert decode(cut + bytes(1000), None).status == "truncated"  # never written
    assert decode(cut + b"\xff\xe1\0\4xx" + b"\xff\xd9", None).status == "truncated"


@pytest.mark.parametrize("name", FILES)
def test_a_header_that_claims_more(name):
    data = bytearray(FILES[name])
    at = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2")) + 5
    struct.pack_into(">H", data, at, 160)
    assert decode(bytes(data), None).status == "truncated"


XMP = (
    b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><tiff:Orientation>6</tiff:Orientation></rdf:Description></rdf:RDF>'
)


def test_orientation_in_xmp_alone_is_ignored():
    """As browsers do: it is what programs leave behind that turn pictures upright."""
    assert error(with_segment(0xE1, XMP), PICTURE) < 2
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encode(Image.fromarray(PICTURE), format="JPEG", quality=95, exif=exif)
    both = turned[:2] + struct.pack(">HH", 0xFFE1, len(XMP) + 2) + XMP + turned[2:]
    assert error(both, np.rot90(PICTURE, -1)) < 2
