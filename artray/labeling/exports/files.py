"""Files and folders that appear when they are whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from artray.storage import Location, explained, remove_scratch, remove_written


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to; what is there afterwards takes the file's place, unless there was an error."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"{path.name}.part")
        try:
            yield scratch
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)


@contextmanager
def whole_files(path: Path, names: Sequence[str]) -> Iterator[Path]:
    """An empty folder to write files into, which take the places of their predecessors, unless there was an error.

    Args:
        path: The files' folder.
        names: What the files are called, as `storage.remove_written` takes it; others in the folder stay.
    """
    scratch = path.with_name(f"{path.name}.part")
    with explained(path):
        remove_scratch(Location.parse(scratch), names)  # of an export that was killed
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            yield scratch
            remove_written(Location.parse(path), names)
            path.mkdir(exist_ok=True)
            written = [file for file in scratch.iterdir() if any(re.fullmatch(name, file.name) for name in names)]
            for file in sorted(written, reverse=True):
                file.replace(path / file.name)
        finally:
            remove_scratch(Location.parse(scratch), names)


def dumped(value: Any) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
