"""The discriminator of BEGAN: an autoencoder, which knows real pictures by seeing them better than others."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from artray.models.gans.parts import from_rgb


def autoencoder(
    picture: keras.KerasTensor,
    labels: keras.KerasTensor | None,
    size: int,
    *,
    filters: int = 16,
    hidden: int = 64,
) -> Any:
    """An autoencoder for pictures of any size (Berthelot, Schumm and Metz 2017, "BEGAN").

    Pairs of 3x3 convolutions with ELU; the encoder halves the side by strides and has `filters` more maps at each
    level, the decoder doubles it by nearest neighbours and has `filters` everywhere. The side is halved while it is
    even and at least 16. With labels, an embedding of the label joins the hidden numbers.

    Args:
        picture: (n, size, size, 3) RGB 0..255.
        labels: (n, classes) one-hot, or None.
        size: Side of the pictures.
        filters: Maps of the first level; 64 and 128 in the paper.
        hidden: Numbers in the middle.

    Returns:
        (n, size, size, 3), the pictures as they were seen.
    """
    sides = [size]
    while sides[-1] % 2 == 0 and sides[-1] >= 16:
        sides.append(sides[-1] // 2)

    def pair(x: Any, maps: int, name: str) -> Any:
        for number in (1, 2):
            x = layers.Conv2D(maps, 3, padding="same", activation="elu", name=f"{name}_{number}")(x)
        return x

    x = layers.Conv2D(filters, 3, padding="same", activation="elu", name="encode_start")(from_rgb(picture))
    for level, side in enumerate(sides):
        if level:
            maps = filters * (level + 1)
            x = layers.Conv2D(maps, 3, strides=2, padding="same", activation="elu", name=f"encode{side}_half")(x)
        x = pair(x, filters * (level + 1), f"encode{side}")
    x = layers.Dense(hidden, name="hidden")(layers.Flatten(name="flatten")(x))
    if labels is not None:
        embedded = layers.Dense(hidden, use_bias=False, name="label")(labels)
        x = layers.Concatenate(name="hidden_and_label")([x, embedded])
    x = layers.Dense(sides[-1] ** 2 * filters, name="decode_start")(x)
    x = layers.Reshape((sides[-1], sides[-1], filters), name="decode_picture")(x)
    for side in reversed(sides):
        if side != sides[-1]:
            x = layers.UpSampling2D(2, name=f"decode{side}_double")(x)
        x = pair(x, filters, f"decode{side}")
    x = layers.Conv2D(3, 3, padding="same", name="decode_end")(x)
    return layers.Rescaling(127.5, offset=127.5, dtype="float32", name="rgb")(x)
