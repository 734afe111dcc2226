import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Oracle

from artray.classifiers.logistic import balanced_weights, fit_logistic


def blobs(n, d, classes, seed=0):
    rng = np.random.default_rng(seed)
    true = np.append(
        np.arange(classes), rng.choice(classes, n - classes, p=[0.6, *[0.4 / (classes - 1)] * (classes - 1)])
    )
    x = rng.normal(size=(n, d)) + rng.normal(size=(classes, d))[true] * 0.5
    return x - x.mean(axis=0), true


@pytest.mark.parametrize(("n", "d", "classes"), [(120, 8, 3), (60, 90, 4)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", [1.0, 0.05])
def test_is_scikit_learns_to_a_millionth(n, d, classes, weighted, penalty):
    x, true = blobs(n, d, classes)
    targets = np.eye(classes)[true]
    class_weights = balanced_weights(targets.sum(axis=0)) if weighted else None
    weights, bias = fit_logistic(lambda: [(x, targets)], penalty, class_weights=class_weights, tolerance=1e-10)
    kind = "balanced" if weighted else None
    oracle = Oracle(C=1 / (n * penalty), tol=1e-10, max_iter=10_000, class_weight=kind).fit(x, true)
    np.testing.assert_allclose(weights, oracle.coef_.T, atol=1e-6)
    # Of intercepts only the differences mean anything.
    np.testing.assert_allclose(bias - bias.mean(), oracle.intercept_ - oracle.intercept_.mean(), atol=1e-6)


def test_two_classes_are_plus_and_minus_half_of_scikit_learns_one():
    x, true = blobs(80, 5, 2)
    weights, bias = fit_logistic(lambda: [(x, np.eye(2)[true])], 0.1, tolerance=1e-10)
    oracle = Oracle(C=2 / (80 * 0.1), tol=1e-10, max_iter=10_000).fit(x, true)
    np.testing.assert_allclose(weights[:, 1] - weights[:, 0], oracle.coef_[0], atol=1e-6)
    assert bias[1] - bias[0] == pytest.approx(oracle.intercept_[0], abs=1e-6)


def test_several_classes_are_fitted_one_against_the_rest():
    x, true = blobs(150, 20, 3)
    targets = np.eye(3)[true]
    targets[::4, 0] = 1
    weights, bias = fit_logistic(lambda: [(x, targets)], 0.05, multilabel=True, tolerance=1e-10)
    for label in range(3):
        oracle = Oracle(C=1 / (150 * 0.05), tol=1e-10, max_iter=10_000).fit(x, targets[:, label])
        np.testing.assert_allclose(weights[:, label], oracle.coef_[0], atol=1e-6)
        assert bias[label] == pytest.approx(oracle.intercept_[0], abs=1e-6)


def test_blocks_and_another_start_end_in_the_same_place():
    x, true = blobs(50, 6, 3)
    targets = np.eye(3)[true]

    def blocks():
        return [(x[at : at + 7], targets[at : at + 7]) for at in range(0, 50, 7)]

    whole = fit_logistic(lambda: [(x, targets)], 0.1, tolerance=1e-9)
    near = fit_logistic(lambda: [(x, targets)], 0.3)
    for parts in (fit_logistic(blocks, 0.1, tolerance=1e-9), fit_logistic(blocks, 0.1, tolerance=1e-9, start=near)):
        np.testing.assert_allclose(parts[0], whole[0], atol=1e-6)


def test_a_penalty_of_nothing_is_refused():
    with pytest.raises(ValueError, match="must be above 0"):
        fit_logistic(lambda: [(np.ones((2, 1)), np.eye(2))], 0)
