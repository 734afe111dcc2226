import numpy as np
import pytest

from artray.features.perlin import perlin_noise

X = np.array([0.3, 3.14159, 17.25, 111.5, 0.0, 63.99])
Y = np.array([0.7, 2.71828, 100.9, 0.004, 5.0, 0.5])
# pnoise2 of the package noise 1.2.2 at (X, Y), repeatx=repeaty=224.
PUBLISHED = {
    (1, 0.5, 2.0): [0.0959745198, 0.216495395, -0.146966085, -4.7458002e-07, 0, 0.255001545],
    (4, 0.5, 6.0): [0.0646420568, 0.150002092, -0.0390319601, -0.0137718106, 0, 0.13802965],
    (75, 0.05, 2.0): [0.0964364856, 0.199357137, -0.124056622, -0.00042216244, 0, 0.241302922],
    (3, 0.9, 0.1): [0.0461887233, 0.127339542, -0.0657362267, 0.0859124064, 0, -0.0128192352],
}


@pytest.mark.parametrize("parameters", PUBLISHED)
def test_equals_the_package_noise(parameters):
    octaves, persistence, lacunarity = parameters
    noise = perlin_noise(X, Y, octaves=octaves, persistence=persistence, lacunarity=lacunarity)
    np.testing.assert_allclose(noise, PUBLISHED[parameters], rtol=1e-6, atol=1e-9)


def test_is_zero_on_the_lattice_and_bounded_between():
    steps = np.arange(0, 20, 0.1)
    noise = perlin_noise(steps[:, None], steps[None, :])
    assert np.abs(noise).max() <= 1
    assert np.ptp(noise) > 1
    np.testing.assert_array_equal(perlin_noise(np.arange(300.0)[:, None], np.arange(300.0)[None, :]), 0)


def test_repeats_every_256_cells():
    steps = np.arange(0, 8, 0.25)
    here = perlin_noise(steps[:, None], steps[None, :])
    np.testing.assert_array_equal(perlin_noise(steps[:, None] + 256, steps[None, :] + 512), here)


def test_is_continuous_across_cells():
    below, above = (perlin_noise(np.full(50, 3 + step), np.linspace(0, 9, 50)) for step in (-1e-5, 1e-5))
    np.testing.assert_allclose(below, above, atol=1e-4)
