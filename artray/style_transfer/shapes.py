"""Pictures of many shapes, worked on in batches of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from artray.images.pictures import Picture

_STEP = 16  # pixels that sides are rounded to: a network's coarsest map has a whole number of places then
_SMALLEST = 32


def side_lengths(size: int, scales: int) -> list[int]:
    """The long sides of a picture from coarse to fine, each half of the next; none below 32 pixels.

    Args:
        size: The last one.
        scales: How many at most.
    """
    return [size >> halvings for halvings in reversed(range(scales)) if not halvings or size >> halvings >= _SMALLEST]


def rounded_shape(picture: Picture) -> tuple[int, int]:
    """The height and width that a picture is worked on in: its own, to the nearest 16 pixels."""
    height, width = (max(_SMALLEST, round(side / _STEP) * _STEP) for side in picture.shape[:2])
    return height, width


def resized(picture: Picture, height: int, width: int) -> Picture:
    """A picture of another height and width (Lanczos)."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))


def at_scale(pictures: Picture, factor: int) -> Picture:
    """Pictures (n, height, width, 3) with sides so many times shorter."""
    if factor == 1:
        return pictures
    _, height, width, _ = pictures.shape
    return np.stack([resized(picture, height // factor, width // factor) for picture in pictures])


def batches_by_shape(pictures: Sequence[Picture], most: int) -> Iterator[tuple[list[int], Picture]]:
    """Pictures in batches of one rounded shape.

    Args:
        pictures: (height, width, 3) each.
        most: How many are in a batch at most.

    Yields:
        The places of some among `pictures`, and those (n, height, width, 3).
    """
    numbers_of: dict[tuple[int, int], list[int]] = {}
    for number, picture in enumerate(pictures):
        numbers_of.setdefault(rounded_shape(picture), []).append(number)
    for shape, numbers in numbers_of.items():
        for start in range(0, len(numbers), most):
            some = numbers[start : start + most]
            yield some, np.stack([resized(pictures[number], *shape) for number in some])
