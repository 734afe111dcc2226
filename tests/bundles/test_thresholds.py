import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.bundles.thresholds import DECISION, LEAST_WORKS, abstention, abstention_of, class_thresholds, doubt_of


def slow(right, scores, target):
    """Every cut tried; the one that keeps most of those that reach the target."""
    best = None
    for cut in sorted(set(scores.tolist())):
        kept = scores >= cut
        if kept.sum() >= LEAST_WORKS and right[kept].mean() >= target and best is None:
            best = kept
    return best


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 40)), min_size=LEAST_WORKS, max_size=80),
    st.sampled_from([0.5, 0.8, 0.9, 1.0]),
)
def test_the_lowest_threshold_that_reaches_the_target(works, target):
    right = np.array([ok for ok, _ in works])
    scores = np.array([score / 40 for _, score in works], np.float32)
    found = abstention(right, scores, target)
    kept = slow(right, scores, target)
    if kept is None:
        assert found == {"threshold": None, "coverage": 0.0, "accuracy": None, "target": target, "n": len(works)}
    else:
        assert ((scores >= found["threshold"]) == kept).all()
        assert found["coverage"] == pytest.approx(kept.mean(), abs=1e-4)
        assert found["accuracy"] == pytest.approx(right[kept].mean(), abs=1e-4)


def test_scores_that_differ_by_rounding_stay_on_their_side():
    scores = np.linspace(0.3, 1, 200)
    threshold = abstention(scores > 0.6, scores)["threshold"]
    kept = scores >= threshold
    for other in (scores + 1e-5, scores - 1e-5):
        assert ((other >= threshold) == kept).all()


def test_too_few_works_tell_nothing():
    assert abstention(np.ones(LEAST_WORKS - 1, bool), np.ones(LEAST_WORKS - 1)) is None


def test_all_right_keeps_all():
    assert abstention(np.ones(50, bool), np.linspace(0, 1, 50))["threshold"] == 0


def predictions(true):
    """30 works of the validation part, the last ten of them wrong and less sure; one test work that does not count."""
    sure = [0.9] * 20 + [0.6] * 10
    return pa.table(
        {
            "part": ["validation"] * 30 + ["test"],
            "true": [*true, true[0]],
            "label": [*(["a"] * 30), true[0]],
            "scores": pa.array([[("a", s), ("b", 1 - s)] for s in [*sure, 1.0]], pa.map_(pa.string(), pa.float32())),
        }
    )


def test_from_predictions():
    found = abstention_of(predictions(["a"] * 20 + ["b"] * 10))
    assert found["threshold"] == pytest.approx(0.75)
    assert (found["coverage"], found["accuracy"], found["n"]) == (0.6667, 1.0, 30)


def test_no_threshold_for_works_with_several_labels():
    table = predictions(["a"] * 30)
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
