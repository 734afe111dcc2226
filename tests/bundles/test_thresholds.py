import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, norm

from artray.bundles.precision import lower_bound, surely
from artray.bundles.thresholds import (
    DECISION,
    LEAST_WORKS,
    abstention,
    abstention_of,
    abstention_told,
    class_thresholds,
    doubt_of,
)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 40)), min_size=LEAST_WORKS, max_size=80),
    st.sampled_from([0.5, 0.8, 0.9]),
)
def test_what_is_kept_is_right_as_often_as_asked_even_at_its_lower_end(works, target):
    right = np.array([ok for ok, _ in works])
    scores = np.array([score / 40 for _, score in works], np.float32)
    found = abstention(right, scores, target)
    if found["threshold"] is None:
        assert (found["coverage"], found["accuracy"], found["lower"]) == (0.0, None, None)
        return
    kept = scores >= found["threshold"]
    assert found["coverage"] == pytest.approx(kept.mean(), abs=1e-4)
    assert found["accuracy"] == pytest.approx(right[kept].mean(), abs=1e-4)
    assert target - 1e-4 <= found["lower"] <= found["accuracy"]


@pytest.mark.slow
@pytest.mark.parametrize(("artists", "works", "alike"), [(200, 1, 0), (40, 8, 0.3)])
def test_a_threshold_rarely_promises_too_much(artists, works, alike):
    """500 collections of the same scores; of each threshold that is found the true precision is known."""
    rng = np.random.default_rng(0)
    n = artists * works
    everything = np.sort(0.5 + 0.5 * rng.beta(2, 1, 100_000))[::-1]
    precision = np.cumsum(everything) / np.arange(1, len(everything) + 1)
    owners = [str(number) for number in np.repeat(np.arange(artists), works)]
    found, broken = 0, 0
    for _ in range(500):
        scores = 0.5 + 0.5 * rng.beta(2, 1, n)
        luck = np.repeat(rng.normal(size=artists), works) * alike**0.5 + rng.normal(size=n) * (1 - alike) ** 0.5
        threshold = abstention(norm.cdf(luck) < scores, scores, 0.9, owners)["threshold"]
        if threshold is not None:
            found += 1
            broken += precision[np.searchsorted(-everything, -threshold, "right") - 1] < 0.9
    assert broken / 500 <= 0.05
    assert found > 100


