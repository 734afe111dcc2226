"""TIFFs whose samples lie as Pillow can't read them, or reads them wrong.

These are channels that lie apart and have more than 8 bits, floats and odd depths in colour, channels beside the known
ones. Their strips and tiles are unpacked by libtiff, as if they were grey pictures of bytes; the bytes are then what
any of the lossless compressions began with, and NumPy makes samples of them.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin

from artray.images import tiff_directory as tiff
from artray.images.color import bits_used, ends_of, spread
from artray.images.reading import Refused, cut_short
from artray.images.tiff_directory import Directory

Bytes = npt.NDArray[np.uint8]
Samples = npt.NDArray[Any]

_RAW = 1
_LOSSLESS = {5, 8, 32773, 32946, 34925, 50000}
_MAX_PIXEL_BYTES = 6  # the samples; on the way they are there three times
_DEPTHS = {
    tiff.UNSIGNED: {*range(1, 17), 32, 64},
    tiff.SIGNED: {8, 16, 32, 64},
    tiff.FLOAT: {16, 32, 64},
}
_COLORS = {tiff.WHITE_IS_ZERO: 1, tiff.BLACK_IS_ZERO: 1, tiff.RGB: 3, tiff.PALETTE: 1, tiff.CMYK: 4} | {
    tiff.YCBCR: 3,
    tiff.LAB: 3,
}
_MODES = {tiff.WHITE_IS_ZERO: "L", tiff.BLACK_IS_ZERO: "L", tiff.RGB: "RGB", tiff.CMYK: "CMYK"} | {
    tiff.PALETTE: "RGB",
    tiff.YCBCR: "YCbCr",
    tiff.LAB: "LAB",
}
_ASSOCIATED, _UNASSOCIATED = 1, 2
_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]


def is_lossless(page: Directory) -> bool:
    """Whether the page's bytes can be unpacked without knowing what they are."""
    return page.compression in {_RAW, *_LOSSLESS}


def readable(page: Directory) -> bool:
    """Whether `read_samples` knows the page's layout."""
    bits = set(page.bits)
    depth = min(bits)
    return (
        len(bits) == 1
        and len(page.bits) == page.channels
        and is_lossless(page)
        and depth in _DEPTHS.get(page.form, ())
        and page.photometric in _COLORS
        and page.channels >= _COLORS[page.photometric]
        and page.value(tiff.PREDICTOR, 1) in (1, 2 if depth in (8, 16, 32, 64) else 1, 3 if page.form == 3 else 1)
        and (page.photometric != tiff.YCBCR or page.subsampling == (1, 1))
        and (page.photometric != tiff.PALETTE or (page.form == tiff.UNSIGNED and depth <= 16))
        and min(page.width, page.height, *page.tile) > 0
    )


def read_samples(page: Directory, max_pixels: int) -> Image.Image:
    """Read a page's samples to a picture of 8 bits a channel.

    Args:
        page: One that is `readable`.
        max_pixels: Refused is what has more than six bytes of samples for each of these.

    Returns:
        In mode L, LA, La, RGB, RGBA, RGBa, CMYK or LAB.

    Raises:
        Refused: The picture is too large, or not all there.
        Exception: Its data are broken.
    """
    across, down = page.grid
    size = page.row_bytes() * across * down * page.tile[1] * (page.channels if page.planar else 1)
    limit = _MAX_PIXEL_BYTES * max_pixels
    if size > limit:
        raise Refused("too_large", f"{size / 1e9:.1f} GB of samples, over the limit of {limit / 1e9:g} GB")
    colors = _COLORS[page.photometric]
    alpha = _alpha(page, colors)
    used = [*range(colors), *([alpha[0]] if alpha else [])]
    if page.planar:
        channels = (_samples(page, _unpacked(page, channel), 1) for channel in used)
        if page.photometric == tiff.PALETTE:
            inks = [color_map(page)[next(channels)[..., 0]]]
        else:
            inks = _levels(page, islice(channels, colors))
        inks += _levels(page, channels)
    else:
        samples = _samples(page, _unpacked(page, 0), page.channels)
        known = samples[..., :colors]
        inks = [color_map(page)[known[..., 0]]] if page.photometric == tiff.PALETTE else _levels(page, [known])
        if alpha:
            inks += _levels(page, [samples[..., alpha[0], np.newaxis]])
    return _picture(page, inks[0] if len(inks) == 1 else np.concatenate(inks, axis=-1), alpha[1] if alpha else None)


