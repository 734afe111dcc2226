"""Each form gives the model's scores: float ones to four digits, 8-bit ones the same labels."""

import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from artray.exports import forms
from artray.exports.forms import FORMS, MissingPackageError, Source
from artray.models.classifiers import calibrated

NEEDED = {
    "litert": ("ai_edge_litert",),
    "litert_int8": ("ai_edge_litert",),
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "openvino": ("openvino",),
}
rng = np.random.default_rng(0)
X = rng.integers(0, 256, (21, 12, 12, 3)).astype(np.float32)
# Something that a picture is plainly: mostly red, green or blue.
X[np.arange(21), :, :, np.arange(21) % 3] = 250


@pytest.fixture(scope="module")
def model() -> keras.Model:
    keras.utils.set_random_seed(1)
    picture = keras.Input((12, 12, 3), name="picture")
    x = layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(picture))
    x = layers.Dense(8, activation="relu")(layers.GlobalAveragePooling2D()(x))
    return calibrated(keras.Model(picture, layers.Dense(3, name="logits")(x)), 0.2, test_time_flip=True)


@pytest.fixture(scope="module")
def source(model: keras.Model):
    with Source(model, X) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_a_form_gives_the_models_scores(model: keras.Model, source: Source, tmp_path: Path, name: str) -> None:
    for module in NEEDED.get(name, ()):
        pytest.importorskip(module)
    FORMS[name].write(source, tmp_path)
    run = FORMS[name].load(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert all(
        any(re.fullmatch(known, file.relative_to(tmp_path).as_posix()) for known in FORMS[name].files) for file in files
    )
    if name == "saved_model":  # no weight twice
        (weights,) = (file for file in files if "variables.data" in file.name)
        assert weights.stat().st_size < 1.2 * 4 * model.count_params() + 3000
    expected = model.predict_on_batch(X)
    found = np.concatenate([run(X[:16]), run(X[16:])])  # any number of inputs
    assert found.shape == expected.shape
    if FORMS[name].exact:
        assert np.allclose(found, expected, atol=1e-4)
    else:
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.9
        assert np.abs(found - expected).max() < 0.1


def test_a_package_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    for name, package in (("onnx", "onnx"), ("openvino", "openvino")):
        with pytest.raises(MissingPackageError, match=rf"needs the package {package}: pip install 'artray\[export\]'"):
            FORMS[name].write(object(), tmp_path)
    with pytest.raises(MissingPackageError, match="ai-edge-litert"):
        FORMS["litert"].load(tmp_path)
    assert forms._INSTALL in "pip install 'artray[export]'"


def test_openvino_reports_to_nobody(monkeypatch):
    """Its own package for that is not loaded: then it takes a stub."""
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    monkeypatch.setattr(forms, "_imported", lambda module, package: sys.modules["openvino_telemetry"])
    assert forms._openvino() is None
    with pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401
