import itertools
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.catalogs.targets import encode_targets, read_targets
from artray.errors import InputError

labels = st.text(st.characters(blacklist_characters=";:{}[]\"'\\", blacklist_categories=["C", "Z"]), min_size=1)


def test_one():
    column = pa.array(["oil", None, "", "a; b", "room: 12"])
    found = read_targets(column, "one", "style")
    assert found == [{"oil": 1}, {}, {}, {"a; b": 1}, {"room: 12": 1}]
    assert read_targets(pa.array([3, None]), "one", "style") == [{"3": 1}, {}]
    assert read_targets(column.dictionary_encode(), "one", "style") == found


@given(st.lists(st.lists(labels, max_size=4, unique=True), max_size=5))
def test_several_in_cells_and_lists(rows):
    expected = [dict.fromkeys(row, 1.0) for row in rows]
    assert read_targets(pa.array(["; ".join(row) for row in rows], pa.string()), "multilabel", "subject") == expected
    assert read_targets(pa.array(rows, pa.list_(pa.string())), "multilabel", "subject") == expected


@given(st.lists(st.dictionaries(labels, st.integers(1, 9), max_size=4), max_size=5))
def test_soft_in_all_forms(rows):
    expected = [{label: count / sum(row.values()) for label, count in row.items()} for row in rows]
    forms = [
        pa.array(["; ".join(f"{label}: {count}" for label, count in row.items()) for row in rows], pa.string()),
        pa.array([json.dumps(row) if row else None for row in rows], pa.string()),
        pa.array([list(row.items()) for row in rows], pa.map_(pa.string(), pa.int64())),
        pa.array([[label for label, n in row.items() for _ in range(n)] for row in rows], pa.list_(pa.string())),
    ]
    for form in forms:
        found = read_targets(form, "soft", "emotion")
        assert [dict(sorted(row.items())) for row in found] == [
            pytest.approx(dict(sorted(row.items()))) for row in expected
        ]


def test_soft_odds():
    column = pa.array(
        ["sad", "sad; calm", "sad: 0; calm: 2", '["sad", "sad", "calm", "calm"]', '{"sad": 1, "calm": 0}']
    )
    half = {"sad": 0.5, "calm": 0.5}
    assert read_targets(column, "soft", "emotion") == [{"sad": 1}, half, {"calm": 1}, half, {"sad": 1}]


@pytest.mark.parametrize("cell", ["sad: much", '{"sad": -1}', '{"sad": NaN}', "{sad", "[1", '{"sad": [1]}'])
def test_soft_cells_that_are_none(cell):
    with pytest.raises(InputError, match=r"column 'emotion': .* can't be read as labels") as raised:
        read_targets(pa.array(["sad", cell]), "soft", "emotion")
    assert "\n" not in str(raised.value)


def test_lists_are_not_one_label():
    with pytest.raises(InputError, match=r"column 'subject' holds list<.*set labels to multilabel or soft"):
        read_targets(pa.array([["a"]]), "one", "subject")


def test_labels_with_semicolons_stand_in_a_json_list():
    column = pa.array(['["oil; varnished", "ink", null, " "]', "[sic]; ink", "[1"])
    expected = [{"oil; varnished": 1, "ink": 1}, {"[sic]": 1, "ink": 1}, {"[1": 1}]
    assert read_targets(column, "multilabel", "style") == expected


def as_rows(targets):
    ends = targets.offsets.tolist()
    pairs = list(zip([targets.names[code] for code in targets.codes], targets.shares.tolist(), strict=True))
    return [dict(pairs[start:end]) for start, end in itertools.pairwise(ends)]


@given(st.lists(st.lists(labels, max_size=4), max_size=6), st.sampled_from(["multilabel", "soft"]))
def test_encoded_they_say_the_same(rows, kind):
    for column in (
        pa.array([*("; ".join(row) for row in rows), None, "; ".join(rows[0]) if rows else ""], pa.string()),
        pa.chunked_array([pa.array([*rows, None, []], pa.list_(pa.string())), pa.array(rows, pa.list_(pa.string()))]),
    ):
        assert as_rows(encode_targets(column, kind, "mood")) == read_targets(column, kind, "mood")


def test_encoded_one_label_and_the_main_one():
    for column in (pa.array(["b", None, "", "a", "b"]), pa.array(["b", None, "", "a", "b"]).dictionary_encode()):
        found = encode_targets(column, "one", "style")
        assert found.names == ["a", "b"]
        assert found.counts.tolist() == [1, 0, 0, 1, 1]
        assert found.main().tolist() == [1, -1, -1, 0, 1]
    assert encode_targets(pa.nulls(2), "one", "style").counts.tolist() == [0, 0]
    assert encode_targets(pa.array([3, None]), "one", "style").names == ["3"]
    shares = encode_targets(pa.array(["a: 3; b: 1", "b: 1; a: 1", None]), "soft", "mood")
    assert shares.main().tolist() == [0, 1, -1]  # of equal ones the last by name
    with pytest.raises(InputError, match="set labels to multilabel"):
        encode_targets(pa.array([["a"]]), "one", "style")
