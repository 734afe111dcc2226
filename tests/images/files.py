"""Picture files made byte by byte, as no library writes them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from artray.images.decoding import decode


class Made(Mapping[str, bytes]):
    """Files by name, each made when it is first asked for: every process of a run reads all test files."""

    def __init__(self, makers: Mapping[str, Callable[[], bytes]]) -> None:
        self._makers = makers
        self._made: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> bytes:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def encode(im: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    im.save(file, **options)
    return file.getvalue()


def pixels(data: bytes, size: int | None = None) -> np.ndarray:
    result = decode(data, size)
    assert result.status == "ok", result
    assert result.error is None
    return result.image.astype(int)


def error(data: bytes, expected: np.ndarray, size: int | None = None) -> float:
    """The mean difference of what a file decodes to, in levels."""
    got = pixels(data, size)
    assert got.shape == expected.shape
    return float(np.abs(got - expected).mean())


def chunk(name: bytes, content: bytes) -> bytes:
    """A PNG's."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def box(name: bytes, content: bytes) -> bytes:
    """Of JPEG 2000 and AVIF."""
    return struct.pack(">I", 8 + len(content)) + name + content


def tiff_page(tags: dict[int, Any], body: bytes, *, order: str = "<", at: int = 8, following: int = 0) -> bytes:
    """A TIFF's directory, and after it what it points to.

    Args:
        tags: Integers; lists of them are 16-bit, with a first item of "I" 32-bit; bytes as they come.
        body: The pixels; an offset in tags 273, 324 and 330 counts from their beginning.
        order: "<" or ">".
        at: Where the directory will lie.
        following: Where the next one lies.
    """
    table, beyond, place = b"", b"", at + 2 + 12 * len(tags) + 4
    sizes = {"B": 1, "H": 3, "I": 4}
    packed = {}
    for tag, value in tags.items():
        letter = "B" if isinstance(value, bytes) else "H"
        values = [value] if isinstance(value, int) else list(value)
        if values[:1] == ["I"]:
            letter, values = "I", values[1:]
        if tag in (273, 324) or (isinstance(value, int) and value > 65535):
            letter = "I"
        packed[tag] = letter, values
    room = sum(len(v) * struct.calcsize(c) for c, v in packed.values() if len(v) * struct.calcsize(c) > 4)
    start = place + room + room % 2
    for tag, (letter, values) in sorted(packed.items()):
        if tag in (273, 324):
            values = [start + value for value in values]
        content = struct.pack(f"{order}{len(values)}{letter}", *values)
        if len(content) > 4:
            pointer = struct.pack(order + "I", place + len(beyond))
            beyond += content
        else:
            pointer = content.ljust(4, b"\0")
        table += struct.pack(order + "HHI", tag, sizes[letter], len(values)) + pointer
    page = struct.pack(order + "H", len(tags)) + table + struct.pack(order + "I", following)
    return page + beyond.ljust(start - place, b"\0") + body


