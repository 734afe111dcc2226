"""JPEG files: what Pillow needs of their headers, and whether the pixels are all there.

libjpeg fills what is missing with grey and says nothing that Pillow hands on. So the end marker is kept back from it
until it has been seen that the decoder wants no more pixels: what it then reads, it skips at once, as it looks for a
marker; a decoder in the middle of a block keeps it.
"""

from __future__ import annotations

import io
import math
import re
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image, JpegImagePlugin

from artray.images.reading import PROGRESSIVE_BLOCK, Limits, Reader, Refused, Source, cut_short

_SOF_HUFFMAN = {0xC0, 0xC1, 0xC2}  # whose decoder can wait for more data
_SOF_ARITHMETIC = {0xC9, 0xCA}
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xCA}
_SOI, _EOI, _SOS, _DRI = 0xD8, 0xD9, 0xDA, 0xDD
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
_END = b"\xff\xd9"
# Ones, which are no code: a missing block takes four bytes of them. The last block of a whole picture needs up to eight
# bytes after it, because the decoder reads ahead.
_PAD = b"\xff\0"
_PADS = 10
_PROBES = 4
_MARKER_IN_SCAN = re.compile(rb"\xff[^\0\xff\xd0-\xd7]", re.DOTALL)
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_BLOCK = 65536
_GAP = 1.5  # so many times the size wanted is left by the decoder


@dataclass(frozen=True, slots=True)
class Header:
    """A JPEG's segments up to its first scan's data.

    Attributes:
        cleaned: The file as far, without comments and without what Pillow can't make sense of.
        scan: Where in the file the scan's data begin.
        frame: The number of the frame's marker (192 for baseline), 0 where there is none.
        components: For each its id and its sampling, horizontal and vertical.
        size: Width and height.
        restart: Blocks between two restart markers, 0 without.
        first_scan: The parameters of the first scan, see `_Scan`.
        exif: EXIF data, as they come after their identifier.
    """

    cleaned: bytes
    scan: int
    frame: int
    components: tuple[tuple[int, int, int], ...]
    size: tuple[int, int]
    restart: int
    first_scan: bytes
    exif: bytes | None

    @property
    def several_scans(self) -> bool:
        """Whether the decoder has to keep the whole picture's coefficients, whatever the scale."""
        return self.frame in _PROGRESSIVE or self.first_scan[0] < len(self.components)


