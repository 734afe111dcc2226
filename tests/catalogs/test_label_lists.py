import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.catalogs.label_lists import each_label, rarest, read_label_lists
from artray.vocabulary import Class, Vocabulary

CELLS = st.lists(st.none() | st.lists(st.sampled_from(["a", "b", "c d", "E"]), max_size=4), max_size=12)


@given(CELLS, st.integers(0, 12))
def test_every_value_of_a_cell_is_a_label_once(rows, cut):
    cells = [None if row is None else " ;".join(row) for row in rows]
    column = pa.chunked_array([pa.array(cells[:cut], pa.string()), pa.array(cells[cut:], pa.string())])
    found = read_label_lists(column, separator=";")
    expected = [list(dict.fromkeys(row)) if row else None for row in rows]
    assert found.labels.to_pylist() == expected
    assert found.labels.type == pa.list_(pa.string())
    labels = [label for row in expected for label in row or []]
    assert found.counts == {name: labels.count(name) for name in sorted(set(labels))}
    empty = expected.count(None)
    assert {why: what.count for why, what in found.dropped.items()} == ({"empty": empty} if empty else {})


def test_what_is_said_of_them():
    found = read_label_lists(pa.array(["river; bridge", "RIVER", None, "sky; river"]), separator=";")
    assert found.lines() == ["labelled: 3 of 4 rows, 5 labels (bridge 1, river 3, sky 1)", "  empty: 1"]


def test_a_vocabulary_merging_and_small_classes():
    motif = Vocabulary("motif", "", (Class("water", aliases=("river", "lake")), Class("bridge"), Class("sky")))
    column = pa.array(["river; lake; bridge", "bridge;  cow", "sky", "sky; bridge"])
    found = read_label_lists(column, motif, separator=";", min_class_size=2)
    assert found.labels.to_pylist() == [["water", "bridge"], ["bridge"], ["sky"], ["sky", "bridge"]]
    assert found.classes == ("water", "bridge", "sky")
    assert found.counts == {"water": 1, "bridge": 3, "sky": 2}
    assert found.dropped["not in the vocabulary"].values == (("cow", 1),)
    merged = read_label_lists(column, motif, separator=";", merge={"sight": ["bridge", "sky"]}, keep=["sight"])
    assert merged.labels.to_pylist() == [["sight"]] * 4
    assert read_label_lists(pa.array(["a;b"])).labels.to_pylist() == [["a;b"]]  # without a separator a cell is one


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.string())])
def test_a_split_deals_out_the_rarest_of_a_works_labels(kind):
    rows = pa.array([["a", "b"], ["a"], None, ["a", "c", "b"], []], kind)
    assert rarest(rows) == ["b", "a", None, "c", None]
    assert each_label(rows) == ([0, 0, 1, 2, 3, 3, 3, 4], ["a", "b", "a", None, "a", "c", "b", None])
    texts = pa.chunked_array([["a", None]])
    assert (rarest(texts), each_label(texts)) == (["a", None], ([0, 1], ["a", None]))
