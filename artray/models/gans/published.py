"""The architectures of the thesis: BasicGAN (D1), GANDeconv-Conv (D2) and DCGAN (D3).

Generators go from latents to RGB 0..255, discriminators from RGB 0..255 to a score that is not bounded: where a source
has a sigmoid, it is part of the loss. With labels, the latents are joined by an embedding of the label, and the score
is that of a projection discriminator; the sources have no labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers

from artray.models.gans.parts import doublings, from_rgb, score, to_rgb, with_label


def basic_generator(
    latents: keras.KerasTensor, labels: keras.KerasTensor | None, size: int, *, units: int = 224
) -> Any:
    """BasicGAN's generator (D1): two hidden dense layers, every pixel a unit of the third.

    33,941,824 parameters at the published 224x224 and latents of 100 (the source's text; its code draws 150,528).

    Args:
        latents: (n, numbers).
        labels: (n, classes) one-hot, or None.
        size: Side of the pictures, any.
        units: Of each hidden layer.

    Returns:
        (n, size, size, 3) RGB 0..255.
    """
    x = with_label(latents, labels)
    for number in (1, 2):
        x = layers.LeakyReLU(0.2, name=f"relu{number}")(layers.Dense(units, name=f"dense{number}")(x))
    x = layers.Dense(size * size * 3, activation="tanh", name="pixels")(x)
    return to_rgb(layers.Reshape((size, size, 3), name="picture")(x))


def basic_discriminator(
    picture: keras.KerasTensor, labels: keras.KerasTensor | None, size: int, *, units: int = 224
) -> Any:
    """BasicGAN's discriminator (D1): two hidden dense layers on all pixels.

    33,769,121 parameters at the published 224x224.

    Args:
        picture: (n, size, size, 3) RGB 0..255.
        labels: (n, classes) one-hot, or None.
        size: Side of the pictures.
        units: Of each hidden layer.

    Returns:
        (n, 1) scores.
    """
    x = layers.Flatten(name="pixels")(from_rgb(picture))
    for number in (1, 2):
        x = layers.LeakyReLU(0.2, name=f"relu{number}")(layers.Dense(units, name=f"dense{number}")(x))
    return score(x, labels)


def deconv_generator(
    latents: keras.KerasTensor, labels: keras.KerasTensor | None, size: int, *, width: int = 128
) -> Any:
    """GANDeconv-Conv's generator (D2): 5x5 transposed convolutions of stride 2, half as many maps each time.

    481,742 learned parameters at the published 128x128 and latents of 100. Like the source's, the normalisations have
    no scale, and the last one stands before tanh.

    Args:
        latents: (n, numbers).
        labels: (n, classes) one-hot, or None.
        size: Side of the pictures: 8, 16, 32, …
        width: Maps at 4x4.

    Returns:
        (n, size, size, 3) RGB 0..255.
    """

    def normalized(x: Any, number: int) -> Any:
        return layers.BatchNormalization(scale=False, momentum=0.9, epsilon=1e-3, name=f"norm{number}")(x)

    x = layers.Dense(4 * 4 * width, name="dense")(with_label(latents, labels))
    x = layers.ReLU(name="relu0")(normalized(x, 0))
    x = layers.Reshape((4, 4, width), name="start")(x)
    times = doublings(size, "deconv")
    for number in range(1, times + 1):
        maps = 3 if number == times else max(width >> number, 4)
        x = layers.Conv2DTranspose(maps, 5, strides=2, padding="same", name=f"deconv{number}")(x)
        x = normalized(x, number)
        x = layers.Activation("tanh", name="tanh")(x) if number == times else layers.ReLU(name=f"relu{number}")(x)
    return to_rgb(x)


def deconv_discriminator(
    picture: keras.KerasTensor,
    labels: keras.KerasTensor | None,
    size: int,
    *,
    pools: Sequence[int] = (8, 4),
    pool: Literal["max", "average"] = "max",
    maps: Sequence[int] = (8, 16),
    slope: float = 0.0,
) -> Any:
    """GANDeconv-Conv's discriminator (D2): two convolutions with large pools.

    1,177 parameters at the published 128x128. It sees the brightest spot of each of 16 squares, whatever lies around.

    Args:
        picture: (n, size, size, 3) RGB 0..255.
        labels: (n, classes) one-hot, or None.
        size: Side of the pictures.
        pools: Sides of the pools; 8 and 4 in the source.
        pool: What they keep; the greatest in the source.
        maps: Of each convolution; 8 and 16 in the source.
        slope: Of the convolutions' ReLU below 0; 0 in the source.

    Returns:
        (n, 1) scores.
    """
    pooling = layers.MaxPooling2D if pool == "max" else layers.AveragePooling2D
    x = from_rgb(picture)
    for number, (kernel, count, side) in enumerate(zip((4, 2), maps, pools, strict=True), 1):
        x = layers.Conv2D(count, kernel, padding="same", name=f"conv{number}")(x)
        x = layers.LeakyReLU(slope, name=f"relu{number}")(x) if slope else layers.ReLU(name=f"relu{number}")(x)
        x = pooling(side, padding="same", name=f"pool{number}")(x)
    return score(layers.Flatten(name="flatten")(x), labels)


def _small() -> keras.initializers.Initializer:
    """The paper's start. One for each layer: an initializer draws its seed when it is made, from the run's."""
    return keras.initializers.RandomNormal(stddev=0.02)


def dcgan_generator(
    latents: keras.KerasTensor, labels: keras.KerasTensor | None, size: int, *, width: int = 64, kernel: int = 4
) -> Any:
    """DCGAN's generator (D3; Radford, Metz and Chintala 2015).

    From 4x4 by transposed convolutions of stride 2, each with half as many maps as the one before: at 64x64
    8, 4, 2, 1 times `width`, then RGB. With width 128 and kernel 5 it is the paper's (1024, 512, 256, 128); 64 and 5
    is that of DCGAN-tensorflow, on which the thesis builds. A kernel of 4 covers all pixels alike, with two thirds of
    the arithmetic.

    Args:
        latents: (n, numbers).
        labels: (n, classes) one-hot, or None.
        size: Side of the pictures: 8, 16, 32, …
        width: Maps before the last convolution.
        kernel: Side of the convolutions' kernels.

    Returns:
        (n, size, size, 3) RGB 0..255.
    """

    def activated(x: Any, number: int) -> Any:
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"norm{number}")(x)
        return layers.ReLU(name=f"relu{number}")(x)

    times = doublings(size, "dcgan")
    maps = [width * min(8, 1 << (times - 1 - number)) for number in range(times)]
    x = layers.Dense(4 * 4 * maps[0], use_bias=False, name="dense", kernel_initializer=_small())(
        with_label(latents, labels)
    )
    x = activated(layers.Reshape((4, 4, maps[0]), name="start")(x), 0)
    for number in range(1, times):
        x = layers.Conv2DTranspose(
            maps[number],
            kernel,
            strides=2,
            padding="same",
            use_bias=False,
            name=f"deconv{number}",
            kernel_initializer=_small(),
        )(x)
        x = activated(x, number)
    x = layers.Conv2DTranspose(
        3, kernel, strides=2, padding="same", activation="tanh", name=f"deconv{times}", kernel_initializer=_small()
    )(x)
    return to_rgb(x)


def dcgan_discriminator(
    picture: keras.KerasTensor,
    labels: keras.KerasTensor | None,
    size: int,
    *,
    width: int = 64,
    kernel: int = 4,
    normalization: Literal["batch", "layer"] = "batch",
) -> Any:
    """DCGAN's discriminator (D3): convolutions of stride 2 down to 4x4, normalised but for the first.

    Args:
        picture: (n, size, size, 3) RGB 0..255.
        labels: (n, classes) one-hot, or None.
        size: Side of the pictures: 8, 16, 32, …
        width: Maps of the first convolution; each other has twice those of the one before, 8 times `width` at most.
        kernel: Side of the convolutions' kernels.
        normalization: `layer` where a picture's score must not depend on the others of its batch: a gradient penalty
            is of each picture for itself (Gulrajani et al. 2017).

    Returns:
        (n, 1) scores.
    """
    x = from_rgb(picture)
    for number in range(doublings(size, "dcgan")):
        maps = width * min(8, 1 << number)
        x = layers.Conv2D(
            maps,
            kernel,
            strides=2,
            padding="same",
            use_bias=number == 0,
            name=f"conv{number}",
            kernel_initializer=_small(),
        )(x)
        if number and normalization == "batch":
            x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"norm{number}")(x)
        elif number:
            x = layers.GroupNormalization(1, epsilon=1e-5, name=f"norm{number}")(x)
        x = layers.LeakyReLU(0.2, name=f"relu{number}")(x)
    return score(layers.Flatten(name="flatten")(x), labels, kernel_initializer=_small())
