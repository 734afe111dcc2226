"""Folders and s3:// prefixes as one thing, by fsspec; the one place that makes clients.

A location is made once, where options are read (`Location.parse`), and from then on handed about as a value. It is a
path (`pictures`, `/mnt/scans`, `file:///mnt/scans`) or `s3://bucket/prefix`. Keys, region and endpoint of S3 come from
the usual AWS environment variables, configuration files or instance profile; nothing of them is ever written to a table
or a log.

What S3 is slow or wrong at is tried again: a request, or a read with all its bytes, is made AWS_MAX_ATTEMPTS times in
all (8 where nothing is set; `max_attempts` of the AWS configuration file counts too) with growing random waits, and
only then given up. See `artray.storage.s3`.
"""

from __future__ import annotations

import glob
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from artray import console
from artray.errors import InputError
from artray.storage.faults import ReadError, explained, read_error

_S3_CONFIG: dict[str, Any] = {
    "connect_timeout": 10,
    "read_timeout": 60,  # seconds without a byte
    "max_pool_connections": 64,
}

_LISTINGS = 16  # prefixes listed at once


@dataclass(frozen=True, slots=True, order=True)
class FileInfo:
    """A stored file: where it is, its bytes and what changes when it changes (etag, or modification time)."""

    uri: str
    size: int
    version: str


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A folder, a file, or a prefix or object of S3.

    Attributes:
        uri: Its one spelling: local paths absolute and without `file://`, no slash at the end.

    Example:
        >>> str(Location.parse("s3://museum/scans/") / "1901" / "12.jpg")
        's3://museum/scans/1901/12.jpg'
    """

    uri: str

    @classmethod
    def parse(cls, text: str | os.PathLike[str] | Location) -> Location:
        """The location that a user names.

        Raises:
            InputError: A scheme other than file and s3, or no bucket.
        """
        if isinstance(text, Location):
            return text
        text = os.fspath(text)
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls(str(Path(text).expanduser().absolute()))
        if scheme == "file":
            return cls(str(Path("/" + rest.lstrip("/"))))
        if scheme != "s3":
            text = re.sub(r"//[^/@]*@", "//***@", text)  # a password has no place in a log
            raise InputError(f"{text}: must be a folder or s3://bucket/prefix")
        if not rest.strip("/"):
            raise InputError(f"{text}: names no bucket")
        return cls("s3://" + rest.strip("/"))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """An option of this type takes what `parse` takes, and is written as its URI."""
        return core_schema.no_info_before_validator_function(
            cls.parse, core_schema.is_instance_schema(cls), serialization=core_schema.to_string_ser_schema()
        )

    def __str__(self) -> str:
        return self.uri

    def __fspath__(self) -> str:
        """The path of a local one, for `open`, `Path` and the like."""
        if self.is_s3:
            raise TypeError(f"{self} is no local path")
        return self.uri

    def __truediv__(self, name: str) -> Location:
        """A location below this one; also by a name that begins with a slash, as keys of S3 may."""
        return Location(f"{self.uri.rstrip('/')}/{name}")

    @property
    def is_s3(self) -> bool:
        """Whether it is an object or a prefix of S3."""
        return self.uri.startswith("s3://")

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self.uri.rpartition("/")[2]

    @property
    def parent(self) -> Location:
        """The folder it is in."""
        return Location(self.uri.rpartition("/")[0])

    def relative(self, uri: str) -> str:
        """The path of a file below here, from its URI."""
        return uri.removeprefix(self.uri).removeprefix("/")

    def filesystem(self) -> tuple[fsspec.AbstractFileSystem, str]:
        """Its file system, and the path in it."""
        if self.is_s3:
            _reach(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "")
            from artray.storage import s3  # half a second that users of folders need not wait

            return s3.connect(_S3_CONFIG), self.uri.removeprefix("s3://")
        return fsspec.filesystem("file"), self.uri

    def arrow_filesystem(self) -> tuple[pafs.FileSystem, str]:
        """The same for the libraries that speak Arrow's file systems (pyarrow, Ray)."""
        fs, path = self.filesystem()
        if isinstance(fs, LocalFileSystem):
            return pafs.LocalFileSystem(), path
        return pafs.PyFileSystem(pafs.FSSpecHandler(fs)), path

    # -- files ---------------------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        """Whether a file or folder is there."""
        fs, path = self.filesystem()
        return bool(fs.exists(path))

    def names(self) -> list[str]:
        """The names of what lies right in a folder, in no order; none where there is no folder."""
        fs, path = self.filesystem()
        if not fs.exists(path):
            return []
        return [entry.rstrip("/").rpartition("/")[2] for entry in fs.ls(path, detail=False)]

    def read_bytes(self) -> bytes:
        """A whole file.

        Raises:
            InputError: It can't be read.
        """
        with explained(self):
            fs, path = self.filesystem()
            return bytes(fs.cat_file(path))

    def read_json(self) -> Any:
        """A whole JSON file.

        Raises:
            InputError: It can't be read.
        """
        return json.loads(self.read_bytes())

    def write_bytes(self, data: bytes) -> None:
        """Write a file whole or not at all: readers see the old one until the new one is complete.

        Raises:
            InputError: The place can't be written to.
            ArtrayError: The disk is full.
        """
        with explained(self):
            fs, path = self.filesystem()
            if not isinstance(fs, LocalFileSystem):
                fs.pipe_file(path, data)  # one PUT (or multipart upload) is atomic
                return
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
            try:
                scratch.write_bytes(data)
                scratch.replace(target)
            finally:
                scratch.unlink(missing_ok=True)

    def write_json(self, values: Any) -> None:
        """Write a JSON file for people to read, whole or not at all; see `write_bytes`."""
        self.write_bytes(json.dumps(values, indent=1).encode())

    def remove(self) -> None:
        """Remove a file, or a folder with all below it, such as only artray makes; nothing happens where there is none.

        What else may lie in a folder that the user has named is the user's: see `artray.storage.remove_written`.
        """
        fs, path = self.filesystem()
        if fs.exists(path):
            # `rm` on S3 takes a name with [, ? or * for a pattern: it would miss this one, or remove its neighbours.
            fs.rm(path if isinstance(fs, LocalFileSystem) else glob.escape(path), recursive=True)

    def ensure_writable(self) -> None:
        """Fail early and clearly where a job could not write its output.

        Raises:
            InputError: Nothing can be written below the location.
            ArtrayError: The disk is full.
        """
        probe = self / f".artray-{secrets.token_hex(4)}"
        try:
            probe.write_bytes(b"")
        except InputError as error:
            raise InputError(f"{self}: can't be written to: {str(error).removeprefix(f'{probe}: ')}") from error
        fs, path = probe.filesystem()
        fs.rm_file(path)

    def list_files(self, hidden: Callable[[str], None] | None = None) -> Iterator[FileInfo]:
        """All files below a folder or prefix, in the order of their names.

        Hidden files and those below a folder whose name begins with a dot are left out; so are links that lead to no
        file below the folder (and pipes, and the like), but these are said.

        Args:
            hidden: Is told the path below here of each hidden file.

        Raises:
            InputError: The folder or bucket is not there, or may not be read.
        """
        with explained(self):
            fs, root = self.filesystem()
            if self.is_s3:
                return _infos(_find_s3(fs, root), root, hidden)
            if not fs.isdir(root):
                raise InputError(f"{self}: no such folder")
            return _find_local(fs, root, hidden)

    # -- Parquet -------------------------------------------------------------------------------------------------------

    def dataset(self) -> pads.Dataset:
        """A Parquet dataset: a file, or all files below a folder whose names don't begin with `_` or `.`.

        Where some are called `….parquet`, others (notes, pictures) are left out.

        Raises:
            InputError: It is not there, or no Parquet.
        """
        with explained(self):
            fs, path = self.arrow_filesystem()
            try:
                found = _dataset(fs, path)
            except pa.ArrowInvalid as error:
                raise InputError(f"{self}: not a Parquet dataset: {' '.join(str(error).split())[:200]}") from error
            if not found.files:
                raise InputError(f"{self}: holds no Parquet files")
            return found

    def write_table(self, table: pa.Table, row_group_size: int = 4096) -> None:
        """Write one Parquet file (zstd), whole or not at all."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=row_group_size)
        self.write_bytes(sink.getvalue().to_pybytes())

    # -- folders -------------------------------------------------------------------------------------------------------

    def upload(self, folder: Path) -> None:
        """Copy a local folder's files here."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                (self / file.relative_to(folder).as_posix()).write_bytes(file.read_bytes())

    def download(self, folder: Path) -> None:
        """Copy all files below here into a local folder.

        Raises:
            InputError: A key would lead out of it.
        """
        for info in self.list_files():
            path = PurePosixPath(self.relative(info.uri).lstrip("/"))
            if ".." in path.parts:
                raise InputError(f"{info.uri}: a file can't have this name")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(Location(info.uri).read_bytes())


