from hypothesis import given, settings
from hypothesis import strategies as st

from artray.collection import passes
from artray.collection.pictures import BATCH


@settings(deadline=None)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=5), st.integers(1, 64))
def test_chunks_are_whole_batches_and_hold_each_row_once(sizes, cpus):
    groups = [{"file": f"{number}", "group": 0, "count": size} for number, size in enumerate(sizes)]
    chunks = passes._cut(groups, cpus)
    for group in groups:
        own = [chunk for chunk in chunks if chunk["file"] == group["file"]]
        assert [chunk["start"] for chunk in own] == [sum(item["count"] for item in own[:n]) for n in range(len(own))]
        assert sum(chunk["count"] for chunk in own) == group["count"]
        if sum(sizes) >= 2 * cpus * BATCH:
            assert all(chunk["count"] % BATCH == 0 for chunk in own[:-1])
    assert all(0 < chunk["count"] <= 256 for chunk in chunks)
    assert len({chunk["part"] for chunk in chunks}) == len(chunks)


def test_chunks_begin_small_and_get_smaller_towards_the_end():
    """The last ones are a batch each: no actor works on while the others have nothing to do."""
    counts = [chunk["count"] for chunk in passes._cut([{"file": "", "group": 0, "count": 5000}], 2)]
    assert counts[:2] == [BATCH, BATCH]  # for each actor a small one first
    assert counts[2:] == sorted(counts[2:], reverse=True)
    assert counts[2:5] == [256] * 3
    assert counts[-2:] == [BATCH, 5000 % BATCH]


def test_a_small_collection_is_for_all_actors():
    counts = [chunk["count"] for chunk in passes._cut([{"file": "", "group": 0, "count": 48}], 4)]
    assert counts == [6] * 8


def test_only_a_cluster_that_others_began_may_give_the_pool_more_actors(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    pool = passes._pool(2, 50)
    assert (pool.min_size, pool.initial_size, pool.max_size) == (2, 2, 2)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    pool = passes._pool(2, 50)
    assert (pool.min_size, pool.initial_size, pool.max_size) == (1, 2, 50)