def tiff_file(tags: dict[int, Any], body: bytes, *, order: str = "<") -> bytes:
    """A TIFF of one page."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + tiff_page(tags, body, order=order)


def tiff_of(
    samples: np.ndarray,
    photometric: int,
    *,
    order: str = "<",
    planar: bool = False,
    rows: int | None = None,
    tile: tuple[int, int] | None = None,
    compression: int = 1,
    predictor: int = 1,
    **more: Any,
) -> bytes:
    """A TIFF of samples of shape (height, width, channels), strips of so many rows or tiles (height, width)."""
    tags, body = tiff_tags(
        samples,
        photometric,
        order=order,
        planar=planar,
        rows=rows,
        tile=tile,
        compression=compression,
        predictor=predictor,
    )
    return tiff_file(tags | {int(tag.removeprefix("t")): value for tag, value in more.items()}, body, order=order)


def tiff_tags(samples: np.ndarray, photometric: int, **how: Any) -> tuple[dict[int, Any], bytes]:
    height, width, channels = samples.shape
    order, planar, tile = how.get("order", "<"), how.get("planar", False), how.get("tile")
    rows = how.get("rows") or height
    planes = [samples[..., [i]] for i in range(channels)] if planar else [samples]
    across, down = tile[::-1] if tile else (width, rows)
    parts = []
    for plane in planes:
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = plane[top : top + down, left : left + across]
                if tile:
                    part = np.pad(part, ((0, down - part.shape[0]), (0, across - part.shape[1]), (0, 0)), mode="edge")
                parts.append(_packed(part, order, how.get("compression", 1), how.get("predictor", 1)))
    starts = np.cumsum([0, *map(len, parts)])[:-1].tolist()
    counts = ["I", *map(len, parts)]
    bits = samples.dtype.itemsize * 8
    tags = {256: width, 257: height, 258: [bits] * channels, 259: how.get("compression", 1), 262: photometric}
    tags |= {277: channels, 284: 2 if planar else 1, 317: how.get("predictor", 1)}
    tags |= {339: [{"u": 1, "i": 2, "f": 3}[samples.dtype.kind]] * channels}
    if tile:
        tags |= {322: across, 323: down, 324: starts, 325: counts}
    else:
        tags |= {273: starts, 278: rows, 279: counts}
    return tags, b"".join(parts)


def _packed(part: np.ndarray, order: str, compression: int, predictor: int) -> bytes:
    """Samples differenced (predictor 2), or the bytes of floats put apart and differenced (3), and compressed."""
    channels = part.shape[2]
    if predictor == 3:
        spelt = np.ascontiguousarray(part.astype(part.dtype.newbyteorder(">"))).view(np.uint8)
        rows = spelt.reshape(len(part), -1, part.dtype.itemsize).swapaxes(1, 2).reshape(len(part), -1, channels)
        plain = np.diff(rows, axis=1, prepend=np.zeros_like(rows[:, :1])).tobytes()
    else:
        if predictor == 2:
            part = part.view(f"u{part.dtype.itemsize}")
            part = np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1]))
        plain = part.astype(part.dtype.newbyteorder(order)).tobytes()
    if compression == 8:
        return zlib.compress(plain)
    if compression in (5, 32773):  # by libtiff, as a grey picture of bytes
        line = Image.frombytes("L", (len(plain), 1), plain)
        packed = encode(line, format="TIFF", compression="tiff_lzw" if compression == 5 else "packbits")
        with Image.open(io.BytesIO(packed)) as im:
            start, count = im.tag_v2[273][0], im.tag_v2[279][0]
        return packed[start : start + count]
    return plain


def joined(planes: Sequence[np.ndarray], steps: Sequence[tuple[int, int]], size: tuple[int, int]) -> bytes:
    """A JPEG 2000 codestream whose channels have a sample every so many pixels, of channels encoded one by one."""
    streams = [encode(Image.fromarray(p), format="JPEG2000", no_jp2=True, progression="CPRL") for p in planes]
    first = streams[0]
    siz, tiles = first.index(b"\xff\x51"), first.index(b"\xff\x90")
    length = struct.unpack_from(">H", first, siz + 2)[0]
    fixed = bytearray(first[siz + 4 : siz + 38])
    struct.pack_into(">II", fixed, 2, *size)
    struct.pack_into(">II", fixed, 18, *size)
    head = struct.pack(">HH", 0xFF51, 38 + 3 * len(planes)) + fixed + struct.pack(">H", len(planes))
    head += b"".join(bytes((7, *step)) for step in steps) + first[siz + 2 + length : tiles]
    body = b"".join(stream[stream.index(b"\xff\x93") + 2 : -2] for stream in streams)
    tile = struct.pack(">HHHIBB", 0xFF90, 10, 0, 14 + len(body), 0, 1) + b"\xff\x93"
    return b"\xff\x4f" + head + tile + body + b"\xff\xd9"


def jp2(stream: bytes, size: tuple[int, int], space: int, channels: int = 3) -> bytes:
    """A codestream in boxes; space 16 is sRGB, 18 is YCC."""
    header = box(b"ihdr", struct.pack(">IIHBBBB", size[1], size[0], channels, 7, 7, 0, 0))
    header += box(b"colr", b"\1\0\0" + struct.pack(">I", space))
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return start + box(b"jp2h", header) + box(b"jp2c", stream)


def tiff(data: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, data, **options)
    return file.getvalue()


def png(
    rows: Sequence[bytes], width: int, bits: int, color: int, *chunks: tuple[bytes, bytes], height: int | None = None
) -> bytes:
    """A PNG from packed rows; color as in IHDR (0 gray, 2 RGB, 3 palette, 4 gray + alpha, 6 RGBA)."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height or len(rows), bits, color, 0, 0, 0))
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*c) for c in chunks) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
