"""What storage libraries raise, as ours: a status for a row, one line for a job."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from artray.errors import ArtrayError, InputError

REFUSED = "the S3 server refuses these keys"
"""What a `ReadError` says where not the file but the keys are at fault."""


_NO_KEYS = (
    "no AWS credentials found (set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or for a bucket that is open to all "
    "ARTRAY_S3_ANONYMOUS=BUCKET)"
)


@dataclass(frozen=True, slots=True)
class ReadError:
    """Why a file could not be read; `status` is one of a row's statuses (missing, denied or failed)."""

    status: str
    message: str


@contextmanager
def explained(location: object) -> Iterator[None]:
    """Turn a storage failure within the block into an `ArtrayError` that names the place.

    Raises:
        InputError: The place can't be read or written.
        ArtrayError: The disk is full.
    """
    try:
        yield
    except ArtrayError:
        raise
    except Exception as error:
        if read_error(error).status == "failed" and not _is_storage_failure(error):
            raise
        raise failure(error, location) from error


def failure(error: BaseException, location: object) -> ArtrayError:
    """A storage library's exception as ours: a full disk is nobody's wrong input."""
    if {getattr(item, "errno", None) for item in _chain(error)} & {errno.ENOSPC, errno.EDQUOT}:
        return ArtrayError(f"{location}: no space left on the disk; with more room the same command goes on")
    return InputError(f"{location}: {read_error(error).message}")


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and what it came from."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain


def read_error(error: BaseException) -> ReadError:
    """A storage library's exception as a status and a sentence."""
    chain = _chain(error)
    names = {type(item).__name__ for item in chain}
    if "GaveUpError" in names:
        return ReadError("failed", next(str(item) for item in chain if type(item).__name__ == "GaveUpError"))
    text = " ".join(str(item) for item in chain)
    if names & {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}:
        return ReadError("denied", _NO_KEYS)
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
