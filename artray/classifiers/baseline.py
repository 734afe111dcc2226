"""The simple answer that a model has to beat: logistic regression on all groups of features that a table has.

Classes count alike. Its strength of regularisation is chosen on the validation part by log loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.classifiers.calibration import log_loss, sigmoid, softmax
from artray.classifiers.examples import Examples
from artray.classifiers.feature_inputs import all_columns
from artray.classifiers.logistic import balanced_weights, fit_logistic
from artray.classifiers.out_of_fold import coordinates
from artray.errors import InputError
from artray.features.columns import matrix
from artray.storage import Location
from artray.storage.located_rows import read_rows

Floats = npt.NDArray[np.floating[Any]]

PENALTIES = np.geomspace(1, 1e-5, 11)
"""Tried from strong to weak, until the validation part says enough."""
_MOST = 8_192  # works learned from, and in memory at once: 200 MB of style statistics
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline's scores.

    Attributes:
        columns: The features it saw.
        penalty: Its regularisation, in `loss + penalty / 2 · |weights|²` on features scaled to a length of about 1.
        object_ids: The works.
        scores: (works, classes) probabilities.
        learned: From how many works of the training part, drawn by lot; None: from all.
    """

    columns: list[str]
    penalty: float
    object_ids: list[str]
    scores: Floats
    learned: int | None = None

    def scores_of(self, object_ids: Sequence[str]) -> Floats:
        """The scores of some works, in their order."""
        row_of = {name: row for row, name in enumerate(self.object_ids)}
        return self.scores[[row_of[name] for name in object_ids]]

    def about(self) -> dict[str, Any]:
        """What it is, as JSON."""
        about = {"name": "logistic regression", "columns": self.columns, "penalty": self.penalty}
        return about if self.learned is None else {**about, "learned": self.learned}


