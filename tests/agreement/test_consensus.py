"""One label a work, and shares."""

import numpy as np
import pyarrow as pa
import pytest

from artray.agreement.annotations import encode
from artray.agreement.coefficients import distances
from artray.agreement.consensus import agree, consensus_table, label_rows, soft_rows
from artray.catalogs.targets import read_targets
from tests.agreement.made import of_matrix, rows_of, simulated


def agreed(found, by="dawid-skene", active=None):
    distance = distances(len(found.classes), found.level, found.values, "quadratic")
    return agree(found, distance, np.ones(len(found.annotators), bool) if active is None else np.array(active), by)


def test_majority_ties_and_works_that_nobody_used_labelled():
    found = of_matrix([["a", "a", "b", "c"], ["a", "b", "b", None], ["b", "c", "b", None]])
    told = agreed(found, "majority")
    assert told.majority.tolist() == told.label.tolist() == [0, -1, 1, 2]
    assert told.ties == 1
    assert told.disagreement[:3].tolist() == pytest.approx([2 / 3, 1, 0])
    assert np.isnan(told.disagreement[3])
    told = agreed(found, "majority", [False, True, True])
    assert told.label.tolist() == [-1, -1, 1, -1]
    assert label_rows(found, told).to_pylist() == [{"object_id": "w002", "task": "emotion", "label": "b"}]
    table = consensus_table(found, told)
    assert table["annotations"].to_pylist() == [2, 2, 2, 0]
    assert table["probability"].to_pylist()[3] is None
    assert table["shares"].to_pylist(maps_as_pydicts="strict")[::3] == [{"a": 0.5, "b": 0.5}, None]


def test_the_model_weighs_people_where_the_majority_only_counts():
    rows, truth = simulated(400, [0.9, 0.9, 0.1, 0.1, 0.1])
    found = encode(rows_of(rows), "emotion")
    told = agreed(found)
    assert (told.label == truth).mean() > (agreed(found, "majority").label == truth).mean() + 0.1


def test_gold_is_the_label_whatever_people_say():
    rows = [
        ("w1", "anna", "joy"),
        ("w1", "ben", "joy"),
        ("w1", None, "fear"),
        ("w2", "anna", "joy"),
        ("w2", "ben", "fear"),
    ]
    found = encode(rows_of(rows, [row[1] is None for row in rows]), "emotion")
    told = agreed(found, "majority")
    assert consensus_table(found, told).select(["label", "gold", "majority"]).to_pylist() == [
        {"label": "fear", "gold": "fear", "majority": "joy"},
        {"label": None, "gold": None, "majority": None},
    ]
    # How people voted stays as it is.
    assert read_targets(soft_rows(found, told)["label"], "soft", "emotion")[0] == {"joy": 1}


def test_numbers_have_a_mean_and_distances():
    found = of_matrix([[1, 1], [2, 5], [3, 1]], level="interval")
    told = agreed(found)
    table = consensus_table(found, told)
    assert table["mean"].to_pylist() == pytest.approx([2, 7 / 3])
    assert told.disagreement.tolist() == pytest.approx([(1 + 1 + 4) / 3 / 16, 32 / 3 / 16])


@pytest.mark.parametrize("names", [["a; b", "a: 2"], ['"', "{a"], ["[a, b]", "'=1+1"], ["a\\", "爱 ❤\u202e"]])
def test_soft_labels_are_read_as_they_were_meant(names):
    """Semicolons, colons, quotes and braces in a label too."""
    found = of_matrix([["0", "1", "0", "1"], ["0", "0", "1", "1"], ["1", "1", "0", "0"]])
    renamed = type(found)(**{name: getattr(found, name) for name in found.__slots__} | {"classes": tuple(names)})
    cells = soft_rows(renamed, agreed(found))["label"]
    expected = [{names[0]: 2 / 3, names[1]: 1 / 3}, {names[0]: 1 / 3, names[1]: 2 / 3}]
    expected += [expected[0], expected[1]]
    for got, wanted in zip(read_targets(cells, "soft", "emotion"), expected, strict=True):
        assert got == pytest.approx(wanted, abs=1e-5)


def test_tables_are_plain_parquet():
    told = consensus_table(found := of_matrix([["a", "b"], ["a", "a"]]), agreed(found))
    assert told.schema.field("shares").type == pa.map_(pa.string(), pa.float32())
    assert told.schema.names[:3] == ["task", "object_id", "label"]
