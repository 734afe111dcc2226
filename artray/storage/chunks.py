"""How a pass is cut into chunks, and how many pictures are worked on at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

BATCH = 32
"""Pictures worked on at once; models and chunks go by it too, so that no batch is filled up for nothing."""

LARGEST = 256
"""Rows of the largest chunk: what is done again where a process dies."""


def cut_chunks(groups: Sequence[Mapping[str, Any]], actors: int, *, shared: bool = False) -> list[dict[str, Any]]:
    """Chunks of row groups: whole batches, and towards the end smaller, so that no actor is left with a large one.

    Each actor's first one is small too: something is there soon, and the remaining time is known.

    Polychronopoulos and Kuck, "Guided Self-Scheduling", IEEE Transactions on Computers C-36 (1987).

    Args:
        groups: `count` rows each, and what else says which they are.
        actors: How many work on chunks.
        shared: Whether each actor has processes that share a chunk. The last chunks are larger then: all processes
            would wait for what a chunk costs beside its rows.
    """
    left = sum(group["count"] for group in groups)
    half_share = math.ceil(left / (2 * actors))  # of a small collection all actors get something
    first = min(BATCH, half_share)
    smallest = min(LARGEST // 2, max(first, half_share // BATCH * BATCH)) if shared else first
    chunks: list[dict[str, Any]] = []
    for group in groups:
        start = 0
        while start < group["count"]:
            size = max(smallest, min(LARGEST, left // (4 * actors) // BATCH * BATCH))
            count = min(size if len(chunks) >= actors else first, group["count"] - start)
            part_file = f"part-{len(chunks):06d}.parquet"
            chunks.append({**group, "start": start, "count": count, "part": part_file})
            start += count
            left -= count
    return chunks