def read_many(uris: Sequence[str]) -> list[bytes | ReadError]:
    """The bytes of many files, fetched at once; a failure stands in its file's place and stops no other.

    Args:
        uris: As in a manifest's `image_uri`: all of S3, or none.
    """
    if not uris:
        return []
    if not uris[0].startswith("s3://"):
        return [_read_local(uri) for uri in uris]
    fs, _ = Location(uris[0]).filesystem()
    paths = list(dict.fromkeys(uri.removeprefix("s3://") for uri in uris))
    # Not `cat`, which takes a name with [, ? or * for a pattern; and one request a file, without asking its size first.
    found = dict(zip(paths, fs.cat_ranges(paths, None, None, max_concurrency=1, on_error="return"), strict=True))
    return [
        item if isinstance(item, bytes) else read_error(item)
        for item in (found[uri.removeprefix("s3://")] for uri in uris)
    ]


def _read_local(uri: str) -> bytes | ReadError:
    try:
        return Path(uri).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return read_error(error)


@lru_cache
def _reach(endpoint: str) -> None:
    """Say within seconds that a server is not there; the retries made for a busy one would take a minute."""
    place = urlsplit(endpoint)
    if not place.hostname:
        return
    port = place.port or (80 if place.scheme == "http" else 443)
    for wait in (0.5, 2.0, None):
        try:
            socket.create_connection((place.hostname, port), timeout=10).close()
        except OSError as error:
            if wait is None:
                raise InputError(f"the S3 server {place.hostname}:{port} can't be reached: {error.strerror}") from error
            time.sleep(wait)
        else:
            return


