from dataclasses import replace

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from artray.bundles.novelty import GRID, LIMIT, NOVELTY, Novelty, novelty_bytes, read_novelty
from artray.classifiers.novelty import (
    distances_unseen,
    fit_distance,
    fit_others,
    novelty_sentence,
    novelty_told,
    usual_values,
)
from artray.errors import InputError
from artray.storage import Location, digest

D, CLASSES = 12, 3


def works(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features of three classes whose scatter is large along some directions."""
    chance = np.random.default_rng(seed)
    true = np.concatenate([np.arange(CLASSES), chance.integers(0, CLASSES, n - CLASSES)])
    means = np.eye(CLASSES, D) * 4
    return means[true] + chance.normal(size=(n, D)) * np.linspace(0.3, 2, D), true


def learned(x: np.ndarray, true: np.ndarray) -> Novelty:
    """Novelty of a classifier by the nearest mean, judged in ten folds."""
    weights = np.stack([x[true == label].mean(axis=0) for label in range(CLASSES)]).T
    bias = -0.5 * np.einsum("dk,dk->k", weights, weights)
    folds = np.arange(len(x)) % 10
    usual, values = usual_values(distances_unseen(x, true, folds), (x @ weights + bias).max(axis=1))
    return Novelty(
        mean=np.zeros(D),
        deviation=np.ones(D),
        distance=fit_distance(x, true),
        weights=weights,
        bias=bias,
        usual=usual,
        values=values,
    )


def test_with_all_directions_the_distance_is_scikit_learns():
    x, true = works(200, 0)
    means = np.stack([x[true == label].mean(axis=0) for label in range(CLASSES)])
    oracle = EmpiricalCovariance(assume_centered=True).fit(x - means[true])
    expected = np.stack([oracle.mahalanobis(x - mean) for mean in means], axis=1)
    # All but one have a variance of their own, so the last has too.
    np.testing.assert_allclose(fit_distance(x, true)(x), expected, rtol=1e-6)


@pytest.mark.parametrize(("n", "d", "r"), [(120, 12, 4), (40, 90, 6)])
def test_with_few_directions_it_is_that_of_the_slow_way(n, d, r):
    chance = np.random.default_rng(1)
    scale = np.concatenate([np.full(r, 5.0), np.full(d - r, 0.5)])
    true = np.arange(n) % 2
    x = chance.normal(size=(n, d)) * scale + true[:, None]
    means = np.stack([x[true == label].mean(axis=0) for label in (0, 1)])
    values, vectors = np.linalg.eigh((x - means[true]).T @ (x - means[true]) / n)
    values[: d - r] = values[: d - r].mean()
    inverse = vectors / values @ vectors.T
    expected = np.stack([np.einsum("nd,de,ne->n", x - mean, inverse, x - mean) for mean in means], axis=1)
    np.testing.assert_allclose(fit_distance(x, true, r)(x), expected, rtol=1e-5)


def test_five_in_a_hundred_works_of_the_classes_are_lost():
    lost = [(learned(*works(300, seed))(works(300, 100 + seed)[0]) >= LIMIT).mean() for seed in range(8)]
    assert 0.03 < np.mean(lost) < 0.07


def test_novelty_is_the_share_of_works_that_are_less_so():
    novelty = learned(*works(400, 0))(works(400, 1)[0])
    assert novelty.min() >= 0
    assert novelty.max() < 1
    for quantile in (0.25, 0.5, 0.75):
        assert np.quantile(novelty, quantile) == pytest.approx(quantile, abs=0.1)


def test_what_is_far_from_all_classes_is_found_and_what_no_class_speaks_for():
    found = learned(*works(300, 0))
    chance = np.random.default_rng(2)
    far = chance.normal(size=(50, D)) * 20
    silent = chance.normal(size=(50, D)) * np.linspace(0.3, 2, D) - 4 * np.eye(CLASSES, D).sum(axis=0)
    assert (found(far) >= LIMIT).mean() > 0.95
    assert (found(silent) >= LIMIT).mean() > 0.95
    farther = found(far[:1] * np.arange(1, 40)[:, None])
    assert (np.diff(farther) > 0).all()  # their order stays
    assert farther.max() < 1


def test_works_that_are_all_alike_are_no_fault():
    x, true = np.ones((30, D)), np.arange(30) % CLASSES
    assert np.isfinite(learned(x, true)(np.concatenate([x, x + 5]))).all()


def test_it_comes_back_from_its_file(tmp_path):
    x, true = works(100, 0)
    novelty, uri = learned(x, true), Location.parse(str(tmp_path))
    data = novelty_bytes(novelty)
    (uri / NOVELTY).write_bytes(data)
    np.testing.assert_allclose(read_novelty(uri, digest(data), CLASSES)(x), novelty(x), atol=1e-4)
    with pytest.raises(InputError, match=r"not the one bundle\.json was written for"):
        read_novelty(uri, "other", CLASSES)
    with pytest.raises(InputError, match=r"novelty.npz can't be used: weights .* train the model again"):
        read_novelty(uri, digest(data), CLASSES + 1)
    (uri / NOVELTY).write_bytes(b"damaged")
    with pytest.raises(InputError, match="can't be used"):
        read_novelty(uri, digest(b"damaged"), CLASSES)


def test_what_other_labels_look_like_can_be_learned(tmp_path):
    x, true = works(200, 0)
    chance = np.random.default_rng(5)

    def strange(n):  # like works of the classes, but for two features, which lie where some of theirs lie too
        return works(n, int(chance.integers(1000)))[0] + np.eye(D)[3] * 1.5 + np.eye(D)[4] * 1.5

    groups = [str(number) for number in range(400)]
    labels = ["rare", "rare", *(["often"] * 58)]
    found = fit_others(
        x, np.eye(CLASSES)[true], groups[:200], other=strange(60), labels=labels, other_groups=groups[200:260]
    )
    assert found.weights.shape == (D, CLASSES + 2)
    before = learned(x, true)
    logit = (x @ before.weights + before.bias).max(axis=1)
    usual, values = usual_values(distances_unseen(x, true, np.arange(200) % 10), logit, found.odds)
    novelty = replace(before, usual=usual, values=values, other_weights=found.weights, other_bias=found.bias)
    within, other = works(300, 9)[0], strange(80)
    assert novelty_told(novelty(within), novelty(other))["other"]["roc_auc"] > 0.85
    assert novelty_told(before(within), before(other))["other"]["roc_auc"] < 0.82
    assert (novelty(within) >= LIMIT).mean() < 0.1
    data, uri = novelty_bytes(novelty), Location.parse(str(tmp_path))
    (uri / NOVELTY).write_bytes(data)
    np.testing.assert_allclose(read_novelty(uri, digest(data), CLASSES)(other), novelty(other), atol=1e-4)


def test_a_class_of_which_no_work_was_drawn_is_never_said():
    x, true = works(60, 0)
    targets = np.insert(np.eye(CLASSES)[true], 1, 0, axis=1)
    names = [str(number) for number in range(90)]
    told = fit_others(x, targets, names[:60], other=x[:30] + 3, labels=["d"] * 30, other_groups=names[60:])
    assert told.weights.shape == (D, CLASSES + 2)
    assert np.isfinite(told.bias).all()
    assert (x @ told.weights + told.bias).argmax(axis=1).tolist() == [label + (label > 0) for label in true]


def test_how_good_it_is_against_others():
    within, other = np.linspace(0, 1, 100, endpoint=False), np.full(20, 0.955)
    told = novelty_told(within, other)
    assert told["lost"] == pytest.approx(0.05)
    assert told["at_least"] == pytest.approx((1 - GRID).tolist(), abs=0.011)
    assert told["other"].pop("at_least") == [1.0] * len(GRID)
    assert told["other"] == {"n": 20, "found": 1.0, "roc_auc": 0.96, "false_positive_rate": 0.04}
    assert novelty_told(within)["other"] is None
    assert novelty_sentence(told).endswith("of 20 works with another label 100% (AUC 0.96).")
