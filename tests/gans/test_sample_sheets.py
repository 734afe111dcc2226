import io

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import cdist

from artray.gans.sample_sheets import (
    Diversity,
    nearest_distance,
    sample_file,
    sheet,
    to_pictures,
    warning,
    write_animation,
    write_sheet,
)
from artray.storage import Location

rng = np.random.default_rng(0)


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (4, 2, 2), (5, 2, 3), (64, 8, 8), (7, 3, 3)])
def test_a_sheet_holds_all_pictures_in_reading_order(count, rows, columns):
    pictures = rng.integers(0, 255, (count, 4, 4, 3), np.uint8)
    found = sheet(pictures)
    assert found.shape == (rows * 4, columns * 4, 3)
    for number, picture in enumerate(pictures):
        top, left = number // columns * 4, number % columns * 4
        assert np.array_equal(found[top : top + 4, left : left + 4], picture)


def test_values_are_rounded_and_clipped():
    assert to_pictures(np.array([-3.0, 0.4, 0.6, 254.6, 300])).tolist() == [0, 0, 1, 255, 255]


def test_nearest_distance():
    points = rng.normal(size=(30, 5))
    distances = cdist(points, points)
    assert nearest_distance(points) == pytest.approx(np.sort(distances, axis=1)[:, 1].mean())
    assert nearest_distance(points[[0, 1, 0, 1]]) == pytest.approx(0, abs=1e-6)


def test_an_animation_has_the_chosen_epochs_and_goes_round(tmp_path):
    epochs = [0, 2, 4]
    for epoch in epochs:
        write_sheet(Location.parse(tmp_path), epoch, np.full((4, 16, 16, 3), epoch * 50, np.uint8), model="dcgan")
    assert Image.open(sample_file(Location.parse(tmp_path), 4)).size == (32, 32)
    write_animation(Location.parse(tmp_path), epochs, model="dcgan")
    with Image.open(io.BytesIO((tmp_path / "samples.webp").read_bytes())) as found:
        assert (found.n_frames, found.info["loop"]) == (3, 0)
        for frame, epoch in enumerate(epochs):
            found.seek(frame)
            assert np.abs(np.asarray(found.convert("RGB")).astype(int) - epoch * 50).max() < 8


@pytest.mark.slow
def test_few_pictures_over_and_over_are_a_collapse_and_the_collections_pictures_are_none():
    shapes = rng.integers(0, 256, (24, 4, 4, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    diversity = Diversity(shapes[:12])
    same = np.clip(shapes[:1].repeat(12, axis=0) + rng.normal(0, 2, (12, 32, 32, 3)), 0, 255).astype(np.uint8)
    assert warning(diversity(shapes[12:])) is None
    collapsed = warning(diversity(same))
    assert collapsed is not None
    assert "look alike" in collapsed
    assert diversity(shapes[12:15].repeat(4, axis=0)) < 0.05
