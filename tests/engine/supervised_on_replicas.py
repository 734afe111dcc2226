"""Trains small models on one replica and on three, and writes what came out.

A process of its own, because TensorFlow divides a CPU into devices only before its first use:
`python -m tests.engine.supervised_on_replicas FOLDER 3`
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from artray.classifiers.losses import CrossEntropy
from artray.engine.augmentation import Augmentation, draw
from artray.engine.examples import Inputs, Shard
from artray.engine.perceptual import PerceptualTrainer
from artray.engine.sparsity import PruningConfig, pruned_groups
from artray.engine.supervised import SupervisedTrainer
from artray.engine.views import Views
from artray.models.style import StyleNetwork
from artray.models.stylizer import StylizerLosses, stylizer
from artray.storage import Location
from tests.engine.processes import on_one_and_several

EXAMPLES = 35
BATCH = 11  # 11 and 11 and 11 and 2: shares differ, and the last batch has fewer examples than there are replicas
FULL = EXAMPLES // BATCH * BATCH  # whole batches
rng = np.random.default_rng(0)
X = rng.integers(0, 256, (EXAMPLES, 8, 8, 3), np.uint8)
Y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, EXAMPLES)]
MULTILABEL = (rng.random((EXAMPLES, 3)) < 0.4).astype(np.float32)
MOVES = Augmentation(flip=True, turn=True)
WEIGHTS = rng.uniform(0.5, 2, EXAMPLES).astype(np.float32)


def network(normalized: bool = True) -> keras.Model:
    picture = x = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 255)(x)
    # Without a bias: before a normalisation its gradient is zero but for rounding, which Adam makes large.
    x = layers.Conv2D(4, 3, use_bias=not normalized, kernel_regularizer=keras.regularizers.L2(0.01), name="conv")(x)
    if normalized:
        inner_input = keras.Input(x.shape[1:])
        inner = keras.Model(inner_input, layers.BatchNormalization(momentum=0.8)(inner_input), name="inner")
        x = inner(x)
    x = layers.MaxPooling2D()(layers.ReLU()(x))
    return keras.Model(picture, layers.Dense(3, name="logits")(layers.Flatten()(x)))


CASES = {
    "adam": {"clip_norm": 0.3, "ema": 0.9, "examples": EXAMPLES},
    "sgd": {"optimizer": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True)},
    "rmsprop": {
        "optimizer": lambda: keras.optimizers.RMSprop(0.01),
        "loss": CrossEntropy(multilabel=True, label_smoothing=0.1, positive=np.float32([1, 2, 3])),
        "y": MULTILABEL,
    },
    "whole": {
        "build": lambda: network(normalized=False),
        "optimizer": lambda: keras.optimizers.AdamW(0.01),
        "examples": EXAMPLES,
    },
    "pieces": {
        "build": lambda: network(normalized=False),
        "optimizer": lambda: keras.optimizers.AdamW(0.01),
        "accumulate": 3,
        "examples": EXAMPLES,
    },
    # Mirrored and turned pictures, the numbers drawn with the batch: by Pillow beforehand, and by each device.
    "pillow": {"views": Views(MOVES)},
    "device": {"views": Views(MOVES)},
    "pruned": {
        "ema": 0.9,
        "optimizer": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
        "prune": partial(pruned_groups, PruningConfig(scope="global", skip_last=False)),
    },
    "half": {"clip_norm": 0.3, "ema": 0.9, "precision": "mixed_float16"},
}


SPARSITIES = [[None, 0.2, 0.3], [0.4, 0.5, None]]


def shards() -> Inputs:
    """X in files of four examples."""
    folder = Location.parse(Path(sys.argv[1]) / "shards")
    made = []
    for start in range(0, EXAMPLES, 4):
        rows, file = X[start : start + 4], folder / f"{start}.raw"
        file.write_bytes(rows.tobytes())
        made.append(Shard(file, len(rows), X.shape[1:], "uint8"))
    return Inputs(made, np.stack([np.arange(EXAMPLES) // 4, np.arange(EXAMPLES) % 4], axis=1))


def trainer_of(strategy: tf.distribute.Strategy | None, case: dict[str, Any]) -> SupervisedTrainer:
    keras.utils.set_random_seed(3)
    settings = {"build": network, "optimizer": lambda: keras.optimizers.Adam(0.01), "loss": CrossEntropy()}
    settings |= {name: value for name, value in case.items() if name not in ("y", "examples")}  # these are its data
    build, optimizer, loss = (settings.pop(name) for name in ("build", "optimizer", "loss"))
    trainer = SupervisedTrainer(build, optimizer, loss, strategy=strategy, **settings)
    trainer._view_on_device = trainer.on_gpu or case is CASES["device"]
    return trainer


def state_of(trainer: SupervisedTrainer) -> dict[str, np.ndarray]:
    """A copy: what is trained further changes in its place."""
    return {name: np.array(value) for name, value in trainer.state().items()}


def trained(trainer: SupervisedTrainer, case: dict[str, Any], inputs: Inputs | None = None) -> dict[str, np.ndarray]:
    """What two epochs make of it, of X or of `inputs`, which stream."""
    y, examples = case.get("y", Y), case.get("examples", FULL)
    draws = (lambda rows: draw(rows, MOVES, 0, 0)) if "views" in case else None
    x = X.__getitem__ if inputs is None else inputs.take
    results = {}
    losses = []
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(EXAMPLES)
        batches = [order[start : start + BATCH] for start in range(0, examples, BATCH)]
        if inputs is not None:
            inputs.follow(batches, trainer.share)
        take = lambda rows: (x(rows), y[rows], WEIGHTS[rows])  # noqa: E731
        planned = SPARSITIES[epoch] if "prune" in case else None
        for some in trainer.train(take, batches, [0.01] * len(batches), draws, planned):
            losses += some.tolist()
    with trainer.averaged():
        results["logits"] = trainer.predict(x, np.arange(EXAMPLES), 16)
        results |= {f"averaged/{name}": value for name, value in state_of(trainer).items() if name.startswith("model/")}
    placed = trainer.put([np.zeros(1, np.float32)] * trainer.count)
    results["places"] = np.array([value.device for value in trainer.strategy.experimental_local_results(placed)])
    return results | {"losses": np.array(losses)} | state_of(trainer)


def run(strategy: tf.distribute.Strategy | None) -> dict[str, np.ndarray]:
    """What came of each case, by `CASE/NAME`: of the first one also from shards, by `streamed/NAME`."""
    results = {}
    for name, case in CASES.items():
        trainer = trainer_of(strategy, case)
        start = state_of(trainer)
        results |= {f"{name}/{key}": value for key, value in trained(trainer, case).items()}
        if name == "adam":
            trainer.load(start)
            results |= {f"streamed/{key}": value for key, value in trained(trainer, case, shards()).items()}
    return results


def run_again(strategy: tf.distribute.Strategy | None) -> dict[str, np.ndarray]:
    """The states after an epoch with dropout, and after it is done again from the same state, by `again/TIME/NAME`."""
    keras.utils.set_random_seed(3)

    def build() -> keras.Model:
        model = network()
        return keras.Model(model.input, layers.Dropout(0.5)(model.output))

    optimizer = lambda: keras.optimizers.Adam(0.01)  # noqa: E731
    trainer = SupervisedTrainer(build, optimizer, CrossEntropy(), strategy=strategy, ema=0.9)

    def epoch() -> dict[str, np.ndarray]:
        batches = [np.arange(FULL)[start : start + BATCH] for start in range(0, FULL, BATCH)]
        list(trainer.train(lambda rows: (X[rows], Y[rows], WEIGHTS[rows]), batches, [0.01] * len(batches)))
        return state_of(trainer)

    before, first = epoch(), epoch()
    trainer.load(before)
    return {
        f"again/{time}/{name}": value
        for time, state in (("first", first), ("second", epoch()))
        for name, value in state.items()
    }


def run_perceptual(strategy: tf.distribute.Strategy | None) -> dict[str, np.ndarray]:
    """A stylizer's losses and state after two epochs, by `perceptual/NAME`."""
    keras.utils.set_random_seed(3)
    pictures = X.repeat(2, 1).repeat(2, 2)  # of 16 pixels, which the stylizer halves twice
    styles = [np.random.default_rng(2).random((3, 4, 4)).astype(np.float32)]

    def build() -> keras.Model:
        picture = keras.Input((None, None, 3))
        maps = layers.Conv2D(4, 3, 2, padding="same", activation="relu")(layers.Rescaling(1 / 255)(picture))
        looks = StyleNetwork(keras.Model([picture], [maps, maps]), [1.0, 1.0])
        return StylizerLosses(stylizer(3, width=4, blocks=1), looks, styles, (1.0, 1.0, 1.0))

    trainer = PerceptualTrainer(build, lambda: keras.optimizers.SGD(1e-3), row_bytes=3 * 16**2, strategy=strategy)
    losses = []
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(EXAMPLES)
        batches = [order[start : start + BATCH] for start in range(0, FULL, BATCH)]
        for some in trainer.train(
            lambda rows: (pictures[rows], Y[rows], WEIGHTS[rows]), batches, [1e-3] * len(batches)
        ):
            losses += some.tolist()
    state = {"losses": np.array(losses), **trainer.state()}
    return {f"perceptual/{name}": np.asarray(value) for name, value in state.items()}


if __name__ == "__main__":
    on_one_and_several(lambda strategy: run(strategy) | run_again(strategy) | run_perceptual(strategy))
