"""The evaluation page of a model that takes pictures: errors with what the model looked at."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from artray.classifiers.fold_ensemble import averaged
from artray.errors import InputError
from artray.models.classifiers import calibrated, classifier
from artray.report.evaluation import evaluation_page
from artray.storage import Location
from tests.report.bundles import write_bundle

pytestmark = pytest.mark.usefixtures("ray_session")

CLASSES = ["Cubism", "Rococo", "Ukiyo-e"]


def network(seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return calibrated(classifier("one_block_vgg", (16, 16, 3), 3, {"filters": 4, "dense": 8}), 1.5)


@pytest.mark.parametrize("ensemble", [False, True])
def test_errors_have_activation_maps(tmp_path: Path, ensemble: bool) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    model = averaged([network(0), network(1)]) if ensemble else network(0)
    model.save(bundle / "model.keras")
    about = {"input": {"kind": "pictures", "size": 16}, "metrics": {"fold_ensemble": 2} if ensemble else {}}
    write_bundle(bundle, CLASSES, **about)
    page = evaluation_page(Location.parse(bundle), tmp_path / "page", errors=8)
    text = page.read_text("utf-8")
    shown = [re.findall(r'<img src="([^"]+)" alt="([^"]+)"', item) for item in text.split("<li>")]
    shown = [item for item in shown if item]
    assert shown
    for (plain, what), *maps in shown:
        assert what == "the work"
        assert len(maps) == 2  # of the label that was given, and of the true one
        picture = np.asarray(Image.open(page.parent / plain)).astype(float)
        for path, told in maps:
            assert told.removeprefix("what spoke for ") in CLASSES
            drawn = np.asarray(Image.open(page.parent / path)).astype(float)
            assert drawn.shape == picture.shape == (40, 60, 3)
            assert np.abs(drawn - picture).mean() > 5
    if not ensemble:
        with pytest.raises(InputError, match="no layer 'nowhere'"):
            evaluation_page(Location.parse(bundle), tmp_path / "page", layer="nowhere")
        guided = evaluation_page(Location.parse(bundle), tmp_path / "guided", errors=8, layer="conv", method="guided")
        assert "what spoke for" in guided.read_text("utf-8")
