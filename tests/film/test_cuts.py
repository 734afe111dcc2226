"""Cuts, on pictures whose cuts are known."""

import numpy as np
import pytest

from artray.film.cuts import differences, find_cuts, histogram
from tests.film.making import flat, histograms


def wide(seed: int) -> np.ndarray:
    """A wide picture of coloured spots, for a camera to move over."""
    chance = np.random.default_rng(seed)
    base = chance.integers(0, 256, 3)
    spots = np.clip(base + chance.normal(0, 40, (12, 60, 3)), 0, 255).astype(np.uint8)
    return spots.repeat(8, axis=0).repeat(8, axis=1)


def test_a_histogram_is_shares():
    values = histogram(flat("red")).reshape(3, -1)
    assert np.allclose(values.sum(axis=1), 1)
    assert (values >= 0).all()


def test_the_difference_of_black_and_white_is_nearly_one_and_of_a_picture_from_itself_none():
    black, white = np.zeros((9, 9, 3), np.uint8), np.full((9, 9, 3), 255, np.uint8)
    found = differences(histograms([black, black, white]))
    assert found[:2].tolist() == [0, 0]
    assert found[2] > 0.6


def test_a_flat_colour_that_wavers_is_no_cut():
    pictures = [np.full((9, 9, 3), value, np.uint8) for value in (127, 129, 126, 130)]
    assert differences(histograms(pictures)).max() < 0.2


def test_what_cannot_be_seen_has_no_difference_and_the_next_is_compared_with_the_one_before():
    found = differences(histograms([flat("red"), None, flat("red"), None, flat("blue")]))
    assert np.isnan(found[[1, 3]]).all()
    assert found[2] == 0
    assert found[4] > 0.3


def test_cuts_are_found_and_a_moving_camera_is_none():
    pictures = []
    for seed in range(6):
        spots = wide(seed)
        pictures += [spots[:, 16 * step : 16 * step + 160] for step in range(10)]
    cuts = find_cuts(differences(histograms(pictures)), 0.2)
    assert np.flatnonzero(cuts).tolist() == [10, 20, 30, 40, 50]


def test_where_every_frame_is_another_shot_each_is_a_cut():
    pictures = [flat(name) for name in ("red", "green", "blue", "red", "green", "blue")]
    assert find_cuts(differences(histograms(pictures)), 0.2).tolist() == [False, True, True, True, True, True]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_frames(number):
    found = differences(histograms([flat("red")] * number))
    assert find_cuts(found, 0.2).tolist() == [False] * number
