"""Chains of near-duplicates, cut.

Near-duplicates are found pair by pair, and pairs make chains, each picture like the next: coins and the pages of a
manuscript look so much alike that a thousand works become one group, which a split can not divide. So the pictures of
one group must be alike each with each.
"""

import numpy as np
from numpy.typing import NDArray

from artray.ingest.duplicates import DISTANCE

SPREAD = 100
"""Number of the 256 bits in which two pictures of one group may differ at most.

Of 526 works with eight changed pictures each (cropped by 3 % on two sides, turned by 1°, darker, smaller), 94.4 % of
the pairs that show one work are in one group by chains of any length, and 93.5 % are with this limit and the next one;
with 80 they would be 80 %. Different works differ in 127 ± 8 bits.
"""

LARGE = 20
"""Groups of more different hashes than that must be alike by `DISTANCE` each with each.

A work is rarely photographed so often, and coins of low relief are all within `SPREAD` of each other.
"""

_AT_ONCE = 1 << 20  # pairs
_MANY = 20_000  # hashes, whose pairs are too many to count


def cut_chains(
    hashes: NDArray[np.uint64],
    groups: NDArray[np.int64],
    *,
    spread: int = SPREAD,
    spread_of_large: int = DISTANCE,
) -> NDArray[np.int64]:
    """Divide the groups whose pictures are not alike each with each.

    From the picture that most others are near to, a group takes the nearest as long as each is within the spread of
    all taken; then the next group begins with what is left. Equal hashes stay together, and the order of the pictures
    does not matter.

    Args:
        hashes: Shape (n, 4), as in `near_duplicate_groups`.
        groups: Shape (n,), what it returned.
        spread: Bits in which any two of a group may differ, 0..256.
        spread_of_large: The same in groups of more than `LARGE` different hashes.

    Returns:
        Shape (n,): for each picture the index of the first picture of its group.
    """
    result = groups.copy()
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    for start, size in zip(starts[sizes > 2].tolist(), sizes[sizes > 2].tolist(), strict=True):
        rows = order[start : start + size]
        words, inverse = np.unique(np.ascontiguousarray(hashes[rows]).view("V32").ravel(), return_inverse=True)
        if len(words) < 3:
            continue
        limit = spread if len(words) <= LARGE else spread_of_large
        piece_of = _pieces(words.view(np.uint64).reshape(-1, 4), limit)[inverse]
        _, first = np.unique(piece_of, return_index=True)  # rows ascend, so the first of a piece is its smallest
        result[rows] = rows[first][piece_of]
    return result


def _pieces(words: NDArray[np.uint64], spread: int) -> NDArray[np.int64]:
    """The piece 0..k-1 of each of the different hashes of a group."""
    if 2 * int(_apart(words, words[0]).max()) <= spread:
        return np.zeros(len(words), np.int64)
    piece_of = np.full(len(words), -1)
    # Hashes are in the order of their bits, so that of equally good beginnings the same is taken each time.
    begins = np.argsort(-_neighbours(words, spread), kind="stable") if len(words) <= _MANY else np.arange(len(words))
    number = 0
    for begin in begins.tolist():
        if piece_of[begin] >= 0:
            continue
        free = np.flatnonzero(piece_of < 0)
        apart = _apart(words[free], words[begin])
        near = np.argsort(apart, kind="stable")[: np.count_nonzero(apart <= spread)]
        piece_of[free[near[_within(words[free[near]], spread)]]] = number
        number += 1
    return piece_of


def _within(words: NDArray[np.uint64], spread: int) -> NDArray[np.bool_]:
    """Which of the hashes are taken, in their order, so that no two taken differ in more than `spread` bits."""
    taken = np.zeros(len(words), bool)
    farthest = np.zeros(len(words), np.int64)  # from any that is taken
    for at in range(len(words)):
        if farthest[at] <= spread:
            taken[at] = True
            np.maximum(farthest[at:], _apart(words[at:], words[at]), out=farthest[at:])
    return taken


def _neighbours(words: NDArray[np.uint64], spread: int) -> NDArray[np.int64]:
    """How many of the hashes each is within the spread of."""
    counts = np.zeros(len(words), np.int64)
    step = max(1, _AT_ONCE // len(words))
    for start in range(0, len(words), step):
        apart = np.bitwise_count(words[start : start + step, None] ^ words[None]).sum(axis=2)
        counts[start : start + step] = np.count_nonzero(apart <= spread, axis=1)
    return counts


def _apart(words: NDArray[np.uint64], word: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.asarray(np.bitwise_count(words ^ word).sum(axis=1), np.int64)
