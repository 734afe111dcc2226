import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics

from artray.training.evaluation import by_artwork, confusion_matrix, evaluate, fit_temperature, log_loss, softmax

NAMES = ["oil", "ink", "print", "fresco"]


@st.composite
def predictions(draw, classes=4):
    """True classes and scores; classes may not occur, and may never be predicted."""
    n = draw(st.integers(1, 40))
    true = draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    logits = draw(hnp.arrays(np.float64, (n, classes), elements=st.floats(-6, 6)))
    return true, softmax(logits)


@given(predictions())
def test_evaluate_agrees_with_scikit_learn(given_predictions):
    true, scores = given_predictions
    predicted = scores.argmax(axis=1)
    labels = range(4)
    found = evaluate(true, scores, NAMES)
    assert found["n"] == len(true)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted), abs=6e-5)
    recall = metrics.recall_score(true, predicted, labels=np.unique(true), average="macro", zero_division=0)
    assert found["balanced_accuracy"] == pytest.approx(recall, abs=6e-5)
    assert found["majority_share"] == pytest.approx(pd.Series(true).value_counts(normalize=True).iloc[0], abs=6e-5)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(true, scores, labels=labels), abs=6e-5)
    assert found["confusion"] == metrics.confusion_matrix(true, predicted, labels=labels).tolist()
    table = metrics.precision_recall_fscore_support(true, predicted, labels=labels, zero_division=0)
    for name, values in zip(NAMES, np.transpose(table), strict=True):
        assert list(found["per_class"][name].values()) == pytest.approx(values, abs=6e-5)
    assert list(found["per_class"]) == NAMES
    assert json.loads(json.dumps(found)) == found


def test_balanced_accuracy_where_all_classes_occur():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 500)
    scores = softmax(rng.normal(size=(500, 4)) + 1.5 * np.eye(4)[true])
    expected = metrics.balanced_accuracy_score(true, scores.argmax(axis=1))
    assert evaluate(true, scores, NAMES)["balanced_accuracy"] == pytest.approx(expected, abs=6e-5)


def test_rows_of_the_confusion_are_true_classes():
    assert confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 2).tolist() == [[0, 2], [0, 1]]


def test_log_loss_of_an_impossible_class_is_finite():
    assert log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(12 * np.log(10))


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


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 6.0])
def test_fit_temperature_finds_the_one_that_made_the_labels(temperature):
    rng = np.random.default_rng(1)
    logits = rng.normal(scale=3 * temperature, size=(8_000, 4))
    scores = softmax(logits / temperature)
    true = (scores.cumsum(axis=1) < rng.random((8_000, 1))).sum(axis=1)
    found = fit_temperature(true, logits)
    assert found == pytest.approx(temperature, rel=0.06)
    losses = [log_loss(true, softmax(logits / t)) for t in (found * 0.97, found, found * 1.03)]
    assert min(losses) == losses[1]


def test_fit_temperature_makes_overconfident_scores_calibrated():
    rng = np.random.default_rng(2)
    right = rng.random(5000) < 0.8
    logits = np.where(right[:, None], [[10.0, 0.0]], [[0.0, 10.0]])  # always sure, right in 80 of 100 cases
    true = np.zeros(5000, np.int64)
    found = fit_temperature(true, logits)
    assert softmax(np.array([10.0, 0.0]) / found)[0] == pytest.approx(right.mean(), abs=0.005)


def test_fit_temperature_of_a_faultless_model_is_bounded():
    """Without an error the best T is 0; the answer stays a number to divide by."""
    true = np.array([0, 1])
    assert 0.1 < fit_temperature(true, np.array([[5.0, 0.0], [0.0, 5.0]])) <= 1


owners_strategy = st.lists(st.sampled_from(["b", "a", "10", "9", "ü", "a b"]), min_size=1, max_size=30)


@given(owners_strategy, st.integers(1, 5), st.integers(0, 9))
def test_by_artwork_is_the_mean_of_the_patches(owners, classes, seed):
    scores = softmax(np.random.default_rng(seed).normal(size=(len(owners), classes)))
    names, means = by_artwork(owners, scores)
    expected = pd.DataFrame(scores).groupby(pd.Series(owners)).mean()
    assert names == expected.index.tolist() == sorted(set(owners))
    assert np.allclose(means, expected.to_numpy())
    assert np.allclose(means.sum(axis=1), 1)