def _alpha(page: Directory, wanted: int) -> tuple[int, int] | None:
    """Which channel is the alpha channel, and of which kind it is."""
    extras = page.values(tiff.EXTRA_SAMPLES)
    for number, kind in enumerate(extras[: page.channels - wanted]):
        if kind in (_ASSOCIATED, _UNASSOCIATED):
            return wanted + number, kind
    if not extras and page.photometric == tiff.RGB and page.channels == 4:
        return wanted, _UNASSOCIATED  # as Pillow takes it
    return None


def _unpacked(page: Directory, plane: int) -> Bytes:
    """A plane's bytes, shape (rows, tiles in a row, bytes of a tile's row), rows cut to the picture's."""
    across, down = page.grid
    row, (_, height) = page.row_bytes(), page.tile
    first = plane * across * down
    offsets = page.offsets[first : first + across * down]
    if len(offsets) < across * down:
        raise cut_short("TIFF")
    if page.compression == _RAW:
        rows = down * height if page.tiled else page.height
        plain: npt.NDArray[np.uint8] = np.empty((rows, across, row), np.uint8)
        for number, offset in enumerate(offsets):
            top, left = number // across * height, number % across
            tile = plain[top : top + height, left]
            content = page.data[offset : offset + tile.size] if offset >= 0 else b""
            if len(content) < tile.size:
                raise cut_short("TIFF")
            tile[...] = np.frombuffer(content, np.uint8).reshape(tile.shape)
        if page.value(tiff.FILL_ORDER, 1) == 2:
            plain = _REVERSED[plain]
    else:
        plain = _by_libtiff(page, offsets, page.counts[first : first + across * down]).reshape(-1, across, row)
    return plain[: page.height]


def _by_libtiff(page: Directory, offsets: tuple[int, ...], counts: tuple[int, ...]) -> Bytes:
    """Strips or tiles unpacked as one grey picture of bytes."""
    (across, down), row, (_, height) = page.grid, page.row_bytes(), page.tile
    if len(counts) < len(offsets):
        counts = tuple(len(page.data) - offset for offset in offsets)
    pieces = [page.data[max(0, offset) : offset + count] for offset, count in zip(offsets, counts, strict=False)]
    starts = np.cumsum([8, *map(len, pieces)])[:-1].tolist()
    size = row * across, down * height if page.tiled else page.height
    tags = {
        tiff.WIDTH: [size[0]],
        tiff.HEIGHT: [size[1]],
        tiff.BITS: [8],
        tiff.COMPRESSION: [page.compression],
        tiff.PHOTOMETRIC: [tiff.BLACK_IS_ZERO],
        tiff.FILL_ORDER: [page.value(tiff.FILL_ORDER, 1)],
        tiff.TILES if page.tiled else tiff.STRIPS: starts,
        tiff.TILE_BYTES if page.tiled else tiff.STRIP_BYTES: list(map(len, pieces)),
    }
    tags |= {tiff.TILE_WIDTH: [row], tiff.TILE_HEIGHT: [height]} if page.tiled else {tiff.ROWS_PER_STRIP: [height]}
    file = tiff.write_tiff("<", {tag: tiff.integers("<", values) for tag, values in tags.items()}, b"".join(pieces))
    im = TiffImagePlugin.TiffImageFile(io.BytesIO(file))
    im.im = Image.new("L", size, None).im  # its own allocation would apply the process-wide limit
    im.load()
    return np.asarray(im)


