"""Ray's workers as forks of one process that has imported what they would import: most of a short worker's time.

Ray begins each worker as `python SETUP_WORKER DEFAULT_WORKER OPTIONS`. This file stands in for its SETUP_WORKER: it
hands options, variables and standard streams to a process that the session began, which forks, and the fork runs Ray's
own DEFAULT_WORKER. All else is Ray's. Clusters of the command line (`ray start`, `ray job submit`, jobs/*.py) do
without it.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOCKET = "FORKED_WORKERS"
"""The variable that says where that process listens."""

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
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        os.environ[SOCKET] = f"{folder}/socket"
        listener.bind(os.environ[SOCKET])
        listener.listen()
        command = [sys.executable, "-m", "tests.forked_workers", str(listener.fileno())]
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[listener.fileno()]) as process:
            try:
                yield __file__
            finally:
                process.kill()
                del os.environ[SOCKET]


def ask() -> None:
    """Ask for a worker, and stay until it has gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--serialized-runtime-env-context", default="{}")
    parser.add_argument("--language")
    given, command = parser.parse_known_args()
    variables = {**os.environ, **json.loads(given.serialized_runtime_env_context).get("env_vars", {})}
    request = json.dumps([command, variables, str(Path.cwd())]).encode() + b"\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ[SOCKET])
        sent = socket.send_fds(connection, [request], [0, 1, 2])
        connection.sendall(request[sent:])
        connection.recv(1)


def serve(listener: socket.socket) -> None:
    """Fork a worker for each that is asked for, until standard input ends with the session."""
    import signal

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a worker ended
    is_ready = False
    while listener in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        request, streams, _, _ = socket.recv_fds(connection, 2**20, 3)
        while not request.endswith(b"\n"):
            request += connection.recv(2**20)
        command, variables, folder = json.loads(request)
        if not is_ready:
            os.dup2(streams[2], 2)  # what goes wrong is told where Ray looks for what a worker says
            _import(variables)
            is_ready = True
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            _work(command, variables, folder, streams)
            return
        for stream in streams:
            os.close(stream)
        connection.close()


def _import(variables: dict[str, str]) -> None:
    """Import what workers do, with a worker's variables: some libraries read them only then."""
    import gc
    from importlib import import_module

    os.environ.clear()
    os.environ.update(variables)
    # As `cluster.quicken_keras` has it in workers, which decide it themselves.
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
    sys.argv = command
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    if __spec__ is None:  # run by its path, as Ray does
        ask()
    else:
        serve(socket.socket(fileno=int(sys.argv[1])))
