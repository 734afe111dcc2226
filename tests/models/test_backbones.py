import socket
import sys
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from artray.errors import InputError
from artray.models import EMBEDDED, backbones
from artray.models.backbones import backbone, backbone_names

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eager")]  # networks take their time to build

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)


@pytest.fixture(autouse=True)
def no_internet(monkeypatch):
    def fail(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)


@pytest.fixture
def empty_cache(monkeypatch, tmp_path):
    """Weights that were fetched before are not seen."""
    get_file = sys.modules["keras.src.utils.file_utils"]
    monkeypatch.setattr(get_file.config, "keras_home", lambda: str(tmp_path))


def application(name, **options):
    return getattr(keras.applications, name)(include_top=False, pooling="avg", input_shape=(32, 32, 3), **options)


@pytest.mark.parametrize("name", backbone_names()[len(EMBEDDED) :])
def test_scaling_is_preprocess_input(name):
    preprocess_input = sys.modules[getattr(keras.applications, name).__module__].preprocess_input
    inputs = keras.Input((32, 32, 3))
    # Twice the input, so that there is a model even where the scaling is part of the architecture.
    model = keras.Model(inputs, layers.Add()([backbones._scaling(preprocess_input, inputs)] * 2))
    expected = 2 * preprocess_input(PICTURES.astype("float32"))
    np.testing.assert_allclose(model.predict_on_batch(PICTURES), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("name", "module"), [("VGG16", "vgg16"), ("MobileNetV3Small", "mobilenet_v3")])
def test_applications_are_those_of_keras(name, module):
    model = backbone(name, 32, None)
    reference = application(name, weights=None)
    reference.set_weights(model.get_weights())
    preprocess_input = getattr(keras.applications, module).preprocess_input
    expected = reference.predict_on_batch(preprocess_input(PICTURES.astype("float32")))
    # Random weights can shrink the signal to nothing: compare at the size of the numbers.
    np.testing.assert_allclose(
        model.predict_on_batch(PICTURES), expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max()
    )
    assert np.ptp(expected) > 0


def test_knows_every_application():
    names = backbone_names()
    assert names[:3] == [*EMBEDDED] == ["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]
    assert {"VGG16", "ResNet50", "InceptionV3", "EfficientNetB0", "MobileNetV3Small", "ConvNeXtTiny"} < set(names)
    assert all(callable(getattr(keras.applications, name)) for name in names[3:])


def test_a_saved_application_is_a_backbone(tmp_path):
    model = backbone("VGG16", 32, None)
    model.save(tmp_path / "vgg.keras")
    loaded = backbone(str(tmp_path / "vgg.keras"), 32)
    np.testing.assert_array_equal(loaded.predict_on_batch(PICTURES), model.predict_on_batch(PICTURES))


def test_weights_from_a_file(tmp_path):
    model = backbone("efficientnet-lite0", 32, None)
    model.save_weights(tmp_path / "my.weights.h5")
    loaded = backbone("efficientnet-lite0", 32, str(tmp_path / "my.weights.h5"))
    for expected, actual in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_weights_saved_from_keras_applications_fit(tmp_path):
    published = application("MobileNet", weights=None)
    published.save_weights(tmp_path / "published.weights.h5")
    loaded = backbone("MobileNet", 32, str(tmp_path / "published.weights.h5"))
    for expected, actual in zip(published.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("VGG17", None, r"unknown backbone 'VGG17': did you mean VGG19 or VGG16\?"),
        ("resnet50", None, "did you mean ResNet50 or"),
        ("EfficientNet-Lite0", None, r"did you mean efficientnet-lite0"),
        ("zzz", None, "known are efficientnet-lite0, .*, ConvNeXtBase, .*, Xception, paths"),
        ("applications", None, "unknown backbone"),
        ("", None, "unknown backbone ''"),
        ("nowhere.keras", None, "backbone nowhere.keras: no such file"),
        ("MobileNet", "nowhere.h5", "weights nowhere.h5: no such file"),
        ("MobileNet", __file__, "don't fit MobileNet"),
        ("efficientnet-lite0", __file__, "don't fit efficientnet-lite0"),
    ],
)
def test_wrong_names_are_one_clear_line(name, weights, message):
    with pytest.raises(InputError, match=message) as error:
        backbone(name, 32, weights)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_weights_of_another_architecture(tmp_path):
    backbone("efficientnet-lite0", 32, None).save_weights(tmp_path / "lite.weights.h5")
    with pytest.raises(InputError, match="don't fit MobileNet"):
        backbone("MobileNet", 32, str(tmp_path / "lite.weights.h5"))


