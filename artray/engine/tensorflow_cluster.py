"""Training workers as Ray Train starts them: where they find each other."""

from __future__ import annotations

import json
import os
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig


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
