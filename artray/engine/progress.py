"""What training workers tell the driver, and how it is shown.

Apart from `artray.engine.tensorflow_cluster`: the process of the Progress actor need not load Ray Train, which takes it
longer than all that it does.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from artray import console

_SECONDS = 0.5


class Progress:
    """Takes what rank 0 says, so that the driver can show it; an actor."""

    def __init__(self) -> None:
        self._training = 0
        self._epochs: dict[int, dict[str, Any]] = {}
        self._step: dict[str, Any] | None = None
        self._errors: list[Exception] = []

    def begin(self, training: int) -> None:
        """A training begins, or goes on; they are numbered in their order."""
        if training != self._training:
            self._training, self._epochs, self._step = training, {}, None

    def add(self, metrics: dict[str, Any]) -> None:
        """An epoch is done."""
        self._epochs[metrics["epoch"]] = metrics
        self._step = None

    def step(self, values: dict[str, Any]) -> None:
        """Some batches of an epoch are done."""
        self._step = values

    def fail(self, error: Exception) -> None:
        """A worker can't go on, and would fail again."""
        self._errors.append(error)

    def failures(self) -> int:
        """How many workers have called `fail`."""
        return len(self._errors)

    def error(self) -> Exception | None:
        """What `fail` was told first."""
        return self._errors[0] if self._errors else None

    def position(self) -> tuple[int, int]:
        """The training that runs, and how many epochs of it are done."""
        return self._training, max(self._epochs, default=0)

    def news(self, training: int, epoch: int) -> tuple[int, list[dict[str, Any]], dict[str, Any] | None]:
        """The training that runs, its epochs after this one of that training, and how far the running one is."""
        after = epoch if training == self._training else 0
        epochs = [self._epochs[number] for number in sorted(self._epochs) if number > after]
        return self._training, epochs, self._step


class InProcess:
    """Is asked as an actor is, and answers at once: for a training in the process that watches it."""

    def __init__(self, actor: object):
        self._actor = actor

    def __getattr__(self, name: str) -> SimpleNamespace:
        method = getattr(self._actor, name)
        return SimpleNamespace(remote=lambda *arguments: ray.put(method(*arguments)))


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


def watch(
    progress: Any,
    bar: console.Bar,
    trainings: Sequence[tuple[str, int]],
    note: Callable[[Mapping[str, Any]], str],
    stop: threading.Event,
) -> None:
    """Show what a Progress actor knows on a bar of examples, until told to stop.

    Args:
        progress: The actor. It knows which training runs, of each of its epochs, and of the running one's last step,
            `epoch` (done, from 0) and `seen` examples of it.
        bar: Of the examples of all trainings.
        trainings: What each is called, and how many examples are gone through in it at most.
        note: What to say beside the bar, of an epoch's metrics or a step's, whose `epoch` counts from 1.
        stop: Set when training is over.
    """
    starts = list(itertools.accumulate((examples for _, examples in trainings), initial=0))
    training = epoch = shown = 0

    def show(done: int, metrics: Mapping[str, Any]) -> int:
        bar.advance(max(done - shown, 0), note=f"{trainings[training][0]}  {note(metrics)}".strip())
        return max(done, shown)

    whole = 0
    while True:
        last = stop.wait(0.3)
        running, epochs, step = ray.get(progress.news.remote(training, epoch))
        if running != training:
            training, epoch, whole = running, 0, starts[running]
        for metrics in epochs:
            epoch, whole = metrics["epoch"], starts[training] + metrics["epoch"] * metrics["seen"]
            shown = show(whole, metrics)
        if step is not None and step["epoch"] == epoch:
            shown = show(whole + step["seen"], {**step, "epoch": epoch + 1})
        if last:
            return
