"""All that is told of compared models, as numbers: each one's figures, what lies between two, and how sure that is."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.classifiers.calibration import reliability
from artray.classifiers.metrics import evaluate, from_tallies, one_hot, roc_curve, rounded
from artray.comparison.chance import ChanceTest, chance_test
from artray.comparison.significance import McNemar, holm, mcnemar, numbered, resampled, swapped, two_sided
from artray.comparison.subjects import Works

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss")
"""What models are compared by; the log loss is better where it is lower."""
BY_WORKS, BY_GROUPS = "works", "groups"
"""What is drawn again for an interval: works, each for itself, or all works of a group (an artist) together."""

Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % intervals.

    Attributes:
        value: The figure; None where it is not defined.
        intervals: By what was drawn again (`works`, `groups`).
    """

    value: float | None
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Model:
    """One model's figures.

    Attributes:
        name: What it is called.
        model_id: Of its bundle.
        learned_from: How many labelled works it has learned or chosen from.
        figures: By name, those of `FIGURES`.
        macro_roc_auc: Mean area under the ROC curves of the classes that occur; None where none does.
        calibration_error: Expected calibration error.
        per_class: Class → precision, recall, f1, support, roc_auc, average_precision.
        confusion: Rows true, columns said.
        calibration: Its bins (see `calibration.reliability`).
        roc: Of all classes together, each work and class a decision, (points, 2); None where there is none.
        rocs: Of each class likewise.
        chance: Whether it knows more than chance, by permutation.
    """

    name: str
    model_id: str
    learned_from: int
    figures: dict[str, Figure]
    macro_roc_auc: float | None
    calibration_error: float
    per_class: dict[str, dict[str, Any]]
    confusion: list[list[int]]
    calibration: list[dict[str, Any]]
    roc: Floats | None
    rocs: dict[str, Floats | None]
    chance: ChanceTest


@dataclass(frozen=True)
class Pair:
    """Two models.

    Attributes:
        first: The first one's name.
        second: The second one's.
        differences: Of each of `FIGURES`, first minus second, with intervals.
        bootstrap_p: Of each, by what was drawn again.
        mcnemar: The exact test of which works are right.
        mcnemar_holm: Its p, corrected for the number of pairs.
        groups_p: The test that swaps the models for whole groups; None where no works belong together.
        groups_holm: The same, corrected.
    """

    first: str
    second: str
    differences: dict[str, Figure]
    bootstrap_p: dict[str, dict[str, float]]
    mcnemar: McNemar
    mcnemar_holm: float
    groups_p: float | None
    groups_holm: float | None

    @property
    def p(self) -> float:
        """The corrected p that counts: by groups where works belong together, else McNemar's."""
        return self.mcnemar_holm if self.groups_holm is None else self.groups_holm


@dataclass(frozen=True)
class Results:
    """All of it.

    Attributes:
        works: What was compared on.
        models: The models, in the order given.
        pairs: Every two of them.
        majority_share: The accuracy of always giving the same label.
        groups: How many groups the works fall into.
        resamples: How many times works were drawn again.
        seed: Of the drawing.
    """

    works: Works
    models: list[Model]
    pairs: list[Pair]
    majority_share: float
    groups: int
    resamples: int
    seed: int

    def as_json(self) -> dict[str, Any]:
        """For `comparison.json`."""
        return {
            "part": self.works.part,
            "n": len(self.works),
            "groups": self.groups,
            "classes": self.works.classes,
            "majority_share": rounded(self.majority_share),
            "resamples": self.resamples,
            "seed": self.seed,
            "models": [_plain(asdict(model), ("roc", "rocs")) for model in self.models],
            "pairs": [{**_plain(asdict(pair), ()), "p": pair.p} for pair in self.pairs],
        }


def results_of(works: Works, *, resamples: int = 10_000, permutations: int = 5_000, seed: int = 0) -> Results:
    """Compare.

    Args:
        works: What the models said.
        resamples: How many times works, and groups, are drawn again.
        permutations: How many times labels change places, for the tests by permutation.
        seed: Of all drawing.
    """
    units: dict[str, Ints] = {BY_WORKS: np.arange(len(works), dtype=np.int64)}
    if works.grouped:
        units[BY_GROUPS] = numbered(works.groups)
    losses = [_losses(works.true, scores) for scores in works.scores]
    tables = [np.column_stack([tallies, loss]) for tallies, loss in zip(works.tallies, losses, strict=True)]
    drawn = {
        by: [_figures(sums, works.multilabel) for sums in resampled(tables, unit, resamples=resamples, seed=seed)]
        for by, unit in units.items()
    }
    values = [_figures(table.sum(axis=0), works.multilabel) for table in tables]
    models = [
        _model(
            works, at, values[at], {by: sums[at] for by, sums in drawn.items()}, permutations=permutations, seed=seed
        )
        for at in range(len(works.subjects))
    ]
    return Results(
        works=works,
        models=models,
        pairs=_pairs(works, values, drawn, units.get(BY_GROUPS), permutations=permutations, seed=seed),
        majority_share=_majority_share(works),
        groups=len(set(works.groups)),
        resamples=resamples,
        seed=seed,
    )


