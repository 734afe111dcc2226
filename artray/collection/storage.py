"""Folders and s3:// prefixes as one thing, by fsspec; the one place that makes clients.

A URI is a path (`pictures`, `/mnt/scans`, `file:///mnt/scans`) or `s3://bucket/prefix`. Keys, region and endpoint of
S3 come from the usual AWS environment variables, configuration files or instance profile; nothing of them is ever
written to a table or a log.

What S3 is slow or wrong at is tried again: a request, or a read with all its bytes, is made AWS_MAX_ATTEMPTS times in
all (8 where nothing is set; `max_attempts` of the AWS configuration file counts too) with growing random waits, and
only then given up. See `artray.collection.s3`.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import math
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, wraps
from pathlib import Path, PurePosixPath
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from artray import console
from artray.errors import ArtrayError, InputError

P = ParamSpec("P")
T = TypeVar("T")

_S3_CONFIG: dict[str, Any] = {
    "connect_timeout": 10,
    "read_timeout": 60,  # seconds without a byte
    "max_pool_connections": 64,
}


_LISTINGS = 16  # prefixes listed at once

REFUSED = "the S3 server refuses these keys"
"""What a `ReadError` says where not the file but the keys are at fault."""


@dataclass(frozen=True, slots=True, order=True)
class FileInfo:
    """A stored file: where it is, its bytes and what changes when it changes (etag, or modification time)."""

    uri: str
    size: int
    version: str


@dataclass(frozen=True, slots=True)
class ReadError:
    """Why a file could not be read; `status` is one of a row's statuses (missing, denied or failed)."""

    status: str
    message: str


def normalize(uri: str | os.PathLike[str]) -> str:
    """The one spelling of a URI: local paths absolute and without `file://`, no slash at the end.

    Raises:
        InputError: A scheme other than file and s3, or no bucket.
    """
    text = os.fspath(uri)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return str(Path(text).expanduser().absolute())
    if scheme == "file":
        return str(Path("/" + rest.lstrip("/")))
    if scheme != "s3":
        text = re.sub(r"//[^/@]*@", "//***@", text)  # a password has no place in a log
        raise InputError(f"{text}: must be a folder or s3://bucket/prefix")
    if not rest.strip("/"):
        raise InputError(f"{text}: names no bucket")
    return "s3://" + rest.strip("/")


def join(uri: str, *parts: str) -> str:
    """A URI below another; also by a part that begins with a slash, as keys of S3 may."""
    return "/".join((uri.rstrip("/"), *parts))


