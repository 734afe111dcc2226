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

Different works differ in 127 ± 8 bits (paintings and prints of six styles), close-up portraits in 120 ± 10. 99 % of
pictures cropped by 2 % a side, recompressed, halved in size, turned by 1° or re-exposed differ from their original in
46 or fewer. Of the 53 pairs found among 2,460 paintings, prints, portraits and algorithmic pictures, 51 surely showed
one work, a replica of it or the output of one program; 2 may be another sitter in the same pose.
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
_ONE = np.uint64(1)
_PAIRS_AT_ONCE = 1 << 20


def fingerprint(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
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


def near_duplicate_groups(fingerprints: NDArray[np.uint64], distance: int = DISTANCE) -> NDArray[np.int64]:
    """Groups of pictures that are alike, directly or through others.

    Two pictures are alike if their fingerprints differ in at most `distance` bits, of which at most 10 in the first
    word. Every such pair is found. Flat pictures are alike to none. Equal and almost equal fingerprints, however many,
    cost no more than others; thousands of pictures whose first words are equal but whose others are not would take
    time quadratic in their number.

    Args:
        fingerprints: shape (n, 4), of `fingerprint`; up to 16 million.
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
    bands = [coarse >> edge & ((_ONE << width) - _ONE) for edge, width in zip(edges[:-1], widths, strict=True)]
    roots: NDArray[np.int64] = np.arange(len(words))
    for chosen in combinations(range(len(bands)), _AGREEING_BANDS):
        key = np.zeros(len(words), np.uint64)
        for band in chosen:
            key = key << widths[band] | bands[band]
        budget = _PAIRS_AT_ONCE
        while True:
            roots, done = _join_within(key, words, coarse, roots, coarse_distance, distance, budget)
            if done:
                break
            budget *= 2
    return roots


def _join_within(
    key: NDArray[np.uint64],
    words: NDArray[np.uint64],
    coarse: NDArray[np.uint64],
    roots: NDArray[np.int64],
    coarse_distance: int,
    distance: int,
    budget: int,
) -> tuple[NDArray[np.int64], bool]:
    """Join the alike among the words of equal key; False if it is worth starting again with the groups found.

    After `budget` pairs it pays to leave out those that were joined meanwhile: thousands of almost equal words have
    millions of pairs, but are one group soon.
    """
    # Sorted by key and then by group, so that those to be compared with a word (same key, another group) are one
    # stretch: from the end of its group to the end of its key. Packed in one integer, which sorts 8 times faster.
    n = len(words)
    index_bits = np.uint64(n.bit_length())
    packed = (key << index_bits | roots.astype(np.uint64)) << index_bits | np.arange(n, dtype=np.uint64)
    packed.sort()
    order = (packed & ((_ONE << index_bits) - _ONE)).astype(np.int64)
    group = packed >> index_bits
    key_end, others = _ends(group >> index_bits), _ends(group)
    sorted_coarse = coarse[order]

    # Pair p belongs to the word `here` with pairs_before[here] <= p < pairs_before[here + 1].
    pairs_before = np.concatenate([[0], np.cumsum(key_end - others)])
    joined = False
    for start in range(0, int(pairs_before[-1]), _PAIRS_AT_ONCE):
        if joined and start >= budget:
            return roots, False
        pair = np.arange(start, min(start + _PAIRS_AT_ONCE, pairs_before[-1]))
        low, high = np.searchsorted(pairs_before, [pair[0], pair[-1]], side="right") - 1
        counts = np.diff(np.clip(pairs_before[low : high + 2], pair[0], pair[-1] + 1))
        here = np.repeat(np.arange(low, high + 1), counts)
        other = others[here] + pair - pairs_before[here]
        close = np.bitwise_count(sorted_coarse[here] ^ sorted_coarse[other]) <= coarse_distance
        a, b = order[here[close]], order[other[close]]
        apart = roots[a] != roots[b]
        a, b = a[apart], b[apart]
        alike = np.bitwise_count(words[a] ^ words[b]).sum(axis=1) <= distance
        if alike.any():
            roots, joined = join_pairs(roots, a[alike], b[alike]), True
    return roots, True


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
