"""Colours of a picture as numbers: its histogram, CIELAB and HSV."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BITS = 5
_BINS = 1 << 3 * _BITS


class ColorHistogram(NamedTuple):
    """The occupied bins of a histogram with 5 bits per channel, at most 32,768."""

    counts: NDArray[np.float64]
    """Pixels in each bin, (bins,); whole numbers, float for the weighted means to come."""
    colors: NDArray[np.float64]
    """Mean colour of those pixels, (bins, 3), sRGB 0..255: no bin centre, so that no bias is added."""


def color_histogram(image: NDArray[np.uint8]) -> ColorHistogram:
    """Count the colours of one picture, (h, w, 3)."""
    channels = np.ascontiguousarray(image.reshape(-1, 3).T)
    bins = np.zeros(channels.shape[1], np.intp)
    for channel in channels:
        bins <<= _BITS
        bins |= channel >> 8 - _BITS
    pixels = np.bincount(bins, minlength=_BINS)
    occupied = np.flatnonzero(pixels)
    counts = pixels[occupied].astype(np.float64)
    sums = [np.bincount(bins, weights=channel, minlength=_BINS)[occupied] for channel in channels]
    return ColorHistogram(counts, np.stack(sums, axis=-1) / counts[:, None])


# IEC 61966-2-1, to XYZ relative to D65 white.
_RGB_TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])
_RGB_TO_WHITE = (_RGB_TO_XYZ / _RGB_TO_XYZ.sum(axis=1, keepdims=True)).T
_XYZ_TO_LAB = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]]).T
_LAB_OFFSET = np.array([-16, 0, 0])


def rgb_to_lab(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert sRGB 0..255, (..., 3), to CIELAB under D65, where equal distances look about equally large."""
    rgb = rgb / 255
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    xyz = linear @ _RGB_TO_WHITE
    compressed = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    lab: NDArray[np.float64] = compressed @ _XYZ_TO_LAB + _LAB_OFFSET
    return lab


def rgb_to_hsv(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Convert sRGB 0..255, (..., 3), to hue, saturation and value, each 0..1, like `colorsys.rgb_to_hsv`."""
    red, green, blue = channels = np.moveaxis(rgb.astype(np.float64), -1, 0) / 255
    value = channels.max(axis=0)
    chroma = value - channels.min(axis=0)
    some = np.where(chroma > 0, chroma, 1)  # greys have hue 0
    sextant = np.select(
        [red == value, green == value],
        [(green - blue) / some, 2 + (blue - red) / some],
        4 + (red - green) / some,
    )
    return np.stack([sextant / 6 % 1, chroma / np.where(value > 0, value, 1), value], axis=-1)