def filesystem(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The file system of a URI, and the path in it."""
    uri = normalize(uri)
    if uri.startswith("s3://"):
        _reach(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "")
        from artray.collection import s3  # half a second that users of folders need not wait

        return s3.connect(_S3_CONFIG), uri.removeprefix("s3://")
    return fsspec.filesystem("file"), uri


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


def arrow_filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The same for the libraries that speak Arrow's file systems (pyarrow, Ray)."""
    fs, path = filesystem(uri)
    if isinstance(fs, LocalFileSystem):
        return pafs.LocalFileSystem(), path
    return pafs.PyFileSystem(pafs.FSSpecHandler(fs)), path


def explained(function: Callable[P, T]) -> Callable[P, T]:
    """Turn a storage failure into an `ArtrayError` that names the URI (the function's first argument)."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except ArtrayError:
            raise
        except Exception as error:
            uri = str(args[0] if args else next(iter(kwargs.values())))
            if read_error(error, uri).status == "failed" and not _is_storage_failure(error):
                raise
            raise failure(error, uri) from error

    return wrapper


def failure(error: BaseException, uri: str) -> ArtrayError:
    """A storage library's exception as ours: a full disk is nobody's wrong input."""
    if {getattr(item, "errno", None) for item in _chain(error)} & {errno.ENOSPC, errno.EDQUOT}:
        return ArtrayError(f"{uri}: no space left on the disk; with more room the same command goes on")
    return InputError(f"{uri}: {read_error(error, uri).message}")


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and what it came from."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


def read_error(error: BaseException, uri: str) -> ReadError:
    """A storage library's exception as a status and a sentence."""
    chain = _chain(error)
    names = {type(item).__name__ for item in chain}
    if "GaveUpError" in names:
        return ReadError("failed", next(str(item) for item in chain if type(item).__name__ == "GaveUpError"))
    text = " ".join(str(item) for item in chain)
    if names & {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}:
        return ReadError("denied", "no AWS credentials found (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)")
    if "InvalidAccessKeyId" in text or "SignatureDoesNotMatch" in text or "ExpiredToken" in text:
        return ReadError("denied", REFUSED)
    if "NoSuchBucket" in text or "bucket does not exist" in text:
        return ReadError("missing", "there is no such bucket")
    if names & {"PermissionError"} or "Forbidden" in text or "AccessDenied" in text:
        return ReadError("denied", "permission denied")
    if any(isinstance(item, FileNotFoundError) for item in chain):
        return ReadError("missing", "not found")
    if any(isinstance(item, (NotADirectoryError, IsADirectoryError)) for item in chain):
        return ReadError("missing", "a folder where a file should be, or the other way round")
    return ReadError("failed", f"{type(chain[0]).__name__}: {' '.join(str(chain[0]).split())[:300]}")


def _is_storage_failure(error: BaseException) -> bool:
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("botocore", "aiohttp", "s3fs")


@explained
def list_files(uri: str) -> Iterator[FileInfo]:
    """All files below a folder or prefix, in the order of their names.

    Hidden files and those below a folder whose name begins with a dot are left out; so are links that lead to no
    file below the folder (and pipes, and the like), but these are said.

    Raises:
        InputError: The folder or bucket is not there, or may not be read.
    """
    fs, root = filesystem(uri)
    prefix = "s3://" if uri.startswith("s3://") else ""
    if not prefix and not fs.isdir(root):
        raise InputError(f"{uri}: no such folder")
    if prefix:
        return _infos(_find_s3(fs, root), root)
    files = []
    refused = []
    for path, info in sorted(fs.find(root, detail=True).items()):
        if _is_hidden(path[len(root) :]):
            continue
        if info["type"] == "other" and not _is_file_below(path, root):
            refused.append(path)
        else:
            # A link's own time says nothing of the picture.
            seconds = Path(path).stat().st_mtime if info["islink"] else info["mtime"]
            files.append(FileInfo(path, int(info["size"]), f"mtime:{seconds:.6f}"))
    if refused:
        console.say(f"left out, links that lead to no file below {uri}: {len(refused)} ({refused[0]!a})")
    return iter(files)


def _infos(objects: pa.Table, root: str) -> Iterator[FileInfo]:
    """One by one: five million at once would take 1.5 GB."""
    for batch in objects.to_batches():
        for path, size, etag in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if not _is_hidden(path[len(root) :]):
                yield FileInfo(f"s3://{path}", size, etag)


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


def _is_file_below(link: str, root: str) -> bool:
    """Whether a link leads to a file of the same folder."""
    target = Path(os.path.realpath(link))
    return target.is_file() and target.is_relative_to(Path(os.path.realpath(root)))


def read_many(uris: Sequence[str]) -> list[bytes | ReadError]:
    """The bytes of many files, fetched at once; a failure stands in its file's place and stops no other."""
    if not uris:
        return []
    if not uris[0].startswith("s3://"):
        return [_read_local(uri) for uri in uris]
    fs, _ = filesystem(uris[0])
    paths = list(dict.fromkeys(uri.removeprefix("s3://") for uri in uris))
    # Not `cat`, which takes a name with [, ? or * for a pattern; and one request a file, without asking its size first.
    found = dict(zip(paths, fs.cat_ranges(paths, None, None, max_concurrency=1, on_error="return"), strict=True))
    return [
        item if isinstance(item, bytes) else read_error(item, uri)
        for uri, item in ((uri, found[uri.removeprefix("s3://")]) for uri in uris)
    ]


def _read_local(uri: str) -> bytes | ReadError:
    try:
        return Path(uri).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return read_error(error, uri)


@explained
def read_bytes(uri: str) -> bytes:
    """A whole file.

    Raises:
        InputError: It can't be read.
    """
    fs, path = filesystem(uri)
    return bytes(fs.cat_file(path))


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    fs, path = filesystem(uri)
    return bool(fs.exists(path))


@explained
def write_bytes(uri: str, data: bytes) -> None:
    """Write a file whole or not at all: readers see the old one until the new one is complete.

    Raises:
        InputError: The place can't be written to.
        ArtrayError: The disk is full.
    """
    fs, path = filesystem(uri)
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


@explained
def ensure_writable(uri: str) -> None:
    """Fail early and clearly where a job could not write its output.

    Raises:
        InputError: Nothing can be written below the URI.
        ArtrayError: The disk is full.
    """
    probe = join(uri, f".artray-{secrets.token_hex(4)}")
    try:
        write_bytes(probe, b"")
    except InputError as error:
        raise InputError(f"{uri}: can't be written to: {str(error).removeprefix(f'{probe}: ')}") from error
    fs, path = filesystem(probe)
    fs.rm_file(path)


def remove(uri: str) -> None:
    """Remove a file or a folder with all below it; nothing happens where there is none."""
    fs, path = filesystem(uri)
    if fs.exists(path):
        # `rm` on S3 takes a name with [, ? or * for a pattern: it would miss this one, or remove its neighbours.
        fs.rm(path if isinstance(fs, LocalFileSystem) else glob.escape(path), recursive=True)


def write_table(uri: str, table: pa.Table, row_group_size: int = 4096) -> None:
    """Write one Parquet file (zstd), whole or not at all."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=row_group_size)
    write_bytes(uri, sink.getvalue().to_pybytes())


def list_column(values: npt.NDArray[Any]) -> pa.Array:
    """An array's rows as a column of lists, nested where there are more than two axes; `stack_lists` reads it.

    Their type says nothing of their length: with a null among them, pyarrow 17 to 25 can't write or read lists of
    fixed size (apache/arrow#35692).

    Example:
        >>> list_column(np.zeros((2, 20, 3), np.uint8)).type
        ListType(list<item: list<item: uint8>>)
    """
    column = pa.array(values.ravel())
    for axis in range(values.ndim - 1, 0, -1):
        starts = np.arange(math.prod(values.shape[:axis]) + 1) * values.shape[axis]
        column = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), column)
    return column


def stack_lists(column: pa.Array | pa.ChunkedArray, name: str, width: int | None = None) -> npt.NDArray[Any]:
    """A column of numbers, or of (nested) lists of one length, as (rows, width).

    Chunk by chunk: Arrow can't put lists together that hold more than 2³¹ numbers.

    Args:
        column: Its lists may be of any of Arrow's list types.
        name: What an error calls it.
        width: How many numbers a row must have; None: as many as the first.

    Raises:
        InputError: It is neither, has nulls, or its lists have different lengths or not the one wanted.
    """
    if column.null_count:
        raise InputError(f"column {name!r} has no value in {column.null_count} rows that could be read")
    kind = column.type
    while _is_list(kind):
        kind = kind.value_type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise InputError(f"column {name!r} is not numeric ({column.type})")
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [_stacked(chunk, name) for chunk in chunks if len(chunk)]
    widths = {part.shape[1] for part in parts}
    if len(widths) > 1:
        raise InputError(f"column {name!r} holds lists of different lengths")
    if not parts:
        return np.empty((0, width or 0), kind.to_pandas_dtype())
    if width is not None and widths != {width}:
        raise InputError(f"column {name!r} holds {widths.pop()} numbers a row, not {width}")
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _stacked(values: pa.Array, name: str) -> npt.NDArray[Any]:
    rows = len(values)
    while _is_list(values.type):
        # A list within a list may be null too, and then has no length.
        if len(pc.unique(pc.list_value_length(values))) > 1:
            raise InputError(f"column {name!r} holds lists of different lengths")
        values = values.flatten()
    numbers: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return numbers.reshape(rows, len(numbers) // rows)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


@explained
def dataset(uri: str) -> pads.Dataset:
    """A Parquet dataset: a file, or all files below a folder whose names don't begin with `_` or `.`.

    Raises:
        InputError: It is not there, or no Parquet.
    """
    fs, path = arrow_filesystem(uri)
    try:
        found = pads.dataset(path, filesystem=fs, format="parquet", partitioning="hive")
    except pa.ArrowInvalid as error:
        raise InputError(f"{uri}: not a Parquet dataset: {' '.join(str(error).split())[:200]}") from error
    if not found.files:
        raise InputError(f"{uri}: holds no Parquet files")
    return found


def upload_folder(folder: Path, uri: str) -> None:
    """Copy a local folder's files below a URI."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            write_bytes(join(uri, file.relative_to(folder).as_posix()), file.read_bytes())


def download_folder(uri: str, folder: Path) -> None:
    """Copy all files below a URI into a local folder.

    Raises:
        InputError: A key would lead out of it.
    """
    root = normalize(uri)
    for info in list_files(root):
        path = PurePosixPath(info.uri.removeprefix(root).lstrip("/"))
        if ".." in path.parts:
            raise InputError(f"{info.uri}: a file can't have this name")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read_bytes(info.uri))


def fingerprint(*parts: bytes) -> str:
    """A short name for some content: the same for the same bytes, everywhere."""
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def dataset_fingerprint(found: pads.Dataset) -> str:
    """Changes whenever a file of a dataset does: from the files' names, sizes and times."""
    files = [(info.path, info.size, str(info.mtime)) for info in found.filesystem.get_file_info(sorted(found.files))]
    return fingerprint(json.dumps(files).encode())
