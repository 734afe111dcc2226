"""What a person at the terminal sees: progress bars and short tables, all on standard error.

Standard output is left to the job's JSON line. Where standard error is not a terminal (a Ray job's log, a file), a
bar becomes a plain line every few seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

_LINE_EVERY_SECONDS = 10.0


def _console() -> Console:
    # Made at each use: tests and jobs may have replaced sys.stderr since.
    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def say(message: str) -> None:
    """One line about what goes on."""
    _console().print(escape(message))


def heading(message: str) -> None:
    """A line between two parts of a long job."""
    _console().print(f"\n[bold]{escape(message)}[/]")


def error(message: str) -> None:
    """The one line that says why a job ended."""
    _console().print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A short table; numbers are right-aligned."""
    lines = [[str(cell) for cell in row] for row in rows]
    drawn = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for index, name in enumerate(header):
        numeric = bool(lines) and all(_is_number(line[index]) for line in lines)
        drawn.add_column(name, justify="right" if numeric else "left")
    for line in lines:
        drawn.add_row(*map(escape, line))
    out = _console()
    if not out.is_terminal:  # a log has no width: never fold a cell
        out.width = 200
    out.print(drawn)


def counts(title: str, values: Mapping[str, object]) -> None:
    """A two-column table of what was counted."""
    table(title, ["", ""], list(values.items()))


class Bar:
    """One progress bar; `advance` and `note` are called by the loop that does the work."""

    def __init__(self, title: str, total: int, progress: Progress, task: TaskID):
        self._title, self._total, self._progress, self._task = title, total, progress, task
        self._done = 0
        self._note = ""
        self._live = progress.console.is_terminal
        self._started = self._last_line = time.monotonic()

    def advance(self, amount: int = 1, note: str = "") -> None:
        """Say that `amount` more is done; `note` stands beside the bar."""
        self._done += amount
        self._note = note or self._note
        self._progress.update(self._task, advance=amount, note=escape(self._note))
        now = time.monotonic()
        if not self._live and (now - self._last_line > _LINE_EVERY_SECONDS or self._done >= self._total):
            self._last_line = now
            rate = self._done / max(now - self._started, 1e-9)
            self._progress.console.print(f"{self._title}: {self._done}/{self._total} ({rate:.1f}/s) {self._note}")


@contextmanager
def bar(title: str, total: int, note: str = "starting") -> Iterator[Bar]:
    """A progress bar for `total` steps, with the rate's remaining time; gone into a line when done."""
    console = _console()
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("[dim]{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bar(title, total, progress, progress.add_task(title, total=total, note=note))


def _is_number(text: str) -> bool:
    try:
        float(text.rstrip(" %").replace(",", "").replace("–", "0") or "x")
    except ValueError:
        return False
    return True
