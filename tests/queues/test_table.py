"""Queues of a small collection: two kinds of works, some of which have the other's label in the catalogue."""

from datetime import datetime, timezone

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from artray.catalogs.corrections import Corrections
from artray.labeling.contract import LABELS, Models
from artray.queues import QUEUES, Alike, make_queues, ranked

N = 120
IDS = [f"w{number:03d}" for number in range(N)]
TRUE = np.arange(N) % 2
WRONG = [7, 30, 51]
AT = datetime(2026, 5, 4, tzinfo=timezone.utc)


def rows(task: str, second: np.ndarray, *, learned: set[int] = frozenset(), model: str | None = None) -> pa.Table:
    """Labels of a task, where `second` is the score of class b."""
    names = np.where(second >= 0.5, "b", "a").tolist()
    score = np.maximum(second, 1 - second).tolist()
    table = pa.Table.from_pylist(
        [
            {
                "object_id": IDS[n],
                "image_uri": f"/scans/{IDS[n]}.jpg",
                "label": names[n],
                "labels": [names[n]],
                "score": score[n],
                "scores": [("a", 1 - second[n]), ("b", second[n])],
                "model_id": model or task,
                "run_id": "r",
                "labeled_at": AT,
                "status": "ok",
                "learned_from": n in learned,
            }
            for n in range(N)
        ],
        LABELS,
    )
    return table.append_column("task", pa.repeat(task, N))


@pytest.fixture
def features() -> pads.Dataset:
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(N, 8)) + np.outer(16 * TRUE - 8, np.eye(8)[0])
    style = np.where(TRUE == 1, "b", "a").astype(object)
    style[WRONG] = np.where(TRUE[WRONG] == 1, "a", "b")
    style[100] = None
    return pads.InMemoryDataset(
        pa.table(
            {
                "object_id": IDS[::-1],
                "group": [f"artist {number % 30}" for number in range(N)][::-1],
                "style": pa.array(style[::-1], pa.string()),
                "embedding": pa.array(vectors[::-1].astype(np.float32).tolist()),
            }
        )
    )


@pytest.fixture
def scores() -> np.ndarray:
    return np.where(TRUE == 1, 0.9, 0.1) + np.linspace(-0.05, 0.05, N)


def test_labels_that_the_catalogue_has_wrong(features, scores):
    queues = make_queues(rows("style", scores, learned=set(range(N))), features)
    assert set(ranked(queues, "differs", "style")[:3]) == {IDS[number] for number in WRONG}
    told = {row["object_id"]: row for row in queues.to_pylist()}
    assert [told["w007"][name] for name in ("catalogue", "unseen_label")] == ["a", "b"]
    assert told["w007"]["unseen_score"] > 0.9 > 0.1 > told["w007"]["catalogue_score"]
    assert "w100" not in told  # no label in the catalogue, and all else learned from
    assert ranked(queues, "uncertain", "style") == ranked(queues, "useful", "style") == []


def test_places_begin_with_one_and_leave_nothing_out(features, scores):
    queues = make_queues(rows("style", scores, learned={1, 2}), features)
    assert queues.column_names == make_queues(rows("style", scores)).column_names
    for name in QUEUES:
        places = sorted(queues[name].drop_null().to_pylist())
        assert places == list(range(1, len(places) + 1))
    assert len(ranked(queues, "uncertain", "style")) == N - 2
    assert set(ranked(queues, "useful", "style")) == set(IDS) - {"w001", "w002"}


def test_the_least_certain_first(scores):
    scores = scores.copy()
    scores[[5, 6]] = 0.49, 0.55
    assert ranked(make_queues(rows("style", scores)), "uncertain", "style")[:2] == ["w005", "w006"]


