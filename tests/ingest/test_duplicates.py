import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.fft import dct
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from artray.images.perceptual_hash import perceptual_hash
from artray.ingest.duplicates import DISTANCE, join_pairs, near_duplicate_groups

PAINTINGS = sorted((Path(__file__).parents[2] / "artray/sample/paintings22/images").glob("*.jpg"))


@pytest.fixture(scope="module")
def paintings() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in PAINTINGS]


@pytest.fixture(scope="module")
def hashes(paintings: list[Image.Image]) -> np.ndarray:
    return perceptual_hash(pixels(paintings))


def pixels(images: list[Image.Image], size: int = 224) -> np.ndarray:
    return np.stack([np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)) for image in images])


def bits(hashes: np.ndarray) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(hashes).view(np.uint8), axis=1)


def words(rows: np.ndarray) -> np.ndarray:
    return np.packbits(rows, axis=1).view(np.uint64)


def bits_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (bits(a) != bits(b)).sum(axis=1)


def flip(rng: np.random.Generator, hashes: np.ndarray, share: float) -> np.ndarray:
    rows = bits(hashes)
    return words(rows ^ (rng.random(rows.shape) < share))


def random_words(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 2**64, (n, 4), dtype=np.uint64)


def all_pairs_groups(hashes: np.ndarray, distance: int) -> np.ndarray:
    """The slow exact version: every pair, and SciPy's connected components."""
    rows = bits(hashes).astype(np.int16)
    apart = rows[:, None] != rows[None]
    alike = (apart.sum(axis=2) <= distance) & (apart[:, :, :64].sum(axis=2) <= 10)
    flat = ~rows.any(axis=1)
    alike[flat] = alike[:, flat] = False
    _, component = connected_components(coo_array(alike), directed=False)
    return np.array([np.flatnonzero(component == c)[0] for c in component])


COARSE = np.zeros((16, 16), bool)
COARSE[:8, :8] = True


def slow_phash(image: np.ndarray, side: int) -> np.ndarray:
    """The published steps one by one, as imagehash does them but without rounding between the steps."""
    grey = Image.fromarray((image.astype(np.float32) @ [0.299, 0.587, 0.114]).astype(np.float32))
    reduced = np.asarray(grey.resize((64, 64), Image.Resampling.LANCZOS), np.float64)
    low = dct(dct(reduced, axis=0), axis=1)[:side, :side]
    return low > np.median(low)


@pytest.mark.parametrize("size", [64, 224, 300])
def test_bits_are_those_of_the_slow_version(paintings: list[Image.Image], size: int) -> None:
    images = pixels(paintings, size)
    for image, row in zip(images, bits(perceptual_hash(images)), strict=True):
        expected = np.concatenate([slow_phash(image, 8).ravel(), slow_phash(image, 16)[~COARSE]])
        assert (row != expected).sum() <= 1  # ties at the median


def test_bits_are_those_of_imagehash(paintings: list[Image.Image]) -> None:
    imagehash = pytest.importorskip("imagehash")
    images = pixels(paintings)
    for image, row in zip(images, bits(perceptual_hash(images)), strict=True):
        picture = Image.fromarray(image)
        coarse = imagehash.phash(picture, hash_size=8, highfreq_factor=8).hash
        fine = imagehash.phash(picture, hash_size=16).hash
        expected = np.concatenate([coarse.ravel(), fine[~COARSE]])
        assert (row != expected).sum() <= 6  # imagehash rounds to whole grey levels, twice


def test_oblong_pictures_and_batches(paintings: list[Image.Image]) -> None:
    image = np.asarray(paintings[0])
    assert image.shape[0] != image.shape[1]
    assert bits_apart(perceptual_hash(image[None]), perceptual_hash(pixels([paintings[0]]))) <= 8
    assert perceptual_hash(np.zeros((0, 224, 224, 3), np.uint8)).shape == (0, 4)
    images = pixels(paintings[:5])
    np.testing.assert_array_equal(perceptual_hash(images), np.concatenate([perceptual_hash(i[None]) for i in images]))


def recompress(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=30)
    return Image.open(file)


