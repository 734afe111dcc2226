"""The Ray that tests of a process share; only for as long as they need it, for each of its processes wakes a hundred
times a second, whether there is something to do or not."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from artray.console import quiet

_running = ExitStack()
_is_running = False


def begin_ray() -> None:
    """Begin it, where it isn't there."""
    global _is_running
    if not _is_running:
        _running.enter_context(_ray())
        _is_running = True


def end_ray() -> None:
    """End it, where it is there."""
    global _is_running
    _is_running = False
    _running.close()


@contextmanager
def _ray() -> Iterator[None]:
    """A local Ray, used as on a machine of one CPU, whatever this one has."""
    quiet(verbose=False)
    import ray
    from ray._private import parameter

    from artray import cluster
    from tests.forked_workers import forking
    from tests.patience import TRIES

    assert not ray.is_initialized(), "Ray began before `ray_session` did: a fixture that needs it does not ask for it"
    with pytest.MonkeyPatch.context() as patch, forking() as setup_worker:
        # Nobody reads its workers' logs, and it does not grow: no processes have to look for either.
        params = partial(
            parameter.RayParams, include_log_monitor=False, no_monitor=True, setup_worker_path=setup_worker
        )
        patch.setattr(parameter, "RayParams", params)
        for tries_left in reversed(range(TRIES)):
            try:
                cluster.connect()
                break
            except Exception:  # Ray gives a node 30 s to start, few on a busy machine
                ray.shutdown()
                if not tries_left:
                    raise
        patch.setattr(cluster, "cpus", lambda: 1)
        yield
        ray.shutdown()
