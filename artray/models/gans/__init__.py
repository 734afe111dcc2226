"""Pairs of a generator and a discriminator by name.

A generator makes RGB 0..255 of latents, a discriminator takes RGB 0..255: like every model of artray they scale
pictures themselves. With classes, both have a second input, the labels, one-hot; or a description, a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, NamedTuple

import keras

from artray.errors import InputError
from artray.models.gans.autoencoder import autoencoder
from artray.models.gans.losses import LOSSES
from artray.models.gans.projected import fastgan_generator, projected_discriminator
from artray.models.gans.published import (
    basic_discriminator,
    basic_generator,
    dcgan_discriminator,
    dcgan_generator,
    deconv_discriminator,
    deconv_generator,
)
from artray.models.gans.residual import resnet_discriminator, resnet_generator


class Networks(NamedTuple):
    """Two builders: from latents or pictures, labels (or None) and the pictures' side to the output tensor."""

    generator: Callable[..., Any]
    discriminator: Callable[..., Any]


GANS: dict[str, Networks] = {
    "basic": Networks(basic_generator, basic_discriminator),
    "deconv": Networks(deconv_generator, deconv_discriminator),
    "dcgan": Networks(dcgan_generator, dcgan_discriminator),
    "resnet": Networks(resnet_generator, resnet_discriminator),
    "projected": Networks(fastgan_generator, projected_discriminator),
}
"""What a config's `model: {name: …}` can name: D1, D2, D3, a stable one, and one that sees by a frozen network."""


def generator(
    name: str,
    size: int,
    latent_size: int,
    classes: int = 0,
    settings: Mapping[str, object] | None = None,
    *,
    described: bool = False,
) -> keras.Model:
    """A generator by its name.

    Args:
        name: One of `GANS`.
        size: Side of its pictures in pixels.
        latent_size: Numbers in a latent.
        classes: Number of classes; 0 for one input only.
        settings: Keyword arguments of the pair's builders; each is given those that it knows.
        described: The second input is a vector of any numbers, and not one-hot; `classes` is its width.

    Returns:
        From latents (n, latent_size), and labels (n, classes), to (n, size, size, 3) float32 RGB 0..255.

    Raises:
        InputError: No such pair, a setting that neither knows, or a size that it can't make.
    """
    build = _pair(name, settings or {}).generator
    latents, labels = keras.Input((latent_size,), name="latents"), _label(classes)
    settings = dict(settings or {})
    if described and "described" in signature(build).parameters:
        settings["described"] = True
    picture = _built(build, name, (latents, labels, size), settings)
    return keras.Model(latents if labels is None else [latents, labels], picture, name="generator")


def discriminator(
    name: str,
    size: int,
    classes: int = 0,
    settings: Mapping[str, object] | None = None,
    loss: str = "ns",
) -> keras.Model:
    """A discriminator by its name, as a loss needs it.

    Args:
        name: One of `GANS`.
        size: Side of the pictures in pixels.
        classes: Number of classes; 0 for one input only.
        settings: As for `generator`.
        loss: One of `losses.LOSSES`. For `began` it is an autoencoder, whatever the name; for losses with a
            gradient penalty no picture's score depends on the others of its batch.

    Returns:
        From pictures (n, size, size, 3) RGB 0..255, and labels (n, classes), to scores (n, 1), or for an autoencoder
        to pictures.

    Raises:
        InputError: As for `generator`.
    """
    settings = settings or {}
    build = autoencoder if loss == "began" else _pair(name, settings).discriminator
    if LOSSES[loss].slope is not None and "normalization" in signature(build).parameters:
        settings = {"normalization": "layer", **settings}
    picture, labels = keras.Input((size, size, 3), name="picture"), _label(classes)
    output = _built(build, name, (picture, labels, size), settings)
    return keras.Model(picture if labels is None else [picture, labels], output, name="discriminator")


def _label(classes: int) -> keras.KerasTensor | None:
    return keras.Input((classes,), name="labels") if classes else None


def _pair(name: str, settings: Mapping[str, object]) -> Networks:
    if name not in GANS:
        raise InputError(f"model.name: there is no pair of networks {name!r} ({', '.join(GANS)})")
    known = {key for build in (*GANS[name], autoencoder) for key in _keywords(build)} - {"described"}
    for key in settings:
        if key not in known:
            raise InputError(f"model.{key}: {name} has no such setting ({', '.join(sorted(known))})")
    return GANS[name]


def _keywords(build: Callable[..., Any]) -> list[str]:
    return [name for name, one in signature(build).parameters.items() if one.kind is one.KEYWORD_ONLY]


def _built(
    build: Callable[..., Any],
    name: str,
    inputs: tuple[keras.KerasTensor, keras.KerasTensor | None, int],
    settings: Mapping[str, object],
) -> Any:
    """What a builder makes of latents or pictures, labels and a side."""
    known = _keywords(build)
    try:
        return build(*inputs, **{key: value for key, value in settings.items() if key in known})
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"model: {name} can't be built so: {' '.join(str(error).split())[:200]}") from error
