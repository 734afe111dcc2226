"""Differentiable augmentation against the same changes made picture by picture."""

import numpy as np
import pytest

from artray.models.gans.augment import NUMBERS, diff_augment

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