def test_too_small_pictures():
    with pytest.raises(InputError, match="backbone VGG16 at 8 pixels: Input size must be at least 32x32"):
        backbone("VGG16", 8, None)


@pytest.mark.usefixtures("empty_cache")
def test_weights_without_internet():
    with pytest.raises(InputError, match=r"weights of MobileNet can't be fetched .*Name or service not known") as error:
        backbone("MobileNet", 128)
    assert "efficientnet-lite0" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.usefixtures("empty_cache")
def test_a_server_that_never_answers(monkeypatch):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", server.getsockname())
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [address])
        monkeypatch.setattr(backbones, "_DOWNLOAD_TIMEOUT", 0.2)
        monkeypatch.setattr(urllib.request, "getproxies", dict)
        with pytest.raises(InputError, match=r"can't be fetched .*timed out"):
            backbone("MobileNet", 128)
    assert socket.getdefaulttimeout() is None


class TestSavedModels:
    def saved(self, tmp_path, model):
        path = tmp_path / "model.keras"
        model.save(path)
        return str(path)

    def test_a_feature_map_is_pooled(self, tmp_path):
        model = keras.Sequential([keras.Input((32, 32, 3)), layers.Conv2D(5, 3)])
        pooled = backbone(self.saved(tmp_path, model), 32)
        expected = model.predict_on_batch(PICTURES).mean((1, 2))
        np.testing.assert_allclose(pooled.predict_on_batch(PICTURES), expected, rtol=1e-4, atol=1e-3)

    def test_any_size_when_the_model_takes_any(self, tmp_path):
        model = keras.Sequential([keras.Input((None, None, 3)), layers.GlobalAveragePooling2D()])
        result = backbone(self.saved(tmp_path, model), 32).predict_on_batch(PICTURES)
        np.testing.assert_allclose(result, PICTURES.mean((1, 2)), rtol=1e-5)

    @pytest.mark.parametrize("shape", [(16, 16, 3), (32, 32, 1), (32,)])
    def test_other_inputs(self, tmp_path, shape):
        model = keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(2)])
        with pytest.raises(InputError, match=r"not pictures \(32, 32, 3\)"):
            backbone(self.saved(tmp_path, model), 32)

    def test_other_outputs(self, tmp_path):
        model = keras.Sequential([keras.Input((32, 32, 3)), layers.Reshape((32, 96))])
        with pytest.raises(InputError, match="not an embedding"):
            backbone(self.saved(tmp_path, model), 32)

    def test_two_outputs(self, tmp_path):
        inputs = keras.Input((32, 32, 3))
        model = keras.Model(inputs, [layers.Flatten()(inputs), layers.GlobalAveragePooling2D()(inputs)])
        with pytest.raises(InputError, match="1 inputs and 2 outputs"):
            backbone(self.saved(tmp_path, model), 32)

    def test_code_in_the_file(self, tmp_path):
        model = keras.Sequential([keras.Input((32, 32, 3)), layers.Lambda(lambda x: x * 2), layers.Flatten()])
        with pytest.raises(InputError, match="not a Keras model that can be loaded") as error:
            backbone(self.saved(tmp_path, model), 32)
        assert "\n" not in str(error.value)

    def test_no_model(self, tmp_path):
        path = Path(tmp_path / "model.keras")
        path.write_text("a text")
        with pytest.raises(InputError, match="not a Keras model that can be loaded"):
            backbone(str(path), 32)
