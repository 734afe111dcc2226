"""Labels as readers find them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from artray.labeling.exports.source import read_source
from artray.labeling.published import read_labels
from artray.storage import Location

ROWS = 40


def rows(out: Path | str) -> list[dict[str, Any]]:
    """All labels by the commit, after a look that plain readers see the same."""
    table = read_labels(Location.parse(out)).to_table().sort_by([("task", "ascending"), ("object_id", "ascending")])
    plain = Location.parse(str(out)).dataset().to_table(columns=table.column_names)
    plain = plain.sort_by([("task", "ascending"), ("object_id", "ascending")])
    assert plain.to_pylist() == table.to_pylist()
    keys = Counter(zip(table["task"].to_pylist(), table["object_id"].to_pylist(), strict=True))
    assert not keys or max(keys.values()) == 1
    return table.to_pylist(maps_as_pydicts="strict")


def of(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in found]


def refused(raised: pytest.ExceptionInfo[Exception]) -> str:
    line = str(raised.value)
    assert "\n" not in line
    return line


def decisions(out: Path) -> dict[str, Counter[str | None]]:
    """How often each decision is made, by task."""
    source = read_source(Location.parse(out))
    return {task.name: Counter(pa.concat_tables(task.batches([]))["decision"].to_pylist()) for task in source.tasks}
