import numpy as np
import pytest
from PIL import Image
from skimage.feature import local_binary_pattern
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from artray.sample.collection import FOLDER
from tools.draw_sample import FAMILIES, draw, write_pictures

pytestmark = pytest.mark.slow  # each picture is drawn anew

# The demo's published figures are about these very pictures, so they must not change unnoticed: mean RGB at 120 x 90.
MEAN_COLORS = {
    "flow_field": (109, 74, 115),
    "julia_set": (149, 157, 167),
    "l_system": (222, 156, 174),
    "truchet": (141, 118, 96),
    "cellular_automaton": (94, 108, 212),
    "circle_packing": (107, 135, 120),
    "voronoi": (105, 85, 108),
    "subdivision": (84, 180, 113),
    "domain_warp": (153, 176, 178),
    "harmonograph": (62, 64, 82),
    "phyllotaxis": (104, 100, 104),
    "ridges": (162, 157, 140),
}


def test_drawn_again_the_committed_pictures_come_out(tmp_path):
    """With the NumPy and Pillow they were drawn with, byte for byte; with others, a few pixels may differ."""
    write_pictures(tmp_path)
    drawn = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    committed = {
        path.relative_to(FOLDER) for part in ("algorithmic24", "broken") for path in (FOLDER / part).rglob("*.*")
    }
    assert set(drawn) == {path for path in committed if path.suffix != ".md"}
    assert len(drawn) == 24 + 2 + 2
    for path in drawn:
        if path.suffix == ".csv" or path.name == "broken-02.jpg":
            assert (tmp_path / path).read_bytes() == (FOLDER / path).read_bytes()
        elif path.name != "broken-01.jpg":
            ours, theirs = (np.asarray(Image.open(folder / path)).astype(int) for folder in (tmp_path, FOLDER))
            assert ours.shape == theirs.shape
            assert (np.abs(ours - theirs).max(axis=-1) > 8).mean() < 0.01, path


def pixels(family, seed, size=None):
    return np.asarray(draw(family, seed, size))


def test_there_are_many_families():
    assert len(FAMILIES) >= 8


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_picture_whatever_was_drawn_in_between(family):
    first = pixels(family, 7, (160, 120))
    draw("ridges", 1, (40, 40))
    assert np.array_equal(first, pixels(family, 7, (160, 120)))
    assert not np.array_equal(first, pixels(family, 8, (160, 120)))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_picture_is_the_known_one(family):
    mean = pixels(family, 0, (120, 90)).mean(axis=(0, 1))
    assert mean == pytest.approx(MEAN_COLORS[family], abs=2)


@pytest.mark.parametrize("family", FAMILIES)
def test_own_sizes_are_like_the_paintings_and_vary(family):
    sizes = [draw(family, seed).size for seed in range(3)]
    assert all(300 <= width <= 730 and 360 <= height <= 500 for width, height in sizes)
    assert len(set(sizes)) == 3


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("size", [(90, 240), (301, 64), (33, 33)])
def test_any_size_asked_for(family, size):
    picture = draw(family, 3, size)
    assert picture.size == size
    assert picture.mode == "RGB"


def test_families_differ_in_texture_not_only_in_name():
    """Grey texture alone (local binary patterns at three scales) finds the family of most pictures."""

    def texture(family, seed):
        grey = np.asarray(draw(family, seed, (200, 150)).convert("L"))
        patterns = [local_binary_pattern(grey, 8, radius, "uniform") for radius in (1, 3, 7)]
        return np.concatenate([np.histogram(p, bins=10, range=(0, 10), density=True)[0] for p in patterns])

    labels = np.repeat(list(FAMILIES), 4)
    features = [texture(family, seed) for seed, family in enumerate(labels)]
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(1))
    accuracy = cross_val_score(model, features, labels, cv=4).mean()
    assert accuracy > 0.5  # one in twelve by chance


def test_unknown_family():
    with pytest.raises(KeyError, match="watercolour"):
        draw("watercolour", 0)