def test_works_of_an_artist_that_are_wrong_together_count_as_fewer():
    rng = np.random.default_rng(0)
    scores = np.tile(np.linspace(0.6, 1, 40), 10)
    together = np.repeat(np.arange(40) >= 3, 10)[rng.permutation(400)]
    alone = abstention(together, scores, 0.8)
    artists = [f"artist-{number}" for number in np.argsort(np.argsort(together, kind="stable")) // 10]
    grouped = abstention(together, scores, 0.8, artists)
    assert alone["alike"] == 0 < grouped["alike"]
    assert grouped["coverage"] < alone["coverage"]


def test_scores_that_differ_by_rounding_stay_on_their_side():
    scores = np.linspace(0.3, 1, 200)
    threshold = abstention(scores > 0.6, scores)["threshold"]
    kept = scores >= threshold
    for other in (scores + 1e-5, scores - 1e-5):
        assert ((other >= threshold) == kept).all()


@pytest.mark.parametrize(("right", "n"), [(95, 100), (29, 29), (12.5, 40.3), (450, 500), (1, 3), (0, 5)])
def test_the_bound_is_clopper_and_pearsons(right, n):
    expected = beta.ppf(0.05, right, n - right + 1) if right else 0
    assert lower_bound(right, n) == pytest.approx(expected, abs=1e-9)
    assert surely(expected - 1e-6, right, n) == (right > 0)
    assert not surely(expected + 1e-6, right, n)


def test_no_threshold_is_said_in_words():
    found = abstention(np.arange(60) % 2 == 0, np.linspace(0.4, 1, 60))
    assert abstention_told(found) == (
        "60 works show no score from which on 90% of the labels are right: all are uncertain. More labelled "
        "works, or a lower --precision-target, would change that."
    )
    assert abstention_told({**found, "n": 1}).startswith("1 work shows no score")
    assert abstention_told({**found, "n": 0}).startswith("no labelled works say from which score on 90% of the labels")
    found = abstention(np.arange(60) > 5, np.linspace(0.4, 1, 60))
    assert "labels are certain from a score of 0." in abstention_told(found)


def test_too_few_works_tell_nothing():
    assert abstention(np.ones(LEAST_WORKS - 1, bool), np.ones(LEAST_WORKS - 1)) is None


def test_all_right_keeps_all():
    assert abstention(np.ones(50, bool), np.linspace(0, 1, 50))["threshold"] == 0


def predictions(true):
    """50 works of the validation part, the last ten of them wrong and less sure; one test work that does not count."""
    sure = [0.9] * 40 + [0.6] * 10
    return pa.table(
        {
            "part": ["validation"] * 50 + ["test"],
            "true": [*true, true[0]],
            "label": [*(["a"] * 50), true[0]],
            "scores": pa.array([[("a", s), ("b", 1 - s)] for s in [*sure, 1.0]], pa.map_(pa.string(), pa.float32())),
        }
    )


def test_from_predictions():
    found = abstention_of(predictions(["a"] * 40 + ["b"] * 10))
    assert found["threshold"] == pytest.approx(0.75)
    assert (found["coverage"], found["accuracy"], found["n"]) == (0.8, 1.0, 50)


def test_no_threshold_for_works_with_several_labels():
    table = predictions(["a"] * 50)
    several = pa.array([[label] for label in table["true"].to_pylist()])
    assert abstention_of(table.set_column(1, "true", several)) is None


def f1(has, said):
    return 2 * (has & said).sum() / (has.sum() + said.sum())


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=1, max_size=60))
def test_a_classs_threshold_has_the_best_f1_and_never_says_it_of_every_work(works):
    has = np.array([ok for ok, _ in works])
    scores = np.array([score / 20 for _, score in works])
    (found,) = class_thresholds(has[:, None].astype(int), scores[:, None])
    if min(has.sum(), (~has).sum()) < 5:
        assert found == DECISION
        return
    cuts = [scores >= cut for cut in set(scores.tolist())]
    some = [f1(has, said) for said in cuts if not said.all()]
    always = f1(has, np.ones(len(has), bool))
    usual = f1(has, scores >= DECISION)
    if found == DECISION:
        assert max([0, *some]) <= max(usual, always) + 1e-12
    else:
        assert f1(has, scores >= found) == pytest.approx(max(some))
        assert max(some) > max(usual, always)


def test_thresholds_are_each_classs_own():
    scores = np.column_stack([np.linspace(0, 0.4, 40), np.linspace(0, 1, 40), np.linspace(0, 1, 40)])
    true = np.column_stack([scores[:, 0] > 0.3, scores[:, 1] > 0.8, np.arange(40) == 3]).astype(int)
    found = class_thresholds(true, scores)
    assert ((scores >= found)[:, :2] == true[:, :2]).all()
    assert found[2] == DECISION  # one work has it
    assert class_thresholds(np.zeros((0, 2), int), np.zeros((0, 2))).tolist() == [DECISION] * 2


def level(accuracy, balanced, share=0.5, chance=0.5, **more):
    return {
        "n": 40,
        "accuracy": accuracy,
        "majority": {"accuracy": share, "balanced_accuracy": chance},
        "intervals": {"balanced_accuracy": balanced},
        **more,
    }


@pytest.mark.parametrize(
    ("given_level", "words"),
    [
        (level(0.9, [0.8, 1.0]), None),
        (level(0.5, [0.6, 0.8]), "no better than always giving the same label (50% of 40 test works right"),
        (level(0.4, [0.6, 0.8], share=0.7), "against 70%"),
        (level(0.7, [0.5, 0.9]), "not surely better than chance"),
        (level(0.7, [0.3, 0.9], chance=1 / 3), "0.30 to 0.90 with 95 % confidence, by chance 0.33"),
        # Of several labels at once few are all right, and that is no fault.
        (level(0.1, [0.6, 0.8], share=0.4, hamming_loss=0.1), None),
        (level(0.5, [0.45, 0.6], share=0.4, hamming_loss=0.1), "not surely better than chance"),
        ({}, None),
        ({"n": 3, "accuracy": 0.5, "majority": {"accuracy": None}}, None),
    ],
)
def test_a_model_is_doubted_that_is_no_better_than_chance(given_level, words):
    found = doubt_of({"artwork": given_level})
    if words is None:
        assert found is None
    else:
        assert words in found
        assert found.endswith("all its labels are uncertain.")
        assert "\n" not in found
    assert doubt_of({}) is None
