"""Storage: a location (a folder or S3 prefix) comes in; bytes, tables, listings and the resumable pass go out."""

from artray.storage.digests import dataset_digest, digest, with_identity
from artray.storage.faults import REFUSED, ReadError, explained, failure, read_error
from artray.storage.list_columns import list_column, stack_lists
from artray.storage.listings import SIZE_IN_VERSION, FileInfo
from artray.storage.location import Location, read_many
from artray.storage.outputs import (
    PASS_FILES,
    PLAN,
    RUN,
    keep_apart,
    refuse_other_file,
    refuse_other_job,
    refuse_other_rows,
    remove_scratch,
    remove_written,
)

__all__ = [
    "PASS_FILES",
    "PLAN",
    "REFUSED",
    "RUN",
    "SIZE_IN_VERSION",
    "FileInfo",
    "Location",
    "ReadError",
    "dataset_digest",
    "digest",
    "explained",
    "failure",
    "keep_apart",
    "list_column",
    "read_error",
    "read_many",
    "refuse_other_file",
    "refuse_other_job",
    "refuse_other_rows",
    "remove_scratch",
    "remove_written",
    "stack_lists",
    "with_identity",
]
