"""The mix of classes under which the scores of a training by steps are probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from artray.classifiers.config import TrainConfig


def shares_learned(
    config: TrainConfig, classes: Sequence[str], targets: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64] | None:
    """The mix, (classes,).

    It is that of the training part, unless classes were weighted, or drawn equally often.

    Args:
        config: What was trained.
        classes: The labels.
        targets: (n, classes) of the training part.

    Returns:
        None where a work may have several labels.
    """
    from artray.classifiers.losses import class_weights

    if config.multilabel:
        return None
    counts = targets.astype(np.float64).sum(axis=0)
    weights = class_weights(config.class_weights, list(classes), targets)
    if config.sampling == "balanced":
        counts = np.ones(len(counts))
    if weights is not None:
        counts = np.maximum(counts * weights, 1e-6 * counts.sum())  # a class may have the weight 0
    return np.asarray(counts / counts.sum())
