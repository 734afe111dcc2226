import numpy as np
import pytest
import tensorflow as tf

from artray.engine.compilation import Compiled
from artray.errors import InputError


@pytest.fixture
def a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["GPU:0"] if kind == "GPU" else [])


def doubled(x, jit):
    return jit(lambda x: 2 * x)(x)


def by_python(x, jit):
    """XLA has no calls of Python."""
    return jit(lambda x: tf.numpy_function(lambda values: 2 * values, [x], tf.float32))(x)


@pytest.mark.parametrize("how", ["auto", "on", "off"])
@pytest.mark.parametrize("often", [True, False])
def test_compiled_or_not_it_is_the_same_function(a_gpu, how, often):
    assert np.array_equal(Compiled(doubled, how)(tf.constant([1.0, 2.0]), often=often), [2, 4])


def test_auto_goes_on_without_where_xla_can_not(a_gpu):
    function = Compiled(by_python, "auto")
    for _ in range(2):
        assert np.array_equal(function(tf.constant([1.0, 2.0])), [2, 4])


@pytest.mark.parametrize(("how", "replicas"), [("off", 1), ("auto", 2)])
def test_not_even_tried(a_gpu, how, replicas):
    tried = []

    def function(x, jit):
        tried.append(jit.__name__)
        return x

    Compiled(function, how, replicas)(tf.constant(1.0))
    assert tried == ["as_it_is"]


def test_auto_compiles_nothing_on_a_cpu():
    tried = []

    def function(x, jit):
        tried.append(jit.__name__)
        return x

    Compiled(function, "auto")(tf.constant(1.0))
    assert tried == ["as_it_is"]


def test_on_says_in_one_line_that_xla_can_not():
    with pytest.raises(InputError, match=r"^--compile on: XLA can't compile this model; use auto or off: ") as raised:
        Compiled(by_python, "on")(tf.constant([1.0, 2.0]))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("how", ["off", "on"])
@pytest.mark.parametrize(("varying", "traced"), [(1, [None, 2, 3]), (2, [None, None, 3])])
def test_traced_once_whatever_the_size_of_what_varies(how, varying, traced):
    """A call of many steps and the rest of an epoch; batches and the last examples."""
    shapes = []

    def function(x, factor, jit):
        shapes.append((x.shape.as_list(), factor.shape.as_list()))
        return jit(lambda x: x * factor)(x)

    compiled = Compiled(function, how, varying=varying)
    for steps, examples in ((3, 2), (1, 2), (2, 3 - varying)):
        x = np.random.default_rng(steps).normal(size=(steps, examples, 3)).astype(np.float32)
        assert np.array_equal(compiled(tf.constant(x), tf.constant(2.0)), 2 * x)
    assert shapes == [(traced, [])]
