"""JPEG 2000 files: their size, and how to decode them at a fraction of it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any, cast

from PIL import Image, Jpeg2KImagePlugin

from artray.images.reading import Box, Limits, Reader, Refused, Source

_GAP = 4  # halves are sharper than means, and alias when brought down by little: so many times the size wanted is left
_STREAM = b"\xff\x4f\xff\x51"
_TILE = b"\xff\x90\0\x0a"
_END = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Codestream:
    """What a codestream's header says (ISO 15444-1, annex A: SIZ and COD).

    Attributes:
        width: In pixels.
        height: In pixels.
        levels: How often its sides can be halved.
        plain: Whether all channels have a sample for each pixel, counted from the grid's corner. Only then does
            Pillow put them in the right place at a fraction of the size.
    """

    width: int
    height: int
    levels: int
    plain: bool


def read_codestream(data: bytes) -> Codestream:
    """Read a JPEG 2000 file's codestream header.

    Raises:
        Refused: It has no coding style.
        Exception: It is none.
    """
    at = data.index(_STREAM) + 2
    right, bottom, left, top, _, _, tiles_left, tiles_top, channels = struct.unpack_from(">8IH", data, at + 6)
    samples = data[at + 40 : at + 40 + 3 * channels]
    plain = not (left or top or tiles_left or tiles_top) and all(step == 1 for i in (1, 2) for step in samples[i::3])
    while (marker := data[at : at + 2]) != b"\xff\x52":
        if marker in (b"\xff\x90", b""):  # the tiles begin
            raise Refused("failed", "JPEG 2000: no coding style in its header")
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return Codestream(right - left, bottom - top, data[at + 9], plain)


def _end_of_tiles(data: bytes) -> int:
    """Where the last tile of a codestream ends by its own length; -1 where none says it."""
    at = data.find(_TILE, data.find(_STREAM))
    while at >= 0 and data.startswith(_TILE, at):
        length = int.from_bytes(data[at + 6 : at + 10], "big")
        if length < 12:  # 0: up to the end
            return -1
        at += length
    return at


class Jpeg2000Reader(Reader):
    """JPEG 2000, scaled while it is decoded."""

    im: Jpeg2KImagePlugin.Jpeg2KImageFile

    def __init__(self, source: Source) -> None:
        data = source.getvalue()
        if not data.endswith(_END) and _end_of_tiles(data) == len(data):
            source.replace(data + _END)  # OpenJPEG insists on it
        super().__init__(source, Jpeg2KImagePlugin.Jpeg2KImageFile)
        self._stream = stream = read_codestream(source.getvalue())
        self.im._size = stream.width, stream.height  # this is decoded, whatever the file's header says of it

    def plan(self, target: tuple[int, int], limits: Limits) -> None:
        """As of any reader."""
        stream = self._stream
        ratio = min(stream.width // (_GAP * target[0]), stream.height // (_GAP * target[1]))
        halvings = min(stream.levels, int(math.log2(max(1, ratio)))) if stream.plain else 0
        size = -(-stream.width >> halvings), -(-stream.height >> halvings)
        limits.check((stream.width, stream.height), size)
        # Not its `reduce`: it rounds where the format rounds up, and then fails on most sizes.
        tile = self.im.tile[0]
        form, _, *rest = cast("tuple[Any, ...]", tile.args)
        self.im.tile = [tile._replace(extents=(0, 0, *size), args=(form, halvings, *rest))]
        self.im._size = size
        self.halvings = halvings

    def region(self, im: Image.Image, original: tuple[int, int]) -> tuple[Image.Image, Box | None]:
        """Where the original lies in a picture halved by a wavelet.

        The halves stand where the even pixels stood, not between two pixels as those of a mean do: taken as they come,
        the picture would move by up to half a pixel. The edge is repeated once, so that the moved box has pixels to lie
        on.
        """
        im, box = super().region(im, original)
        if not box:
            return im, None
        framed = Image.new(im.mode, (im.width + 1, im.height + 1))
        for corner in ((1, 1), (1, 0), (0, 1), (0, 0)):
            framed.paste(im, corner)
        shift = (1 - 0.5**self.halvings) / 2
        return framed, (box[0] + shift, box[1] + shift, box[2] + shift, box[3] + shift)
