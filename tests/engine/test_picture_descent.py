"""Pictures that are optimised."""

import numpy as np
import pytest
from keras import ops

from artray.engine.picture_descent import PictureDescent
from artray.style_transfer.optimizing import Looks, StyleTransfer, unflattened
from tests.style_transfer.making import spots, stripes, write_network


def squares(pictures, constants):
    """How far each picture is from its grey, and from being even."""
    (greys,) = constants
    away = ops.mean(ops.square(pictures - greys[:, None, None, None]), axis=(1, 2, 3))
    return ops.stack([away, 0 * away], axis=-1)


PICTURES = np.stack([stripes(32, 48), spots(32, 48)]).astype(np.float32)
GREYS = np.array([100, 30], np.float32)


def test_pictures_go_where_their_losses_are_small():
    found, history = PictureDescent(squares)(PICTURES, [GREYS], steps=40, rate=20.0)
    assert history.shape == (41, 2, 2)
    assert found.shape == PICTURES.shape
    assert 0 <= found.min() <= found.max() <= 255
    assert (history[-1, :, 0] < 0.5 * history[0, :, 0]).all()
    ends = ((found - GREYS[:, None, None, None]) ** 2).mean(axis=(1, 2, 3))
    assert history[-1, :, 0] == pytest.approx(ends, rel=1e-3)


def test_a_picture_does_not_depend_on_its_neighbours():
    descent = PictureDescent(squares)
    together, _ = descent(PICTURES, [GREYS], steps=8, rate=10.0)
    alone, _ = descent(PICTURES[1:], [GREYS[1:]], steps=8, rate=10.0)
    assert np.abs(together[1:] - alone).max() < 0.01


def test_no_steps_change_nothing():
    found, history = PictureDescent(squares)(PICTURES, [GREYS], steps=0, rate=0.0)
    assert (found == PICTURES).all()
    assert len(history) == 1


def test_changes_are_smooth():
    """Losses that ask for a pattern of single pixels get little of it."""
    board = (np.indices((32, 32)).sum(axis=0) % 2 * 2 - 1)[None, :, :, None].astype(np.float32)

    def pattern(pictures, constants):
        return -ops.mean(pictures * constants[0], axis=(1, 2, 3))[:, None]

    grey = np.full((1, 32, 32, 3), 128, np.float32)
    found, _ = PictureDescent(pattern)(grey, [board], steps=20, rate=5.0)
    rough, _ = PictureDescent(pattern, smooth=False)(grey, [board], steps=20, rate=5.0)
    inside = (slice(None), slice(4, -4), slice(4, -4))
    assert np.abs(found - grey)[inside].max() < 0.05 * np.abs(rough - grey)[inside].max()


@pytest.mark.slow
def test_style_comes_nearer_at_64_pixels(tmp_path):
    transfer = StyleTransfer(Looks(backbone=write_network(tmp_path / "tiny.keras")), 64, scales=2, steps=30)
    style = np.stack([spots(64, 64, 5)])
    cuts = np.split(transfer.grams(style).mean(axis=0), transfer.scales)
    targets = [unflattened(row, transfer.channels) for row in cuts]
    pictures = np.stack([stripes(64, 64, 1), stripes(64, 64, 2)])
    weak, before, little = transfer(pictures, [0.02, 0.02], targets)
    strong, again, after = transfer(pictures, [2.0, 2.0], targets)
    assert before == pytest.approx(again, rel=1e-3, abs=1e-5)
    assert (after[:, 0] < 0.6 * before[:, 0]).all()
    assert (after[:, 0] < little[:, 0]).all()  # the stronger, the nearer …
    assert (after[:, 1] > little[:, 1]).all()  # … and the less is left of the content
    moved = [np.abs(one.astype(float) - pictures).mean() for one in (weak, strong)]
    assert 0 < moved[0] < moved[1]
    assert strong.dtype == np.uint8
