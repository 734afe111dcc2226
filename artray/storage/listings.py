"""What lies below a folder or a prefix of S3, in the order of the paths; what is left out is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from artray import console
from artray.errors import InputError

SIZE_IN_VERSION = " size:"
"""What stands before the size in a local file's version; versions of earlier releases end before it."""

_LISTINGS = 16  # prefixes listed at once
_CLOSED = "folders that may not be read"


@dataclass(frozen=True, slots=True, order=True)
class FileInfo:
    """A stored file: where it is, its bytes and what changes when it changes (etag, or modification time and size)."""

    uri: str
    size: int
    version: str


def find_files(root: str, hidden: Callable[[str], None] | None = None) -> Iterator[FileInfo]:
    """All files below a folder, in the order of their paths.

    Args:
        root: The folder.
        hidden: Is told the path below it of each hidden file.

    Raises:
        OSError: The folder itself can't be read.
    """
    files: list[FileInfo] = []
    links: list[str] = []
    closed: list[str] = []
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as listed:
                entries = list(listed)
        except FileNotFoundError:
            if folder == root:
                raise
            continue  # gone since its folder was read
        except OSError:
            if folder == root:
                raise
            closed.append(folder)
            continue
        for entry in entries:
            if _is_hidden(entry.name):
                if hidden:
                    for path in _files_of(entry):
                        hidden(os.path.relpath(path, root))
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif not entry.is_file(follow_symlinks=False) and not _is_file_below(entry.path, root):
                links.append(entry.path)
            else:
                try:
                    info = entry.stat()  # of a link what it leads to: its own time says nothing of the picture
                except FileNotFoundError:
                    continue
                except PermissionError:  # the folder's names may be read, but nothing else
                    closed.append(folder)
                    break
                files.append(FileInfo(entry.path, info.st_size, _version(info)))
    for what, left_out in ((f"links that lead to no file below {root}", links), (_CLOSED, closed)):
        if left_out:
            console.say(f"left out, {what}: {len(left_out):,} ({min(left_out)!a})")
    return iter(sorted(files, key=attrgetter("uri")))


def _files_of(entry: os.DirEntry[str]) -> Iterator[str]:
    """A hidden file, or those in a hidden folder as far as it may be read."""
    if not entry.is_dir(follow_symlinks=False):
        yield entry.path
    for folder, _, names in os.walk(entry.path):
        yield from (f"{folder}/{name}" for name in names)


def _version(info: os.stat_result) -> str:
    """What changes when a file does: its time alone doesn't where a copy keeps it, its size alone seldom does."""
    return f"mtime:{info.st_mtime:.6f}{SIZE_IN_VERSION}{info.st_size}"


def _is_file_below(link: str, root: str) -> bool:
    """Whether a link leads to a file of the same folder."""
    target = Path(os.path.realpath(link))
    return target.is_file() and target.is_relative_to(Path(os.path.realpath(root)))


def _is_hidden(path: str) -> bool:
    return any(name.startswith(".") and name not in (".", "..") for name in path.split("/"))  # keys may have these two


def _find_s3(fs: Any, root: str) -> pa.Table:
    """All objects below a prefix, in the order of their paths; see `S3FileSystem.walk_objects`.

    The pages of one prefix (1,000 objects each) come one after the other, since each says where the next begins; so
    the tree is gone down level by level until there are folders enough to be asked side by side.
    """
    from artray.storage.s3 import LISTED  # half a second that users of folders need not wait

    closed: list[str] = []

    def allowed(ask: Callable[[str], Any], folder: str, nothing: Any) -> Any:
        try:
            return ask(folder)
        except PermissionError:
            if folder == root:
                raise
            closed.append(folder)
            return nothing

    found: list[pa.Table] = []
    folders = [root]
    none = LISTED.empty_table()
    try:
        with ThreadPoolExecutor(_LISTINGS) as pool:
            while 0 < len(folders) < _LISTINGS:
                levels = list(pool.map(lambda folder: allowed(fs.list_objects, folder, (none, [])), folders))
                found += [objects for objects, _ in levels]
                folders = [folder for _, below in levels for folder in below]
            found += pool.map(lambda folder: allowed(fs.walk_objects, folder, none), folders)
    except FileNotFoundError as error:
        raise InputError(f"s3://{root.partition('/')[0]}: there is no such bucket") from error
    if closed:
        console.say(f"left out, {_CLOSED}: {len(closed):,} ({f's3://{min(closed)}'!a})")
    return pa.concat_tables(found).sort_by("path")


def find_objects(fs: Any, root: str, hidden: Callable[[str], None] | None = None) -> Iterator[FileInfo]:
    """All objects below a prefix, in the order of their paths, on a file system of `artray.storage.s3`.

    Args:
        fs: The file system.
        root: Bucket and prefix.
        hidden: Is told the path below it of each hidden object.

    Raises:
        InputError: There is no such bucket.
        OSError: The prefix may not be listed.
    """
    return _infos(_find_s3(fs, root), root, hidden)


def _infos(objects: pa.Table, root: str, hidden: Callable[[str], None] | None) -> Iterator[FileInfo]:
    """One by one: five million at once would take 1.5 GB."""
    for batch in objects.to_batches():
        for path, size, etag in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if not _is_hidden(path[len(root) :]):
                yield FileInfo(f"s3://{path}", size, etag)
            elif hidden:
                hidden(path[len(root) :].lstrip("/"))
