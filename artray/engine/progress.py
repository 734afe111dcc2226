"""What training workers tell the driver, and how it is shown.

Apart from `artray.engine.tensorflow_cluster`: the process of the Progress actor need not load Ray Train, which takes it
longer than all that it does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from artray import console

_SECONDS = 0.5


class Progress:
    """Takes what rank 0 says, so that the driver can show it; an actor."""

    def __init__(self) -> None:
        self._epochs: dict[int, dict[str, Any]] = {}
        self._step: dict[str, Any] | None = None
        self._error: Exception | None = None

    def add(self, metrics: dict[str, Any]) -> None:
        """An epoch is done."""
        self._epochs[metrics["epoch"]] = metrics
        self._step = None

    def step(self, values: dict[str, Any]) -> None:
        """Some batches of an epoch are done."""
        self._step = values

    def fail(self, error: Exception) -> None:
        """Training can't go on, and would fail again."""
        self._error = error

    def error(self) -> Exception | None:
        """What `fail` was told."""
        return self._error

    def news(self, epoch: int) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """The epochs after this one, and how far the running one is."""
        return [self._epochs[number] for number in sorted(self._epochs) if number > epoch], self._step


class Reporter:
    """What a worker tells a Progress actor: all of it in rank 0, nothing in the others or where nobody watches.

    Args:
        progress: The actor, or None.
        rank: The worker's.
    """

    def __init__(self, progress: Any, rank: int):
        self._progress = progress if rank == 0 else None
        self._told = 0.0

    def step(self, values: Callable[[], dict[str, Any]]) -> None:
        """Some batches of an epoch are done. The values are asked for, and told, twice a second at most."""
        now = time.monotonic()
        if self._progress is not None and now - self._told > _SECONDS:
            self._told = now
            self._progress.step.remote(values())

    def epoch(self, metrics: dict[str, Any]) -> None:
        """An epoch is done."""
        if self._progress is not None:
            self._progress.add.remote(metrics)


def begin_progress() -> Any:
    """A Progress actor on the driver's own machine: the loss of another must not end the job."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(Progress).options(num_cpus=0, scheduling_strategy=here).remote()


def watch(progress: Any, bar: console.Bar, note: Callable[[Mapping[str, Any]], str], stop: threading.Event) -> None:
    """Show what a Progress actor knows on a bar of examples, until told to stop.

    Args:
        progress: The actor. It knows of each epoch, and of the running one's last step, `epoch` (done, from 0) and
            `seen` examples of it.
        bar: Of examples.
        note: What to say beside the bar, of an epoch's metrics or a step's, whose `epoch` counts from 1.
        stop: Set when training is over.
    """
    epoch = shown = whole = 0
    while True:
        last = stop.wait(0.3)
        epochs, step = ray.get(progress.news.remote(epoch))
        for metrics in epochs:
            epoch, whole = metrics["epoch"], metrics["epoch"] * metrics["seen"]
            bar.advance(whole - shown, note=note(metrics))
            shown = whole
        if step is not None and step["epoch"] == epoch:
            done = max(whole + step["seen"], shown)
            bar.advance(done - shown, note=note({**step, "epoch": epoch + 1}))
            shown = done
        if last:
            return
