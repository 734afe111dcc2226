"""Workers that are forks of one process are as different as others."""

import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_forked_workers_draw_ids_of_their_own(ray_session):
    """Else one's tasks would be taken for another's."""
    import ray

    @ray.remote(num_cpus=0)
    class Worker:
        def draws(self):
            return "tensorflow" in sys.modules, ray.NodeID.from_random().hex()

    workers = [Worker.remote() for _ in range(3)]
    forked, drawn = zip(*ray.get([worker.draws.remote() for worker in workers]), strict=True)
    assert all(forked)
    assert len(set(drawn)) == len(workers)
