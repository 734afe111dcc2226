"""What a person at the terminal sees: progress bars and short tables, all on standard error.

Standard output is left to the job's JSON line. Where standard error is not a terminal (a Ray job's log, a file), a
bar becomes a plain line every few seconds.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from artray.errors import without_keys

_LINE_EVERY_SECONDS = 10.0


def quiet(verbose: bool) -> None:
    """Keep TensorFlow's and Ray's chatter off the terminal, here and in every process Ray starts for this job.

    To be called before they are imported: they read these variables when they load.
    """
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(name)s: %(message)s")
    if verbose:
        return
    os.environ.update(QUIET)
    for name in CHATTERERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)


CHATTERERS = ("ray", "ray.data", "ray.train", "ray.tune", "botocore", "aiobotocore", "s3fs")
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1"),
    "GRPC_VERBOSITY": "ERROR",
    "GLOG_minloglevel": "2",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore"),
}


def _console() -> Console:
    # Made at each use: tests and jobs may have replaced sys.stderr since. Messages hold names of files and columns,
    # so nothing in them is markup.
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=not sys.stderr.isatty())


def say(message: str) -> None:
    """One line about what goes on."""
    _console().print(without_keys(message))


def heading(message: str) -> None:
    """A line between two parts of a long job."""
    _console().print(f"\n{message}", style="bold")


def error(message: str) -> None:
    """The one line that says why a job ended."""
    _console().print(Text.assemble(("error:", "bold red"), f" {without_keys(message)}"), soft_wrap=True)


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A short table; numbers are right-aligned."""
    lines = [[str(cell) for cell in row] for row in rows]
    drawn = Table(title=Text(title), title_justify="left", title_style="bold", header_style="dim", box=SIMPLE_HEAD)
    for index, name in enumerate(header):
        numeric = bool(lines) and all(_is_number(line[index]) for line in lines)
        drawn.add_column(Text(name), justify="right" if numeric else "left")
    for line in lines:
        drawn.add_row(*map(Text, line))
    out = _console()
    if not out.is_terminal:  # a log has no width: never fold a cell
        out.width = 10_000
    out.print(drawn)


class Bar:
    """One progress bar; `advance` and `note` are called by the loop that does the work."""

    def __init__(self, title: str, total: int, progress: Progress, task: TaskID, done: int = 0):
        self._title, self._total, self._progress, self._task = title, total, progress, task
        self._before = self._done = done
        self._note = ""
        self._live = progress.console.is_terminal
        self._started = self._last_line = time.monotonic()
        self._first: tuple[float, int] | None = None  # when the first was done, and how many then

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Say that `amount` more is done; `note` stands beside the bar."""
        self._done += amount
        self._note = note or self._note
        now = time.monotonic()
        rate = (self._done - self._before) / max(now - self._started, 1e-9)
        self._progress.update(self._task, advance=amount, note=self._note, rate=f"{rate:,.1f}/s")
        if amount and self._first is None:
            self._first = now, self._done
        if not self._live and (now - self._last_line > _LINE_EVERY_SECONDS or self._done >= self._total):
            self._last_line = now
            # Until the first is done workers start and models are loaded, which the others won't wait for.
            since, before = self._first or (now, self._done)
            seconds, number = now - since, self._done - before
            left = (self._total - self._done) * seconds / number if number else 0
            remaining = f", {timedelta(seconds=round(left))} left" if left else ""
            line = f"{self._title}: {self._done}/{self._total} ({rate:.1f}/s{remaining}) {self._note}"
            self._progress.console.print(line.rstrip())


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Let nothing reach standard error, not even from C++; for libraries that announce themselves as they load."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def bar(title: str, total: int, note: str = "starting", done: int = 0) -> Iterator[Bar]:
    """A progress bar for `total` steps, with rate and remaining time; gone into a line when done.

    Args:
        title: What is done.
        total: Steps in all.
        note: Stands beside the bar until `advance` gives another.
        done: Steps that were done before; they count neither for the rate nor for the remaining time.
    """
    console = _console()
    columns = (
        TextColumn("{task.description:<12}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", style="dim", markup=False),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=total, completed=done, note=note, rate="")
        yield Bar(title, total, progress, task, done)


def _is_number(text: str) -> bool:
    try:
        float(text.rstrip(" %").replace(",", "").replace("–", "0") or "x")
    except ValueError:
        return False
    return True
