"""How near an enlarged picture is to the original: PSNR and SSIM of the luminance, as the field measures them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from artray.images.pictures import Picture

_LUMA = np.array([65.481, 128.553, 24.966])  # ITU-R BT.601, 16 to 235
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def luminance(picture: Picture) -> npt.NDArray[np.float64]:
    """Y of Y'CbCr, 16 to 235, (height, width)."""
    return np.asarray(picture @ _LUMA / 255 + 16, np.float64)


def psnr(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Peak signal-to-noise ratio in dB of two luminances; at most 100, where they are the same."""
    error = float(np.mean((first - second) ** 2))
    return min(100.0, 10 * np.log10(255**2 / error)) if error else 100.0


def ssim(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    """Structural similarity of two luminances, the mean over all places where its window fits; 1: the same.

    Wang et al. 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity": a Gaussian window of
    11 pixels and a standard deviation of 1.5.

    Raises:
        ValueError: A side is shorter than the window.
    """
    if min(first.shape) < _WINDOW:
        raise ValueError(f"SSIM needs {_WINDOW} pixels a side at least")
    mean1, mean2 = _blurred(first), _blurred(second)
    square1 = _blurred(first * first) - mean1 * mean1
    square2 = _blurred(second * second) - mean2 * mean2
    both = _blurred(first * second) - mean1 * mean2
    numerator = (2 * mean1 * mean2 + _C1) * (2 * both + _C2)
    denominator = (mean1 * mean1 + mean2 * mean2 + _C1) * (square1 + square2 + _C2)
    return float(np.mean(numerator / denominator))


def compared(enlarged: Picture, original: Picture, shave: int) -> tuple[float, float]:
    """PSNR and SSIM of an enlarged picture and the original.

    Args:
        enlarged: (height, width, 3).
        original: Likewise.
        shave: So many pixels at the edges are left out: the scale, where papers compare.
    """
    inner = slice(shave, -shave or None)
    first, second = luminance(enlarged)[inner, inner], luminance(original)[inner, inner]
    return psnr(first, second), ssim(first, second)


def _blurred(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means under the window, where it fits: (height - 10, width - 10)."""
    offsets = np.arange(_WINDOW) - _WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    window /= window.sum()
    for axis in (0, 1):
        inside = values.shape[axis] - _WINDOW + 1
        moved = (np.take(values, range(number, number + inside), axis) for number in range(_WINDOW))
        values = np.sum([weight * shifted for weight, shifted in zip(window, moved, strict=True)], axis=0)
    return values
