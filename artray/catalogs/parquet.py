"""A catalogue as a Parquet file."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from artray.catalogs.cells import AddProblem, Raw
from artray.errors import InputError

_MOST_CELLS = 2_000_000_000


def read_parquet(data: bytes, problem: AddProblem, *, max_bytes: int) -> Raw:
    """Read all columns as text, or as Python values where they are nested.

    Raises:
        InputError: It is no Parquet file, or unpacks to more than `max_bytes`.
    """
    try:
        told = pq.read_metadata(pa.BufferReader(data))
        size = sum(told.row_group(number).total_byte_size for number in range(told.num_row_groups))
        if size > max_bytes or told.num_rows * told.num_columns > _MOST_CELLS:
            raise InputError(f"unpacks to more; larger than {max_bytes:,} bytes: --max-catalog-mb raises the limit")
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"is not a Parquet file that can be read: {str(error).splitlines()[0]}") from None
    header: list[str] = []
    columns: list[pa.ChunkedArray | Sequence[object]] = []
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.name.startswith("__index_level_"):
            continue
        values: pa.ChunkedArray | Sequence[object]
        if pa.types.is_nested(field.type):
            values = _cell_by_cell(field.name, column, problem)
        else:
            if pa.types.is_floating(field.type):
                column = pc.if_else(pc.is_nan(column), pa.scalar(None, field.type), column)
            try:
                values = column.cast(pa.string())
            except pa.ArrowException:
                problem(f"column {field.name!r} is not text but {field.type}, left out", [1])
                continue
            try:
                values.validate(full=True)
            except pa.ArrowInvalid:
                values = _cell_by_cell(field.name, values, problem)
        header.append(field.name)
        columns.append(values)
    return Raw(header, columns, np.arange(1, table.num_rows + 1), "Parquet")


def _cell_by_cell(name: str, column: pa.ChunkedArray, problem: AddProblem) -> list[object]:
    """Python values; None for dates after 9999 and for text that is not UTF-8, which not every writer looks at."""
    values: list[object] = []
    unreadable: list[int] = []
    for line, cell in enumerate(column, 1):
        try:
            values.append(cell.as_py())
        except (ValueError, OverflowError):
            values.append(None)
            unreadable.append(line)
    problem(f"column {name!r}: cells that can't be read, left empty", unreadable)
    return values
