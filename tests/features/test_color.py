import colorsys

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.color import rgb2lab

from artray.features.color import color_histogram, rgb_to_hsv, rgb_to_lab

PICTURES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def test_lab_agrees_with_scikit_image():
    rgb = np.random.default_rng(0).integers(0, 256, (5_000, 3))
    np.testing.assert_allclose(rgb_to_lab(rgb.astype(float)), rgb2lab(rgb / 255), atol=0.01)


@given(hnp.arrays(np.uint8, (20, 3)))
def test_hsv_agrees_with_the_standard_library(rgb):
    expected = [colorsys.rgb_to_hsv(*color) for color in (rgb / 255).tolist()]
    np.testing.assert_allclose(rgb_to_hsv(rgb), expected, atol=1e-12)


@given(PICTURES)
def test_histogram_keeps_count_and_mean(image):
    counts, colors = color_histogram(image)
    assert counts.sum() == image.shape[0] * image.shape[1]
    assert len(counts) == len(np.unique(image.reshape(-1, 3) >> 3, axis=0))
    np.testing.assert_allclose(counts @ colors / counts.sum(), image.reshape(-1, 3).mean(axis=0))


@given(PICTURES)
def test_histogram_ignores_where_pixels_are(image):
    shuffled = np.random.default_rng(0).permutation(image.reshape(-1, 3)).reshape(image.shape)
    for one, other in zip(color_histogram(image), color_histogram(shuffled), strict=True):
        np.testing.assert_array_equal(one, other)
