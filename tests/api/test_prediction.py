"""A bundle at work on what a program gives: the labels of `label-catalog`."""

import numpy as np
import pytest
from PIL import Image

import artray
from artray.bundles.novelty import LIMIT
from artray.labeling.published import read_labels
from artray.labeling.station import LabelOptions, label_catalog
from artray.storage import Location
from tests.labeling import serial
from tests.labeling.bundles import write_bundle, write_manifest, write_novelty, write_pictures


@pytest.fixture(autouse=True)
def passes(monkeypatch):
    serial.install(monkeypatch)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    root = tmp_path_factory.mktemp("bundles")
    return {kind: write_bundle(f"{root}/{kind}", kind, kind) for kind in ("pictures", "features", "patches")}


@pytest.fixture
def collection(tmp_path):
    return write_pictures(tmp_path / "scans", 3, broken=1)


@pytest.mark.parametrize("kind", ["pictures", "features", "patches"])
def test_a_manifest_gets_the_labels_of_the_station(bundles, collection, tmp_path, kind):
    manifest = write_manifest(str(tmp_path / "manifest"), collection)
    label_catalog(LabelOptions(manifest=manifest, model=[bundles[kind]], out=f"{tmp_path}/out"))
    expected = read_labels(tmp_path / "out").to_table().sort_by("object_id")
    found = artray.load_bundle(bundles[kind]).predict(manifest).to_arrow()
    assert found["object_id"].to_pylist() == sorted(collection)
    for name in ("object_id", "image_uri", "label", "labels", "label_uri", "model_id", "status", "error"):
        assert found[name].to_pylist() == expected[name].to_pylist(), name
    assert found["score"].to_pylist() == pytest.approx(expected["score"].to_pylist(), abs=1e-5)


def test_one_picture_in_all_its_forms(bundles, collection):
    model = artray.load_bundle(bundles["pictures"])
    path = collection["W1"]
    scores = [
        model.predict(given).to_pandas()["scores"][0]
        for given in (path, [path], Image.open(path), np.asarray(Image.open(path)))
    ]
    assert all(each == scores[0] for each in scores)
    assert list(scores[0]) == model.classes == ["pictures 0", "pictures 1", "pictures 2"]


def test_few_and_many_get_the_same(bundles, collection):
    model = artray.load_bundle(bundles["pictures"])
    many = model.predict([collection["W1"]] * 20).to_arrow()["score"].to_pylist()
    assert many == pytest.approx(model.predict(collection["W1"]).to_arrow()["score"].to_pylist() * 20, abs=1e-6)


def test_no_picture_no_row(bundles):
    found = artray.load_bundle(bundles["pictures"]).predict([])
    assert len(found) == 0
    assert "decision" in found.columns


@pytest.mark.parametrize(
    ("changes", "decision"),
    [
        ({}, "label"),
        ({"metrics": {"abstain": {"threshold": 0.0, "target": 0.9}}}, "label"),
        ({"metrics": {"abstain": {"threshold": 1.1, "target": 0.9}}}, "uncertain"),
        ({"metrics": {"abstain": {"threshold": None, "target": 0.9}}}, "uncertain"),
    ],
)
def test_the_decision_is_that_of_the_exports(tmp_path, collection, changes, decision):
    uri = write_bundle(str(tmp_path / "bundle"), "features", "brightness", **changes)
    found = artray.load_bundle(uri).predict([collection["W0"], collection["W3"]]).to_arrow()
    assert found["decision"].to_pylist() == [decision, None]


def test_works_of_no_class_are_uncertain(tmp_path, collection):
    sha = write_novelty(str(tmp_path / "bundle"), 1.0)  # brightness is larger than that
    uri = write_bundle(str(tmp_path / "bundle"), "features", "brightness", novelty_sha=sha)
    (row,) = artray.load_bundle(uri).predict(collection["W0"]).to_arrow().to_pylist()
    assert row["novelty"] >= LIMIT
    assert row["decision"] == "uncertain"


def test_what_a_bundle_says_of_itself(bundles):
    model = artray.load_bundle(bundles["features"])
    assert (model.task, model.bundle.model_id) == ("features", "features-0")
    assert repr(model) == "<features-0: features (features 0, features 1, features 2)>"


def test_no_bundle(tmp_path):
    with pytest.raises(artray.InputError, match="model"):
        artray.load_bundle(Location.parse(tmp_path / "nothing"))
