"""What a job may write over, and where: only its own files are removed, no outputs are mixed, no input is spoilt."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from artray.errors import InputError
from artray.storage.location import Location, is_read

PLAN = "_plan.json"
RUN = "_run.json"
"""What a job says of its output, before and after: among it which job that is (see `refuse_other_job`)."""

PASS_FILES = (r"_run\.json", r"part-\d{6,}\.parquet", r"_plan\.json")
"""What a pass writes (see `artray.storage.passes`). The plan last: where there are parts, it says of what."""

_REMOVALS = 16  # objects removed at once


def remove_written(location: Location, names: Sequence[str]) -> None:
    r"""Remove from a folder the files that a job has written there, and folders that are empty then; all else stays.

    Args:
        location: The folder or prefix, which stays itself; nothing happens where there is none.
        names: Regular expressions for the files' whole paths below it. What fits the first is gone before anything
            that fits the second goes, and so on: so a job knows what is left where it is killed meanwhile.

    Example:
        >>> remove_written(Location.parse("work/features"), [r"_run\.json", r"part-\d{6,}\.parquet", r"_plan\.json"])
    """
    fs, root = location.filesystem()
    if not fs.exists(root):
        return
    files = fs.find(root)
    emptied: set[Path] = set()
    for name in names:
        written = [path for path in files if re.fullmatch(name, path[len(root) + 1 :], re.DOTALL)]
        if isinstance(fs, LocalFileSystem):
            for path in written:
                Path(path).unlink(missing_ok=True)
            emptied |= {folder for path in written for folder in Path(path).parents if Path(root) in folder.parents}
        else:
            with ThreadPoolExecutor(_REMOVALS) as pool:
                list(pool.map(fs.rm_file, written))
        files = sorted(set(files) - set(written))
    for folder in sorted(emptied, key=lambda item: len(item.parts), reverse=True):
        with suppress(OSError):  # something of others is in it
            folder.rmdir()


def remove_scratch(folder: Location, names: Sequence[str]) -> None:
    """Remove a folder in which a job keeps what it needs until it is done; files of others there stay, and so it then.

    Args:
        folder: The folder or prefix; nothing happens where there is none.
        names: The job's files below it, as `remove_written` takes them.
    """
    remove_written(folder, names)
    fs, root = folder.filesystem()
    if isinstance(fs, LocalFileSystem):
        for below, _, _ in os.walk(root, topdown=False):
            with suppress(OSError):  # not empty
                Path(below).rmdir()


def refuse_other_job(out: Location, job: str) -> None:
    """Refuse a folder that holds another job's output: what two jobs write into one would be mixed, or lost.

    Args:
        out: The folder or prefix.
        job: What the job calls its own output, in the `_plan.json` and `_run.json` that say `job`; those of earlier
            versions, which don't, are told by what else they hold.

    Raises:
        InputError: It does.
    """
    for name in (RUN, PLAN):
        notes = out / name
        if notes.exists() and (job_there := _job_of(notes.read_bytes())) not in (job, None):
            raise InputError(_another(out, str(job_there), name))
    names = set(out.names())
    for name, jobs in _JOBS_OF.items():
        if name.partition("/")[0] in names and job not in jobs and (out / name).exists():
            raise InputError(_another(out, " or ".join(jobs), name))


def refuse_other_file(out: Location, name: str, mark: bytes) -> None:
    """Refuse a folder that holds a file which a job would write over though it is the user's.

    Args:
        out: The folder or prefix.
        name: The file's name.
        mark: What stands in it where the job has written it.

    Raises:
        InputError: It does.
    """
    file = out / name
    if file.exists() and mark not in file.read_bytes():
        raise InputError(f"{out}: holds {name}, which artray has not written and does not replace; give another --out")


_JOBS_OF = {
    "bundle.json": ("model",),
    "generator.json": ("generator",),
    "upscaler.json": ("upscaler",),
    "augmentation.json": ("augmentation",),
    "results.parquet": ("search", "comparison"),
    "_requests.parquet": ("download",),
    "data/collection.js": ("page",),
}
"""By which of their files jobs are known that write no `_run.json`."""


def _another(out: Location, job: str, name: str) -> str:
    return f"{out}: holds the output of another job ({job}, by its {name}); give another --out"


_ARGUMENT_OF = {
    "models": "labels",
    "features": "features",
    "per_image": "patches",
    "max_bytes": "download",
    "generator": "generated",
}
"""By which of its arguments a job of earlier versions is known."""


def _job_of(text: bytes) -> str | None:
    """The job that wrote a `_plan.json` or `_run.json`; None: of an earlier version that left nothing to know it by."""
    try:
        notes = json.loads(text)
    except ValueError:
        notes = None
    if not isinstance(notes, dict):
        return "not artray's"
    if "job" in notes:
        return str(notes["job"])
    if "tasks" in notes:
        return "labels"
    arguments = notes.get("settings", notes).get("arguments")
    if isinstance(arguments, dict):
        return next((job for name, job in _ARGUMENT_OF.items() if name in arguments), None)
    return "manifest" if "counts" in notes else "not artray's"


def refuse_other_rows(out: Location, own_files: Set[str], depth: int | None = None) -> None:
    """Refuse a folder that holds other Parquet files than the job's own: they would be read as rows of its output.

    Args:
        out: The folder or prefix.
        own_files: The names of the job's own files.
        depth: How many levels are looked at; None: all.

    Raises:
        InputError: There are others.
    """
    fs, path = out.filesystem()
    files = [file[len(path) + 1 :] for file in fs.find(path, maxdepth=depth) if file.endswith(".parquet")]
    others = sorted(file for file in files if file not in own_files and is_read(file))
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        raise InputError(
            f"{out}: holds {others[0]}{more}, not of this job, which would be read as rows of its output; "
            "give another --out"
        )


Inputs = Mapping[str, Location | Sequence[Location] | None]
"""A job's inputs by their flags; None: not given."""


