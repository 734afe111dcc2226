"""Smoothing, and frames chosen of shots, against the plain way."""

import numpy as np
import pytest

from artray.film.curves import chosen_of_shots, smoothed


@pytest.mark.parametrize("window", [0, 1, 4.5, 100])
def test_smoothing_is_the_mean_of_all_that_is_near(window):
    chance = np.random.default_rng(0)
    seconds = np.sort(chance.uniform(0, 30, 60))
    scores = chance.uniform(0, 1, (60, 3))
    scores[chance.random(60) < 0.2] = np.nan
    wanted = np.full(scores.shape, np.nan)
    for row, second in enumerate(seconds):
        near = scores[np.abs(seconds - second) <= window / 2 + 1e-6]
        near = near[~np.isnan(near).any(axis=1)]
        if len(near):
            wanted[row] = near.mean(axis=0)
    assert np.allclose(smoothed(seconds, scores, window), wanted, equal_nan=True)


def test_a_step_is_smoothed_in_its_middle():
    scores = np.repeat([0.0, 1.0], 10)[:, None]
    found = smoothed(np.arange(20.0), scores, 4)[:, 0]
    assert np.allclose(found[:8], 0)
    assert np.allclose(found[8:12], [0.2, 0.4, 0.6, 0.8])
    assert np.allclose(found[12:], 1)


def test_frames_of_shots():
    shots = np.array([0, 0, 0, 1, 1, 1, 1, 2, 3, 3])
    readable = np.array([1, 1, 1, 1, 1, 0, 1, 1, 0, 0], bool)
    assert np.flatnonzero(chosen_of_shots(shots, readable, 1)).tolist() == [1, 4, 7]
    assert np.flatnonzero(chosen_of_shots(shots, readable, 2)).tolist() == [0, 2, 3, 6, 7]
    assert np.flatnonzero(chosen_of_shots(shots, readable, 9)).tolist() == np.flatnonzero(readable).tolist()
    assert not chosen_of_shots(shots[:0], readable[:0], 1).any()
