"""What an upscaler minimises: L1, or SRGAN's loss on the embedded backbone's features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from artray.models.backbones import backbone
from artray.super_resolution.config import UpscalerLoss

_UNIT = 127.5


def l1(original: Any, enlarged: Any) -> Any:
    """The mean absolute difference of each picture, on a scale of -1 to 1, (n,)."""
    difference = ops.absolute(ops.cast(original, "float32") - ops.cast(enlarged, "float32"))
    return ops.mean(difference, axis=(1, 2, 3)) / _UNIT


def srgan(config: UpscalerLoss, size: int) -> Callable[[Any, Any, Any], Any]:
    """SRGAN's loss, with the default backbone in the place of VGG.

    Ledig et al. 2017; features are compared as they are before the block's last addition is activated, each map in
    units of its own variance over the originals of the batch, so that no map counts for nothing.

    Args:
        config: The weights, and the block.
        size: Side of the large pictures.

    Returns:
        From adversarial losses (n,), found pictures and originals to losses (n,).
    """
    whole = backbone(size=size)
    features = keras.Model(whole.inputs, whole.get_layer(f"block{config.layer}").output, name="features")
    features.trainable = False

    def loss(adversarial: Any, enlarged: Any, original: Any) -> Any:
        real = ops.stop_gradient(features(original, training=False))
        variance = ops.var(real, axis=(0, 1, 2), keepdims=True) + 1e-3
        content = ops.mean(ops.square(features(enlarged, training=False) - real) / variance, axis=(1, 2, 3))
        pixel = l1(original, enlarged)
        return config.adversarial * adversarial + config.content * content + config.pixel * pixel

    return loss
