"""A network that paints a picture in one of some styles in a single pass.

Johnson, Alahi and Fei-Fei 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", with the scale
and offset of each normalisation chosen by the style, so that one network knows several (Dumoulin, Shlens and Kudlur
2017, "A Learned Representation for Artistic Style"). Unlike theirs it says what is to be changed in the picture, and
normalises across the maps of a place instead of across the places of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from artray.models.style import StyleNetwork, content_losses, style_losses, total_variation

_SPREAD = 127.5


def stylizer(styles: int, *, width: int = 32, blocks: int = 5) -> keras.Model:
    """The network, untrained.

    Args:
        styles: How many it is to know.
        width: Maps at the full size; 32 in the paper. At a half and a quarter there are twice and four times as many.
        blocks: Residual blocks at a quarter of the size; 5 in the paper.

    Returns:
        From pictures (n, height, width, 3), RGB 0..255, of any size whose sides 4 divides, and styles (n, styles),
        one-hot or a mixture, to pictures of the same shape.
    """
    picture, style = keras.Input((None, None, 3), name="picture"), keras.Input((styles,), name="style")

    def conv(x: Any, maps: int, name: str, *, kernel: int = 3, stride: int = 1, relu: bool = True) -> Any:
        x = layers.Conv2D(maps, kernel, stride, padding="same", use_bias=False, name=name)(x)
        # At each place for itself. By the mean and variance of a whole map, as in the paper, a network makes all else
        # of a map small by one glaring spot, and it does (Karras et al. 2020, of StyleGAN's droplets).
        x = layers.LayerNormalization(center=False, scale=False, name=f"{name}_norm")(x)
        scale = layers.Dense(maps, use_bias=False, kernel_initializer="ones", name=f"{name}_scale")(style)
        offset = layers.Dense(maps, use_bias=False, kernel_initializer="zeros", name=f"{name}_offset")(style)
        x = x * layers.Reshape((1, 1, maps))(scale) + layers.Reshape((1, 1, maps))(offset)
        return layers.ReLU()(x) if relu else x

    x = layers.Rescaling(1 / _SPREAD, offset=-1, name="scaling")(picture)
    x = conv(x, width, "first", kernel=9)
    x = conv(x, 2 * width, "half", stride=2)
    x = conv(x, 4 * width, "quarter", stride=2)
    for number in range(blocks):
        inner = conv(x, 4 * width, f"block{number}_first")
        x = layers.Add(name=f"block{number}")([x, conv(inner, 4 * width, f"block{number}_second", relu=False)])
    x = conv(layers.UpSampling2D(2)(x), 2 * width, "half_again")
    x = conv(layers.UpSampling2D(2)(x), width, "full_again")
    # What is to be changed, at first nothing: a network that has to draw the picture anew takes thousands of steps
    # until it can be recognised.
    x = layers.Conv2D(3, 9, padding="same", kernel_initializer="zeros", name="last")(x)
    change = layers.Rescaling(2 * _SPREAD)(layers.Activation("tanh")(x))
    # Not cut off at white here: what once were white could not be mended, as a clip lets no gradient through.
    return keras.Model([picture, style], layers.Add()([picture, change]), name="stylizer")


class StylizerLosses(keras.Model):  # type: ignore[misc]
    """A stylizer as it is trained: what is wrong with the pictures that it makes.

    Called with pictures (n, height, width, 3), 0..255, and styles (n, styles) it gives weighted losses (n, 3): of
    style, content and total variation.

    Args:
        network: As from `stylizer`.
        looks: The network that style and content are seen through; it stays as it is.
        targets: For each of its layers the styles' Gram matrices, (styles, channels, channels).
        weights: Of the three losses.
    """

    def __init__(
        self,
        network: keras.Model,
        looks: StyleNetwork,
        targets: Sequence[npt.NDArray[np.float32]],
        weights: tuple[float, float, float],
    ):
        super().__init__(name="losses")
        looks.model.trainable = False
        self.network, self.judge = network, looks.model
        self._temperatures, self._weights = looks.temperatures, weights
        self._targets = [target.reshape(len(target), -1).astype(np.float32) for target in targets]
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The losses."""
        picture, style = inputs
        looks = StyleNetwork(self.judge, self._temperatures)
        painted = ops.cast(self.network([picture, style], training=training), "float32")
        maps, content = looks(painted)
        _, wanted = looks(picture)
        painted_style = [
            ops.reshape(ops.matmul(style, target), (-1, one.shape[-1], one.shape[-1]))
            for target, one in zip(self._targets, maps, strict=True)
        ]
        losses = (
            style_losses(maps, painted_style),
            content_losses(content, ops.stop_gradient(wanted)),
            total_variation(painted),
        )
        return ops.stack([weight * loss for weight, loss in zip(self._weights, losses, strict=True)], axis=-1)
