"""Classifiers that are not trained by steps but solved for: what a worker does for them.

They see frozen features, take seconds, and end as the same bundle as every other model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.bundles.classifier import load_bundle, load_novelty
from artray.bundles.novelty import Distance, Novelty
from artray.bundles.thresholds import LEAST_WORKS
from artray.classifiers.config import TrainConfig
from artray.classifiers.evaluation import evaluation_of, validation_metrics
from artray.classifiers.examples import Examples
from artray.classifiers.linear import CLOSED_FORM, Families, choose, families_of, solve
from artray.classifiers.logistic import Blocks, Floats
from artray.classifiers.loop import ClassifierTraining, Refit
from artray.classifiers.novelty import Others, distances_unseen, fit_distance, fit_others, novelty_told, usual_values
from artray.classifiers.out_of_fold import MOST, Folds, Linear, class_weights_of, drawn
from artray.classifiers.penalty import check_penalty
from artray.engine.checkpoints import Checkpoints
from artray.engine.examples import Inputs
from artray.engine.order import as_stored
from artray.engine.progress import Reporter
from artray.errors import InputError, count_of

_BLOCK = 4096  # examples read at once
_IN_MEMORY = 1 << 30  # bytes of features that are not read again for each step

Indices = npt.NDArray[np.int64]


def training_class(config: TrainConfig) -> type[ClassifierTraining]:
    """By steps, or solved for.

    Raises:
        InputError: A classifier that is solved for does not look at features, or a work may have several labels, or it
            is to be pruned; or one that is not is to learn from works of other labels, or folds can't tell its penalty.
    """
    name = config.model.name
    check_penalty(config.model)
    if name not in CLOSED_FORM:
        if config.other == "learn":
            raise InputError(
                f"other: learn is for models that are solved for ({', '.join(CLOSED_FORM)}), not for {name}"
            )
        return ClassifierTraining
    if config.input != "features":
        raise InputError(f"model.name: {name} takes features: the config's `input` must say so")
    if config.multilabel:
        raise InputError(f"model.name: {name} gives a work one label; for labels: multilabel take another (lite0_head)")
    if config.pruning is not None:
        raise InputError(f"pruning: {name} is not trained by steps, so nothing can be pruned on the way; leave it out")
    if isinstance(config.class_weights, dict):
        raise InputError(f"class_weights: of {name} they are balanced, or none")
    return ClosedFormTraining


class ClosedFormTraining(ClassifierTraining):
    """A training whose model is solved for: of several workers the first does it all."""

    @property
    def length(self) -> int:
        """Each example that is learned from is looked at once."""
        return len(_learned(self))

    def shares(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The examples' own mix, also where classes are weighted: scores are probabilities under it all the same."""
        return np.asarray(self.examples.targets[rows].astype(np.float64).mean(axis=0))

    def work(self, rank: int, checkpoints: Checkpoints, progress: Any) -> None:
        """Solve and write the bundle, in rank 0."""
        if rank == 0:
            fit(self, Reporter(progress, rank))


def fit(training: ClassifierTraining, reporter: Reporter) -> None:
    """Solve, choose strengths and temperature by folds, evaluate, and write the bundle.

    Training and validation part are learned from: the folds tell what a validation part would. Where the config has
    folds of its own, one of which is the validation part, that part is not touched.
    """
    examples, config = training.examples, training.config
    refit = Refit.of(training.out) if training.refit else None
    features = _Features(training)
    learned = _learned(training)
    families = families_of(config.model.name, examples.widths)
    if refit:
        strengths = refit.history[0]
        weights, bias = _solve(features, learned, families, strengths, config)
        temperature, evaluation, predictions = refit.temperature, refit.evaluation, refit.predictions
        novelty = load_novelty(training.out, load_bundle(training.out))
        if novelty is not None:
            novelty = replace(novelty, weights=weights, bias=bias)
    else:
        unseen = _choose(features, learned, families, config)
        strengths = unseen.strengths
        weights, bias = _solve(features, learned, families, strengths, config)
        logits = features.logits(np.arange(len(examples.table)), weights, bias)
        temperature = unseen.temperature
        judged, novelty = examples, unseen.novelty(features, weights, bias)
        if config.folds is None:
            logits[unseen.rows] = unseen.logits
            judged = _parted(examples, learned, unseen.rows)
        evaluation, predictions = evaluation_of(
            judged,
            logits,
            temperature,
            task=config.task,
            labels=config.labels,
            baseline=training.baseline,
            decision=config.decision,
            shares=training.shares(learned),
            precision_target=config.precision_target,
        )
        if novelty is not None:
            unknown = others_of(examples, *(() if unseen.others is None else ("test",)))
            evaluation["novelty"] = novelty_told(
                features.novelty(novelty, examples.part("test")), features.novelty_of_others(novelty, unknown)
            )
    reporter.epoch({**strengths, "seen": len(learned), "rate": float(len(learned))})
    network = training.network()
    network.get_layer("logits").set_weights([weights, bias])
    training.write(
        network,
        temperature,
        evaluation=evaluation,
        predictions=predictions,
        history=[strengths],
        best_epoch=1,
        novelty=novelty,
    )


