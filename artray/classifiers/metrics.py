"""How good scores are, as plain numbers: counts and what follows from them, curves, and intervals by resampling.

Throughout, `true` is (n,) class indices, or (n, classes) zeros and ones where an example may have several classes.
A class that does not occur, or occurs always, has no curve: such metrics are None, never NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.thresholds import DECISION
from artray.classifiers.calibration import log_loss

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Point = tuple[float, float]
Thresholds = Floats | float

CURVE_POINTS = 200
RESAMPLES = 1_000
_DECIMALS = 4


def decisions(scores: Floats, multilabel: bool, thresholds: Thresholds = DECISION) -> Ints:
    """The classes that scores stand for, (n, classes) zeros and ones.

    Args:
        scores: (n, classes) probabilities.
        multilabel: An example may have several classes: those whose score reaches their threshold.
        thresholds: (classes,), or one for all. Where an example has one class, it is the class whose score is the
            largest multiple of its threshold: the classes' shares make each class count alike.
    """
    if multilabel:
        return (scores >= thresholds).astype(np.int64)
    return one_hot((scores / thresholds).argmax(axis=1), scores.shape[1])


def one_hot(true: Ints, classes: int) -> Ints:
    """True classes as (n, classes) zeros and ones."""
    return true.astype(np.int64) if true.ndim == 2 else np.asarray(np.eye(classes, dtype=np.int64)[true])


def confusion_matrix(true: Ints, given: Ints, classes: int) -> Ints:
    """How often an example of a class (row) was given a label (column).

    Args:
        true: True classes.
        given: Predicted ones, in the same form. With several classes an example counts once for each pair.
        classes: Their number.
    """
    return np.asarray(one_hot(true, classes).T @ one_hot(given, classes))


def tallies(true: Ints, scores: Floats, thresholds: Thresholds = DECISION) -> Ints:
    """Per example the counts that all metrics follow from, (n, 2 + 3 classes); `thresholds` as in `decisions`.

    Examples, those wholly right; then per class those right, those that have it, those that were given it. Sums of
    rows are the counts of a part, or of a resample of it.
    """
    multilabel = true.ndim == 2
    has, given = one_hot(true, scores.shape[1]), decisions(scores, multilabel, thresholds)
    right = (has == given).all(axis=1)
    return np.column_stack([np.ones(len(has), np.int64), right, has * given, has, given])


def from_tallies(counts: npt.NDArray[Any], multilabel: bool) -> dict[str, Floats]:
    """Accuracy and its companions from counts.

    Args:
        counts: (..., 2 + 3 classes), sums of `tallies`.
        multilabel: An example may have several classes.

    Returns:
        (...): `accuracy` (of whole examples), `balanced_accuracy` (mean recall of the classes that occur; with several
        classes the mean over classes of recall and specificity), `macro_precision`, `macro_recall` and `macro_f1`
        (means over the classes that occur), `hamming_loss` with several classes; (..., classes): `precision`, `recall`,
        `f1`; 0 where nothing was given or nothing occurs.
    """
    n, right = counts[..., 0], counts[..., 1]
    hit, support, given = np.split(counts[..., 2:], 3, axis=-1)
    total = n[..., None]
    occurs = support > 0
    precision, recall, f1 = _ratio(hit, given), _ratio(hit, support), _ratio(2 * hit, given + support)
    metrics = {"accuracy": _ratio(right, n)}
    if multilabel:
        specificity = _ratio(total - support - given + hit, total - support)
        metrics["balanced_accuracy"] = _mean((recall + specificity) / 2, occurs & (support < total))
        metrics["hamming_loss"] = _ratio((support + given - 2 * hit).sum(axis=-1), n * hit.shape[-1])
    else:
        metrics["balanced_accuracy"] = _mean(recall, occurs)
    for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
        metrics[name] = values
        metrics[f"macro_{name}"] = _mean(values, occurs)
    return metrics


def _ratio(number: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Floats:
    return np.asarray(np.divide(number, whole, out=np.zeros(np.shape(number)), where=whole > 0))


def _mean(values: Floats, where: npt.NDArray[np.bool_]) -> Floats:
    return _ratio((values * where).sum(axis=-1), where.sum(axis=-1))


def evaluate(true: Ints, scores: Floats, classes: Sequence[str], thresholds: Thresholds = DECISION) -> dict[str, Any]:
    """Every metric of one part.

    Args:
        true: True classes.
        scores: (n, classes) probabilities.
        classes: Names in the order of the indices.
        thresholds: As in `decisions`.

    Returns:
        JSON values: `n`, `accuracy`, `balanced_accuracy`, `log_loss`, `hamming_loss` with several classes, `confusion`
        (rows true, columns predicted), `macro` (precision, recall, f1, roc_auc, average_precision: means over the
        classes that occur) and the same `per_class`, with `support`.
    """
    multilabel = true.ndim == 2
    counts = tallies(true, scores, thresholds).sum(axis=0)
    values = from_tallies(counts, multilabel)
    has = one_hot(true, len(classes)).astype(bool)
    per_class: dict[str, dict[str, Any]] = {}
    for index, name in enumerate(classes):
        per_class[name] = {key: rounded(values[key][index]) for key in ("precision", "recall", "f1")}
        per_class[name]["support"] = int(has[:, index].sum())
        per_class[name]["roc_auc"] = rounded(roc_auc(has[:, index], scores[:, index]))
        per_class[name]["average_precision"] = rounded(average_precision(has[:, index], scores[:, index]))
    macro = {name: rounded(values[f"macro_{name}"]) for name in ("precision", "recall", "f1")}
    for name in ("roc_auc", "average_precision"):
        known = [each[name] for each in per_class.values() if each[name] is not None]
        macro[name] = rounded(np.mean(known)) if known else None
    given = decisions(scores, multilabel, thresholds)
    return {
        "n": len(true),
        "accuracy": rounded(values["accuracy"]),
        "balanced_accuracy": rounded(values["balanced_accuracy"]),
        **({"hamming_loss": rounded(values["hamming_loss"])} if multilabel else {}),
        "log_loss": rounded(log_loss(true, scores)),
        "macro": macro,
        "per_class": per_class,
        "confusion": confusion_matrix(true, given if multilabel else given.argmax(axis=1), len(classes)).tolist(),
    }


def intervals(
    true: Ints,
    scores: Floats,
    owners: Sequence[str] | None = None,
    *,
    seed: int = 0,
    thresholds: Thresholds = DECISION,
) -> dict[str, tuple[Any, Any]]:
    """95 % intervals of `from_tallies` by the bootstrap: works are drawn again, 1,000 times, with what belongs to them.

    Args:
        true: True classes.
        scores: (n, classes) probabilities.
        owners: The work that each example belongs to; default: each is one.
        seed: Of the drawing.
        thresholds: As in `decisions`.

    Returns:
        Lower and upper bound of each metric, in the shapes of `from_tallies`.
    """
    counts = tallies(true, scores, thresholds)
    if owners is not None:
        _, work = np.unique(np.asarray(owners), return_inverse=True)
        summed = np.zeros((work.max() + 1, counts.shape[1]), np.int64)
        np.add.at(summed, work, counts)
        counts = summed
    # Works with the same counts are alike: how often a kind is drawn is all that matters, and there are few kinds.
    kinds, number = np.unique(counts, axis=0, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(counts), number / len(counts), RESAMPLES)
    resampled = from_tallies(drawn @ kinds, true.ndim == 2)
    return {name: tuple(np.percentile(values, (2.5, 97.5), axis=0)) for name, values in resampled.items()}


def roc_auc(has: npt.NDArray[np.bool_], scores: Floats) -> float | None:
    """Area under the ROC curve; None where all or none have the class."""
    points = roc_curve(has, scores)
    return None if points is None else float(np.trapezoid(points[:, 1], points[:, 0]))


def average_precision(has: npt.NDArray[np.bool_], scores: Floats) -> float | None:
    """Area under the steps of the precision-recall curve; None where none have the class."""
    points = precision_recall_curve(has, scores)
    return None if points is None else float((np.diff(points[:, 0]) * points[1:, 1]).sum())


def roc_curve(has: npt.NDArray[np.bool_], scores: Floats) -> Floats | None:
    """False positive rate and true positive rate at each threshold, from (0, 0) to (1, 1); (points, 2).

    Args:
        has: (n,) whether an example has the class.
        scores: (n,) the class's score.

    Returns:
        None where all or none have the class.
    """
    given, hits = _by_threshold(has, scores)
    if not 0 < hits[-1] < len(has):
        return None
    return np.column_stack([(given - hits) / (len(has) - hits[-1]), hits / hits[-1]])


def precision_recall_curve(has: npt.NDArray[np.bool_], scores: Floats) -> Floats | None:
    """Recall and precision at each threshold, from recall 0 (precision 1) to recall 1; (points, 2).

    Args:
        has: (n,) whether an example has the class.
        scores: (n,) the class's score.

    Returns:
        None where none have the class.
    """
    given, hits = _by_threshold(has, scores)
    if not hits[-1]:
        return None
    return np.column_stack([hits / hits[-1], np.divide(hits, given, out=np.ones(len(given)), where=given > 0)])


def _by_threshold(has: npt.NDArray[np.bool_], scores: Floats) -> tuple[Ints, Ints]:
    """How many are given the class at each threshold from high to low, and how many of them have it; first none."""
    order = np.argsort(-scores, kind="stable")
    # Examples of equal score can't be told apart by a threshold.
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    return np.append(0, last + 1), np.append(0, np.cumsum(has[order])[last])


def thinned(points: Floats, most: int = CURVE_POINTS) -> list[Point]:
    """A curve drawn with fewer points, evenly along its length, first and last kept."""
    if len(points) > most:
        length = np.append(0, np.abs(np.diff(points, axis=0)).sum(axis=1).cumsum())
        points = points[np.unique(np.searchsorted(length, np.linspace(0, length[-1], most)))]
    return [(round(x, _DECIMALS), round(y, _DECIMALS)) for x, y in points.tolist()]


def rounded(value: Any) -> float | None:
    """A metric as JSON has it."""
    return None if value is None or not np.isfinite(value) else round(float(value), _DECIMALS)
