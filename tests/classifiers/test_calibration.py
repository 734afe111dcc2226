import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from artray.classifiers.calibration import fit_temperature, log_loss, reliability, sigmoid, softmax


def drawn(scores, rng):
    """Classes drawn with the scores as their probabilities."""
    return (scores.cumsum(axis=1) < rng.random((len(scores), 1))).sum(axis=1)


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(-1e300, 1e300)))
def test_softmax(logits):
    scores = softmax(logits)
    assert np.allclose(scores.sum(axis=-1), 1)
    assert (scores >= 0).all()
    assert np.allclose(softmax(logits[0]), scores[0])
    # The best class stays the best, and a constant changes nothing.
    assert (scores[np.arange(3), logits.argmax(axis=1)] == scores.max(axis=1)).all()
    small = np.clip(logits, -5, 5)
    assert np.allclose(softmax(small), np.exp(small) / np.exp(small).sum(axis=1, keepdims=True))
    assert np.allclose(softmax(small + 100), softmax(small))


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(-1e300, 1e300)))
def test_sigmoid(logits):
    scores = sigmoid(logits)
    assert np.allclose(scores + sigmoid(-logits), 1)
    assert ((scores >= 0) & (scores <= 1)).all()
    pairs = np.stack([logits, np.zeros_like(logits)], axis=-1)
    assert np.allclose(scores, softmax(pairs)[..., 0])


def test_log_loss_of_an_impossible_class_is_finite():
    assert log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(12 * np.log(10))
    assert log_loss(np.array([[1, 0]]), np.array([[0.0, 0.0]])) == pytest.approx(6 * np.log(10))


def test_log_loss_of_several_classes_is_the_mean_over_classes():
    rng = np.random.default_rng(0)
    true, scores = rng.integers(0, 2, (50, 3)), rng.random((50, 3))
    expected = np.mean([metrics.log_loss(true[:, k], scores[:, k], labels=[0, 1]) for k in range(3)])
    assert log_loss(true, scores) == pytest.approx(expected)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 6.0])
def test_fit_temperature_finds_the_one_that_made_the_labels(temperature, several):
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=3 * temperature, size=(8_000, 4))
    link = sigmoid if several else softmax
    scores = link(logits / temperature)
    true = (rng.random(scores.shape) < scores).astype(np.int64) if several else drawn(scores, rng)
    found = fit_temperature(true, logits)
    assert found == pytest.approx(temperature, rel=0.06)
    losses = [log_loss(true, link(logits / t)) for t in (found * 0.97, found, found * 1.03)]
    assert min(losses) == losses[1]


def test_fit_temperature_makes_overconfident_scores_calibrated():
    rng = np.random.default_rng(2)
    right = rng.random(5000) < 0.8
    logits = np.where(right[:, None], [[10.0, 0.0]], [[0.0, 10.0]])  # always sure, right in 80 of 100 cases
    true = np.zeros(5000, np.int64)
    found = fit_temperature(true, logits)
    assert softmax(np.array([10.0, 0.0]) / found)[0] == pytest.approx(right.mean(), abs=0.005)
    assert reliability(true, softmax(logits))["ece"] == pytest.approx(1 - right.mean(), abs=0.001)
    assert reliability(true, softmax(logits / found))["ece"] < 0.005


def test_fit_temperature_of_a_faultless_model_is_bounded():
    """Without an error the best T is 0; the answer stays a number to divide by."""
    true = np.array([0, 1])
    assert 0.1 < fit_temperature(true, np.array([[5.0, 0.0], [0.0, 5.0]])) <= 1


@pytest.mark.parametrize("several", [False, True])
def test_scores_that_are_the_truth_have_no_calibration_error(several):
    rng = np.random.default_rng(3)
    n = 200_000
    logits = rng.normal(scale=2, size=(n, 4))
    scores = (sigmoid if several else softmax)(logits)
    true = (rng.random(scores.shape) < scores).astype(np.int64) if several else drawn(scores, rng)
    # What is left is chance: 15 bins of about n/15, each off by about 0.4 / √(n/15).
    assert reliability(true, scores)["ece"] < 0.005
    assert reliability(true, (sigmoid if several else softmax)(4 * logits))["ece"] > 0.05


@given(st.integers(1, 60), st.integers(2, 5), st.integers(0, 99))
def test_reliability_agrees_with_pandas(n, classes, seed):
    rng = np.random.default_rng(seed)
    scores, true = softmax(rng.normal(size=(n, classes)) * 2), rng.integers(0, classes, n)
    frame = pd.DataFrame({"sure": scores.max(axis=1), "right": scores.argmax(axis=1) == true})
    groups = frame.groupby(pd.cut(frame["sure"], np.linspace(0, 1, 16), right=False), observed=False)
    found = reliability(true, scores)
    assert [item["n"] for item in found["bins"]] == groups.size().tolist()
    gap = (groups["sure"].mean() - groups["right"].mean()).abs()
    assert found["ece"] == pytest.approx((gap * groups.size()).sum() / n, abs=6e-5)
    for item, sure, right in zip(found["bins"], groups["sure"].mean(), groups["right"].mean(), strict=True):
        if item["n"]:
            assert (item["confidence"], item["accuracy"]) == pytest.approx((sure, right), abs=6e-5)
        else:
            assert item == {"n": 0, "confidence": None, "accuracy": None}


def test_a_score_of_one_is_in_the_last_bin():
    found = reliability(np.array([0]), np.array([[1.0, 0.0]]))
    assert found["bins"][-1] == {"n": 1, "confidence": 1.0, "accuracy": 1.0}
    assert found["ece"] == 0


@pytest.mark.parametrize("several", [False, True])
def test_the_temperature_is_the_best_of_the_whole_grid(several):
    """It looks near the best of a coarse grid only: of convex losses that is the best of all."""
    random = np.random.default_rng(0)
    link = sigmoid if several else softmax
    for number in range(12):
        n, classes = int(random.integers(3, 60)), int(random.integers(2, 6))
        true = random.integers(0, 2, (n, classes)) if several else random.integers(0, classes, n)
        logits = random.normal(size=(n, classes)) * 10 ** random.uniform(-2, 2)
        if number % 3 == 0 and not several:  # without a fault: the loss is flat where it is least
            logits[np.arange(n), true] = logits.max(axis=1) + 1
        grid = np.geomspace(1 / 8, 8, 801)
        best = grid[np.argmin([log_loss(true, link(logits / temperature)) for temperature in grid])]
        assert fit_temperature(true, logits) == best
