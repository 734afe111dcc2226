"""Differentiable augmentation: changes that only the discriminator sees (Zhao et al. 2020, "DiffAugment").

With few real pictures a discriminator learns them by heart. It is shown changed ones, real and generated alike, and the
generator's gradient passes through the change, so it does not learn to make changed pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

NUMBERS = 7
"""Random numbers that a picture needs."""
CHANGES = ("color", "translation", "cutout")
"""All changes, in the order in which they are made."""

_GREY = 127.5
_LN2 = 0.6931471805599453


def diff_augment(pictures: Any, numbers: Any, changes: Sequence[str], chosen: Any = None) -> Any:
    """Change pictures.

    Args:
        pictures: (n, size, size, 3) float RGB 0..255.
        numbers: (n, NUMBERS), even between 0 and 1: they say how.
        changes: Any of `color` (brightness by up to a quarter of the range, saturation by 0 to 2, contrast by 0.5 to
            1.5), `translation` (by up to an eighth of the side; what comes into view is grey) and `cutout` (a grey
            square of half the side).
        chosen: (n, 3) 1 where a picture is changed in so far, 0 where not, by `CHANGES`; None: all are.

    Returns:
        (n, size, size, 3); colours may leave 0..255.
    """
    if chosen is not None:
        numbers = _unless(numbers, chosen)
    size = pictures.shape[1]
    each = [ops.reshape(numbers[:, column], (-1, 1, 1, 1)) for column in range(NUMBERS)]
    if "color" in changes:
        pictures = pictures + (each[0] - 0.5) * 127.5
        mean = ops.mean(pictures, axis=3, keepdims=True)
        pictures = (pictures - mean) * (2 * each[1]) + mean
        mean = ops.mean(pictures, axis=(1, 2, 3), keepdims=True)
        pictures = (pictures - mean) * (each[2] + 0.5) + mean
    if "translation" in changes:
        most = int(size / 8 + 0.5)
        down, across = (_shift(numbers[:, column], most, size, pictures.dtype) for column in (3, 4))
        # One row of a shift is a 1 or nothing: on a CPU two such products are faster than gathering pixels.
        pictures = ops.einsum("nyh,nhwc->nywc", down, pictures - _GREY)
        pictures = ops.einsum("nxw,nywc->nyxc", across, pictures) + _GREY
    if "cutout" in changes:
        side = int(size / 2 + 0.5)
        hidden = _span(numbers[:, 5], side, size)[:, :, None] & _span(numbers[:, 6], side, size)[:, None, :]
        if chosen is not None:
            hidden = ops.logical_and(hidden, chosen[:, 2, None, None] > 0.5)
        pictures = ops.where(hidden[..., None], ops.cast(_GREY, pictures.dtype), pictures)
    return pictures


_NOTHING = ((0.5, 0.5, 0.5), (0.5, 0.5), (0.0, 0.0))
"""The numbers with which each of the changes changes nothing (of a cutout none do)."""


def _unless(numbers: Any, chosen: Any) -> Any:
    pieces, start = [], 0
    for number, still in enumerate(_NOTHING):
        piece = numbers[:, start : start + len(still)]
        pieces.append(
            ops.where(chosen[:, number, None] > 0.5, piece, ops.cast(ops.convert_to_tensor(still), piece.dtype))
        )
        start += len(still)
    return ops.concatenate(pieces, axis=1)


def next_strength(strength: Any, sign: Any, target: float, change: float, most: float) -> Any:
    """How likely each change is from now on (adaptive discriminator augmentation; Karras et al. 2020).

    Args:
        strength: p, as it is.
        sign: The mean sign of the scores of real examples, -1..1: towards 1 the discriminator knows them by heart.
        target: What that sign is to be.
        change: By how much p rises where the sign is above it, and falls where it is below.
        most: The greatest p.
    """
    return ops.clip(strength + ops.sign(sign - target) * change, 0.0, most)


def blurred(pictures: Any, sigma: Any) -> Any:
    """Pictures blurred by a Gaussian of which half lies within about sigma pixels; 0 leaves them as they are.

    The weight of a place d pixels away is 2^-(d/σ)² up to 3 σ (Sauer et al. 2021), those inside of the picture summing
    to 1. The shape of all of it is fixed, so that sigma may be a tensor that changes from step to step.

    Args:
        pictures: (n, size, size, 3).
        sigma: In pixels.
    """
    size = pictures.shape[1]
    pixels = ops.arange(size, dtype="float32")
    away = ops.absolute(pixels[:, None] - pixels[None, :])
    weight = ops.exp(-_LN2 * ops.square(away / ops.maximum(sigma, 1e-3))) * ops.cast(away <= 3 * sigma, "float32")
    weight = ops.cast(weight / ops.sum(weight, axis=1, keepdims=True), pictures.dtype)
    x = ops.matmul(weight, ops.reshape(pictures, (-1, size, size * 3)))
    x = ops.matmul(weight, ops.reshape(x, (-1, size, 3)))
    return ops.reshape(x, (-1, size, size, 3))


def _shift(number: Any, most: int, size: int, dtype: Any) -> Any:
    """(n, size, size): a 1 where a place is taken from, when all move by -most to most."""
    move = ops.floor(number * (2 * most + 1)) - most
    pixels = ops.arange(size, dtype="float32")
    return ops.cast(ops.equal(pixels[None, :, None] - pixels[None, None, :], move[:, None, None]), dtype)


def _span(number: Any, side: int, size: int) -> Any:
    """(n, size): which places a square covers along one axis; its middle is anywhere."""
    first = ops.floor(number * (size + 1 - side % 2)) - side // 2
    pixels = ops.arange(size, dtype="float32")[None]
    return ops.logical_and(pixels >= first[:, None], pixels < first[:, None] + side)
