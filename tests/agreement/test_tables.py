"""The forms that tables of annotations have."""

import json

import pyarrow as pa
import pytest

from artray.agreement.annotations import encode
from artray.agreement.tables import named_as_in, plain, read_long, read_wide, with_gold
from artray.errors import InputError
from tests.agreement.made import rows_of

LONG = pa.table(
    {
        "work": ["w1", "w1", "w2", "w2", "w1"],
        "who": ["anna", "ben", "anna", "ben", "expert"],
        "emotion": ["joy", "fear", "joy", "joy", "fear"],
        "style": ["Cubism", "Cubism", "Rococo", None, None],
    }
)
WIDE = pa.table(
    {
        "work": ["w1", "w2"],
        "anna": ["joy", "joy"],
        "ben": ["fear", "joy"],
        "carl": [None, "joy"],
        "expert": ["fear", None],
    }
)


def test_a_row_a_label_for_several_tasks():
    rows = read_long(LONG, "work", "who", {"emotion": "emotion", "style": "style"}, gold="expert")
    emotion, style = encode(rows, "emotion"), encode(rows, "style")
    assert emotion.votes().tolist() == [[1, 1], [0, 2]]
    assert emotion.gold.tolist() == [0, -1]
    assert style.votes().tolist() == [[2, 0], [0, 1]]
    assert style.left_out == {"empty cells": 2}


def test_a_column_an_annotator_is_the_same():
    rows = read_wide(WIDE, "work", ["anna", "ben", "carl"], "emotion", gold="expert")
    found = encode(rows, "emotion")
    assert found.annotators == ["anna", "ben", "carl"]
    assert found.votes().tolist() == [[1, 1], [0, 3]]
    assert found.gold.tolist() == [0, -1]
    assert encode(
        read_wide(WIDE, "work", ["anna", "ben", "expert"], "emotion", gold="expert"), "emotion"
    ).annotators == [
        "anna",
        "ben",
    ]


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (
            lambda: read_long(LONG, "werk", "who", {}),
            r"--object werk: there is no such column; did you mean work\? \(the",
        ),
        (lambda: read_long(LONG, "work", "by", {}), r"--annotator by: there is no such column \(there is: work, who, "),
        (lambda: read_long(LONG, "work", "who", {"x": "y"}), r"--label x=y: there is no such column"),
        (
            lambda: read_long(LONG, "work", "who", {}, "exprt"),
            r"--gold-annotator exprt: there is none; did you mean exp",
        ),
        (
            lambda: read_wide(WIDE, "work", ["anna", "bem"], "e"),
            r"--annotators bem: there is no such column; did you m",
        ),
        (lambda: read_wide(WIDE, "work", ["anna"], "e"), r"--annotators: agreement needs the columns of two"),
        (lambda: read_wide(WIDE, "work", ["anna", "ben"], "e", "x"), r"--gold-annotator x: there is no such column"),
    ],
)
def test_columns_that_are_not_there(call, line):
    with pytest.raises(InputError, match=line):
        call()


def test_gold_from_a_table_of_its_own():
    rows = read_long(LONG, "work", "who", {"emotion": "emotion", "style": "style"})
    gold = pa.table({"work": ["w1", "w2"], "emotion": ["fear", "joy"]})
    rows = with_gold(rows, gold, "work", {"emotion": "emotion"})
    assert encode(rows, "emotion").gold.tolist() == [0, 1]
    assert encode(rows, "style").gold.tolist() == [-1, -1]
    with pytest.raises(InputError, match="--object work: there is no such column"):
        with_gold(rows, gold.rename_columns(["id", "emotion"]), "work", {"emotion": "emotion"})


def test_answers_written_as_json():
    cells = ['{"choices": ["a", "b"]}', '["a"]', "[sic]", "{a", '{"x": 1}', None, "a"]
    assert plain(pa.array(cells)).to_pylist() == ["a|b", "a", "[sic]", "{a", '{"x": 1}', None, "a"]


def test_works_are_found_in_the_manifest_by_id_and_by_file():
    manifest = pa.table(
        {
            "object_id": ["1929.1", "b", "c", "d1", "d2", "e f"],
            "image_uri": [
                "s3://museum/scans/w1.tif",
                "/scans/w2.jpg",
                "/scans/1929.1.jpg",
                "/a/same.jpg",
                "/b/same.jpg",
                "/scans/w 5.png",
            ],
        }
    )
    works = {
        "1929.1": "1929.1",  # an id counts for more than a file's name
        "s3://other/w1.tif": "1929.1",
        "W:\\scans\\w2.jpg": "b",
        "/data/upload/3/1b2c3d4e-w2.jpg": "b",
        "/data/local-files/?d=scans/w%205.png": "e f",
        "w 5": "e f",
        "same.jpg": "same.jpg",  # of two
        "nowhere": "nowhere",
    }
    for work, name in works.items():
        rows, foreign = named_as_in(rows_of([(work, "anna", "joy"), (None, "ben", "joy")]), manifest)
        assert rows.table["object"].to_pylist() == [name, None], work
        assert foreign == ([work] if name == work and work != "1929.1" else [])


def test_json_in_a_cell_that_never_ends():
    deep = "[" * 100_000
    assert plain(pa.array([deep])).to_pylist() == [deep]
    assert json.loads(plain(pa.array(['{"a": {"b": 1}}'])).to_pylist()[0]) == {"a": {"b": 1}}
