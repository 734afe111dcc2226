"""Arrays of numbers as columns of lists, in the one form that every pyarrow from 20 on writes and reads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.errors import InputError, count_of


def list_column(values: npt.NDArray[Any]) -> pa.Array:
    """An array's rows as a column of lists, nested where there are more than two axes; `stack_lists` reads it.

    Their type says nothing of their length: with a null among them, pyarrow 17 to 25 can't write or read lists of
    fixed size (apache/arrow#35692).

    Example:
        >>> list_column(np.zeros((2, 20, 3), np.uint8)).type
        ListType(list<item: list<item: uint8>>)
    """
    column = pa.array(values.ravel())
    for axis in range(values.ndim - 1, 0, -1):
        starts = np.arange(math.prod(values.shape[:axis]) + 1) * values.shape[axis]
        column = pa.ListArray.from_arrays(pa.array(starts, pa.int32()), column)
    return column


def stack_lists(column: pa.Array | pa.ChunkedArray, name: str, width: int | None = None) -> npt.NDArray[Any]:
    """A column of numbers, or of (nested) lists of one length, as (rows, width).

    Chunk by chunk: Arrow can't put lists together that hold more than 2³¹ numbers.

    Args:
        column: Its lists may be of any of Arrow's list types.
        name: What an error calls it.
        width: How many numbers a row must have; None: as many as the first.

    Raises:
        InputError: It is neither, has nulls, or its lists have different lengths or not the one wanted.
    """
    if column.null_count:
        raise InputError(f"column {name!r} has no value in {count_of(column.null_count, 'row')} that could be read")
    kind = column.type
    while _is_list(kind):
        kind = kind.value_type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise InputError(f"column {name!r} is not numeric ({column.type})")
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    blocks = [_stacked(chunk, name) for chunk in chunks if len(chunk)]
    widths = {block.shape[1] for block in blocks}
    if len(widths) > 1:
        raise InputError(f"column {name!r} holds lists of different lengths")
    if not blocks:
        return np.empty((0, width or 0), kind.to_pandas_dtype())
    if width is not None and widths != {width}:
        raise InputError(f"column {name!r} holds {widths.pop()} numbers a row, not {width}")
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _stacked(values: pa.Array, name: str) -> npt.NDArray[Any]:
    rows = len(values)
    while _is_list(values.type):
        # A list within a list may be null too, and then has no length.
        if len(pc.unique(pc.list_value_length(values))) > 1:
            raise InputError(f"column {name!r} holds lists of different lengths")
        values = values.flatten()
    numbers: npt.NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return numbers.reshape(rows, len(numbers) // rows)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
