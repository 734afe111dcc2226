"""The mix of classes under which the scores of a training by steps are probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from artray.classifiers.config import ClassWeights


def shares_learned(
    classes: Sequence[str],
    targets: npt.NDArray[np.float32],
    *,
    given: ClassWeights,
    sampling: str,
) -> npt.NDArray[np.float64]:
    """The mix, (classes,), of a task whose works have one label each.

    It is that of the training part, unless classes were weighted, or drawn equally often.

    Args:
        classes: The labels.
        targets: (n, classes) of the training part.
        given: `class_weights` of its config.
        sampling: Of its config.
    """
    from artray.classifiers.losses import class_weights

    counts = targets.astype(np.float64).sum(axis=0)
    weights = class_weights(given, list(classes), targets)
    if sampling == "balanced":
        counts = np.ones(len(counts))
    if weights is not None:
        counts = np.maximum(counts * weights, 1e-6 * counts.sum())  # a class may have the weight 0
    return np.asarray(counts / counts.sum())
