"""A TIFF's directories: which page is the picture, how its samples lie, and whether they are all there."""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIPS, SAMPLES, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 322, 323, 324, 325
ORIENTATION, COLOR_MAP, EXTRA_SAMPLES, SAMPLE_FORMAT, SUBSAMPLING, PROFILE = 274, 320, 338, 339, 530, 34675
_KIND, _OLD_KIND, _CHILDREN = 254, 255, 330
_MOST_PAGES = 1000  # looked at for one that is no preview

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
_UNDEFINED = 4
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
_PHOTOMETRICS = {
    WHITE_IS_ZERO: "white-is-zero grey",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    4: "mask",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    LAB: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32803: "colour filter array",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw",
}
_COMPRESSIONS = {
    1: "none",
    2: "CCITT RLE",
    3: "CCITT group 3",
    4: "CCITT group 4",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    8: "Deflate",
    32773: "PackBits",
    32946: "Deflate",
    34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
}
_FORMATS = {UNSIGNED: "", SIGNED: " signed", FLOAT: " float"}
_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"} | {
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
_OLD_JPEG = 6
_CLASSIC = {16: 4, 17: 9, 18: 13}  # types of 64 bits, and the same of 32

Entry = tuple[int, int, bytes]
"""Type, count and content of a tag, in the file's byte order."""


