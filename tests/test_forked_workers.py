"""Workers that are forks of one process are as different as others."""

import os
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


def test_forked_workers_draw_ids_of_their_own(ray_session):
    """Else one's tasks would be taken for another's. Each leads a group of processes, as Ray has it."""
    import ray

    @ray.remote(num_cpus=0)
    class Worker:
        def look(self):
            is_forked = "tensorflow" in sys.modules
            return is_forked, os.getpgid(0) == os.getpid(), [ray.NodeID.from_random().hex() for _ in range(200)]

    workers = [Worker.remote() for _ in range(3)]
    is_forked, leads, ids = zip(*ray.get([worker.look.remote() for worker in workers]), strict=True)
    assert all(is_forked)
    assert all(leads)
    assert len({each for drawn in ids for each in drawn}) == 3 * 200


@pytest.mark.parametrize(("asked", "is_forked"), [("so", True), ("${NOBODY}so", False)])
def test_a_worker_has_the_variables_of_its_runtime_environment(ray_session, asked, is_forked):
    """Which Ray itself puts together where one stands in another."""
    import ray

    @ray.remote(num_cpus=0, runtime_env={"env_vars": {"ASKED": asked}})
    def look():
        return os.environ["ASKED"], "tensorflow" in sys.modules

    assert ray.get(look.remote()) == ("so", is_forked)


def test_a_worker_with_another_python_is_begun_by_ray_itself(ray_session):
    import ray

    @ray.remote(num_cpus=0, runtime_env={"py_executable": f"{sys.executable} -X dev"})
    def look():
        return sys.flags.dev_mode, "tensorflow" in sys.modules

    assert ray.get(look.remote()) == (True, False)
