"""Classifiers of the published systems, as functions from an input tensor to one logit a class.

A classifier that takes pictures takes RGB 0..255 and scales them itself, so that no caller can scale them differently
in training and in labelling. Softmax and calibration are put on top when a bundle is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import keras
from keras import layers

from artray.errors import InputError


def linear_head(features: keras.KerasTensor, classes: int, *, dropout: float = 0.0, l2: float = 0.0) -> Any:
    """A linear classifier on frozen features (C4's role: only the last layer of a pre-trained model learns).

    Args:
        features: (n, d), standardised.
        classes: Number of classes.
        dropout: Share of the features dropped in training.
        l2: Weight decay of the dense layer's kernel.

    Returns:
        (n, classes) logits.
    """
    # To a length of about 1: what an l2 means does not depend on how many features there are.
    x = layers.Rescaling(features.shape[-1] ** -0.5, name="unit_length")(features)
    x = layers.Dropout(dropout, name="dropout")(x)
    decay = keras.regularizers.L2(l2) if l2 else None
    return layers.Dense(classes, kernel_initializer="zeros", kernel_regularizer=decay, name="logits")(x)


def one_block_vgg(
    picture: keras.KerasTensor,
    classes: int,
    *,
    filters: int = 32,
    dense: int = 128,
    dropout: Sequence[float] = (0.2, 0.5),
) -> Any:
    """One VGG block on patches (C3): 3x3 convolution, pool, 128 dense units.

    The published model ends in one sigmoid unit; ours ends in one logit a class, which is the same function for two
    classes and works for more.

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
    return layers.Dense(classes, name="logits")(x)


CLASSIFIERS: dict[str, Callable[..., Any]] = {"linear_head": linear_head, "one_block_vgg": one_block_vgg}
"""What a config's `model: {name: …}` can name."""


def classifier(
    name: str,
    shape: Sequence[int],
    classes: int,
    settings: Mapping[str, object],
    standardize: tuple[Sequence[float], Sequence[float]] | None = None,
) -> keras.Model:
    """A classifier by its name, as a model.

    Args:
        name: One of `CLASSIFIERS`.
        shape: Of one example: (d,) for features, (height, width, 3) for pictures.
        classes: Number of classes.
        settings: The classifier's own keyword arguments.
        standardize: Mean and variance of each feature over the training part; features only.

    Raises:
        InputError: No such classifier, or it does not take these settings.
    """
    if name not in CLASSIFIERS:
        near = get_close_matches(name, CLASSIFIERS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"model.name: there is no model {name!r} ({', '.join(CLASSIFIERS)}){hint}")
    inputs = x = keras.Input(tuple(shape), name="picture" if len(shape) == 3 else "features")
    if standardize:
        mean, variance = standardize
        x = layers.Normalization(mean=list(mean), variance=list(variance), name="standardize")(x)
    try:
        logits = CLASSIFIERS[name](x, classes, **settings)
    except (IndexError, TypeError, ValueError) as error:
        raise InputError(f"model: {name} can't be built so: {' '.join(str(error).split())[:200]}") from error
    return keras.Model(inputs, logits, name=name)


def calibrated(model: keras.Model, temperature: float) -> keras.Model:
    """The model with softmax(logits / temperature) on top: scores that mean what they say (Guo et al. 2017)."""
    scaled = layers.Rescaling(1 / temperature, name="temperature")(model.output)
    return keras.Model(model.input, layers.Softmax(name="scores")(scaled), name=model.name)
