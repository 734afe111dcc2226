"""Vision transformers of Keras' layers and ours; that they are what keras-hub's are is seen in `test_hub.py`."""

import io
import zipfile

import keras
import numpy as np
import pytest

from artray.features.embedding import Embedding
from artray.models.sizes import backbone_size
from artray.models.vision_transformer import VisionTransformer, rotation, token_statistics

SHAPE = {"size": 16, "patch": 4, "width": 8, "depth": 2, "heads": 2, "hidden": 12}
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("more", "width"),
    [
        ({"pooling": "class", "projection": 5, "first_norm": True, "activation": "quick_gelu"}, 5),
        ({"pooling": "class_and_mean", "prefix": 3, "theta": 100.0, "gated": True, "activation": "silu"}, 16),
        ({"pooling": "attention", "prefix": 0, "activation": "gelu_approximate"}, 8),
        ({"pooling": "mean", "prefix": 0}, 8),
    ],
)
def test_it_is_the_same_when_it_is_loaded_again(tmp_path, more, width):
    keras.utils.set_random_seed(0)
    model = VisionTransformer(**SHAPE, **more).build("tiny")
    expected = model.predict_on_batch(PICTURES)
    assert expected.shape == (2, width)
    assert np.isfinite(expected).all()
    file = tmp_path / "tiny.keras"
    model.save(file)
    assert backbone_size(str(file)) == 16
    again = Embedding(str(file), 16, statistics=True)(PICTURES)
    assert np.array(again["embedding"].to_pylist()) == pytest.approx(expected, abs=1e-6)
    assert len(again["style_statistics"][0]) == 2 * 2 * 8


@pytest.mark.slow
def test_statistics_are_those_of_the_patches():
    model = VisionTransformer(**SHAPE, prefix=2).build()
    statistics = keras.Model(model.input, [token_statistics(model), model.get_layer("block0").output])
    found, tokens = statistics.predict_on_batch(PICTURES)
    assert found[:, :8] == pytest.approx(tokens[:, 2:].mean(axis=1), abs=1e-5)
    assert found[:, 8:16] == pytest.approx(tokens[:, 2:].std(axis=1), abs=1e-5)
    assert token_statistics(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])) is None


def test_rotations_turn_and_keep_lengths():
    cos, sin = rotation(8, side=3, theta=100.0)
    assert cos.shape == sin.shape == (9, 1, 8)
    assert cos**2 + sin**2 == pytest.approx(1)
    assert cos[4] == pytest.approx(1)  # in the middle of the picture nothing is turned


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_what_can_not_be_read_has_the_usual_size(tmp_path, content):
    file = tmp_path / "x.keras"
    if content is None:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("config.json", "{}")
        content = data.getvalue()
    file.write_bytes(content)
    assert backbone_size(str(file)) == backbone_size(str(tmp_path / "none.keras")) == backbone_size("VGG16") == 224
    assert backbone_size("efficientnet-lite2") == 260
