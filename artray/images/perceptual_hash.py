"""The perceptual hash of a picture: 256 bits; near-duplicates differ in few (see `artray.ingest.duplicates`)."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_VERSION = 1
"""Hashes of two versions can't be compared."""

_SIDE = 64  # the picture is reduced to _SIDE × _SIDE pixels …
_FREQUENCIES = 16  # … of whose discrete cosine transform the lowest 16 × 16 frequencies are kept
_COARSE = 8  # the lowest 8 × 8 of them are the hash's first word, by which pairs are searched
_MIN_CONTRAST = 1.0  # grey levels; below it a hash is made of the sensor's and JPEG's noise
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def perceptual_hash(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The 256-bit perceptual hash (pHash) of each picture.

    The picture in grey is reduced to 64 × 64 pixels (Lanczos) and transformed by a discrete cosine transform. The
    first word says which of the 8 × 8 lowest frequencies are above their median (C. Zauner, "Implementation and
    Benchmarking of Perceptual Image Hash Functions", 2010), the other three which of the remaining of the 16 × 16
    lowest are above the median of all these. But for rounding, these are the bits of
    `imagehash.phash(image, hash_size=8, highfreq_factor=8)` and of `imagehash.phash(image, hash_size=16)`.

    Args:
        images: shape (n, h, w, 3), RGB 0..255. Any size; below 64 × 64 pictures are hardly told apart. Pictures to be
            compared should be decoded to one size.

    Returns:
        Shape (n, 4). All bits zero, which no other picture has: the picture is flat (a blank page, a black frame)
        and can't be recognised.
    """
    n, height, width, _ = images.shape
    # Reduction, greying and transform are linear: two matrix products do all three.
    rows, columns = _reduced_cosines(height), _reduced_cosines(width)
    by_row = rows @ images.reshape(n, height, width * 3).astype(np.float32)
    spectrum = by_row @ np.kron(columns.T, _LUMA[:, None])  # (n, 16, 16)

    amplitude = spectrum * np.outer(_ORTHONORMAL, _ORTHONORMAL)
    amplitude[:, 0, 0] = 0  # the mean brightness is no contrast
    contrast = np.sqrt(np.square(amplitude).sum(axis=(1, 2))) / _SIDE

    coarse, fine = spectrum[:, _IS_COARSE], spectrum[:, ~_IS_COARSE]
    coarse_bits = coarse > np.median(coarse, axis=1, keepdims=True)
    fine_bits = fine > np.median(spectrum.reshape(n, _FREQUENCIES**2), axis=1, keepdims=True)
    bits = np.hstack([coarse_bits, fine_bits]) & (contrast >= _MIN_CONTRAST)[:, None]
    return np.ascontiguousarray(np.packbits(bits, axis=1)).view(np.uint64)


@lru_cache(maxsize=64)
def _reduced_cosines(size: int) -> NDArray[np.float32]:
    """The matrix (16, size) from a line of pixels to the lowest frequencies of the line reduced to 64 pixels."""
    # Resizing is linear: Pillow's own filter, as a matrix, is what it makes of the unit matrix.
    unit = Image.fromarray(np.eye(size, dtype=np.float32))
    reduction = np.asarray(unit.resize((size, _SIDE), Image.Resampling.LANCZOS))
    frequency, position = np.ogrid[:_FREQUENCIES, :_SIDE]
    cosines = 2 * np.cos(np.pi * frequency * (2 * position + 1) / (2 * _SIDE))  # DCT-II as SciPy scales it
    return np.asarray(cosines @ reduction, np.float32)


_ORTHONORMAL = np.full(_FREQUENCIES, np.sqrt(1 / (2 * _SIDE)), np.float32)
_ORTHONORMAL[0] = np.sqrt(1 / (4 * _SIDE))
_IS_COARSE = np.zeros((_FREQUENCIES, _FREQUENCIES), np.bool_)
_IS_COARSE[:_COARSE, :_COARSE] = True
