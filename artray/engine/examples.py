"""Training examples, as a worker takes them: any of them, by index, from memory or from shards.

Every worker can take every example, so a global batch can be the same set of examples for any number of workers.
Examples that fit lie in Ray's object store, where all workers of a node read the same memory. Others are shards: files
of plain numbers, of which a worker reads what it is about to take, a window ahead (see `engine.order`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import ray

from artray.engine.order import Indices, window_of
from artray.errors import ArtrayError
from artray.storage import Location, read_error

_READERS = 8  # threads that read at once
_READ_BYTES = 4 << 20  # of examples in one read
_GAP_BYTES = {False: 16 << 10, True: 512 << 10}  # on S3: cheaper to be read and thrown away than to be asked for anew


@dataclass(frozen=True)
class Shard:
    """Examples in a file: their numbers one after the other, in C order, and nothing else.

    Attributes:
        file: Where.
        rows: How many.
        shape: Of each.
        dtype: NumPy's name of the numbers' type.
    """

    file: Location
    rows: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def example_bytes(self) -> int:
        """What an example has."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def read(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Some examples, (stop - start, *shape).

        Raises:
            ArtrayError: They can't be read: the file has gone, or is not whole.
        """
        block = np.empty(((self.rows if stop is None else stop) - start, *self.shape), self.dtype)
        self.read_into(block, start)
        return block

    def read_into(self, target: npt.NDArray[Any], start: int) -> None:
        """Fill an array (n, *shape), in C order, with examples from `start` on.

        Raises:
            ArtrayError: As `read`.
        """
        begin, room = start * self.example_bytes, target.data.cast("B")
        try:
            if self.file.is_s3:
                fs, path = self.file.filesystem()
                data = fs.cat_file(path, start=begin, end=begin + len(room))
                number = len(data)
                room[:number] = data
            else:
                with Path(self.file).open("rb", buffering=0) as source:
                    source.seek(begin)
                    number = source.readinto(room)
        except Exception as error:
            raise ArtrayError(f"{self.file}: {read_error(error).message}; {_AGAIN}") from error
        if number != len(room):
            raise ArtrayError(f"{self.file}: is not whole; {_AGAIN}")


_AGAIN = "run the same command again: it makes anew what is missing of the decoded examples, and goes on"


class Inputs:
    """A worker's view of the inputs: any examples, by index.

    Args:
        blocks: References to arrays (rows, *shape) in Ray's object store, or shards.
        positions: (n, 2): in which block an example lies, and where in it.
    """

    def __init__(self, blocks: Sequence[Any], positions: Indices):
        self._positions = positions
        self._shards = [block for block in blocks if isinstance(block, Shard)]
        # Zero-copy: arrays in the node's shared memory.
        self._blocks = [] if self._shards else ray.get(list(blocks))
        self._ahead = _Ahead(self._shards, positions) if self._shards else None

    def follow(self, batches: Sequence[Indices], share: Callable[[Indices], Indices]) -> None:
        """Say what will be taken, so that shards are read ahead; nothing but time depends on it.

        Args:
            batches: The examples of each global batch, in the order in which they are taken from now on.
            share: From a batch to what this worker takes of it.
        """
        if self._ahead is None or not len(batches):
            return
        order = np.concatenate([share(batch) for batch in batches])
        whole = window_of(self._shards[0].example_bytes)
        self._ahead.follow(order, math.ceil(whole * len(order) / sum(map(len, batches))))

    def take(self, indices: Indices) -> npt.NDArray[Any]:
        """The inputs of some examples, (len(indices), *shape).

        Raises:
            ArtrayError: A shard can't be read.
        """
        if self._ahead is not None:
            return self._ahead.take(indices)
        block, row = self._positions[indices].T
        first = self._blocks[block[0]]
        if len(self._blocks) == 1:
            return np.asarray(first[row])
        taken = np.empty((len(indices), *first.shape[1:]), first.dtype)
        for number in np.unique(block):
            here = block == number
            taken[here] = self._blocks[number][row[here]]
        return taken


class _Ahead:
    """Shards, read a window ahead of what is taken."""

    def __init__(self, shards: Sequence[Shard], positions: Indices):
        self._shards, self._positions = shards, positions
        self._readers = ThreadPoolExecutor(_READERS, "shards")
        self._reader = ThreadPoolExecutor(1, "window")
        self._waiting: deque[Indices] = deque()
        self._windows: deque[tuple[Indices, Future[npt.NDArray[Any]]]] = deque()

    def follow(self, order: Indices, window: int) -> None:
        for _, coming in self._windows:
            coming.cancel()
        self._windows.clear()
        self._waiting = deque(order[start : start + window] for start in range(0, len(order), window))
        self._begin()

    def take(self, indices: Indices) -> npt.NDArray[Any]:
        first = self._shards[0]
        taken = np.empty((len(indices), *first.shape), first.dtype)
        left = np.arange(len(indices))
        for number in range(len(self._windows)):
            examples, coming = self._windows[number]
            at = np.minimum(np.searchsorted(examples, indices[left]), len(examples) - 1)
            here = examples[at] == indices[left]
            if here.any():
                taken[left[here]] = coming.result()[at[here]]
                left = left[~here]
                if number:  # what was before is done with
                    for _ in range(number):
                        self._windows.popleft()
                    self._begin()
                    break
            if not len(left):
                break
        if len(left):  # nobody has said that these would be taken now
            taken[left] = self._read(indices[left])
        return taken

    def _begin(self) -> None:
        while self._waiting and len(self._windows) < 2:
            examples = np.unique(self._waiting.popleft())
            self._windows.append((examples, self._reader.submit(self._read, examples)))

    def _read(self, indices: Indices) -> npt.NDArray[Any]:
        first = self._shards[0]
        taken = np.empty((len(indices), *first.shape), first.dtype)
        block, row = self._positions[indices].T
        order = np.lexsort((row, block))
        gap = 1 + _GAP_BYTES[first.file.is_s3] // max(1, first.example_bytes)
        cuts = np.flatnonzero((np.diff(block[order]) != 0) | (np.diff(row[order]) > gap)) + 1

        def fill(run: Indices) -> None:
            shard, begin, end = self._shards[block[run[0]]], int(row[run[0]]), int(row[run[-1]]) + 1
            first, number = int(run[0]), len(run)
            if end - begin == number and np.array_equal(run, np.arange(first, first + number)):
                shard.read_into(taken[first : first + number], begin)
            else:
                taken[run] = shard.read(begin, end)[row[run] - begin]

        most = max(1, _READ_BYTES // max(1, first.example_bytes))
        runs = [run[start : start + most] for run in np.split(order, cuts) for start in range(0, len(run), most)]
        list(self._readers.map(fill, runs))
        return taken
