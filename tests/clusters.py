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
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ray
from ray._private.parameter import RayParams
from ray.autoscaler._private.fake_multi_node.node_provider import (
    FAKE_HEAD_NODE_ID,
    FAKE_HEAD_NODE_TYPE,
    FakeMultiNodeProvider,
)
from ray.autoscaler._private.monitor import BASE_READONLY_CONFIG

from tests.servers import free_port

ROOT = Path(__file__).parents[1]
TRIES = 5

# `ray start` without the server of Ray Client, which nobody asks here: it gives a machine 30 s to start, and where a
# busy one takes longer it ends, and the head with it.
START_HEAD = """
from ray.scripts import scripts
scripts.get_ray_client_dependency_error = lambda: ImportError("not wanted")
scripts.main()
"""


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

    def __init__(self, home: Path, cpus: int, environment: Mapping[str, str] | None = None, grows_to: int = 0):
        """Start the head, with so many CPUs.

        Args:
            home: An empty folder.
            cpus: Of the head.
            environment: More variables for all nodes.
            grows_to: Ray's autoscaler begins up to so many nodes of one CPU when they are needed, and ends those that
                did nothing for some seconds; real ones, by Ray's "fake multi-node" provider.
        """
        self._home = home
        self.environment = {
            **os.environ,
            **(environment or {}),
            "HOME": str(home),
            "PATH": _path(),
            "RAY_AUTH_MODE": "token",
            "RAY_worker_niceness": "0",  # on a busy machine the work would starve
        }
        self.environment.pop("RAY_ADDRESS", None)
        self.nodes: list[subprocess.Popen[bytes]] = []
        generate = [ray_command(), "get-auth-token", "--generate"]
        subprocess.run(generate, env=self.environment, check=True, capture_output=True, timeout=300)
        for _ in range(TRIES):
            self._dashboard, self._port = free_port(), free_port()  # by another's hand they may be free no more
            self.environment["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{self._dashboard}"
            self._temporary = _temporary(self._port)
            head = ["--head", f"--port={self._port}", f"--dashboard-port={self._dashboard}"]
            if grows_to:
                head.append(f"--autoscaling-config={self._autoscaler(grows_to)}")
            self.head = self._start("head", [*head, f"--temp-dir={self._temporary}", f"--num-cpus={cpus}"])
            try:
                if self._is_up():
                    return
            except BaseException:
                self.close()
                raise
            self.close()
        raise AssertionError((self._home / "head.log").read_text(errors="replace")[-2000:])

    def add_node(self, cpus: int = 1) -> subprocess.Popen[bytes]:
        """Start one more node; it has joined a few seconds later."""
        address = f"--address=127.0.0.1:{self._port}"
        number = len(self.nodes)
        # A place of its own, as on other machines: what one unpacks there is not unpacked under another's feet. The
        # head reads the logs of this machine for all.
        own = [f"--temp-dir={self._temporary}/{number}", "--include-log-monitor=false"]
        node = self._start(f"node-{number}", [address, f"--num-cpus={cpus}", *own])
        self.nodes.append(node)
        return node

    def wait_for_nodes(self, number: int, timeout: float = 300) -> None:
        """Until there are so many beside the head; one that fails to start, as on a busy machine, is started again."""
        begin = time.monotonic()
        while (there := self.joined()) < number:
            assert time.monotonic() - begin < timeout, f"{there} nodes of {number} have joined in {timeout:.0f} s"
            for _ in range(number - sum(node.poll() is None for node in self.nodes)):
                self.add_node()
            time.sleep(0.5)

    def joined(self) -> int:
        """How many nodes there are beside the head, as the cluster knows it; none while it does not answer."""
        return sum(node["state"] == "ALIVE" and not node["is_head_node"] for node in self._known_nodes())

    def _known_nodes(self) -> list[dict[str, Any]]:
        token = (self._home / ".ray" / "auth_token").read_text().strip()
        url = f"http://127.0.0.1:{self._dashboard}/api/v0/nodes"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                nodes: list[dict[str, Any]] = json.load(answer)["data"]["result"]["result"]
        except OSError:
            return []
        return nodes

    def submit(self, *entrypoint: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """`ray job submit` from the checkout, to its end."""
        command = [ray_command(), "job", "submit", "--working-dir", ".", "--", *entrypoint]
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            logs = self._logs("monitor.log", "autoscaler.log", "gcs_server.out")
            raise AssertionError(_last_words([error.stdout or b"", *logs])) from None
        if self.head.poll() is not None:
            logs = self._logs("raylet.out", "dashboard_agent.log")
            raise AssertionError(_last_words([(self._home / "head.log").read_bytes(), *logs]))
        return done

    def _logs(self, *names: str) -> list[bytes]:
        """The ends of logs of the head's processes."""
        files = [file for name in names for file in Path(self._temporary).glob(f"session_latest/logs/{name}")]
        return [f"{file.name}:\n".encode() + file.read_bytes()[-2000:] for file in files]

    def close(self) -> None:
        """Kill all of its processes; `ray stop` would stop others' clusters too."""
        for process in [*self.nodes, self.head]:
            kill(process)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _autoscaler(self, nodes: int) -> Path:
        """The autoscaler's configuration: as in `cluster.yaml`, with another provider."""
        self.environment |= {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",  # for the provider
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        }
        provider = {
            "type": "external",
            "module": f"{__name__}.{Nodes.__name__}",
            "use_node_id_as_ip": True,  # one machine, one address
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "gcs_address": f"127.0.0.1:{self._port}",
        }
        kinds = {
            FAKE_HEAD_NODE_TYPE: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {"resources": {"CPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": nodes},
        }
        config = {
            **BASE_READONLY_CONFIG,  # what `ray up` fills in
            "cluster_name": "artray",
            "provider": provider,
            "available_node_types": kinds,
            "head_node_type": FAKE_HEAD_NODE_TYPE,
            "max_workers": nodes,
            "upscaling_speed": 100.0,
            "idle_timeout_minutes": 0.25,
        }
        file = self._home / "autoscaler.json"
        file.write_text(json.dumps(config))
        return file

    def _start(self, name: str, options: list[str]) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-c", START_HEAD] if "--head" in options else [ray_command()]
        command = [*program, "start", "--block", "--disable-usage-stats", *options]
        # Ray's own choice of port for its agent is taken where another cluster, or node, runs.
        command += [f"--dashboard-agent-listen-port={free_port()}"]
        with (self._home / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)

    def _is_up(self) -> bool:
        """Wait until jobs are taken; False if the head ends before: Ray gives each machine 30 s, which may be busy."""
        while self.head.poll() is None:
            if self._refuses_strangers() and self._known_nodes():
                return True
            time.sleep(0.2)
        return False

    def _refuses_strangers(self) -> bool:
        """Whether the Jobs API answers, and answers that it wants a token."""
        try:
            status = urllib.request.urlopen(f"http://127.0.0.1:{self._dashboard}/api/jobs/", timeout=10).status
        except urllib.error.HTTPError as answer:
            status = answer.code
        except OSError:
            return False
        assert status == 401 or status >= 500, f"the Jobs API answers {status} without a token"
        return status == 401


class Nodes(FakeMultiNodeProvider):  # type: ignore[misc]
    """Ray's provider for tests, whose nodes have a place of their own each; see `RealCluster.add_node`."""

    def _create_node_with_resources_and_labels(self, *arguments: Any) -> None:
        port = self._gcs_address.rpartition(":")[2]
        own = {"temp_dir": f"{_temporary(port)}/{self._next_node_id}", "include_log_monitor": False}
        with patch.object(ray._private.parameter, "RayParams", partial(RayParams, **own)):
            super()._create_node_with_resources_and_labels(*arguments)


def _temporary(port: int | str) -> Path:
    """Of the cluster at a port. Short: the path of a socket below it may have 107 characters."""
    return Path(f"/tmp/artray-test-{port}")


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a node's whole process group, at once and without a word."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def counts_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON line of a job that ended well."""
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    line = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{"))
    counts: dict[str, Any] = json.loads(line)
    return counts


def _last_words(texts: Sequence[bytes]) -> str:
    return "\n".join(text.decode(errors="replace")[-2000:] for text in texts)


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
