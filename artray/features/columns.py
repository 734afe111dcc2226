"""Columns of a feature table as matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.errors import InputError


def matrix(column: pa.Array | pa.ChunkedArray, name: str) -> npt.NDArray[np.float32]:
    """A numeric column, or one of (nested) lists of equal length, as (rows, width).

    Raises:
        InputError: It is neither, or holds values that are not finite.
    """
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if values.null_count:
        raise InputError(f"column {name!r} has no value in {values.null_count} rows that could be read")
    while (
        pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type)
    ):
        values = values.flatten()
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise InputError(f"column {name!r} is not numeric ({column.type})")
    if len(column) and len(values) % len(column):
        raise InputError(f"column {name!r} holds lists of different lengths")
    numbers = np.asarray(values.to_numpy(zero_copy_only=False), np.float32).reshape(len(column), -1)
    if not np.isfinite(numbers).all():
        raise InputError(f"column {name!r} holds values that are not finite")
    return numbers
