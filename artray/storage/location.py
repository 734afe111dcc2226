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
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import fsspec
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem
from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from artray.errors import InputError, without_keys
from artray.storage.faults import ReadError, explained, read_error
from artray.storage.listings import FileInfo, find_files, find_objects
from artray.storage.scratch import scratch_beside, scratch_name, sweep

_S3_CONFIG: dict[str, Any] = {
    "connect_timeout": 10,
    "read_timeout": 60,  # seconds without a byte
    "max_pool_connections": 64,
}


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A folder, a file, or a prefix or object of S3.

    Attributes:
        uri: Its one spelling: local paths absolute, without `file://` and `..`, no slash at the end.

    Example:
        >>> str(Location.parse("s3://museum/scans/") / "1901" / "12.jpg")
        's3://museum/scans/1901/12.jpg'
    """

    uri: str

    @classmethod
    def parse(cls, text: str | os.PathLike[str] | Location) -> Location:
        """The location that a user names.

        Raises:
            InputError: A scheme other than file and s3, no bucket, or keys in the address.
        """
        if isinstance(text, Location):
            return text
        text = os.fspath(text)
        scheme, separator, rest = text.partition("://")
        if not separator:
            return cls(_one_path(Path(text).expanduser().absolute()))
        if scheme == "file":
            return cls(_one_path(Path("/" + rest.removeprefix("localhost/").lstrip("/"))))
        if (shown := without_keys(text)) != text:
            raise InputError(f"{shown}: keys have no place in an address; set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")
        if scheme != "s3":
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

            path = self.uri.removeprefix("s3://")
            return s3.connect(_S3_CONFIG, path.partition("/")[0]), path
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

    def is_file(self) -> bool:
        """Whether a file is there."""
        fs, path = self.filesystem()
        return bool(fs.isfile(path))

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
            InputError: It can't be read, or is no JSON.
        """
        data = self.read_bytes()
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:  # the latter: it is nested a thousand deep
            raise InputError(f"{self}: not JSON: {str(error)[:100]}") from error

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
            with scratch_beside(target) as scratch:
                scratch.write_bytes(data)
                scratch.replace(target)

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

    def move_to(self, target_location: Location) -> None:
        """Move a file to another place of the same kind, whole or not at all; what is there already is replaced.

        Raises:
            ArtrayError: The disk is full, or storage fails.
        """
        fs, path = self.filesystem()
        _, target = target_location.filesystem()
        with explained(target_location):
            if isinstance(fs, LocalFileSystem):
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                Path(path).replace(target)
            else:
                fs.cp_file(path, target)
                fs.rm_file(path)

    def ensure_writable(self) -> None:
        """Fail early and clearly where a job could not write its output.

        What killed runs have left half-written there is removed.

        Raises:
            InputError: Nothing can be written below the location.
            ArtrayError: The disk is full.
        """
        if not self.is_s3:
            sweep(Path(self))
        probe = self / scratch_name()
        try:
            probe.write_bytes(b"")
        except InputError as error:
            raise InputError(f"{self}: can't be written to: {str(error).removeprefix(f'{probe}: ')}") from error
        fs, path = probe.filesystem()
        fs.rm_file(path)

    def list_files(self, hidden: Callable[[str], None] | None = None) -> Iterator[FileInfo]:
        """All files below a folder or prefix, in the order of their names.

        Hidden files and those below a folder whose name begins with a dot are left out; so are links that lead to no
        file below the folder (and pipes, and the like), and folders that may not be read, but these are said.

        Args:
            hidden: Is told the path below here of each hidden file.

        Raises:
            InputError: The folder or bucket is not there, or may not be read.
        """
        with explained(self):
            fs, root = self.filesystem()
            if self.is_s3:
                return find_objects(fs, root, hidden)
            if not fs.isdir(root):
                raise InputError(f"{self}: no such folder")
            return find_files(root, hidden)

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
                dataset = _dataset(fs, path)
            except pa.ArrowInvalid as error:
                raise InputError(f"{self}: not a Parquet dataset: {' '.join(str(error).split())[:200]}") from error
            if not dataset.files:
                raise InputError(f"{self}: holds no Parquet files")
            return dataset

    def write_table(self, table: pa.Table, row_group_size: int = 4096) -> None:
        """Write one Parquet file (zstd), whole or not at all."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=row_group_size)
        self.write_bytes(sink.getvalue().to_pybytes())

    # -- folders -------------------------------------------------------------------------------------------------------

    def upload(self, folder: Path) -> None:
        """Copy a local folder's files here."""
        # A page last: it is opened by whoever sees it.
        for file in sorted(folder.rglob("*"), key=lambda item: (item.suffix == ".html", item)):
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


