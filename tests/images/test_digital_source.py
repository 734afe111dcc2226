"""A generated picture says so: XMP where the formats' specifications put it, read back by others than Pillow too."""

import io
import struct

import numpy as np
import pytest
from PIL import Image
from rdflib import Graph, Literal, Namespace

from artray.images.digital_source import DigitalSource, changed_by, generated_by
from artray.images.encoding import jpeg, png, webp

EXTENSION = Namespace("http://iptc.org/std/Iptc4xmpExt/2008-02-29/")
KINDS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
PICTURE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)


def png_packet(data: bytes) -> bytes:
    """PNG, third edition, 11.3.4.5: keyword, compression, language and translated keyword, then UTF-8."""
    place = 8
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        if kind == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0"):
            assert body[18:22] == b"\0\0\0\0"  # not compressed, as XMP's specification wants it
            return body[22:]
        place += 12 + length
    raise AssertionError("no packet")


def jpeg_packet(data: bytes) -> bytes:
    """XMP part 3, 1.1.3: an APP1 marker with this name, before the picture's own data."""
    place, name = 2, b"http://ns.adobe.com/xap/1.0/\0"
    while data[place : place + 2] != b"\xff\xda":
        (length,) = struct.unpack(">H", data[place + 2 : place + 4])
        body = data[place + 4 : place + 2 + length]
        if data[place : place + 2] == b"\xff\xe1" and body.startswith(name):
            return body[len(name) :]
        place += 2 + length
    raise AssertionError("no packet")


def webp_packet(data: bytes) -> bytes:
    """RIFF's chunks; an extended file's flags say that there is one."""
    assert data[12:16] == b"VP8X"
    assert data[20] & 4
    place = 12
    while place < len(data):
        kind, length = struct.unpack("<4sI", data[place : place + 8])
        if kind == b"XMP ":
            return data[place + 8 : place + 8 + length]
        place += 8 + length + length % 2
    raise AssertionError("no packet")


def told(packet: bytes) -> dict[str, str]:
    text = packet.decode()
    assert text.startswith("<?xpacket begin")
    assert text.endswith('<?xpacket end="w"?>')
    start = text.index("<rdf:RDF")
    graph = Graph().parse(data=text[start : text.index("</x:xmpmeta>")], format="xml", publicID="file:///picture")
    assert all(isinstance(value, Literal) for _, _, value in graph)
    return {str(name).removeprefix(EXTENSION): str(value) for _, name, value in graph}


FILES = {
    "PNG": (lambda source: png(PICTURE, source=source), png_packet),
    "JPEG": (lambda source: jpeg(PICTURE, 90, source=source), jpeg_packet),
    "WEBP": (lambda source: webp([PICTURE], 80, source=source), webp_packet),
    "animated WEBP": (
        lambda source: webp([PICTURE, 255 - PICTURE], 80, milliseconds=[40, 80], source=source),
        webp_packet,
    ),
}


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (generated_by("dcgan-1<2&3", "0.1.0"), "trainedAlgorithmicMedia"),
        (changed_by("edsr-1<2&3", "0.1.0"), "compositeWithTrainedAlgorithmicMedia"),
    ],
)
def test_a_file_says_what_made_it(form: str, source: DigitalSource, kind: str) -> None:
    write, packet = FILES[form]
    data = write(source)
    expected = {
        "DigitalSourceType": KINDS + kind,
        "AISystemUsed": source.system,
        "AISystemVersionUsed": "0.1.0",
    }
    assert source.system in ("artray dcgan-1<2&3", "artray edsr-1<2&3")
    assert told(packet(data)) == expected
    with Image.open(io.BytesIO(data)) as image:  # and by Pillow
        assert image.getxmp()["xmpmeta"]["RDF"]["Description"] == {"about": "", **expected}
        assert image.size == (20, 12)


def test_the_picture_stays_what_it_is() -> None:
    data = png(PICTURE, source=generated_by("dcgan"))
    assert (np.asarray(Image.open(io.BytesIO(data))) == PICTURE).all()
    with_word, without = (
        np.asarray(Image.open(io.BytesIO(jpeg(PICTURE, 90, source=source)))) for source in (generated_by("x"), None)
    )
    assert (with_word == without).all()


def test_what_no_model_made_says_nothing() -> None:
    for data in (png(PICTURE), jpeg(PICTURE, 90)):
        assert b"adobe" not in data
