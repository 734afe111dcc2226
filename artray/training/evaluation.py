"""How good a classifier is on examples it never saw (E4), as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]


def confusion_matrix(true: Ints, predicted: Ints, classes: int) -> Ints:
    """How often a true class (row) was given which label (column)."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (true, predicted), 1)
    return matrix


def evaluate(true: Ints, scores: Floats, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy and its companions.

    Args:
        true: (n,) class indices.
        scores: (n, classes) probabilities.
        classes: Names in the order of the indices.

    Returns:
        JSON values: `n`, `accuracy`, `balanced_accuracy` (mean recall of the classes that occur), `majority_share`
        (accuracy of always saying the most frequent class), `log_loss`, `confusion` (rows true, columns predicted) and
        `per_class` precision, recall, f1 and support; 0 where nothing was predicted or nothing occurs.
    """
    matrix = confusion_matrix(true, scores.argmax(axis=1), len(classes))
    support, given, right = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
    precision = np.divide(right, given, out=np.zeros(len(classes)), where=given > 0)
    recall = np.divide(right, support, out=np.zeros(len(classes)), where=support > 0)
    f1 = np.divide(2 * right, given + support, out=np.zeros(len(classes)), where=given + support > 0)
    return {
        "n": len(true),
        "accuracy": round(float(right.sum() / len(true)), 4),
        "balanced_accuracy": round(float(recall[support > 0].mean()), 4),
        "majority_share": round(float(support.max() / len(true)), 4),
        "log_loss": round(float(log_loss(true, scores)), 4),
        "confusion": matrix.tolist(),
        "per_class": {
            name: {
                "precision": round(float(precision[index]), 4),
                "recall": round(float(recall[index]), 4),
                "f1": round(float(f1[index]), 4),
                "support": int(support[index]),
            }
            for index, name in enumerate(classes)
        },
    }


def log_loss(true: Ints, scores: Floats) -> float:
    """Mean negative logarithm of the true class's score."""
    return float(-np.log(np.clip(scores[np.arange(len(true)), true], 1e-12, 1)).mean())


def softmax(logits: Floats) -> Floats:
    """Probabilities from logits, along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def fit_temperature(true: Ints, logits: Floats) -> float:
    """The temperature T that makes softmax(logits / T) best calibrated on a validation part (Guo et al. 2017).

    Log loss is convex in 1/T, so a fine grid from 1/8 to 8 around the minimum finds it to half a percent.
    """
    grid = np.geomspace(1 / 8, 8, 801)
    return float(grid[int(np.argmin([log_loss(true, softmax(logits / temperature)) for temperature in grid]))])


def by_artwork(owners: Sequence[str], scores: Floats) -> tuple[list[str], Floats]:
    """The decision for an artwork from its patches (E3): the mean of their scores.

    Args:
        owners: Each patch's object_id.
        scores: (n, classes) probabilities of the patches.

    Returns:
        The object_ids, sorted, and their scores (artworks, classes).
    """
    names, index = np.unique(np.asarray(owners), return_inverse=True)
    total = np.zeros((len(names), scores.shape[1]))
    np.add.at(total, index, scores)
    return names.tolist(), total / np.bincount(index)[:, None]
