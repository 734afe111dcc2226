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
import os
import posixpath
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

import fsspec
import pyarrow as pa
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

PLAN = "_plan.json"
RUN = "_run.json"
"""What a job says of its output, before and after: among it which job that is (see `refuse_other_job`)."""

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
    """A URI below another."""
    return posixpath.join(uri, *parts)


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
    return any(part.startswith(".") for part in path.split("/"))


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


def remove_written(uri: str, names: Sequence[str]) -> None:
    r"""Remove from a folder the files that a job has written there, and folders that are empty then; all else stays.

    Args:
        uri: The folder or prefix, which stays itself; nothing happens where there is none.
        names: Regular expressions for the files' whole paths below it. What fits the first is gone before anything
            that fits the second goes, and so on: so a job knows what is left where it is killed meanwhile.

    Example:
        >>> remove_written("work/features", [r"_run\.json", r"part-\d{6,}\.parquet", r"_plan\.json"])
    """
    fs, root = filesystem(uri)
    if not fs.exists(root):
        return
    found = fs.find(root)
    emptied: set[Path] = set()
    for name in names:
        written = [path for path in found if re.fullmatch(name, path[len(root) + 1 :], re.DOTALL)]
        if isinstance(fs, LocalFileSystem):
            for path in written:
                Path(path).unlink(missing_ok=True)
            emptied |= {folder for path in written for folder in Path(path).parents if Path(root) in folder.parents}
        else:
            with ThreadPoolExecutor(_LISTINGS) as pool:
                list(pool.map(fs.rm_file, written))
        found = sorted(set(found) - set(written))
    for folder in sorted(emptied, key=lambda item: len(item.parts), reverse=True):
        with suppress(OSError):  # something of others is in it
            folder.rmdir()


def refuse_other_job(out: str, job: str) -> None:
    """Refuse a folder that holds another job's output: what two jobs write into one would be mixed, or lost.

    Args:
        out: The folder or prefix.
        job: What the job calls its own output, in the `_plan.json` and `_run.json` that say `job`; those of earlier
            versions, which don't, are told by what else they hold.

    Raises:
        InputError: It does.
    """
    for name in (RUN, PLAN):
        uri = join(out, name)
        if exists(uri) and (found := _job_of(read_bytes(uri))) not in (job, None):
            raise InputError(f"{out}: holds the output of another job ({found}, by its {name}); give another --out")


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


def refuse_other_rows(out: str, own: Set[str], depth: int | None = None) -> None:
    """Refuse a folder that holds other Parquet files than the job's own: they would be read as rows of its output.

    Args:
        out: The folder or prefix.
        own: The names of the job's own files.
        depth: How many levels are looked at; None: all.

    Raises:
        InputError: There are others.
    """
    fs, path = filesystem(out)
    found = [file[len(path) + 1 :] for file in fs.find(path, maxdepth=depth) if file.endswith(".parquet")]
    others = sorted(file for file in found if file not in own and is_read(file))
    if others:
        more = f" and {len(others) - 1:,} more" if len(others) > 1 else ""
        raise InputError(
            f"{out}: holds {others[0]}{more}, not of this job, which would be read as rows of its output; "
            "give another --out"
        )


Inputs = Mapping[str, str | Sequence[str] | None]
"""A job's inputs by their flags; None: not given."""


def keep_apart(out: str, places: Inputs, datasets: Inputs | None = None, *, rows: bool = False) -> None:
    """Refuse a place for output that is an input, or where output and input would be read as one.

    Args:
        out: The folder or prefix.
        places: Inputs of any kind: `out` must not be one of them.
        datasets: Inputs that are Parquet datasets, read with all folders below them (but for those whose name begins
            with `_` or `.`): `out` must not lie in one of them either.
        rows: Whether `out` is such a dataset itself: then none of them may lie in it.

    Raises:
        InputError: It is so.
    """
    place = _real(out)
    for flag, uri in (*_each(places), *_each(datasets or {})):
        if _real(uri) == place:
            raise InputError(f"--out {out}: is the place of {flag}, and what is there is not to be mixed; give another")
    beside = "would be read as a part of it; give a folder beside it"
    for flag, uri in _each(datasets or {}):
        if _is_read_with(place, _real(uri)):
            raise InputError(f"--out {out}: lies within {flag} {uri} and {beside}")
        if rows and _is_read_with(_real(uri), place):
            raise InputError(f"--out {out}: {flag} {uri} lies within it and {beside}")


def _each(inputs: Inputs) -> Iterator[tuple[str, str]]:
    for flag, given in inputs.items():
        for uri in [given] if isinstance(given, str) else given or ():
            yield flag, uri


def _real(uri: str) -> str:
    uri = normalize(uri)
    return uri if uri.startswith("s3://") else os.path.realpath(uri)


def _is_read_with(inner: str, outer: str) -> bool:
    """Whether who reads the dataset in a folder reads what is in another place too."""
    return inner.startswith(f"{outer}/") and is_read(inner[len(outer) + 1 :])


def is_read(path: str) -> bool:
    """Whether a file or folder with this path below a dataset's folder is a part of the dataset (see `dataset`)."""
    return not any(part.startswith(("_", ".")) for part in path.split("/"))


def remove(uri: str) -> None:
    """Remove a file, or a folder with all below it, such as only artray makes; nothing happens where there is none.

    What else may lie in a folder that the user has named is the user's: see `remove_written`.
    """
    fs, path = filesystem(uri)
    if fs.exists(path):
        # `rm` on S3 takes a name with [, ? or * for a pattern: it would miss this one, or remove its neighbours.
        fs.rm(path if isinstance(fs, LocalFileSystem) else glob.escape(path), recursive=True)


def write_table(uri: str, table: pa.Table, row_group_size: int = 4096) -> None:
    """Write one Parquet file (zstd), whole or not at all."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=row_group_size)
    write_bytes(uri, sink.getvalue().to_pybytes())


@explained
def dataset(uri: str) -> pads.Dataset:
    """A Parquet dataset: a file, or all files below a folder whose names don't begin with `_` or `.`.

    Where some are called `….parquet`, others (notes, pictures) are left out.

    Raises:
        InputError: It is not there, or no Parquet.
    """
    fs, path = arrow_filesystem(uri)
    try:
        found = _dataset(fs, path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{uri}: not a Parquet dataset: {' '.join(str(error).split())[:200]}") from error
    if not found.files:
        raise InputError(f"{uri}: holds no Parquet files")
    return found


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


def upload_folder(folder: Path, uri: str) -> None:
    """Copy a local folder's files below a URI."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            write_bytes(join(uri, file.relative_to(folder).as_posix()), file.read_bytes())


def download_folder(uri: str, folder: Path) -> None:
    """Copy all files below a URI into a local folder."""
    root = normalize(uri)
    for info in list_files(root):
        target = folder / info.uri[len(root) :].lstrip("/")
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
