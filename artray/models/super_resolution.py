"""Networks that enlarge pictures: EDSR, and the discriminator that SRGAN trains it against.

They take pictures of any size: all layers are convolutions, so what a pixel of the result is follows from a few pixels
around it (see `margin`), and a picture can be enlarged tile by tile.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from artray.errors import InputError
from artray.models.gans.parts import from_rgb, to_rgb

SCALES = (2, 3, 4)


@keras.saving.register_keras_serializable("artray")
class PixelShuffle(layers.Layer):  # type: ignore[misc]
    """r² maps as one of r times the height and width (Shi et al. 2016, "sub-pixel convolution").

    Args:
        scale: r.
    """

    def __init__(self, scale: int, **options: Any):
        super().__init__(**options)
        self.scale = scale

    def call(self, inputs: Any) -> Any:
        """(n, h, w, r² c) to (n, r h, r w, c)."""
        return _shuffled(inputs, self.scale)

    def compute_output_shape(self, shape: Any) -> Any:
        """As `call` says; None stays None."""
        sides = [side and side * self.scale for side in shape[1:3]]
        return (shape[0], *sides, shape[3] // self.scale**2)

    def get_config(self) -> dict[str, Any]:
        """What it is made with."""
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("artray")
class Bicubic(layers.Layer):  # type: ignore[misc]
    """Pictures enlarged by bicubic interpolation (Keys 1981, a = -1/2), with the pixels at the edges repeated.

    Keras' own interpolation must know the pictures' size beforehand.

    Args:
        scale: How many times.
    """

    def __init__(self, scale: int, **options: Any):
        super().__init__(**options)
        self.scale = scale
        # Around a small pixel's middle lie the middles of `scale` large ones, each within half a pixel.
        middles = (np.arange(scale) + 0.5) / scale - 0.5
        far = np.abs(np.arange(-2, 3) - middles[:, None])
        near = np.where(far < 1, 1.5 * far**3 - 2.5 * far**2 + 1, -0.5 * far**3 + 2.5 * far**2 - 4 * far + 2)
        weights = np.where(far < 2, near, 0)  # (scale, 5)
        kernel = np.einsum("ia,jb,cd->abcijd", weights, weights, np.eye(3))
        self._kernel = kernel.reshape(5, 5, 3, 3 * scale**2).astype(np.float32)

    def call(self, inputs: Any) -> Any:
        """(n, h, w, 3) to (n, scale h, scale w, 3)."""
        # One and one: what is repeated is the pixel at the edge, not a mirror image.
        x = ops.cast(inputs, "float32")
        for _ in range(2):
            x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
        return _shuffled(ops.conv(x, self._kernel, padding="valid", data_format="channels_last"), self.scale)

    def compute_output_shape(self, shape: Any) -> Any:
        """As `call` says; None stays None."""
        return (shape[0], *(side and side * self.scale for side in shape[1:3]), 3)

    def get_config(self) -> dict[str, Any]:
        """What it is made with."""
        return {**super().get_config(), "scale": self.scale}


def edsr(
    scale: int, *, blocks: int = 16, width: int = 64, residual_scale: float = 0.1, interpolated: bool = False
) -> keras.Model:
    """EDSR: residual blocks without normalisation at the small size, then pixel shuffle.

    Lim et al. 2017, "Enhanced Deep Residual Networks for Single Image Super-Resolution"; with 16 blocks of 64 maps it
    is their baseline, 1.37 million weights for ×2 and 1.52 million for ×4. Weights begin as He et al. 2015 say, under
    which blocks that are simply added would double the variance each time: so what a block adds is scaled, as in their
    larger model.

    Args:
        scale: 2, 3 or 4.
        blocks: Residual blocks.
        width: Maps.
        residual_scale: What a block adds is multiplied by this.
        interpolated: Add the result to the picture as it is enlarged by bicubic interpolation, and begin with
            nothing to add: not in the paper, for trainings of a few minutes.

    Returns:
        From (n, h, w, 3) RGB 0..255 to (n, scale h, scale w, 3) float32, about 0..255, not clipped.

    Raises:
        InputError: A setting can't be.
    """
    if scale not in SCALES:
        raise InputError(f"scale: {scale} is not one of {', '.join(map(str, SCALES))}")
    if blocks < 1 or width < 1:
        raise InputError("model: blocks and width must be 1 at least")

    def convolved(x: Any, maps: int, name: str, start: str = "he_normal") -> Any:
        return layers.Conv2D(maps, 3, padding="same", kernel_initializer=start, name=name)(x)

    linear = "lecun_normal"  # He's scale is for what a ReLU follows
    picture = keras.Input((None, None, 3), name="picture")
    x = head = convolved(from_rgb(picture), width, "head")
    for number in range(1, blocks + 1):
        added = layers.ReLU(name=f"block{number}_relu")(convolved(x, width, f"block{number}_conv1"))
        added = convolved(added, width, f"block{number}_conv2")
        added = layers.Rescaling(residual_scale, name=f"block{number}_scale")(added)
        x = layers.Add(name=f"block{number}")([x, added])
    x = layers.Add(name="body")([convolved(x, width, "body_conv", linear), head])
    for number, factor in enumerate(_factors(scale), 1):
        x = convolved(x, factor**2 * width, f"upscale{number}_conv", linear)
        x = PixelShuffle(factor, name=f"upscale{number}")(x)
    x = convolved(x, 3, "tail", "zeros" if interpolated else linear)
    if interpolated:
        large = Bicubic(scale, dtype="float32", name="interpolated")(picture)
        x = layers.Rescaling(127.5, dtype="float32", name="change")(x)
        return keras.Model(picture, layers.Add(dtype="float32", name="rgb")([x, large]), name="edsr")
    return keras.Model(picture, to_rgb(x), name="edsr")


def margin(scale: int, blocks: int) -> int:
    """How far, in pixels of the small picture, an EDSR sees around a pixel: what a tile needs on each side.

    Args:
        scale: As for `edsr`.
        blocks: Likewise.
    """
    factors = _factors(scale)
    small = 2 * blocks + 3  # head, blocks, body_conv, upscale1_conv
    large = 0.0
    for number in range(len(factors)):
        # After each pixel shuffle another convolution: the next upscale's, or the tail.
        large += 1 / math.prod(factors[: number + 1])
    return small + math.ceil(large)


def srgan_discriminator(size: int, width: int = 64) -> keras.Model:
    """SRGAN's discriminator: eight convolutions, the side halved four times, and two dense layers.

    Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network". It has
    the average over what is left of the side before the dense layers, so that their size doesn't depend on it.

    Args:
        size: Side of the large pictures.
        width: Maps of the first convolution, 8 times as many in the last.

    Returns:
        From [(n, size, size, 3) RGB 0..255, the small pictures, which count for nothing] to (n, 1) logits. Keras 3.12,
        the last for Python 3.10, wants every input to lead to the output.
    """
    picture, small = keras.Input((size, size, 3), name="picture"), keras.Input((None, None, 3), name="small")
    x = from_rgb(picture)
    for number in range(8):
        name = f"conv{number + 1}"
        maps = width * 2 ** (number // 2)
        x = layers.Conv2D(maps, 3, 1 + number % 2, padding="same", use_bias=number == 0, name=name)(x)
        if number:
            x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
        x = layers.LeakyReLU(0.2, name=f"{name}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.LeakyReLU(0.2, name="dense_relu")(layers.Dense(16 * width, name="dense")(x))
    score = layers.Dense(1, name="score")(x) + 0 * ops.sum(small, axis=(1, 2, 3))[:, None]
    return keras.Model([picture, small], score, name="discriminator")


def as_generator(model: keras.Model) -> keras.Model:
    """An upscaler as the adversarial trainer calls generators: [latents (n, 1), which it does not use, pictures]."""
    latents, small = keras.Input((1,), name="latents"), keras.Input((None, None, 3), name="small")
    return keras.Model([latents, small], model(small) + 0 * latents[:, :, None, None], name="generator")


def _shuffled(maps: Any, scale: int) -> Any:
    height, width = ops.shape(maps)[1:3]
    number = maps.shape[-1] // scale**2
    x = ops.reshape(maps, (-1, height, width, scale, scale, number))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height * scale, width * scale, number))


def _factors(scale: int) -> list[int]:
    return [2, 2] if scale == 4 else [scale]
