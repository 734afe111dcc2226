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

_GREY = 127.5


def diff_augment(pictures: Any, numbers: Any, changes: Sequence[str]) -> Any:
    """Change pictures.

    Args:
        pictures: (n, size, size, 3) float RGB 0..255.
        numbers: (n, NUMBERS), even between 0 and 1: they say how.
        changes: Any of `color` (brightness by up to a quarter of the range, saturation by 0 to 2, contrast by 0.5 to
            1.5), `translation` (by up to an eighth of the side; what comes into view is grey) and `cutout` (a grey
            square of half the side).

    Returns:
        (n, size, size, 3); colours may leave 0..255.
    """
    size = pictures.shape[1]
    each = [ops.reshape(numbers[:, place], (-1, 1, 1, 1)) for place in range(NUMBERS)]
    if "color" in changes:
        pictures = pictures + (each[0] - 0.5) * 127.5
        mean = ops.mean(pictures, axis=3, keepdims=True)
        pictures = (pictures - mean) * (2 * each[1]) + mean
        mean = ops.mean(pictures, axis=(1, 2, 3), keepdims=True)
        pictures = (pictures - mean) * (each[2] + 0.5) + mean
    if "translation" in changes:
        most = int(size / 8 + 0.5)
        down, across = (_shift(numbers[:, place], most, size, pictures.dtype) for place in (3, 4))
        # One row of a shift is a 1 or nothing: on a CPU two such products are faster than gathering pixels.
        pictures = ops.einsum("nyh,nhwc->nywc", down, pictures - _GREY)
        pictures = ops.einsum("nxw,nywc->nyxc", across, pictures) + _GREY
    if "cutout" in changes:
        side = int(size / 2 + 0.5)
        hidden = _span(numbers[:, 5], side, size)[:, :, None] & _span(numbers[:, 6], side, size)[:, None, :]
        pictures = ops.where(hidden[..., None], ops.cast(_GREY, pictures.dtype), pictures)
    return pictures


def _shift(number: Any, most: int, size: int, dtype: Any) -> Any:
    """(n, size, size): a 1 where a place is taken from, when all move by -most to most."""
    move = ops.floor(number * (2 * most + 1)) - most
    places = ops.arange(size, dtype="float32")
    return ops.cast(ops.equal(places[None, :, None] - places[None, None, :], move[:, None, None]), dtype)


def _span(number: Any, side: int, size: int) -> Any:
    """(n, size): which places a square covers along one axis; its middle is anywhere."""
    first = ops.floor(number * (size + 1 - side % 2)) - side // 2
    places = ops.arange(size, dtype="float32")[None]
    return ops.logical_and(places >= first[:, None], places < first[:, None] + side)
