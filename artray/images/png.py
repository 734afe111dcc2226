"""PNG files: what Pillow needs of their chunks, and whether the pixels are all there.

Pillow refuses a picture for a wrong checksum or length in any chunk. Here, as in libpng, an ancillary chunk that is
broken is left out, and so are those that say nothing about pixels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image, PngImagePlugin

from artray.images.reading import Limits, Reader, Source, lacking

_SIGNATURE = 8
_FRAME = 12  # bytes of a chunk around its content
# A display profile is some kilobytes, a printing one seldom more than 2 MB.
_MAX_INFLATED = 8 * 1024 * 1024
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_RAW_EXIF = (b"Raw profile type exif", b"Raw profile type APP1")  # how ImageMagick wrote it before there was a chunk
_MARK = bytes((90, 195, 23, 240, 61, 134, 77))


class Png(PngImagePlugin.PngImageFile):
    """A PNG whose text is not read: what follows the pixels can't spoil them."""

    def load_end(self) -> None:
        """Nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk's name and where it lies.

    Attributes:
        name: Four letters.
        start: Of its length, in the file.
        end: After its checksum.
    """

    name: bytes
    start: int
    end: int

    def content(self, data: bytes) -> bytes:
        """What is in it."""
        return data[self.start + 8 : self.end - 4]

    def sound(self, data: bytes) -> bool:
        """Whether its checksum is right."""
        return data[self.end - 4 : self.end] == zlib.crc32(data[self.start + 4 : self.end - 4]).to_bytes(4, "big")


class PngReader(Reader):
    """PNG."""

    im: PngImagePlugin.PngImageFile

    def __init__(self, source: Source) -> None:
        super().__init__(source, _open)

    def plan(self, target: tuple[int, int], limits: Limits) -> None:
        """As of any reader."""
        _scale_transparent_color(self.im)
        super().plan(target, limits)

    def load(self) -> Image.Image:
        """Decode the pixels, and see that the header names no more rows than there are."""
        im, (width, height) = self.im, self.size
        # Of an interlaced picture the last row may be there without the one before it.
        rows = {height - 1, max(0, height - 2)} if "interlace" in im.info else {height - 1}
        mark = Image.frombytes(im.mode, (width, 1), _pattern(im.mode, width))
        # Its own allocation, so that it can be seen afterwards what was not written.
        im.im = Image.new(im.mode, im.size, None).im
        for row in rows:
            im.im.paste(mark.im, (0, row, width, row + 1))
        im.load()
        if any(_row(im, row) == mark.tobytes() for row in rows) and not _holds_all_rows(self.source):
            raise lacking("PNG")
        return im


def _scale_transparent_color(im: PngImagePlugin.PngImageFile) -> None:
    """Bring a PNG's transparent colour from the file's bit depth to the 8 bits that Pillow unpacks pixels to."""
    key, layout = im.info.get("transparency"), im.tile[0].args
    if layout in ("L;2", "L;4") and isinstance(key, int):
        im.info["transparency"] = key * (85 if layout == "L;2" else 17)
    elif layout == "RGB;16B" and isinstance(key, tuple):
        im.info["transparency"] = tuple(value >> 8 for value in key)


def _open(source: Source) -> PngImagePlugin.PngImageFile:
    """Open a PNG file; the source is cleaned."""
    data = source.getvalue()
    kept = [data[:_SIGNATURE]]
    profile = exif = None
    pixels = len(data)
    for chunk in _chunks(data, _SIGNATURE, source):
        if chunk.name == b"IDAT" or chunk.end > len(data):
            pixels = chunk.start
            break
        if not chunk.name[0] & 0x20:  # critical
            kept.append(data[chunk.start : chunk.end])
        elif chunk.sound(data):
            if chunk.name == b"tRNS" and _fits(data, chunk.content(data)):
                kept.append(data[chunk.start : chunk.end])
            profile = profile or (_profile(chunk.content(data)) if chunk.name == b"iCCP" else None)
            exif = exif or _exif(chunk, data)
    if exif is None:
        exif = next((tags for chunk in _after(data, pixels, source) if (tags := _exif(chunk, data))), None)
    source.replace(b"".join([*kept, data[pixels:]]))
    im = Png(source)
    if profile:
        im.info["icc_profile"] = profile
    if exif:
        im.info["exif"] = exif
    return im


