"""Features of a few pictures are those of `extract-features`."""

from pathlib import Path

import numpy as np
import pytest

import artray
from artray.features.brightness import Brightness
from artray.features.embedding import Embedding
from artray.features.palette import Palette
from artray.images.decoding import decode
from tests.labeling.bundles import write_pictures


@pytest.fixture
def collection(tmp_path):
    return write_pictures(tmp_path / "scans", 2, broken=1)


def test_columns_of_pictures(collection):
    table = artray.extract(list(collection.values()), ["brightness", "palette"], size=32, colors=3).to_arrow()
    assert table["status"].to_pylist() == ["ok", "ok", "truncated"]
    images = np.stack([decode(Path(collection[name]).read_bytes(), 32).image for name in ("W0", "W1")])
    brightness = Brightness(size=32)(images)["brightness"].to_pylist()
    assert table["brightness"].to_pylist() == [*brightness, None]
    palettes = Palette(n=3, size=32)(images)["palette_hsv"].to_pylist()
    assert table["palette_hsv"].to_pylist() == [*palettes, None]
    assert table["width"].to_pylist() == [60, 60, 60]


@pytest.mark.parametrize(
    ("features", "settings", "told"),
    [
        (["brightnes"], {}, "there is no feature 'brightnes'.*did you mean brightness"),
        (["brightness"], {"colour": 3}, "extract: colour: unknown key; did you mean colors"),
        (["brightness"], {"out": "work/features"}, "extract: out: unknown key"),
        (["brightness"], {"size": 2}, "extract: size: Input should be greater than or equal to 16"),
        (["objects"], {}, "needs --detector"),
    ],
)
def test_wrong_features_are_said(features, settings, told):
    with pytest.raises(artray.InputError, match=told):
        artray.extract([], features, **settings)


@pytest.mark.slow  # the whole network, twice
def test_an_embedding_is_the_features(collection):
    paths = [collection["W0"], collection["W1"]]
    found = artray.embed(paths, size=32, weights=None)
    assert (found.shape, found.dtype) == ((2, 1280), np.float32)
    again = artray.embed(paths[0], size=32, weights=None)
    np.testing.assert_allclose(again, found[:1], atol=1e-5)


@pytest.mark.slow  # the whole network, twice
def test_the_embedding_of_the_station(collection):
    images = np.stack([decode(Path(collection[name]).read_bytes(), 224).image for name in ("W0", "W1")])
    expected = Embedding()(images)["embedding"].to_pylist()
    np.testing.assert_allclose(artray.embed([collection["W0"], collection["W1"]]), expected, atol=1e-4)


@pytest.mark.slow
def test_pictures_that_can_not_be_read(collection):
    given = [collection["W2"], collection["W0"]]
    with pytest.raises(artray.InputError, match=r"1 of 2 pictures can't be read: .*w00002.png \(truncated\); leave"):
        artray.embed(given, size=32, weights=None)
    found = artray.embed(given, size=32, weights=None, errors="nan")
    assert np.isnan(found[0]).all()
    assert artray.embed(given[:1], size=32, weights=None, errors="nan").shape == (1, 1280)
    assert artray.embed([], size=32, weights=None).shape == (0, 1280)
    assert np.isfinite(found[1]).all()
