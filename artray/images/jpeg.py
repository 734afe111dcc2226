"""JPEG files: what Pillow needs of their headers, and whether the pixels are all there.

libjpeg fills what is missing with grey once it sees the end marker, and says nothing that Pillow hands on. So that
marker is kept back until the decoder has shown that it wants no more pixels.
"""

from __future__ import annotations

import io
import math
import re
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image, JpegImagePlugin

from artray.images.reading import PROGRESSIVE_BLOCK, Limits, Reader, Refused, Source, cut_short, lacking

_SOF_HUFFMAN = {0xC0, 0xC1, 0xC2}  # whose decoder can wait for more data
_SOF_ARITHMETIC = {0xC9, 0xCA}
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = {0xC2, 0xCA}
_EOI, _SOS = 0xD9, 0xDA
_ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment
_END = b"\xff\xd9"
_ZEROS = bytes(16)  # in place of what was never written
# Ones, which are no code: a missing block takes four bytes of them. The last block of a whole picture needs up to eight
# bytes after it, because the decoder reads ahead.
_PAD = b"\xff\0"
_PADS = 10
_PROBES = 4
_MARKER_IN_SCAN = re.compile(rb"\xff[^\0\xff\xd0-\xd7]", re.DOTALL)
_BLOCK = 65536
_GAP = 1.5  # so many times the size wanted is left by the decoder


@dataclass(frozen=True, slots=True)
class Header:
    """A JPEG's segments up to its first scan's data.

    Attributes:
        cleaned: The file as far, without comments and without what Pillow can't make sense of.
        scan: Where in the file the scan's data begin.
        frame: The number of the frame's marker (192 for baseline), 0 where there is none.
        components: Their ids.
        first_scan: The parameters of the first scan.
        exif: EXIF data, as they come after their identifier.
    """

    cleaned: bytes
    scan: int
    frame: int
    components: bytes
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
    frame, body, exif = 0, b"", None
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
        elif marker == _SOS:
            if len(segment) < 4 or len(body) < 6:
                raise Refused("failed", "JPEG: no frame before its pixels")
            return Header(
                cleaned=b"".join(kept),
                scan=end,
                frame=frame,
                components=body[6::3][: body[5]],
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
        header, data = self._header, self.source.getvalue()
        if header.several_scans:
            end, scans = _end_of_scans(data, header)
            self._decode(end)
            if header.frame in _SOF_HUFFMAN and not _complete(header, scans):
                raise Refused("truncated", "JPEG: scans are missing")
        else:
            # From behind it is found at once; but another picture may follow this one, or a marker cut it short.
            end = data.rfind(_END, header.scan)
            if end < 0 and data.endswith(_ZEROS):
                raise Refused("truncated", "JPEG: its data end in zeros")
            end = end if end >= 0 else len(data)
            if self._decode(end):
                marker = _MARKER_IN_SCAN.search(data, header.scan)
                if marker and marker.start() < end:
                    self._decode(marker.start())
        self.im.tile = []
        return self.im

    def _decode(self, end: int) -> bool:
        """Decode what there is before a marker; whether the decoder was ready before it."""
        im, tile = self.im, self.im.tile[0]
        im.load_prepare()
        decoder = Image._getdecoder(im.mode, tile.codec_name, tile.args, im.decoderconfig)
        try:
            decoder.setimage(im.im, tile.extents)
            return self._feed(_Feed(decoder), end)
        finally:
            decoder.cleanup()

    def _feed(self, feed: _Feed, end: int) -> bool:
        header, data = self._header, self.source.getvalue()
        if header.frame in _SOF_ARITHMETIC:  # whose decoder can't wait
            self.source.check()
            feed(header.cleaned + data[header.scan : end] + _END)
        else:
            block = PROGRESSIVE_BLOCK if header.several_scans else _BLOCK
            head = header.cleaned
            for at in range(header.scan, max(end, header.scan + 1), block):
                self.source.check()
                feed(head + data[at : min(at + block, end)])
                head = b""
        if feed.done():
            return True
        if header.frame in _SOF_HUFFMAN and not _wants_no_more(feed, header):
            raise lacking("JPEG")
        feed(_END)
        if not feed.done():
            raise cut_short("JPEG")
        return False


def _wants_no_more(feed: _Feed, header: Header) -> bool:
    """Whether a decoder that has got all data is not in the middle of them.

    That of a single scan is ready with its last row. That of several is ready at the end marker, but after a scan it
    takes at once what is no marker, where a block would wait for more.
    """
    feed(_PAD * _PADS)
    if not header.several_scans:
        return feed.done()
    for _ in range(_PROBES):
        feed(_PAD)
        if feed.left:
            return False
    return True


class _Feed:
    """Gives data to a decoder, and again what it left.

    Attributes:
        left: What it didn't take.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._done = False
        self.left = b""

    def done(self) -> bool:
        """Whether it has all it needs."""
        return self._done

    def __call__(self, data: bytes) -> None:
        """Feed it, until it has all it needs."""
        if self._done:
            return
        data = self.left + data if self.left else data
        taken, error = self._decoder.decode(data)
        if taken < 0 and error < 0:
            raise OSError("broken data stream")
        self._done = taken < 0
        self.left = data[taken:] if taken >= 0 else b""


def _end_of_scans(data: bytes, header: Header) -> tuple[int, list[bytes]]:
    """Where the last scan's data end, and the parameters of all scans."""
    scans, at = [header.first_scan], header.scan
    while match := _MARKER_IN_SCAN.search(data, at):
        at = match.start()
        marker = data[at + 1]
        if marker == _EOI:
            return at, scans
        if marker in _ALONE or at + 4 > len(data):
            at += 2
            continue
        length = struct.unpack_from(">H", data, at + 2)[0]
        if at + 2 + length > len(data):
            raise cut_short("JPEG")
        if marker == _SOS and length >= 6:
            scans.append(data[at + 4 : at + 2 + length])
        at += 2 + max(length, 2)
    return len(data), scans


def _complete(header: Header, scans: list[bytes]) -> bool:
    """Whether each component's coefficients come down to their last bit in some scan."""
    missing = {identity: set(range(64)) for identity in header.components}
    for scan in scans:
        count = scan[0]
        if len(scan) >= 4 + 2 * count:
            first, last, bits = scan[1 + 2 * count : 4 + 2 * count]
            for identity in scan[1 : 1 + 2 * count : 2]:
                if identity in missing and not bits & 15:
                    missing[identity] -= set(range(first, last + 1))
    return not any(missing.values())
