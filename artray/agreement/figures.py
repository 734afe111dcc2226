"""One task's agreement, from annotations to all figures that the files and the page tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.agreement.annotations import Annotations
from artray.agreement.annotators import Judgement, Pairs, judge, pairs
from artray.agreement.coefficients import Floats, bootstrap, coefficients, coincidences, distances, interval, patterns
from artray.agreement.consensus import By, Consensus, agree
from artray.errors import count_of, first_of

MOST_INTERVALS = 500  # pairs of annotators with one
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """A coefficient with its 95 % interval; None where it can't be told."""

    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far some annotators agree.

    Attributes:
        annotators: How many.
        works: Works that two of them or more labelled.
        annotations: Of these works.
        alpha: Krippendorff's, by level.
        fleiss: Fleiss' kappa.
        classes: Alpha of each class against all others.
    """

    annotators: int
    works: int
    annotations: int
    alpha: dict[str, Figure]
    fleiss: Figure
    classes: dict[str, Figure]


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is told of a task.

    Attributes:
        annotations: Of one task.
        all: Of all annotators.
        consistent: Of those who are consistent; None where they are all, or where no two of them share a work.
        judgements: Each annotator.
        pairs: Every two annotators.
        used: (annotators,): whose labels the consensus is made of.
        consensus: Of them.
        confusion: (classes, classes): labels that two of them gave to one work; each annotation counts once.
    """

    annotations: Annotations
    all: Agreement
    consistent: Agreement | None
    judgements: list[Judgement]
    pairs: Pairs
    used: npt.NDArray[np.bool_]
    consensus: Consensus
    confusion: Floats


def figures(
    annotations: Annotations,
    *,
    weights: Literal["linear", "quadratic"] = "quadratic",
    least: float = 0.4,
    least_works: int = 5,
    by: By = "dawid-skene",
    of: Literal["consistent", "all"] = "consistent",
    resamples: int = 1000,
    seed: int = 0,
) -> Figures:
    """Compute a task's figures.

    Args:
        annotations: Its annotations.
        weights: How Cohen's kappa of ranks and numbers is weighted.
        least: From which kappa on an annotator is consistent.
        least_works: From how many works on one is judged.
        by: How the consensus is found.
        of: Whose labels it is made of; where fewer than two annotators are consistent, of all.
        resamples: Works are drawn again so often, for intervals.
        seed: Of that.
    """
    distance = distances(len(annotations.classes), annotations.level, annotations.values, weights)
    rng = np.random.default_rng(seed)
    everybody = np.ones(len(annotations.annotators), bool)
    judgements = judge(annotations, distance, least=least, least_works=least_works, resamples=resamples, rng=rng)
    consistent = np.array([one.consistent for one in judgements], bool)
    of_all = _agreement(annotations, everybody, resamples, rng)
    assert of_all is not None  # as `encode` says
    used = consistent if of == "consistent" and consistent.sum() >= 2 else everybody
    return Figures(
        annotations=annotations,
        all=of_all,
        consistent=None if consistent.all() else _agreement(annotations, consistent, resamples, rng),
        judgements=judgements,
        pairs=pairs(annotations, distance, resamples=resamples, most_intervals=MOST_INTERVALS, rng=rng),
        used=used,
        consensus=agree(annotations, distance, used, by),
        confusion=coincidences(patterns(annotations.votes(used))),
    )


def _agreement(
    annotations: Annotations, active: npt.NDArray[np.bool_], resamples: int, rng: np.random.Generator
) -> Agreement | None:
    """Of some annotators; None where no two of them labelled a work."""
    votes = annotations.votes(active)
    grouped = patterns(votes)
    if not len(grouped.works):
        return None
    exact = coefficients(grouped, grouped.works[None], annotations.values, annotations.level)
    drawn = bootstrap(grouped, annotations.values, annotations.level, resamples=resamples, rng=rng)
    return Agreement(
        annotators=int(active.sum()),
        works=int(grouped.works.sum()),
        annotations=int((grouped.sizes * grouped.works).sum()),
        alpha={str(name): _figure(values, drawn.alpha[name]) for name, values in exact.alpha.items()},
        fleiss=_figure(exact.fleiss, drawn.fleiss),
        classes={
            name: _figure(exact.classes[:, at], drawn.classes[:, at]) for at, name in enumerate(annotations.classes)
        },
    )


