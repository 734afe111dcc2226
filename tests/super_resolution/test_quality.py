"""PSNR and SSIM beside scikit-image's; small pictures beside other implementations of the same filter."""

import numpy as np
import pytest
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from artray.super_resolution.evaluation import evaluation_of, measure
from artray.super_resolution.pairs import all_reduced, crops, reduced, resized
from artray.super_resolution.quality import compared, luminance, psnr, ssim

rng = np.random.default_rng(0)
ORIGINAL = rng.integers(0, 256, (40, 31, 3), np.uint8)
CHANGED = np.clip(ORIGINAL + rng.normal(0, 9, ORIGINAL.shape), 0, 255).astype(np.uint8)


def test_figures_are_those_of_scikit_image() -> None:
    first, second = luminance(ORIGINAL), luminance(CHANGED)
    assert first == pytest.approx(rgb2ycbcr(ORIGINAL)[..., 0])
    assert psnr(second, first) == pytest.approx(peak_signal_noise_ratio(first, second, data_range=255))
    known = structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim(second, first) == pytest.approx(known, abs=1e-6)
    inner = np.s_[4:-4, 4:-4]
    assert compared(CHANGED, ORIGINAL, 4) == (psnr(first[inner], second[inner]), ssim(first[inner], second[inner]))


def test_the_same_picture() -> None:
    assert compared(ORIGINAL, ORIGINAL, 0) == (100.0, pytest.approx(1))
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(np.zeros((10, 40)), np.zeros((10, 40)))


def bicubic(length: int, scale: int) -> np.ndarray:
    """Keys' kernel, a = -1/2, widened by the scale: how each of the small line's values is made, (n, length)."""
    small = length // scale
    middles = (np.arange(small) + 0.5) * scale
    far = np.abs(np.arange(length) + 0.5 - middles[:, None]) / scale
    near = np.where(far < 1, 1.5 * far**3 - 2.5 * far**2 + 1, -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2)
    weights = np.where(far < 2, near, 0)
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("scale", [2, 4])
def test_small_pictures_are_made_by_bicubic_interpolation_with_a_widened_filter(scale: int) -> None:
    picture = rng.integers(60, 196, (24, 32, 3), np.uint8)
    expected = np.einsum("ab,bcd,ec->aed", bicubic(24, scale), picture, bicubic(32, scale))
    assert np.abs(reduced(picture, scale) - expected).max() <= 1.01
    assert (all_reduced(picture[None], scale)[0] == reduced(picture, scale)).all()


def test_squares_are_anywhere_and_follow_from_seed_epoch_and_example_alone() -> None:
    pictures = np.stack([np.indices((20, 20)).transpose(1, 2, 0)] * 400).astype(np.uint8)
    pictures = np.concatenate([pictures, np.zeros_like(pictures[..., :1])], axis=-1)
    examples = np.arange(400)
    found = crops(pictures, examples, 8, seed=3, epoch=5)
    assert found.shape == (400, 8, 8, 3)
    assert (crops(pictures[:9], examples[[7, 2, 8, 1, 0, 3, 4, 5, 6]], 8, 3, 5)[1] == found[2]).all()
    assert not (crops(pictures, examples, 8, 3, 6) == found).all(axis=(1, 2, 3)).any()
    corners = found.min(axis=(1, 2))[:, :2]
    assert (corners.min(), corners.max()) == (0, 12)
    assert (np.ptp(found[..., :2], axis=(1, 2)) == 7).all()
    places = found[..., :2].astype(int)
    down, right = np.sign(places[:, 1, 0] - places[:, 0, 0]), np.sign(places[:, 0, 1] - places[:, 0, 0])
    assert len(np.unique(np.concatenate([down, right], axis=1), axis=0)) == 8  # four turns, mirrored or not


def test_interpolation_is_measured_beside() -> None:
    pictures = rng.integers(0, 256, (5, 24, 24, 3), np.uint8)

    def enlarge(small: np.ndarray) -> np.ndarray:
        return np.stack([resized(picture, 24, 24) for picture in small])

    figures = measure(enlarge, lambda rows: pictures[rows], np.arange(5), 2)
    assert figures.shape == (5, 4)
    assert (figures[:, :2] == figures[:, 2:]).all()
    told = evaluation_of(figures)
    assert told["n"] == 5
    assert told["upscaler"] == told["bicubic"]
    assert (told["better"], told["psnr_gain_error"]) == (0, 0)
    assert measure(enlarge, lambda rows: pictures[rows], np.arange(2), 2, interpolation=False).shape == (2, 2)
    nothing = evaluation_of(measure(enlarge, lambda rows: pictures[rows], np.arange(0), 2))
    assert nothing["n"] == 0
    assert nothing["upscaler"]["psnr"] is None
