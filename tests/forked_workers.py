"""Ray's workers as forks of one process that has imported what they would import: most of a short worker's time.

Ray begins each worker as `python SETUP_WORKER OPTIONS`. This file stands in for its SETUP_WORKER: it hands the options,
the variables and the standard streams to a process that the session began. That process forks, and the fork runs what
Ray's own SETUP_WORKER would. Where it can't, and for workers whose runtime environment has more than variables, Ray's
own is run. Clusters of the command line (`ray start`, `ray job submit`, jobs/*.py) do without all this.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SOCKET = "FORKED_WORKERS"
"""The variable that says where that process listens."""

MOST_BYTES = 2**18
"""Of a request: more than the system takes at once."""

MODULES = ("ray._private.workers.default_worker", "pandas", "pyarrow.dataset", "tensorflow", "keras")
"""What most workers import, TensorFlow above all.

Not `ray.data`, nor what imports it: it decorates classes with `ray.remote`, which draws the first random id. All forks
would go on from there, and no two of Ray's ids may be the same.
"""


@contextmanager
def forking() -> Iterator[str | None]:
    """Fork the workers of clusters that this process begins: gives their SETUP_WORKER, None where it is Ray's.

    Only on Linux: elsewhere system libraries don't survive a fork.
    """
    if sys.platform != "linux":
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ[SOCKET] = f"{folder}/socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(os.environ[SOCKET])
            listener.listen()
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.forked_workers", str(listener.fileno())],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.PIPE,
                pass_fds=[listener.fileno()],
            )
        with process:
            try:
                yield __file__
            finally:
                process.kill()
                del os.environ[SOCKET]


def request_worker() -> None:
    """Have a worker forked, and stay until it has gone; else become one as Ray would have it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--serialized-runtime-env-context", default="{}")
    parser.add_argument("--language")
    options, command = parser.parse_known_args()
    added = _added_variables(json.loads(options.serialized_runtime_env_context))
    if added is not None:
        request = json.dumps([command, os.environ | added, str(Path.cwd())]).encode()
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(os.environ[SOCKET])
            socket.send_fds(connection, [request], [0, 1, 2])
            if connection.recv(1):
                connection.recv(1)
                return
    os.execv(sys.executable, [sys.executable, "-m", "ray._private.workers.setup_worker", *sys.argv[1:]])


def _added_variables(environment: dict[str, Any]) -> dict[str, str] | None:
    """What a runtime environment adds to a worker's variables; None where it asks for anything else."""
    variables: dict[str, str] = environment.pop("env_vars", {})
    python = environment.pop("py_executable", sys.executable)
    is_more = python != sys.executable or any(environment.values())
    return None if is_more or any("$" in value for value in variables.values()) else variables


def serve(listener: socket.socket) -> None:
    """Have a worker forked for each request, until standard input ends with the session.

    By a process for each raylet: Ray reads a raylet's number once, and a worker goes with its raylet.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a worker ended
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as Ray does: Ctrl-C is for the session
    raylets: dict[str, socket.socket] = {}
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        request, streams, _, _ = socket.recv_fds(connection, MOST_BYTES, 3)
        if request:  # else whoever asked has gone
            _, variables, _ = json.loads(request)
            raylet = variables["RAY_RAYLET_PID"]
            if raylet not in raylets:
                raylets[raylet], requests = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                if os.fork() == 0:
                    listener.close()
                    for each in (connection, *raylets.values()):
                        each.close()
                    for stream in streams:
                        os.close(stream)
                    fork_workers(requests, variables)
                    return
                requests.close()
            with suppress(OSError):  # where that process has failed
                socket.send_fds(raylets[raylet], [request], [connection.fileno(), *streams])
        for stream in streams:
            os.close(stream)
        connection.close()


def fork_workers(requests: socket.socket, variables: dict[str, str]) -> None:
    """Fork a worker for each request, of one raylet all, until there are no more; `variables` are the first one's."""
    _import(variables)
    while True:
        request, streams, _, _ = socket.recv_fds(requests, MOST_BYTES, 4)
        if not request:
            return
        if os.fork() == 0:
            command, variables, folder = json.loads(request)
            os.setpgid(0, 0)  # Ray ends a worker's whole group
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            requests.close()
            os.write(streams[0], b"1")
            _work(command, variables, folder, streams[1:])
            return
        for stream in streams:
            os.close(stream)


def _import(variables: dict[str, str]) -> None:
    """Import what workers do, with a worker's variables: some libraries read them only then."""
    import gc
    from importlib import import_module

    os.environ.clear()
    os.environ.update(variables)
    # Keras is imported without these, as by `cluster.quicken_keras`; a worker can still import them itself.
    skipped = dict.fromkeys(("sklearn", "matplotlib"))
    sys.modules.update(skipped)  # type: ignore[arg-type]
    for name in MODULES:
        import_module(name)
    for name in skipped:
        del sys.modules[name]
    gc.freeze()


def _work(command: list[str], variables: dict[str, str], folder: str, streams: list[int]) -> None:
    """What `python COMMAND` would do."""
    import runpy

    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.argv, sys.path[0] = command, str(Path(command[0]).parent)
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    if __spec__ is None:  # run by its path, as Ray does
        request_worker()
    else:
        serve(socket.socket(fileno=int(sys.argv[1])))
