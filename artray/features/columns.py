"""Columns of a feature table as matrices."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.errors import InputError
from artray.storage import stack_lists


def matrix(column: pa.Array | pa.ChunkedArray, name: str) -> npt.NDArray[np.float32]:
    """A numeric column, or one of (nested) lists of equal length, as (rows, width).

    Raises:
        InputError: As `stack_lists`, or it holds values that are not finite.
    """
    numbers = np.asarray(stack_lists(column, name), np.float32)
    if not np.isfinite(numbers).all():
        raise InputError(f"column {name!r} holds values that are not finite")
    return numbers
