"""AVIF files."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
from PIL import AvifImagePlugin, Image

from artray.images.boxes import boxes
from artray.images.reading import Reader, Source

Crop = tuple[int, int, int, int]


class AvifReader(Reader):
    """AVIF, the first frame of it."""

    im: AvifImagePlugin.AvifImageFile

    def __init__(self, source: Source) -> None:
        data = source.getvalue()
        super().__init__(source, _open)
        try:
            self._crop = clean_aperture(data, self.im.size)
        except (struct.error, IndexError, ZeroDivisionError):
            self._crop = None

    @property
    def size(self) -> tuple[int, int]:
        """As of any reader."""
        left, top, right, bottom = self._crop or (0, 0, *self.im.size)
        return right - left, bottom - top

    def load(self) -> Image.Image:
        """Decode the pixels and cut off what the file says to cut off, which Pillow leaves on."""
        self.im.load()
        if not self._crop:
            return self.im
        left, top, right, bottom = self._crop
        return Image.fromarray(np.asarray(self.im)[top:bottom, left:right])  # `crop` has the process-wide limit


def _open(source: Source) -> AvifImagePlugin.AvifImageFile:
    """Open an AVIF file; without its EXIF where Pillow can't make sense of that (turns are in properties of AVIF's)."""
    try:
        return AvifImagePlugin.AvifImageFile(source)
    except (SyntaxError, ValueError):
        data = source.getvalue()
        meta = next(((start, end) for name, start, end in boxes(data, 0, len(data)) if name == b"meta"), (0, 0))
        items = data[slice(*meta)]
        if b"Exif" not in items:
            raise
        source.replace(data[: meta[0]] + items.replace(b"Exif", b"none") + data[meta[1] :])
        return AvifImagePlugin.AvifImageFile(source)


def clean_aperture(data: bytes, size: tuple[int, int]) -> Crop | None:
    """What is to be seen of an AVIF's main picture (`clap`): left, top, right, bottom; None where all of it is.

    Raises:
        struct.error, IndexError, ZeroDivisionError: The boxes are broken.
    """
    meta = next(((start + 4, end) for name, start, end in boxes(data, 0, len(data)) if name == b"meta"), None)
    if not meta:
        return None
    inner = {name: (start, end) for name, start, end in boxes(data, *meta)}
    if b"pitm" not in inner or b"iprp" not in inner:
        return None
    at = inner[b"pitm"][0]
    main = struct.unpack_from(">I" if data[at] else ">H", data, at + 4)[0]
    properties: list[tuple[bytes, int]] = []
    used: list[int] = []
    for name, start, end in boxes(data, *inner[b"iprp"]):
        if name == b"ipco":
            properties = [(kind, where) for kind, where, _ in boxes(data, start, end)]
        elif name == b"ipma":
            used += _associated(data, start, main)
    for number in used:
        if 0 < number <= len(properties) and properties[number - 1][0] == b"clap":
            return _crop(struct.unpack_from(">IIIIiIiI", data, properties[number - 1][1]), size)
    return None


def _associated(data: bytes, at: int, item: int) -> list[int]:
    """The numbers of an item's properties, from 1 on, by an `ipma` box."""
    version, wide = data[at], data[at + 3] & 1
    count = struct.unpack_from(">I", data, at + 4)[0]
    at += 8
    for _ in range(count):
        identity = struct.unpack_from(">I" if version else ">H", data, at)[0]
        at += 4 if version else 2
        number, step = data[at], 2 if wide else 1
        if identity == item:
            numbers = struct.unpack_from(f">{number}{'H' if wide else 'B'}", data, at + 1)
            return [value & (0x7FFF if wide else 0x7F) for value in numbers]
        at += 1 + number * step
    return []


def _crop(values: tuple[int, ...], size: tuple[int, int]) -> Crop | None:
    """A clean aperture in pixels; None where it isn't a part of the picture, or in no whole pixels."""
    edges = []
    for side, (extent, offset) in zip(size, (((0, 1), (4, 5)), ((2, 3), (6, 7))), strict=True):
        length = Fraction(values[extent[0]], values[extent[1]])
        start = Fraction(side, 2) + Fraction(values[offset[0]], values[offset[1]]) - length / 2
        if length.denominator != 1 or start.denominator != 1 or length < 1 or start < 0 or start + length > side:
            return None
        edges.append((int(start), int(start + length)))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom
