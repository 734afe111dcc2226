"""The order in which an epoch goes through its examples: near to any order, and still read in runs.

What lies beside each other is read together: blocks of neighbours are shuffled, then the examples of each window of
blocks. The order follows from a generator, the number of examples and their size alone, so it is the same whether they
lie in memory or are streamed, and for any number of workers. What fits into one window is simply shuffled.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

WINDOW_BYTES = 128 << 20
"""Examples of a window: twice as much is in the workers' memory, of all of them together, where they are streamed."""

BLOCK_BYTES = 512 << 10
"""Neighbours that stay in one window. A window has 256 of them, from everywhere, so its examples are a mixed lot."""

SHARE = 0.3
"""Which part of a machine's object store examples may fill by default, before they are streamed."""

Indices = npt.NDArray[np.int64]


def window_of(example_bytes: int) -> int:
    """How many examples a window has."""
    return _block_of(example_bytes) * (WINDOW_BYTES // BLOCK_BYTES)


def shuffled(chance: np.random.Generator, examples: Indices, positions: Indices, example_bytes: int) -> Indices:
    """Some examples in a new order.

    Args:
        chance: Whence the order comes.
        examples: (n,) which, in any order; one may be there several times.
        positions: (all examples, 2) where each lies, as `Inputs` takes it; only which one comes first counts.
        example_bytes: What one has.
    """
    window = window_of(example_bytes)
    if len(examples) <= window:
        return chance.permutation(examples)
    stored = as_stored(np.sort(examples), positions)
    blocks = np.split(stored, range(_block_of(example_bytes), len(stored), _block_of(example_bytes)))
    mixed = np.concatenate([blocks[number] for number in chance.permutation(len(blocks))])
    return np.concatenate([chance.permutation(mixed[start : start + window]) for start in range(0, len(mixed), window)])


def as_stored(examples: Indices, positions: Indices) -> Indices:
    """Some examples in the order in which they are stored; arguments as those of `shuffled`."""
    stored: Indices = examples[np.lexsort(positions[examples].T[::-1])]
    return stored


def _block_of(example_bytes: int) -> int:
    return max(1, BLOCK_BYTES // example_bytes)
