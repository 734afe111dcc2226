"""The stable default: residual blocks, and a discriminator whose layers are held to a spectral norm of 1.

Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks". Made for the hinge loss.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from artray.models.gans.parts import conditioned, doublings, from_rgb, score, to_rgb, with_label


class _Spectral:
    """A layer whose kernel, as a matrix with a column a unit or map, is divided by its spectral norm.

    The norm is what one step of power iteration finds in each training call. Keras' own SpectralNormalization writes
    the quotient back into the kernel, so that no gradient passes the division, as it does in the paper.
    """

    kernel: Any
    add_weight: Any

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        super().build(input_shape)  # type: ignore[misc]
        # Where the power iteration stands. All replicas have the same kernel, and find the same.
        self.direction = self.add_weight(
            name="direction", shape=(self.kernel.shape[-1], 1), initializer="random_normal", trainable=False
        )

    def normalized(self, training: bool) -> Any:
        """The kernel with a spectral norm of about 1."""
        matrix = ops.reshape(self.kernel, (-1, self.kernel.shape[-1]))
        kept = ops.stop_gradient(matrix)
        left = ops.normalize(ops.matmul(kept, self.direction), axis=0)
        right = ops.normalize(ops.matmul(ops.transpose(kept), left), axis=0)
        if training:
            self.direction.assign(right)
        return self.kernel / ops.sum(left * ops.matmul(matrix, right))

    # Dense and Conv2D save kernel and bias only.
    def save_own_variables(self, store: Any) -> None:
        """Save all weights."""
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Load all weights."""
        layers.Layer.load_own_variables(self, store)


@keras.saving.register_keras_serializable("artray")
class SpectralDense(_Spectral, layers.Dense):  # type: ignore[misc]
    """A dense layer with a spectral norm of about 1."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """As Dense does."""
        x = ops.matmul(inputs, self.normalized(training))
        return x if self.bias is None else x + self.bias


@keras.saving.register_keras_serializable("artray")
class SpectralConv2D(_Spectral, layers.Conv2D):  # type: ignore[misc]
    """A convolution with a spectral norm of about 1."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """As Conv2D does."""
        x = self.convolution_op(inputs, self.normalized(training))
        return x if self.bias is None else x + ops.reshape(self.bias, (1, 1, 1, -1))


def resnet_generator(
    latents: keras.KerasTensor, labels: keras.KerasTensor | None, size: int, *, width: int = 32, described: bool = False
) -> Any:
    """Residual blocks that double the side, from 4x4 on.

    The maps are 8 times `width` at most and `width` in the last block; with 64 they are the paper's for 64x64, but for
    the 16 times that it starts with. With labels, every normalisation's scale and offset are the label's (Miyato and
    Koyama 2018).

    Args:
        latents: (n, numbers).
        labels: (n, classes) one-hot, or None.
        size: Side of the pictures: 8, 16, 32, …
        width: Maps of the last block.
        described: Labels are vectors of any numbers: scales begin as 1 and offsets as 0 whatever they are.

    Returns:
        (n, size, size, 3) RGB 0..255.
    """

    def activated(x: Any, name: str) -> Any:
        return layers.ReLU(name=f"{name}_relu")(conditioned(x, labels, f"{name}_norm", described=described))

    times = doublings(size, "resnet")
    x = layers.Dense(4 * 4 * width * min(8, 1 << times), name="dense")(with_label(latents, labels))
    x = layers.Reshape((4, 4, -1), name="start")(x)
    for number in range(times):
        maps, name = width * min(8, 1 << (times - 1 - number)), f"block{number + 1}"
        # A 1x1 convolution and copying pixels give the same in either order.
        shortcut = layers.Conv2D(maps, 1, name=f"{name}_shortcut")(x)
        shortcut = layers.UpSampling2D(2, name=f"{name}_shortcut_double")(shortcut)
        x = layers.UpSampling2D(2, name=f"{name}_double")(activated(x, f"{name}_1"))
        x = layers.Conv2D(maps, 3, padding="same", name=f"{name}_conv1")(x)
        x = layers.Conv2D(maps, 3, padding="same", name=f"{name}_conv2")(activated(x, f"{name}_2"))
        x = layers.Add(name=f"{name}_sum")([x, shortcut])
    x = layers.Conv2D(3, 3, padding="same", activation="tanh", name="picture")(activated(x, "end"))
    return to_rgb(x)


def resnet_discriminator(
    picture: keras.KerasTensor, labels: keras.KerasTensor | None, size: int, *, width: int = 32
) -> Any:
    """Residual blocks that halve the side down to 4x4, one more, and the sum over all places.

    Args:
        picture: (n, size, size, 3) RGB 0..255.
        labels: (n, classes) one-hot, or None.
        size: Side of the pictures: 8, 16, 32, …
        width: Maps of the first block; each other has twice those of the one before, 8 times `width` at most.

    Returns:
        (n, 1) scores.
    """
    x = from_rgb(picture)
    times = doublings(size, "resnet")
    for number in range(times + 1):
        maps, name = width * min(8, 1 << number), f"block{number + 1}"
        halve = number < times
        shortcut = layers.AveragePooling2D(2, name=f"{name}_shortcut_half")(x) if halve else x
        if shortcut.shape[-1] != maps or halve:
            shortcut = SpectralConv2D(maps, 1, name=f"{name}_shortcut")(shortcut)
        if number:
            x = layers.ReLU(name=f"{name}_relu1")(x)
        x = SpectralConv2D(maps, 3, padding="same", name=f"{name}_conv1")(x)
        x = SpectralConv2D(maps, 3, padding="same", name=f"{name}_conv2")(layers.ReLU(name=f"{name}_relu2")(x))
        if halve:
            x = layers.AveragePooling2D(2, name=f"{name}_half")(x)
        x = layers.Add(name=f"{name}_sum")([x, shortcut])
    x = layers.GlobalAveragePooling2D(name="mean")(layers.ReLU(name="end_relu")(x))
    x = layers.Rescaling(16.0, name="sum")(x)  # over 4x4 places
    return score(x, labels, SpectralDense)
