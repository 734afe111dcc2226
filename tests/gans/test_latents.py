import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from artray.errors import InputError
from artray.gans.latents import draw_latents


@pytest.mark.parametrize(("distribution", "expected"), [("normal", stats.norm()), ("uniform", stats.uniform(-1, 2))])
def test_distributions(distribution, expected):
    latents = draw_latents(200, 50, distribution, 1)
    assert latents.shape == (200, 50)
    assert latents.dtype == np.float32
    assert stats.kstest(latents.ravel(), expected.cdf).pvalue > 0.001


@pytest.mark.parametrize("truncation", [0.02, 0.5, 1.5])
def test_truncation_draws_from_within(truncation):
    latents = draw_latents(100, 50, "normal", 1, truncation)
    assert np.abs(latents).max() <= truncation
    assert stats.kstest(latents.ravel(), stats.truncnorm(-truncation, truncation).cdf).pvalue > 0.001
    uniform = draw_latents(100, 50, "uniform", 1, truncation)
    assert np.abs(uniform).max() <= min(truncation, 1)


@given(st.integers(0, 9), st.integers(1, 9), st.sampled_from(["normal", "uniform"]), st.integers(0, 99))
def test_the_same_seed_gives_the_same_latents(count, size, distribution, seed):
    first, again = (draw_latents(count, size, distribution, (seed, 3)) for _ in range(2))
    assert np.array_equal(first, again)
    assert count == 0 or not np.array_equal(first, draw_latents(count, size, distribution, (seed, 4)))


@pytest.mark.parametrize("truncation", [0, -1, float("nan")])
def test_a_truncation_that_leaves_nothing(truncation):
    with pytest.raises(InputError, match="truncation: must be above 0"):
        draw_latents(1, 1, "normal", 0, truncation)
