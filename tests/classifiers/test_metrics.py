import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from sklearn import metrics

from artray.classifiers.calibration import sigmoid, softmax
from artray.classifiers.metrics import (
    average_precision,
    confusion_matrix,
    evaluate,
    intervals,
    precision_recall_curve,
    roc_auc,
    roc_curve,
    thinned,
)

NAMES = ["oil", "ink", "print", "fresco"]
CLOSE = 6e-5  # metrics are rounded to four decimals


@st.composite
def predictions(draw, classes=4):
    """True classes and scores; classes may not occur, and may never be predicted; scores may tie."""
    n = draw(st.integers(1, 40))
    true = draw(hnp.arrays(np.int64, n, elements=st.integers(0, classes - 1)))
    logits = draw(hnp.arrays(np.float64, (n, classes), elements=st.integers(-12, 12)))
    return true, softmax(logits / 2)


@st.composite
def several(draw, classes=4):
    n = draw(st.integers(1, 40))
    true = draw(hnp.arrays(np.int64, (n, classes), elements=st.integers(0, 1)))
    logits = draw(hnp.arrays(np.float64, (n, classes), elements=st.integers(-12, 12)))
    return true, sigmoid(logits / 2)


def without_nan(values):
    return [None if np.isnan(value) else pytest.approx(value, abs=CLOSE) for value in values]


def expected_areas(has, scores):
    """AUC and average precision of each class by scikit-learn, where they are defined."""
    auc, precision = [], []
    for k in range(has.shape[1]):
        auc.append(metrics.roc_auc_score(has[:, k], scores[:, k]) if 0 < has[:, k].sum() < len(has) else np.nan)
        precision.append(metrics.average_precision_score(has[:, k], scores[:, k]) if has[:, k].any() else np.nan)
    return auc, precision


def check_areas(found, has, scores):
    for name, expected in zip(("roc_auc", "average_precision"), expected_areas(has, scores), strict=True):
        assert [found["per_class"][item][name] for item in NAMES] == without_nan(expected)
        known = [value for value in expected if not np.isnan(value)]
        assert found["macro"][name] == (pytest.approx(np.mean(known), abs=1e-4) if known else None)


@pytest.mark.slow
@given(predictions())
def test_evaluate_agrees_with_scikit_learn(given_predictions):
    true, scores = given_predictions
    predicted = scores.argmax(axis=1)
    labels = range(4)
    found = evaluate(true, scores, NAMES)
    assert found["n"] == len(true)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted), abs=CLOSE)
    occurring = {"labels": np.unique(true), "average": "macro", "zero_division": 0}
    recall = metrics.recall_score(true, predicted, **occurring)
    assert found["balanced_accuracy"] == found["macro"]["recall"] == pytest.approx(recall, abs=CLOSE)
    assert found["macro"]["f1"] == pytest.approx(metrics.f1_score(true, predicted, **occurring), abs=CLOSE)
    assert found["macro"]["precision"] == pytest.approx(
        metrics.precision_score(true, predicted, **occurring), abs=CLOSE
    )
    assert found["log_loss"] == pytest.approx(metrics.log_loss(true, scores, labels=labels), abs=CLOSE)
    assert found["confusion"] == metrics.confusion_matrix(true, predicted, labels=labels).tolist()
    table = metrics.precision_recall_fscore_support(true, predicted, labels=labels, zero_division=0)
    for name, values in zip(NAMES, np.transpose(table), strict=True):
        assert list(found["per_class"][name].values())[:4] == pytest.approx(values, abs=CLOSE)
    check_areas(found, np.eye(4, dtype=int)[true], scores)
    assert list(found["per_class"]) == NAMES
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.slow
@given(several())
def test_evaluate_several_agrees_with_scikit_learn(given_predictions):
    true, scores = given_predictions
    predicted = scores >= 0.5
    found = evaluate(true, scores, NAMES)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(true, predicted), abs=CLOSE)
    assert found["hamming_loss"] == pytest.approx(metrics.hamming_loss(true, predicted), abs=CLOSE)
    table = metrics.precision_recall_fscore_support(true, predicted, average=None, zero_division=0)
    for name, values in zip(NAMES, np.transpose(table), strict=True):
        assert list(found["per_class"][name].values())[:4] == pytest.approx(values, abs=CLOSE)
    occurs = true.any(axis=0)
    assert found["macro"]["f1"] == pytest.approx(table[2][occurs].mean() if occurs.any() else 0, abs=CLOSE)
    varied = [k for k in range(4) if 0 < true[:, k].sum() < len(true)]
    balanced = [metrics.balanced_accuracy_score(true[:, k], predicted[:, k]) for k in varied]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(balanced) if balanced else 0, abs=CLOSE)
    pairs = [
        [sum(int(row[i] and said[j]) for row, said in zip(true, predicted, strict=True)) for j in range(4)]
        for i in range(4)
    ]
    assert found["confusion"] == pairs
    check_areas(found, true, scores)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_balanced_accuracy_where_all_classes_occur():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 500)
    scores = softmax(rng.normal(size=(500, 4)) + 1.5 * np.eye(4)[true])
    expected = metrics.balanced_accuracy_score(true, scores.argmax(axis=1))
    assert evaluate(true, scores, NAMES)["balanced_accuracy"] == pytest.approx(expected, abs=CLOSE)


