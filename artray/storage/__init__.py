"""Storage: a location (a folder or S3 prefix) comes in; bytes, tables, listings and the resumable pass go out."""

from artray.storage.digests import dataset_digest, digest
from artray.storage.faults import REFUSED, ReadError, explained, failure, read_error
from artray.storage.location import FileInfo, Location, read_many

__all__ = [
    "REFUSED",
    "FileInfo",
    "Location",
    "ReadError",
    "dataset_digest",
    "digest",
    "explained",
    "failure",
    "read_error",
    "read_many",
]
