"""Classifiers that are not trained by steps but solved for: what a worker does for them.

They see frozen features, take seconds, and end as the same bundle as every other model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from artray.classifiers.novelty import distances_unseen, fit_distance, novelty_told, usual_values
from artray.classifiers.out_of_fold import Folds, Linear, class_weights_of, drawn
from artray.engine.checkpoints import Checkpoints
from artray.engine.examples import Inputs
from artray.engine.progress import Reporter
from artray.errors import InputError

_BLOCK = 4096  # examples read at once
_IN_MEMORY = 1 << 30  # bytes of features that are not read again for each step

Indices = npt.NDArray[np.int64]


def training_class(config: TrainConfig) -> type[ClassifierTraining]:
    """By steps, or solved for.

    Raises:
        InputError: A classifier that is solved for does not look at features, or a work may have several labels, or it
            is to be pruned.
    """
    name = config.model.name
    if name not in CLOSED_FORM:
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
        """Each example is looked at once."""
        return len(self.examples.part("train"))

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
    parts = ("train",) if config.folds is not None else ("train", "validation")
    learned = np.sort(np.concatenate([examples.part(part) for part in parts]))
    families = families_of(config.model.name, examples.widths)
    if refit:
        found = refit.history[0]
        weights, bias = _solve(features, learned, families, found, config)
        temperature, evaluation, predictions = refit.temperature, refit.evaluation, refit.predictions
        novelty = load_novelty(training.out, load_bundle(training.out))
        if novelty is not None:
            novelty = replace(novelty, weights=weights, bias=bias)
    else:
        unseen = _choose(features, learned, families, config)
        found = unseen.found
        weights, bias = _solve(features, learned, families, found, config)
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
            shares=features.examples.targets[learned].astype(np.float64).mean(axis=0),
            precision_target=config.precision_target,
        )
        if novelty is not None:
            evaluation["novelty"] = novelty_told(
                features.novelty(novelty, examples.part("test")), features.novelty(novelty)
            )
    reporter.epoch({**found, "seen": len(learned), "rate": float(len(learned))})
    network = training.network()
    network.get_layer("logits").set_weights([weights, bias])
    training.write(
        network,
        temperature,
        evaluation=evaluation,
        predictions=predictions,
        history=[found],
        best_epoch=1,
        novelty=novelty,
    )


@dataclass(frozen=True)
class _Unseen:
    """What the folds tell.

    Attributes:
        rows: The examples of which it is told.
        logits: (rows, classes), of classifiers that have not seen them, before the last temperature.
        temperature: The last.
        found: Strengths, and the temperatures of the single classifiers, as JSON.
        distance: To the classes.
        distances: (rows,) to the nearest, as works of other folds have it.
    """

    rows: Indices
    logits: Floats
    temperature: float
    found: dict[str, Any]
    distance: Distance
    distances: Floats

    def novelty(self, features: _Features, weights: Floats, bias: Floats) -> Novelty | None:
        """What tells works of no class, for a classifier; None where too few works tell what is usual."""
        if len(self.rows) < LEAST_WORKS:
            return None
        usual, values = usual_values(self.distances, self.logits.max(axis=1))
        return Novelty(
            mean=features.mean,
            deviation=features.deviation,
            distance=self.distance,
            weights=weights,
            bias=bias,
            usual=usual,
            values=values,
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
    found = {"epoch": 1, "loss": together.loss, **chosen.strengths, "scales": chosen.scales, **seen}
    true = targets.argmax(axis=1)
    return _Unseen(
        rows=rows[folds.judged],
        logits=chosen.logits[folds.judged],
        temperature=together.temperature,
        found=found,
        distance=fit_distance(x, true),
        distances=distances_unseen(x, true, folds.numbers)[folds.judged],
    )


def _solve(
    features: _Features,
    learned: Indices,
    families: Families,
    found: Mapping[str, Any],
    config: TrainConfig,
) -> Linear:
    """The mean of the families' classifiers of the strengths that were found, each divided by its temperature."""
    width = features.width
    targets = features.examples.targets[learned].astype(np.float64)
    class_weights = class_weights_of(targets, config.class_weights == "balanced")
    # What goes through the examples a hundred times, sees as many as memory holds: beyond these more tell it little.
    some = learned[drawn([str(row) for row in learned.tolist()], max(1, _IN_MEMORY // (4 * width)))]
    whole = features.source(learned)
    few = whole if len(some) == len(learned) else features.source(some)
    # Bundles of before were of one family, and said its temperature as `scale`.
    scales = found.get("scales") or {"shrinkage": found["scale"]}
    strengths = {family.setting: found[family.setting] for family in families}
    return solve(whole, families, strengths, scales, class_weights, width=width, few=few)


def _parted(examples: Examples, learned: Indices, judged: Indices) -> Examples:
    """The examples as they are evaluated: those judged by folds stand for a validation part."""
    part = np.asarray(examples.table["part"]).astype(object)
    part[learned] = "train"
    part[judged] = "validation"
    column = examples.table.column_names.index("part")
    return replace(examples, table=examples.table.set_column(column, "part", pa.array(part.tolist(), pa.string())))


class _Features:
    """A training's features, standardised, block by block."""

    def __init__(self, training: ClassifierTraining):
        assert training.standardize is not None  # features are
        self.examples: Examples = training.examples
        self._inputs = training.examples.inputs
        mean, variance = (np.asarray(values, np.float64) for values in training.standardize)
        self.mean, self.deviation = mean, np.sqrt(variance)

    def _standardised(self, rows: Indices, inputs: Inputs | None = None) -> Iterator[tuple[Indices, Floats]]:
        inputs = inputs or self._inputs
        blocks = np.array_split(rows, range(_BLOCK, len(rows), _BLOCK))
        inputs.follow(blocks, lambda block: block)
        for block in blocks:
            yield block, (inputs.take(block) - self.mean) / self.deviation

    def _others(self) -> Iterator[tuple[Indices, Floats]]:
        others = self.examples.others
        return self._standardised(np.arange(len(others)), self.examples.other_inputs) if len(others) else iter(())

    @property
    def width(self) -> int:
        """How many numbers an example has."""
        return len(self.mean)

    def matrix(self, rows: Indices) -> Floats:
        """Some examples' features, (rows, width) float32."""
        return np.concatenate([x.astype(np.float32) for _, x in self._standardised(rows)])

    def source(self, rows: Indices) -> Blocks:
        """Features (rows, width) and targets (rows, classes), block by block, as often as asked; from memory if few."""
        targets = self.examples.targets
        if len(rows) * self.width * 4 <= _IN_MEMORY:
            held = self.matrix(rows)
            blocks = [(held[at : at + _BLOCK], targets[rows[at : at + _BLOCK]]) for at in range(0, len(rows), _BLOCK)]
            return lambda: blocks
        return lambda: ((x.astype(np.float32), targets[block]) for block, x in self._standardised(rows))

    def novelty(self, novelty: Novelty, rows: Indices | None = None) -> Floats:
        """How little some examples look like any class, (rows,); None: the works whose label is none of them."""
        standardised = self._others() if rows is None else self._standardised(rows)
        found = [novelty.of_standardised(x) for _, x in standardised]
        return np.concatenate([np.zeros(0, np.float32), *found])

    def logits(self, rows: Indices, weights: Floats, bias: Floats) -> Floats:
        """What a linear layer says of some examples, (rows, classes)."""
        return np.concatenate([x @ weights + bias for _, x in self._standardised(rows)])
