"""Many trainings by one command: the values to try for keys of a config, and the table of what came out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from artray.errors import InputError
from artray.storage import Location

RESULTS = "results.parquet"


def grid_values(key: str, given: Any) -> list[Any]:
    """The values of a key of `--grid`: `a,b` or `[a],[a, b]` as a list; in an options file it may be one already.

    Raises:
        InputError: They are not YAML, or none.
    """
    if isinstance(given, str):
        try:
            given = yaml.safe_load(f"[{given}]")
        except yaml.YAMLError as error:
            raise InputError(f"--grid {key}={given}: not YAML values with commas between them") from error
    if not isinstance(given, list) or not given:
        raise InputError(f"--grid {key}: must be a list of values")
    return given


def readable(value: Any) -> str | int | float | bool:
    """A setting as a cell of the table."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, (str, int, float, bool)) else json.dumps(value)


def write_results(out: Location, rows: Sequence[Mapping[str, Any]]) -> None:
    """`results.parquet` and `results.csv`, a row a training or combination; all have the same keys."""
    mixed = [name for name in rows[0] if len({type(row[name]) for row in rows if row[name] is not None} - {int}) > 1]
    typed = [{name: str(value) if name in mixed else value for name, value in row.items()} for row in rows]
    (out / RESULTS).write_table(pa.Table.from_pylist(typed))
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([" ".join(value) if isinstance(value, list) else value for value in row.values()])
    (out / "results.csv").write_bytes(sink.getvalue().encode())
