import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.ingest.manifest import free_name, make_ids, make_room

part = st.sampled_from(["a", "b", "a.jpg", "a#a.jpg", "#", "1", "ü", "a b"])
paths = st.lists(
    st.builds(
        lambda folders, stem, suffix: "/".join([*folders, stem]) + suffix,
        st.lists(part, max_size=2),
        part,
        st.sampled_from([".jpg", ".JPG", ".png", ".jpeg", ".dng"]),
    ),
    unique=True,
    max_size=12,
)
numbers = st.sampled_from([None, "1", "a", "b", "a.jpg", "1/a", "a#a.jpg"])


@given(paths, st.data())
def test_ids_are_unique_and_stay(names, data):
    own = data.draw(st.lists(numbers, min_size=len(names), max_size=len(names)))
    first = make_ids(names, own, [None] * len(names)).to_pylist()
    assert len(set(first)) == len(names)
    for object_id, number in zip(first, own, strict=True):
        assert number is None or object_id == number or object_id.startswith((f"{number}/", f"{number}#"))

    # Half of them were there before, in another order of the records.
    known = len(names) // 2
    earlier = make_ids(names[:known], own[:known], [None] * known).to_pylist()
    grown = make_ids(names, own, [*earlier, *[None] * (len(names) - known)]).to_pylist()
    assert grown[:known] == earlier
    assert len(set(grown)) == len(names)


@pytest.mark.parametrize(
    ("names", "own", "ids"),
    [
        (["a.jpg", "b/a.jpg"], [None, None], ["a", "b/a"]),
        (["a.jpg", "a.png", "b.png"], [None, None, None], ["a.jpg", "a.png", "b"]),
        (["a.jpg", "b.jpg"], ["7", "7"], ["7/a", "7/b"]),
        (["x/a.jpg", "y/a.jpg"], ["7", "7"], ["7/a#x/a.jpg", "7/a#y/a.jpg"]),
        (["a.jpg", "b.jpg"], ["b", None], ["b#a.jpg", "b.jpg"]),
    ],
)
def test_ids(names, own, ids):
    assert make_ids(names, own, [None] * len(names)).to_pylist() == ids


def test_names_of_the_catalogues_columns():
    taken: list[str] = []
    for name in ("title", "size", "catalog_size", "style", "title"):
        taken.append(free_name(name, taken, {"style": "style"}))
    assert taken == ["title", "catalog_size", "catalog_size_2", "catalog_style", "title_2"]


def test_a_strangers_manifest_makes_room_for_what_a_job_writes():
    rows = pa.table({"object_id": ["a"], "status": ["on loan"], "__filename": ["x"], "catalog_status": ["y"]})
    made = make_room(rows, ["status", "error"])
    assert made.to_pylist() == [
        {"object_id": "a", "catalog_status_2": "on loan", "catalog___filename": "x", "catalog_status": "y"}
    ]
    assert make_room(made, ["status"]).equals(made)
