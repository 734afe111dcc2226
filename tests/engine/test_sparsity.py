import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from pydantic import ValidationError

from artray.engine.sparsity import PruningConfig, SparsitySchedule, kernels, pruned_groups, sparsity_of
from artray.errors import InputError


def network() -> keras.Model:
    picture = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, name="conv")(picture)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.BatchNormalization(name="norm")(x)
    inside = keras.Input((16,))
    hidden = keras.Model(inside, layers.Dense(5, name="hidden")(inside), name="inner")
    return keras.Model(picture, layers.Dense(3, name="logits")(hidden(layers.Flatten()(x))))


@given(
    st.floats(0, 0.99),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(1, 400),
    st.integers(1, 30),
)
def test_the_schedule_is_tfmots(target, initial, begin, end, updates, every):
    """`tfmot.sparsity.keras.PolynomialDecay` with power 3, as it is published."""
    begin, end = min(begin, end), max(begin, end)
    config = PruningConfig(target=target, initial=initial * target, begin=begin, end=end, every=every)
    schedule = SparsitySchedule(config, updates)
    first, last = schedule.begin, schedule.end
    reached = 0.0
    for step in range(1, updates + 1):
        planned = schedule.at(step)
        if step < first or step > last:
            assert planned is None
        elif (step - first) % every == 0 or step == last:
            p = min(1.0, max(0.0, (step - first) / (last - first))) if last > first else 1.0
            assert planned == pytest.approx((config.initial - target) * (1 - p) ** 3 + target)
            assert planned >= reached - 1e-12
            reached = planned
        else:
            assert planned is None
        assert schedule.reached(step) == pytest.approx(reached)
    assert schedule.reached(updates) == target


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"begin": 0.9}, "begin: 0.9 comes after end: 0.8"),
        ({"initial": 0.6}, "initial: 0.6 is more than target: 0.5"),
        ({"target": 1}, "less than 1"),
        ({"scope": "all"}, "'layer' or 'global'"),
        ({"final": 0.5}, "Extra inputs"),
    ],
)
def test_a_plan_that_is_none(values, words):
    with pytest.raises(ValidationError, match=words):
        PruningConfig.model_validate(values)


def test_which_kernels_are_pruned():
    model = network()
    assert ["/".join(names) for names, _ in kernels(model)] == ["conv", "inner/hidden", "logits"]

    def names(learning: list | None = None, **values: object) -> list[list[str]]:
        known = {id(kernel): names[-1] for names, kernel in kernels(model)}
        groups = pruned_groups(PruningConfig(**values), model, model.variables if learning is None else learning)
        return [[known[id(kernel)] for kernel in group] for group in groups]

    assert names() == [["conv"], ["hidden"]]
    assert names(scope="global", skip_last=False) == [["conv", "hidden", "logits"]]
    assert names(skip=["con*"]) == [["hidden"]]
    assert names(skip=["inner"]) == [["conv"]]
    learning = model.get_layer("conv").variables
    assert names(learning) == [["conv"]]
    assert names(learning, skip_frozen=False) == [["conv"], ["hidden"]]
    with pytest.raises(InputError, match=r"pruning.skip: no layer is called 'dense\*'"):
        names(skip=["dense*"])
    with pytest.raises(InputError, match="nothing is left to prune of 3 kernels"):
        names([])


def test_a_layer_that_stands_in_a_model_twice_counts_once():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    shared = layers.Dense(2, name="shared")
    model = keras.Model(inputs, layers.Add()([shared(each) for each in inputs]))
    assert len(kernels(model)) == 1


def test_sparsity_of_a_model():
    model = network()
    values = np.ones((3, 3, 3, 4), np.float32)
    values[0] = 0
    model.get_layer("conv").kernel.assign(values)
    model.get_layer("logits").kernel.assign(np.ones((5, 3)))
    model.get_layer("inner").get_layer("hidden").kernel.assign(np.ones((16, 5)))
    found = sparsity_of(model)
    assert found["layers"] == {"conv": 0.3333, "inner/hidden": 0.0, "logits": 0.0}
    assert found["share"] == round(36 / (108 + 80 + 15), 4)
    assert found["parameters"] == model.count_params()
    assert found["zeros"] >= 36  # biases too
