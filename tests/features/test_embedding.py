import pickle
import subprocess
import sys

import keras
import numpy as np
import pyarrow as pa
import pytest

from artray.errors import InputError
from artray.features.embedding import Embedding
from artray.models.efficientnet_lite import efficientnet_lite, style_statistics

pytestmark = pytest.mark.slow  # networks take their time to build and trace

SIZE = 64
PICTURES = np.random.default_rng(0).integers(0, 256, (11, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def embedding():
    return Embedding(size=SIZE, statistics=True, batch_size=4)


@pytest.fixture(scope="module")
def columns(embedding):
    return embedding(PICTURES)


def numbers(column):
    return np.array(column.to_pylist(), np.float32)


def test_is_the_models_output(columns):
    expected = style_statistics(efficientnet_lite(size=SIZE)).predict_on_batch(PICTURES)
    np.testing.assert_allclose(numbers(columns["embedding"]), expected["embedding"], atol=1e-5)
    np.testing.assert_allclose(numbers(columns["style_statistics"]), expected["statistics"], atol=1e-5)


def test_fields_and_columns_agree(embedding, columns):
    assert embedding.name == "embedding"
    assert embedding.fields == [
        pa.field("embedding", pa.list_(pa.float32())),
        pa.field("style_statistics", pa.list_(pa.float32())),
    ]
    assert list(columns) == [field.name for field in embedding.fields]
    for field in embedding.fields:
        assert columns[field.name].type == field.type
        assert len(columns[field.name]) == len(PICTURES)
        assert columns[field.name].null_count == 0
    assert numbers(columns["embedding"]).shape[1] == 1280
    assert numbers(columns["style_statistics"]).shape[1] == 6176


@pytest.mark.parametrize("chosen", [[3], [10, 0], [5, 5, 5, 5, 5], list(range(10, -1, -1)), list(range(9))], ids=str)
def test_a_picture_does_not_depend_on_its_batch(embedding, columns, chosen):
    result = embedding(PICTURES[chosen])
    for name, column in columns.items():
        np.testing.assert_allclose(numbers(result[name]), numbers(column)[chosen], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 16])
def test_nor_on_the_batch_size(columns, batch_size):
    result = Embedding(size=SIZE, batch_size=batch_size)(PICTURES)
    np.testing.assert_allclose(numbers(result["embedding"]), numbers(columns["embedding"]), atol=1e-5)


def test_the_model_sees_one_shape_only(embedding, monkeypatch):
    shapes = []
    predict_on_batch = embedding._model.predict_on_batch
    monkeypatch.setattr(
        embedding._model, "predict_on_batch", lambda batch: shapes.append(batch.shape) or predict_on_batch(batch)
    )
    for length in (1, 3, 4, 5, 11):
        embedding(PICTURES[:length])
    assert set(shapes) == {(4, SIZE, SIZE, 3)}


def test_no_pictures(embedding):
    for field, column in zip(embedding.fields, embedding(PICTURES[:0]).values(), strict=True):
        assert column.type == field.type
        assert len(column) == 0


def test_can_be_pickled_after_use(embedding, columns):
    data = pickle.dumps(embedding)
    assert len(data) < 1000
    result = pickle.loads(data)(PICTURES[:2])
    np.testing.assert_allclose(numbers(result["embedding"]), numbers(columns["embedding"])[:2], atol=1e-5)


def test_what_the_package_brings_is_built_once_and_a_file_read_each_time(tmp_path):
    assert Embedding(size=SIZE)._model is Embedding(size=SIZE, batch_size=2)._model
    means, constant = [], keras.initializers.Constant
    for value in (1, 2):
        pictures = keras.Input((8, 8, 3))
        maps = keras.layers.Conv2D(4, 1, kernel_initializer="zeros", bias_initializer=constant(value))
        keras.Model(pictures, maps(pictures)).save(tmp_path / "mine.keras")
        means.append(numbers(Embedding(str(tmp_path / "mine.keras"), 8)(PICTURES[:1, :8, :8])["embedding"]).mean())
    assert means == [1, 2]


def test_another_backbone():
    result = Embedding("MobileNet", size=SIZE, weights=None)(PICTURES[:2])
    assert list(result) == ["embedding"]
    assert numbers(result["embedding"]).shape == (2, 1024)


def test_statistics_need_an_embedded_backbone():
    with pytest.raises(InputError, match=r"style statistics need the backbone efficientnet-lite0, .*, not MobileNet"):
        Embedding("MobileNet", size=SIZE, weights=None, statistics=True)(PICTURES)


def test_unknown_backbone():
    with pytest.raises(InputError, match="unknown backbone 'efficientnet-lite9': did you mean efficientnet-lite2"):
        _ = Embedding("efficientnet-lite9").fields


def test_tensorflow_comes_with_the_first_use():
    code = "import sys, artray.features.embedding as e; e.Embedding(); assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