def test_rows_of_the_confusion_are_true_classes():
    assert confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 2).tolist() == [[0, 2], [0, 1]]


@given(predictions(classes=2))
def test_curves_agree_with_scikit_learn(given_predictions):
    true, scores = given_predictions
    has, scores = true == 1, scores[:, 1]
    roc, pr = roc_curve(has, scores), precision_recall_curve(has, scores)
    assert (roc is None) == (roc_auc(has, scores) is None) == (not 0 < has.sum() < len(has))
    assert (pr is None) == (average_precision(has, scores) is None) == (not has.any())
    if roc is not None:
        expected = np.transpose(metrics.roc_curve(has, scores, drop_intermediate=False)[:2])
        assert np.allclose(roc, expected)
    if pr is not None:
        precision, recall, _ = metrics.precision_recall_curve(has, scores)
        assert np.allclose(pr, np.column_stack([recall, precision])[::-1])


def test_a_thinned_curve_keeps_its_ends_and_its_area():
    rng = np.random.default_rng(0)
    has = rng.random(20_000) < 0.3
    points = roc_curve(has, rng.normal(size=20_000) + has)
    assert points is not None
    thin = np.array(thinned(points))
    assert len(thin) <= 200
    assert thin[0].tolist() == [0, 0]
    assert thin[-1].tolist() == [1, 1]
    area = np.trapezoid(thin[:, 1], thin[:, 0])
    assert area == pytest.approx(np.trapezoid(points[:, 1], points[:, 0]), abs=1e-3)
    assert thinned(points[:3]) == [tuple(np.round(point, 4)) for point in points[:3].tolist()]


def test_intervals_of_an_accuracy_are_those_of_a_share():
    """Accuracy is a mean of independent zeros and ones: the bootstrap's interval is the binomial's."""
    rng = np.random.default_rng(0)
    true = np.zeros(400, np.int64)
    scores = np.where(rng.random((400, 1)) < 0.8, [[0.9, 0.1]], [[0.1, 0.9]])
    right = scores.argmax(axis=1) == 0
    low, high = intervals(true, scores)["accuracy"]
    expected = stats.binom(400, right.mean()).ppf([0.025, 0.975]) / 400
    assert [low, high] == pytest.approx(expected.tolist(), abs=0.008)


@pytest.mark.slow
def test_intervals_cover_the_truth_95_times_in_100():
    rng = np.random.default_rng(1)
    covered = []
    for trial in range(300):
        true = rng.integers(0, 2, 200)
        said = np.where(rng.random(200) < np.where(true, 0.6, 0.9), true, 1 - true)
        found = intervals(true, np.eye(2)[said], seed=trial)
        low, high = found["balanced_accuracy"]
        covered.append(low <= 0.75 <= high)
    # 300 trials at 95 %: between 270 and 297 with 99.9 %, and a percentile interval is a little short.
    assert 265 <= sum(covered) <= 297


def test_intervals_draw_works_not_patches():
    """Ten equal patches of a work say what one of them says: the interval must not shrink."""
    rng = np.random.default_rng(2)
    true = rng.integers(0, 3, 60)
    scores = softmax(rng.normal(size=(60, 3)) + 2 * np.eye(3)[true])
    owners = [f"work {row}" for row in range(60)]
    alone = intervals(true, scores, owners)
    patches = intervals(
        np.repeat(true, 10), np.repeat(scores, 10, axis=0), [name for name in owners for _ in range(10)]
    )
    for name, (low, high) in alone.items():
        assert np.allclose(patches[name], (low, high)), name
    assert alone["f1"][0].shape == (3,)
    naive = intervals(np.repeat(true, 10), np.repeat(scores, 10, axis=0))
    assert np.ptp(naive["accuracy"]) < np.ptp(alone["accuracy"]) / 2


@given(predictions())
def test_intervals_are_finite_and_in_order(given_predictions):
    for low, high in intervals(*given_predictions).values():
        assert np.all((low >= 0) & (low <= high) & (high <= 1))


def test_intervals_are_seeded():
    rng = np.random.default_rng(3)
    true = rng.integers(0, 20, 5_000)
    scores = softmax(rng.normal(size=(5_000, 20)) + 2 * np.eye(20)[true])
    first = intervals(true, scores)
    again = intervals(true, scores)
    assert all(np.array_equal(first[name], again[name]) for name in first)