def _one_path(path: Path) -> str:
    """An absolute path without `..`; above a link to a folder is where the link leads, as for the system."""
    resolved = Path(path.anchor)
    for name in path.parts[1:]:
        if name != "..":
            resolved /= name
        else:
            resolved = (Path(os.path.realpath(resolved)) if resolved.is_symlink() else resolved).parent
    return str(resolved)


def read_many(uris: Sequence[str]) -> list[bytes | ReadError]:
    """The bytes of many files, fetched at once; a failure stands in its file's place and stops no other.

    Args:
        uris: As in a manifest's `image_uri`: all of S3, or none.
    """
    if not uris:
        return []
    if not uris[0].startswith("s3://"):
        return [_read_local(uri) for uri in uris]
    with_keys = {uri for uri in uris if without_keys(uri) != uri}  # which no message may tell
    plain = [uri for uri in dict.fromkeys(uris) if uri not in with_keys]
    if not plain:
        return [_KEYS_IN_ADDRESS] * len(uris)
    fs, _ = Location(plain[0]).filesystem()
    paths = [uri.removeprefix("s3://") for uri in plain]
    # Not `cat`, which takes a name with [, ? or * for a pattern; and one request a file, without asking its size first.
    contents = fs.cat_ranges(paths, None, None, max_concurrency=1, on_error="return")
    read = {
        uri: item if isinstance(item, bytes) else read_error(item) for uri, item in zip(plain, contents, strict=True)
    }
    return [read.get(uri, _KEYS_IN_ADDRESS) for uri in uris]


_KEYS_IN_ADDRESS = ReadError("denied", "keys in the address")


def _read_local(uri: str) -> bytes | ReadError:
    try:
        return Path(uri).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return read_error(error)


@lru_cache
def _reach(endpoint: str) -> None:
    """Say within seconds that a server is not there; the retries made for a busy one would take a minute."""
    address = urlsplit(endpoint)
    if not address.hostname:
        return
    if getproxies().get(address.scheme) and not proxy_bypass(address.hostname):
        return  # the proxy knows where it is, and may be the only one who does
    port = address.port or (80 if address.scheme == "http" else 443)
    for wait in (0.5, 2.0, None):
        try:
            socket.create_connection((address.hostname, port), timeout=10).close()
        except OSError as error:
            if wait is None:
                raise InputError(
                    f"the S3 server {address.hostname}:{port} can't be reached: {error.strerror}"
                ) from error
            time.sleep(wait)
        else:
            return


def is_read(path: str) -> bool:
    """Whether a file or folder with this path below a dataset's folder is read with it (see `Location.dataset`)."""
    return not any(name.startswith(("_", ".")) for name in path.split("/"))


def _dataset(fs: pafs.FileSystem, path: str) -> pads.Dataset:
    options: dict[str, Any] = {"filesystem": fs, "format": "parquet"}
    try:
        dataset = pads.dataset(path, partitioning="hive", **options)
        files = dataset.files
    except pa.ArrowInvalid:  # its first file is no Parquet
        if fs.get_file_info(path).is_file:
            raise
        infos = fs.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True))
        files = [info.path for info in infos if info.is_file and is_read(info.path[len(path) :].lstrip("/"))]
        if not any(file.endswith(".parquet") for file in files):
            raise
        dataset = None
    tables = [file for file in files if file.endswith(".parquet")]
    if dataset is not None and len(tables) in (0, len(files)):
        return dataset
    return pads.dataset(
        sorted(tables), partitioning=pads.partitioning(flavor="hive"), partition_base_dir=path, **options
    )
