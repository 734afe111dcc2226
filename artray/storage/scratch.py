"""Local files that are not whole yet: where they lie, and how those that a kill has left are swept away."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Whose it is, by machine and process. Not the file's own name: with more, that might be too long.
_NAME = re.compile(r"\.artray-(?P<host>[0-9a-f]{8})-(?P<process>\d+)-[0-9a-f]{8}")
_LONGEST_WRITE = 86_400.0  # seconds; of other machines' processes nothing is known


def scratch_name() -> str:
    """A name for a file of this process that is soon gone, hidden from readers and found by `sweep`."""
    return f".artray-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"


@contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """A hidden path in a file's folder, to write to and then to take the file's place; gone after the block."""
    scratch = target.with_name(scratch_name())
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove files named by `scratch_name` below a folder whose processes are no more."""
    for below, _, names in os.walk(folder):
        for name in names:
            if (match := _NAME.fullmatch(name)) and _is_left(Path(below) / name, match):
                with suppress(OSError):
                    (Path(below) / name).unlink()


def _is_left(file: Path, match: re.Match[str]) -> bool:
    with suppress(OSError):
        if time.time() - file.stat().st_mtime > _LONGEST_WRITE:
            return True
    return match["host"] == _host() and not _is_alive(int(match["process"]))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _host() -> str:
    return hashlib.blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()
