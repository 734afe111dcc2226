"""From what a file holds to 8-bit sRGB over white: bit depth, palette, transparency, ICC profile.

Three steps, in the order in which `artray.images.decoding` calls them:

    to_8bit      any Pillow mode -> L, LA, RGB, RGBA or CMYK   (before resizing: these are the modes that resize well)
    over_white   LA, RGBA -> L, RGB                            (after resizing, on few pixels)
    to_srgb      L, RGB, CMYK with a profile -> RGB in sRGB    (after resizing, on few pixels)
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

# A display profile is some kilobytes, a printing one seldom more than 2 MB: what is larger is not worth its memory.
_MAX_PROFILE_BYTES = 8 * 1024 * 1024
_MODES_OF_SPACE = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
_BLOCK = 1 << 20  # values
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLE_FORMAT = 258, 262, 339


def to_8bit(im: Image.Image) -> Image.Image:
    """Bring a loaded picture to 8 bits a channel in a mode that can be resized.

    16-bit grey keeps its high byte (as Pillow does for 16-bit colour), where `Image.convert` would clip it at 255.
    For 32-bit integers and floats see `ends_of`.

    Args:
        im: A picture in any mode that Pillow's decoders give.

    Returns:
        The picture in mode L, LA, RGB, RGBA or CMYK; the same object where it is in one already.
    """
    if im.mode in ("L", "RGB"):
        return im.convert(im.mode + "A") if "transparency" in im.info else im
    if im.mode in ("LA", "RGBA", "CMYK"):
        return im
    if im.mode == "1":
        return im.convert("LA" if "transparency" in im.info else "L")
    if im.mode in ("P", "PA"):
        transparent = im.mode == "PA" or "transparency" in im.info or (im.palette and im.palette.mode == "RGBA")
        return im.convert("RGBA" if transparent else "RGB")
    if im.mode.startswith("I;16"):
        return _high_byte(im)
    if im.mode in ("I", "F"):
        return _spread(im)
    if im.mode in ("La", "RGBa"):
        return im.convert(im.mode[:-1] + "A")
    return im.convert("RGB")  # LAB, YCbCr, RGBX


def over_white(im: Image.Image) -> Image.Image:
    """Lay a picture with an alpha channel (LA, RGBA) over white; others pass."""
    if im.mode not in ("LA", "RGBA"):
        return im
    opaque = im.mode[:-1]
    sheet = Image.new(opaque, im.size, "white")
    sheet.paste(im.convert(opaque), mask=im.getchannel("A"))
    return sheet


def to_srgb(im: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a picture (L, RGB, CMYK) to RGB in sRGB, by its ICC profile where it has a usable one.

    A profile that is broken, larger than 8 MB or meant for another colour space is ignored; one that moves no colour
    (sRGB under its many names) costs nothing. Relative colorimetric with black point compensation, as browsers and
    image editors show pictures. CMYK without a profile is converted by Pillow's plain formula.

    Args:
        im: The picture.
        profile: The embedded ICC profile.

    Returns:
        The picture in mode RGB.
    """
    if profile and len(profile) <= _MAX_PROFILE_BYTES:
        mode, transform = _transform(profile)
        if transform is not None and (im.mode == mode or (im.mode == "L" and mode == "RGB")):
            return transform.apply(im if im.mode == mode else im.convert(mode))
    return im if im.mode == "RGB" else im.convert("RGB")


@lru_cache(maxsize=32)
def _transform(profile: bytes) -> tuple[str, ImageCms.ImageCmsTransform | None]:
    """The mode that a profile describes and its way to sRGB; None for broken profiles and for sRGB itself."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODES_OF_SPACE[source.profile.xcolor_space.strip()]
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if mode != "CMYK":
            colors = _sample_colors(mode)
            moved = np.asarray(transform.apply(colors), np.int16) - np.asarray(colors.convert("RGB"), np.int16)
            # Two levels: the sRGB profiles in use differ from each other by as much in how they round their curves.
            if np.abs(moved).max() <= 2:
                return mode, None
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError, TypeError):
        return "", None
    return mode, transform


@lru_cache(maxsize=2)
def _sample_colors(mode: str) -> Image.Image:
    """A grid over all colours of a mode: 256 greys, or 9 x 9 x 9 colours."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[np.newaxis])
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(9, 81, 3))


