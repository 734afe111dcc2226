"""Labels in bfloat16: where they are allowed."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from artray.labeling import half_precision
from artray.labeling.half_precision import KEY, computes_in_half
from artray.models.batches import predict
from artray.models.half_precision import in_bfloat16, is_bfloat16_fast
from artray.models.vision_transformer import VisionTransformer


@pytest.mark.parametrize(
    ("flags", "fast"),
    [("fpu sse avx512_bf16 amx_tile", True), ("fpu amx_bf16", True), ("fpu avx2 avx512f bf16", False), ("", False)],
)
def test_what_a_processor_says(tmp_path, flags, fast):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: amx_bf16\n")
    assert is_bfloat16_fast(file) is fast
    assert not is_bfloat16_fast(Path(tmp_path / "none"))


@pytest.mark.parametrize(
    ("precision", "told", "fast", "expected"),
    [
        ("auto", {"holds": True}, True, True),
        ("auto", {"holds": True}, False, False),
        ("auto", {"holds": False}, True, False),
        ("auto", None, True, False),
        ("float32", {"holds": True}, True, False),
        ("bfloat16", None, False, True),
    ],
)
def test_auto_needs_a_bundle_that_holds_and_a_processor_that_can(monkeypatch, precision, told, fast, expected):
    monkeypatch.setattr(half_precision, "is_bfloat16_fast", lambda: fast)
    bundle = SimpleNamespace(metrics={} if told is None else {KEY: told})
    assert computes_in_half(precision, bundle) is expected
    # On a GPU its own capability counts, and not the processor beside it.
    assert computes_in_half(precision, bundle, gpu=(8, 0) if fast else (7, 5)) is expected
    assert computes_in_half(precision, bundle, gpu=(10, 2) if fast else (0, 0)) is expected


def test_a_network_computes_in_bfloat16_and_ends_in_float32():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    x = keras.layers.Dense(300, name="hidden")(inputs)
    x = keras.layers.Dense(3, name="logits")(x)
    scores = keras.layers.Activation("softmax", dtype="float32", name="scores")(x)
    model = keras.Model(inputs, scores)
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    expected, found = predict(model, x, 16), predict(in_bfloat16(other), x, 16)
    assert other.get_layer("hidden").compute_dtype == "bfloat16"
    assert other.get_layer("hidden").kernel.dtype == "float32"
    assert other.get_layer("scores").compute_dtype == "float32"
    assert found == pytest.approx(expected, abs=0.02)
    assert not np.array_equal(found, expected)
    assert found.sum(axis=1) == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_a_transformers_own_layers_do_too():
    keras.utils.set_random_seed(0)
    shape = VisionTransformer(size=8, patch=4, width=8, depth=1, heads=2, hidden=8, prefix=0, pooling="attention")
    model = in_bfloat16(shape.build())
    for name in ("block0", "pooled"):
        assert {layer.compute_dtype for layer in model.get_layer(name).own_layers()} == {"bfloat16"}
    assert np.isfinite(predict(model, np.zeros((2, 8, 8, 3), np.uint8), 2)).all()
