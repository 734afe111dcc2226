import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.bundles.thresholds import LEAST_WORKS, abstention, abstention_of


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
