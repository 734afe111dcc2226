"""EDSR as it was published, layer by layer, and pixel shuffle beside TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from artray.errors import InputError
from artray.models.super_resolution import PixelShuffle, as_generator, edsr, margin, srgan_discriminator

rng = np.random.default_rng(0)


@pytest.mark.parametrize(("scale", "published"), [(2, 1_369_859), (3, 1_554_499), (4, 1_517_571)])
def test_the_baseline_has_as_many_weights_as_the_papers(scale: int, published: int) -> None:
    block = 2 * (3 * 3 * 64 * 64 + 64)
    assert edsr(scale, blocks=1).count_params() + 15 * block == published  # of the authors' code, EDSR_baseline


@pytest.mark.parametrize("scale", [2, 3])
def test_pixel_shuffle_is_depth_to_space(scale: int) -> None:
    maps = rng.normal(size=(2, 5, 4, 3 * scale**2)).astype(np.float32)
    assert (np.asarray(PixelShuffle(scale)(maps)) == tf.nn.depth_to_space(maps, scale).numpy()).all()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pictures_of_any_size(scale: int) -> None:
    model = edsr(scale, blocks=1, width=4)
    for height, width in ((5, 9), (12, 7)):
        assert model(np.zeros((2, height, width, 3))).shape == (2, height * scale, width * scale, 3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_interpolated_it_begins_as_bicubic_interpolation(scale: int) -> None:
    picture = rng.integers(60, 196, (9, 7, 3), np.uint8)
    found = np.asarray(edsr(scale, blocks=1, width=4, interpolated=True)(picture[None]))[0]
    known = np.asarray(Image.fromarray(picture).resize((7 * scale, 9 * scale), Image.Resampling.BICUBIC))
    inner = np.s_[2 * scale : -2 * scale, 2 * scale : -2 * scale]  # Pillow has another idea of what is beyond edges
    assert np.abs(found - known)[inner].max() <= 1.01
    assert np.abs(found - known).max() < 20
    grey = np.full((1, 4, 4, 3), 77, np.uint8)
    assert np.asarray(edsr(scale, blocks=1, width=4, interpolated=True)(grey)) == pytest.approx(77, abs=1e-3)


def test_margin() -> None:
    assert [margin(scale, 16) for scale in (2, 3, 4)] == [36, 36, 36]
    assert margin(2, 8) == 20


def test_impossible_networks() -> None:
    with pytest.raises(InputError, match="scale: 5"):
        edsr(5)
    with pytest.raises(InputError, match="blocks and width"):
        edsr(2, blocks=0)


def test_the_adversarial_pair() -> None:
    model = as_generator(edsr(2, blocks=1, width=4))
    small = rng.integers(0, 256, (2, 8, 8, 3), np.uint8)
    large = model([np.zeros((2, 1), np.float32), small.astype(np.float32)])
    assert large.shape == (2, 16, 16, 3)
    assert srgan_discriminator(16, 4)([np.asarray(large), small.astype(np.float32)]).shape == (2, 1)
