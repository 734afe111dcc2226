"""Near-duplicates: perceptual fingerprints of pictures, and the groups of pictures that show the same work.

A museum photographs a work twice, a data set holds one painting under two titles. Such pictures must not lie on
two sides of a split (system A7). Each picture gets a 256-bit perceptual hash (pHash); pictures whose hashes differ
in few bits form a group:

    fingerprints = fingerprint(images)              # (n, 4) uint64
    groups = near_duplicate_groups(fingerprints)    # (n,) int64

What is found: other scans, sizes, compressions, exposures and tints of one work, and crops of about 2 % a side.
What is not: mirrored or turned pictures, details, and frames or crops of more than about 4 % a side.
"""

from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["DISTANCE", "FINGERPRINT_VERSION", "fingerprint", "join_pairs", "near_duplicate_groups"]

FINGERPRINT_VERSION = 1
"""Fingerprints of two versions can't be compared."""

DISTANCE = 56
"""Default number of the 256 bits in which near-duplicates may differ.

Pairs of different paintings differ in 128 ± 10 bits, and hardly ever in fewer than 84; 99 % of pictures cropped by
2 % a side, recompressed, rescaled, turned by 1° or re-exposed differ from their original in 48 or fewer.
"""

_SIDE = 64  # the picture is reduced to _SIDE × _SIDE pixels …
_FREQUENCIES = 16  # … of whose discrete cosine transform the lowest 16 × 16 frequencies are kept
_COARSE = 8  # the lowest 8 × 8 of them are the fingerprint's first word, by which pairs are searched
_COARSE_DISTANCE = 10  # bits of the first word in which near-duplicates may differ; imagededup's default for pHash
_MIN_CONTRAST = 1.0  # grey levels; below it a hash is made of the sensor's and JPEG's noise
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# With 10 + 3 bands, two words that differ in at most 10 bits agree in at least 3 whole bands: a pair is found by one
# of the 286 keys of 3 bands. One band of each key would do (pigeonhole), but its 6 bits would leave each word to be
# compared with a 64th of all others; the 14 or 15 bits of three bands leave a 20,000th.
_AGREEING_BANDS = 3


def fingerprint(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The 256-bit perceptual hash (pHash) of each picture.

    The picture in grey is reduced to 64 × 64 pixels (Lanczos) and transformed by a discrete cosine transform; a bit
    says whether one of the 16 × 16 lowest frequencies is above their median (C. Zauner, "Implementation and
    Benchmarking of Perceptual Image Hash Functions", 2010). The bits are those of
    `imagehash.phash(image, hash_size=16)` but for rounding, ordered so that the first word holds the 8 × 8 lowest
    frequencies.

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

    bits = spectrum > np.median(spectrum.reshape(n, _FREQUENCIES**2), axis=1)[:, None, None]
    bits &= (contrast >= _MIN_CONTRAST)[:, None, None]
    coarse, fine = bits[:, _IS_COARSE], bits[:, ~_IS_COARSE]
    return np.packbits(np.hstack([coarse, fine]), axis=1).view(np.uint64)


def near_duplicate_groups(fingerprints: NDArray[np.uint64], distance: int = DISTANCE) -> NDArray[np.int64]:
    """Groups of pictures that are alike, directly or through others.

    Two pictures are alike if their fingerprints differ in at most `distance` bits, of which at most 10 in the first
    word. Every such pair is found. Flat pictures are alike to none. Time and memory grow nearly linearly with the
    number of pictures; many equal or almost equal fingerprints cost no more than others.

    Args:
        fingerprints: shape (n, 4), of `fingerprint`.
        distance: 0..256; 0 joins equal fingerprints only.

    Returns:
        Shape (n,): for each picture the index of the first picture of its group.
    """
    n = len(fingerprints)
    indices = np.arange(n)
    if n == 0:
        return indices
    as_bytes = np.ascontiguousarray(fingerprints).view("V32").ravel()  # one value a row: np.unique(axis=0) is slow
    _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    roots = _roots_of_words(fingerprints[first], distance)
    first_of_group = np.full(len(first), n)
    np.minimum.at(first_of_group, roots, first)
    groups = first_of_group[roots][inverse]
    return np.where(fingerprints.any(axis=1), groups, indices)


def join_pairs(roots: NDArray[np.int64], a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The connected components after joining each `a[i]` with `b[i]`.

    Args:
        roots: shape (n,): for each node the smallest node of its component so far; `np.arange(n)` at the start.
        a: shape (m,), nodes.
        b: shape (m,), nodes.

    Returns:
        Shape (n,): for each node the smallest node of its component. `roots` is not changed.
    """
    roots = roots.copy()
    while True:
        root_a, root_b = roots[a], roots[b]
        apart = root_a != root_b
        if not apart.any():
            return roots
        a, b, root_a, root_b = a[apart], b[apart], root_a[apart], root_b[apart]
        np.minimum.at(roots, np.maximum(root_a, root_b), np.minimum(root_a, root_b))
        while not np.array_equal(roots, shorter := roots[roots]):
            roots = shorter


def _roots_of_words(words: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """For each of the different fingerprints the smallest index of its group."""
    coarse_distance = min(_COARSE_DISTANCE, distance)
    coarse = np.ascontiguousarray(words[:, 0])
    edges = np.linspace(0, 64, coarse_distance + _AGREEING_BANDS + 1).astype(np.uint64)
    widths = np.diff(edges)
    bands = [coarse >> edge & ((np.uint64(1) << width) - np.uint64(1)) for edge, width in zip(edges, widths, strict=False)]
    index_bits = np.uint64(len(words).bit_length())
    indices = np.arange(len(words), dtype=np.uint64)
    roots = np.arange(len(words))
    for chosen in combinations(range(len(bands)), _AGREEING_BANDS):
        # Sorted by key and then by group, so that those to be compared with a word (same key, another group) are one
        # stretch: from the end of its group to the end of its key. Packed in one integer, which sorts 8 times faster.
        packed = np.zeros(len(words), np.uint64)
        for band in chosen:
            packed = packed << widths[band] | bands[band]
        packed = (packed << index_bits | roots.astype(np.uint64)) << index_bits | indices
        packed.sort()
        order = (packed & ((np.uint64(1) << index_bits) - np.uint64(1))).astype(np.int64)
        group = packed >> index_bits
        key_end, other = _ends(group >> index_bits), _ends(group)
        sorted_coarse = coarse[order]
        here = np.flatnonzero(other < key_end)
        other, key_end = other[here], key_end[here]
        while len(here):
            close = np.bitwise_count(sorted_coarse[here] ^ sorted_coarse[other]) <= coarse_distance
            a, b = order[here[close]], order[other[close]]
            # Those joined in this very round need no second look.
            apart = roots[a] != roots[b]
            a, b = a[apart], b[apart]
            alike = np.bitwise_count(words[a] ^ words[b]).sum(axis=1) <= distance
            if alike.any():
                roots = join_pairs(roots, a[alike], b[alike])
            other += 1
            left = other < key_end
            here, other, key_end = here[left], other[left], key_end[left]
    return roots


def _ends(values: NDArray[np.uint64]) -> NDArray[np.int64]:
    """For each element of a sorted array the index after the last one equal to it."""
    ends = np.append(np.flatnonzero(values[1:] != values[:-1]) + 1, len(values))
    return np.repeat(ends, np.diff(ends, prepend=0))


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
