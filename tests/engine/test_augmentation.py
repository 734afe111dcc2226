import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from skimage.color import rgb2gray
from skimage.transform import rotate

from artray.engine.augmentation import Augmentation, Distortion, minority
from artray.engine.views import augment

shares = st.floats(0, 1)
distortions = st.builds(
    Distortion,
    brightness=shares,
    contrast=shares,
    saturation=shares,
    hue=st.floats(0, 180),
    share=shares,
    minority=st.booleans(),
)
augmentations = st.builds(
    Augmentation,
    flip=st.booleans(),
    flip_vertical=st.booleans(),
    turn=st.booleans(),
    rotate=st.floats(0, 180),
    crop=st.floats(0, 0.9),
    distort=st.none() | distortions,
)


def pictures(n, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), np.uint8)


def smooth(size=64):
    """A picture without fine detail, which resampling hardly changes."""
    noise = Image.fromarray(pictures(1, 5)[0])
    return np.asarray(noise.resize((size, size), Image.Resampling.BICUBIC))


@given(augmentations, st.integers(8, 40), st.integers(0, 2**31), st.integers(0, 1000))
@settings(max_examples=150, deadline=None)
def test_a_picture_depends_on_seed_epoch_and_example_only(how, size, seed, epoch):
    images = pictures(6, size)
    before = images.copy()
    examples = np.array([3, 1000, 7, 0, 2**40, 5])
    small = np.array([True, False, True, False, False, True])
    changed = augment(images, examples, how, seed, epoch, minority=small)
    assert changed.shape == images.shape
    assert changed.dtype == np.uint8
    assert np.array_equal(images, before)
    order = [4, 2, 5, 0, 1, 3]
    assert np.array_equal(
        augment(images[order], examples[order], how, seed, epoch, minority=small[order]), changed[order]
    )
    one = augment(images[1:2], examples[1:2], how, seed, epoch, minority=small[1:2])
    assert np.array_equal(one[0], changed[1])


@given(st.booleans(), st.booleans(), st.booleans(), st.integers(0, 100))
@settings(deadline=None)
def test_flips_and_turns_move_pixels_and_touch_none(flip, flip_vertical, turn, seed):
    how = Augmentation(flip=flip, flip_vertical=flip_vertical, turn=turn)
    images = pictures(8, 9)
    changed = augment(images, np.arange(8), how, seed, 0)
    for image, other in zip(images, changed, strict=True):
        views = [image]
        if flip or turn:
            views += [view[:, ::-1] for view in views]
        if flip_vertical:
            views += [view[::-1] for view in views]
        if turn:
            views += [np.rot90(view, turns) for view in views for turns in (1, 2, 3)]
        assert any(np.array_equal(other, view) for view in views)


@pytest.mark.parametrize(("how", "views"), [({"flip": True}, 2), ({"flip_vertical": True}, 2), ({"turn": True}, 8)])
def test_every_view_comes_about_equally_often(how, views):
    image = pictures(1, 8)
    found = [augment(image, np.array([0]), Augmentation(**how), 0, epoch).tobytes() for epoch in range(800)]
    counts = np.unique(found, return_counts=True)[1]
    assert len(counts) == views
    assert counts.min() > 0.6 * 800 / views


def test_nothing_asked_nothing_done():
    images = pictures(2)
    assert augment(images, np.arange(2), Augmentation(), 0, 0) is images
    assert augment(images[:0], np.arange(0), Augmentation(turn=True, rotate=5), 0, 0).shape == (0, 16, 16, 3)
    assert not Augmentation()
    assert Augmentation(rotate=1)


def test_rotation_is_a_rotation():
    """Against scikit-image: some angle up to the limit explains the view, about evenly spread."""
    image = smooth()
    inside = np.hypot(*(np.indices((64, 64)) - 31.5)) < 30
    angles = np.arange(-30, 31, 1)
    candidates = [rotate(image, angle, order=3, mode="symmetric", preserve_range=True) for angle in angles]
    found = []
    for epoch in range(40):
        view = augment(image[None], np.array([0]), Augmentation(rotate=25), 0, epoch)[0]
        errors = [np.abs(view - each)[inside].mean() for each in candidates]
        assert min(errors) < 1.5  # half a degree
        found.append(angles[int(np.argmin(errors))])
    assert min(found) < -18
    assert max(found) > 18
    assert max(map(abs, found)) <= 25


def test_no_blank_corners():
    """White pictures stay white: what comes into view is the picture's own."""
    white = np.full((4, 31, 31, 3), 255, np.uint8)
    how = Augmentation(rotate=180, crop=0.3, flip=True)
    for epoch in range(20):
        assert (augment(white, np.arange(4), how, 0, epoch) == 255).all()


def test_crop_is_an_enlarged_part():
    """Of a ramp from left to right a part of the range is left, at least 0.6 of it, wherever it lies."""
    ramp = np.repeat(np.tile(np.linspace(20, 220, 60).astype(np.uint8), (60, 1))[..., None], 3, axis=2)
    spans, starts = [], []
    for epoch in range(60):
        row = augment(ramp[None], np.array([0]), Augmentation(crop=0.4), 0, epoch)[0][30, :, 0].astype(int)
        assert (np.diff(row) >= 0).all()
        spans.append((row[-1] - row[0]) / 200)
        starts.append(row[0])
    assert 0.58 < min(spans) < 0.7
    assert 0.9 < max(spans) <= 1.01
    assert max(starts) - min(starts) > 40


