"""Some rows of a Parquet dataset, and where they lie, so that their other columns can be read later, and no others'.

A collection's table may have millions of rows of which few are wanted, and columns that don't fit into memory. What is
wanted is found on a few columns, batch by batch; the rest is read by the files and rows found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from artray.storage.location import Location

Indices = npt.NDArray[np.int64]

_FILES_AT_ONCE = 8
_CELLS_AT_ONCE = 64


@dataclass(frozen=True)
class LocatedRows:
    """Rows, and where each lies.

    Attributes:
        table: Their columns.
        files: The paths of the dataset's files, in order.
        file: (n,) in which of them a row lies.
        row: (n,) and where in it.
        readable: How many rows of the whole dataset have the status ok, or no status.
        unreadable: How many have another.
    """

    table: pa.Table
    files: list[str]
    file: Indices
    row: Indices
    readable: int = 0
    unreadable: int = 0

    def take(self, rows: Indices) -> LocatedRows:
        """Some of them, in this order."""
        return replace(self, table=self.table.take(rows), file=self.file[rows], row=self.row[rows])

    def addresses(self) -> pa.Table:
        """`object_id`, and as `file` and `row` where each lies."""
        file = pa.DictionaryArray.from_arrays(pa.array(self.file, pa.int32()), pa.array(self.files, pa.string()))
        return pa.table({"object_id": self.table["object_id"], "file": file.cast(pa.string()), "row": self.row})

    def alone(self) -> LocatedRows:
        """Where they lie, and no column: what a task needs to be told."""
        files, file = np.unique(self.file, return_inverse=True)
        return LocatedRows(pa.table({}), [self.files[number] for number in files.tolist()], file, self.row)

    def stored(self) -> Indices:
        """The rows in the order in which they lie in the dataset."""
        order: Indices = np.lexsort((self.row, self.file))
        return order

    def read(self, location: Location, columns: Sequence[str]) -> pa.Table:
        """Other columns of these rows, in the same order.

        Args:
            location: The dataset's.
            columns: Which.
        """
        fs, _ = location.arrow_filesystem()
        order = self.stored()
        runs = np.split(order, np.flatnonzero(np.diff(self.file[order])) + 1) if len(order) else []

        def read(run: Indices) -> pa.Table:
            with fs.open_input_file(self.files[self.file[run[0]]]) as source:
                return rows_of(pq.ParquetFile(source), self.row[run], columns)

        with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
            rows_read = pa.concat_tables(pool.map(read, runs))
        if np.array_equal(order, np.arange(len(order))):
            return rows_read
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return rows_read.take(back)


def rows_of(file: pq.ParquetFile, rows: Indices, columns: Sequence[str]) -> pa.Table:
    """Some rows of a file, of which no other row groups are read.

    Args:
        file: Open.
        rows: Which, in ascending order.
        columns: What of them.
    """
    ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
    group = np.searchsorted(ends, rows, side="right")
    tables = []
    for number in np.unique(group).tolist():
        start = int(ends[number - 1]) if number else 0
        whole = file.read_row_group(number, columns=list(columns))
        wanted = np.zeros(len(whole), bool)
        wanted[rows[group == number] - start] = True
        # Filtered, not taken: that would put lists together, which Arrow can't with more than 2³¹ numbers.
        tables.append(whole if wanted.all() else whole.filter(pa.array(wanted)))
    return pa.concat_tables(tables)


def cells_of(location: Location, file: str, rows: Iterable[int], column: str) -> Iterator[tuple[int, Any]]:
    """Single cells of a column of large values, such as pictures: a few of them are in memory.

    Args:
        location: The dataset's.
        file: One of its files, by path.
        rows: Which of its rows.
        column: Its name.

    Returns:
        Each row, in the order of the file, with the value as Python has it.
    """
    wanted = set(rows)
    fs, _ = location.arrow_filesystem()
    with fs.open_input_file(file) as source:
        parquet = pq.ParquetFile(source)
        start = 0
        for group in range(parquet.num_row_groups):
            end = start + parquet.metadata.row_group(group).num_rows
            left = sum(start <= row < end for row in wanted)
            if left:
                for batch in parquet.iter_batches(_CELLS_AT_ONCE, row_groups=[group], columns=[column]):
                    values = batch.column(0)
                    for row in range(start, start + len(values)):
                        if row in wanted:
                            yield row, values[row - start].as_py()
                            left -= 1
                    start += len(values)
                    if not left:
                        break
            start = end


def read_rows(
    dataset: pads.Dataset, columns: Sequence[str], keep: Callable[[pa.Table], pa.Array | pa.ChunkedArray]
) -> LocatedRows:
    """The rows of a dataset that are wanted; never all of them in memory at once.

    Args:
        dataset: As from `Location.dataset`.
        columns: What is read of each row; a column `status` is counted.
        keep: Says which rows of a table are wanted.
    """
    files: list[str] = []
    kept: list[pa.Table] = []
    file: list[Indices] = []
    row: list[Indices] = []
    readable = total = start = 0
    scanner = dataset.scanner(columns=list(columns), batch_readahead=4, fragment_readahead=8)
    for tagged in scanner.scan_batches():
        if not files or files[-1] != tagged.fragment.path:
            files.append(tagged.fragment.path)
            start = 0
        batch = pa.Table.from_batches([tagged.record_batch])
        wanted = np.flatnonzero(pc.fill_null(keep(batch), False).to_numpy())
        good = len(batch)
        if "status" in columns:
            good = int(pc.sum(pc.equal(batch["status"], "ok")).as_py() or 0)
        readable, total = readable + good, total + len(batch)
        if len(wanted):
            kept.append(batch.take(wanted))
            file.append(np.full(len(wanted), len(files) - 1))
            row.append(start + wanted)
        start += len(batch)
    none = np.empty(0, np.int64)
    schema = pa.schema([dataset.schema.field(name) for name in columns])
    return LocatedRows(
        pa.concat_tables(kept) if kept else schema.empty_table(),
        files,
        np.concatenate([none, *file]),
        np.concatenate([none, *row]),
        readable=readable,
        unreadable=total - readable,
    )
