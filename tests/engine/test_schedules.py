import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from artray.engine.schedules import Freezing, Schedule, improved, should_stop
from artray.errors import InputError


def schedule(**changes: object) -> Schedule:
    return Schedule(**{"highest": 0.1, "epochs": 20, **changes})


def history(*losses: float, metric: str = "validation_loss") -> list[dict[str, float]]:
    return [{metric: value} for value in losses]


def test_constant():
    assert {schedule().rate(epochs) for epochs in (0, 3.5, 100)} == {0.1}


@given(st.floats(0, 20))
def test_cosine_is_half_a_wave(epochs):
    rate = schedule(shape="cosine").rate(epochs)
    assert rate == pytest.approx(0.05 * (1 + math.cos(math.pi * epochs / 20)))


def test_step():
    rates = [schedule(shape="step", decay=0.5, decay_epochs=4).rate(epochs) for epochs in range(10)]
    assert rates == pytest.approx([0.1] * 4 + [0.05] * 4 + [0.025] * 2)


@given(st.sampled_from(["constant", "cosine", "step"]), st.floats(0, 5))
def test_warm_up_rises_to_where_the_schedule_begins(shape, epochs):
    rate = schedule(shape=shape, warmup_epochs=5).rate(epochs)
    assert rate == pytest.approx(0.1 * epochs / 5)


def test_plateau_follows_the_metric():
    plateau = schedule(shape="plateau", decay=0.1, decay_epochs=2)
    seen = [3.0, 2.0, 2.5, 2.1, 1.9, 1.9, 2.0, 1.95, 1.8]
    rates = [plateau.rate(n, history(*seen[:n])) for n in range(len(seen) + 1)]
    # 2.0 stands for two epochs: once; 1.9 stands for two, then one more: once.
    assert rates == pytest.approx([0.1] * 4 + [0.01] * 3 + [0.001] * 3)
    rising = schedule(shape="plateau", decay_epochs=1, monitor="validation_accuracy")
    assert rising.rate(2, history(0.5, 0.6, metric="validation_accuracy")) == 0.1
    assert rising.rate(2, history(0.6, 0.5, metric="validation_accuracy")) == pytest.approx(0.01)


def test_early_stopping():
    assert not should_stop([], "validation_loss", 2)
    assert not should_stop(history(3, 2, 2.5), "validation_loss", 2)
    assert should_stop(history(3, 2, 2.5, 2.0), "validation_loss", 2)
    assert not should_stop(history(3, 2, 2.5, 1.9), "validation_loss", 2)
    assert should_stop([{"validation_loss": 2, "validation_accuracy": 0.6}] * 2, "validation_accuracy", 1)


def test_improved():
    assert improved("validation_loss", 1, 2)
    assert not improved("validation_loss", 2, 2)
    assert improved("validation_balanced_accuracy", 0.6, 0.5)
    assert not improved("validation_accuracy", float("nan"), 0.5)


def network(**kwargs: object) -> keras.Model:
    inner_input = x = keras.Input((4,))
    for block in (1, 2):
        x = layers.Dense(4, name=f"block{block}_dense")(x)
        x = layers.BatchNormalization(name=f"block{block}_norm")(x)
    inner = keras.Model(inner_input, x, name="backbone")
    for name, value in kwargs.items():
        setattr(inner, name, value)
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(2, name="logits")(inner(inputs)))


def learning(model: keras.Model) -> set[str]:
    return {variable.path.split("/")[-2] for variable in model.trainable_variables}


def test_freeze_and_unfreeze():
    model = network()
    freezing = Freezing(model, ["backbone"], {3: ["block2_*"], 5: ["*"]})
    found = {}
    for epoch in range(1, 6):
        freezing.apply(epoch)
        found[epoch] = learning(model)
    assert found[1] == found[2] == {"logits"}
    assert found[3] == found[4] == {"logits", "block2_dense", "block2_norm"}
    assert found[5] == found[4] | {"block1_dense", "block1_norm"}
    assert [epoch for epoch in range(1, 7) if freezing.changes(epoch)] == [3, 5]
    assert len(freezing.ever_trainable()) == 2 * (2 + 2) + 2


def test_what_a_builder_froze_stays_frozen_until_it_is_named():
    model = network(trainable=False)
    freezing = Freezing(model, [], {2: ["block2_dense"]})
    freezing.apply(1)
    assert learning(model) == {"logits"}
    freezing.apply(2)
    assert learning(model) == {"logits", "block2_dense"}
    assert len(freezing.ever_trainable()) == 4


def test_a_frozen_normalisation_is_in_inference_mode():
    model = network()
    Freezing(model, ["*_norm"], {}).apply(1)
    x = np.random.default_rng(0).normal(5, 2, (8, 4)).astype(np.float32)
    assert np.allclose(np.asarray(model(x, training=True)), np.asarray(model(x, training=False)), atol=1e-6)


@pytest.mark.parametrize(
    ("key", "freeze", "unfreeze"), [("freeze", ["blok1_*"], {}), ("unfreeze", [], {2: ["blok1_*"]})]
)
def test_a_pattern_that_fits_nothing(key, freeze, unfreeze):
    with pytest.raises(InputError, match=rf"^{key}: no layer is called 'blok1_\*' \(there are .*block1_dense"):
        Freezing(network(), freeze, unfreeze)
