"""How good an upscaler is: beside interpolation, on works of the test part that were made small.

Figures are means over examples of PSNR and SSIM (see `quality`), each of the upscaler and of Pillow's bicubic
interpolation, on the same small pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.upscaler import EXAMPLES
from artray.images.digital_source import changed_by
from artray.images.encoding import png
from artray.images.pictures import Picture
from artray.storage import Location
from artray.super_resolution.pairs import all_reduced, resized
from artray.super_resolution.quality import compared

Enlarge = Callable[[Picture], Picture]
"""From pictures (n, h, w, 3) to enlarged ones."""

SHOWN = 6
_BATCH = 16


def measure(
    enlarge: Enlarge,
    take: Callable[[npt.NDArray[np.int64]], Picture],
    examples: npt.NDArray[np.int64],
    scale: int,
    *,
    interpolation: bool = True,
) -> npt.NDArray[np.float64]:
    """PSNR and SSIM of each example.

    Args:
        enlarge: The upscaler.
        take: The originals of some examples.
        examples: (n,).
        scale: The upscaler's.
        interpolation: Whether interpolation is measured too.

    Returns:
        (n, 2) PSNR and SSIM, or (n, 4) with those of bicubic interpolation.
    """
    rows = []
    for start in range(0, len(examples), _BATCH):
        originals = take(examples[start : start + _BATCH])
        small = all_reduced(originals, scale)
        for original, large, little in zip(originals, enlarge(small), small, strict=True):
            row = [*compared(large, original, scale)]
            if interpolation:
                row += compared(resized(little, original.shape[1], original.shape[0]), original, scale)
            rows.append(row)
    return np.array(rows, np.float64).reshape(len(rows), 4 if interpolation else 2)


def evaluation_of(figures: npt.NDArray[np.float64]) -> dict[str, Any]:
    """`evaluation.json`, of what `measure` found; `n` is 0, and figures are None, where there is no test part."""
    number = len(figures)
    means = figures.mean(axis=0).round(4).tolist() if number else [None] * 4
    spread = None
    if number:
        gain = figures[:, 0] - figures[:, 2]
        spread = round(float(gain.std(ddof=1) / np.sqrt(number)) if number > 1 else 0.0, 4)
    return {
        "n": number,
        "upscaler": {"psnr": means[0], "ssim": means[1]},
        "bicubic": {"psnr": means[2], "ssim": means[3]},
        "psnr_gain_error": spread,
        "better": round(float((figures[:, 0] > figures[:, 2]).mean()), 4) if number else None,
    }


def write_examples(
    out: Location, enlarge: Enlarge, originals: Picture, scale: int, *, model: str, figures: npt.NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Write some examples, each small, interpolated, enlarged and as it was, for the page.

    Args:
        out: The bundle's place.
        enlarge: The upscaler.
        originals: (n, size, size, 3).
        scale: The upscaler's.
        model: Its id.
        figures: (n, 4) as `measure` finds them.

    Returns:
        The figures by example.
    """
    found = []
    small = all_reduced(originals, scale) if len(originals) else originals
    enlarged = enlarge(small) if len(originals) else originals
    for number, original in enumerate(originals):
        side = original.shape[0]
        pictures = {
            "small": (small[number].repeat(scale, axis=0).repeat(scale, axis=1), None),
            "bicubic": (resized(small[number], side, side), None),
            "upscaler": (enlarged[number], changed_by(model)),
            "original": (original, None),
        }
        for kind, (picture, source) in pictures.items():
            (out / EXAMPLES / f"{number:02d}-{kind}.png").write_bytes(png(picture, source=source))
        psnr, ssim, plain_psnr, plain_ssim = figures[number].round(4).tolist()
        found.append({"psnr": psnr, "ssim": ssim, "bicubic_psnr": plain_psnr, "bicubic_ssim": plain_ssim})
    return found
