"""Who labels consistently: each annotator beside the others, beside gold works, and beside themself; and each pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from artray.agreement.annotations import Annotations
from artray.agreement.coefficients import Floats, Integers, draws, interval, kappa

Flags = npt.NDArray[np.bool_]

_ROWS = 200_000  # annotations looked at together
_AT_ONCE = 1 / 10  # of the inconsistent annotators: so many leave in one round
_KEYS = 5_000_000


@dataclass(frozen=True, slots=True)
class Beside:
    """How far each annotator agrees with others.

    Attributes:
        works: (annotators,): works in which there is somebody to compare with.
        share: (annotators,): how often the others gave the same label; of several others the mean.
        kappa: (annotators,): the same beyond chance, weighted by distance; NaN where chance leaves no disagreement.
    """

    works: Integers
    share: Floats
    kappa: Floats


@dataclass(frozen=True, slots=True)
class Judgement:
    """One annotator.

    Attributes:
        name: Who.
        annotations: Works labelled.
        works: Works that others labelled too, by whom the annotator is measured.
        share: See `Beside`, as for `kappa`.
        kappa: Beside the others; None where it can't be told.
        interval: Of the kappa, by drawing works.
        gold: Gold works labelled.
        gold_share: How many of them rightly.
        gold_kappa: Beside the gold labels.
        repeats: Works labelled again.
        repeats_share: How often with the same label.
        repeats_kappa: Beside the own first labels.
        consistent: Whether the labels can be relied on.
        judged_by: What decided: `gold`, `others`, `repeats`, or `too few works`.
    """

    name: str
    annotations: int
    works: int
    share: float | None
    kappa: float | None
    interval: tuple[float, float] | None
    gold: int
    gold_share: float | None
    gold_kappa: float | None
    repeats: int
    repeats_share: float | None
    repeats_kappa: float | None
    consistent: bool
    judged_by: Literal["gold", "others", "repeats", "too few works"]


def judge(
    annotations: Annotations,
    distance: Floats,
    *,
    least: float,
    least_works: int,
    resamples: int,
    rng: np.random.Generator,
) -> list[Judgement]:
    """Who of the annotators is consistent.

    Whoever labelled enough gold works is measured by them, the others by each other: the one who agrees least leaves
    first, and those who stay are measured again without their labels, until all who are left reach `least`. Whoever
    labelled enough works twice must agree with themself as well.

    Args:
        annotations: Their annotations.
        distance: (classes, classes): of labels, see `coefficients.distances`.
        least: The least kappa.
        least_works: With fewer works to compare, nobody is judged, and nobody relied on.
        resamples: For the intervals.
        rng: Draws them.
    """
    number = len(annotations.annotators)
    gold, self_ = beside_gold(annotations, distance), beside_themselves(annotations, distance)
    contradicts = (self_.works >= least_works) & _below(self_, least)
    by_gold = gold.works >= least_works
    active = ~(by_gold & _below(gold, least)) & ~contradicts
    # What kappa an annotator had when it was decided.
    last = beside_others(annotations, distance, np.ones(number, bool))
    can_be_judged = by_gold | (last.works >= least_works)
    active &= can_be_judged
    while True:
        now = beside_others(annotations, distance, active)
        for values, new in ((last.works, now.works), (last.share, now.share), (last.kappa, now.kappa)):
            values[active] = new[active]
        failing = np.flatnonzero(active & ~by_gold & _below(now, least) & (now.works > 0))
        if not len(failing):
            break
        worst = failing[np.argsort(now.kappa[failing], kind="stable")]
        active[worst[: max(1, int(_AT_ONCE * len(failing)))]] = False
    intervals = _intervals(annotations, distance, active, resamples, rng)
    sizes = np.bincount(annotations.annotator, minlength=number)
    result = []
    for at, name in enumerate(annotations.annotators):
        why: Literal["gold", "others", "repeats", "too few works"] = "gold" if by_gold[at] else "others"
        if not can_be_judged[at]:
            why = "too few works"
        elif contradicts[at] and not (by_gold[at] and _below(gold, least)[at]):
            why = "repeats"
        result.append(
            Judgement(
                name=name,
                annotations=int(sizes[at]),
                works=int(last.works[at]),
                share=_told(last.share[at]),
                kappa=_told(last.kappa[at]),
                interval=intervals[at],
                gold=int(gold.works[at]),
                gold_share=_told(gold.share[at]),
                gold_kappa=_told(gold.kappa[at]),
                repeats=int(self_.works[at]),
                repeats_share=_told(self_.share[at]),
                repeats_kappa=_told(self_.kappa[at]),
                consistent=bool(active[at]),
                judged_by=why,
            )
        )
    return result


def _told(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _below(measured: Beside, least: float) -> Flags:
    """Whose kappa is too small. Where it can't be told, as with one label only, whoever ever differed is below."""
    known = np.isfinite(measured.kappa)
    return np.where(known, np.where(known, measured.kappa, 0) < least, measured.share < 1) & (measured.works > 0)