def _learned(training: ClassifierTraining) -> Indices:
    """The examples that are learned from."""
    return np.sort(np.concatenate([training.examples.part(part) for part in parts_learned(training.config)]))


def parts_learned(config: TrainConfig) -> tuple[str, ...]:
    """The parts that are learned from."""
    return ("train",) if config.folds is not None else ("train", "validation")


def others_of(examples: Examples, *in_parts: str) -> Indices:
    """Which of `Examples.others` are of some parts; without any, all."""
    table = examples.others_table
    if table is None or not in_parts:
        return np.arange(len(examples.others))
    return np.flatnonzero(np.isin(np.asarray(table["part"]).astype(str), in_parts))


def others_told(config: TrainConfig, examples: Examples) -> str:
    """From how many works of other labels novelty learns, or that these are too few."""
    number = len(others_of(examples, *parts_learned(config)))
    few = "" if number >= LEAST_WORKS else ": too few to learn from"
    works = count_of(number, "work has", "works have")
    return f"other: learn: {works} a label that is none of the classes{few}"


@dataclass(frozen=True)
class _Unseen:
    """What the folds tell.

    Attributes:
        rows: The examples of which it is told.
        logits: (rows, classes), of classifiers that have not seen them, before the last temperature.
        temperature: The last.
        strengths: Strengths, and the temperatures of the single classifiers, as JSON.
        distance: To the classes.
        distances: (rows,) to the nearest, as works of other folds have it.
        others: What tells works of other labels; None: nothing was learned of them.
        odds: (rows,) the odds that a work is one of these, likewise.
    """

    rows: Indices
    logits: Floats
    temperature: float
    strengths: dict[str, Any]
    distance: Distance
    distances: Floats
    others: Others | None = None
    odds: Floats | None = None

    def novelty(self, features: _Features, weights: Floats, bias: Floats) -> Novelty | None:
        """What tells works of no class, for a classifier; None where too few works tell what is usual."""
        if len(self.rows) < LEAST_WORKS:
            return None
        usual, values = usual_values(self.distances, self.logits.max(axis=1), self.odds)
        return Novelty(
            mean=features.mean,
            deviation=features.deviation,
            distance=self.distance,
            weights=weights,
            bias=bias,
            usual=usual,
            values=values,
            other_weights=None if self.others is None else self.others.weights,
            other_bias=None if self.others is None else self.others.bias,
        )


def _choose(features: _Features, learned: Indices, families: Families, config: TrainConfig) -> _Unseen:
    """Strengths and temperatures by folds of some of the examples that are learned from."""
    table = features.examples.table
    groups = table["group" if "group" in table.column_names else "object_id"].take(learned).to_pylist()
    some = drawn(groups)
    rows = learned[some]
    targets = features.examples.targets[rows].astype(np.float64)
    weighted = config.class_weights == "balanced"
    x = features.matrix(rows)
    folds = Folds(x, targets, [groups[row] for row in some.tolist()], weighted=weighted)
    chosen = choose(folds, families, config.model.settings())
    together = chosen.together
    seen = validation_metrics(
        targets[folds.judged].astype(np.float32), together.logits[folds.judged].astype(np.float32)
    )
    choice = {"epoch": 1, "loss": together.loss, **chosen.strengths, "scales": chosen.scales, **seen}
    true = targets.argmax(axis=1)
    others = None
    if config.other == "learn":
        others = _learn_others(features, parts_learned(config), x, targets, [groups[row] for row in some.tolist()])
    return _Unseen(
        rows=rows[folds.judged],
        logits=chosen.logits[folds.judged],
        temperature=together.temperature,
        strengths=choice,
        distance=fit_distance(x, true),
        distances=distances_unseen(x, true, folds.numbers)[folds.judged],
        others=others,
        odds=None if others is None else others.odds[folds.judged],
    )


