"""Works and their columns, of which few values are Python's at one time; test_page.py has what they hold."""

import json

import pyarrow as pa

from artray.report import columns
from artray.report import works as works_of
from artray.report.columns import written


def labels_table(rows):
    table = pa.table({"object_id": [name for name, _ in rows], "task": [task for _, task in rows]})
    scores = pa.array([[("a", 0.5)]] * len(rows), pa.map_(pa.string(), pa.float32()))
    known = {"image_uri": "a.jpg", "label": "a", "score": 0.5, "model_id": "m", "status": "ok"}
    for name in works_of.LABEL_COLUMNS[1:]:
        if name != "task":
            values = scores if name == "scores" else pa.array([known.get(name)] * len(rows))
            table = table.append_column(name, values)
    return table


def test_json_in_pieces_is_that_of_the_whole():
    value = {"a": [], "b": {}, "c": [{"x": [1, None, "é<"]}, {}], "d": [[1, 2], None], "e": {"f": 0.5, "g": True}}
    assert "".join(written(value)) == json.dumps(value, separators=(",", ":"))


def test_columns_of_many_works_are_those_of_lists(monkeypatch):
    monkeypatch.setattr(columns, "_PIECE", 3)
    texts, places = ["é", "b", "é", None, "é", "b", "é", "é"], [0, 1, 0, 2, 0, 1, 0, 0]
    texts_column = columns.Texts()
    for text in texts:
        texts_column.add(text)
    assert json.loads("".join(written(texts_column))) == texts
    shared = json.loads("".join(written(texts_column.shared())))
    assert shared == {"values": ["é", "b", None], "places": places}


def test_works_are_made_as_often_as_they_are_asked_for(monkeypatch):
    """From labels in any order, in several batches, and few at a time."""
    monkeypatch.setattr(works_of, "_BATCH", 3)
    names = [f"w{number}" for number in range(8)]
    rows = [(name, task) for task in ("style", "genre") for name in reversed(names)]
    labels = pa.concat_tables([labels_table(rows[:5]), labels_table(rows[5:])])
    features = pa.table({"object_id": names[:6][::-1], "title": [f"Work {name}" for name in names[:6][::-1]]})
    works = works_of.assemble_works(labels, features, {"w3": "thumbnails/3.jpg"})
    assert len(works) == 8
    for _ in range(2):
        assert [work.object_id for work in works] == names
    assert [work.record.get("title") for work in works] == [*(f"Work {name}" for name in names[:6]), None, None]
    assert all(set(work.labels) == {"style", "genre"} for work in works)
    assert [work.thumbnail for work in works][3] == "thumbnails/3.jpg"
    assert works.titles()["w0"] == "Work w0"
    assert works.failed == 0