def beside_others(annotations: Annotations, distance: Floats, active: Flags) -> Beside:
    """Each annotator beside those others who are active; those who are not are measured by them too."""
    width, number = len(annotations.classes), len(annotations.annotators)
    works = np.zeros(number, np.int64)
    sums = np.zeros((2, number))
    first, second = np.zeros((number, width)), np.zeros((number, width))
    for who, label, others in _beside(annotations, active):
        works += np.bincount(who, minlength=number)
        sums[0] += np.bincount(who, (others * distance[label]).sum(axis=1), number)
        sums[1] += np.bincount(who, others[np.arange(len(who)), label], number)
        first += np.bincount(who * width + label, minlength=number * width).reshape(number, width)
        for each in range(width):
            second[:, each] += np.bincount(who, others[:, each], number)
    return _measured(works, sums, first, second, distance)


def _measured(works: Integers, sums: Floats, first: Floats, second: Floats, distance: Floats) -> Beside:
    with np.errstate(divide="ignore", invalid="ignore"):
        observed, share = sums / works
    return Beside(works, share, kappa(observed, first, second, distance))


def _beside(annotations: Annotations, active: Flags) -> Iterator[tuple[Integers, Integers, Floats]]:
    """Annotations with somebody to compare with: who, which label, and the shares of the others' labels."""
    votes = annotations.votes(active)
    for start in range(0, len(annotations.label), _ROWS):
        rows = slice(start, start + _ROWS)
        who, label = annotations.annotator[rows], annotations.label[rows]
        others = votes[annotations.object[rows]].astype(np.float64)
        others[np.arange(len(who)), label] -= active[who]
        total = others.sum(axis=1)
        has = total > 0
        yield who[has], label[has], others[has] / total[has, None]


def beside_gold(annotations: Annotations, distance: Floats) -> Beside:
    """Each annotator beside the labels known to be right."""
    has = annotations.gold[annotations.object] >= 0
    return _beside_labels(
        annotations,
        annotations.annotator[has],
        annotations.label[has],
        annotations.gold[annotations.object[has]],
        distance,
    )


def beside_themselves(annotations: Annotations, distance: Floats) -> Beside:
    """Each annotator's first labels beside those they gave to the same works again."""
    repeats = annotations.repeats
    return _beside_labels(annotations, repeats.annotator, repeats.first, repeats.again, distance)


def _beside_labels(annotations: Annotations, who: Integers, one: Integers, other: Integers, distance: Floats) -> Beside:
    width, number = len(annotations.classes), len(annotations.annotators)
    apart, alike = distance[one, other], (one == other).astype(np.float64)
    sums = np.stack([np.bincount(who, weight, number).astype(np.float64) for weight in (apart, alike)])
    first, second = (
        np.bincount(who * width + label, minlength=number * width).reshape(number, width).astype(np.float64)
        for label in (one, other)
    )
    return _measured(np.bincount(who, minlength=number), sums, first, second, distance)


def _intervals(
    annotations: Annotations, distance: Floats, active: Flags, resamples: int, rng: np.random.Generator
) -> list[tuple[float, float] | None]:
    """Where each annotator's kappa beside the active others lies when their works are drawn again."""
    width = len(annotations.classes)
    pieces = list(_beside(annotations, active))
    who, label, others = (np.concatenate(columns) for columns in zip(*pieces, strict=True))
    order = np.argsort(who, kind="stable")
    bounds = np.searchsorted(who[order], np.arange(len(annotations.annotators) + 1))
    result: list[tuple[float, float] | None] = []
    for start, end in pairwise(bounds.tolist()):
        if end - start < 2:
            result.append(None)
            continue
        rows = order[start:end]
        # What stands in a work's sums: distance, own label, the others' labels.
        mine = np.eye(width)[label[rows]]
        sums = np.concatenate([(others[rows] * distance[label[rows]]).sum(axis=1)[:, None], mine, others[rows]], axis=1)
        kinds, sizes = np.unique(sums.round(12), axis=0, return_counts=True)
        values = []
        for weights in draws(sizes.astype(np.int64), resamples, rng):
            drawn = weights.astype(np.float64) @ kinds
            values.append(kappa(drawn[:, 0] / (end - start), drawn[:, 1 : 1 + width], drawn[:, 1 + width :], distance))
        result.append(interval(np.concatenate(values)))
    return result


