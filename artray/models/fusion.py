"""Fusion (C12): groups of features of very different kinds and widths in one classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers

from artray.models.heads import logits


def fusion(
    features: keras.KerasTensor,
    classes: int,
    *,
    widths: Mapping[str, int],
    parts: Mapping[str, Sequence[int]] | None = None,
    units: int | Mapping[str, int] = 0,
    dropout: float | Mapping[str, float] = 0.0,
    fused_dropout: float = 0.0,
    l2: float = 0.0,
) -> Any:
    """Deep and hand-made features, palette and objects in one model (C12: the open goal of seeds 001 and 003).

    Each group (a column) is brought to a length of about 1, so that one of 6,000 numbers does not drown one of 13, and
    is optionally projected; then all are joined under one linear layer. Which groups there are follows from the
    config's `columns` alone, so that an ablation is a search over them: options for columns that are not there wait.

    (d + 1) parameters a class without projections; with them (width + 1) · units for each group, and the sum of the
    units + 1 a class.

    Args:
        features: (n, d), standardised.
        classes: Number of classes.
        widths: Each column's width, in order; together d.
        parts: Of some columns the first number that is used and the first that is not, such as `style_statistics:
            [288, 2208]`: EfficientNet-Lite0's blocks 5 to 12.
        units: Hidden units of a group, for all groups or by column; 0: no projection, the group as it is.
        dropout: Share of a group's features dropped in training, for all groups or by column.
        fused_dropout: Share of the joined features dropped in training.
        l2: Weight decay of all kernels.

    Returns:
        (n, classes) logits.
    """
    decay = keras.regularizers.L2(l2) if l2 else None
    parts = parts or {}
    groups = []
    start = 0
    for name, width in widths.items():
        begin, end = parts.get(name, (0, width))
        if not 0 <= begin < end <= width:
            raise ValueError(f"parts: {name} has {width} numbers, not {begin} to {end}")
        x = features[:, start + begin : start + end]
        start += width
        x = layers.Rescaling((end - begin) ** -0.5, name=f"{name}_unit_length")(x)
        x = layers.Dropout(_of(dropout, name), name=f"{name}_dropout")(x)
        hidden = _of(units, name)
        if hidden:
            x = layers.Dense(hidden, activation="relu", kernel_regularizer=decay, name=f"{name}_projection")(x)
        groups.append(x)
    x = layers.Concatenate(name="fused")(groups) if len(groups) > 1 else groups[0]
    x = layers.Dropout(fused_dropout, name="fused_dropout")(x)
    return logits(x, classes, kernel_regularizer=decay)


def _of(option: Any, column: str) -> Any:
    return option.get(column, 0) if isinstance(option, Mapping) else option
