import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.engine import order
from artray.engine.order import shuffled, window_of


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Blocks of three examples of 4 bytes, windows of four blocks."""
    monkeypatch.setattr(order, "BLOCK_BYTES", 12)
    monkeypatch.setattr(order, "WINDOW_BYTES", 48)


def in_a_row(count: int) -> np.ndarray:
    return np.stack([np.arange(count) // 5, np.arange(count) % 5], axis=1)


def test_what_fits_into_a_window_is_simply_shuffled():
    examples = np.arange(3, 15)
    found = shuffled(np.random.default_rng(7), examples, in_a_row(20), 4)
    assert np.array_equal(found, np.random.default_rng(7).permutation(examples))


@settings(max_examples=30)
@given(st.lists(st.integers(0, 199), min_size=13, max_size=150), st.integers(0, 9))
def test_each_example_as_often_as_it_was_there(examples, seed):
    examples = np.array(examples)
    found = shuffled(np.random.default_rng(seed), examples, in_a_row(200), 4)
    assert sorted(found) == sorted(examples)
    again = shuffled(np.random.default_rng(seed), examples[::-1], in_a_row(200), 4)
    assert np.array_equal(found, again)  # in whatever order they were given


def test_a_window_is_of_whole_blocks_of_neighbours():
    """Neighbours as they are stored, not as they are numbered: that is what is read together."""
    place = in_a_row(120)[np.random.default_rng(1).permutation(120)]
    rank = place[:, 0] * 5 + place[:, 1]
    found = shuffled(np.random.default_rng(0), np.arange(120), place, 4)
    window = window_of(4)
    assert window == 12
    for start in range(0, 120, window):
        blocks, times = np.unique(rank[found[start : start + window]] // 3, return_counts=True)
        assert (times == 3).all()
        assert len(blocks) == 4
    assert not np.array_equal(found, shuffled(np.random.default_rng(1), np.arange(120), place, 4))
