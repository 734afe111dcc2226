"""Pairs to learn from: squares of pictures, and the same made small.

The small ones are made as the field makes them, by bicubic interpolation with the filter widened by the scale, rounded
to bytes (Pillow's; MATLAB's `imresize` does the same).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from artray.engine.augmentation import even
from artray.images.pictures import Picture


def crops(pictures: Picture, examples: npt.NDArray[np.int64], size: int, seed: int, epoch: int) -> Picture:
    """A square of each picture, anywhere in it, turned by a multiple of 90° and mirrored at random.

    What is drawn follows from the seed, the epoch and the example alone.

    Args:
        pictures: (n, side, side, 3).
        examples: (n,) who they are.
        size: Side of the squares.
        seed: Of the run.
        epoch: Every epoch gives others.

    Returns:
        (n, size, size, 3).
    """
    across, down, turn, mirror = even(seed, epoch, examples, 4).T
    room = pictures.shape[1] - size + 1
    drawn = zip(across * room, down * room, 4 * turn, mirror < 0.5, strict=True)
    squares = np.empty((len(pictures), size, size, 3), np.uint8)
    for number, (left, top, quarters, mirrored) in enumerate(drawn):
        square = pictures[number, int(top) : int(top) + size, int(left) : int(left) + size]
        square = np.rot90(square, int(quarters))
        squares[number] = square[:, ::-1] if mirrored else square
    return squares


def reduced(picture: Picture, scale: int) -> Picture:
    """A picture made small: (height // scale, width // scale, 3)."""
    height, width = picture.shape[:2]
    return resized(picture, width // scale, height // scale)


def resized(picture: Picture, width: int, height: int) -> Picture:
    """A picture at another size, by bicubic interpolation."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))


def all_reduced(pictures: Picture, scale: int) -> Picture:
    """Many pictures of one size made small, (n, …)."""
    return np.stack([reduced(picture, scale) for picture in pictures])
