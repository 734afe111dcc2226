from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from artray.storage import Location
from artray.storage.located_rows import LocatedRows, cells_of, read_rows

ROWS = 40


@pytest.fixture
def data(tmp_path: Path) -> Location:
    place = Location.parse(tmp_path)
    table = pa.table(
        {
            "object_id": [f"w{row:02d}" for row in range(ROWS)],
            "status": ["ok" if row % 5 else "missing" for row in range(ROWS)],
            "style": ["a" if row % 3 == 1 else None for row in range(ROWS)],
            "numbers": pa.array([[row, row] for row in range(ROWS)]),
        }
    )
    for part, (start, count) in enumerate([(0, 13), (13, 0), (13, 20), (33, 7)]):
        (place / f"part-{part:06d}.parquet").write_table(table.slice(start, count), 4)
    return place


def wanted(data: Location) -> LocatedRows:
    return read_rows(data.dataset(), ["object_id", "status", "style"], lambda table: pc.equal(table["style"], "a"))


def test_wanted_rows_and_how_many_there_are(data):
    found = wanted(data)
    assert found.table["object_id"].to_pylist() == [f"w{row:02d}" for row in range(1, ROWS, 3)]
    assert (found.readable, found.unreadable) == (32, 8)
    none = read_rows(data.dataset(), ["object_id"], lambda table: pc.equal(table["object_id"], "x"))
    assert (len(none.table), none.readable, none.unreadable) == (0, ROWS, 0)


def test_other_columns_of_the_same_rows_in_any_order(data):
    found = wanted(data)
    order = np.random.default_rng(0).permutation(len(found.table))[:9]
    some = found.take(order)
    numbers = [int(name[1:]) for name in some.table["object_id"].to_pylist()]
    assert some.read(data, ["numbers"])["numbers"].to_pylist() == [[number, number] for number in numbers]
    alone = some.alone()
    assert alone.read(data, ["numbers"]).equals(some.read(data, ["numbers"]))
    stored = some.take(some.stored())
    assert stored.table["object_id"].to_pylist() == sorted(some.table["object_id"].to_pylist())
    addresses = some.addresses()
    assert addresses.column_names == ["object_id", "file", "row"]
    assert addresses["file"].to_pylist()[0].startswith(str(data))


def test_single_cells_in_the_order_of_their_file(data):
    file = str(data / "part-000002.parquet")  # rows 13 to 32, four in a row group
    found = list(cells_of(data, file, [9, 0, 19, 3], "numbers"))
    assert found == [(row, [13 + row, 13 + row]) for row in (0, 3, 9, 19)]
    assert list(cells_of(data, file, [], "numbers")) == []
