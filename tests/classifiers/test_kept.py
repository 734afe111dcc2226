import pyarrow as pa
import pytest

from artray.classifiers.kept import kept_labels


def predictions(groups=None):
    scores = [0.95, 0.9, 0.8, 0.7, 0.6, 0.55]
    table = {
        "object_id": list("abcdef"),
        "true": ["x", "x", "y", "y", "x", "y"],
        "label": ["x", "x", "x", "y", "y", "x"],
        "scores": pa.array(
            [[(label, s), ("z", 1 - s)] for label, s in zip("xxxyyx", scores, strict=True)],
            pa.map_(pa.string(), pa.float32()),
        ),
    }
    return pa.table(table | ({"group": groups} if groups else {}))


def test_share_and_precision_of_what_is_kept():
    found = kept_labels(predictions(), 0.65)
    assert (found["share"], found["precision"], found["groups"]) == (0.6667, 0.75, 6)
    assert found["by_class"] == {"x": {"share": 0.75, "precision": 0.6667}, "y": {"share": 0.5, "precision": 1.0}}
    assert found["curve"][0] == [0.95, 0.1667, 1.0]
    assert found["curve"][-1] == [0.55, 1.0, 0.5]
    assert 0 <= found["interval"][0] <= 0.75 <= found["interval"][1] <= 1


def test_groups_are_drawn_whole():
    alone, together = kept_labels(predictions(), 0.0), kept_labels(predictions(["g"] * 6), 0.0)
    assert together["interval"] == [0.5, 0.5]
    assert alone["interval"][0] < 0.5 < alone["interval"][1]


def test_where_no_label_is_certain_nothing_is_kept():
    found = kept_labels(predictions(), None)
    assert (found["threshold"], found["share"], found["precision"], found["interval"]) == (None, 0.0, None, None)
    assert found["by_class"]["x"] == {"share": 0.0, "precision": None}


def test_the_said_labels_score_counts_though_another_is_higher():
    table = predictions().slice(0, 1)
    scores = pa.array([[("x", 0.3), ("z", 0.7)]], pa.map_(pa.string(), pa.float32()))
    found = kept_labels(table.set_column(3, "scores", scores), 0.5)
    assert found["share"] == pytest.approx(0.0)