def _tiff_tag(im: Image.Image, tag: int, default: int) -> int:
    """A TIFF's tag, of the first channel; the default for other formats."""
    value = getattr(im, "tag_v2", {}).get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def _high_byte(im: Image.Image) -> Image.Image:
    values = np.asarray(im)
    bits, inverted = _tiff_tag(im, _TIFF_BITS, 0), _tiff_tag(im, _TIFF_PHOTOMETRIC, 1) == 0
    if bits == 16 and not inverted:
        bits = bits_used([values])
    high = (values >> ((bits or 16) - 8)).astype(np.uint8)
    if inverted:
        np.invert(high, out=high)
    if isinstance(key := im.info.get("transparency"), int):  # a PNG's transparent grey
        high[values == key] = 255
    return Image.fromarray(high)


def _spread(im: Image.Image) -> Image.Image:
    values = np.asarray(im)
    if im.mode == "I" and _tiff_tag(im, _TIFF_SAMPLE_FORMAT, 1) == 1:
        values = values.view(np.uint32)  # Pillow's I is signed, and so wraps the upper half
    gray = spread(values, ends_of([values]))
    if _tiff_tag(im, _TIFF_PHOTOMETRIC, 1) == 0:
        np.invert(gray, out=gray)
    return Image.fromarray(gray)


def bits_used(blocks: Sequence[npt.NDArray[Any]]) -> int:
    """How many bits the samples of a 16-bit TIFF have: 12 where none needs more, for black-is-zero grey and RGB.

    Cameras and scanners of 12 bits write such files without saying so. A picture of 16 bits like that would be all but
    black (16 of 256 levels), and one that is black stays so.
    """
    return 12 if max(int(block.max()) for block in blocks) < 1 << 12 else 16


def ends_of(channels: Sequence[npt.NDArray[Any]]) -> tuple[float, float]:
    """Black, and how far white is from it, of numbers without an agreed white.

    White is the first of 1 (floats only), 255, 65535 and 2**32 - 1 that no value exceeds; with values outside of that,
    black is the lowest and white the highest. NaN is 0.

    Args:
        channels: Integers or floats, of any shape with rows.
    """
    blocks = [_finite(block) for channel in channels for block in _blocks(channel)]
    low, high = min(low for low, _ in blocks), max(high for _, high in blocks)
    whites = [*([1] if channels[0].dtype.kind == "f" else []), 255, 65535, 2**32 - 1]
    white = next((white for white in whites if low >= 0 and high <= white), None)
    return (0.0, float(white)) if white else (low, high - low)


def spread(values: npt.NDArray[Any], ends: tuple[float, float]) -> npt.NDArray[np.uint8]:
    """Bring numbers to 0..255, in the same shape, by their `ends_of`."""
    black, span = ends
    factor = 255 / span if span else 0.0
    levels = np.empty(values.shape, np.uint8)
    precision = np.float32 if values.itemsize <= 4 else np.float64
    for block, out in zip(_blocks(values), _blocks(levels), strict=True):
        scaled: npt.NDArray[np.floating[Any]] = np.nan_to_num(block.astype(precision), copy=False)
        # Scaled before shifted: the difference of two large floats could overflow.
        scaled *= factor
        scaled -= black * factor
        out[...] = scaled.round(out=scaled).clip(0, 255, out=scaled)
    return levels


def _blocks(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Some rows at a time, so that floats are there twice for these only."""
    rows = max(1, _BLOCK * len(values) // max(1, values.size))
    return (values[start : start + rows] for start in range(0, len(values), rows))


def _finite(block: npt.NDArray[Any]) -> tuple[float, float]:
    """The lowest and the highest value; infinite ones are the type's last."""
    if block.dtype.kind == "f":
        block = np.nan_to_num(block)
    return float(block.min()), float(block.max())
