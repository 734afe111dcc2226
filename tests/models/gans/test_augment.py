"""Differentiable augmentation against the same changes made picture by picture."""

import numpy as np
import pytest

from artray.models.gans.augment import CHANGES, NUMBERS, blurred, diff_augment, next_strength

rng = np.random.default_rng(0)


def slow(picture: np.ndarray, numbers: np.ndarray, changes: list[str]) -> np.ndarray:
    picture = picture.astype(np.float64)
    size = len(picture)
    if "color" in changes:
        picture = picture + (numbers[0] - 0.5) * 127.5
        grey = picture.mean(axis=2, keepdims=True)
        picture = grey + (picture - grey) * 2 * numbers[1]
        picture = picture.mean() + (picture - picture.mean()) * (0.5 + numbers[2])
    if "translation" in changes:
        most = round(size / 8)
        down, across = (int(number * (2 * most + 1)) - most for number in numbers[3:5])
        moved = np.full_like(picture, 127.5)
        for y in range(size):
            for x in range(size):
                if 0 <= y - down < size and 0 <= x - across < size:
                    moved[y, x] = picture[y - down, x - across]
        picture = moved
    if "cutout" in changes:
        side = size // 2
        top, left = (int(number * (size + 1 - side % 2)) - side // 2 for number in numbers[5:7])
        picture = picture.copy()
        picture[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = 127.5
    return picture


@pytest.mark.parametrize(
    "changes", [["color"], ["translation"], ["cutout"], ["color", "translation", "cutout"], []], ids=str
)
def test_changes(changes):
    pictures = rng.uniform(0, 255, (20, 16, 16, 3)).astype(np.float32)
    numbers = rng.uniform(0, 1, (20, NUMBERS)).astype(np.float32)
    found = np.asarray(diff_augment(pictures, numbers, changes))
    for picture, row, one in zip(pictures, numbers, found, strict=True):
        assert np.allclose(one, slow(picture, row, changes), atol=0.01)
    assert changes == [] or np.abs(found - pictures).mean() > 5


def test_a_cutout_may_lie_over_every_edge_and_hides_a_quarter_at_most():
    numbers = np.stack(np.meshgrid(np.linspace(0, 0.999, 40), np.linspace(0, 0.999, 40)), -1).reshape(-1, 2)
    numbers = np.concatenate([np.zeros((len(numbers), 5)), numbers], 1).astype(np.float32)
    hidden = np.asarray(diff_augment(np.zeros((len(numbers), 8, 8, 3), np.float32), numbers, ["cutout"]))[..., 0] > 0
    assert hidden.any(axis=0).all()
    assert hidden.sum(axis=(1, 2)).max() == 16
    assert hidden.sum(axis=(1, 2)).min() >= 4


def test_what_is_not_chosen_stays_as_it_is():
    """Each of the changes for itself, and none of them."""
    pictures = rng.uniform(0, 255, (8, 16, 16, 3)).astype(np.float32)
    numbers = rng.uniform(0, 1, (8, NUMBERS)).astype(np.float32)
    chosen = np.array([[place >> bit & 1 for bit in range(3)] for place in range(8)], np.float32)
    found = np.asarray(diff_augment(pictures, numbers, CHANGES, chosen))
    for picture, row, which, one in zip(pictures, numbers, chosen, found, strict=True):
        wanted = [change for change, choice in zip(CHANGES, which, strict=True) if choice]
        assert np.allclose(one, slow(picture, row, wanted), atol=0.01)


def test_what_is_changed_by_chance_does_not_leak():
    """Averages of changed pictures tell which pictures were changed: the likelier ones stand out, up to p = 0.8.

    A translated bright spot: of all places it is most often where it was, so a generator that moves it is found out.
    """
    spot = np.zeros((4000, 16, 16, 3), np.float32)
    spot[:, 8, 8] = 255
    numbers = rng.uniform(0, 1, (4000, NUMBERS)).astype(np.float32)
    chosen = (rng.uniform(0, 1, (4000, 3)) < 0.8).astype(np.float32)
    mean = np.asarray(diff_augment(spot, numbers, ["translation"], chosen)).mean(axis=0)[..., 0]
    inside = mean[6:11, 6:11].copy()
    assert np.unravel_index(inside.argmax(), inside.shape) == (2, 2)
    assert inside[2, 2] == pytest.approx(255 * (0.2 + 0.8 / 25), rel=0.15)
    inside[2, 2] = 0
    assert inside.max() < 255 * 0.8 / 25 * 1.6


def test_the_strength_follows_the_sign():
    up, down = next_strength(0.3, 0.9, 0.6, 0.01, 0.8), next_strength(0.3, 0.1, 0.6, 0.01, 0.8)
    assert [float(up), float(down)] == pytest.approx([0.31, 0.29])
    assert float(next_strength(0.8, 1.0, 0.6, 0.01, 0.8)) == pytest.approx(0.8)
    assert float(next_strength(0.0, -1.0, 0.6, 0.01, 0.8)) == 0


@pytest.mark.parametrize("sigma", [0.0, 0.7, 2.0])
def test_blur(sigma):
    pictures = rng.uniform(0, 255, (2, 9, 9, 3)).astype(np.float32)
    expected = np.zeros((2, 9, 9, 3))
    for y in range(9):
        for x in range(9):
            total = 0.0
            for v in range(9):
                for u in range(9):
                    if max(abs(y - v), abs(x - u)) <= 3 * sigma:
                        weight = 2 ** -(((y - v) ** 2 + (x - u) ** 2) / max(sigma, 1e-3) ** 2)
                        expected[:, y, x] += weight * pictures[:, v, u]
                        total += weight
            expected[:, y, x] /= total
    assert np.allclose(blurred(pictures, np.float32(sigma)), expected, atol=0.02)