def _find_local(fs: LocalFileSystem, root: str, hidden: Callable[[str], None] | None) -> Iterator[FileInfo]:
    files = []
    refused = []
    for path, info in sorted(fs.find(root, detail=True).items()):
        if _is_hidden(path[len(root) :]):
            if hidden:
                hidden(path[len(root) :].lstrip("/"))
            continue
        if info["type"] == "other" and not _is_file_below(path, root):
            refused.append(path)
        else:
            # A link's own time says nothing of the picture.
            seconds = Path(path).stat().st_mtime if info["islink"] else info["mtime"]
            files.append(FileInfo(path, int(info["size"]), f"mtime:{seconds:.6f}"))
    if refused:
        console.say(f"left out, links that lead to no file below {root}: {len(refused)} ({refused[0]!a})")
    return iter(files)


def _is_file_below(link: str, root: str) -> bool:
    """Whether a link leads to a file of the same folder."""
    target = Path(os.path.realpath(link))
    return target.is_file() and target.is_relative_to(Path(os.path.realpath(root)))


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))  # keys may have these two


def _find_s3(fs: Any, root: str) -> pa.Table:
    """All objects below a prefix, in the order of their paths; see `S3FileSystem.walk_objects`.

    The pages of one prefix (1,000 objects each) come one after the other, since each says where the next begins; so
    the tree is gone down level by level until there are folders enough to be asked side by side.
    """
    found: list[pa.Table] = []
    folders = [root]
    try:
        with ThreadPoolExecutor(_LISTINGS) as pool:
            while 0 < len(folders) < _LISTINGS:
                levels = list(pool.map(fs.list_objects, folders))
                found += [objects for objects, _ in levels]
                folders = [folder for _, below in levels for folder in below]
            found += pool.map(fs.walk_objects, folders)
    except FileNotFoundError as error:
        raise InputError(f"s3://{root.partition('/')[0]}: there is no such bucket") from error
    return pa.concat_tables(found).sort_by("path")


def _infos(objects: pa.Table, root: str, hidden: Callable[[str], None] | None) -> Iterator[FileInfo]:
    """One by one: five million at once would take 1.5 GB."""
    for batch in objects.to_batches():
        for path, size, etag in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if not _is_hidden(path[len(root) :]):
                yield FileInfo(f"s3://{path}", size, etag)
            elif hidden:
                hidden(path[len(root) :].lstrip("/"))


def is_read(path: str) -> bool:
    """Whether a file or folder with this path below a dataset's folder is read with it (see `Location.dataset`)."""
    return not any(part.startswith(("_", ".")) for part in path.split("/"))


def _dataset(fs: pafs.FileSystem, path: str) -> pads.Dataset:
    options: dict[str, Any] = {"filesystem": fs, "format": "parquet"}
    try:
        found = pads.dataset(path, partitioning="hive", **options)
        files = found.files
    except pa.ArrowInvalid:  # its first file is no Parquet
        if fs.get_file_info(path).is_file:
            raise
        infos = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True))
        files = [info.path for info in infos if info.is_file and is_read(info.path[len(path) :].lstrip("/"))]
        if not any(file.endswith(".parquet") for file in files):
            raise
        found = None
    tables = [file for file in files if file.endswith(".parquet")]
    if found is not None and len(tables) in (0, len(files)):
        return found
    return pads.dataset(
        sorted(tables), partitioning=pads.partitioning(flavor="hive"), partition_base_dir=path, **options
    )
