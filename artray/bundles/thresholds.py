"""From which score on a label is said, and when a model had better say nothing.

Of a task with one label one class is said; the exports call it `uncertain` below the score from which on labels are
right as often as asked (`abstention`). A museum rather has fewer labels that it can trust, and a list of
works for its curators, than all labels with an unknown share of wrong ones.

Of a task with several labels each class is said from a score of its own on (`class_thresholds`); where none is, the
work is `uncertain`.

Whatever a model says is `uncertain` if the test part shows it no better than chance (`doubt_of`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.precision import likeness, lower_bound, mean_size, surely
from artray.errors import count_of

TARGET = 0.9
"""Nine of ten labels right."""
CONFIDENCE = 0.95
"""That at least so many are."""
LEAST_WORKS = 20
"""Fewer validation works tell nothing of a target of nine in ten, nor do fewer works above a threshold."""
DECISION = 0.5
"""From which score on a class is said where nothing better is known."""
LEAST_EXAMPLES = 5
"""A class with fewer validation works that have it, or that don't, is said from `DECISION` on."""

_LOOKS = 50  # thresholds looked at, evenly spread over the works
_STARTS = 0.2, 0.4, 0.7  # shares of the works kept at which looking begins
_MANY = 150  # works of which it begins at all three


def abstention(
    right: npt.NDArray[np.bool_],
    scores: npt.NDArray[Any],
    target: float = TARGET,
    groups: Sequence[str] | None = None,
) -> dict[str, Any] | None:
    """The lowest threshold at which labels are, with 95 % confidence, right as often as asked, from works not seen.

    Works are taken from the highest score down, those of equal score together; the threshold lies halfway between the
    last one taken and the next, so that no score rounded otherwise changes sides.

    Several thresholds are looked at, so one could pass by luck. They are looked at in an order that doesn't depend on
    what is right, from few works kept to all, and the first that fails ends it: then the confidence holds for the last
    that has passed, however many there were (Angelopoulos et al. 2021). Of many works it is begun at three places,
    each with a third of the error. Works of one group (an artist) that are right or wrong together count as fewer.

    Args:
        right: (n,) whether the label that is said is the true one.
        scores: (n,) its calibrated score.
        target: The share of the kept labels that is to be right.
        groups: (n,) what belongs together; default: each work stands for itself.

    Returns:
        JSON values: `threshold` (0 keeps every label; null where no threshold reaches the target: then every label is
        uncertain), `coverage` (the share of the works kept), `accuracy` (of the kept ones; null where there is none),
        `lower` (the lower end of its interval, likewise), `target`, `n` and `alike` (how alike the works of a
        group are in being right, 0..1). None where fewer than `LEAST_WORKS` works can tell.

    Example:
        >>> abstention(np.arange(100) >= 20, np.linspace(0.01, 1, 100))["coverage"]
        0.82
    """
    n = len(scores)
    if n < LEAST_WORKS:
        return None
    alike, numbers = 0.0, np.arange(n)
    if groups is not None:
        _, numbers = np.unique(np.asarray(list(groups), dtype=str), return_inverse=True)
        alike = likeness(right - scores.astype(float), numbers)
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(float)
    hits = np.cumsum(right[order])
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))  # the last of its score
    looks = ends[
        np.unique(np.searchsorted(ends, np.linspace(0, n - 1, _LOOKS + 1)[1:].astype(int)).clip(0, len(ends) - 1))
    ]
    starts = _STARTS if n >= _MANY else _STARTS[:1]
    error = (1 - CONFIDENCE) / len(starts)
    found: dict[str, Any] = {
        "threshold": None, "coverage": 0.0, "accuracy": None, "lower": None, "target": target, "n": n,
        "alike": round(alike, 4),
    }  # fmt: skip
    best, bound = -1, 0.0
    counts = [1 + alike * (mean_size(numbers[order[: last + 1]]) - 1) for last in looks.tolist()]
    for start in starts:
        for last, count in zip(looks.tolist(), counts, strict=True):
            kept = (last + 1) / count
            # With fewer works not even all of them right would do.
            if last + 1 < start * n or target**kept > error:
                continue
            if not surely(target, hits[last] / count, kept, error):
                break
            if last > best:
                best, bound = last, lower_bound(hits[last] / count, kept, error)
    if best >= 0:
        threshold = 0.0 if best == n - 1 else float((ranked[best] + ranked[best + 1]) / 2)
        found |= {
            "threshold": threshold,
            "coverage": round((best + 1) / n, 4),
            "accuracy": round(float(hits[best]) / (best + 1), 4),
            "lower": round(bound, 4),
        }
    return found


def abstention_told(figures: Mapping[str, Any]) -> str:
    """What `abstention` has found, as one sentence; also what a bundle of before holds, which says less."""
    target = f"{figures['target']:.0%}"
    if figures["threshold"] is None and not figures["n"]:
        return f"no labelled works say from which score on {target} of the labels are right: all are uncertain."
    if figures["threshold"] is None:
        works = count_of(figures["n"], "work shows", "works show")
        return (
            f"{works} no score from which on {target} of the labels are right: all are uncertain. More labelled "
            "works, or a lower --precision-target, would change that."
        )
    sure = f", with 95 % confidence at least {figures['lower']:.0%}" if figures.get("lower") is not None else ""
    return (
        f"labels are certain from a score of {figures['threshold']:.2f} on: {figures['coverage']:.0%} of the works, of "
        f"whose labels {figures['accuracy']:.0%} are right{sure}."
    )


def abstention_of(predictions: pa.Table, target: float = TARGET) -> dict[str, Any] | None:
    """`abstention` from the validation part of a bundle's predictions.

    Args:
        predictions: `predictions.parquet` of a bundle whose works have one label each.
        target: As there.
    """
    validation = predictions.filter(pc.equal(predictions["part"], "validation"))
    if not pa.types.is_string(validation["true"].type):  # lists: a work may have several labels
        return None
    rows = zip(validation["label"].to_pylist(), validation["scores"].to_pylist(), strict=True)
    scores = [next(score for name, score in row if name == label) for label, row in rows]
    right = np.asarray(pc.equal(validation["true"], validation["label"]), bool)
    groups = validation["group"].to_pylist() if "group" in validation.column_names else None
    return abstention(right, np.asarray(scores, np.float64), target, groups)


def deciding(
    classes: Sequence[str],
    thresholds: Mapping[str, float] | None,
    *,
    decision: str,
    shares: npt.NDArray[Any] | None,
) -> npt.NDArray[np.float64]:
    """By what it is decided which labels are said, as `classifiers.metrics.decisions` takes it.

    Args:
        classes: The labels.
        thresholds: Where a work may have several: of each class, from which score on it is said.
        decision: Where it has one: "likely" or "balanced".
        shares: (classes,) the mix of classes under which scores are probabilities.

    Returns:
        (classes,). Of several labels those are said whose score reaches it; of one that whose score is its largest
        multiple.
    """
    if decision == "balanced":
        assert shares is not None
        return np.asarray(shares, np.float64)
    known = thresholds or {}
    return np.array([known.get(name, DECISION) for name in classes], np.float64)


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
    return np.array([_best_f1(has == 1, of_class) for has, of_class in columns], np.float64)


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
    works = count_of(n, "test work")
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
