"""A pass on GPUs: each has processes beside it that decode and compute what its model works on.

Threads would not do: of the 20 ms that a picture takes a core (decoded, features B1 to B4) Python's interpreter is held
for 7, so one process gets no further than 140 pictures a second on any number of cores. An actor a core, each with the
model, would: but with TensorFlow and a CUDA context in each, on one GPU.
"""

from __future__ import annotations

import ctypes
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import islice
from queue import SimpleQueue
from typing import Any

import pyarrow as pa
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from artray import cluster

_SLICE = 16  # rows of a process' errand, where there are enough for all: Ray's own cost is a millisecond
_CAPABILITY = 75, 76  # CUDA's numbers of the attributes that say it
_AT_ONCE = 2  # errands a process has: of one the files come while the other's are decoded


class StagedWorker(ABC):
    """A worker of a pass whose work falls in two: what CPUs do, and what a model does with it.

    `finish` is called by several threads.

    Attributes:
        batch: Of how many rows the model takes what was prepared at once.
    """

    batch: int

    @abstractmethod
    def prepare(self, rows: pa.Table) -> Iterator[Any]:
        """What CPUs do for rows of the manifest, batch by batch; in processes that have no model and no TensorFlow."""

    @abstractmethod
    def warm(self) -> None:
        """Build the model and let it run once, so that it is ready when the first pictures are."""

    @abstractmethod
    def finish(self, prepared: Sequence[Any]) -> pa.Table:
        """The output's rows for batches that `prepare` gave, in their order."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Both, batch by batch: on machines without GPU."""
        return pa.concat_tables([self.finish([prepared]) for prepared in self.prepare(rows)])


def has_gpu() -> bool:
    """Whether this process is an actor that was given a GPU."""
    return ray.is_initialized() and bool(ray.get_gpu_ids())


def gpu_memory() -> int:
    """Bytes of the memory of the GPU that this actor was given, free or not; 0 if it has none that CUDA knows."""
    cuda, number = _driver()
    size = ctypes.c_size_t()
    # Of a shared GPU this is our share.
    return 0 if cuda is None or cuda.cuDeviceTotalMem_v2(ctypes.byref(size), number) else size.value


def gpu_capability() -> tuple[int, int]:
    """The compute capability of the GPU that this actor was given; (0, 0) if it has none that CUDA knows."""
    cuda, number = _driver()
    major_minor = ctypes.c_int(), ctypes.c_int()
    if cuda is None or any(
        cuda.cuDeviceGetAttribute(ctypes.byref(value), asked, number)
        for value, asked in zip(major_minor, _CAPABILITY, strict=True)
    ):
        return 0, 0
    return major_minor[0].value, major_minor[1].value


def _driver() -> tuple[Any, ctypes.c_int]:
    """CUDA's driver and the first GPU's number; None where there is none. Ray shows an actor its own GPUs only."""
    number = ctypes.c_int()
    if not has_gpu():
        return None, number
    try:
        cuda = ctypes.CDLL("libcuda.so.1")  # there wherever a GPU can be used
    except OSError:
        return None, number
    return (None if cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(number), 0) else cuda), number


def lanes(cpus: int) -> int:
    """How many chunks an actor with a GPU and so many CPUs works on at once: enough that no process waits for rows."""
    return 2 + cpus // 8


class Pipeline:
    """A staged worker on one GPU: its model in this process, and processes on this machine that prepare.

    Args:
        worker: The class.
        arguments: What it is made with, everywhere.
        processes: How many.
    """

    def __init__(self, worker: type[StagedWorker], arguments: Mapping[str, Any], processes: int):
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        # This actor has asked for their CPUs. They end with it: it is their owner.
        preparer = ray.remote(_Preparer).options(
            num_cpus=0, max_concurrency=_AT_ONCE, max_restarts=-1, max_task_retries=3, scheduling_strategy=here
        )
        self._processes = processes
        self._free: SimpleQueue[Any] = SimpleQueue()
        for one in [preparer.remote(worker, dict(arguments)) for _ in range(processes)] * _AT_ONCE:
            self._free.put(one)
        self._waiting = ThreadPoolExecutor(processes * _AT_ONCE)
        self._worker = ThreadPoolExecutor(1).submit(_warmed, worker, dict(arguments))

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The output's rows; called by threads, so that one's are prepared while another's are with the model."""
        # Every process gets something of a small chunk too; powers of two fill the model's batches.
        size = min(_SLICE, 1 << max(1, len(rows) // self._processes).bit_length() - 1)
        prepared = self._waiting.map(self._prepare, [rows.slice(start, size) for start in range(0, len(rows), size)])
        worker = self._worker.result()
        tables = []
        while some := list(islice(prepared, max(1, worker.batch // size))):
            tables.append(worker.finish([batch for batches in some for batch in batches]))
        return pa.concat_tables(tables)

    def _prepare(self, rows: pa.Table) -> list[Any]:
        preparer = self._free.get()
        try:
            with cluster.unwrapped_errors():
                prepared: list[Any] = ray.get(preparer.prepare.remote(rows))
        finally:
            self._free.put(preparer)
        return prepared


def _warmed(worker: type[StagedWorker], arguments: Mapping[str, Any]) -> StagedWorker:
    made = worker(**arguments)
    made.warm()
    return made


class _Preparer:
    """The process of a core: it has the worker, but never calls its model."""

    def __init__(self, worker: type[StagedWorker], arguments: Mapping[str, Any]):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray does not hide GPUs from those that asked for none
        # Not made here: Ray would try a constructor that fails again and again, and hide why.
        self._make = partial(worker, **arguments)

    @cached_property
    def _worker(self) -> StagedWorker:
        return self._make()

    def prepare(self, rows: pa.Table) -> list[Any]:
        return list(self._worker.prepare(rows))
