"""Columns of numbers: arrays written as lists and stacked again."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from artray.errors import InputError
from artray.storage import (
    list_column,
    stack_lists,
)

LISTS = arrays.arrays(
    st.sampled_from(["u1", "u8", "f4"]), arrays.array_shapes(min_dims=2, max_side=4), elements=st.integers(0, 255)
)


@given(LISTS)
def test_list_columns_hold_an_arrays_rows(values):
    column = list_column(values)
    column.validate(full=True)
    assert column.to_pylist() == values.tolist()
    assert not any("fixed" in name for name in str(column.type).split("<"))


def test_list_columns_of_no_rows():
    assert list_column(np.empty((0, 5, 3), "f4")).type == pa.list_(pa.list_(pa.float32()))
    assert stack_lists(list_column(np.empty((0, 3), "u8")), "x", 3).shape == (0, 3)
    assert stack_lists(pa.chunked_array([], pa.list_(pa.float32())), "x").shape == (0, 0)


@given(LISTS, st.sampled_from(["", "fixed", "large"]), st.data())
def test_lists_of_any_kind_and_cut_are_stacked(values, kind, data):
    """Those of earlier releases have a fixed size."""
    wanted = pa.from_numpy_dtype(values.dtype)
    for length in values.shape[:0:-1]:
        wanted = {"": pa.list_(wanted), "fixed": pa.list_(wanted, length), "large": pa.large_list(wanted)}[kind]
    column = pa.array(values.tolist(), wanted)
    start, cut, end = sorted(data.draw(st.lists(st.integers(0, len(values)), min_size=3, max_size=3)))
    found = stack_lists(pa.chunked_array([column[start:cut], column[cut:end]]), "x")
    assert found.dtype == values.dtype
    expected = values.reshape(len(values), -1)[start:end]
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("rows", "width", "message"),
    [
        ([[1], [2, 3], [4, 5, 6]], None, "different lengths"),
        ([[[1, 2], [3]], [[4], [5, 6]]], None, "different lengths"),
        ([[[1, 2], None], [[4, 5], [5, 6]]], None, "different lengths"),
        ([[1, 2], [3, 4]], 3, "holds 2 numbers a row, not 3"),
        ([[1, 2], None], None, "has no value in 1 row "),
        ([["a"], ["b"]], None, "is not numeric"),
    ],
)
def test_lists_that_can_not_be_stacked(rows, width, message):
    column = pa.array(rows)
    for parts in (column, pa.chunked_array([column[:1], column[1:]])):
        with pytest.raises(InputError, match=f"column 'x' .*{message}"):
            stack_lists(parts, "x", width)