def _majority_share(works: Works) -> float:
    """The accuracy of saying of every work what is said most often."""
    shares = one_hot(works.true, len(works.classes)).mean(axis=0)
    if not works.multilabel:
        return float(shares.max())
    return float(((shares >= 0.5).astype(np.int64) == works.true).all(axis=1).mean())


def _losses(true: Ints, scores: Floats) -> Floats:
    """Of each work its log loss."""
    if true.ndim == 2:
        said = np.where(true, scores, 1 - scores)
        return np.asarray(-np.log(np.clip(said, 1e-12, 1)).mean(axis=1))
    return np.asarray(-np.log(np.clip(scores[np.arange(len(true)), true], 1e-12, 1)))


def _figures(sums: Floats, multilabel: bool) -> dict[str, Floats]:
    metrics = from_tallies(sums[..., :-1], multilabel)
    return {**{name: metrics[name] for name in FIGURES[:-1]}, "log_loss": sums[..., -1] / sums[..., 0]}


def _interval(drawn: Floats) -> Interval:
    low, high = np.percentile(drawn, (2.5, 97.5))
    return rounded(low), rounded(high)


def _model(
    works: Works,
    at: int,
    values: Mapping[str, Floats],
    drawn: Mapping[str, Mapping[str, Floats]],
    *,
    permutations: int,
    seed: int,
) -> Model:
    subject, scores, given = works.subjects[at], works.scores[at], works.given[at]
    told = evaluate(works.true, one_hot(given, len(works.classes)).astype(float), works.classes)
    has = one_hot(works.true, len(works.classes)).astype(bool)
    ranked = evaluate(works.true, scores, works.classes)
    per_class = {
        name: {
            **{key: told["per_class"][name][key] for key in ("precision", "recall", "f1", "support")},
            **{key: ranked["per_class"][name][key] for key in ("roc_auc", "average_precision")},
        }
        for name in works.classes
    }
    bins = reliability(works.true, scores, None if works.multilabel else given)
    data = subject.bundle.data
    return Model(
        name=subject.name,
        model_id=subject.bundle.model_id,
        learned_from=int(data.get("train", 0)) + int(data.get("validation", 0)),
        figures={
            name: Figure(
                rounded(values[name]), {by: _interval(drawn_values[name]) for by, drawn_values in drawn.items()}
            )
            for name in FIGURES
        },
        macro_roc_auc=ranked["macro"]["roc_auc"],
        calibration_error=bins["ece"],
        per_class=per_class,
        confusion=told["confusion"],
        calibration=bins["bins"],
        roc=roc_curve(has.ravel(), scores.ravel()),
        rocs={name: roc_curve(has[:, index], scores[:, index]) for index, name in enumerate(works.classes)},
        chance=chance_test(works.true, given, numbered(works.groups), permutations=permutations, seed=seed),
    )


def _pairs(
    works: Works,
    values: Sequence[Mapping[str, Floats]],
    drawn: Mapping[str, Sequence[Mapping[str, Floats]]],
    groups: Ints | None,
    *,
    permutations: int,
    seed: int,
) -> list[Pair]:
    both = list(itertools.combinations(range(len(works.subjects)), 2))
    right = works.right
    exact = [mcnemar(right[one], right[two]) for one, two in both]
    exact_holm = holm([each.p for each in exact])
    by_groups: list[float | None] = [None] * len(both)
    corrected: list[float | None] = by_groups
    if groups is not None:
        p_values = [
            swapped(right[one].astype(float) - right[two], groups, draws=permutations, seed=seed) for one, two in both
        ]
        by_groups, corrected = [*p_values], [*holm(p_values)]
    pairs = []
    for at, (one, two) in enumerate(both):
        apart = {
            by: {name: values_of[one][name] - values_of[two][name] for name in FIGURES}
            for by, values_of in drawn.items()
        }
        pairs.append(
            Pair(
                first=works.subjects[one].name,
                second=works.subjects[two].name,
                differences={
                    name: Figure(
                        rounded(values[one][name] - values[two][name]),
                        {by: _interval(differences[name]) for by, differences in apart.items()},
                    )
                    for name in FIGURES
                },
                bootstrap_p={
                    name: {by: two_sided(differences[name]) for by, differences in apart.items()} for name in FIGURES
                },
                mcnemar=exact[at],
                mcnemar_holm=exact_holm[at],
                groups_p=by_groups[at],
                groups_holm=corrected[at],
            )
        )
    return pairs


def _plain(values: dict[str, Any], without: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in without}
