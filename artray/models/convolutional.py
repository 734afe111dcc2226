"""Small convolutional networks on pictures, trained from scratch.

They take RGB 0..255 and scale it themselves, and end in one logit a class, where the published ones end in a sigmoid
unit or a softmax: the same function for two classes, and one that a temperature can calibrate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from artray.models.heads import logits


def one_block_vgg(
    picture: keras.KerasTensor,
    classes: int,
    *,
    filters: int = 32,
    dense: int = 128,
    dropout: Sequence[float] = (0.2, 0.5),
) -> Any:
    """One VGG block on patches (C3): 3x3 convolution, pool, 128 dense units.

    67,109,888 + 129 a class at the published 256x256.

    Args:
        picture: (n, height, width, 3) RGB 0..255.
        classes: Number of classes.
        filters: Maps of the convolution.
        dense: Units of the hidden layer.
        dropout: Shares dropped after the pool and after the dense layer.

    Returns:
        (n, classes) logits.
    """
    x = layers.Rescaling(1 / 255, name="scale")(picture)
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", kernel_initializer="he_uniform", name="conv")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Dropout(dropout[0], name="pool_dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense, activation="relu", kernel_initializer="he_uniform", name="dense")(x)
    x = layers.Dropout(dropout[1], name="dense_dropout")(x)
    return logits(x, classes)


def valence_cnn(
    picture: keras.KerasTensor,
    classes: int,
    *,
    filters: Sequence[int] = (16, 32, 16),
    dense: int = 256,
    dropout: float = 0.0,
) -> Any:
    """Valence CNN (C2): three 3x3 convolutions, each followed by a pool, and a hidden layer.

    3,696,368 + 257 a class at the published 256x256, as published (3,696,625 with its one unit). The published network
    has no dropout.

    Args:
        picture: (n, height, width, 3) RGB 0..255.
        classes: Number of classes.
        filters: Maps of each convolution.
        dense: Units of the hidden layer.
        dropout: Share dropped before the hidden layer and before the logits.

    Returns:
        (n, classes) logits.
    """
    x = _stages(layers.Rescaling(1 / 255, name="scale")(picture), filters)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="flatten_dropout")(x)
    x = layers.Dense(dense, activation="relu", name="dense")(x)
    x = layers.Dropout(dropout, name="dense_dropout")(x)
    return logits(x, classes)


def shallnet(picture: keras.KerasTensor, classes: int) -> Any:
    """ShallNet (C5): two convolutions with large pools.

    896 + 785 a class at the published 224x224. Like the published ones, the convolutions have no bias.

    Args:
        picture: (n, height, width, 3) RGB 0..255.
        classes: Number of classes.

    Returns:
        (n, classes) logits.
    """
    x = layers.Rescaling(1 / 255, name="scale")(picture)
    x = layers.Conv2D(8, 4, padding="same", use_bias=False, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(8, padding="same", name="pool1")(x)
    x = layers.Conv2D(16, 2, padding="same", use_bias=False, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(4, padding="same", name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    return logits(x, classes)


def baseline_cnn(
    picture: keras.KerasTensor,
    classes: int,
    *,
    filters: Sequence[int] = (32, 64, 128, 128),
    dense: int = 512,
    dropout: float = 0.4,
) -> Any:
    """Baseline CNN (C8): stages of a 3x3 convolution and a pool, dropout, a hidden layer.

    6,794,944 + 513 a class at the published 200x200. The source names three stages and the maps 32, 64, 128, 128, and
    builds on F. Chollet's network for small data sets, which has four stages with these maps and 512 hidden units: so
    has ours.

    Args:
        picture: (n, height, width, 3) RGB 0..255.
        classes: Number of classes.
        filters: Maps of each stage.
        dense: Units of the hidden layer.
        dropout: Share dropped before the hidden layer.

    Returns:
        (n, classes) logits.
    """
    x = _stages(layers.Rescaling(1 / 255, name="scale")(picture), filters)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    x = layers.Dense(dense, activation="relu", name="dense")(x)
    return logits(x, classes)


def _stages(x: keras.KerasTensor, filters: Sequence[int]) -> keras.KerasTensor:
    for number, maps in enumerate(filters, start=1):
        x = layers.Conv2D(maps, 3, activation="relu", name=f"conv{number}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    return x
