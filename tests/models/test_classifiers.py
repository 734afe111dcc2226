import inspect

import keras
import numpy as np
import pytest
from keras import layers
from scipy.special import softmax

from artray.errors import InputError
from artray.models.classifiers import CLASSIFIERS, calibrated, classifier


def sizes(model: keras.Model) -> dict[str, int]:
    return {layer.name: layer.count_params() for layer in model.layers if layer.count_params()}


@pytest.mark.parametrize(("side", "classes"), [(256, 2), (64, 5)])
def test_one_block_vgg_has_the_published_sizes(side, classes):
    """C3 by hand: 3x3x3 weights and a bias for each of 32 maps; half the side after the pool; 128 units."""
    model = classifier("one_block_vgg", (side, side, 3), classes, {})
    assert sizes(model) == {
        "conv": (3 * 3 * 3 + 1) * 32,
        "dense": ((side // 2) ** 2 * 32 + 1) * 128,
        "logits": (128 + 1) * classes,
    }
    assert model.output.shape == (None, classes)


def test_one_block_vgg_settings():
    model = classifier("one_block_vgg", (32, 32, 3), 2, {"filters": 8, "dense": 16, "dropout": [0.1, 0.3]})
    assert sizes(model) == {"conv": 28 * 8, "dense": (16 * 16 * 8 + 1) * 16, "logits": 17 * 2}
    rates = [layer.rate for layer in model.layers if isinstance(layer, layers.Dropout)]
    assert rates == [0.1, 0.3]


def test_one_block_vgg_is_what_its_docstring_says():
    """Against the same steps in NumPy."""
    keras.utils.set_random_seed(0)
    model = classifier("one_block_vgg", (6, 6, 3), 2, {"filters": 2, "dense": 3})
    pictures = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)
    kernel, bias, dense, dense_bias, last, last_bias = [np.asarray(w, np.float64) for w in model.get_weights()]
    padded = np.pad(pictures / 255, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    maps = np.maximum(np.einsum("nhwcij,ijco->nhwo", windows, kernel) + bias, 0)
    pooled = maps.reshape(2, 3, 2, 3, 2, 2).max(axis=(2, 4))
    hidden = np.maximum(pooled.reshape(2, -1) @ dense + dense_bias, 0)
    expected = hidden @ last + last_bias
    assert np.allclose(np.asarray(model(pictures)), expected, atol=1e-5)


def test_linear_head_on_standardised_features():
    rng = np.random.default_rng(0)
    features = rng.normal(5, 3, (200, 4)).astype(np.float32)
    mean, variance = features.mean(axis=0), features.var(axis=0)
    model = classifier("linear_head", (4,), 3, {"dropout": 0.5, "l2": 0.1}, (mean.tolist(), variance.tolist()))
    head = model.get_layer("logits")
    assert np.asarray(model(features)).tolist() == [[0.0, 0.0, 0.0]] * 200  # every class as likely, before training
    kernel = rng.normal(size=(4, 3)).astype(np.float32)
    head.set_weights([kernel, np.arange(3, dtype=np.float32)])
    unit_length = (features - mean) / np.sqrt(variance) / 2  # the square root of 4 features
    expected = unit_length @ kernel + np.arange(3)
    assert np.allclose(np.asarray(model(features)), expected, atol=1e-4)
    assert float(sum(model.losses)) == pytest.approx(0.1 * (kernel**2).sum(), rel=1e-5)
    assert head.count_params() == 4 * 3 + 3


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_gives_a_logit_a_class(name):
    picture = next(iter(inspect.signature(CLASSIFIERS[name]).parameters)) == "picture"
    shape = (32, 32, 3) if picture else (12,)
    model = classifier(name, shape, 3, {})
    inputs = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    assert np.asarray(model(inputs)).shape == (2, 3)
    assert np.asarray(model(inputs)).dtype == np.float32
    assert model.layers[-1].get_config().get("activation") in (None, "linear")
    assert model.name == name


@pytest.mark.parametrize(
    ("name", "shape", "settings", "words"),
    [
        ("one_blok_vgg", (32, 32, 3), {}, ["'one_blok_vgg'", "did you mean one_block_vgg"]),
        ("", (4,), {}, ["model.name", "linear_head"]),
        ("linear_head", (4,), {"droput": 0.1}, ["linear_head", "droput"]),
        ("linear_head", (4,), {"dropout": 2}, ["linear_head"]),
        ("linear_head", (4,), {"dropout": "much"}, ["linear_head"]),
        ("linear_head", (4,), {"l2": "1e-3"}, ["linear_head"]),
        ("linear_head", (4,), {"classes": 3}, ["linear_head", "classes"]),
        ("one_block_vgg", (32, 32, 3), {"filters": 0}, ["one_block_vgg"]),
        ("one_block_vgg", (32, 32, 3), {"filters": "many"}, ["one_block_vgg"]),
        ("one_block_vgg", (32, 32, 3), {"dense": -1}, ["one_block_vgg"]),
        ("one_block_vgg", (32, 32, 3), {"dropout": [0.2]}, ["one_block_vgg"]),
        ("one_block_vgg", (32, 32, 3), {"dropout": 0.2}, ["one_block_vgg"]),
        ("one_block_vgg", (12,), {}, ["one_block_vgg"]),
    ],
)
def test_what_can_not_be_built_is_one_line(name, shape, settings, words):
    with pytest.raises(InputError) as raised:
        classifier(name, shape, 2, settings)
    line = str(raised.value)
    assert "\n" not in line
    assert line.startswith("model")
    assert [word for word in words if word not in line] == []


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.7])
def test_calibrated_is_softmax_of_divided_logits(temperature):
    keras.utils.set_random_seed(1)
    model = classifier("one_block_vgg", (16, 16, 3), 4, {"filters": 4, "dense": 8})
    pictures = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)
    logits = np.asarray(model(pictures))
    scores = np.asarray(calibrated(model, temperature)(pictures))
    assert np.allclose(scores, softmax(logits / temperature, axis=1), atol=1e-6)
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_calibrated_models_can_be_saved_and_loaded_safely(tmp_path):
    model = calibrated(classifier("linear_head", (4,), 3, {}, ([0.0] * 4, [1.0] * 4)), 2.0)
    model.get_layer("logits").set_weights([np.arange(12.0).reshape(4, 3), np.zeros(3)])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    features = np.random.default_rng(0).normal(size=(5, 4))
    assert np.array_equal(np.asarray(again(features)), np.asarray(model(features)))