def _learn_others(
    features: _Features, in_parts: Sequence[str], x: Floats, targets: Floats, groups: list[str]
) -> Others | None:
    """What tells works of the classes from those of other labels; None where there are hardly any."""
    rows, table = others_of(features.examples, *in_parts), features.examples.others_table
    if table is None or len(rows) < LEAST_WORKS:
        return None
    owners = table["group" if "group" in table.column_names else "object_id"].take(rows).to_pylist()
    rows = rows[drawn(owners, MOST // 2)]
    told = table.take(rows)
    owners = told["group" if "group" in told.column_names else "object_id"].to_pylist()
    return fit_others(
        x,
        targets,
        groups,
        other=features.others_matrix(rows),
        labels=told["label"].to_pylist(),
        other_groups=owners,
    )


def _solve(
    features: _Features,
    learned: Indices,
    families: Families,
    chosen: Mapping[str, Any],
    config: TrainConfig,
) -> Linear:
    """The mean of the families' classifiers of the strengths that were found, each divided by its temperature."""
    targets = features.examples.targets[learned].astype(np.float64)
    class_weights = class_weights_of(targets, config.class_weights == "balanced")
    # Bundles of before were of one family, and said its temperature as `scale`.
    scales = chosen.get("scales") or {"shrinkage": chosen["scale"]}
    strengths = {family.setting: chosen[family.setting] for family in families}
    return solve(features.source(learned), families, strengths, scales, class_weights, width=features.width)


def _parted(examples: Examples, learned: Indices, judged: Indices) -> Examples:
    """The examples as they are evaluated: those judged by folds stand for a validation part."""
    parts = np.asarray(examples.table["part"]).astype(object)
    parts[learned] = "train"
    parts[judged] = "validation"
    column = examples.table.column_names.index("part")
    return replace(examples, table=examples.table.set_column(column, "part", pa.array(parts.tolist(), pa.string())))


class _Features:
    """A training's features, standardised, block by block."""

    def __init__(self, training: ClassifierTraining):
        assert training.standardize is not None  # features are
        self.examples: Examples = training.examples
        self._inputs = training.examples.inputs
        mean, variance = (np.asarray(values, np.float64) for values in training.standardize)
        self.mean, self.deviation = mean, np.sqrt(variance)
        self._shift, self._scale = mean.astype(np.float32), self.deviation.astype(np.float32)

    def _standardised(self, rows: Indices, inputs: Inputs | None = None) -> Iterator[tuple[Indices, Floats]]:
        inputs = inputs or self._inputs
        blocks = np.array_split(rows, range(_BLOCK, len(rows), _BLOCK))
        inputs.follow(blocks, lambda block: block)
        for block in blocks:
            # In place, as what is taken is a copy: a large collection goes through here some fifty times, and in
            # double precision it takes ten times as long.
            x = inputs.take(block)
            x -= self._shift
            x /= self._scale
            yield block, x

    def others_matrix(self, rows: Indices) -> Floats:
        """Features of some of these, (rows, width) float32."""
        return np.concatenate([x for _, x in self._standardised(rows, self.examples.other_inputs)])

    @property
    def width(self) -> int:
        """How many numbers an example has."""
        return len(self.mean)

    def matrix(self, rows: Indices) -> Floats:
        """Some examples' features, (rows, width) float32."""
        return np.concatenate([x for _, x in self._standardised(rows)])

    def source(self, rows: Indices) -> Blocks:
        """Features (rows, width) and targets (rows, classes), block by block, as often as asked; from memory if few."""
        targets = self.examples.targets
        if len(rows) * self.width * 4 <= _IN_MEMORY:
            held = self.matrix(rows)
            blocks = [(held[at : at + _BLOCK], targets[rows[at : at + _BLOCK]]) for at in range(0, len(rows), _BLOCK)]
            return lambda: blocks
        stored = as_stored(rows, self.examples.positions)
        return lambda: ((x, targets[block]) for block, x in self._standardised(stored))

    def novelty(self, novelty: Novelty, rows: Indices) -> Floats:
        """How little some examples look like any class, (rows,)."""
        return np.concatenate([novelty.of_standardised(x) for _, x in self._standardised(rows)])

    def novelty_of_others(self, novelty: Novelty, rows: Indices) -> Floats:
        """The same of some of `others`."""
        standardised = self._standardised(rows, self.examples.other_inputs) if len(rows) else []
        return np.concatenate([np.zeros(0, np.float32), *(novelty.of_standardised(x) for _, x in standardised)])

    def logits(self, rows: Indices, weights: Floats, bias: Floats) -> Floats:
        """What a linear layer says of some examples, (rows, classes)."""
        return np.concatenate([x @ weights + bias for _, x in self._standardised(rows)])
