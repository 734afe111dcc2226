"""The Ray cluster a job runs on: the one it was submitted to, or a local one of its own."""

from __future__ import annotations

import gc
import logging
import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.data import DataContext
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from artray import console
from artray.console import CHATTERERS, QUIET
from artray.errors import ArtrayError, InputError
from artray.job import heed_sigterm, is_sigterm_heeded, sigterm_noticed

_TRIES = 2  # to start a Ray on this machine, which may be busy
_ANSWER_SECONDS = 120.0  # a machine that has just started unpacks the working directory first

# What Ray does beside the work, each in a process that takes two seconds to start: it looks out for the notice that a
# rented machine will be taken away, and reports how it is used to its makers.
_NOT_LOCALLY = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0", "RAY_USAGE_STATS_ENABLED": "0"}

# Of every process on the cluster. The newest Ray would show all GPUs of a machine to a process that asked for none, and
# TensorFlow would take their whole memory in each process that sees them. The user's own settings count for more.
_GPUS = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def connect() -> None:
    """Join the cluster in `RAY_ADDRESS` (set by `ray job submit`), else start a local one; once a process."""
    verbose = logging.getLogger().isEnabledFor(logging.INFO)
    if not verbose:  # Ray gave its loggers levels of its own if it was imported after `quiet`
        for name in CHATTERERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        # Of a pass that failed in this process Ray's frames, which refer to each other, still hold actors and CPUs.
        gc.collect()
    else:
        heeded = is_sigterm_heeded()  # which Ray undoes as it starts
        if not may_grow():
            for name, value in _NOT_LOCALLY.items():
                os.environ.setdefault(name, value)
        _ask_for_token()
        # Ray refuses what the job's own runtime environment sets too; this process has that in its variables.
        given = {name: value for name, value in _GPUS.items() if name not in os.environ}
        os.environ.update(given)
        # A local cluster's processes have this one's variables. Given as a runtime environment, each would start twice.
        environment = {"env_vars": {**given, **({} if verbose else QUIET)}} if may_grow() else None
        local = {} if may_grow() else {"address": "local", "include_dashboard": False}
        begin = partial(
            ray.init,
            log_to_driver=verbose,
            logging_level=logging.INFO if verbose else logging.CRITICAL,
            runtime_env=environment,
            **local,
        )
        # Ray's C++ core announces on standard error that it was told to be quiet; what goes wrong is raised.
        with nullcontext() if verbose else console.silent_stderr(), sigterm_noticed() if heeded else nullcontext():
            _patiently(begin, tries=1 if may_grow() else _TRIES)
        if heeded:
            heed_sigterm()
    context = DataContext.get_current()
    context.enable_progress_bars = False  # ours count pictures, Ray's count blocks
    context.print_on_execution_start = False
    context.raise_original_map_exception = True  # a worker's own words: Ray's wrapping would lose them on the way


def _patiently(begin: Callable[[], object], tries: int) -> None:
    """Ray gives its own processes 30 s to start, which can't be set; it says so in an exception without a type."""
    for left in reversed(range(tries)):
        try:
            begin()
            return
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()  # what has started of it
            if not left:
                raise ArtrayError(
                    f"Ray has not started within its 30 seconds{', twice' if tries > 1 else ''}: the machine is too "
                    "busy. Run the same command again when it is less so"
                ) from error