def keep_apart(
    out: Location, inputs: Inputs, datasets: Inputs | None = None, *, rows: bool = False, within: bool = False
) -> None:
    """Refuse a place for output that is an input, lies in one or holds one: both would be read, or removed, as one.

    Args:
        out: The folder or prefix.
        inputs: Inputs of any kind.
        datasets: Inputs that are Parquet datasets, read with all folders below them but for those whose name begins
            with `_` or `.`: there `out` may lie, and so may an input in `out`.
        rows: Whether `out` is such a dataset itself: then no Parquet file among the inputs may lie in it either.
        within: Whether `out` may lie in an input all the same, as a generator's pictures do in its bundle.

    Raises:
        InputError: It is so.
    """
    real_out = _real(out)
    for flag, uri in (*_each(inputs), *_each(datasets or {})):
        if _real(uri) == real_out:
            raise InputError(f"--out {out}: is the place of {flag}, and what is there is not to be mixed; give another")
    beside = "would be read as a part of it; give a folder beside it"
    for read_all, some in ((True, inputs), (False, datasets or {})):
        for flag, uri in _each(some):
            if not within and _is_below(real_out, _real(uri), read_all):
                raise InputError(f"--out {out}: lies within {flag} {uri} and {beside}")
            # A single file stays what it is.
            if _is_below(_real(uri), real_out, read_all) and (rows or not uri.is_file()):
                raise InputError(f"--out {out}: {flag} {uri} lies within it and {beside}")


def _each(inputs: Inputs) -> Iterator[tuple[str, Location]]:
    for flag, given in inputs.items():
        for uri in [given] if isinstance(given, Location) else given or ():
            yield flag, uri


def _real(location: Location) -> str:
    return location.uri if location.is_s3 else os.path.realpath(location)


def _is_below(inner: str, outer: str, read_all: bool) -> bool:
    """Whether who reads what is in a folder, all of it or what a dataset's readers see, reads another place too."""
    top = outer.rstrip("/") + "/"
    return inner.startswith(top) and (read_all or is_read(inner[len(top) :]))
