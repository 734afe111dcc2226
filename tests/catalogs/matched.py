"""Pictures and rows to be joined, in a line each."""

import pyarrow as pa

from artray.catalogs.columns import Mapping
from artray.catalogs.matching import Match, match


def pictures(*paths: str) -> pa.Table:
    return pa.table({"path": pa.array(paths, pa.string()), "size": pa.array(range(len(paths)), pa.int64())})


def rows(**columns: list[str | None]) -> pa.Table:
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def joined(found: Match) -> dict[str, int]:
    """Row of each picture that has one."""
    return {row["path"]: row["row"] for row in found.table.to_pylist() if row["row"] is not None}


def by_file(paths: list[str], files: list[str | None]) -> Match:
    return match(pictures(*paths), rows(file=files), Mapping(file="file"))
