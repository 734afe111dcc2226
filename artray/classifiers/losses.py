"""What training makes small: the cross-entropy of an example's logits, for one label, several labels and shares."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from artray.classifiers.config import ClassWeights
from artray.errors import InputError


class CrossEntropy:
    """The loss of each example of a batch.

    One label or shares of labels: softmax cross-entropy, -Σ y log p, where smoothing s makes y (1 - s) y + s / classes.
    Several labels: the mean over classes of sigmoid cross-entropy, where smoothing makes y (1 - s) y + s / 2.

    Args:
        multilabel: An example may have several labels.
        label_smoothing: s, 0 to below 1.
        positive: With several labels, (classes,) by how much the loss counts where an example has the label.
    """

    def __init__(
        self,
        multilabel: bool = False,
        label_smoothing: float = 0.0,
        positive: npt.NDArray[np.float32] | None = None,
    ):
        self._multilabel = multilabel
        self._smoothing = label_smoothing
        self._positive = positive

    def __call__(self, targets: Any, logits: Any) -> Any:
        """Losses, (n,), of targets (n, classes), float32, and logits of the same shape."""
        ops = keras.ops
        logits = ops.cast(logits, "float32")  # half precision is too coarse for a logarithm of a sum
        if not self._multilabel:
            return keras.losses.categorical_crossentropy(
                targets, logits, from_logits=True, label_smoothing=self._smoothing
            )
        targets = targets * (1 - self._smoothing) + self._smoothing / 2
        positive = 1.0 if self._positive is None else self._positive
        # log sigmoid(x) = -softplus(-x), which never overflows
        losses = positive * targets * ops.softplus(-logits) + (1 - targets) * ops.softplus(logits)
        return ops.mean(losses, axis=-1)


def class_weights(
    given: ClassWeights, classes: list[str], targets: npt.NDArray[np.float32], multilabel: bool = False
) -> npt.NDArray[np.float32] | None:
    """`class_weights` of a config as numbers.

    Args:
        given: What the config says.
        classes: The labels.
        targets: (n, classes) of the training part.
        multilabel: An example may have several labels.

    Returns:
        (classes,), or None where all count the same. `balanced` is n / (classes · n of the class), as in scikit-learn;
        with several labels, those without the label over those with it.

    Raises:
        InputError: A weight is for a class that there is not.
    """
    if given is None:
        return None
    if isinstance(given, dict):
        unknown = [name for name in given if name not in classes]
        if unknown:
            raise InputError(f"class_weights: there is no class {unknown[0]!r} ({', '.join(classes)})")
        return np.array([given.get(name, 1.0) for name in classes], np.float32)
    count = targets.sum(axis=0)
    if multilabel:
        return np.asarray((len(targets) - count) / np.maximum(count, 1), np.float32)
    return np.asarray(count.sum() / (len(classes) * np.maximum(count, 1e-6)), np.float32)
