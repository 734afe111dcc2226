"""The job: from bundles to page and tables, and what it refuses."""

import csv
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.classifiers.metrics import evaluate
from artray.comparison.results import results_of
from artray.comparison.station import CompareOptions, compare
from artray.comparison.subjects import distinct_names, found_bundles, read_works
from artray.errors import InputError
from artray.storage import Location
from tests.comparison.made import CLASSES, scores_of, write_model

HOSTILE = "</title><img src=x onerror=alert(1)>\"'"


def run(models, out, **options):
    settings = {"resamples": 200, "permutations": 100, "figures": False}  # drawn in test_paper
    return compare(CompareOptions(model=[str(model) for model in models], out=str(out), **(settings | options)))


def rows_of(file):
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def works_of(*models, part="test"):
    places = [Location.parse(model) for model in models]
    return read_works(places, distinct_names(places, []), part)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    good = write_model(folder / "good", skill=0.9, seed=1)
    poor = write_model(folder / "poor", skill=0.2, seed=2)
    third = write_model(folder / "third", skill=0.7, seed=3)
    ids = [f"w{number:03d}" for number in range(40)]
    Image.new("RGB", (40, 30), "red").save(folder / "red.png")
    manifest = {
        "object_id": ids,
        "title": [HOSTILE, "=1+1"] * 20,
        "artist": [f"artist {number // 10}" for number in range(40)],
        "year": [None, *(f"c. {1860 + number}" for number in range(39))],
    }
    (Location.parse(folder / "manifest") / "manifest.parquet").write_table(pa.table(manifest))
    counts = run([good, poor, third], folder / "out", manifest=str(folder / "manifest"))
    return folder, counts


def test_everything_is_written_and_counted(done):
    folder, counts = done
    assert {file.name for file in (folder / "out").iterdir()} >= {
        "_run.json", "breakdown.csv", "comparison.html", "comparison.css", "comparison.json", "differences.csv",
    }  # fmt: skip
    assert counts["rows"] == 40
    assert list(counts["models"]) == ["good", "poor", "third"]
    assert list(counts["pairs"]) == ["good - poor", "good - third", "poor - third"]
    assert counts["pairs"]["good - poor"] < 0.01
    assert counts["differ"] == len(rows_of(folder / "out" / "differences.csv"))


def test_figures_are_those_of_the_evaluation(done):
    folder, _ = done
    works = works_of(*(folder / name for name in ("good", "poor")))
    told = json.loads((folder / "out" / "comparison.json").read_text())
    for at, name in enumerate(("good", "poor")):
        expected = evaluate(works.true, works.scores[at], CLASSES)
        figures = told["models"][at]["figures"]
        assert told["models"][at]["name"] == name
        for key in ("accuracy", "balanced_accuracy", "log_loss"):
            assert figures[key]["value"] == pytest.approx(expected[key], abs=1e-4)
        assert figures["macro_f1"]["value"] == expected["macro"]["f1"]
        assert told["models"][at]["confusion"] == expected["confusion"]
        low, high = figures["accuracy"]["intervals"]["groups"]
        assert low <= figures["accuracy"]["value"] <= high


def test_the_pairs(done):
    folder, _ = done
    told = json.loads((folder / "out" / "comparison.json").read_text())
    works = works_of(folder / "good", folder / "poor")
    first, second = works.right
    pair = told["pairs"][0]
    assert pair["mcnemar"]["first"] == int((first & ~second).sum())
    assert pair["mcnemar"]["second"] == int((second & ~first).sum())
    assert pair["differences"]["accuracy"]["value"] == pytest.approx(first.mean() - second.mean(), abs=1e-4)
    assert pair["p"] == pair["groups_holm"]
    assert all(pair["mcnemar_holm"] >= pair["mcnemar"]["p"] for pair in told["pairs"])


