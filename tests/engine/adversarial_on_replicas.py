"""Trains small GANs on one replica and on two, and writes what came out.

A process of its own, as `supervised_on_replicas` is: `python -m tests.engine.adversarial_on_replicas FOLDER 2`
"""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from keras import layers

from artray.engine.adversarial import AdversarialTrainer
from artray.engine.adversarial_step import Adaptive, Blur
from artray.gans.latents import draw_latents
from artray.models.gans.parts import from_rgb, score, to_rgb
from artray.models.gans.residual import SpectralConv2D, SpectralDense
from tests.engine.processes import on_one_and_several

EXAMPLES = 30
BATCH = 7  # 4 and 3
LATENT_SIZE = 4
rng = np.random.default_rng(0)
X = rng.integers(0, 256, (EXAMPLES, 8, 8, 3), np.uint8)
Y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, EXAMPLES)]


def generator(labelled: bool = False) -> keras.Model:
    latents, labels = keras.Input((LATENT_SIZE,)), keras.Input((3,))
    x = layers.Concatenate()([latents, labels]) if labelled else latents
    x = layers.Reshape((4, 4, 3))(layers.Dense(48, use_bias=False)(x))
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
    x = to_rgb(layers.Conv2DTranspose(3, 4, strides=2, padding="same", activation="tanh")(x))
    return keras.Model([latents, labels] if labelled else latents, x)


def discriminator(kind: str = "plain", labelled: bool = False) -> keras.Model:
    picture, labels = keras.Input((8, 8, 3)), keras.Input((3,))
    conv, dense = (SpectralConv2D, SpectralDense) if kind == "spectral" else (layers.Conv2D, layers.Dense)
    x = conv(4, 4, strides=2, use_bias=kind != "batch")(from_rgb(picture))
    if kind == "batch":
        x = layers.BatchNormalization(momentum=0.8)(x)
    x = layers.LeakyReLU(0.2)(x)
    if kind == "autoencoder":
        return keras.Model(picture, to_rgb(layers.Reshape((8, 8, 3))(layers.Dense(192)(layers.Flatten()(x)))))
    if kind == "frozen":
        return frozen_and_heads()
    x = score(layers.Flatten()(x), labels if labelled else None, dense)
    return keras.Model([picture, labels] if labelled else picture, x)


def frozen_and_heads() -> keras.Model:
    """As the projected discriminator is made: maps by weights that never learn, and what judges these."""
    picture = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(from_rgb(picture))
    projector = keras.Model(picture, [x, layers.Conv2D(6, 3, strides=2, padding="same")(x)], name="projector")
    projector.trainable = False
    maps = projector(picture)
    inputs = [keras.Input(one.shape[1:]) for one in maps]
    scores = [layers.Flatten()(layers.Conv2D(1, 2)(layers.BatchNormalization(momentum=0.8)(one))) for one in inputs]
    heads = keras.Model(inputs, layers.Concatenate()(scores), name="heads")
    return keras.Model(picture, heads(list(maps)))


CASES = {
    "ns": {
        "kind": "batch",
        "labelled": True,
        "discriminator_steps": 2,
        "generator_steps": 2,
        "ema": 0.9,
        "constants": {"label_smoothing": 0.1},
    },
    "hinge": {"kind": "spectral", "changes": ("color", "translation", "cutout")},
    "wgan": {"constants": {"clip": 0.05}},
    "wgan_gp": {},
    "began": {"kind": "autoencoder", "constants": {"gain": 0.5}},
    "r1": {"changes": ("color", "translation"), "adaptive": Adaptive(target=0.0, length=40), "ema": 0.9},
    "rpgan": {"kind": "spectral", "constants": {"penalty": 2.0}},
    "lsgan": {"kind": "frozen", "changes": ("color", "cutout"), "blur": Blur(1.0, 20), "generator_steps": 2},
}


def trainer(loss: str, strategy: tf.distribute.Strategy | None = None, **settings: object) -> AdversarialTrainer:
    keras.utils.set_random_seed(3)
    kind, labelled = settings.pop("kind", "plain"), settings.pop("labelled", False)
    return AdversarialTrainer(
        lambda: generator(labelled),
        lambda: discriminator(kind, labelled),
        [lambda: keras.optimizers.Adam(0.001, beta_1=0.5), lambda: keras.optimizers.SGD(0.01)],
        lambda step, count: draw_latents(count, LATENT_SIZE, "normal", (5, step)),
        loss=loss,
        strategy=strategy,
        **settings,
    )


def fit(trained: AdversarialTrainer, steps: range, labelled: bool = False) -> np.ndarray:
    batches = [np.random.default_rng(step).permutation(EXAMPLES)[:BATCH] for step in steps]
    y = Y if labelled else np.zeros((EXAMPLES, 0), np.float32)
    rates = [(0.001 * (1 + step % 2), 0.01) for step in steps]
    told = trained.train(lambda rows: (X[rows], y[rows]), batches, steps.start, rates)
    return np.concatenate([metrics for metrics, _ in told])


def run(strategy: tf.distribute.Strategy | None) -> dict[str, np.ndarray]:
    """What came of each case, by `CASE/NAME`."""
    results = {}
    for loss, case in CASES.items():
        trained = trainer(loss, strategy, **case)
        results[f"{loss}/metrics"] = fit(trained, range(4), case.get("labelled", False))
        results |= {f"{loss}/{name}": value for name, value in trained.state().items()}
    return results


if __name__ == "__main__":
    on_one_and_several(run)
