"""Maps of a page's works, drawn by a stand-in: what is written, and what is told of works without one."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.classifiers import activation_maps
from artray.images.pictures import DecodeSize, Picture
from artray.report import explained_pictures
from artray.report.explained_pictures import maps_of_models, maps_of_works
from artray.storage import Location
from tests.report.bundles import write_bundle


class Negatives:
    """In the place of a model."""

    def __init__(self, *_: object):
        self.decode_sizes = [DecodeSize(16)]

    def __call__(
        self, works: Sequence[dict[str, Any]], images: Mapping[DecodeSize, Sequence[Picture]], plain: Sequence[Picture]
    ) -> list[list[tuple[Picture, str]]]:
        return [[(255 - picture, work["subject"])] for work, picture in zip(works, plain, strict=True)]


def test_each_map_is_one_file_and_pictures_that_cannot_be_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(explained_pictures, "ActivationMaps", Negatives)
    write_bundle(tmp_path, ["a", "b", "c"], input={"kind": "pictures", "size": 16})
    names = ["w00", "w01", "w02"]  # every other one has a picture
    labels = pa.table(
        {
            "object_id": names,
            "image_uri": [f"{tmp_path}/{name}.png" for name in names],
            "label": ["a", "b", "c"],
            "score": [0.5, 0.4, 0.3],
            "model_id": ["style-1"] * 3,
        }
    )
    drawn = maps_of_works(Location.parse(tmp_path), labels, 3, tmp_path / "page", layer=None, method=None)
    assert drawn.keys() == {"w02", "w00"}
    written = sorted(str(file.relative_to(tmp_path / "page")) for file in (tmp_path / "page").rglob("*.jpg"))
    assert written == sorted(drawn.values())
    with Image.open(tmp_path / "page" / drawn["w00"]) as image:
        assert image.size == (60, 40)
    assert "--maps: style: 1 picture of 3 can't be read" in capsys.readouterr().err
    labels = labels.append_column("novelty", pa.array([0.99, None, 0.1], pa.float32()))
    drawn = maps_of_works(Location.parse(tmp_path), labels, 2, tmp_path / "page", layer=None, method=None)
    assert drawn == {"w00": "activation/style/000-0.jpg", "w02": "activation/style/001-0.jpg"}  # the unlike one first


def test_two_models_of_a_task_have_maps_of_their_own_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explained_pictures, "ActivationMaps", Negatives)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    write_bundle(first, ["a", "b", "c"], input={"kind": "pictures", "size": 16})
    shutil.copytree(first, second)
    about = second / "bundle.json"
    about.write_text(about.read_text().replace("style-1", "style-2"))
    labels = pa.table(
        {
            "object_id": ["w00", "w02"],
            "image_uri": [f"{first}/w00.png", f"{first}/w02.png"],
            "label": ["a", "b"],
            "score": [0.5, 0.4],
            "model_id": ["style-1", "style-2"],
        }
    )
    models = {"style": Location.parse(first), "style-2": Location.parse(second)}
    drawn = maps_of_models(models, labels, 3, tmp_path / "page", layer=None, method=None)
    assert drawn == {"style": {"w00": "activation/style/000-0.jpg", "w02": "activation/style-2/000-0.jpg"}}
    assert all((tmp_path / "page" / path).is_file() for path in drawn["style"].values())


def test_a_model_is_read_once_for_several_batches_and_anew_where_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    content = iter(["one", "one", "one", "another", "another"])  # looked at again where a model is read
    monkeypatch.setattr(
        explained_pictures, "load_bundle", lambda _: SimpleNamespace(model_sha=next(content), metrics={})
    )
    monkeypatch.setattr(explained_pictures, "load_model", lambda uri, bundle: read.append(bundle.model_sha))
    monkeypatch.setattr(activation_maps, "activation_maps", lambda model, inputs, *_: np.zeros((len(inputs), 4, 4)))
    picture = np.zeros((4, 4, 3), np.uint8)
    for _ in range(3):
        drawn = explained_pictures._draw(
            Location.parse(tmp_path), picture[None], [picture], [0], layer=None, method=None
        )
        assert [image.shape for image in drawn] == [(4, 4, 3)]
    assert read == ["one", "another"]