def test_the_page_says_it(done):
    folder, _ = done
    page = (folder / "out" / "comparison.html").read_text("utf-8")
    assert "good is better than poor: +" in page
    assert HOSTILE not in page
    assert "&lt;/title&gt;" in page
    for heading in (
        "Between any two",
        "Better than chance?",
        "ROC curves",
        "What a score means",
        "By artist",
        "By decade",
    ):
        assert f"<h2>{heading}</h2>" in page


def test_the_works_on_which_they_differ(done):
    folder, _ = done
    rows = rows_of(folder / "out" / "differences.csv")
    assert all(len({row[f"{name}: label"] for name in ("good", "poor", "third")}) > 1 for row in rows)
    some = [{row[f"{name}: right"] for name in ("good", "poor", "third")} == {"true", "false"} for row in rows]
    assert some == sorted(some, reverse=True)  # first those that some have right
    assert {row["title"] for row in rows} <= {HOSTILE, "'=1+1"}  # no formula


def test_the_breakdown(done):
    folder, _ = done
    rows = rows_of(folder / "out" / "breakdown.csv")
    decades = [row["value"] for row in rows if row["column"] == "decade"]
    assert decades == ["1860s", "1870s", "1880s", "1890s", "unknown"]
    artists = [row for row in rows if row["column"] == "artist"]
    assert [row["works"] for row in artists] == ["10"] * 4
    works = works_of(folder / "good")
    assert float(artists[0]["good: accuracy"]) == pytest.approx(works.right[0][:10].mean())
    assert all(float(row["good: lower"]) <= float(row["good: accuracy"]) <= float(row["good: upper"]) for row in rows)


def test_one_model_alone(done, tmp_path):
    folder, _ = done
    counts = run([folder / "good"], tmp_path / "out", by=["group"])
    assert counts["pairs"] == {}
    assert "Between any two" not in (tmp_path / "out" / "comparison.html").read_text("utf-8")


def test_works_of_several_labels(tmp_path):
    first = write_model(tmp_path / "a", seed=1, labels="multilabel")
    second = write_model(tmp_path / "b", seed=2, labels="multilabel")
    counts = run([first, second], tmp_path / "out")
    assert set(counts["models"]) == {"a", "b"}
    works = works_of(first, second)
    assert works.multilabel
    expected = evaluate(works.true, works.scores[0], CLASSES)
    assert (
        results_of(works, resamples=100, permutations=100).models[0].figures["accuracy"].value == expected["accuracy"]
    )


def test_classes_in_another_order_are_the_same_classes(tmp_path):
    """Scores go by their names."""
    true = np.random.default_rng(0).integers(0, 3, 30)
    scores = scores_of(true, 3, 0.8, 5)
    one = write_model(tmp_path / "a", true=true, scores=scores)
    turned = [2, 0, 1]
    other = write_model(
        tmp_path / "b",
        true=np.argsort(turned)[true],
        scores=scores[:, turned],
        classes=[CLASSES[at] for at in turned],
    )
    works = works_of(one, other)
    np.testing.assert_allclose(works.scores[0], works.scores[1])
    assert (works.given[0] == works.given[1]).all()


def test_rows_in_another_order_are_the_same_works(tmp_path):
    true = np.random.default_rng(0).integers(0, 3, 30)
    scores = scores_of(true, 3, 0.8, 5)
    ids = [f"w{number:02d}" for number in range(30)]
    one = write_model(tmp_path / "a", true=true, scores=scores, ids=ids)
    other = write_model(tmp_path / "b", true=true[::-1], scores=scores[::-1], ids=ids[::-1])
    works = works_of(one, other)
    assert (works.given[0] == works.given[1]).all()


