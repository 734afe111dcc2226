"""The evaluation page of a model that takes pictures: errors with what the model looked at."""

import re
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from artray.classifiers.fold_ensemble import averaged
from artray.errors import InputError
from artray.models.classifiers import calibrated, classifier
from artray.report.evaluation import evaluation_page
from artray.report.explained_pictures import maps_of_works, remove_maps
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
        works_of_the_page_have_maps(bundle, tmp_path / "guided")


def works_of_the_page_have_maps(bundle: Path, out: Path) -> None:
    rows = pq.read_table(bundle / "predictions.parquet").slice(0, 6).to_pylist()
    scores = [0.9, 0.5, 0.2, 0.4, 0.3, 0.1]
    labels = pa.table(
        {name: [row[name] for row in rows] for name in ("object_id", "image_uri", "label")}
        | {"score": scores, "model_id": ["style-1"] * 5 + ["another"]}
    )
    drawn = maps_of_works(Location.parse(bundle), labels, 3, out, layer=None, method=None)
    wanted = {rows[at]["object_id"] for at in (2, 4, 3)}  # the least certain of this model's
    assert set(drawn) == {key for key in wanted if int(key[1:]) % 2 == 0}  # the others can't be read
    assert all((out / path).exists() for path in drawn.values())
    remove_maps(out)
    assert not any((out / path).exists() for path in drawn.values())
    assert list(out.glob("evaluation-style/*.jpg"))
