import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import shrunk_covariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from artray.classifiers.discriminant import Discriminant


def collection(n, d, classes, seed=0):
    random = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, n - classes)])
    x = random.normal(size=(classes, d))[labels] + random.normal(size=(n, d)) @ random.normal(size=(d, d))
    return x, labels


def one_block(x, targets):
    return lambda: [(x, targets)]


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(8, 60),
    d=st.integers(1, 50),
    classes=st.integers(2, 4),
    shrinkage=st.sampled_from([0.1, 0.5, 0.9, 1.0]),
    seed=st.integers(0, 99),
)
def test_is_scikit_learns_with_the_same_shrinkage(n, d, classes, shrinkage, seed):
    x, labels = collection(n, d, classes, seed)
    weights, bias = Discriminant(one_block(x, np.eye(classes)[labels])).fit(shrinkage)
    # Each class's covariance is shrunk there, and their mean taken by size: the same, as both are linear.
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(x, labels)
    logits = x @ weights + bias
    expected = oracle.decision_function(x)
    if classes == 2:
        np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected, rtol=1e-6, atol=1e-6)
    else:
        np.testing.assert_allclose(logits, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shrinkage", [1e-6, 0.1, 0.8, 1.0])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_solved_by_steps_it_is_the_same(shrinkage, kind):
    x, labels = collection(60, 90, 3)
    x[:, :3] *= 30  # a few directions have most of the variance
    x = x.astype(kind)
    blocks = one_block(x, np.eye(3)[labels])
    weights, bias = Discriminant(blocks, direct=10).fit(shrinkage)
    expected, at = Discriminant(blocks).fit(shrinkage)
    np.testing.assert_allclose(x @ weights + bias, x @ expected + at, rtol=1e-6, atol=1e-6)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(x.astype(np.float64), labels)
    if shrinkage > 1e-3:  # there scikit-learn's least squares are exact
        np.testing.assert_allclose(x @ weights + bias, oracle.decision_function(x), rtol=1e-6, atol=1e-6)


def test_of_more_examples_than_a_strip_it_is_the_same():
    x, labels = collection(300, 310, 3)
    weights, bias = Discriminant(one_block(x, np.eye(3)[labels])).fit(0.4)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.4).fit(x, labels)
    np.testing.assert_allclose(x @ weights + bias, oracle.decision_function(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("n", "d"), [(40, 12), (12, 40)])
def test_blocks_are_added_up(n, d):
    x, labels = collection(n, d, 3)
    targets = np.eye(3)[labels]

    def blocks():
        return [(x[start : start + 7], targets[start : start + 7]) for start in range(0, n, 7)]

    for whole, parts in zip(Discriminant(one_block(x, targets)).fit(0.3), Discriminant(blocks).fit(0.3), strict=True):
        np.testing.assert_allclose(parts, whole, atol=1e-9)


def test_shares_count_as_so_many_examples():
    x, labels = collection(20, 6, 2)
    targets = np.eye(2)[labels]
    targets[0] = 0.75, 0.25
    # The same as four copies of each example, of one of which the label is the other one.
    copies, many = np.repeat(x, 4, axis=0), np.repeat(np.eye(2)[labels], 4, axis=0)
    many[:3], many[3] = (1, 0), (0, 1)
    for shares, copied in zip(
        Discriminant(one_block(x, targets)).fit(0.5), Discriminant(one_block(copies, many)).fit(0.5), strict=True
    ):
        np.testing.assert_allclose(shares, copied, atol=1e-9)


def test_the_covariance_is_the_shrunken_one():
    x, labels = collection(30, 5, 2)
    within = np.concatenate([x[labels == label] - x[labels == label].mean(axis=0) for label in range(2)])
    covariance = shrunk_covariance(within.T @ within / len(x), 0.4)
    means = np.stack([x[labels == label].mean(axis=0) for label in range(2)])
    weights, _ = Discriminant(one_block(x, np.eye(2)[labels])).fit(0.4)
    np.testing.assert_allclose(weights, np.linalg.solve(covariance, means.T), atol=1e-9)


def test_a_class_without_examples_is_refused():
    with pytest.raises(ValueError, match="a class has no example"):
        Discriminant(one_block(np.ones((3, 2)), np.eye(2)[[0, 0, 0]]))


def test_constant_features_are_no_trouble():
    weights, bias = Discriminant(one_block(np.ones((4, 3)), np.eye(2)[[0, 0, 0, 1]])).fit(0.5)
    logits = np.ones(3) @ weights + bias
    assert logits[0] - logits[1] == pytest.approx(np.log(3))
