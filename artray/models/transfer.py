"""Classifiers on a pre-trained backbone (C4, C6, C10, C11), from pictures to logits in one model."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Literal

import keras
from keras import layers, ops

from artray.errors import InputError
from artray.models import DEFAULT_BACKBONE
from artray.models.backbones import backbone as pretrained
from artray.models.heads import logits

Pool = Literal["avg", "max", "flatten", "statistics"]

_VARIANCE_FLOOR = 1e-4  # where a channel is constant, the gradient of a standard deviation would not be finite


def transfer(
    picture: keras.KerasTensor,
    classes: int,
    *,
    backbone: str = DEFAULT_BACKBONE,
    weights: str | None = "imagenet",
    layer: str | None = None,
    pool: Pool = "avg",
    statistics: Sequence[str] = (),
    normalize: bool = False,
    dense: Sequence[int] = (),
    activation: str = "relu",
    dropout: float = 0.0,
    l2: float = 0.0,
) -> Any:
    """A head on any backbone.

    The backbone's layers are the model's own and keep their names, so that activation maps can be made at them and a
    config can thaw them: all of them are frozen until it does (`unfreeze: {1: ["*"]}`). Systems, each with its
    published settings:

    - C4: VGG16, pool flatten, dense [128]: 14,714,688 + 3,211,392 + 129 a class at 224x224.
    - C6: VGG16, layer block5_conv3, dense [512], activation sigmoid: 14,977,344 + 513 a class, as published
      (14,977,857 with its one unit, from which nothing can be learned through its softmax).
    - C10: ResNet50, thawed: 23,587,712 + 2,049 a class.
    - C11: any of `artray.models.backbones.backbone_names`.

    Args:
        picture: (n, size, size, 3) RGB 0..255.
        classes: Number of classes.
        backbone: A name that `artray.models.backbones.backbone` knows, or the path of a `.keras` file.
        weights: "imagenet", "none" for random ones, or a path, as there.
        layer: The backbone's layer whose output is pooled; default its last feature map.
        pool: What becomes of the feature map: mean or maximum of each channel, all values, or means and standard
            deviations of each channel.
        statistics: More layers of which the head sees the means and standard deviations of each channel: style lives in
            those of early layers (B6, second form).
        normalize: Whether what is pooled is standardised by a batch normalisation: layers differ in their scale.
        dense: Units of hidden layers.
        activation: Of the hidden layers.
        dropout: Share dropped before each dense layer.
        l2: Weight decay of the dense layers' kernels.

    Returns:
        (n, classes) logits.

    Raises:
        InputError: As `artray.models.backbones.backbone`, or there is no such layer.
    """
    body = _on(picture, pretrained(backbone, int(picture.shape[1]), weights))
    for inner in body.layers:
        inner.trainable = False
    pooled = [_pooled(_feature_map(body, layer), pool)] if layer or pool != "avg" else [body.output]
    pooled += [_statistics(_layer(body, name).output) for name in statistics]
    x = layers.Concatenate(name="all_pooled")(pooled) if len(pooled) > 1 else pooled[0]
    if normalize:
        # A small data set has few batches: the moving averages must not be those of the beginning.
        x = layers.BatchNormalization(center=False, scale=False, momentum=0.9, name="pooled_norm")(x)
    decay = keras.regularizers.L2(l2) if l2 else None
    for number, units in enumerate(dense, start=1):
        x = layers.Dropout(dropout, name=f"fc{number}_dropout")(x)
        x = layers.Dense(units, activation=activation, kernel_regularizer=decay, name=f"fc{number}")(x)
    x = layers.Dropout(dropout, name="logits_dropout")(x)
    return logits(x, classes, kernel_regularizer=decay)


def _on(picture: keras.KerasTensor, base: keras.Model) -> keras.Model:
    """The backbone on another input, without a model within the model."""
    body = keras.models.clone_model(base, input_tensors=[picture] if isinstance(base.input, list) else picture)
    body.set_weights(base.get_weights())
    return body


def _layer(model: keras.Model, name: str) -> layers.Layer:
    try:
        return model.get_layer(name)
    except ValueError:
        raise _no_layer(model, name) from None


def _no_layer(model: keras.Model, name: str) -> InputError:
    names = [layer.name for layer in model.layers]
    near = get_close_matches(name, names, 3) or names[-3:]
    return InputError(f"model: the backbone {model.name} has no layer {name!r} (it has {', '.join(near)}, …)")


def _feature_map(body: keras.Model, layer: str | None) -> keras.KerasTensor:
    # A backbone ends in the pool that `backbone` put there.
    output = _layer(body, layer).output if layer else body.layers[-1].input
    if len(output.shape) != 4:
        raise InputError(f"model: {layer or 'the input of the last layer'} of {body.name} is no feature map")
    return output


def _pooled(x: keras.KerasTensor, pool: Pool) -> keras.KerasTensor:
    if pool == "avg":
        return layers.GlobalAveragePooling2D(name="pool")(x)
    if pool == "max":
        return layers.GlobalMaxPooling2D(name="pool")(x)
    if pool == "flatten":
        return layers.Flatten(name="pool")(x)
    if pool == "statistics":
        return _statistics(x)
    raise ValueError(f"pool is avg, max, flatten or statistics, not {pool!r}")


def _statistics(x: keras.KerasTensor) -> keras.KerasTensor:
    """Means and standard deviations of the channels, (n, 2 · channels)."""
    deviations = ops.sqrt(ops.var(x, axis=(1, 2)) + _VARIANCE_FLOOR)
    return ops.concatenate([ops.mean(x, axis=(1, 2)), deviations], axis=-1)
