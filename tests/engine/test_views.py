"""Draws for many pictures at once, and the two ways of pixels: Pillow's and the device's."""

import numpy as np
import pytest

from artray.engine.augmentation import _RGB, _YIQ, Augmentation, Distortion, draw, unpacked
from artray.engine.views import Views

EVERYTHING = Augmentation(
    flip=True,
    flip_vertical=True,
    turn=True,
    rotate=180,
    crop=0.5,
    distort=Distortion(brightness=0.2, contrast=0.3, saturation=0.4, hue=30, share=0.7),
)
MOVES = Augmentation(flip=True, flip_vertical=True, turn=True)


def pictures(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize(
    ("how", "most"),
    [
        (MOVES, 0),
        (Augmentation(rotate=25, crop=0.2), 1),
        (Augmentation(crop=0.4, flip=True), 1),
        (Augmentation(distort=EVERYTHING.distort), 1),
        (EVERYTHING, 2),
    ],
)
@pytest.mark.parametrize("size", [9, 24])
def test_both_ways_agree(how, most, size):
    images, views = pictures(12, size), Views(how)
    numbers = draw(np.arange(12), how, 3, 1)
    by_pillow = views.on_host(images, numbers)
    on_device = np.asarray(views.on_device(images, numbers))
    assert on_device.shape == images.shape
    assert np.array_equal(on_device, np.rint(on_device))
    different = np.abs(on_device.astype(float) - by_pillow)
    assert different.max() <= most
    assert (different > 0).mean() < 0.01
    if how == MOVES:
        assert on_device.dtype == np.uint8


def test_threads_change_nothing():
    images, numbers = pictures(12, 160), draw(np.arange(12), EVERYTHING, 0, 0)
    assert np.array_equal(Views(EVERYTHING, 3).on_host(images, numbers), Views(EVERYTHING).on_host(images, numbers))


def test_draws_are_even_and_do_not_hang_together():
    """Each number against its range: mean, variance and ends; no two of one example, nor of neighbours, alike."""
    how = Augmentation(rotate=30, crop=0.4, distort=Distortion(brightness=0.2), turn=True, flip_vertical=True)
    changes = unpacked(draw(np.arange(20_000), how, 0, 0).astype(np.float64))
    (a, b), _ = changes.matrix.transpose(1, 2, 0)
    part = np.hypot(a, b)
    angle = np.degrees(np.arctan2(b, a))
    right, down = (changes.shift / ((1 - part) / 2)[:, None]).T
    brightness = changes.color.sum(axis=(1, 2)) / 3
    ranges = [(part, 0.6, 1), (angle, -30, 30), (right, -1, 1), (down, -1, 1), (brightness, 0.8, 1.2)]
    for values, low, high in ranges:
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
        assert values.std() == pytest.approx((high - low) / 12**0.5, rel=0.02)
        assert values.min() == pytest.approx(low, abs=0.01 * (high - low))
        assert values.max() == pytest.approx(high, abs=0.01 * (high - low))
    mirrored, upside_down, turns = changes.moves.T
    assert mirrored.mean() == pytest.approx(0.5, abs=0.02)
    assert upside_down.mean() == pytest.approx(0.5, abs=0.02)
    assert np.allclose(np.bincount(turns.astype(int)) / 20_000, 0.25, atol=0.02)
    columns = np.stack([*(values for values, _, _ in ranges), mirrored, upside_down, turns])
    together = np.corrcoef(np.concatenate([columns[:, 1:], columns[:, :-1]]))
    assert np.abs(together - np.eye(16)).max() < 0.04


def drawn_one_by_one(how: Augmentation, chance: np.random.Generator) -> np.ndarray:
    """How one picture was changed when each had a generator of NumPy's own, and not a batch its draws at once."""
    angle = np.radians(chance.uniform(-how.rotate, how.rotate))
    part = 1 - chance.uniform(0, how.crop)
    right, down = chance.uniform(-1, 1, 2) * (1 - part) / 2
    color, lift = np.eye(3), 0.0
    if chance.random() < how.distort.share:
        reaches = (how.distort.brightness, how.distort.contrast, how.distort.saturation)
        brightness, contrast, saturation = (1 + chance.uniform(-reach, reach) for reach in reaches)
        hue = np.radians(chance.uniform(-how.distort.hue, how.distort.hue))
        linear = np.eye(3)
        linear[1:, 1:] = saturation * np.array([[np.cos(hue), -np.sin(hue)], [np.sin(hue), np.cos(hue)]])
        color, lift = brightness * contrast * (_RGB @ linear @ _YIQ), brightness * (1 - contrast)
    turns, mirrored, upside_down = chance.integers(4), chance.integers(2), chance.integers(2)
    cosine, sine = np.cos(angle) * part, np.sin(angle) * part
    return np.array([cosine, sine, -sine, cosine, right, down, *color.ravel(), lift, mirrored, upside_down, turns])


def test_draws_are_distributed_as_those_that_were_drawn_one_by_one():
    """Kolmogorov and Smirnov's test of each number, and which of them hang together."""
    count = 1500
    before = np.stack([drawn_one_by_one(EVERYTHING, np.random.default_rng([0, 0, row])) for row in range(count)])
    now = draw(np.arange(count), EVERYTHING, 0, 0)
    before = before.astype(np.float32)
    for old, new in zip(before.T, now.T, strict=True):
        both = np.sort(np.concatenate([old, new]))
        distance = np.abs(np.searchsorted(np.sort(old), both, "right") - np.searchsorted(np.sort(new), both, "right"))
        assert distance.max() / count < 0.0712, "which chance alone exceeds once in a thousand times"
    assert np.abs(np.corrcoef(before.T) - np.corrcoef(now.T)).max() < 0.12


def test_seed_epoch_and_example_each_give_other_draws():
    drawn = {
        draw(np.array([example]), EVERYTHING, seed, epoch).tobytes()
        for example in (0, 1, 2**40)
        for seed in (0, 1, 2**31)
        for epoch in (0, 1, 999)
    }
    assert len(drawn) == 27
    assert draw(np.arange(3), Augmentation(), 0, 0).shape == (3, 0)


def test_views_have_the_statistics_of_their_changes():
    """Grey levels over many views of one picture: brightness moves their mean, contrast their spread."""
    image = np.repeat(np.tile(np.linspace(90, 160, 16).astype(np.uint8), (16, 1))[None, ..., None], 3, axis=3)
    epochs = np.repeat(image, 400, axis=0)
    bright = Augmentation(distort=Distortion(brightness=0.3))
    means = Views(bright).on_host(epochs, draw(np.arange(400), bright, 0, 0)).mean(axis=(1, 2, 3)) / image.mean()
    assert means.mean() == pytest.approx(1, abs=0.03)
    assert means.std() == pytest.approx(0.3 / 3**0.5, rel=0.1)
    strong = Augmentation(distort=Distortion(contrast=0.5))
    views = Views(strong).on_host(epochs, draw(np.arange(400), strong, 0, 0))
    spreads = views.std(axis=(1, 2, 3)) / image.std()
    assert views.mean() == pytest.approx(image.mean(), abs=1)
    assert spreads.std() == pytest.approx(0.5 / 3**0.5, rel=0.1)
