"""Fixtures shared by the suite: one Ray instance, one S3 server, the sample collection."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from artray.job import quiet
from tests.servers import S3Server, running_s3_server

SHARED = Path(__file__).resolve().parents[2] / "shared"  # pictures to try more on; the suite passes without them


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
    from artray.collection import storage

    fs, _ = storage.filesystem("s3://museum")
    fs.mkdir("museum")
    return "s3://museum"


@pytest.fixture(scope="session")
def ray_session(s3_environment: None) -> Iterator[None]:
    """One local Ray for the whole session; begun after the S3 server, so that its workers know the keys."""
    quiet(verbose=False)
    from artray import cluster

    cluster.connect()
    yield
    import ray

    ray.shutdown()


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample collection's folder."""
    from artray.sample.collection import write_sample

    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder
