"""Near-duplicates: the groups of pictures that show the same work, by their perceptual hashes.

A museum photographs a work twice, a data set holds one painting under two titles. Such pictures must not lie on
two sides of a split (system A7). Each picture gets a 256-bit perceptual hash (pHash); pictures whose hashes differ
in few bits form a group:

    hashes = perceptual_hash(images)          # (n, 4) uint64, of artray.images.perceptual_hash
    groups = near_duplicate_groups(hashes)    # (n,) int64

What is found: other scans, sizes, compressions, exposures and tints of one work, and crops of about 2 % a side.
What is not: mirrored or turned pictures, details, and frames or crops of more than about 4 % a side.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

DISTANCE = 56
"""Default number of the 256 bits in which near-duplicates may differ.

Different works differ in 127 ± 8 bits (paintings and prints of six styles), close-up portraits in 120 ± 10. 99 % of
pictures cropped by 2 % a side, recompressed, halved in size, turned by 1° or re-exposed differ from their original in
46 or fewer. Of the 53 pairs found among 2,460 paintings, prints, portraits and algorithmic pictures, 51 surely showed
one work, a replica of it or the output of one program; 2 may be another sitter in the same pose.
"""

_COARSE_DISTANCE = 10  # bits of the first word in which near-duplicates may differ; imagededup's default for pHash

# With 10 + 3 bands, two words that differ in at most 10 bits agree in at least 3 whole bands: a pair is found by one
# of the 286 keys of 3 bands. One band of each key would do (pigeonhole), but its 6 bits would leave each word to be
# compared with a 64th of all others; the 14 or 15 bits of three bands leave a 20,000th.
_AGREEING_BANDS = 3
_ONE = np.uint64(1)
_PAIRS_AT_ONCE = 1 << 20


def near_duplicate_groups(hashes: NDArray[np.uint64], distance: int = DISTANCE) -> NDArray[np.int64]:
    """Groups of pictures that are alike, directly or through others.

    Two pictures are alike if their hashes differ in at most `distance` bits, of which at most 10 in the first
    word. Every such pair is found. Flat pictures are alike to none. Equal and almost equal hashes, however many,
    cost no more than others; thousands of pictures whose first words are equal but whose others are not would take
    time quadratic in their number.

    Args:
        hashes: shape (n, 4), of `perceptual_hash`; up to 16 million.
        distance: 0..256; 0 joins equal hashes only.

    Returns:
        Shape (n,): for each picture the index of the first picture of its group.
    """
    n = len(hashes)
    indices = np.arange(n)
    if n == 0:
        return indices
    as_bytes = np.ascontiguousarray(hashes).view("V32").ravel()  # one value a row: np.unique(axis=0) is slow
    _, first, inverse = np.unique(as_bytes, return_index=True, return_inverse=True)
    roots = _roots_of_words(hashes[first], distance)
    first_of_group = np.full(len(first), n)
    np.minimum.at(first_of_group, roots, first)
    groups = first_of_group[roots][inverse]
    return np.where(hashes.any(axis=1), groups, indices)


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
    """For each of the different hashes the smallest index of its group."""
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
            roots, done = _join_within(
                key, words, coarse, roots, coarse_distance=coarse_distance, distance=distance, budget=budget
            )
            if done:
                break
            budget *= 2
    return roots


def _join_within(
    key: NDArray[np.uint64],
    words: NDArray[np.uint64],
    coarse: NDArray[np.uint64],
    roots: NDArray[np.int64],
    *,
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
