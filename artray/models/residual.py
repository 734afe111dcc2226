"""ResNet50 from scratch (C9)."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from artray.models.heads import logits

_STAGES = ((1, 1, 2), (2, 2, 3), (4, 2, 5), (8, 2, 2))  # width, stride, identity blocks


def resnet50(picture: keras.KerasTensor, classes: int, *, filters: int = 64, l2: float = 0.0) -> Any:
    """ResNet50 (He et al. 2016): four stages of a convolution block and 2, 3, 5, 2 identity blocks.

    53 convolutions; 23,587,712 parameters (53,120 of them moving statistics) + 2,049 a class. The source's pictures are
    200x200. It ends in "average pooling": ours takes the mean over the whole last map, as in the paper, so that class
    activation maps are exact; the guide that the source follows pools 2x2.

    Layers named `stage2_block0` to `stage5_block2` give the outputs of the 16 blocks.

    Args:
        picture: (n, height, width, 3) RGB 0..255.
        classes: Number of classes.
        filters: Maps of the first convolution, from which all others follow; 64 is the published width.
        l2: Weight decay of the convolutions' kernels.

    Returns:
        (n, classes) logits.
    """

    def convolve(
        x: keras.KerasTensor, maps: int, kernel_size: int, stride: int, name: str, *, relu: bool = True
    ) -> keras.KerasTensor:
        decay = keras.regularizers.L2(l2) if l2 else None
        x = layers.Conv2D(
            maps,
            kernel_size,
            stride,
            padding="same" if kernel_size == 3 else "valid",
            kernel_initializer="he_normal",
            kernel_regularizer=decay,
            name=f"{name}_conv",
        )(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        return layers.ReLU(name=f"{name}_relu")(x) if relu else x

    def block(x: keras.KerasTensor, maps: int, stride: int, name: str, project: bool) -> keras.KerasTensor:
        shortcut = convolve(x, 4 * maps, 1, stride, f"{name}_shortcut", relu=False) if project else x
        x = convolve(x, maps, 1, stride, f"{name}_1")
        x = convolve(x, maps, 3, 1, f"{name}_2")
        x = convolve(x, 4 * maps, 1, 1, f"{name}_3", relu=False)
        return layers.ReLU(name=name)(layers.Add(name=f"{name}_add")([shortcut, x]))

    x = layers.Rescaling(1 / 127.5, offset=-1, name="scale")(picture)
    x = layers.ZeroPadding2D(3, name="pad")(x)
    x = convolve(x, filters, 7, 2, "stage1")
    x = layers.MaxPooling2D(3, 2, name="stage1_pool")(x)
    for stage, (width, stride, identity_blocks) in enumerate(_STAGES, start=2):
        for number in range(1 + identity_blocks):
            first = number == 0
            x = block(x, width * filters, stride if first else 1, f"stage{stage}_block{number}", project=first)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return logits(x, classes)
