import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from artray.features.palette import Palette, palette


def differences(colors, others):
    """CIEDE2000 from each color to the nearest of the others."""
    lab, other_lab = (rgb2lab(np.asarray(rgb).reshape(-1, 3) / 255) for rgb in (colors, others))
    return deltaE_ciede2000(lab[:, None], other_lab[None]).min(axis=1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*getdata:DeprecationWarning")
def test_covers_pictures_better_than_colorthief(painting_files):
    colorthief = pytest.importorskip("colorthief")
    ours, theirs = [], []
    for file in painting_files[::3]:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
        pixels = np.asarray(picture)[::5, ::5]
        ours.append(differences(pixels, palette(np.asarray(picture.resize((224, 224))))[0]).mean())
        # Asked for n it returns n - 1 or n, as it goes.
        theirs.append(differences(pixels, colorthief.ColorThief(file).get_palette(21)[:20]).mean())
    assert np.mean(ours) <= np.mean(theirs)
    assert (np.array(ours) <= theirs).mean() > 0.9


def test_is_stable_under_resizing(painting_files):
    for file in painting_files[:8]:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
        colors, share = palette(np.asarray(picture.resize((224, 224))))
        for size in (112, 448):
            resized, _ = palette(np.asarray(picture.resize((size, size))))
            assert differences(colors, resized) @ share < 4


@given(hnp.arrays(np.uint8, (12, 12, 3)), st.integers(1, 30))
def test_is_a_palette(image, n):
    colors, share = palette(image, n)
    assert len(colors) == len(share) <= n
    assert share.sum() == pytest.approx(1)
    assert (np.diff(share) <= 0).all()
    assert (share > 0).all()
    pixels = image.reshape(-1, 3)
    assert (colors >= pixels.min(axis=0)).all()
    assert (colors <= pixels.max(axis=0)).all()


@given(st.lists(st.tuples(*[st.sampled_from([0, 60, 130, 255])] * 3), min_size=1, max_size=20, unique=True))
def test_finds_few_colors_exactly(wanted):
    counts = np.arange(1, len(wanted) + 1) ** 2
    image = np.repeat(np.array(wanted, np.uint8), counts, axis=0)[None]
    colors, share = palette(image, 20)
    np.testing.assert_array_equal(colors, wanted[::-1])
    np.testing.assert_allclose(share, counts[::-1] / counts.sum())


def test_finds_all_colors_of_a_noisy_picture():
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    assert len(palette(noise, 20)[0]) == 20


def test_ignores_where_colors_are(paintings):
    turned = palette(np.rot90(paintings[0]))
    for one, other in zip(palette(paintings[0]), turned, strict=True):
        np.testing.assert_array_equal(one, other)


def test_does_not_depend_on_the_batch(paintings):
    together = pa.table(Palette()(paintings))
    alone = pa.concat_tables([pa.table(Palette()(paintings[index : index + 1])) for index in range(len(paintings))])
    assert together.equals(alone.combine_chunks())


@pytest.mark.parametrize("n", [0, 2])
def test_columns_are_as_declared(n, paintings):
    assert pa.table(Palette()(paintings[:n])).schema == pa.schema(Palette.fields)


def test_every_picture_has_as_many_colors():
    """So that the column can be a classifier's input; what is added has no share."""
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[0, :8] = (200, 40, 60)
    images[1] = np.random.default_rng(0).integers(0, 256, (32, 32, 3))
    rows = pa.table(Palette(n=7)(images)).to_pylist()
    assert rows[0]["palette_rgb"] == [[0, 0, 0], [200, 40, 60], *[[0, 0, 0]] * 5]
    assert rows[0]["palette_share"] == [0.75, 0.25, 0, 0, 0, 0, 0]
    assert {len(row[name]) for row in rows for name in row} == {7}


def test_refuses_no_colors():
    with pytest.raises(ValueError, match="at least one colour"):
        Palette(n=0)
