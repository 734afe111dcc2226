"""The Ray cluster a job runs on: the one it was submitted to, or a local one of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import ray
from ray.data import DataContext

from artray import console
from artray.errors import ArtrayError
from artray.job import CHATTERERS, QUIET


def connect() -> None:
    """Join the cluster in `RAY_ADDRESS` (set by `ray job submit`), else start a local one; once a process."""
    verbose = logging.getLogger().isEnabledFor(logging.INFO)
    if not verbose:  # Ray gave its loggers levels of its own if it was imported after `quiet`
        for name in CHATTERERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if not ray.is_initialized():
        local = {} if os.environ.get("RAY_ADDRESS") else {"address": "local", "include_dashboard": False}
        # Ray's C++ core announces on standard error that it was told to be quiet; what goes wrong is raised.
        with nullcontext() if verbose else console.silent_stderr():
            ray.init(
                log_to_driver=verbose,
                logging_level=logging.INFO if verbose else logging.CRITICAL,
                runtime_env=None if verbose else {"env_vars": QUIET},
                **local,
            )
    context = DataContext.get_current()
    context.enable_progress_bars = False  # ours count pictures, Ray's count blocks
    context.print_on_execution_start = False


def cpus() -> int:
    """How many CPUs the cluster has, at least one."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


@contextmanager
def own_errors() -> Iterator[None]:
    """Let an artray error raised in a worker leave the block as itself, without Ray's wrapping and traces.

    Raises:
        ArtrayError: The one a worker raised.
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
                raise type(inner)(str(inner)) from error
            cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
        raise
