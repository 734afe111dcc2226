import itertools
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.engine import feed


@given(st.lists(st.integers(1, 4), max_size=80), st.integers(1, 100), st.integers(1, 1000))
def test_calls_hold_all_batches_in_their_order_those_of_one_size_together(sizes, batch_bytes, most_bytes):
    batches = [np.zeros(size, np.int64) for size in sizes]
    calls = feed.calls(batches, batch_bytes, most_bytes)
    assert [number for call in calls for number in range(call.start, call.stop)] == list(range(len(sizes)))
    for call in calls:
        assert len({len(batch) for batch in batches[call]}) == 1
        assert call.stop - call.start <= max(1, min(32, most_bytes // batch_bytes))
    for before, after in itertools.pairwise(calls):  # no call is smaller than it need be
        full = before.stop - before.start == max(1, min(32, most_bytes // batch_bytes))
        assert full or len(batches[before.start]) != len(batches[after.start])


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_calls_are_fetched_ahead_in_order_by_another_thread(depth):
    fetched: list[int] = []
    threads = set()

    def fetch(call: slice) -> int:
        threads.add(threading.get_ident())
        fetched.append(call.start)
        return call.start

    calls = [slice(number, number + 1) for number in range(7)]
    given_out = []
    for value, waited in feed.ahead(fetch, str, calls, depth):
        given_out.append(value)
        assert waited >= 0
        assert len(fetched) <= min(7, len(given_out) + depth)
    assert fetched == list(range(7))
    assert given_out == list(map(str, fetched))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_what_goes_wrong_in_the_thread_is_told():
    def fetch(call: slice) -> int:
        raise ValueError("no such picture")

    with pytest.raises(ValueError, match="no such picture"):
        list(feed.ahead(fetch, str, [slice(0, 1)], 2))


def test_a_result_is_looked_at_when_the_next_one_has_been_begun():
    begun = []

    def results():
        for number in range(3):
            begun.append(number)
            yield number

    seen = [(number, len(begun)) for number in feed.behind(results())]
    assert seen == [(0, 2), (1, 3), (2, 3)]
    assert list(feed.behind([])) == []
