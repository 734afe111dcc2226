"""A picture enlarged tile by tile is what it is at once, and a tile sees no more than it needs."""

import keras
import numpy as np
import pytest
from PIL import Image

from artray.models.super_resolution import edsr, margin
from artray.super_resolution.tiles import enlarged, spans, strips

rng = np.random.default_rng(0)


@pytest.mark.parametrize("length", [1, 7, 64, 65, 1000])
def test_tiles_cover_an_axis_once(length: int) -> None:
    found = spans(length, 64, 9)
    assert [place for span in found for place in range(span.begin, span.end)] == list(range(length))
    assert all(span.end - span.begin <= 64 for span in found)
    assert all(0 <= span.first <= span.begin and span.end <= span.last <= length for span in found)


def network(scale: int, blocks: int, *, interpolated: bool = False) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = edsr(scale, blocks=blocks, width=6, residual_scale=1.0, interpolated=interpolated)
    # Weights that let far pixels count, and a tail that says something.
    model.set_weights([rng.normal(0, 0.2, weight.shape) for weight in model.weights])
    return model


@pytest.mark.parametrize(("scale", "blocks"), [(2, 1), (3, 1), (4, 1)])
def test_no_seams(scale: int, blocks: int) -> None:
    model = network(scale, blocks, interpolated=scale == 2)
    picture = rng.integers(0, 256, (34, 20, 3), np.uint8)
    whole = np.asarray(model(picture[None]))[0]
    parts = list(strips(picture, lambda tile: np.asarray(model(tile)), scale, margin(scale, blocks), tile=20))
    assert len(parts) == 2
    found = np.concatenate(parts)
    assert found.shape == (34 * scale, 20 * scale, 3)
    assert np.abs(found - whole).max() <= 1e-5 * max(255, np.abs(whole).max())
    less = np.concatenate(
        list(strips(picture, lambda tile: np.asarray(model(tile)), scale, margin(scale, blocks) - 1, tile=20))
    )
    assert np.abs(less - whole).max() > 1e-5 * 255  # so the margin is no larger than it must be


def test_a_large_picture_is_never_at_once_in_the_network() -> None:
    sizes = []

    def copied(tile: np.ndarray) -> np.ndarray:
        sizes.append(tile.shape)
        return tile.repeat(2, axis=1).repeat(2, axis=2).astype(np.float32) + 0.4

    picture = rng.integers(0, 256, (700, 500, 3), np.uint8)
    found = enlarged(picture, copied, 2, 5, tile=128)
    assert (np.asarray(found) == picture.repeat(2, axis=0).repeat(2, axis=1)).all()
    assert isinstance(found, Image.Image)
    assert len(sizes) == 6 * 4
    assert max(max(size) for size in sizes) <= 128 + 10
