"""Training workers as Ray Train starts them: where they find each other, and what they tell the driver."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig

from artray import console


class TensorflowCluster(BackendConfig):  # type: ignore[misc]
    """Tells every worker the addresses of all, as TensorFlow wants to be told.

    Ray's own (`ray.train.tensorflow`) does the same, and imports TensorFlow into the driver, which has no use for it.
    """

    @property
    def backend_cls(self) -> type[Backend]:
        """What Ray calls when workers have started."""
        return _Addresses


class _Addresses(Backend):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Collect an address from each worker and give all of them to each."""
        addresses = worker_group.execute(_free_address)
        ray.get(
            [
                worker_group.execute_single_async(index, _set_cluster, addresses, index)
                for index in range(len(worker_group))
            ]
        )


def _free_address() -> str:
    import socket

    host = ray.util.get_node_ip_address()
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _set_cluster(addresses: list[str], index: int) -> None:
    task = {"type": "worker", "index": index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})


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