def fit_baseline(
    examples: Examples, features: Location | None, columns: Sequence[str], multilabel: bool = False
) -> Baseline | None:
    """Logistic regression on all groups of features of a table, or on some columns where it has none of them.

    Args:
        examples: The labelled examples; their classes and parts are the baseline's.
        features: A feature table that has all of the examples' works; None: there is none.
        columns: What is looked at in a table without any group that `all_columns` knows.
        multilabel: A work may have several labels.

    Returns:
        None without features.

    Raises:
        InputError: The table has neither such groups nor the columns, or lacks some of the works.
    """
    if features is None:
        return None
    dataset = features.dataset()
    columns = baseline_columns(features, columns)
    for name in ("object_id", "status", *columns):
        if name not in dataset.schema.names:
            raise InputError(f"{features}: has no column {name!r} to compare with a logistic regression")
    owners = examples.table["object_id"].combine_chunks()
    works = pc.unique(owners)
    rows_read = read_rows(dataset, ["object_id", "status"], lambda table: _is_readable_work(table, works))
    where = pc.index_in(works, value_set=rows_read.table["object_id"].combine_chunks())
    if where.null_count:
        raise InputError(f"{features}: lacks {where.null_count} of the {len(works)} works, as do its readable pictures")
    rows = rows_read.take(where.to_numpy().astype(np.int64))
    first = pc.index_in(works, value_set=owners).to_numpy()
    parts, targets = np.asarray(examples.table["part"])[first], examples.targets[first]
    learned, judged = _some(parts == "train", _MOST), _some(parts == "validation", _MOST // 2)
    fitted = np.sort(np.concatenate([learned, judged]))

    def read(some: npt.NDArray[np.int64]) -> Floats:
        if whole is not None:
            return whole[some]
        table = rows.take(some).read(features, columns)
        return np.concatenate([matrix(table[name], name) for name in columns], axis=1)

    whole: Floats | None = None
    if len(works) <= _MOST:
        whole = read(np.arange(len(works)))
    model = choose(read(fitted), targets[fitted], np.isin(fitted, learned), np.isin(fitted, judged), multilabel)
    scores = np.empty(targets.shape)
    order = rows.stored()
    for start in range(0, len(order), _MOST):
        some = order[start : start + _MOST]
        scores[some] = model.scores(read(some))
    sampled = len(learned) if len(learned) < (parts == "train").sum() else None
    return Baseline(columns, model.penalty, works.to_pylist(), scores, sampled)


def _is_readable_work(table: pa.Table, works: pa.Array) -> pa.ChunkedArray:
    return pc.and_(pc.equal(table["status"], "ok"), pc.is_in(table["object_id"], value_set=works))


def _some(wanted: npt.NDArray[np.bool_], most: int) -> npt.NDArray[np.int64]:
    """The numbers of what is wanted, or of so many of them, drawn by lot."""
    rows = np.flatnonzero(wanted)
    return rows if len(rows) <= most else np.sort(np.random.default_rng(0).choice(rows, most, replace=False))


def baseline_columns(features: Location, columns: Sequence[str]) -> list[str]:
    """The columns of a feature table that the baseline sees: all groups that it has, or these where it has none."""
    return all_columns(features.dataset().schema.names) or list(columns)


@dataclass(frozen=True)
class Chosen:
    """A fitted logistic regression.

    Attributes:
        penalty: Its regularisation.
        mean: (d,) subtracted from features.
        scale: (d,) by which they are then divided.
        weights: (d, classes).
        bias: (classes,).
        multilabel: Whether classes don't exclude each other.
    """

    penalty: float
    mean: Floats
    scale: Floats
    weights: Floats
    bias: Floats
    multilabel: bool

    def scores(self, x: Floats) -> Floats:
        """The probabilities (n, classes) of features (n, d)."""
        logits = (np.asarray(x, np.float32) - self.mean) / self.scale @ self.weights + self.bias
        return sigmoid(logits) if self.multilabel else softmax(logits)


def choose(
    x: Floats,
    targets: Floats,
    training: npt.NDArray[np.bool_],
    validation: npt.NDArray[np.bool_],
    multilabel: bool = False,
) -> Chosen:
    """Fit on the training part with the penalty that the validation part likes best.

    Args:
        x: (n, d) features; standardised here by the training part.
        targets: (n, classes), 0..1.
        training: (n,) which are learned from.
        validation: (n,) which choose the penalty.
        multilabel: An example may have several classes.
    """
    x = np.asarray(x, np.float32)
    mean, deviation = x[training].mean(axis=0), x[training].std(axis=0)
    scale = np.where(deviation > 1e-6, deviation, 1) * x.shape[1] ** 0.5
    seen = (x[training] - mean) / scale
    # With fewer works than features the works' own coordinates: the same classifier, in less time.
    few = len(seen) < x.shape[1]
    points = coordinates(seen) if few else seen
    weighted = None if multilabel else balanced_weights(np.maximum(targets[training].sum(axis=0), 1e-6))
    last: tuple[Floats, Floats] | None = None
    truth = (targets[validation] >= 0.5).astype(np.int64) if multilabel else targets[validation].argmax(axis=1)
    best: tuple[float, Chosen] | None = None
    for number, penalty in enumerate(PENALTIES.tolist()):
        last = fit_logistic(
            lambda: [(points, targets[training])],
            penalty,
            class_weights=weighted,
            multilabel=multilabel,
            start=last,
            tolerance=_TOLERANCE,
        )
        weights, bias = last
        if few:
            weights = seen.T @ np.linalg.solve(points.T, weights)
        fitted = Chosen(penalty, mean, scale, weights=weights, bias=bias, multilabel=multilabel)
        loss = _loss(truth, fitted.scores(x[validation]), weighted)
        if best is None or loss < best[0]:
            best, lowest = (loss, fitted), number
        elif number >= lowest + 2:  # along this path the validation loss falls, then rises
            break
    assert best is not None
    return best[1]


def _loss(truth: npt.NDArray[np.int64], scores: Floats, class_weights: Floats | None) -> float:
    """Log loss in which classes count as they did in the fit."""
    if class_weights is None:
        return log_loss(truth, scores)
    counts = class_weights[truth]
    told = np.log(np.clip(scores[np.arange(len(truth)), truth], 1e-12, 1))
    return float(-(counts * told).sum() / counts.sum())
