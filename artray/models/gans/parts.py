"""What generators and discriminators of all architectures have in common: their scale, their size, their labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from artray.errors import InputError


def to_rgb(x: keras.KerasTensor) -> Any:
    """Values from -1 to 1, as tanh gives them, to RGB 0..255."""
    return layers.Rescaling(127.5, offset=127.5, dtype="float32", name="rgb")(x)


def from_rgb(picture: keras.KerasTensor) -> Any:
    """RGB 0..255 to -1 to 1, the generator's scale."""
    return layers.Rescaling(1 / 127.5, offset=-1, name="scale")(picture)


def doublings(size: int, name: str) -> int:
    """How often a side of 4 pixels must be doubled to get this size.

    Raises:
        InputError: No number of times does.
    """
    times = (size // 4).bit_length() - 1
    if times < 1 or size != 4 << times:
        raise InputError(f"size: {name} makes pictures of 8, 16, 32, 64, 128, 256, … pixels a side, not of {size}")
    return times


def with_label(latents: keras.KerasTensor, labels: keras.KerasTensor | None) -> Any:
    """Latents, and after them as many numbers again as were learned for the label (Mirza and Osindero 2014)."""
    if labels is None:
        return latents
    embedded = layers.Dense(latents.shape[-1], use_bias=False, kernel_initializer="random_normal", name="label")(labels)
    return layers.Concatenate(name="latent_and_label")([latents, embedded])


def score(
    features: keras.KerasTensor,
    labels: keras.KerasTensor | None,
    dense: Callable[..., keras.Layer] = layers.Dense,
    **options: Any,
) -> Any:
    """A discriminator's score of a picture's features; with labels, of the picture as one of its class.

    With labels it is w·φ(x) + b + v_y·φ(x), the projection discriminator (Miyato and Koyama 2018).

    Args:
        features: φ(x), (n, d).
        labels: (n, classes) one-hot.
        dense: The kind of dense layer.
        options: Its keyword arguments.

    Returns:
        (n, 1), not bounded.
    """
    found = dense(1, name="score", **options)(features)
    if labels is None:
        return found
    projection = dense(features.shape[-1], use_bias=False, name="label", **options)(labels)
    fit = layers.Dot(1, name="label_score")([projection, features])
    return layers.Add(name="score_with_label")([found, fit])