def _row(im: Image.Image, row: int) -> bytes:
    strip = Image.new(im.mode, (im.width, 1))
    strip.im.paste(im.im.crop((0, row, im.width, row + 1)), (0, 0, im.width, 1))  # its own `crop` has a limit
    return strip.tobytes()


def _pattern(mode: str, width: int) -> bytes:
    length = {"1": -(-width // 8), "I;16": 2 * width}.get(mode, Image.getmodebands(mode) * width)
    return (_MARK * (length // len(_MARK) + 1))[:length]


def _chunks(data: bytes, at: int, source: Source) -> Iterator[Chunk]:
    while at + _FRAME <= len(data):
        source.check()
        end = at + _FRAME + int.from_bytes(data[at : at + 4], "big")
        yield Chunk(data[at + 4 : at + 8], at, end)
        at = end


def _after(data: bytes, pixels: int, source: Source) -> Iterator[Chunk]:
    """The sound chunks after the first that holds pixels."""
    for chunk in _chunks(data, pixels, source):
        if chunk.name == b"IEND":
            return
        if chunk.name != b"IDAT" and chunk.end <= len(data) and chunk.sound(data):
            yield chunk


def _fits(data: bytes, transparency: bytes) -> bool:
    """Whether a transparent colour is as long as the header's colour type asks."""
    return len(transparency) >= {0: 2, 2: 6}.get(data[25], 1)


def _inflated(content: bytes) -> bytes | None:
    try:
        inflater = zlib.decompressobj()
        inflated = inflater.decompress(content, _MAX_INFLATED)
    except zlib.error:
        return None
    return inflated if inflater.eof else None


def _profile(content: bytes) -> bytes | None:
    name, _, rest = content.partition(b"\0")
    return _inflated(rest[1:]) if name and rest[:1] == b"\0" else None


def _exif(chunk: Chunk, data: bytes) -> bytes | None:
    if chunk.name == b"eXIf":
        return b"Exif\0\0" + chunk.content(data)
    if chunk.name not in (b"tEXt", b"zTXt"):
        return None
    keyword, _, text = chunk.content(data).partition(b"\0")
    if keyword not in _RAW_EXIF:
        return None
    plain = text if chunk.name == b"tEXt" else _inflated(text[1:])
    try:  # a line with the name, one with the length, then hexadecimal digits
        raw = bytes.fromhex("".join((plain or b"").decode("ascii").split()[2:]))
    except ValueError:
        return None
    return raw if raw.startswith(b"Exif\0\0") else b"Exif\0\0" + raw if raw else None


def _holds_all_rows(source: Source) -> bool:
    """Whether the data inflate to as many bytes as the header's rows take."""
    data = source.getvalue()
    width, height, bits, color, _, _, interlace = struct.unpack_from(">IIBBBBB", data, 16)
    passes = _ADAM7 if interlace else ((0, 0, 1, 1),)
    missing = 0
    for x, y, step_x, step_y in passes:
        across, down = -(-(width - x) // step_x), -(-(height - y) // step_y)
        if across > 0 and down > 0:
            missing += down * (1 + -(-across * bits * _CHANNELS[color] // 8))
    inflater = zlib.decompressobj()
    try:
        for chunk in _chunks(data, _SIGNATURE, source):
            rest = chunk.content(data) if chunk.name == b"IDAT" else b""
            while rest and missing > 0 and not inflater.eof:
                source.check()
                missing -= len(inflater.decompress(rest, 1 << 20))
                rest = inflater.unconsumed_tail
    except zlib.error:
        return False
    return missing <= 0
