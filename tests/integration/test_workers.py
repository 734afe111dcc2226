"""Where a group's workers begin, and which GPUs they see, on a real cluster of two nodes on this machine."""

import json
import os
import sys
from pathlib import Path

import pytest

from tests.patience import run_patiently

# In a process of its own: the suite's is in another cluster. The second node says that it has a GPU, and has none.
DRIVER = """
import json, os, sys
from contextlib import ExitStack
from ray.cluster_utils import Cluster
from artray import cluster, console
from artray.engine.worker_group import WorkerGroup, join_cluster
from artray.errors import ArtrayError
from artray.storage import Location
from tests.forked_workers import forking

console.quiet(False)
forks = ExitStack()
setup = forks.enter_context(forking())
how = {"num_cpus": 2, "setup_worker_path": setup}
local = Cluster(initialize_head=True, head_node_args={**how, "include_dashboard": False})
local.add_node(**how, num_gpus=1, include_log_monitor=False)
os.environ["RAY_ADDRESS"] = local.address
out = Location.parse(sys.argv[1])

class Asked:
    name, title, length = "asked", "", 0

    def is_done(self):
        return all((out / str(rank)).exists() for rank in range(2))

    def work(self, rank, checkpoints, progress):
        import ray
        seen = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")]
        is_forked = os.getppid() != int(os.environ["RAY_RAYLET_PID"])
        (out / str(rank)).write_json([ray.get_runtime_context().get_node_id(), *seen, is_forked])

def run(workers, gpus):
    join_cluster(workers, gpus, out, out)
    WorkerGroup(workers=workers, gpus=gpus, out=out, name="asked", title="asked", note=str).run([Asked()])

run(2, 0)
answers = [(out / str(rank)).read_json() for rank in range(2)]
try:
    run(1, 1)
except ArtrayError as error:
    answers.append([type(error).__name__, str(error)])
import ray
answers.append([name for name in ("tensorflow", "keras") if name in sys.modules])
print(json.dumps(answers))
ray.shutdown()
local.shutdown()
forks.close()
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    folder = tmp_path_factory.mktemp("workers")
    (folder / "driver.py").write_text(DRIVER)
    (folder / "out").mkdir()
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(Path.cwd())}
    for name in ("RAY_ADDRESS", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "TF_FORCE_GPU_ALLOW_GROWTH"):
        environment.pop(name, None)
    command = [sys.executable, str(folder / "driver.py"), str(folder / "out")]
    done = run_patiently(command, cwd=Path.cwd(), env=environment, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_workers_begin_on_nodes_of_their_own(answers):
    assert answers[0][0] != answers[1][0]


def test_who_asked_for_no_gpu_sees_none(answers):
    assert [answer[1:3] for answer in answers[:2]] == [["", "true"]] * 2


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_workers_are_forks_on_either_node(answers):
    """Each node's are those of a process of its own: `tests.forked_workers`."""
    assert [answer[3] for answer in answers[:2]] == [True] * 2


def test_a_gpu_that_can_not_be_used_is_one_line(answers):
    kind, message = answers[2]
    assert kind == "InputError"
    assert message.startswith("--gpus-per-worker 1: TensorFlow can use 0 of them on node ")
    assert message.endswith("pip install 'tensorflow[and-cuda]'")


def test_the_driver_does_without_tensorflow(answers):
    assert answers[3] == []
