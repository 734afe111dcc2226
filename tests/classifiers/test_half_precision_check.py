"""By what it is decided whether labels may be made in bfloat16."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.bundles.inputs import PictureInput
from artray.classifiers import half_precision_check
from artray.classifiers.half_precision_check import check_half, compared
from artray.images.pictures import DecodeSize
from artray.storage import Location


def test_agreement_and_calibration_decide():
    single = np.tile([[0.8, 0.2]], (1000, 1))
    true = np.tile([[True, False]], (1000, 1))
    one = SimpleNamespace(multilabel=False, class_thresholds=lambda: np.array([0.5, 0.5]))
    assert compared(single, single, true, one) == {
        "n": 1000,
        "agreement": 1.0,
        "calibration_error": {"float32": 0.2, "bfloat16": 0.2},
        "holds": True,
    }
    few, many = single.copy(), single.copy()
    few[:5], many[:6] = [0.499, 0.501], [0.499, 0.501]
    assert compared(single, few, true, one)["holds"]
    assert not compared(single, many, true, one)["holds"]
    surer = compared(single, single + np.array([0.01, -0.01]), true, one)
    assert (surer["agreement"], surer["holds"]) == (1.0, False)
    # Of classes that count alike the label is the larger multiple of its share.
    balanced = SimpleNamespace(multilabel=False, class_thresholds=lambda: np.array([0.8, 0.2]))
    near = np.where(np.arange(1000)[:, None] < 10, single - [0.004, -0.004], single)
    assert compared(single, near, true, one)["agreement"] == 1.0
    assert compared(single + np.array([0.002, -0.002]), near, true, balanced)["agreement"] == 0.99
    # All are "b", which balanced says of all: half of them with .3, the others with .7.
    mixed = np.where(np.arange(1000)[:, None] < 500, [0.7, 0.3], [0.3, 0.7])
    assert compared(mixed, mixed, ~true, one)["calibration_error"]["float32"] == 0.2
    assert compared(mixed, mixed, ~true, balanced)["calibration_error"]["float32"] == 0.5
    several = SimpleNamespace(multilabel=True, class_thresholds=lambda: np.array([0.5, 0.5]))
    assert compared(single, single[:, ::-1], true, several)["agreement"] == 0.0


class Model:
    """Says of a picture how light it is; in half precision the darkest ones are lighter than they are."""

    decode_sizes = (DecodeSize(8),)

    def __init__(self, uri, batch, *, half=False):
        self.half = half

    def scores(self, inputs):
        light = inputs.reshape(len(inputs), -1).mean(axis=1) / 255
        light = np.where(self.half & (light < 0.2), light + 0.6, light)
        return np.stack([light, 1 - light], axis=1)


@pytest.mark.parametrize(("dark", "holds"), [(0, True), (3, False)])
def test_works_of_the_test_part_are_read_and_compared(tmp_path, monkeypatch, dark, holds):
    rows = []
    for number in range(70):
        light = 20 if number < dark else 200 if number % 2 else 90
        uri = tmp_path / f"{number}.png"
        Image.new("RGB", (8, 8), (light,) * 3).save(uri)
        part = "test" if number < 60 else "train"
        rows.append({"object_id": uri.name, "image_uri": str(uri), "part": part, "true": "a" if light > 127 else "b"})
    (tmp_path / "59.png").write_bytes(b"no picture")
    bundle = SimpleNamespace(
        multilabel=False,
        class_thresholds=lambda: np.array([0.5, 0.5]),
        input=PictureInput(size=8),
        classes=[SimpleNamespace(name="a"), SimpleNamespace(name="b")],
    )
    monkeypatch.setattr(half_precision_check, "load_bundle", lambda uri: bundle)
    monkeypatch.setattr(half_precision_check, "read_predictions", lambda uri: pa.Table.from_pylist(rows))
    monkeypatch.setattr(half_precision_check, "BundleModel", Model)
    told = check_half(Location.parse(str(tmp_path)))
    assert (told["n"], told["holds"]) == (59, holds)
    assert told["agreement"] == pytest.approx(1 - dark / 59, abs=1e-4)
    few = check_half(Location.parse(str(tmp_path)), works=40)
    assert few == {"n": few["n"], "holds": False}  # too few to tell
