"""Ways between latents and sums of latents stay where latents lie."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.gans.latent_walks import combine, grid, interpolate


def latents(seed: int, count: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)


@given(seed=st.integers(0, 999), size=st.integers(2, 64), steps=st.integers(2, 12))
def test_a_way_begins_and_ends_at_its_latents_in_even_steps(seed: int, size: int, steps: int) -> None:
    first, last = latents(seed, 2, size)
    for distribution in ("normal", "uniform"):
        way = interpolate(first, last, steps, distribution)
        assert way.shape == (steps, size)
        assert way.dtype == np.float32
        assert way[0] == pytest.approx(first, abs=1e-5)
        assert way[-1] == pytest.approx(last, abs=1e-5)
    straight = np.diff(interpolate(first, last, steps, "uniform"), axis=0)
    assert straight == pytest.approx(np.broadcast_to((last - first) / (steps - 1), straight.shape), abs=1e-5)


@given(seed=st.integers(0, 999), size=st.integers(2, 64))
def test_between_latents_of_one_length_the_way_is_an_arc(seed: int, size: int) -> None:
    first, last = (row / np.linalg.norm(row) * 5 for row in latents(seed, 2, size))
    way = interpolate(first, last, 9, "normal").astype(np.float64)
    assert np.linalg.norm(way, axis=1) == pytest.approx(5, rel=1e-3)
    angles = [np.arccos(np.clip(a @ b / 25, -1, 1)) for a, b in itertools.pairwise(way)]
    assert angles == pytest.approx([np.mean(angles)] * 8, abs=2e-3)


def test_parallel_latents_have_a_way_too() -> None:
    first = latents(0, 1, 16)[0]
    assert np.isfinite(interpolate(first, first, 5, "normal")).all()
    assert np.isfinite(interpolate(first, -first, 5, "normal")).all()
    assert interpolate(first, 2 * first, 3, "normal")[1] == pytest.approx(1.5 * first, rel=1e-5)


@given(seed=st.integers(0, 999))
def test_sums_are_latents_again(seed: int) -> None:
    one, two, three = latents(seed, 30, 128).reshape(3, 10, 128)
    total = combine(one, two, three, "normal")
    wanted = np.mean([np.linalg.norm(part, axis=-1) for part in (one, two, three)], axis=0)
    assert np.linalg.norm(total, axis=-1) == pytest.approx(wanted, rel=1e-4)
    direction = (one - two + three).astype(np.float64)
    cosine = (total * direction).sum(axis=-1) / np.linalg.norm(total, axis=-1) / np.linalg.norm(direction, axis=-1)
    assert cosine == pytest.approx(1, abs=1e-5)
    assert combine(one, one, three, "normal") / three == pytest.approx(
        np.broadcast_to((combine(one, one, three, "normal") / three)[:, :1], three.shape), rel=1e-2
    )
    flat = combine(np.tanh(one), np.tanh(two), np.tanh(three), "uniform")
    assert np.abs(flat).max() <= 1
    inside = np.abs(np.tanh(one) - np.tanh(two) + np.tanh(three)) < 1
    assert flat[inside] == pytest.approx((np.tanh(one) - np.tanh(two) + np.tanh(three))[inside])


def test_a_grid_keeps_every_picture() -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (6, 5, 4, 3), np.uint8)
    whole = grid([pictures[:4], pictures[4:]])
    assert whole.shape == (2 * 5 + 2, 4 * 4 + 3 * 2, 3)
    assert (whole[:5, :4] == pictures[0]).all()
    assert (whole[7:, 6:10] == pictures[5]).all()
    assert (whole[7:, 12:] == 255).all()
    assert (whole[5:7] == 255).all()
