"""Each loss against its formula, written for one number at a time."""

import math

import numpy as np
import pytest

from artray.gans.config import LossConfig, LossName
from artray.models.gans.losses import (
    LOSSES,
    around,
    between,
    convergence,
    next_balance,
    no_slope,
    reconstruction,
    unit_slope,
)

rng = np.random.default_rng(0)
REAL, FAKE = rng.normal(0, 3, (2, 50, 1)).astype(np.float32)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


DISCRIMINATORS = {
    "mm": lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
    "ns": lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
    "dragan": lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
    "wgan": lambda r, f: f - r,
    "wgan_gp": lambda r, f: f - r,
    "lsgan": lambda r, f: (r - 1) ** 2 + f**2,
    "hinge": lambda r, f: max(0, 1 - r) + max(0, 1 + f),
    "r1": lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
    "rpgan": lambda r, f: -math.log(sigmoid(r - f)),
}
GENERATORS = {
    "mm": lambda f: math.log(1 - sigmoid(f)),
    "ns": lambda f: -math.log(sigmoid(f)),
    "dragan": lambda f: math.log(1 - sigmoid(f)),
    "wgan": lambda f: -f,
    "wgan_gp": lambda f: -f,
    "lsgan": lambda f: (f - 1) ** 2,
    "hinge": lambda f: -f,
    "r1": lambda f: -math.log(sigmoid(f)),
    "rpgan": lambda r, f: -math.log(sigmoid(f - r)),
}


def test_the_table_has_all_losses_and_the_config_knows_them():
    assert set(LOSSES) == {*DISCRIMINATORS, "began"} == set(LossName.__args__)
    assert [name for name, loss in LOSSES.items() if loss.slope] == ["wgan_gp", "dragan", "r1", "rpgan"]
    assert [name for name, loss in LOSSES.items() if loss.relativistic] == ["rpgan"]
    assert [name for name, loss in LOSSES.items() if loss.clipped] == ["wgan"]


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_losses(name):
    loss = LOSSES[name]
    pairs = list(zip(REAL[:, 0].tolist(), FAKE[:, 0].tolist(), strict=True))
    assert np.allclose(loss.discriminator(REAL, FAKE), [DISCRIMINATORS[name](r, f) for r, f in pairs], rtol=1e-4)
    given = (REAL, FAKE) if loss.relativistic else (FAKE,)
    expected = [GENERATORS[name](*((r, f) if loss.relativistic else (f,))) for r, f in pairs]
    assert np.allclose(loss.generator(*given), expected, rtol=1e-4)


def test_scores_of_many_places_are_averaged_after_the_hinge():
    real, fake = rng.normal(0, 3, (2, 5, 4)).astype(np.float32)
    each = [DISCRIMINATORS["hinge"](*pair) for pair in zip(real.ravel().tolist(), fake.ravel().tolist(), strict=True)]
    expected = np.mean(np.reshape(each, (5, 4)), axis=1)
    assert np.allclose(LOSSES["hinge"].discriminator(real, fake), expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["mm", "ns", "dragan", "r1"])
def test_label_smoothing_is_cross_entropy_with_a_smaller_target(name):
    expected = [
        -0.9 * math.log(sigmoid(r)) - 0.1 * math.log(1 - sigmoid(r)) - math.log(1 - sigmoid(f))
        for r, f in zip(REAL[:, 0].tolist(), FAKE[:, 0].tolist(), strict=True)
    ]
    assert np.allclose(LOSSES[name].discriminator(REAL, FAKE, 0.1), expected, rtol=1e-4)


def test_large_scores_do_not_overflow():
    large = np.float32([[1e4], [-1e4]])
    for loss in LOSSES.values():
        if loss.discriminator:
            assert np.isfinite(loss.discriminator(large, large)).all()
            assert np.isfinite(loss.generator(*((large, -large) if loss.relativistic else (large,)))).all()


def test_shown_scores_are_probabilities_where_the_loss_has_them():
    assert np.allclose(LOSSES["ns"].shown(REAL), [[sigmoid(r)] for r in REAL[:, 0].tolist()], rtol=1e-4)
    assert np.array_equal(LOSSES["hinge"].shown(REAL), REAL)


def test_reconstruction():
    pictures, seen = rng.uniform(0, 255, (2, 3, 4, 4, 3)).astype(np.float32)
    expected = [
        sum(abs(a - b) for a, b in zip(one.ravel(), other.ravel(), strict=True)) / 48 / 127.5
        for one, other in zip(pictures, seen, strict=True)
    ]
    assert np.allclose(reconstruction(pictures, seen), expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("k", "real", "fake", "expected"), [(0.2, 0.4, 0.1, 0.21), (0.0, 0.1, 0.9, 0.0), (1.0, 0.9, 0.1, 1.0)]
)
def test_balance(k, real, fake, expected):
    found = next_balance(*np.float32([k, real, fake]), 0.5, 0.1)
    assert float(found) == pytest.approx(expected, abs=1e-6)
    assert float(convergence(real, fake, 0.5)) == pytest.approx(real + abs(0.5 * real - fake))


def test_unit_slope():
    slopes = rng.normal(size=(5, 4, 4, 3)).astype(np.float32) / 100
    expected = [
        (math.sqrt(sum((127.5 * value) ** 2 for value in one)) - 1) ** 2 for one in slopes.reshape(5, -1).tolist()
    ]
    assert np.allclose(unit_slope(slopes), expected, rtol=1e-4)
    assert float(unit_slope(np.zeros((1, 3), np.float32))[0]) == pytest.approx(1, abs=1e-4)


def test_no_slope():
    slopes = rng.normal(size=(5, 4, 4, 3)).astype(np.float32) / 100
    expected = [sum((127.5 * value) ** 2 for value in one) / 2 for one in slopes.reshape(5, -1).tolist()]
    assert np.allclose(no_slope(slopes), expected, rtol=1e-4)
    assert float(no_slope(np.zeros((1, 3), np.float32))[0]) == 0


def test_points():
    real, fake = rng.normal(size=(2, 4, 5, 5, 3)).astype(np.float32)
    share = rng.uniform(size=4).astype(np.float32)
    found = np.asarray(between(real, fake, share))
    for row in range(4):
        assert np.allclose(found[row], share[row] * real[row] + (1 - share[row]) * fake[row], atol=1e-5)
    noise = rng.normal(size=real.shape).astype(np.float32)
    found = np.asarray(around(real, noise, 0.5))
    for row in range(4):
        assert np.allclose(found[row], real[row] + 0.5 * real[row].std() * noise[row], atol=1e-5)


def test_the_config_has_a_range_for_each_constant():
    constants = {"label_smoothing", "clip", "penalty", "penalty_end", "noise", "balance", "gain"}
    assert {*LossConfig.model_fields} - {"name"} == constants


def test_the_penalty_goes_to_its_end_along_a_cosine():
    loss = LossConfig(name="rpgan", penalty=2, penalty_end=0.2)
    assert [loss.penalty_at(part) for part in (0, 0.5, 1)] == pytest.approx([2, 1.1, 0.2])
    assert LossConfig(name="r1", penalty=5).penalty_at(0.7) == 5