def test_unlike_anything_learned_the_strangest_first(scores):
    table = rows("style", scores, learned={9})
    novelty = np.zeros(N, np.float32)
    novelty[[3, 7, 8, 9]] = 0.951, 0.99, 0.949, 0.999
    place = table.column_names.index("novelty")
    told = table.set_column(place, table.schema.field(place), pa.array(novelty))
    assert ranked(make_queues(told), "novel", "style") == ["w007", "w003"]
    assert ranked(make_queues(table.drop_columns(["novelty"])), "novel", "style") == []


def test_of_several_labels_each_is_sure_by_itself(scores):
    table = rows("motif", scores)
    both = [("a", 0.9), ("b", 0.98)]
    values = pa.array([both, *table["scores"].to_pylist()[1:]], table.schema.field("scores").type)
    table = table.set_column(table.column_names.index("scores"), table.schema.field("scores"), values)
    place = [
        ranked(make_queues(table, models=Models(multilabel=known)), "uncertain", "motif").index("w000")
        for known in (frozenset(), frozenset({"motif"}))
    ]
    assert place[0] == 0  # of one label two are near each other
    assert place[1] > N // 4


def test_checked_works_have_no_place(features, scores):
    seen = Corrections({"style": {"w007": "b", "w009": None}})
    queues = make_queues(rows("style", scores), features, reviewed=seen)
    for name in QUEUES:
        assert not {"w007", "w009"} & set(ranked(queues, name, "style"))
    assert {"w030", "w051"} <= set(ranked(queues, "differs", "style"))


def test_what_ingest_has_written_of_checks_counts(features, scores):
    table = features.to_table()
    decisions = ["corrected" if name == "w030" else None for name in table["object_id"].to_pylist()]
    for name in ("style_decision", "style_reviewer"):
        table = table.append_column(name, pa.array(decisions, pa.string()))
    queues = make_queues(rows("style", scores), pads.InMemoryDataset(table))
    assert not any("w030" in ranked(queues, name, "style") for name in QUEUES)
    assert "w007" in ranked(queues, "differs", "style")


def test_models_of_one_question(scores):
    other = scores.copy()
    other[[3, 4]] = 0.02, 0.97
    tables = [rows("style", scores, learned={4}), rows("style_2", other, model="m2")]
    models = Models(targets={"style": "style", "m2": "style"})
    queues = make_queues(pa.concat_tables(tables), models=models)
    assert ranked(queues, "disagree", "style") == ["w003"]
    assert ranked(queues, "disagree", "style_2") == ["w003", "w004"] or ranked(queues, "disagree", "style_2") == [
        "w004",
        "w003",
    ]
    assert ranked(make_queues(pa.concat_tables(tables)), "disagree", "style") == []  # as far as is known


def test_twins_with_different_labels(features, scores):
    alike = Alike(["w007", "w009", "w011"], np.array([[1], [0], [1]]), np.array([[0.99], [0.99], [0.99]]))
    queues = make_queues(rows("style", scores), features, alike=alike)
    assert ranked(queues, "duplicates", "style") == ["w007", "w009"]
    told = {row["object_id"]: row["duplicate_of"] for row in queues.to_pylist()}
    assert (told["w007"], told["w009"], told["w011"]) == ("w009", "w007", None)


def test_works_that_could_not_be_read_or_have_no_features(features, scores):
    table = rows("style", scores).to_pylist()
    table[5] |= {"label": None, "labels": None, "score": None, "scores": None, "status": "missing"}
    table[6] |= {"object_id": "not in the features"}
    told = make_queues(pa.Table.from_pylist(table, LABELS.append(pa.field("task", pa.string()))), features)
    queued = ranked(told, "uncertain", "style")
    assert "w005" not in queued
    assert "not in the features" in queued
    assert "not in the features" not in ranked(told, "useful", "style")


def test_too_few_labelled_works_say_nothing(features, scores):
    few = features.to_table()
    few = few.set_column(2, "style", pa.array(["a", "b", *[None] * (N - 2)], pa.string()))
    queues = make_queues(rows("style", scores), pads.InMemoryDataset(few))
    assert ranked(queues, "differs", "style") == []