def _samples(page: Directory, plain: Bytes, channels: int) -> Samples:
    """Bytes to numbers in the machine's order, shape (height, width, channels)."""
    rows, across, _ = plain.shape
    width, bits = page.tile[0], page.bits[0]
    predictor = page.value(tiff.PREDICTOR, 1) if page.compression != _RAW else 1
    kind = {tiff.UNSIGNED: "u", tiff.SIGNED: "i", tiff.FLOAT: "f"}[page.form]
    values: Samples
    if bits not in (8, 16, 32, 64):
        values = _of_odd_depth(plain, width * channels, bits)
    elif predictor == 3:
        sums = np.cumsum(plain.reshape(rows, across, -1, channels), axis=2, dtype=np.uint8)
        ordered = sums.reshape(rows, across, bits // 8, -1).swapaxes(2, 3)  # the highest bytes of all come first
        values = np.ascontiguousarray(ordered).view(f">{kind}{bits // 8}")[..., 0]
    elif predictor == 2:
        differences = np.ascontiguousarray(plain).view(f"{page.order}u{bits // 8}")
        differences = differences.reshape(rows, across, width, channels).astype(f"u{bits // 8}")
        values = np.cumsum(differences, axis=2, dtype=differences.dtype, out=differences).view(f"{kind}{bits // 8}")
    else:
        values = np.ascontiguousarray(plain).view(f"{page.order}{kind}{bits // 8}")
    values = values.reshape(rows, across * width, channels)[:, : page.width]
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _of_odd_depth(plain: Bytes, count: int, bits: int) -> npt.NDArray[np.uint16]:
    """Numbers of 1 to 15 bits, packed from the highest bit on, each row anew."""
    rows, across, _ = plain.shape
    values = np.empty((rows, across, count), np.uint16)
    for row in range(rows):  # a bit takes a byte for a while
        spelt = np.unpackbits(plain[row], axis=1, count=count * bits).reshape(across, count, bits)
        padded = np.concatenate([np.zeros((across, count, 16 - bits), np.uint8), spelt], axis=2)
        values[row] = np.packbits(padded, axis=2).view(">u2")[..., 0]
    return values


def _levels(page: Directory, channels: Iterable[Samples]) -> list[Bytes]:
    """Numbers to 0..255; those that have no agreed white are spread over all parts in common."""
    bits = page.bits[0]
    if page.form == tiff.UNSIGNED and bits < 8:
        return [np.asarray(channel * 255 // (2**bits - 1), np.uint8) for channel in channels]
    if bits <= 16 and (page.form == tiff.UNSIGNED or (page.form == tiff.SIGNED and page.photometric == tiff.LAB)):
        if bits == 16 and page.photometric in (tiff.BLACK_IS_ZERO, tiff.RGB):
            channels = list(channels)
            bits = bits_used(channels) if channels else bits
        return [
            channel.astype(np.uint8) if bits == 8 else (channel >> (bits - 8)).astype(np.uint8) for channel in channels
        ]
    held = list(channels)
    ends = ends_of(held) if held else (0.0, 0.0)
    return [spread(channel, ends) for channel in held]


def _picture(page: Directory, inks: Bytes, alpha: int | None) -> Image.Image:
    mode = _MODES[page.photometric]
    if page.photometric == tiff.WHITE_IS_ZERO:
        inks[..., 0] = ~inks[..., 0]
    elif page.photometric in (tiff.LAB, tiff.YCBCR):
        inks, alpha = inks[..., :3], None
    elif page.photometric == tiff.CMYK and alpha:
        # No mode has both inks and alpha: over white is less ink. Associated inks are less already.
        if alpha == _UNASSOCIATED:
            inks[..., :4] = (inks[..., :4].astype(np.uint16) * inks[..., 4:] + 127) // 255
        inks, alpha = inks[..., :4], None
    if alpha:
        mode += "a" if alpha == _ASSOCIATED else "A"
    height, width = inks.shape[:2]
    return Image.frombytes(mode, (width, height), np.ascontiguousarray(inks).tobytes())


def color_map(page: Directory) -> Bytes:
    """A palette's colours, shape (colours, 3). Some files have 8-bit values where 16-bit ones belong, as libtiff sees.

    Raises:
        Refused: It is missing or too short.
    """
    values = np.array(page.values(tiff.COLOR_MAP), np.int64)
    colors = 1 << page.bits[0]
    if len(values) < 3 * colors:
        raise Refused("failed", "TIFF: its colour map is missing or too short")
    levels = values[: 3 * colors] >> (0 if values[: 3 * colors].max() < 256 else 8)
    return np.asarray(levels.reshape(3, colors).T.clip(0, 255), np.uint8)
