"""Changed pictures on this machine's CPUs: Pillow in threads, which it lets run beside each other."""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image

from artray.engine.augmentation import LUMA, Augmentation, unpacked

Pictures = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float32]

_PIXELS = 64 * 64 * 32  # fewer are changed before a second thread has begun


def changed(images: Pictures, numbers: Numbers, how: Augmentation, threads: int = 1) -> Pictures:
    """Change pictures.

    Args:
        images: (n, size, size, 3) RGB.
        numbers: As `augmentation.draw` draws them for these pictures.
        how: What may happen.
        threads: How many pictures may be worked on at a time.

    Returns:
        Pictures of the same shape and type.
    """
    views = np.empty_like(images)
    threads = min(threads, max(1, images.shape[0] * images.shape[1] * images.shape[2] // _PIXELS))
    if threads == 1 or not (how.rotate or how.crop or how.distort):  # to move pixels is not worth a thread
        _change(images, numbers, how, views)
        return views
    cuts = np.linspace(0, len(images), 2 * threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        done = [
            pool.submit(_change, images[begin:end], numbers[begin:end], how, views[begin:end])
            for begin, end in itertools.pairwise(cuts)
        ]
    for job in done:
        job.result()
    return views


def _change(images: Pictures, numbers: Numbers, how: Augmentation, views: Pictures) -> None:
    changes = unpacked(numbers)
    moves = changes.moves.astype(int).tolist()
    plain = np.eye(3, dtype=np.float32)
    for row, view in enumerate(images):
        if how.rotate or how.crop:
            view = _resampled(view, changes.matrix[row], changes.shift[row])
        if how.distort is not None and not (changes.lift[row] == 0 and np.array_equal(changes.color[row], plain)):
            view = _distorted(view, changes.color[row], float(changes.lift[row]))
        mirrored, upside_down, turns = moves[row]
        view = view[:, ::-1] if mirrored else view
        view = view[::-1] if upside_down else view
        views[row] = np.rot90(view, turns) if turns else view


def _resampled(image: Pictures, matrix: Numbers, shift: Numbers) -> Pictures:
    """Rotation and crop as one affine map from the result's pixels to the picture's."""
    size = image.shape[0]
    (a, b), (c, d) = matrix.tolist()
    right, down = (shift * size).tolist()
    # How far the corners lie outside the picture; two pixels more are for the interpolation.
    reach = (max(abs(a) + abs(b), abs(c) + abs(d)) - 1) * size / 2 + max(abs(right), abs(down))
    margin = max(0, math.ceil(reach)) + 2
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    middle = size / 2
    whole = (a, b, middle + margin + right - middle * (a + b), c, d, middle + margin + down - middle * (c + d))
    view = Image.fromarray(padded).transform((size, size), Image.Transform.AFFINE, whole, Image.Resampling.BICUBIC)
    return np.asarray(view)


def _distorted(image: Pictures, color: Numbers, lift: float) -> Pictures:
    offset = lift * float(image.reshape(-1, 3).mean(axis=0) @ LUMA)
    matrix = np.hstack([color, np.full((3, 1), offset)]).ravel().tolist()
    return np.asarray(Image.fromarray(image).convert("RGB", tuple(matrix)))
