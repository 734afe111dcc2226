"""Patches (A6): k random squares of side p from a picture, the same ones wherever and whenever they are drawn."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from PIL import Image

from artray.images.pictures import Picture


def positions(
    object_id: str, width: int, height: int, *, size: int, per_image: int, seed: int
) -> npt.NDArray[np.int64]:
    """Where the squares lie: (per_image, 2) of left and top, uniform over all places where a square fits.

    They depend on nothing but the arguments: not on the order, the batch or the machine.

    Raises:
        ValueError: The picture is smaller than a square.
    """
    if min(width, height) < size:
        raise ValueError(f"a {width}x{height} picture has no {size}x{size} square")
    key = hashlib.blake2b(f"{seed}\0{object_id}".encode(), digest_size=16).digest()
    # PCG64's raw words are the same on every platform and release; numpy's derived distributions need not be.
    words = np.random.PCG64(int.from_bytes(key, "big")).random_raw(2 * per_image).reshape(per_image, 2)
    room = np.array([width - size + 1, height - size + 1], np.uint64)
    return (words % room).astype(np.int64)


def draw(image: Picture, object_id: str, *, size: int, per_image: int, seed: int) -> npt.NDArray[np.uint8]:
    """The squares of one picture, (per_image, size, size, 3).

    A picture with a side shorter than `size` is enlarged until it is as long (bicubic, aspect kept).
    """
    image = enlarged(image, size)
    height, width = image.shape[:2]
    corners = positions(object_id, width, height, size=size, per_image=per_image, seed=seed)
    return np.stack([image[top : top + size, left : left + size] for left, top in corners])


def enlarged(image: Picture, size: int) -> Picture:
    """The picture, or an enlarged one whose shorter side is `size`."""
    height, width = image.shape[:2]
    if min(height, width) >= size:
        return image
    factor = size / min(height, width)
    wide, high = max(size, round(width * factor)), max(size, round(height * factor))
    return np.asarray(Image.fromarray(image).resize((wide, high), Image.Resampling.BICUBIC))


def resized(image: Picture, size: int) -> Picture:
    """A square patch at a model's size (a box filter); training and labelling both come through here."""
    if image.shape[0] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))
