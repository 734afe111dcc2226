"""Real clusters on this machine, begun and used as their users do: `ray start`, `ray job submit`, a token."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.servers import free_port

ROOT = Path(__file__).parents[1]


def ray_command() -> str:
    """The `ray` beside this Python."""
    found = shutil.which("ray", path=_path())
    assert found
    return found


class RealCluster:
    """A head, and nodes that come and go; with a home, and so a token, of its own.

    Attributes:
        environment: What its users have in theirs.
        nodes: The worker nodes, in the order in which they came; killed ones too.
    """

    def __init__(self, home: Path, cpus: int, environment: Mapping[str, str] | None = None):
        """Start the head, with so many CPUs.

        Args:
            home: An empty folder.
            cpus: Of the head.
            environment: More variables for all nodes.
        """
        self._home = home
        self._dashboard, self._port = free_port(), free_port()
        self.environment = {
            **os.environ,
            **(environment or {}),
            "HOME": str(home),
            "PATH": _path(),
            "RAY_AUTH_MODE": "token",
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self._dashboard}",
        }
        self.environment.pop("RAY_ADDRESS", None)
        self.nodes: list[subprocess.Popen[bytes]] = []
        generate = [ray_command(), "get-auth-token", "--generate"]
        subprocess.run(generate, env=self.environment, check=True, capture_output=True, timeout=60)
        # Short: the path of a socket below it may have 107 characters.
        self._temporary = Path(f"/tmp/artray-test-{self._port}")
        head = ["--head", f"--port={self._port}", f"--dashboard-port={self._dashboard}"]
        self.head = self._start("head", [*head, f"--temp-dir={self._temporary}", f"--num-cpus={cpus}"])
        try:
            self._wait_for_dashboard()
        except BaseException:
            self.close()
            raise

    def add_node(self, cpus: int = 1) -> subprocess.Popen[bytes]:
        """Start one more node; it has joined a few seconds later."""
        address = f"--address=127.0.0.1:{self._port}"
        node = self._start(f"node-{len(self.nodes)}", [address, f"--num-cpus={cpus}"])
        self.nodes.append(node)
        return node

    def submit(self, *entrypoint: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """`ray job submit` from the checkout, to its end."""
        command = [ray_command(), "job", "submit", "--working-dir", ".", "--", *entrypoint]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=timeout)

    def close(self) -> None:
        """Kill all of its processes; `ray stop` would stop others' clusters too."""
        for process in [*self.nodes, self.head]:
            kill(process)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _start(self, name: str, options: list[str]) -> subprocess.Popen[bytes]:
        command = [ray_command(), "start", "--block", "--disable-usage-stats", *options]
        # Ray's own choice of port for its agent is taken where another cluster, or node, runs.
        command += [f"--dashboard-agent-listen-port={free_port()}"]
        with (self._home / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)

    def _wait_for_dashboard(self) -> None:
        """Until the Jobs API answers, and answers that it wants a token."""
        status, log = None, self._home / "head.log"
        for _ in range(600):
            assert self.head.poll() is None, log.read_text(errors="replace")[-2000:]
            try:
                status = urllib.request.urlopen(f"http://127.0.0.1:{self._dashboard}/api/jobs/", timeout=2).status
            except urllib.error.HTTPError as answer:
                status = answer.code
            except OSError:
                time.sleep(0.2)
            if status is not None and status < 500:
                break
        assert status == 401, log.read_text(errors="replace")[-2000:]


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a node's whole process group, at once and without a word."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


def counts_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON line of a job that ended well."""
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    line = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{"))
    counts: dict[str, Any] = json.loads(line)
    return counts


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
