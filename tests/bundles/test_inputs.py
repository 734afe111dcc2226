"""What a bundle's model looks at: the same in training, labelling and on pages, and from bundles of every release."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.optimize import linear_sum_assignment

from artray.bundles.classifier import BUNDLE, Bundle, load_bundle
from artray.bundles.inputs import FeatureInput, PatchInput, PictureInput, Works, by_artwork
from artray.classifiers.calibration import softmax
from artray.errors import InputError
from artray.features.brightness import Brightness
from artray.features.colormaps import ColorMaps
from artray.features.specs import Extractors, spec_key
from artray.images.decoding import DECODE_VERSION
from artray.labeling.models import identity
from artray.patches.squares import draw
from artray.storage import Location, digest

SCHEMA_1 = Path(__file__).parent / "schema_1"
"""`bundle.json` of each kind as written while `input` was a plain mapping."""
IDS = ["W1", "W2", "ü"]
KINDS = {"features": FeatureInput, "patches": PatchInput, "pictures": PictureInput}


def text(kind: str) -> str:
    return (SCHEMA_1 / f"{kind}.json").read_text()


def old(kind: str) -> Bundle:
    return Bundle.model_validate_json(text(kind))


def works(given, **options) -> Works:
    """Works of many colours, decoded as a model wants them."""
    chance = np.random.default_rng(0)
    small = [chance.integers(0, 256, (7, 5, 3), np.uint8) for _ in IDS]

    def shown(size):
        sides = (size.size, size.size if size.fit == "stretch" else 50)
        return [np.asarray(Image.fromarray(picture).resize(sides)) for picture in small]

    return Works(IDS, {size: shown(size) for size in given.decode_sizes()}, Extractors(32), **options)


@pytest.mark.parametrize("kind", KINDS)
def test_bundles_of_schema_1_load(tmp_path, kind):
    values = json.loads(text(kind)) | {"decode_version": DECODE_VERSION}
    (tmp_path / BUNDLE).write_text(json.dumps(values))
    bundle = load_bundle(Location.parse(tmp_path))
    assert isinstance(bundle.input, KINDS[kind])
    assert json.loads(bundle.model_dump_json()) == values | {
        "labels": "one",
        "thresholds": {},
        "decision": "likely",
        "shares": {},
        "novelty_sha": None,
    }
    assert next(iter(json.loads(bundle.model_dump_json())["input"])) == "kind"


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("features", "5d989de48aec3de7c326da0c"),
        ("patches", "c8ae8a00168c5238a2532617"),
        ("pictures", "664f236c6bc49cbff75ba66d"),
    ],
)
def test_labels_of_an_older_release_stay(kind, known):
    """What labels depend on has the name that it had: no collection is labelled again for nothing."""
    assert identity(old(kind)) == known


def test_features_of_an_old_bundle():
    given = old("features").input
    assert [spec["name"] for spec in given.specs()] == ["brightness", "colormaps"]
    batch = works(given)
    ((size, pictures),) = batch.images.items()
    assert (size.size, size.fit) == (32, "stretch")
    pictures = np.stack(pictures)
    brightness = Brightness(size=32)(pictures)["brightness"].to_pylist()
    expected = []
    for value, colours in zip(brightness, ColorMaps(size=32)(pictures)["color_map"].to_pylist(), strict=True):
        row = [value]
        for reference in given.color_maps.values():
            squares = (np.array(colours)[:, None] / 255 - np.array(reference) / 255) ** 2
            costs = squares.sum(axis=2)
            row.append(np.sqrt(costs[linear_sum_assignment(costs)].sum()))
        expected.append(row)
    found = given.prepare(batch)
    assert (found.shape, found.dtype) == ((3, 3), np.float32)
    assert np.allclose(found, expected, atol=1e-4)
    assert given.by_work(found) is found


def test_known_features_are_not_computed():
    given = FeatureInput(features=[{"name": "brightness", "size": 32}], columns=["brightness"])
    known = {spec_key(given.features[0]): {"brightness": pa.array([1.0, 2.0, 3.0])}}
    assert given.prepare(Works(IDS, {}, known=known)).tolist() == [[1], [2], [3]]


def test_patches_of_an_old_bundle():
    given = old("patches").input
    batch = works(given)
    ((size, pictures),) = batch.images.items()
    assert (size.size, size.fit) == (64, "inside")
    squares = np.stack(
        [
            square
            for picture, name in zip(pictures, IDS, strict=True)
            for square in draw(picture, name, size=24, per_image=3, seed=5)
        ]
    )
    halves = squares.reshape(9, 12, 2, 12, 2, 3).mean((2, 4))  # a box filter to half the size
    found = given.prepare(batch)
    assert (found.shape, found.dtype) == ((9, 12, 12, 3), np.uint8)
    assert np.abs(found - halves).max() <= 1  # Pillow rounds once a direction
    scores = np.random.default_rng(0).random((9, 4), np.float32)
    assert np.allclose(given.by_work(scores), scores.reshape(3, 3, 4).mean(axis=1))
    assert given.by_work(scores).dtype == np.float32


def test_pictures_of_an_old_bundle():
    given = old("pictures").input
    batch = works(given)
    ((size, pictures),) = batch.images.items()
    assert (size.size, size.fit) == (16, "stretch")
    assert np.array_equal(given.prepare(batch), pictures)


@pytest.mark.parametrize(
    ("given", "batches"),
    [
        (FeatureInput(features=[], columns=[]), (32, 256)),
        (PictureInput(size=224), (32, 256)),
        (PictureInput(size=64), (32, 256)),
        (PictureInput(size=448), (8, 64)),
        (PictureInput(size=2240), (1, 2)),
        (PatchInput(model_size=448, size=9, per_image=1, seed=0, long_side=9), (8, 64)),
    ],
)
def test_larger_pictures_come_in_smaller_batches(given, batches):
    assert (given.batch_size(32), given.batch_size(256)) == batches


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "sounds"}, "input: .*'sounds'"),
        ({}, "input: .*'kind'"),
        ({"kind": "pictures"}, r"input\.pictures\.size: Field required"),
        ({"kind": "pictures", "size": 0}, r"input\.pictures\.size: "),
        ({"kind": "pictures", "size": 8, "sides": 3}, r"input\.pictures\.sides: "),
        ({"kind": "patches", "size": 8}, r"input\.patches\.model_size: "),
        ({"kind": "features", "features": [{"name": "smell"}], "columns": []}, "there is no feature 'smell'"),
    ],
)
def test_an_input_that_is_none(tmp_path, given, words):
    values = json.loads(text("pictures")) | {"decode_version": DECODE_VERSION, "input": given}
    (tmp_path / BUNDLE).write_text(json.dumps(values))
    with pytest.raises(InputError, match=words) as raised:
        load_bundle(Location.parse(tmp_path))
    assert "\n" not in str(raised.value)


def test_a_column_that_no_picture_has():
    given = FeatureInput(features=[{"name": "brightness", "size": 32}], columns=["brightness", "year"])
    with pytest.raises(InputError, match="needs the column year, which can't be computed from a picture"):
        given.decode_sizes()


OWNERS = st.lists(st.sampled_from(["b", "a", "10", "9", "ü", "a b"]), min_size=1, max_size=30)


@given(OWNERS, st.integers(1, 5), st.integers(0, 9))
def test_by_artwork_is_the_mean_of_the_patches(owners, classes, seed):
    scores = softmax(np.random.default_rng(seed).normal(size=(len(owners), classes)))
    names, means = by_artwork(owners, scores)
    expected = pd.DataFrame(scores).groupby(pd.Series(owners)).mean()
    assert names == expected.index.tolist() == sorted(set(owners))
    assert np.allclose(means, expected.to_numpy())
    assert np.allclose(means.sum(axis=1), 1)


def test_a_backbone_is_named_by_what_is_in_its_file(tmp_path):
    file = tmp_path / "theirs.keras"
    file.write_bytes(b"network")
    spec = {"name": "embedding", "size": 224, "backbone": str(file), "weights": "imagenet", "statistics": False}
    known = FeatureInput(features=[spec], columns=["embedding"], files={str(file): digest(b"network")})
    assert FeatureInput.model_validate_json(known.model_dump_json()) == known
    known.check_backbone(spec)
    known.check_backbone(spec, known.files)
    file.write_bytes(b"another")
    for files in (None, {str(file): digest(b"another")}):
        with pytest.raises(InputError, match="is another network than the one that the model was trained with"):
            known.check_backbone(spec, files)
    FeatureInput(features=[spec], columns=["embedding"]).check_backbone(spec)  # bundles of before don't know it
    file.unlink()
    known.check_backbone(spec)  # that it is not there is said where it is needed