# -- pairs -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of annotators with works in common.

    Attributes:
        first: (pairs,): the one's number, smaller than the other's.
        second: (pairs,): the other's.
        works: (pairs,): works that both labelled.
        share: (pairs,): how often alike.
        kappa: (pairs,): Cohen's; NaN where it can't be told.
        weighted: (pairs,): the same weighted by distance; of names it is `kappa`.
        intervals: Of `weighted`, None where there is none; for the pairs with most works in common only.
    """

    first: Integers
    second: Integers
    works: Integers
    share: Floats
    kappa: Floats
    weighted: Floats
    intervals: list[tuple[float, float] | None]


def pairs(
    annotations: Annotations, distance: Floats, *, resamples: int, most_intervals: int, rng: np.random.Generator
) -> Pairs:
    """Cohen's kappa of every two annotators who labelled a work in common.

    Args:
        annotations: Their annotations.
        distance: (classes, classes): of labels.
        resamples: For the intervals.
        most_intervals: For how many pairs at most there are some.
        rng: Draws them.
    """
    width, number = len(annotations.classes), len(annotations.annotators)
    keys, sizes = _together(annotations)
    pair, cell = np.divmod(keys, width * width)
    one, other = np.divmod(cell, width)
    ids, indices = np.unique(pair, return_inverse=True)
    total = np.bincount(indices, sizes, len(ids))

    def told(weight: Floats, marginal_of: Floats) -> Floats:
        first, second = (
            np.bincount(indices * width + label, sizes, len(ids) * width).astype(np.float64).reshape(-1, width)
            for label in (one, other)
        )
        return kappa(np.bincount(indices, weight * sizes, len(ids)) / total, first, second, marginal_of)

    plain = 1 - np.eye(width)
    begins = np.searchsorted(indices, np.arange(len(ids) + 1))
    intervals: list[tuple[float, float] | None] = [None] * len(ids)
    eye = np.eye(width)
    for at in np.argsort(-total, kind="stable")[:most_intervals].tolist():
        cells = slice(begins[at], begins[at + 1])
        values = []
        for numbers in draws(sizes[cells], resamples, rng):
            weights = numbers.astype(np.float64)
            observed = weights @ distance[one[cells], other[cells]] / total[at]
            values.append(kappa(observed, weights @ eye[one[cells]], weights @ eye[other[cells]], distance))
        intervals[at] = interval(np.concatenate(values)) if total[at] > 1 else None
    return Pairs(
        first=ids // number,
        second=ids % number,
        works=total.astype(np.int64),
        share=np.bincount(indices, (one == other) * sizes, len(ids)) / total,
        kappa=told(plain[one, other], plain),
        weighted=told(distance[one, other], distance),
        intervals=intervals,
    )


def _together(annotations: Annotations) -> tuple[Integers, Integers]:
    """How many works two annotators gave which labels: ((pair × classes + one) × classes + other), and the number.

    Sorted; a pair is the one's number × annotators + the other's.
    """
    width, number = len(annotations.classes), len(annotations.annotators)
    end = np.searchsorted(annotations.object, np.arange(len(annotations.objects)), side="right")[annotations.object]
    keys: Integers = np.zeros(0, np.int64)
    sizes: Integers = np.zeros(0, np.int64)
    waiting: list[Integers] = []
    apart, rows = 1, np.arange(len(annotations.object))
    while True:
        rows = rows[rows + apart < end[rows]]
        if len(rows):
            pair = annotations.annotator[rows] * number + annotations.annotator[rows + apart]
            waiting.append((pair * width + annotations.label[rows]) * width + annotations.label[rows + apart])
        if waiting and (not len(rows) or sum(map(len, waiting)) > _KEYS):
            new, new_sizes = np.unique(np.concatenate(waiting), return_counts=True)
            keys, indices = np.unique(np.concatenate([keys, new]), return_inverse=True)
            sizes = np.bincount(indices, np.concatenate([sizes, new_sizes]), len(keys)).astype(np.int64)
            waiting = []
        if not len(rows):
            return keys, sizes
        apart += 1
