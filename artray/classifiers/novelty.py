"""Novelty learned: how far, and how silent, works of the classes are to a model that has not seen them.

The distance is Mahalanobis' with one covariance within all classes: the largest directions with their own variances,
and the mean variance in all others, which is the likeliest covariance of that form (probabilistic PCA, Tipping & Bishop
1999). It needs no strength to be chosen, and r · d numbers instead of d².
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.novelty import GRID, LIMIT, Distance, other_odds, unusual
from artray.classifiers.discriminant import Discriminant
from artray.classifiers.out_of_fold import LDA, Folds

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

_LABELS, _WORKS = 50, 5  # so many other labels are classes of their own at most, with so many works at least
_NEVER = -1e6  # the logit of a class of which there is no work
DIRECTIONS = 64
_MORE, _ROUNDS = 16, 4  # directions looked at beside these, and how often, until the largest stand out
_LEAST = 1e-6  # variance, beside features of variance 1


def fit_distance(x: Floats, true: Ints, directions: int = DIRECTIONS) -> Distance:
    """The distance to classes.

    Args:
        x: (n, d) standardised features.
        true: (n,) each one's class, 0 to classes - 1; each has an example.
        directions: How many directions have a variance of their own, at most.
    """
    classes, number = np.unique(true, return_inverse=True)
    means = np.stack([x[number == label].mean(axis=0) for label in range(len(classes))])
    rest = x - means[number]
    n, d = rest.shape
    r = min(directions, n - len(classes), d - 1)
    basis, variances = _principal(rest, max(r, 0))
    total = float(np.einsum("nd,nd->", rest, rest)) / n
    spread = max((total - float(variances.sum())) / (d - len(variances)), _LEAST)
    variances = np.maximum(variances, spread)
    gains = 1 / variances - 1 / spread
    there = means @ basis
    return Distance(
        directions=basis,
        gains=gains,
        spread=np.asarray(spread),
        weights=(means / spread + (there * gains) @ basis.T).T,
        bias=np.einsum("kd,kd->k", means, means) / spread + there**2 @ gains,
    )


def _principal(rest: Floats, r: int) -> tuple[Floats, Floats]:
    """The r largest principal directions (d, r) and their variances, by subspace iteration (Halko et al. 2011)."""
    n, d = rest.shape
    width = min(r + _MORE, n, d)
    basis = np.random.default_rng(0).normal(size=(d, width)).astype(rest.dtype)
    for _ in range(_ROUNDS):
        basis = np.linalg.qr(rest.T @ (rest @ basis))[0]
    _, sizes, turned = np.linalg.svd(rest @ basis, full_matrices=False)
    return basis @ turned[:r].T, np.asarray(sizes[:r], np.float64) ** 2 / n


def distances_unseen(x: Floats, true: Ints, folds: Ints) -> Floats:
    """The distance of each work to the nearest class, as works of other folds have it, (n,).

    Args:
        x: (n, d) standardised features.
        true: (n,) classes.
        folds: (n,) the fold of each, of two or more.
    """
    distances = np.zeros(len(x))
    for fold in np.unique(folds):
        held = folds == fold
        distances[held] = fit_distance(x[~held], true[~held])(x[held]).min(axis=1)
    return distances


@dataclass(frozen=True)
class Others:
    """What tells works of the classes from works of other labels, learned from both.

    Attributes:
        weights: (d, classes + other labels) and
        bias: (classes + other labels,) as of `Novelty`.
        odds: (n,) the odds of the works of the classes, as works of other folds have them.
    """

    weights: Floats
    bias: Floats
    odds: Floats


def fit_others(
    x: Floats,
    targets: Floats,
    groups: Sequence[str],
    *,
    other: Floats,
    labels: Sequence[str],
    other_groups: Sequence[str],
) -> Others:
    """One discriminant of the classes and of the other labels: its odds are the chance that a work is of none of them.

    The commonest other labels are classes of their own; all rare ones together are one more.

    Args:
        x: (n, d) standardised features of works of the classes.
        targets: (n, classes), 0..1, rows sum to 1.
        groups: (n,) what a fold must not divide.
        other: (m, d) features of works of other labels.
        labels: (m,) these.
        other_groups: (m,) as `groups`.
    """
    counts = Counter(labels)
    common = [label for label, count in counts.most_common(_LABELS) if count >= _WORKS]
    number = {label: index for index, label in enumerate(common)}
    column = np.array([number.get(label, len(common)) for label in labels])
    classes = targets.shape[1]
    both = np.zeros((len(x) + len(other), classes + int(column.max()) + 1))
    both[: len(x), :classes] = targets
    both[len(x) + np.arange(len(other)), classes + column] = 1
    together = np.concatenate([x, other])
    columns = slice(0, x.shape[1])
    choice = Folds(together, both, [*groups, *other_groups]).choose(LDA, columns)
    there = both.sum(axis=0) > 0  # where works were drawn by lot, a rare class may have none
    weights, bias = np.zeros((x.shape[1], len(there))), np.full(len(there), _NEVER)
    weights[:, there], bias[there] = Discriminant(lambda: [(together, both[:, there])]).fit(choice.strength)
    return Others(weights / choice.temperature, bias / choice.temperature, other_odds(choice.logits[: len(x)], classes))


def usual_values(distance: Floats, logit: Floats, odds: Floats | None = None) -> tuple[Floats, Floats]:
    """What is usual of works not seen: `usual` and `values` of `Novelty`.

    Args:
        distance: (n,) to the nearest class.
        logit: (n,) the largest.
        odds: (n,) for another label, where these are known.
    """
    logs = np.log(np.maximum(distance, 1e-12))
    evidence = [logs, logit] if odds is None else [logs, logit, odds]
    usual = np.array([[np.median(told), max(float(told.std()), 1e-9)] for told in evidence])
    # One more work is within the last value with a chance of at least 95 %: of n works it is the ceil(.95 (n + 1))th.
    known = np.sort(unusual(distance, logit, usual, odds))
    ranks = np.clip(np.ceil(GRID * (len(known) + 1)) - 1, 0, len(known) - 1)
    return usual, known[ranks.astype(np.int64)]


def novelty_told(within: Floats, other: Floats | None = None) -> dict[str, Any]:
    """How good novelty is on works that the model has not seen.

    Args:
        within: (n,) novelty of works of the classes.
        other: (m,) of works that are of none.

    Returns:
        `limit`, `n`, `lost` (the share of the works of the classes at or above the limit), `at_least` (their shares at
        or above each novelty of `GRID`), and `other`: None, or `n`, `at_least`, `found` (the share at or above the
        limit), `roc_auc` (the chance that one is more novel than a work of the classes) and `false_positive_rate` (the
        share of the works of the classes that would be lost where 95 % of the others are to be found).
    """
    told: dict[str, Any] = {
        "limit": LIMIT, "n": len(within), "lost": _rounded((within >= LIMIT).mean()), "at_least": _at_least(within)
    }  # fmt: skip
    if other is None or not len(other):
        return told | {"other": None}
    ordered = np.sort(within)
    below, upto = np.searchsorted(ordered, other, "left"), np.searchsorted(ordered, other, "right")
    least = np.sort(other)[len(other) // 20]
    return told | {
        "other": {
            "n": len(other),
            "at_least": _at_least(other),
            "found": _rounded((other >= LIMIT).mean()),
            "roc_auc": _rounded((below + upto).mean() / (2 * len(within))),
            "false_positive_rate": _rounded((within >= least).mean()),
        }
    }


def novelty_sentence(told: Mapping[str, Any]) -> str:
    """What `novelty_told` says, as one sentence."""
    works = f"of the test part's {told['n']:,} works"
    lost = f"{told['lost']:.1%} look like none of the classes, and are uncertain"
    sentence = f"{works} {lost if told['lost'] else 'each looks like one of the classes'}"
    if other := told["other"]:
        sentence += f"; of {other['n']:,} works with another label {other['found']:.0%} (AUC {other['roc_auc']:.2f})"
    return f"{sentence}."


def _at_least(novelty: Floats) -> list[float]:
    return [_rounded((novelty >= np.float32(value)).mean()) for value in GRID.tolist()]


def _rounded(value: Any) -> float:
    return round(float(value), 4)
