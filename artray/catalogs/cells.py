"""A value of a workbook, JSON or Parquet as the text of a cell; what readers hand on, and where they report."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.catalogs.unicode import as_utf8
from artray.errors import InputError

LIST_SEPARATOR = "|"  # joins the values of a list (JSON, Parquet) into one cell

Lines = npt.NDArray[np.int64]


class AddProblem(Protocol):
    """Where a reader reports what it met: what it was, and in which lines; or, without lines, what it did."""

    def __call__(self, what: str, lines: Lines | list[int] | None = None) -> None:
        """Add a problem; no line, no problem, but None is a word about the whole file."""


@dataclass(frozen=True, slots=True)
class Raw:
    """What a reader hands on: columns are Arrow arrays of strings, or sequences of Python values.

    Attributes:
        header: The columns' names as they stand.
        columns: As many.
        lines: Each row's line in the file.
        form: How it was read, in words.
    """

    header: Sequence[str | None]
    columns: Sequence[pa.ChunkedArray | Sequence[object]]
    lines: Lines
    form: str


class Number(str):
    """A number as it was written, so that 1.10 stays 1.10; its type only tells mixed columns."""

    __slots__ = ()


def text_of(value: object) -> str | None:
    """A cell's text; lists of plain values joined by `|`, anything deeper as JSON.

    Raises:
        RecursionError: It is nested too deeply for that.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return Number(int(value) if value.is_integer() and abs(value) < 2**53 else repr(value))
    if isinstance(value, int):
        return Number(value)
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value):
        return LIST_SEPARATOR.join(text for item in value if (text := text_of(item)))
    return json.dumps(value, ensure_ascii=False, default=str)


def text_column(name: str, values: Sequence[object], lines: Lines, problem: AddProblem) -> pa.Array:
    """A workbook's or JSON's values as strings; a column with numbers and texts is reported.

    Raises:
        InputError: A value is nested too deeply.
    """
    try:
        texts = [text_of(value) for value in values]
    except RecursionError:
        raise InputError(f"column {name!r} is nested too deeply") from None
    numbers = [line for line, text in zip(lines, texts, strict=True) if isinstance(text, Number)]
    if 0 < len(numbers) < sum(bool(text) for text in texts):
        problem(f"column {name!r} holds text, and numbers kept as text", numbers)
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        return pa.array([as_utf8(text) for text in texts], pa.string())


def reason(error: BaseException) -> str:
    """What a library's error says, in one line."""
    error = error.__cause__ or error
    return " ".join(f"{type(error).__name__}: {error}".split())
