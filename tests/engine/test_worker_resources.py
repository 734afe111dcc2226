import sys
from types import SimpleNamespace

import pytest

from artray.engine import worker_resources
from artray.engine.worker_resources import check_gpus, cpu_share
from artray.errors import InputError


def cpus(*numbers: float) -> list[dict[str, float]]:
    return [{"CPU": number} for number in numbers]


@pytest.mark.parametrize(
    ("nodes", "fewest", "most", "share"),
    [
        (cpus(16, 16), 2, 2, 1),
        (cpus(16), 4, 4, 1),
        (cpus(2), 3, 3, 0.6666),
        (cpus(1, 1), 3, 3, 0.5),  # 2/3 would find room twice
        (cpus(0, 1), 1, 4, 1),  # the others begin as machines come
        (cpus(1), 3, 4, 0.25),
        (cpus(0), 4, 4, 1),  # no machine yet
        ([], 1, 8, 1),
    ],
)
def test_cpus_of_a_worker_on_a_cluster(nodes, fewest, most, share):
    assert cpu_share(nodes, fewest, most, grows=True) == share


@pytest.mark.parametrize(("count", "most", "share"), [(2, 1, 1), (2, 2, 1), (2, 4, 0.5), (16, 4, 1)])
def test_cpus_of_a_worker_on_this_machine(count, most, share):
    assert cpu_share(cpus(count), 1, most) == share


@pytest.mark.parametrize(("workers", "gpus", "share"), [(1, 1, 1), (6, 1, 0.5), (2, 4, 1), (20, 1, 0.5)])
def test_cpus_of_a_worker_with_gpus(workers, gpus, share):
    """Only machines with GPUs count; those that are still to come (20 workers) are taken for like them."""
    nodes = [{"CPU": 64}, {"CPU": 8, "GPU": 4}, {"CPU": 1, "GPU": 2}]
    assert cpu_share(nodes, workers, workers, gpus=gpus, grows=True) == share


def test_gpus_that_tensorflow_can_not_use(monkeypatch):
    there = SimpleNamespace(config=SimpleNamespace(list_physical_devices=lambda _: ["one"]))
    monkeypatch.setitem(sys.modules, "tensorflow", there)
    monkeypatch.setattr(worker_resources.ray.util, "get_node_ip_address", lambda: "10.0.0.7")
    check_gpus(0)
    check_gpus(1)
    with pytest.raises(InputError, match=r"--gpus-per-worker 2: TensorFlow can use 1 of them on node 10\.0\.0\.7"):
        check_gpus(2)