def test_distortion_of_brightness_is_multiplication():
    image = np.full((1, 8, 8, 3), (100, 60, 30), np.uint8)
    how = Augmentation(distort=Distortion(brightness=0.3))
    values = [augment(image, np.array([0]), how, 0, epoch)[0, 0, 0] / (100, 60, 30) for epoch in range(100)]
    assert np.allclose(np.ptp(values, axis=1), 0, atol=0.04)  # all channels alike, up to rounding
    assert 0.69 < np.min(values) < 0.75
    assert 1.25 < np.max(values) < 1.33


@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_contrast_keeps_the_mean_and_saturation_the_grey(epoch):
    image = (pictures(1, 24) // 4 + 96).astype(np.uint8)  # nothing is clipped
    contrast = augment(image, np.array([0]), Augmentation(distort=Distortion(contrast=0.5)), 0, epoch)
    assert contrast.mean() == pytest.approx(image.mean(), abs=1)
    ratio = contrast.std() / image.std()
    assert 0.49 < ratio < 1.51
    expected = (image - image.mean()) * ratio + image.mean()
    assert np.abs(contrast - expected).max() < 3
    saturation = augment(image, np.array([0]), Augmentation(distort=Distortion(saturation=1, hue=180)), 0, epoch)
    luma = [each[0] @ (0.299, 0.587, 0.114) for each in (image, saturation)]
    clipped = (saturation[0] == 0) | (saturation[0] == 255)
    assert np.abs(luma[0] - luma[1])[~clipped.any(axis=-1)].max() < 2


def test_greys_stay_grey():
    grey = np.repeat(pictures(3)[..., :1], 3, axis=3)
    how = Augmentation(distort=Distortion(saturation=1, hue=180, brightness=0.5, contrast=0.5))
    changed = augment(grey, np.arange(3), how, 0, 0).astype(int)
    assert np.ptp(changed, axis=3).max() <= 1


def test_a_hue_turned_by_a_third_is_another_primary():
    red = np.full((1, 4, 4, 3), (140, 70, 70), np.uint8)
    seen = {
        int(augment(red, np.array([0]), Augmentation(distort=Distortion(hue=180)), 0, epoch)[0, 0, 0].argmax())
        for epoch in range(40)
    }
    assert seen == {0, 1, 2}
    near = [augment(red, np.array([0]), Augmentation(distort=Distortion(hue=20)), 0, epoch) for epoch in range(40)]
    assert {int(view[0, 0, 0].argmax()) for view in near} == {0}


def test_share_of_the_distorted():
    images = np.repeat(pictures(1), 2000, axis=0)
    how = Augmentation(distort=Distortion(brightness=0.5, share=0.75))
    changed = augment(images, np.arange(2000), how, 0, 0)
    assert (changed != images).any(axis=(1, 2, 3)).mean() == pytest.approx(0.75, abs=0.04)


def test_only_the_minority_is_distorted():
    images = pictures(40)
    small = np.arange(40) % 4 == 0
    how = Augmentation(distort=Distortion(brightness=0.5, minority=True))
    changed = augment(images, np.arange(40), how, 0, 0, minority=small)
    assert np.array_equal((changed != images).any(axis=(1, 2, 3)), small)
    everybody = augment(images, np.arange(40), how, 0, 0)
    assert np.array_equal(everybody[small], changed[small])


def test_never_blur():
    """Rotation by cubic interpolation keeps most of a texture's fine contrast; a blur would not."""
    texture = np.asarray(Image.fromarray(pictures(1, 100)[0]).resize((200, 200), Image.Resampling.BICUBIC))
    kept = []
    for epoch in range(10):
        view = augment(texture[None], np.array([0]), Augmentation(flip=True, rotate=25), 0, epoch)[0]
        kept.append(np.abs(np.diff(rgb2gray(view), axis=0)).mean() / np.abs(np.diff(rgb2gray(texture), axis=0)).mean())
    assert np.mean(kept) > 0.85


def test_minority_classes():
    targets = np.eye(3, dtype=np.float32)[[0] * 8 + [1] * 3 + [2] * 1]
    assert minority(targets, np.arange(12)).tolist() == [False] * 8 + [True] * 4
    assert not minority(np.eye(2)[[0, 1, 0, 1]], np.arange(4)).any()  # equal classes: none
    # Sizes are those of the training part.
    assert minority(np.eye(2)[[0, 0, 0, 1, 1]], np.array([0, 3, 4])).tolist() == [True, True, True, False, False]
    several = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]])
    assert minority(several, np.arange(4)).tolist() == [True, False, False, False]
    soft = np.array([[0.7, 0.3], [0.6, 0.4], [0.2, 0.8]])
    assert minority(soft, np.arange(3)).tolist() == [False, False, False]


@pytest.mark.parametrize(
    "values",
    [{"rotate": -1}, {"rotate": 181}, {"crop": 1}, {"blur": 1}, {"distort": {"share": 1.5}}, {"distort": {"blur": 1}}],
)
def test_wrong_values(values):
    with pytest.raises(ValidationError):
        Augmentation.model_validate(values)
