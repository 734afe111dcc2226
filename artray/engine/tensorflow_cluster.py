"""Training workers as Ray Train starts them: where they find each other."""

from __future__ import annotations

import json
import os
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

UNUSED = ("DatasetsCallback", "PlacementGroupCleanerCallback")
"""Callbacks of Ray Train's that begin a process each, for Ray Datasets and for a driver that outlives its controller:
artray's workers read no Ray Dataset, and its driver ends with the controller. Measured on 2 cores, a small training
in a Ray of its own: 20.2 CPU seconds without them, 23.4 with them (means of three, in turn)."""


class TensorflowTrainer(DataParallelTrainer):  # type: ignore[misc]
    """Ray Train's trainer of workers that find each other as TensorFlow's do, without `UNUSED`."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, backend_config=TensorflowCluster(), **options)

    def _create_default_callbacks(self) -> list[Any]:
        return [callback for callback in super()._create_default_callbacks() if type(callback).__name__ not in UNUSED]


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
