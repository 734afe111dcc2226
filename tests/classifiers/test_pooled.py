"""One result of all works that were held out, with intervals by works and by groups."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import metrics as oracle

from artray.bundles.inputs import PictureInput
from artray.classifiers.evaluation import predictions_table
from artray.classifiers.examples import Examples
from artray.classifiers.metrics import intervals
from artray.classifiers.pooled import pooled_accuracy, pooled_figures, show_pooled

CLASSES = ["a", "b", "c"]


def held_out(n=90, repeats=1, multilabel=False, groups=None):
    """Examples, predictions and each dealing's scores; the last ten works are the test part."""
    chance = np.random.default_rng(0)
    true = (chance.random((n, 3)) < 0.4).astype(np.int64) if multilabel else chance.integers(0, 3, n)
    targets = (true if multilabel else np.eye(3)[true]).astype(np.float32)
    dealings = np.clip(targets * 0.5 + chance.random((repeats, n, 3)) * 0.7, 0.01, 0.99).astype(np.float32)
    if not multilabel:
        dealings /= dealings.sum(axis=2, keepdims=True)
    table = pa.table(
        {
            "object_id": [f"w{number:03d}" for number in range(n)],
            "group": groups or [f"g{number // 5}" for number in range(n)],
            "part": ["validation"] * (n - 10) + ["test"] * 10,
        }
    )
    examples = Examples(
        table=table, classes=CLASSES, targets=targets, shape=(8, 8, 3), blocks=[], positions=np.zeros((n, 2), np.int64),
        widths={}, input=PictureInput(kind="pictures", size=8), dropped={},
    )  # fmt: skip
    return examples, predictions_table(table, true, dealings.mean(axis=0), CLASSES), dealings, true


def test_figures_are_of_all_works_held_out_and_of_no_other():
    examples, predictions, dealings, true = held_out()
    told = pooled_figures(examples, predictions, dealings, False)
    said = dealings[0].argmax(axis=1)[:80]
    assert (told["n"], told["groups"], told["repeats"]) == (80, 16, 1)
    assert told["figures"]["accuracy"] == pytest.approx(oracle.accuracy_score(true[:80], said), abs=1e-4)
    assert told["figures"]["balanced_accuracy"] == pytest.approx(
        oracle.balanced_accuracy_score(true[:80], said), abs=1e-4
    )
    assert told["figures"]["log_loss"] == pytest.approx(oracle.log_loss(true[:80], dealings[0][:80]), abs=1e-3)
    assert told["by_repeat"]["accuracy"] == [told["figures"]["accuracy"]]
    drawn = intervals(true[:80], np.eye(3)[said], [f"g{number // 5}" for number in range(80)])
    assert told["intervals"]["groups"]["accuracy"] == pytest.approx(drawn["accuracy"], abs=1e-4)


def test_several_dealings_are_averaged_work_by_work():
    examples, predictions, dealings, true = held_out(repeats=4)
    told = pooled_figures(examples, predictions, dealings, False)
    mean = dealings.mean(axis=0)[:80].argmax(axis=1)
    assert told["figures"]["accuracy"] == pytest.approx((mean == true[:80]).mean(), abs=1e-4)
    own = [(each[:80].argmax(axis=1) == true[:80]).mean() for each in dealings]
    assert told["by_repeat"]["accuracy"] == pytest.approx(own, abs=1e-4)
    assert told["figures"]["accuracy"] > max(own) - 0.1


def test_a_dealings_labels_are_said_as_those_of_all():
    """Where classes count alike, it is the largest multiple of its share."""
    examples, _, dealings, true = held_out()
    shares = np.array([0.6, 0.3, 0.1])
    predictions = predictions_table(examples.table, true, dealings[0], CLASSES, shares)
    told = pooled_figures(examples, predictions, dealings, False, thresholds=shares)
    assert told["by_repeat"]["accuracy"] == [told["figures"]["accuracy"]]
    assert (
        told["by_repeat"]["accuracy"] != pooled_figures(examples, predictions, dealings, False)["by_repeat"]["accuracy"]
    )


def test_works_of_several_labels():
    examples, predictions, dealings, true = held_out(multilabel=True)
    told = pooled_figures(examples, predictions, dealings, True)
    said = dealings[0][:80] >= 0.5
    assert told["figures"]["accuracy"] == pytest.approx((said == true[:80]).all(axis=1).mean(), abs=1e-4)
    assert "hamming_loss" in told["figures"]


def test_works_that_belong_to_nobody_have_one_interval(capsys):
    examples, predictions, dealings, _ = held_out(groups=[f"g{number}" for number in range(90)])
    told = pooled_figures(examples, predictions, dealings, False)
    assert list(told["intervals"]) == ["works"]
    assert pooled_accuracy(told)["interval"] == told["intervals"]["works"]["accuracy"]
    show_pooled("genre", told)
    assert "genre: all 80 works that were held out" in capsys.readouterr().err


def test_works_are_told_of_by_artist_and_decade():
    examples, predictions, dealings, true = held_out()
    artists = [("Ada" if number % 4 else None) for number in range(90)]
    dates = [("c. 1874-75", "um 1881", "o. J.")[number % 3] for number in range(90)]
    known = examples.table.append_column("artist", pa.array(artists)).append_column("date", pa.array(dates))
    right = dealings[0].argmax(axis=1) == true
    told = pooled_figures(replace(examples, table=known), predictions, dealings, False)["by"]
    assert [(each["value"], each["n"]) for each in told["artist"]] == [("Ada", 60), ("unknown", 20)]
    assert [(each["value"], each["n"]) for each in told["decade"]] == [("1870s", 27), ("1880s", 27), ("unknown", 26)]
    hits = right[:80][np.arange(80) % 4 > 0]
    ends = stats.binomtest(int(hits.sum()), 60).proportion_ci(0.95, "exact")
    assert told["artist"][0]["accuracy"] == pytest.approx(hits.mean(), abs=1e-4)
    assert told["artist"][0]["interval"] == pytest.approx([ends.low, ends.high], abs=1e-4)
    assert list(pooled_figures(examples, predictions, dealings, False)["by"]) == ["group"]


def test_a_work_may_have_several_artists_and_what_nobody_knows_is_not_told():
    examples, predictions, dealings, _ = held_out()
    artists = [["Ada", "Bo"], ["Ada"], []] * 30
    known = examples.table.append_column("artist", pa.array(artists)).append_column("date", pa.array([["1874"]] * 90))
    told = pooled_figures(replace(examples, table=known), predictions, dealings, False)["by"]
    assert [each["value"] for each in told["artist"]] == ["Ada", "Ada; Bo", "unknown"]
    assert [(each["value"], each["n"]) for each in told["decade"]] == [("1870s", 80)]
    nothing = pa.nulls(90, pa.string())
    known = examples.table.append_column("artist", nothing).append_column("date", nothing)
    assert list(pooled_figures(replace(examples, table=known), predictions, dealings, False)["by"]) == ["group"]
