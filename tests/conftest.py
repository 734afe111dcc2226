"""What the suite shares: its speeds, one Ray instance, one S3 server, the sample collection.

Tests are slow or unit tests. Slow are those that use a fixture in `SLOW`, those of whole jobs, in `tests/integration`,
and those that are marked so: whole stations, and what takes half a second. Unit tests come first, and whichever begins
a process or opens a connection fails.
"""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import S3Server, running_s3_server
from tests.shared_ray import begin_ray, end_ray

# What is imported is no garbage, and looking through all of it again and again took a sixth of the unit tests' time.
gc.disable()

# A busy machine is no failure.
settings.register_profile("artray", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("few", settings.get_profile("artray"), max_examples=20)
settings.load_profile("artray")

# Nor for Ray, which would give up on processes of its own that a busy machine is slow to begin.
os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "300")
os.environ.setdefault("RAY_DASHBOARD_STARTUP_TIMEOUT_S", "300")
os.environ.setdefault("RAY_worker_register_timeout_seconds", "300")
# And its workers are what the tests wait for: they need not stand back.
os.environ.setdefault("RAY_worker_niceness", "0")
# Nobody reads what its processes tell of themselves every few seconds.
os.environ.setdefault("REPORTER_UPDATE_INTERVAL_MS", "600000")
os.environ.setdefault("METRICS_RECORD_INTERVAL_S", "600")
os.environ.setdefault("RAY_metrics_report_interval_ms", "600000")

SHARED = Path(__file__).resolve().parents[2] / "shared"  # pictures to try more on; the suite passes without them

SLOW = {"s3_server", "ray_session", "museum_server", "browser", "replica_runs"}
INTEGRATION = Path(__file__).parent / "integration"

# Files that take longest, in the order in which they are begun: one that came last would be waited for. Before all
# others come those that share a Ray.
LONGEST = [
    "integration/test_walk.py",
    "integration/test_gan.py",
    "integration/test_search.py",
    "integration/test_training.py",
    "integration/test_download.py",
    "integration/test_generators.py",
    "integration/test_super_resolution.py",
    "integration/test_commands.py",
    "integration/test_cluster.py",
    "engine/test_trainer.py",
    "integration/test_cluster_nodes.py",
    "engine/test_adversarial.py",
    "integration/test_workers.py",
    "models/test_classifiers.py",
    "models/test_hub.py",
    "report/test_page_review.py",
    "test_notebooks.py",
    "report/test_page_browser.py",
    "models/gans/test_pairs.py",
    "models/test_efficientnet_lite.py",
]

# Python's audit events of processes that begin and of connections.
FORBIDDEN = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "os.exec"}
FORBIDDEN |= {"socket.bind", "socket.connect", "socket.getaddrinfo"}
QUESTIONS = {"lscpu", "uname"}  # libraries ask them about the machine

_in_unit_test = False
_with_ray: set[Path] = set()  # files with tests that use `ray_session`


def pytest_configure(config: pytest.Config) -> None:
    sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _in_unit_test or event not in FORBIDDEN:
        return
    if event == "socket.bind" and arguments[1] == ("::1", 0):
        return  # urllib3 asks so, when it is imported, whether the machine has IPv6
    if not QUESTIONS.intersection(arguments[:1]):
        pytest.fail(f"{event}{arguments[:2]} in a unit test: mark it slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, and put it last: first what shares a Ray; among it, and after it, what takes longest."""
    longest = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if SLOW & fixtures or _is_integration(item):
            item.add_marker(pytest.mark.slow)
        if "ray_session" in fixtures:
            _with_ray.add(item.path)
    items.sort(
        key=lambda item: (
            _is_slow(item),
            item.path not in _with_ray,
            longest.get(item.path, len(longest)),
            not _is_integration(item),
        )
    )


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _in_unit_test
    _in_unit_test = not _is_slow(item)
    try:
        return (yield)
    finally:
        _in_unit_test = False


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path not in _with_ray:
        end_ray()


def pytest_sessionfinish() -> None:
    end_ray()  # where a run has stopped early


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


def _is_integration(item: pytest.Item) -> bool:
    return INTEGRATION in item.path.parents


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, gone with the session."""
    with running_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def s3_environment(s3_server: S3Server) -> Iterator[None]:
    """The server's address and keys in the environment, as a user would set them."""
    before = {name: os.environ.get(name) for name in s3_server.environment()}
    os.environ.update(s3_server.environment())
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def s3_bucket(s3_environment: None) -> str:
    """A bucket's URI."""
    from artray.storage import Location

    fs, _ = Location.parse("s3://museum").filesystem()
    fs.mkdir("museum")
    return "s3://museum"


@pytest.fixture(scope="module")
def ray_session(s3_environment: None) -> None:
    """One local Ray for all files in a row that use it; begun after the S3 server, so that its workers know the keys.

    It is used as on a machine of one CPU, whatever this one has: a pass has one actor, and what an actor has to import
    takes longer than all that it does. Where several matter, `two_cpus` says so.
    """
    begin_ray()


@pytest.fixture
def two_cpus(ray_session: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ray_session`, used as on a machine of two CPUs."""
    from artray import cluster

    monkeypatch.setattr(cluster, "cpus", lambda: 2)


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample collection's folder."""
    from artray.sample.collection import write_sample

    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder
