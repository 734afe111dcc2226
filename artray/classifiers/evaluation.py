"""How good a classifier is on works it never saw (E4): `evaluation.json`, and each work's prediction.

task, part, labels, classes, temperature
thresholds  where a work may have several labels: class → from which score on it is said (see `bundles.thresholds`),
            chosen on the validation part; everything below is judged by them. Else null
decision, shares  which label is said, and the mix of classes under which scores are probabilities (see
            `bundles.classifier`); null where a work may have several labels
abstain     from which score on labels are said (see `thresholds.abstention`), from the validation part; or null
majority_share  of the artworks' level, see there
levels      artwork (and patch) → all of `metrics.evaluate`, and
              majority_share     accuracy of saying the same of every work: what most of them are
              expected_calibration_error, its value `uncalibrated`
              intervals          95 %, of accuracy, balanced_accuracy, macro_f1; per class of precision, recall, f1
              majority           all metrics of saying the same of every work
              baseline           all metrics of a logistic regression (see `baseline`), or null
              kept               of works of one label (see `kept_labels`): share and precision of the labels that are
                                 said, their interval with whole groups drawn, by class, and at any threshold; or null
calibration  level → before, after: the bins behind the calibration errors
curves       level → class → roc (false and true positive rate), precision_recall (recall, precision); or null
novelty      of classifiers that are solved for (see `novelty.novelty_told`): how many of the test part's works are
             taken to be of none of the classes, and of those works whose label is none of them; else absent
validation   artwork → metrics without intervals, for choosing between models
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.bundles.classifier import Decision
from artray.bundles.inputs import by_artwork
from artray.bundles.thresholds import DECISION, TARGET, abstention_of, class_thresholds, deciding
from artray.catalogs.targets import Labels
from artray.classifiers.baseline import Baseline
from artray.classifiers.calibration import log_loss, reliability, sigmoid, softmax
from artray.classifiers.examples import Examples
from artray.classifiers.kept import kept_labels
from artray.classifiers.metrics import (
    Thresholds,
    decisions,
    evaluate,
    from_tallies,
    intervals,
    one_hot,
    precision_recall_curve,
    roc_curve,
    rounded,
    tallies,
    thinned,
)

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "macro_roc_auc",
    "macro_average_precision",
    "hamming_loss",
    "log_loss",
)
"""The metrics of a level that are one number."""


def metric(level: Mapping[str, Any], name: str) -> float | None:
    """One of `METRICS` from a level of an evaluation; None where it is not defined."""
    value = level["macro"][name.removeprefix("macro_")] if name.startswith("macro_") else level.get(name)
    return None if value is None else float(value)


def true_classes(targets: Floats, multilabel: bool) -> Ints:
    """What the metrics call `true`, from targets that may be soft.

    Args:
        targets: (n, classes), 0..1.
        multilabel: An example may have several classes: those with a target of at least one half.
    """
    return (targets >= 0.5).astype(np.int64) if multilabel else targets.argmax(axis=1)


def evaluation_of(
    examples: Examples,
    logits: Floats,
    temperature: float,
    *,
    task: str,
    labels: Labels,
    baseline: Baseline | None = None,
    decision: Decision = "likely",
    shares: Floats | None = None,
    precision_target: float = TARGET,
) -> tuple[dict[str, Any], pa.Table]:
    """The test part's evaluation per artwork (and per patch), and every artwork's prediction.

    Args:
        examples: All labelled examples.
        logits: (examples, classes) of the model.
        temperature: What they are to be divided by.
        task: Name of the labels.
        labels: How many a work may have.
        baseline: What a simple classifier says of the same works, where there is one.
        decision: Which label is said where a work has one.
        shares: (classes,) the mix of classes under which the scores are probabilities.
        precision_target: The share of the labels that is to be right where they are not uncertain.

    Returns:
        The contents of `evaluation.json` (see the head of this module) and of `predictions.parquet`.
    """
    multilabel = labels == "multilabel"
    link = sigmoid if multilabel else softmax
    true = true_classes(examples.targets, multilabel)
    plain, scores = link(logits), link(logits / temperature)
    owners = examples.table["object_id"].to_pylist()
    names, artwork_scores = by_artwork(owners, scores)
    _, artwork_plain = by_artwork(owners, plain)
    first = {owner: row for row, owner in reversed(list(enumerate(owners)))}
    rows = [first[name] for name in names]
    table = examples.table.take(rows)
    artwork_true = true[rows]
    parts = np.asarray(table["part"])
    unseen, chosen = parts == "test", parts == "validation"
    thresholds = None
    if multilabel:
        best = class_thresholds(artwork_true[chosen], artwork_scores[chosen])
        thresholds = dict(zip(examples.classes, best.tolist(), strict=True))
    told = deciding(examples.classes, thresholds, decision=decision, shares=shares)
    level = _Level(artwork_true[unseen], artwork_scores[unseen], artwork_plain[unseen], examples.classes, told=told)
    judged = {"artwork": level}
    levels = {"artwork": level.metrics()}
    if baseline is not None:
        simple = baseline.scores_of(names)
        # It gets thresholds of its own: it is to be beaten at its best.
        chosen_thresholds = class_thresholds(artwork_true[chosen], simple[chosen]) if multilabel else DECISION
        levels["artwork"]["baseline"] = baseline.about() | level.plain(simple[unseen], chosen_thresholds)
    if len(names) != len(owners):
        test = examples.part("test")
        works = [owners[row] for row in test]
        level = _Level(true[test], scores[test], plain[test], examples.classes, owners=works, told=told)
        judged["patch"] = level
        levels["patch"] = level.metrics()
    validation = None
    if chosen.any():
        validation = {"artwork": _metrics(artwork_true[chosen], artwork_scores[chosen], examples.classes, told)}
    predictions = predictions_table(table, artwork_true, artwork_scores, examples.classes, told)
    abstain = None if multilabel else abstention_of(predictions, precision_target)
    if not multilabel:
        tested = predictions.filter(pa.array(unseen))
        threshold = None if abstain is None else abstain["threshold"]
        levels["artwork"]["kept"] = None if abstain is None else kept_labels(tested, threshold)
    known = not multilabel and shares is not None
    evaluation = {
        "task": task,
        "part": "test",
        "labels": labels,
        "classes": examples.classes,
        "temperature": temperature,
        "thresholds": thresholds,
        "decision": None if multilabel else decision,
        "shares": dict(zip(examples.classes, np.asarray(shares).tolist(), strict=True)) if known else None,
        "abstain": abstain,
        "majority_share": levels["artwork"]["majority_share"],
        "levels": levels,
        "validation": validation,
        "calibration": {name: level.calibration for name, level in judged.items()},
        "curves": {name: level.curves() for name, level in judged.items()},
    }
    return evaluation, predictions


class _Level:
    """One level's test part: the works themselves, or their patches."""

    def __init__(
        self,
        true: Ints,
        scores: Floats,
        plain: Floats,
        classes: Sequence[str],
        *,
        owners: Sequence[str] | None = None,
        told: Thresholds = DECISION,
    ):
        self._true, self._scores, self._classes, self._owners, self._told = true, scores, classes, owners, told
        given = None if true.ndim == 2 else decisions(scores, False, told).argmax(axis=1)
        self.calibration = {"before": reliability(true, plain, given), "after": reliability(true, scores, given)}

    def metrics(self) -> dict[str, Any]:
        shares = one_hot(self._true, len(self._classes)).mean(axis=0)
        majority = self.plain(np.tile(shares, (len(self._true), 1)))
        metrics = evaluate(self._true, self._scores, self._classes, self._told)
        bounds = intervals(self._true, self._scores, self._owners, thresholds=self._told)
        for index, name in enumerate(self._classes):
            metrics["per_class"][name]["intervals"] = {
                key: [rounded(bound[index]) for bound in bounds[key]] for key in ("precision", "recall", "f1")
            }
        return metrics | {
            "majority_share": majority["accuracy"],
            "expected_calibration_error": self.calibration["after"]["ece"],
            "uncalibrated": self.calibration["before"]["ece"],
            "intervals": {
                name: [rounded(bound) for bound in bounds[name]]
                for name in ("accuracy", "balanced_accuracy", "macro_f1")
            },
            "majority": majority,
            "baseline": None,
        }

    def plain(self, scores: Floats, thresholds: Thresholds = DECISION) -> dict[str, Any]:
        return _metrics(self._true, scores, self._classes, thresholds)

    def curves(self) -> dict[str, Any]:
        has = one_hot(self._true, len(self._classes)).astype(bool)
        curves_of: dict[str, Any] = {}
        for index, name in enumerate(self._classes):
            curves = {
                "roc": roc_curve(has[:, index], self._scores[:, index]),
                "precision_recall": precision_recall_curve(has[:, index], self._scores[:, index]),
            }
            curves_of[name] = {key: None if points is None else thinned(points) for key, points in curves.items()}
        return curves_of


def _metrics(true: Ints, scores: Floats, classes: Sequence[str], thresholds: Thresholds) -> dict[str, Any]:
    metrics = evaluate(true, scores, classes, thresholds)
    del metrics["confusion"]
    return metrics


def predictions_table(
    table: pa.Table, true: Ints, scores: Floats, classes: Sequence[str], thresholds: Thresholds = DECISION
) -> pa.Table:
    """`predictions.parquet`: what is true of each work, and what was said of it.

    Args:
        table: A row a work: `object_id`, `part`, and `image_uri` and `group` where they are known.
        true: True classes (see `metrics`).
        scores: (n, classes) probabilities.
        classes: Their names.
        thresholds: From which score on each is said, where a work may have several.

    Returns:
        The table's columns (not `patch`), `true` and `label` (a class, or a list of them where a work may have
        several), and `scores`, a map of all classes.
    """
    multilabel = true.ndim == 2

    def named(values: Ints) -> pa.Array:
        if multilabel:
            return pa.array(
                [[name for name, has in zip(classes, row, strict=True) if has] for row in values.tolist()],
                pa.list_(pa.string()),
            )
        return pa.array(list(classes)).take(pa.array(values))

    given = decisions(scores, multilabel, thresholds)
    names = ("object_id", "image_uri", "group", "part")
    columns = {name: table[name] for name in names if name in table.column_names}
    return pa.table(
        {
            **columns,
            "true": named(true),
            "label": named(given if multilabel else given.argmax(axis=1)),
            "scores": pa.array(
                [list(zip(classes, row, strict=True)) for row in scores.tolist()], pa.map_(pa.string(), pa.float32())
            ),
        }
    )


def validation_metrics(
    targets: npt.NDArray[np.float32], logits: npt.NDArray[np.float32], multilabel: bool = False
) -> dict[str, float]:
    """`validation_loss`, `validation_accuracy` and `validation_balanced_accuracy` of uncalibrated scores.

    Args:
        targets: (n, classes).
        logits: (n, classes).
        multilabel: An example may have several labels.
    """
    true = true_classes(targets, multilabel)
    if multilabel:
        scores = sigmoid(logits)
        loss = log_loss(true, scores)
    else:
        scores = softmax(logits)
        loss = float(-(targets * np.log(np.clip(scores, 1e-12, 1))).sum(axis=1).mean())
    metrics = from_tallies(tallies(true, scores).sum(axis=0), multilabel)
    return {
        "validation_loss": loss,
        "validation_accuracy": float(metrics["accuracy"]),
        "validation_balanced_accuracy": float(metrics["balanced_accuracy"]),
    }