def test_out_of_fold(tmp_path):
    folds = {"metrics": {"fold_ensemble": 5}, "part": "validation"}
    one = write_model(tmp_path / "a", seed=1, **folds)
    other = write_model(tmp_path / "b", seed=2, **folds)
    assert run([one, other], tmp_path / "out", part="out-of-fold")["rows"] == 40
    plain = write_model(tmp_path / "c", part="validation")
    with pytest.raises(InputError, match="c: has no out-of-fold predictions: train it with --folds"):
        run([one, plain], tmp_path / "other", part="out-of-fold")


def refused(message, *models, **options):
    with pytest.raises(InputError, match=message):
        works_of(*models, **options)


def test_another_split_is_refused_and_says_who_has_seen_what(tmp_path):
    one = write_model(tmp_path / "a", ids=[f"w{number}" for number in range(40)])
    other = write_model(
        tmp_path / "b", ids=[f"w{number}" for number in range(30, 70)], learned=["w0", "w1", "w2", "w3"]
    )
    refused(
        r"not judged by the same works \(10 works are in both, 30 only in a's, 30 only in b's\); b has learned from "
        r"w0, w1, w2 and 1 more, so its figures there would flatter it. Train both on data of one ingest",
        one,
        other,
    )


def test_other_labels_are_refused(tmp_path):
    true = np.zeros(10, np.int64)
    true[5:] = 1
    one = write_model(tmp_path / "a", true=true)
    other = write_model(tmp_path / "b", true=np.where(np.arange(10) == 7, 2, true))
    refused(r"judged by other true labels: of 1 of 10 works, such as w007 \(portrait and still life\)", one, other)


def test_another_question_is_refused(tmp_path):
    one = write_model(tmp_path / "a")
    other = write_model(tmp_path / "b", classes=("landscape", "portrait", "interior"))
    refused("b: has other classes than .*a: it lacks still life and has interior as well", one, other)
    several = write_model(tmp_path / "c", labels="multilabel")
    refused("c gives a work several labels, .*a one", one, several)


def test_what_is_no_bundle_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: not a model bundle"):
        run([tmp_path / "empty"], tmp_path / "out")


def test_a_search_is_its_best_combination(tmp_path):
    runs = [write_model(tmp_path / "search" / "runs" / name, seed=seed) for seed, name in enumerate(("a1", "b2", "c3"))]
    for run_, reached in zip(runs, (0.5, 0.7, 0.9), strict=True):
        evaluation = {"validation": {"artwork": {"balanced_accuracy": reached, "macro": {}}}}
        (Location.parse(run_) / "evaluation.json").write_json(evaluation)
    rows = [
        {"validation_balanced_accuracy": 0.6, "runs": [f"/moved/runs/{name}" for name in ("a1", "b2")]},
        {"validation_balanced_accuracy": 0.5, "runs": [runs[2]]},
    ]
    search = Location.parse(tmp_path / "search")
    (search / "results.parquet").write_table(pa.Table.from_pylist(rows))
    assert [str(place) for place in found_bundles([search])] == [runs[1]]
    assert [str(place) for place in found_bundles([search], every_trial=True)] == [runs[1], runs[2]]


def test_what_models_are_called(tmp_path):
    def names(*places, given=()):
        return distinct_names([Location.parse(place) for place in places], given)

    assert names("/work/lda", "/work/head") == ["lda", "head"]
    assert names("/a/model", "/b/model") == ["a/model", "b/model"]
    assert names("/a/model", "/b/model", given=["x", "y"]) == ["x", "y"]
    with pytest.raises(InputError, match="2 names for 1 models"):
        names("/a", given=["x", "y"])
    with pytest.raises(InputError, match="the same model stands there twice"):
        names("/a", "/a")


def test_an_unknown_column_is_named(done, tmp_path):
    folder, _ = done
    with pytest.raises(InputError, match=r"--by artst: no such column; did you mean artist\?"):
        run([folder / "good"], tmp_path / "out", manifest=str(folder / "manifest"), by=["artst"])
    with pytest.raises(InputError, match="--by decade: needs --manifest"):
        run([folder / "good"], tmp_path / "out", by=["decade"])
