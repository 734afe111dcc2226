"""What is said of each work by a classifier that has not seen its group: scores by which all else is chosen.

Works to learn from are dealt into folds by group (an artist, a family), so that what is found on the folds holds for
artists who are new. Strengths of regularisation, temperature and thresholds follow from these scores; no work has to be
kept back from learning for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from artray.classifiers.calibration import fit_temperature, log_loss, softmax
from artray.classifiers.discriminant import SHRINKAGES, Discriminant
from artray.classifiers.logistic import Blocks, balanced_weights, fit_logistic
from artray.ingest.splits import assign_folds

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
Linear: TypeAlias = tuple[Floats, Floats]
"""(d, classes) weights and (classes,) bias."""
Columns: TypeAlias = "slice | Indices"
"""Some of the features."""

FOLDS = 5
MOST = 3_000
"""Works of which scores are had at most; of more, whole groups are drawn by lot."""
PENALTIES = (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
"""Of logistic regression on features of a length of about 1: tried from strong to weak, until the folds say enough."""
STATISTICS = "_statistics"  # how the columns end that hold them
_MIDDLE = 288 / 6176, 2208 / 6176  # of EfficientNet-Lite0's statistics: blocks 5 to 12, as in `fusion.yaml`
_USUAL = SHRINKAGES.index(0.8)
_ABSENT = 30.0  # how far the logit of a class lies below the others that a fold could not learn


class Logistic:
    """Logistic regressions of falling penalties, each begun where the last one ended.

    Args:
        blocks: What they learn from, standardised.
        dimension: How many features there are, by which penalties are scaled.
        class_weights: (classes,) how much each counts.
        tolerance: As of `fit_logistic`.
    """

    def __init__(self, blocks: Blocks, dimension: int, class_weights: Floats, tolerance: float = 1e-4):
        self._blocks, self._dimension, self._weights, self._tolerance = blocks, dimension, class_weights, tolerance
        self._last: Linear | None = None

    def fit(self, penalty: float) -> Linear:
        """The classifier of a penalty; its scores are those under the mix of classes that it has learned from."""
        weights, bias = self._last = fit_logistic(
            self._blocks,
            penalty * self._dimension,
            class_weights=self._weights,
            start=self._last,
            tolerance=self._tolerance,
        )
        return weights, bias - np.log(self._weights)


@dataclass(frozen=True)
class Family:
    """Classifiers that differ in one strength.

    Attributes:
        setting: What the strength is called in a config.
        strengths: In order of strength; along them the loss falls, then rises.
        prepare: From blocks, the number of features and the classes' weights to what fits a strength.
        middle: It sees the middle blocks' style statistics alone, and is left out where there are none.
        first: The strength that is tried first.
    """

    setting: str
    strengths: Sequence[float]
    prepare: Callable[[Blocks, int, Floats], Callable[[float], Linear]]
    middle: bool = False
    first: int = 0

    def columns(self, widths: Mapping[str, int]) -> Columns | None:
        """Which of the features it sees, of columns of these widths; None: there are none."""
        if not self.middle:
            return slice(0, sum(widths.values()))
        start, middles = 0, []
        for name, width in widths.items():
            if name.endswith(STATISTICS):
                middles.append(slice(start + round(_MIDDLE[0] * width), start + round(_MIDDLE[1] * width)))
            start += width
        if len(middles) < 2:
            return middles[0] if middles else None
        columns_there: Indices = np.concatenate([np.arange(each.start, each.stop) for each in middles])
        return columns_there


def number_of(columns: Columns) -> int:
    """How many features these are."""
    return int(columns.stop - columns.start) if isinstance(columns, slice) else len(columns)


LDA = Family("shrinkage", SHRINKAGES, lambda blocks, d, _: Discriminant(blocks, dimension=d).fit, first=_USUAL)
LDA_MIDDLE = Family("middle_shrinkage", SHRINKAGES, LDA.prepare, middle=True, first=_USUAL)
LOGISTIC = Family("penalty", PENALTIES, lambda blocks, d, weights: Logistic(blocks, d, weights).fit)


@dataclass(frozen=True)
class Scored:
    """A classifier's logits of works that it has not seen.

    Attributes:
        strength: Of regularisation.
        temperature: By which its logits are to be divided.
        logits: (n, classes), divided by it.
        loss: Log loss of the judged works.
    """

    strength: float
    temperature: float
    logits: Floats
    loss: float


class Folds:
    """Works to learn from, dealt into folds.

    Args:
        x: (n, d) features, standardised.
        targets: (n, classes), 0..1, rows sum to 1.
        groups: (n,) what must not be divided.
        weighted: Where a family weighs classes, all count alike.

    Attributes:
        numbers: (n,) the fold of each.
        judged: (n,) works of whose class the other folds have examples: of others no score means anything.
    """

    def __init__(self, x: Floats, targets: Floats, groups: Sequence[str], *, weighted: bool = True):
        self.targets, self._x, self._weighted = targets, x, weighted
        self._true = targets.argmax(axis=1)
        self._known: dict[str | bytes, Floats] = {}
        self.numbers = fold_numbers(groups, self._true)
        self.judged = np.zeros(len(x), bool)
        for fold in np.unique(self.numbers):
            held = self.numbers == fold
            self.judged[held] = targets[~held].sum(axis=0)[self._true[held]] > 0
        if not self.judged.any():  # each class is of one group: better an answer than none
            self.judged[:] = True

    def choose(self, family: Family, columns: Columns, strength: float | None = None) -> Scored:
        """A family's classifier of the strength that the folds like best, or of one that is given.

        Args:
            family: Which.
            columns: Those that it sees.
            strength: Given; None: chosen by log loss at the best temperature.
        """
        x, dimension = self._coordinates(columns), number_of(columns)
        fitted = [self._fold(family, x, dimension, fold) for fold in np.unique(self.numbers)]

        def tried(strength: float) -> Scored:
            logits = np.zeros(self.targets.shape)
            for held, present, fit in fitted:
                weights, bias = fit(strength)
                told = x[held] @ weights + bias
                lowest = told.min(axis=1, keepdims=True) - _ABSENT
                logits[held] = lowest
                logits[np.ix_(held, present)] = told
            return self.calibrated(strength, logits)

        if strength is not None:
            return tried(strength)
        best = first = tried(family.strengths[family.first])
        for others in (family.strengths[family.first + 1 :], family.strengths[: family.first][::-1]):
            for other in others:
                candidate = tried(other)
                if candidate.loss >= best.loss:
                    break
                best = candidate
            if best is not first:
                break
        return best

    def _coordinates(self, columns: Columns) -> Floats:
        key = str(columns) if isinstance(columns, slice) else columns.tobytes()
        if key not in self._known:
            self._known[key] = coordinates(self._x[:, columns])
        return self._known[key]

    def calibrated(self, strength: float, logits: Floats) -> Scored:
        """Logits of all works divided by the temperature that suits the judged ones."""
        true = self._true[self.judged]
        # They may be hundreds: brought near to 1 before the fine search.
        scale = float(logits[self.judged].std(axis=1).mean()) or 1.0
        for _ in range(3):
            scale *= fit_temperature(true, logits[self.judged] / scale)
        logits = logits / scale
        return Scored(strength, scale, logits, log_loss(true, softmax(logits[self.judged])))

    def _fold(
        self, family: Family, x: Floats, dimension: int, fold: int
    ) -> tuple[Indices, Indices, Callable[[float], Linear]]:
        held = self.numbers == fold
        targets = self.targets[~held]
        present = np.flatnonzero(targets.sum(axis=0) > 0)
        learned, targets = x[~held], targets[:, present]
        weights = class_weights_of(targets, self._weighted)
        return np.flatnonzero(held), present, family.prepare(lambda: [(learned, targets)], dimension, weights)


def class_weights_of(targets: Floats, weighted: bool) -> Floats:
    """(classes,) by which all count alike, or 1."""
    return balanced_weights(targets.sum(axis=0)) if weighted else np.ones(targets.shape[1])


def coordinates(x: Floats) -> Floats:
    """Examples in as few dimensions as they have, distances and angles kept: of n examples n columns at most.

    Nothing that is linear and judges weights by their length can tell them from the features themselves.

    Args:
        x: (n, d).

    Returns:
        (n, min(n, d)) float64.
    """
    n, d = x.shape
    if d <= n:
        return x.astype(np.float64)
    try:
        return _root((x @ x.T).astype(np.float64))
    except np.linalg.LinAlgError:  # in fewer dimensions than there are examples float32's rounding shows
        exact = x.astype(np.float64)
        return _root(exact @ exact.T)


def _root(gram: Floats) -> Floats:
    # Examples that are alike or centred leave it singular: a millionth is not seen in any score.
    gram[np.diag_indices(len(gram))] += 1e-6 * max(float(np.trace(gram)) / len(gram), 1e-12)
    return np.asarray(np.linalg.cholesky(gram))


def fold_numbers(groups: Sequence[str], true: Indices) -> Indices:
    """The fold of each work: groups undivided, classes spread; where all are of one group, work by work.

    Args:
        groups: (n,).
        true: (n,) classes.
    """
    names = list(groups)
    if len(set(names)) < 2:
        names = [str(number) for number in range(len(names))]
    return np.array(assign_folds(names, [str(label) for label in true.tolist()], min(FOLDS, len(set(names)))), np.int64)


def drawn(groups: Sequence[str], most: int = MOST) -> Indices:
    """All works, or about so many of them: whole groups, drawn by lot; of a larger group a part.

    Args:
        groups: (n,).
        most: How many.
    """
    if len(groups) <= most:
        return np.arange(len(groups))
    _, number = np.unique(np.asarray(groups, object).astype(str), return_inverse=True)
    chance = np.random.default_rng(0)
    lot = chance.permutation(number.max() + 1)[number]
    order = np.lexsort((chance.random(len(number)), lot))
    return np.sort(order[:most])