def _ask_for_token() -> None:
    """Have each request to the cluster carry a token: who has none can't run code on it.

    The newest Ray does so by itself for clusters that it starts, and where a token is there; 2.55 only where it is
    asked. `RAY_AUTH_MODE` is the user's to set: `disabled` is obeyed.
    """
    if "RAY_AUTH_MODE" in os.environ:
        return
    file = Path("~").expanduser() / ".ray" / "auth_token"
    if not any(name in os.environ for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")) and not file.exists():
        if may_grow():
            return  # a cluster of others, which may know no tokens
        if not _is_writable(file.parent):  # else Ray makes a token there
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ["RAY_AUTH_MODE"] = "token"
    from ray._raylet import Config  # type: ignore[attr-defined]

    Config.initialize("")  # it has read the environment when Ray was imported


def _is_writable(folder: Path) -> bool:
    """Whether a folder is there, or can be made, and be written to: a container's home may be read-only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def quicken_keras() -> None:
    """Let `import keras` in this process pass over what no worker uses, and not look for garbage: half of its time.

    Keras imports scikit-learn, which openTSNE brings, and matplotlib, where they are there. What is imported is no
    garbage, and there is more and more to look through: so Python looks for it more seldom.
    """
    for name in ("sklearn", "matplotlib"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]
    gc.set_threshold(max(10_000, gc.get_threshold()[0]))


def may_grow() -> bool:
    """Whether others began the cluster: an autoscaler may give it more machines, and take some away."""
    return bool(os.environ.get("RAY_ADDRESS"))


def cpus() -> int:
    """How many CPUs the cluster has, at least one."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def object_store_bytes() -> int:
    """The room in the object store of the machine that has least of it, of those that work."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    working = [node for node in nodes if node.get("CPU", 0) >= 1] or nodes
    return int(min((node.get("object_store_memory", 0) for node in working), default=0))


def other_nodes() -> dict[str, str]:
    """The cluster's machines but this one: their ids, and a name and address of each for people."""
    here = ray.get_runtime_context().get_node_id()
    return {node["NodeID"]: _name(node) for node in ray.nodes() if node["Alive"] and node["NodeID"] != here}


def _name(node: Mapping[str, Any]) -> str:
    """A machine's own name, where it has one, and its address."""
    address = node["NodeManagerAddress"]
    name = node["NodeName"] if node["NodeName"] != address else node["NodeManagerHostname"]
    return f"{name} ({address})"


def ask(nodes: Mapping[str, str], question: Callable[..., Any], *arguments: Any) -> Iterator[tuple[str, Any]]:
    """A function's answer from each machine, the first that are ready first.

    Args:
        nodes: As from `other_nodes`.
        question: The function; a task's code.
        *arguments: Its arguments.

    Raises:
        InputError: A machine can't run a task.
    """
    task = ray.remote(num_cpus=0, max_retries=0)(question)
    asked = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(*arguments): node
        for node in nodes
    }
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=_ANSWER_SECONDS)
    for reference in answered:
        try:
            answer = ray.get(reference)
        except RayError as error:
            if any(node["NodeID"] == asked[reference] and node["Alive"] for node in ray.nodes()):
                reason = " ".join(str(error).split())[-300:]
                raise InputError(f"node {nodes[asked[reference]]}: can't run a task: {reason}") from error
            continue  # it has gone meanwhile: spot machines do
        yield asked[reference], answer
    for reference in silent:
        console.say(f"node {nodes[asked[reference]]} does not answer; going on without it")


@contextmanager
def unwrapped_errors() -> Iterator[None]:
    """Let an artray error raised in a worker leave the block as itself, without Ray's wrapping and traces.

    Raises:
        ArtrayError: The one a worker raised; or that a machine lacks a module, with its address.
    """
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        seen: list[BaseException] = []
        while cause is not None and cause not in seen:
            seen.append(cause)
            # A Ray error of both types prints the remote traceback; its `cause` is the error itself.
            inner = getattr(cause, "cause", None)
            if isinstance(inner, ArtrayError):
                raise type(inner)(str(inner).partition("\n")[0]) from error  # Ray adds lines of its own
            cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
        missing = re.search(r"ModuleNotFoundError: (No module named '[^']+')", str(error))
        address = re.search(r"\bip=([^,)]+)", str(error))
        if isinstance(error, RayError) and missing and address:
            raise ArtrayError(f"node {address[1]}: {missing[1]}; all machines need artray's dependencies") from error
        raise
