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


def conditioned(x: keras.KerasTensor, labels: keras.KerasTensor | None, name: str, *, described: bool = False) -> Any:
    """Maps normalised by their batch; with labels, scale and offset are the label's (Miyato and Koyama 2018).

    Args:
        x: (n, height, width, maps).
        labels: (n, classes) one-hot, or None.
        name: Of the normalisation, and the beginning of the others' names.
        described: Labels are vectors of any numbers: scales begin as 1 and offsets as 0 whatever they are.
    """

    def of_label(maps: int, start: str, name: str) -> Any:
        if not described:
            return layers.Dense(maps, use_bias=False, kernel_initializer=start, name=name)(labels)
        return layers.Dense(maps, kernel_initializer="zeros", bias_initializer=start, name=name)(labels)

    plain, maps, short = labels is None, x.shape[-1], name.removesuffix("_norm")
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, center=plain, scale=plain, name=name)(x)
    if labels is None:
        return x
    scale, offset = (
        layers.Reshape((1, 1, maps), name=f"{short}_{kind}_shape")(of_label(maps, start, f"{short}_{kind}"))
        for kind, start in (("scale", "ones"), ("offset", "zeros"))
    )
    return layers.Add(name=f"{short}_moved")([layers.Multiply(name=f"{short}_scaled")([x, scale]), offset])


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
    plain = dense(1, name="score", **options)(features)
    if labels is None:
        return plain
    projection = dense(features.shape[-1], use_bias=False, name="label", **options)(labels)
    fit = layers.Dot(1, name="label_score")([projection, features])
    return layers.Add(name="score_with_label")([plain, fit])
