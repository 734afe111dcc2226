"""From which score on a label is said, and when a model had better say nothing.

Of a task with one label the most likely class is said; the exports call it `uncertain` below the score from which on
labels are right as often as asked (`abstention`). A museum rather has fewer labels that it can trust, and a list of
works for its curators, than all labels with an unknown share of wrong ones.

Of a task with several labels each class is said from a score of its own on (`class_thresholds`); where none is, the
work is `uncertain`.

Whatever a model says is `uncertain` if the test part shows it no better than chance (`doubt_of`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

TARGET = 0.9
"""Nine of ten labels right."""
LEAST_WORKS = 20
"""Fewer validation works tell nothing of a target of nine in ten, nor do fewer works above a threshold."""
DECISION = 0.5
"""From which score on a class is said where nothing better is known."""
LEAST_EXAMPLES = 5
"""A class with fewer validation works that have it, or that don't, is said from `DECISION` on."""


def abstention(right: npt.NDArray[np.bool_], scores: npt.NDArray[Any], target: float = TARGET) -> dict[str, Any] | None:
    """The lowest threshold at which labels are right as often as asked, from works not trained on.

    Works are taken from the highest score down, those of equal score together; the threshold lies halfway between the
    last one taken and the next, so that no score rounded otherwise changes sides.

    Args:
        right: (n,) whether the best class is the true one.
        scores: (n,) the best class's calibrated score.
        target: The share of the kept labels that is to be right.

    Returns:
        JSON values: `threshold` (0 keeps every label; null where no threshold reaches the target: then every label is
        uncertain), `coverage` (the share of the works kept), `accuracy` (of the kept ones; null where there is none),
        `target` and `n`. None where fewer than `LEAST_WORKS` works can tell.

    Example:
        >>> abstention(np.arange(100) >= 20, np.linspace(0.01, 1, 100))["coverage"]
        0.88
    """
    n = len(scores)
    if n < LEAST_WORKS:
        return None
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(float)
    accuracy = np.cumsum(right[order]) / np.arange(1, n + 1)
    ends = np.append(ranked[1:] < ranked[:-1], True)  # the last of its score
    enough = np.arange(1, n + 1) >= LEAST_WORKS
    reached = np.flatnonzero(ends & enough & (accuracy >= target))
    found: dict[str, Any] = {"threshold": None, "coverage": 0.0, "accuracy": None, "target": target, "n": n}
    if len(reached):
        last = int(reached[-1])
        threshold = 0.0 if last == n - 1 else float((ranked[last] + ranked[last + 1]) / 2)
        found |= {
            "threshold": threshold,
            "coverage": round((last + 1) / n, 4),
            "accuracy": round(float(accuracy[last]), 4),
        }
    return found


def abstention_of(predictions: pa.Table, target: float = TARGET) -> dict[str, Any] | None:
    """`abstention` from the validation part of a bundle's predictions.

    Args:
        predictions: `predictions.parquet` of a bundle whose works have one label each.
        target: As there.
    """
    part = predictions.filter(pc.equal(predictions["part"], "validation"))
    if not pa.types.is_string(part["true"].type):  # lists: a work may have several labels
        return None
    scores = [max(score for _, score in row) for row in part["scores"].to_pylist()]
    right = np.asarray(pc.equal(part["true"], part["label"]), bool)
    return abstention(right, np.asarray(scores, np.float64), target)


def class_thresholds(true: npt.NDArray[np.int64], scores: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """From which score on each class is said where a work may have several: where its F1 is best.

    A threshold lies halfway between two scores, so that no score rounded otherwise changes sides. `DECISION` is kept
    where the works are too few to tell (`LEAST_EXAMPLES`), and where no other threshold is better: saying a class of
    every work counts as none.

    Args:
        true: (n, classes) zeros and ones, of works not trained on.
        scores: (n, classes), calibrated.

    Returns:
        (classes,), each 0..1.

    Example:
        >>> rare = np.linspace(0, 0.4, 41)[:, None]
        >>> class_thresholds((rare > 0.2).astype(int), rare).round(3)
        array([0.205])
    """
    columns = zip(true.T, scores.T.astype(np.float64), strict=True)
    return np.array([_best_f1(has == 1, own) for has, own in columns], np.float64)


def _best_f1(has: npt.NDArray[np.bool_], scores: npt.NDArray[Any]) -> float:
    n, positives = len(has), int(has.sum())
    if min(positives, n - positives) < LEAST_EXAMPLES:
        return DECISION
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    f1 = 2 * np.cumsum(has[order]) / (np.arange(1, n + 1) + positives)
    ends = np.flatnonzero(ranked[1:] < ranked[:-1])  # the last of its score; the last of all would be every work
    said = scores >= DECISION
    usual = 2 * int((said & has).sum()) / (int(said.sum()) + positives)
    if not len(ends) or f1[ends].max() <= max(usual, f1[-1]):
        return DECISION
    last = int(ends[np.argmax(f1[ends])])
    return float((ranked[last] + ranked[last + 1]) / 2)


def doubt_of(levels: Mapping[str, Any]) -> str | None:
    """Why nothing that a model says can be relied on, as one sentence; None where it is better than chance.

    It is not where the 95 % interval of its balanced accuracy reaches down to that of a constant label (1 / classes;
    of several labels, one half), nor where of single labels no more are right than by always giving the same one.

    Args:
        levels: Of an evaluation or of a bundle's `metrics["test"]`; empty where the model was not evaluated.
    """
    try:
        level = levels["artwork"]
        n, accuracy, share = int(level["n"]), float(level["accuracy"]), float(level["majority"]["accuracy"])
        chance = float(level["majority"]["balanced_accuracy"])
        low, high = map(float, level["intervals"]["balanced_accuracy"])
    except (KeyError, TypeError, ValueError):  # an evaluation without these figures tells nothing
        return None
    works = f"{n:,} test work{'' if n == 1 else 's'}"
    end = "all its labels are uncertain"
    if "hamming_loss" not in level and accuracy <= share:
        return (
            f"This model is no better than always giving the same label ({accuracy:.0%} of {works} right, against "
            f"{share:.0%}): {end}."
        )
    if low <= chance:
        return (
            f"This model is not surely better than chance (balanced accuracy on {works}: {low:.2f} to {high:.2f} with "
            f"95 % confidence, by chance {chance:.2f}): {end}."
        )
    return None
