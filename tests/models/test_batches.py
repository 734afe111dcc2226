import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from artray.models import batches
from artray.models.batches import predict


@pytest.fixture(scope="module")
def two_outputs() -> keras.Model:
    given = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3)(given)
    return keras.Model(given, {"map": x, "mean": layers.GlobalAveragePooling2D()(x)})


@settings(max_examples=15, deadline=None)
@given(count=st.integers(0, 12), batch=st.integers(1, 9), seed=st.integers(0, 5))
def test_outputs_are_those_of_one_call(two_outputs, count, batch, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, 6, 6, 3), np.uint8)
    found = predict(two_outputs, images, batch)
    assert {name: (values.shape, values.dtype) for name, values in found.items()} == {
        "map": ((count, 4, 4, 4), np.float32),
        "mean": ((count, 4), np.float32),
    }
    if count:
        for name, values in two_outputs(images).items():
            np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-3)


def test_every_batch_has_the_same_size(two_outputs, monkeypatch):
    sizes = []
    original = two_outputs.predict_on_batch
    monkeypatch.setattr(two_outputs, "predict_on_batch", lambda part: sizes.append(part.shape[0]) or original(part))
    images = np.zeros((10, 6, 6, 3), np.uint8)
    assert predict(two_outputs, images, 4)["mean"].shape == (10, 4)
    assert sizes == [4, 4, 4]


def test_a_batch_too_large_for_the_memory_is_halved_once(two_outputs, monkeypatch):
    monkeypatch.setattr(batches, "_fitting", {})
    sizes = []
    original = two_outputs.predict_on_batch

    def small(part: np.ndarray) -> dict:
        sizes.append(len(part))
        if len(part) > 3:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return original(part)

    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), np.uint8)
    expected = predict(two_outputs, images, 8)
    monkeypatch.setattr(two_outputs, "predict_on_batch", small)
    for _ in range(2):
        np.testing.assert_allclose(predict(two_outputs, images, 8)["map"], expected["map"], rtol=1e-4, atol=1e-3)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 2]
    monkeypatch.setattr(batches, "_fitting", {two_outputs: 4})
    monkeypatch.setattr(two_outputs, "predict_on_batch", lambda _: small(images[:4]))
    with pytest.raises(tf.errors.ResourceExhaustedError):
        predict(two_outputs, images, 8)


def test_one_output_is_an_array():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    inputs = np.arange(9, dtype=np.float32).reshape(3, 3)
    np.testing.assert_allclose(predict(model, inputs, 2), model(inputs), rtol=1e-5)


def test_nothing_is_compiled_by_xla_which_keras_does_on_gpus():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    model.jit_compile = True  # as Keras decides where there is a GPU
    predict(model, np.zeros((3, 3), np.float32), 2)
    assert model.jit_compile is False


def test_several_inputs_go_together():
    left, right = keras.Input((2,)), keras.Input((3,))
    model = keras.Model([left, right], layers.Concatenate()([left, right]))
    x, y = np.arange(10, dtype=np.float32).reshape(5, 2), np.arange(15, dtype=np.float32).reshape(5, 3)
    assert predict(model, [x, y], 2).tolist() == np.concatenate([x, y], 1).tolist()