def _figure(exact: Floats, drawn: Floats) -> Figure:
    value = _told(exact[0])
    return Figure(value, interval(drawn) if value is not None else None)


def _told(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def not_counted(told: Figures) -> list[str]:
    """What does not count, or counts in part, with numbers and names, in words."""
    annotations, consensus = told.annotations, told.consensus
    lines = [f"left out, {what}: {count:,}" for what, count in annotations.left_out.items()]
    if repeats := len(annotations.repeats.first):
        lines.append(
            f"labels that annotators gave to a work again: {repeats:,}, which only tell if they agree with themselves"
        )
    sizes = annotations.votes().sum(axis=1)
    if alone := _named([annotations.objects[at] for at in np.flatnonzero(sizes == 1)]):
        lines.append(f"works with one annotation, which are in no coefficient: {alone}")
    works = np.bincount(annotations.annotator, minlength=len(annotations.annotators))
    if once := _named([annotations.annotators[at] for at in np.flatnonzero(works == 1)]):
        lines.append(f"annotators with one work: {once}")
    if unused := _named([annotations.annotators[at] for at in np.flatnonzero(~told.used)]):
        labels = int((~told.used[annotations.annotator]).sum())
        lines.append(
            f"annotators who are not consistent, and not in the consensus: {unused}; {count_of(labels, 'label')}"
        )
    elif not all(one.consistent for one in told.judgements):
        lines.append("the consensus is made of the labels of all annotators, consistent or not")
    voted = consensus.votes.sum(axis=1) > 0
    if lost := _named([annotations.objects[at] for at in np.flatnonzero(~voted & (annotations.gold < 0))]):
        lines.append(f"works that none of the consistent annotators labelled, without consensus: {lost}")
    if tied := _named([annotations.objects[at] for at in np.flatnonzero(voted & (consensus.label < 0))]):
        lines.append(f"works in which several labels have most votes, without consensus: {tied}")
    if not consensus.model.converged:
        lines.append(f"Dawid and Skene's model had not settled after {consensus.model.rounds:,} rounds")
    return lines


def _named(names: Sequence[str]) -> str:
    """How many, and the first of them; nothing for none."""
    if not names:
        return ""
    return f"{len(names):,} ({first_of(names, _EXAMPLES)})"


# -- as tables and JSON ------------------------------------------------------------------------------------------------


def as_json(told: Figures) -> dict[str, Any]:
    """The figures as JSON, without what stands in the tables."""
    annotations, consensus = told.annotations, told.consensus
    labelled = consensus.votes.sum(axis=1)
    return {
        "level": annotations.level,
        "classes": list(annotations.classes),
        "works": len(annotations.objects),
        "annotators": len(annotations.annotators),
        "annotations": len(annotations.label),
        "repeats": len(annotations.repeats.first),
        "left_out": dict(annotations.left_out),
        "works_with_one_annotation": int((annotations.votes().sum(axis=1) == 1).sum()),
        "all": _agreement_json(told.all),
        "consistent": None if told.consistent is None else _agreement_json(told.consistent),
        "consistent_annotators": [one.name for one in told.judgements if one.consistent],
        "other_annotators": {one.name: one.judged_by for one in told.judgements if not one.consistent},
        "consensus_of": int(told.used.sum()),
        "gold": int((annotations.gold >= 0).sum()),
        "ties": consensus.ties,
        "without_consensus": int((consensus.label < 0).sum()),
        "without_used_annotator": int((labelled == 0).sum()),
        "majority_and_model_differ": int(
            ((consensus.majority >= 0) & (consensus.majority != consensus.model.classes.argmax(axis=1))).sum()
        ),
        "dawid_skene": {
            "rounds": consensus.model.rounds,
            "converged": consensus.model.converged,
            "log_likelihood": consensus.model.log_likelihood,
            "shares": dict(zip(annotations.classes, consensus.model.shares.tolist(), strict=True)),
        },
        "confusion": told.confusion.round(6).tolist(),
    }


def _agreement_json(agreement: Agreement) -> dict[str, Any]:
    return {
        "annotators": agreement.annotators,
        "works": agreement.works,
        "annotations": agreement.annotations,
        "alpha": {name: _figure_json(figure) for name, figure in agreement.alpha.items()},
        "fleiss_kappa": _figure_json(agreement.fleiss),
        "classes": {name: _figure_json(figure) for name, figure in agreement.classes.items()},
    }


def _figure_json(figure: Figure) -> dict[str, Any]:
    return {"value": figure.value, "interval": figure.interval}


def annotator_table(told: Figures) -> pa.Table:
    """A row an annotator, see `annotators.Judgement`; the consistent first, by kappa."""
    rows = []
    for one in by_kappa(told.judgements):
        low, high = one.interval or (None, None)
        rows.append(
            {
                "task": told.annotations.task,
                "annotator": one.name,
                "consistent": one.consistent,
                "judged_by": one.judged_by,
                "annotations": one.annotations,
                "works_in_common": one.works,
                "agreement": one.share,
                "kappa": one.kappa,
                "kappa_low": low,
                "kappa_high": high,
                "gold_works": one.gold,
                "gold_right": one.gold_share,
                "gold_kappa": one.gold_kappa,
                "repeats": one.repeats,
                "repeats_alike": one.repeats_share,
                "repeats_kappa": one.repeats_kappa,
            }
        )
    return pa.Table.from_pylist(rows, _ANNOTATORS)


_ANNOTATORS = pa.schema(
    [
        ("task", pa.string()),
        ("annotator", pa.string()),
        ("consistent", pa.bool_()),
        ("judged_by", pa.string()),
        ("annotations", pa.int64()),
        ("works_in_common", pa.int64()),
        *((name, pa.float64()) for name in ("agreement", "kappa", "kappa_low", "kappa_high")),
        ("gold_works", pa.int64()),
        ("gold_right", pa.float64()),
        ("gold_kappa", pa.float64()),
        ("repeats", pa.int64()),
        ("repeats_alike", pa.float64()),
        ("repeats_kappa", pa.float64()),
    ]
)


def by_kappa(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Annotators, the consistent first, those who agree most first."""

    def key(one: Judgement) -> tuple[bool, float, str]:
        decided = one.gold_kappa if one.judged_by == "gold" else one.kappa
        return not one.consistent, -(decided if decided is not None else -1.0), one.name

    return sorted(judgements, key=key)


def pair_table(told: Figures) -> pa.Table:
    """A row for every two annotators with a work in common; see `annotators.Pairs`."""
    annotations, two = told.annotations, told.pairs
    names = pa.array(annotations.annotators, pa.string())
    return pa.table(
        {
            "task": pa.repeat(pa.scalar(annotations.task), len(two.works)),
            "annotator": names.take(pa.array(two.first)),
            "other": names.take(pa.array(two.second)),
            "works_in_common": two.works,
            "agreement": two.share,
            "kappa": pa.array(two.kappa, pa.float64(), mask=np.isnan(two.kappa)),
            "weighted_kappa": pa.array(two.weighted, pa.float64(), mask=np.isnan(two.weighted)),
            "low": pa.array([bounds and bounds[0] for bounds in two.intervals], pa.float64()),
            "high": pa.array([bounds and bounds[1] for bounds in two.intervals], pa.float64()),
        }
    )


def error_table(told: Figures) -> pa.Table:
    """What each annotator says of works of a class, by Dawid and Skene's model; shares below 0.0005 are left out."""
    annotations, errors = told.annotations, told.consensus.model.errors
    shown = np.flatnonzero(told.used)
    who, true, said = np.nonzero(errors[shown] >= 5e-4)
    classes = pa.array(annotations.classes, pa.string())
    return pa.table(
        {
            "task": pa.repeat(pa.scalar(annotations.task), len(who)),
            "annotator": pa.array(annotations.annotators, pa.string()).take(pa.array(shown[who])),
            "true": classes.take(pa.array(true)),
            "said": classes.take(pa.array(said)),
            "share": errors[shown][who, true, said].astype(np.float32),
        }
    )
