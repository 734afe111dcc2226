"""What each worker of a training asks for, and whether it has got it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import ray
from ray import train

from artray import cluster
from artray.errors import InputError

_ROUNDED = 10_000  # Ray counts CPUs in ten-thousandths


def worker_resources(fewest: int, most: int, gpus: int) -> dict[str, float]:
    """What each worker asks for, on the cluster as it is now.

    Args:
        fewest: Workers that training needs.
        most: Workers that it can use.
        gpus: Of each.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    share = cpu_share(nodes, fewest, most, gpus=gpus, grows=cluster.may_grow())
    return {"CPU": share, "GPU": float(gpus)} if gpus else {"CPU": share}


def cpu_share(
    nodes: Sequence[Mapping[str, float]], fewest: int, most: int, *, gpus: int = 0, grows: bool = False
) -> float:
    """How many CPUs each worker asks for: one, or the largest part of one for which the machines have room.

    A worker uses all cores that it shares with no other worker (see `use_own_cores`). It does not ask for them: where a
    machine is lost and no other comes, its worker goes on beside another's.

    Args:
        nodes: The resources of each machine, `CPU` and `GPU`.
        fewest: Workers that training needs.
        most: Workers that it can use.
        gpus: Of each.
        grows: There may be more machines later.
    """
    rooms = []  # the CPUs of a machine, and for how many workers it has room
    for node in nodes:
        room = int(node.get("GPU", 0) // gpus) if gpus else most
        if room and node.get("CPU", 0) > 0:
            rooms.append((node["CPU"], room))
    if not rooms:  # all are still to come
        return 1.0

    def workers(share: float) -> int:
        return sum(min(room, int(cpus / share + 1e-9)) for cpus, room in rooms)

    wanted = min(most, sum(room for _, room in rooms))
    shares = (cpus / number for cpus, room in rooms for number in range(1, min(room, most) + 1))
    share = min(1.0, max(share for share in shares if workers(share) >= wanted))
    if share < 1 and grows and fewest < most and workers(1.0) >= fewest:
        return 1.0  # the others begin as machines come
    return int(share * _ROUNDED) / _ROUNDED


def use_own_cores() -> None:
    """Let TensorFlow compute on as many cores as this worker has, not on those of others on the same machine."""
    here = ray.get_runtime_context().get_node_id()
    cores = next((node["Resources"].get("CPU", 0) for node in ray.nodes() if node["NodeID"] == here), 0)
    # What Ray was told: in a container Python sees the machine's.
    threads = int(cores or os.cpu_count() or 1) // train.get_context().get_local_world_size()
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, threads)))


def own_cpus() -> int:
    """How many of its machine's CPUs are this worker's."""
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or os.cpu_count() or 1)


def check_gpus(gpus: int) -> None:
    """See that TensorFlow can use the GPUs that Ray gave this process; without, it would train on the CPU.

    Raises:
        InputError: It can't.
    """
    if not gpus:
        return
    import tensorflow as tf

    there = len(tf.config.list_physical_devices("GPU"))
    if there < gpus:
        raise InputError(
            f"--gpus-per-worker {gpus}: TensorFlow can use {there} of them on node {ray.util.get_node_ip_address()}; "
            "it needs NVIDIA's driver and CUDA's libraries there: pip install 'tensorflow[and-cuda]'"
        )