@dataclass(frozen=True)
class Directory:
    """One page's tags.

    Attributes:
        data: The file.
        order: "<" or ">".
        big: Whether the file is a BigTIFF.
        offset: Where the directory begins.
        following: Where the next one does, 0 after the last.
        entries: The tags that lie within the file.
    """

    data: bytes = field(repr=False)
    order: str
    big: bool
    offset: int
    following: int
    entries: dict[int, Entry]

    def values(self, tag: int) -> tuple[Any, ...]:
        """A tag's numbers; none where it isn't there."""
        if tag not in self.entries:
            return ()
        kind, count, content = self.entries[tag]
        return struct.unpack(f"{self.order}{count * len(_TYPES[kind])}{_TYPES[kind][0]}", content)

    def value(self, tag: int, default: int) -> int:
        """A tag's first number."""
        values = self.values(tag)
        return values[0] if values and isinstance(values[0], int) else default

    @cached_property
    def width(self) -> int:
        """In pixels."""
        return self.value(WIDTH, 0)

    @cached_property
    def height(self) -> int:
        """In pixels."""
        return self.value(HEIGHT, 0)

    @cached_property
    def compression(self) -> int:
        """The number in the tag."""
        return self.value(COMPRESSION, 1)

    @cached_property
    def photometric(self) -> int:
        """The number in the tag."""
        return self.value(PHOTOMETRIC, WHITE_IS_ZERO)

    @cached_property
    def channels(self) -> int:
        """Samples a pixel."""
        return self.value(SAMPLES, len(self.values(BITS)) or 1)

    @cached_property
    def bits(self) -> tuple[int, ...]:
        """Of each channel."""
        bits = self.values(BITS) or (1,)
        return bits * self.channels if len(bits) == 1 and self.channels < 1000 else bits[: self.channels]

    @cached_property
    def form(self) -> int:
        """What the first channel's samples are: UNSIGNED, SIGNED, FLOAT, or another number."""
        form = self.value(SAMPLE_FORMAT, UNSIGNED)
        return UNSIGNED if form == _UNDEFINED else form

    @cached_property
    def planar(self) -> bool:
        """Whether each channel lies for itself."""
        return self.value(PLANAR, 1) == 2 and self.channels > 1

    @cached_property
    def tiled(self) -> bool:
        """Whether the picture is cut into tiles, not strips."""
        return TILES in self.entries and STRIPS not in self.entries

    @cached_property
    def tile(self) -> tuple[int, int]:
        """Width and height of a strip or tile."""
        if self.tiled:
            return self.value(TILE_WIDTH, 0), self.value(TILE_HEIGHT, 0)
        return self.width, min(self.value(ROWS_PER_STRIP, self.height) or self.height, self.height)

    @cached_property
    def grid(self) -> tuple[int, int]:
        """How many strips or tiles lie side by side, and one below the other."""
        width, height = self.tile
        return (-(-self.width // width), -(-self.height // height)) if width and height else (0, 0)

    @cached_property
    def number(self) -> int:
        """How many strips or tiles there have to be."""
        return self.grid[0] * self.grid[1] * (self.channels if self.planar else 1)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where the strips or tiles begin."""
        return self.values(TILES if self.tiled else STRIPS)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """How many bytes they are said to have."""
        return self.values(TILE_BYTES) or self.values(STRIP_BYTES)

    @property
    def is_preview(self) -> bool:
        """Whether it is a picture's reduced version, or a mask."""
        return bool(self.value(_KIND, 0) & 5) or self.value(_OLD_KIND, 0) == 2

    @property
    def children(self) -> tuple[int, ...]:
        """Where directories below this one begin."""
        return self.values(_CHILDREN)

    @cached_property
    def subsampling(self) -> tuple[int, int]:
        """How many pixels share one sample of colour in YCbCr, horizontally and vertically."""
        steps = self.values(SUBSAMPLING) or (2, 2)
        return (steps[0], steps[-1]) if all(step in (1, 2, 4) for step in steps) else (1, 1)

    def row_bytes(self) -> int:
        """Of a strip or tile, of one channel where they lie apart; 0 for mixed depths."""
        if len(set(self.bits)) != 1:
            return 0
        return -(-self.tile[0] * self.bits[0] * (1 if self.planar else self.channels) // 8)

    def describe(self) -> str:
        """Channels, bits, colours and compression, for people."""
        bits = sorted(set(self.bits))
        depth = f"{bits[0]}" if len(bits) == 1 else "/".join(map(str, self.bits[:8]))
        form = _FORMATS.get(self.form, f" format {self.form}")
        color = f"{_PHOTOMETRICS.get(self.photometric, 'unknown')} (photometric {self.photometric})"
        name = _COMPRESSIONS.get(self.compression)
        compression = f"compression {self.compression}" + (f" ({name})" if name else "")
        layout = ", planar" if self.planar else ""
        channels = f"{self.channels} channel" + ("s" if self.channels != 1 else "")
        return f"{color}, {channels} of {depth} bits{form}{layout}, {compression}"

    def lacks_pixels(self) -> bool:
        """Whether strips or tiles are missing, or uncompressed ones have less room than their pixels take."""
        number = self.number
        if self.compression == _OLD_JPEG:  # has tags of its own
            return False
        if len(self.offsets) < number:
            return True
        needed = [self.needed(i) for i in range(number)] if self.compression == 1 else []
        # The counts of uncompressed strips are often wrong, and nobody heeds them: what lies after them is known.
        starts = sorted({*self.offsets, self.offset, len(self.data)})
        for start, needs, count in zip(self.offsets, needed, [*self.counts, *[0] * number], strict=False):
            room = len(self.data) - start
            if 0 < count < needs:
                room = starts[min(bisect_right(starts, start), len(starts) - 1)] - start
            if needs > room:
                return True
        return False

    def ends_early(self) -> bool:
        """Whether a strip or tile is said to end after the file."""
        return any(start + count > len(self.data) for start, count in zip(self.offsets, self.counts, strict=False))

    def needed(self, number: int) -> int:
        """Bytes of an uncompressed strip or tile; 0 where that can't be said."""
        (across, down), (width, height) = self.grid, self.tile
        row = number // across % down
        if not self.tiled and row == down - 1:
            height = self.height - row * height
        if self.photometric == YCBCR and (steps := self.subsampling) != (1, 1):
            if self.planar:
                return 0
            return -(-width // steps[0]) * -(-height // steps[1]) * (steps[0] * steps[1] + 2)
        return self.row_bytes() * height


def read_directory(data: bytes, offset: int | None = None) -> Directory:
    """A TIFF's directory, the first unless told otherwise.

    Raises:
        struct.error: The file ends before it does.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = b"+" in data[2:4]
    word = "Q" if big else "I"
    if offset is None:
        offset = struct.unpack_from(order + word, data, 8 if big else 4)[0]
    if offset > len(data):
        raise struct.error("the directory begins after the file")
    count = struct.unpack_from(order + ("Q" if big else "H"), data, offset)[0]
    at, step, inline = offset + (8 if big else 2), (20 if big else 12), (8 if big else 4)
    end = at + count * step
    entries: dict[int, Entry] = {}
    if end > len(data):
        raise struct.error("the directory ends after the file")
    for entry in range(at, end, step):
        tag, kind, number = struct.unpack_from(f"{order}HH{word}", data, entry)
        if kind not in _TYPES:
            continue
        length = number * struct.calcsize("=" + _TYPES[kind])
        start = entry + step - inline
        if length > inline:
            start = struct.unpack_from(order + word, data, start)[0]
        if length <= len(data) - start:
            entries[tag] = kind, number, data[start : start + length]
    following = struct.unpack_from(order + word, data, end)[0] if end + inline <= len(data) else 0
    return Directory(data, order, big, offset=offset, following=following, entries=entries)


def picture_directory(data: bytes) -> Directory:
    """The directory of the page that is meant: the first that is neither a preview nor a mask, where there is one.

    Raises:
        struct.error: The file ends before its first directory does.
    """
    first = read_directory(data)
    if not first.is_preview:
        return first
    waiting, seen = [*first.children, first.following], {first.offset}
    while waiting and len(seen) < _MOST_PAGES:
        offset = waiting.pop(0)
        if offset in seen or not 0 < offset < len(data):
            continue
        seen.add(offset)
        try:
            page = read_directory(data, offset)
        except struct.error:
            continue
        if not page.is_preview and page.width and page.height:
            return page
        waiting += [*page.children, page.following]
    return first


def write_tiff(order: str, entries: dict[int, Entry], body: bytes) -> bytes:
    """A classic TIFF of one page.

    Args:
        order: The byte order of the entries, "<" or ">".
        entries: The page's tags. Offsets in them count the 8 bytes before the body.
        body: What the offsets point to.
    """
    at = 8 + len(body) + len(body) % 2
    beyond_at = at + 2 + 12 * len(entries) + 4
    table, beyond = [struct.pack(order + "H", len(entries))], b""
    for tag in sorted(entries):
        kind, count, content = entries[tag]
        if len(content) > 4:
            table.append(struct.pack(order + "HHII", tag, kind, count, beyond_at + len(beyond)))
            beyond += content + bytes(len(content) % 2)
        else:
            table.append(struct.pack(order + "HHI", tag, kind, count) + content.ljust(4, b"\0"))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at)
    return b"".join([head, body, bytes(len(body) % 2), *table, bytes(4), beyond])


def integers(order: str, values: Sequence[int]) -> Entry:
    """Numbers of up to 32 bits as a tag's content."""
    return 4, len(values), struct.pack(f"{order}{len(values)}I", *values)


def _classic_entries(directory: Directory) -> dict[int, Entry]:
    """A directory's tags in types that a classic TIFF knows.

    Raises:
        struct.error: A number has more than 32 bits.
    """
    entries = dict(directory.entries)
    for tag, (kind, count, _) in directory.entries.items():
        if kind in _CLASSIC:
            letter = _TYPES[_CLASSIC[kind]]
            packed = struct.pack(f"{directory.order}{count}{letter}", *directory.values(tag))
            entries[tag] = _CLASSIC[kind], count, packed
    return entries


def classic(directory: Directory) -> bytes:
    """The page as a classic TIFF, which Pillow reads in either byte order; strips and tiles stay where they are.

    Raises:
        struct.error: The file is larger than 4 GB.
    """
    return write_tiff(directory.order, _classic_entries(directory), directory.data[8:])


def beginning_with(directory: Directory) -> bytes:
    """The same file, with this directory as its first."""
    at, word = (8, "Q") if directory.big else (4, "I")
    pointer = struct.pack(directory.order + word, directory.offset)
    return directory.data[:at] + pointer + directory.data[at + len(pointer) :]


def deflated(directory: Directory) -> bytes:
    """The page as a TIFF whose strips or tiles are stored in Deflate: Pillow leaves compressed ones to libtiff."""
    data, order = directory.data, directory.order
    pieces = [
        zlib.compress(data[start : start + directory.needed(number)], 0)
        for number, start in enumerate(directory.offsets[: directory.number])
    ]
    starts = [8]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    entries = _classic_entries(directory)
    entries[COMPRESSION] = integers(order, [8])
    entries[TILES if directory.tiled else STRIPS] = integers(order, starts[:-1])
    entries[TILE_BYTES if directory.tiled else STRIP_BYTES] = integers(order, [len(piece) for piece in pieces])
    return write_tiff(order, entries, b"".join(pieces))