CHANGES = {
    "recompressed": recompress,
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.25),
    "faded": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "yellowed": lambda image: Image.fromarray((np.asarray(image) * [1, 0.9, 0.7]).astype(np.uint8)),
    "turned by 1°": lambda image: image.rotate(1, Image.Resampling.BICUBIC),
    "cropped by 1 %": lambda image: image.crop(
        (image.width // 100, image.height // 100, image.width * 99 // 100, image.height * 99 // 100)
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_another_scan_is_found_and_another_work_is_not(
    paintings: list[Image.Image], hashes: np.ndarray, change: str
) -> None:
    changed = perceptual_hash(pixels([CHANGES[change](image) for image in paintings]))
    groups = near_duplicate_groups(np.concatenate([hashes, changed]))
    n = len(paintings)
    np.testing.assert_array_equal(groups, np.tile(np.arange(n), 2))


def test_flat_pictures_are_alike_to_none() -> None:
    rng = np.random.default_rng(0)
    white = np.full((4, 224, 224, 3), 255, np.uint8)
    noisy = np.clip(rng.normal(240, 4, (4, 224, 224, 3)), 0, 255).astype(np.uint8)
    red = np.full((2, 224, 224, 3), (255, 0, 0), np.uint8)
    hashes = perceptual_hash(np.concatenate([white, noisy, red]))
    assert not hashes.any()
    np.testing.assert_array_equal(near_duplicate_groups(hashes), np.arange(10))


def test_a_faint_drawing_is_not_flat() -> None:
    page = np.full((1, 224, 224, 3), 245, np.uint8)
    page[0, 60:160, 100:104] = 120
    assert perceptual_hash(page).any()


@st.composite
def clustered(draw: st.DrawFn) -> np.ndarray:
    """Fingerprints around a few centres, at distances below, at and above the limits; some equal, some flat."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = random_words(rng, draw(st.integers(1, 6)))
    rows = bits(centres[rng.integers(0, len(centres), draw(st.integers(0, 40)))])
    for row in rows:
        coarse = rng.choice(64, draw(st.integers(0, 12)), replace=False)
        fine = 64 + rng.choice(192, draw(st.integers(0, 60)), replace=False)
        row[coarse] ^= 1
        row[fine] ^= 1
        if draw(st.integers(0, 9)) == 0:
            row[:] = 0
    return words(rows)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(clustered(), st.sampled_from([0, 1, 8, 40, DISTANCE]))
def test_groups_are_those_of_all_pairs(hashes: np.ndarray, distance: int) -> None:
    np.testing.assert_array_equal(near_duplicate_groups(hashes, distance), all_pairs_groups(hashes, distance))


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(clustered(), st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order(hashes: np.ndarray, random) -> None:
    order = np.array(random.sample(range(len(hashes)), len(hashes)), int)
    groups = near_duplicate_groups(hashes)
    shuffled = near_duplicate_groups(hashes[order])
    same = groups[order][:, None] == groups[order][None]
    np.testing.assert_array_equal(shuffled[:, None] == shuffled[None], same)


def test_pairs_at_the_limit_are_found_among_many() -> None:
    """Every pattern of 10 bits of the first word is within one key, though not within one band."""
    rng = np.random.default_rng(1)
    originals = bits(random_words(rng, 2000))
    copies = originals.copy()
    for row in copies:
        row[rng.choice(64, 10, replace=False)] ^= 1
        row[64 + rng.choice(192, DISTANCE - 10, replace=False)] ^= 1
    too_far = originals.copy()
    for row in too_far:
        row[64 + rng.choice(192, DISTANCE + 1, replace=False)] ^= 1
    np.testing.assert_array_equal(
        near_duplicate_groups(words(np.vstack([originals, copies]))), np.tile(np.arange(2000), 2)
    )
    np.testing.assert_array_equal(near_duplicate_groups(words(np.vstack([originals, too_far]))), np.arange(4000))


@pytest.mark.slow
@pytest.mark.parametrize("share", [0, 0.01])
def test_many_equal_or_almost_equal_fingerprints(share: float) -> None:
    rng = np.random.default_rng(2)
    n, crowd = 12_000, 10_000
    hashes = random_words(rng, n)
    hashes[:crowd] = flip(rng, np.repeat(hashes[:1], crowd, axis=0), share)
    order = rng.permutation(n)
    groups = near_duplicate_groups(hashes[order])
    in_crowd = order < crowd
    assert len(set(groups[in_crowd])) == 1
    np.testing.assert_array_equal(groups[~in_crowd], np.flatnonzero(~in_crowd))


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_join_pairs_gives_connected_components(case: tuple[int, list[tuple[int, int]]]) -> None:
    n, pairs = case
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    _, component = connected_components(coo_array((np.ones(len(a)), (a, b)), shape=(n, n)), directed=False)
    before = np.arange(n)
    roots = join_pairs(before, a, b)
    np.testing.assert_array_equal(roots, [np.flatnonzero(component == c)[0] for c in component])
    np.testing.assert_array_equal(before, np.arange(n))
