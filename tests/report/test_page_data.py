"""What the page's data say beside the labels: the catalogue's own, what was learned from, queues, tested works."""

from datetime import datetime, timezone

import pyarrow as pa
import pytest

from artray.catalogs.corrections import Corrections
from artray.catalogs.statements import Statement
from artray.errors import InputError
from artray.labeling.contract import Models
from artray.report.page import Queue, encode_data
from artray.report.works import Label, Work, assemble_works
from tests.report.test_page import LABELS_SCHEMA, collected, decoded, evaluation, labels_table, texts

NASTY = "=cmd|' /C calc'!A0 </script>\u202e"


def data_of(works, evaluations=(), models=None, queues=()):
    return collected(encode_data(works, evaluations, {}, models or Models(), None, queues=queues))


def work(key, learned=None, **labels):
    return Work(
        key,
        f"{key}.jpg",
        labels={
            task: Label(name, 0.5, {name: 0.5, "other": 0.5}, None, task, learned_from=learned)
            for task, name in labels.items()
        },
        record={"stil": "Barock", "title": key},
    )


def test_models_of_one_column_answer_one_question_and_the_column_is_the_catalogues_label():
    models = Models(targets={"style": "stil", "style_2": "stil", "genre": "gattung"})
    tasks = data_of([work("a", style="x", style_2="y", genre="z")], models=models)["tasks"]
    by_name = {task["name"]: task for task in tasks}
    assert by_name["style"]["question"] == by_name["style_2"]["question"] != by_name["genre"]["question"]
    assert [by_name[name]["catalogue"] for name in ("style", "style_2", "genre")] == [3, 3, None]


def test_without_targets_models_of_the_same_classes_answer_one_question():
    tasks = data_of([work("a", one="x", two="x", three="y")])["tasks"]
    questions = {task["name"]: task["question"] for task in tasks}
    assert questions["one"] == questions["two"] != questions["three"]


def test_works_that_were_learned_from_are_told_by_labels_or_by_the_models_bundle():
    found = list(
        encode_data([work("a", True, t="x"), work("b", False, t="x"), work("c", t="x")], [], {}, Models(), None)
    )
    assert '"learned":[0]' in "".join(found[0][1])
    rows = labels_table(*({"object_id": key, "label": "x", "score": 0.5} for key in "abc"))
    works = assemble_works(rows, learned={"m1": {"b"}})
    assert [one.labels["style"].learned_from for one in works] == [False, True, False]
    told = rows.append_column("learned_from", pa.array([True, None, False]))
    works = assemble_works(told.select([*LABELS_SCHEMA.names, "learned_from"]), learned={"m1": {"b"}})
    assert [one.labels["style"].learned_from for one in works] == [True, True, False]


def test_queues_name_places_and_leave_out_what_is_not_on_the_page():
    queues = [
        Queue("differs", "t", ["c", "gone", "a"], ["x", "y", NASTY], [0.91234, None, float("nan")], [None, "a", "b"]),
        Queue("mine", None, ["b"]),
        Queue("useful", "no such task", ["a"]),
    ]
    found = data_of([work(key, t="x") for key in "abc"], queues=queues)["queues"]
    assert found == [
        {
            "name": "differs",
            "task": 0,
            "works": [2, 0],
            "said": ["x", NASTY],
            "score": [0.9123, None],
            "twin": [None, 1],
        },
        {"name": "mine", "task": None, "works": [1], "said": [], "score": [], "twin": []},
    ]


def test_tested_works_are_told_by_their_place_with_truth_and_label():
    predictions = pa.table(
        {
            "object_id": ["b", "gone", "a"],
            "true": ["Cubism", "Cubism", "Rococo"],
            "label": ["Rococo", "Cubism", "Rococo"],
            "scores": pa.array([[("Rococo", 0.7), ("Cubism", 0.3)]] * 3, pa.map_(pa.string(), pa.float32())),
        }
    )
    level = evaluation()["levels"]["artwork"] | {
        "intervals": {"accuracy": [0.8, 0.95]},
        "majority": {"per_class": {"Cubism": {"recall": 1}, "Rococo": {"recall": 0}}},
    }
    shown = evaluation(predictions=predictions, levels={"artwork": level})
    (found,) = data_of([work(key, style="Cubism") for key in "ab"], [shown])["evaluations"]
    assert found["tested"] == {"work": [1, 0], "truth": [[0], [1]], "said": [[1], [1]], "score": [0.7, 0.7]}
    assert found["commonest"] == "Cubism"
    assert found["levels"]["artwork"]["interval"] == [0.8, 0.95]
    (plain,) = data_of([], [evaluation()])["evaluations"]
    assert (plain["tested"], plain["commonest"], plain["levels"]["artwork"]["interval"]) == (None, None, None)


def test_tested_works_may_have_several_labels_or_none():
    kind = pa.list_(pa.string())
    predictions = pa.table(
        {
            "object_id": ["a", "b"],
            "true": pa.array([["Cubism", "Rococo"], []], kind),
            "label": pa.array([["Rococo"], []], kind),
            "scores": pa.array([[("Rococo", 0.7)], [("Rococo", 0.1)]], pa.map_(pa.string(), pa.float32())),
        }
    )
    (found,) = data_of([work(key, style="Cubism") for key in "ab"], [evaluation(predictions=predictions)])[
        "evaluations"
    ]
    assert found["tested"] == {"work": [0, 1], "truth": [[0, 1], []], "said": [[1], []], "score": [0.7, None]}


def test_a_larger_picture_outside_the_folder_is_refused():
    with pytest.raises(InputError, match="outside the page"):
        data_of([Work("a", "a.jpg", zoom="../x.jpg")])
    assert data_of([Work("a", "a.jpg"), Work("b", "b.jpg", zoom="zoom/b #.jpg")])["zoom"] == [None, "zoom/b%20%23.jpg"]
    assert data_of([Work("a", "a.jpg")])["zoom"] is None


def test_what_curators_said_before_is_on_the_page_with_who_and_when():
    when = datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
    statements = {"t": {"a": Statement("x", "y", NASTY, when), "gone": Statement("x"), "b": Statement(None)}}
    labels = {"t": {"a": "x", "gone": "x", "b": None}, "no such task": {"a": "x"}}
    corrections = Corrections(labels, statements=statements)
    works = [work(key, t="x") for key in "abc"]
    found = collected(encode_data(works, [], {}, Models(), None, corrections=corrections))["said"]
    assert found == [[0, 0, "x", Statement("x", reviewed_at=when).at, NASTY], [1, 0, "", "", ""]]
    assert data_of(works)["said"] == []


def test_what_spoke_for_a_label_is_told_by_task():
    labels = {task: Label("a", 0.5, {"a": 0.5}, None, task) for task in ("colour", "style")}
    works = [
        Work("a", "/a.jpg", labels=labels, maps={"style": "activation/style/000-1.jpg"}),
        Work("b", "/b.jpg", labels=labels),
    ]
    files = texts(encode_data(works, [], {}, Models(), None))
    first, second = decoded(files["works-0000.js"])
    assert (first["maps"], second["maps"]) == ([None, "activation/style/000-1.jpg"], [])