def read_header(data: bytes) -> Header:
    """Read a JPEG's segments.

    Raises:
        Refused: The file ends before the pixels begin.
    """
    kept, at = [data[:2]], 2
    frame, restart = 0, 0
    body, exif = b"", None
    while True:
        at = data.find(b"\xff", at)  # junk between segments is skipped, as libjpeg does
        if at < 0 or at + 4 > len(data):
            raise cut_short("JPEG")
        marker = data[at + 1]
        if marker in (0, 0xFF):
            at += 1
            continue
        if marker == _EOI:
            raise Refused("failed", "JPEG: it ends before any pixels")
        if marker in _ALONE:
            kept.append(data[at : at + 2])
            at += 2
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        if length < 2 and marker in (0xFE, *range(0xE0, 0xF0)):
            at += 4
            continue
        end = at + 2 + length
        segment = data[at + 4 : end]
        if end > len(data):
            raise cut_short("JPEG")
        if marker == 0xE1 and segment.startswith(b"Exif\0\0"):
            exif = exif or segment
        if _is_needed(marker, segment):
            kept.append(data[at:end])
        if marker in _SOF and not frame:
            frame, body = marker, segment
        elif marker == _DRI and len(segment) >= 2:
            restart = struct.unpack_from(">H", segment)[0]
        elif marker == _SOS:
            if len(segment) < 4 or len(body) < 6:
                raise Refused("failed", "JPEG: no frame before its pixels")
            parts = tuple((body[i], body[i + 1] >> 4, body[i + 1] & 15) for i in range(6, len(body) - 2, 3))
            size = (int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big"))
            return Header(
                cleaned=b"".join(kept),
                scan=end,
                frame=frame,
                components=parts,
                size=size,
                restart=restart,
                first_scan=segment,
                exif=exif,
            )
        at = end


def _is_needed(marker: int, segment: bytes) -> bool:
    """Whether a segment says something about pixels or colours, and says all of it."""
    if marker == 0xE0:
        return segment.startswith(b"JFIF\0") and len(segment) >= 14
    if marker == 0xE2:
        return segment.startswith(b"ICC_PROFILE\0") and len(segment) >= 14
    if marker == 0xEE:
        return segment.startswith(b"Adobe") and len(segment) >= 12
    return marker != 0xFE and not 0xE0 <= marker <= 0xEF


class JpegReader(Reader):
    """JPEG, scaled while it is decoded."""

    im: JpegImagePlugin.JpegImageFile

    def __init__(self, source: Source) -> None:
        source.check()
        self._header = header = read_header(source.getvalue())
        super().__init__(source, lambda _: JpegImagePlugin.JpegImageFile(io.BytesIO(header.cleaned)))
        if header.exif:
            self.im.info["exif"] = header.exif

    def plan(self, target: tuple[int, int], limits: Limits) -> None:
        """As of any reader."""
        size = self.size
        self.im.draft(None, (math.ceil(_GAP * target[0]), math.ceil(_GAP * target[1])))
        # With several scans the decoder keeps all coefficients, whatever the scale.
        limits.check(size, size if self._header.several_scans else self.im.size)
        scale: int = self.im.decoderconfig[0]  # 1, 2, 4 or 8
        self.halvings = scale.bit_length() - 1

    def load(self) -> Image.Image:
        """Decode the pixels, and see that they are all there."""
        im, header, data = self.im, self._header, self.source.getvalue()
        end, scans = _end_of_scans(data, header)
        tile = im.tile[0]
        im.load_prepare()
        decoder = Image._getdecoder(im.mode, tile.codec_name, tile.args, im.decoderconfig)
        try:
            decoder.setimage(im.im, tile.extents)
            self._feed(_Feed(decoder), end)
        finally:
            decoder.cleanup()
        if header.frame in _SOF_HUFFMAN and not _all_covered(header, scans):
            raise Refused("truncated", "JPEG: scans are missing")
        im.tile = []
        return im

    def _feed(self, feed: _Feed, end: int) -> None:
        header, data = self._header, self.source.getvalue()
        if header.frame in _SOF_ARITHMETIC:  # whose decoder can't wait
            self.source.check()
            feed(header.cleaned + data[header.scan : end] + _END)
        else:
            block = PROGRESSIVE_BLOCK if header.several_scans else _BLOCK
            feed(header.cleaned)
            for at in range(header.scan, end, block):
                self.source.check()
                feed(data[at : min(at + block, end)])
        if not feed.done and header.frame in _SOF_HUFFMAN:
            feed(_PAD * _PADS)
            if not all(feed(_PAD) for _ in range(_PROBES)) or _restarts_missing(data, header, end):
                raise Refused("truncated", "JPEG: its data end before the picture does")
        feed(_END)
        if not feed.done:
            raise cut_short("JPEG")


class _Feed:
    """Gives data to a decoder, and again what it left.

    Attributes:
        done: Whether it has all it needs.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._left = b""
        self.done = False

    def __call__(self, part: bytes) -> bool:
        """Feed it; whether it took all."""
        if self.done:
            return True
        part = self._left + part if self._left else part
        taken, error = self._decoder.decode(part)
        if taken < 0:
            if error < 0:
                raise OSError("broken data stream")
            self.done = True
            return True
        self._left = part[taken:]
        return not self._left


def _end_of_scans(data: bytes, header: Header) -> tuple[int, list[bytes]]:
    """Where the last scan's data end, and the parameters of all scans."""
    scans = [header.first_scan]
    if not header.several_scans:
        end = data.find(_END, header.scan)
        return (end if end >= 0 else len(data)), scans
    at = header.scan
    while found := _MARKER_IN_SCAN.search(data, at):
        at = found.start()
        marker = data[at + 1]
        if marker == _EOI:
            return at, scans
        if marker in _ALONE or at + 4 > len(data):
            at += 2
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        if marker == _SOS and length >= 6:
            scans.append(data[at + 4 : at + 2 + length])
        at += 2 + max(length, 2)
    return len(data), scans


def _restarts_missing(data: bytes, header: Header, end: int) -> bool:
    """Whether restart markers are missing at the end: a decoder that waits for one skips all else.

    One may be lost on the way: libjpeg goes on at the next.
    """
    if not header.restart or header.several_scans:
        return False
    across = max((h for _, h, _ in header.components), default=1) if len(header.components) > 1 else 1
    down = max((v for _, _, v in header.components), default=1) if len(header.components) > 1 else 1
    units = -(-header.size[0] // (8 * across)) * -(-header.size[1] // (8 * down))
    expected = -(-units // header.restart) - 1
    found = _RESTART.findall(data, header.scan, end)
    if len(found) >= expected:
        return False
    return len(found) < expected - 1 or not found or found[-1][1] & 7 != (expected - 1) & 7


def _all_covered(header: Header, scans: list[bytes]) -> bool:
    """Whether each component's coefficients come in some scan; later refinements may be left out."""
    if not header.several_scans:
        return True
    seen: dict[int, set[int]] = {identity: set() for identity, _, _ in header.components}
    for scan in scans:
        count = scan[0]
        if len(scan) < 4 + 2 * count:
            continue
        first, last = scan[1 + 2 * count], scan[2 + 2 * count]
        for i in range(count):
            seen.get(scan[1 + 2 * i], set()).update(range(first, min(last, 63) + 1))
    return all(len(coefficients) == 64 for coefficients in seen.values())
