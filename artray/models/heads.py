"""Classifiers on feature columns: what stands on top of frozen numbers, and learns in seconds.

They end in one logit a class, where the published ones end in a sigmoid unit or a softmax: the same function for two
classes, and one that a temperature can calibrate.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from artray.models import BY_FOLDS


def logits(x: keras.KerasTensor, classes: int, **options: Any) -> Any:
    """The last layer of every classifier: one logit a class, in float32 also where the rest is computed in float16."""
    return layers.Dense(classes, dtype="float32", name="logits", **options)(x)


def linear_head(features: keras.KerasTensor, classes: int, *, dropout: float = 0.0, l2: float | str = 0.0) -> Any:
    """A linear classifier on frozen features (C4's role: only the last layer of a pre-trained model learns).

    d + 1 parameters a class.

    Args:
        features: (n, d), standardised.
        classes: Number of classes.
        dropout: Share of the features dropped in training.
        l2: Weight decay of the dense layer's kernel, in mean loss + l2 · |weights|² on features of a length of about
            1. `BY_FOLDS`: training chooses it, and gives a number.

    Returns:
        (n, classes) logits.
    """
    # To a length of about 1: what an l2 means does not depend on how many features there are.
    x = layers.Rescaling(features.shape[-1] ** -0.5, name="unit_length")(features)
    x = layers.Dropout(dropout, name="dropout")(x)
    decay = keras.regularizers.L2(l2) if l2 and l2 != BY_FOLDS else None
    return logits(x, classes, kernel_initializer="zeros", kernel_regularizer=decay)


def lda(features: keras.KerasTensor, classes: int, *, shrinkage: float | None = None) -> Any:
    """The linear layer of a discriminant analysis, whose weights are solved for (see `classifiers.closed_form`).

    d + 1 parameters a class.

    Args:
        features: (n, d), standardised.
        classes: Number of classes.
        shrinkage: How far the classes' covariance is drawn towards a ball, above 0 and at most 1; None: chosen by
            folds.

    Returns:
        (n, classes) logits.
    """
    if shrinkage is not None and not 0 < shrinkage <= 1:
        raise ValueError("shrinkage: must be above 0 and at most 1")
    return logits(features, classes, kernel_initializer="zeros")


def logistic(features: keras.KerasTensor, classes: int, *, penalty: float | None = None) -> Any:
    """The linear layer of a logistic regression, whose weights are solved for (see `classifiers.closed_form`).

    d + 1 parameters a class.

    Args:
        features: (n, d), standardised.
        classes: Number of classes.
        penalty: In mean loss + penalty / 2 · |weights|² on features of a length of about 1, above 0; None: chosen by
            folds.

    Returns:
        (n, classes) logits.
    """
    if penalty is not None and not penalty > 0:
        raise ValueError("penalty: must be above 0")
    return logits(features, classes, kernel_initializer="zeros")


def linear_mean(
    features: keras.KerasTensor,
    classes: int,
    *,
    shrinkage: float | None = None,
    middle_shrinkage: float | None = None,
    penalty: float | None = None,
) -> Any:
    """The mean of two discriminant analyses and a logistic regression, as one linear layer.

    d + 1 parameters a class. One analysis and the regression see all features, the other the style statistics of the
    middle blocks alone, if there are any. What they say is averaged as logits, each at the temperature that suits it.

    Args:
        features: (n, d), standardised.
        classes: Number of classes.
        shrinkage: As of `lda`.
        middle_shrinkage: As of `lda`, where the middle blocks are seen.
        penalty: As of `logistic`.

    Returns:
        (n, classes) logits.
    """
    for strength in (shrinkage, middle_shrinkage):
        if strength is not None and not 0 < strength <= 1:
            raise ValueError("shrinkage: must be above 0 and at most 1")
    return logistic(features, classes, penalty=penalty)


def cv_fc(features: keras.KerasTensor, classes: int, *, dense: int = 4) -> Any:
    """CV+FC (C7): a few hand-made features, four hidden units.

    With the 13 features of the source (brightness, six textures, colour-map distances to six emotions) 56 + 5 a class,
    61 with the published one unit. The published features are scaled to 0..1 by their extremes over the training part;
    ours are standardised over it, the same up to the first layer's weights, and no single odd picture sets the scale.
    There are as many colour-map distances as classes: 1 + 6 + k features.

    Args:
        features: (n, d), standardised.
        classes: Number of classes.
        dense: Hidden units.

    Returns:
        (n, classes) logits.
    """
    x = layers.Dense(dense, activation="relu", name="fc")(features)
    return logits(x, classes)


def palette_cnn(
    palette: keras.KerasTensor, classes: int, *, filters: int = 16, dense: int = 256, scale: float = 1 / 255
) -> Any:
    """Palette CNN (C1): a convolution along the dominant colours, most important first.

    24,992 + 257 a class for 20 colours, as published (25,249 with its one unit).

    Args:
        palette: (n, 3 · colours): red, green, blue of each colour in turn, as the column `palette_rgb` has them.
        classes: Number of classes.
        filters: Maps of the convolution.
        dense: Units of the hidden layer.
        scale: Factor that brings the values to 0..1: 1/255 for `palette_rgb`, 1 for `palette_hsv`.

    Returns:
        (n, classes) logits.
    """
    x = layers.Reshape((-1, 1, 3), name="colors")(palette)
    x = layers.Rescaling(scale, name="scale")(x)
    x = layers.Conv2D(filters, (3, 1), activation="relu", name="conv")(x)
    x = layers.MaxPooling2D((3, 1), name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense, activation="relu", name="dense")(x)
    return logits(x, classes)
