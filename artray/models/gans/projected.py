"""Projected GAN: a light generator against discriminators that see pictures as a frozen network does.

Sauer et al. 2021, "Projected GANs Converge Faster", with the light generator of Liu et al. 2021, "Towards Faster and
Stabilized GAN Training for High-fidelity Few-shot Image Synthesis" (FastGAN). Made for the hinge loss.

A discriminator of this kind is a frozen `projector`, from pictures to maps, and `heads`, from maps to scores: see
`parts_of`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from artray.errors import InputError
from artray.models import DEFAULT_BACKBONE
from artray.models.gans.parts import conditioned, doublings, to_rgb
from artray.models.gans.residual import SpectralConv2D

_PROJECTOR, _HEADS = "projector", "heads"
_TAPS = (2, 4, 10, 15)
"""The blocks of Lite0 whose maps are seen: the last ones at 1/4, 1/8, 1/16 and 1/32 of the side."""
_LABEL = 64  # numbers of a place, and of what a label makes of them


@keras.saving.register_keras_serializable("artray")
class Resampled(layers.Layer):  # type: ignore[misc]
    """Maps at another side, bilinearly.

    Two products with matrices that are known beforehand: XLA has no gradient of a resizing kernel for all settings, and
    where a side is doubled these are faster on a CPU too.

    Args:
        side: Of the result.
        corners: Whether the corners of both lie on each other, else their edges do.
        options: As of any layer.
    """

    def __init__(self, side: int, corners: bool = False, **options: Any):
        super().__init__(**options)
        self.side, self.corners = side, corners

    def build(self, input_shape: Any) -> None:
        """Make the matrices."""
        self._matrices = [bilinear(int(length), self.side, self.corners) for length in input_shape[1:3]]

    def call(self, inputs: Any) -> Any:
        """The maps, (n, side, side, channels)."""
        height, width, channels = inputs.shape[1:]
        down, across = (ops.convert_to_tensor(matrix, dtype=inputs.dtype) for matrix in self._matrices)
        x = ops.matmul(down, ops.reshape(inputs, (-1, height, width * channels)))
        x = ops.matmul(across, ops.reshape(x, (-1, width, channels)))
        return ops.reshape(x, (-1, self.side, self.side, channels))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """(n, side, side, channels)."""
        return (input_shape[0], self.side, self.side, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """What the layer is made of."""
        return {**super().get_config(), "side": self.side, "corners": self.corners}


def bilinear(length: int, side: int, corners: bool = False) -> Any:
    """The matrix (side, length) that interpolates linearly between so many places.

    Args:
        length: Places that there are.
        side: Places that are wanted.
        corners: Whether the first and the last place stay where they are; else places are the middles of pixels, and
            what lies outside of the outer ones is as they are.
    """
    if corners:
        at = np.linspace(0, length - 1, side)
    else:
        at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(length))).astype(np.float32)


def fastgan_generator(
    latents: keras.KerasTensor, labels: keras.KerasTensor | None, size: int, *, width: int = 32, described: bool = False
) -> Any:
    """FastGAN's generator in its light form: convolutions with gated linear units, gated by small maps.

    Maps are 16, 8, 4, 2, 2 and 1 times `width` at 4, 8, 16, 32, 64 and 128 pixels; 128 is the paper's width. From 64
    pixels on, maps are multiplied by what a small network makes of those of a sixteenth of their side (skip-layer
    excitation). No noise is added, so that a latent is one picture. Normalisations follow the convolutions, so there
    is no spectral norm here: it would change nothing but the rate of learning.

    Args:
        latents: (n, numbers); they are brought to one length.
        labels: (n, classes) one-hot, or None; with labels every normalisation's scale and offset are the label's.
        size: Side of the pictures: 8, 16, 32, …
        width: As above.
        described: Labels are vectors of any numbers.

    Returns:
        (n, size, size, 3) RGB 0..255.
    """

    def gated(x: Any, name: str) -> Any:
        x = conditioned(x, labels, f"{name}_norm", described=described)
        kept, gate = ops.split(x, 2, axis=-1)
        return layers.Multiply(name=f"{name}_gated")([kept, layers.Activation("sigmoid", name=f"{name}_gate")(gate)])

    def maps_at(side: int) -> int:
        return max(4, int(width * {4: 16, 8: 8, 16: 4, 32: 2, 64: 2}.get(side, 128 / side)))

    doublings(size, "projected")
    x = layers.UnitNormalization(name="length")(latents)
    x = layers.Rescaling(float(np.sqrt(latents.shape[-1])), name="latent")(x)
    x = layers.Dense(4 * 4 * 2 * maps_at(4), use_bias=False, name="dense")(x)
    x = gated(layers.Reshape((4, 4, 2 * maps_at(4)), name="start")(x), "side4")
    small, side = {4: x}, 4
    while side < size:
        side *= 2
        x = layers.UpSampling2D(2, name=f"side{side}_double")(x)
        x = layers.Conv2D(2 * maps_at(side), 3, padding="same", use_bias=False, name=f"side{side}_conv")(x)
        x = gated(x, f"side{side}")
        if side >= 64:
            x = layers.Multiply(name=f"side{side}")([x, _excitation(small[side // 16], x.shape[-1], f"side{side}")])
        small[side] = x
    x = layers.Conv2D(3, 3, padding="same", activation="tanh", name="picture")(x)
    return to_rgb(x)


def _excitation(x: Any, maps: int, name: str) -> Any:
    """What maps are multiplied by, (n, 1, 1, maps) from 0 to 1, of smaller maps."""
    if x.shape[1] > 4:
        x = layers.AveragePooling2D(x.shape[1] // 4, name=f"{name}_pool")(x)
    x = layers.Conv2D(maps, 4, use_bias=False, activation="silu", name=f"{name}_squeeze")(x)
    return layers.Conv2D(maps, 1, use_bias=False, activation="sigmoid", name=f"{name}_excite")(x)


def projected_discriminator(
    picture: keras.KerasTensor,
    labels: keras.KerasTensor | None,
    size: int,
    *,
    maps: int = 64,
    seen: int = 224,
    weights: str | None = "imagenet",
) -> Any:
    """Four small discriminators of what EfficientNet-Lite0 sees, mixed at random.

    The maps of four of its stages are mixed across channels, then, from the smallest on, across scales: by 1x1
    convolutions whose weights are drawn once, the same in every run, and never learned. Each discriminator halves the
    side of its maps by convolutions of stride 2 with spectral normalisation, and ends in scores of places.

    Args:
        picture: (n, size, size, 3) RGB 0..255.
        labels: (n, classes) one-hot, or None; scores are then those of a projection discriminator.
        size: Side of the pictures.
        maps: Of the mixed maps of the largest scale, and of the two smallest 2 and 4 times as many; 64 in the paper.
        seen: Side at which the network sees pictures, where theirs is smaller; 224 in the paper. Half of it costs a
            quarter.
        weights: The network's: "imagenet", or None for random ones.

    Returns:
        (n, places) scores.
    """
    project = projector(size, maps=maps, seen=seen, weights=weights)
    maps_of_picture = project(picture)
    inputs = [keras.Input(one.shape[1:], name=f"maps{number}") for number, one in enumerate(maps_of_picture)]
    label = keras.Input(labels.shape[1:], name="labels") if labels is not None else None
    scores = [_head(x, label, 4 - number, 8 * maps, f"head{number}") for number, x in enumerate(inputs)]
    score = layers.Concatenate(name="scores")(scores)
    heads = keras.Model(inputs if label is None else [*inputs, label], score, name=_HEADS)
    return heads(list(maps_of_picture) if labels is None else [*maps_of_picture, labels])


def projector(size: int, *, maps: int, seen: int, weights: str | None = "imagenet") -> keras.Model:
    """The frozen part of `projected_discriminator`: from pictures to four maps, each twice as large as the next."""
    from artray.models.efficientnet_lite import efficientnet_lite

    if weights == "none":
        weights = None
    if weights not in ("imagenet", None):
        raise InputError(f"model.weights: must be imagenet or none, not {weights}")
    side = max(size, seen)
    if side % 32:
        raise InputError(f"model.seen: must be a multiple of 32, not {seen}")
    backbone = efficientnet_lite(DEFAULT_BACKBONE, weights="imagenet" if weights else None, size=side)
    stages = keras.Model(backbone.inputs, [backbone.get_layer(f"block{block}").output for block in _TAPS], name="seen")
    picture = keras.Input((size, size, 3), name="picture")
    maps_of_stages = stages(picture if side == size else Resampled(side, name="enlarged")(picture))
    chance = np.random.default_rng(0)

    def mixed(x: Any, channels: int, name: str) -> Any:
        seed = int(chance.integers(2**31))
        start = keras.initializers.HeUniform(seed=seed)
        return layers.Conv2D(channels, 1, use_bias=False, kernel_initializer=start, name=name)(x)

    across = [mixed(x, maps << number, f"mix{number}") for number, x in enumerate(maps_of_stages)]
    outputs: list[Any] = []
    for number in reversed(range(4)):
        x = across[number] if not outputs else layers.Add(name=f"joined{number}")([outputs[0], across[number]])
        # Mixing channels and interpolating give the same in either order, and this one is a quarter of the work.
        x = mixed(x, max(maps << number >> 1, maps), f"scale{number}")
        outputs.insert(0, Resampled(2 * x.shape[1], corners=True, name=f"double{number}")(x))
    model = keras.Model(picture, outputs, name=_PROJECTOR)
    model.trainable = False
    return model


def _head(x: Any, labels: keras.KerasTensor | None, halvings: int, most: int, name: str) -> Any:
    """One discriminator: (n, places)."""
    for number in range(halvings):
        if x.shape[1] <= 4:
            break
        channels = max(most >> (halvings - 1 - number), x.shape[-1] if number else 1)
        x = SpectralConv2D(channels, 4, strides=2, padding="same", use_bias=False, name=f"{name}_conv{number}")(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm{number}")(x)
        x = layers.LeakyReLU(0.2, name=f"{name}_relu{number}")(x)
    kernel = min(4, x.shape[1])
    if labels is None:
        return layers.Flatten(name=name)(SpectralConv2D(1, kernel, use_bias=False, name=f"{name}_score")(x))
    x = SpectralConv2D(_LABEL, kernel, use_bias=False, name=f"{name}_score")(x)
    points = x.shape[1] * x.shape[2]
    wanted = layers.Dense(_LABEL, name=f"{name}_label")(labels)
    wanted = layers.Rescaling(_LABEL**-0.5, name=f"{name}_label_scale")(layers.LeakyReLU(0.2)(wanted))
    return layers.Dot((2, 1), name=name)([layers.Reshape((points, _LABEL), name=f"{name}_places")(x), wanted])


def parts_of(discriminator: keras.Model) -> tuple[keras.Model | None, keras.Model]:
    """A discriminator's frozen part, None where there is none, and the rest, which learns.

    What the frozen part gives of a picture stays the same from update to update, so it is asked for once.
    """
    names = {layer.name: layer for layer in discriminator.layers}
    if _PROJECTOR not in names:
        return None, discriminator
    return names[_PROJECTOR], names[_HEADS]
