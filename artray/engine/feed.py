"""The feed: examples on their way through two threads to the devices, ahead of the step; results fetched behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T")
U = TypeVar("U")

_CALL_STEPS = 32


def calls(batches: Sequence[npt.NDArray[np.int64]], batch_bytes: float, most_bytes: int) -> list[slice]:
    """Which batches go to TensorFlow together: consecutive ones of one size.

    Small ones go several at a time: what a step costs beside its arithmetic is paid once for all of them.

    Args:
        batches: The examples of each global batch.
        batch_bytes: What a device's share of the first batch needs.
        most_bytes: What it may get at a time, unless one share needs more.
    """
    most = int(min(_CALL_STEPS, max(1, most_bytes // max(batch_bytes, 1))))
    found: list[slice] = []
    start = 0
    for number, batch in enumerate(batches, start=1):
        if number == len(batches) or number - start == most or len(batches[number]) != len(batch):
            found.append(slice(start, number))
            start = number
    return found


def ahead(
    fetch: Callable[[slice], T], send: Callable[[T], U], wanted: Sequence[slice], depth: int
) -> Iterator[tuple[U, float]]:
    """What `send` makes of what `fetch` gives for each call, and for how many seconds it had to be waited for.

    Each is called in a thread of its own, in the calls' order, for up to `depth` of them before they are asked for: one
    call's examples are taken from memory while another's are on their way to the device.
    """
    with ThreadPoolExecutor(1) as fetcher, ThreadPoolExecutor(1) as sender:

        def begin(call: slice) -> Future[U]:
            fetched = fetcher.submit(fetch, call)
            return sender.submit(lambda: send(fetched.result()))

        coming = [begin(call) for call in wanted[:depth]]
        for number in range(len(wanted)):
            began = time.perf_counter()
            sent = coming.pop(0).result()
            waited = time.perf_counter() - began
            coming += [begin(later) for later in wanted[number + depth : number + depth + 1]]
            yield sent, waited


def behind(results: Iterable[T]) -> Iterator[T]:
    """Results, each only when the next one has been begun: who looks at one does not let a device wait."""
    last: list[Any] = []
    for result in results:
        yield from last
        last = [result]
    yield from last
