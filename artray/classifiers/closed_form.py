"""Classifiers that are not trained by steps but solved for: what a worker does for them.

They see frozen features, take seconds, and end as the same bundle as every other model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.classifiers.calibration import fit_temperature, log_loss, softmax
from artray.classifiers.config import TrainConfig
from artray.classifiers.discriminant import SHRINKAGES, Discriminant, Floats
from artray.classifiers.evaluation import evaluation_of, true_classes
from artray.classifiers.examples import Examples
from artray.classifiers.loop import ClassifierTraining, Refit, validation_metrics
from artray.engine.checkpoints import Checkpoints
from artray.engine.progress import Reporter
from artray.errors import InputError

CLOSED_FORM = ("lda",)
"""Classifiers by name that are solved for."""

_BLOCK = 4096  # examples read at once

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
    """Solve, choose the shrinkage by the validation part's log loss, evaluate, and write the bundle."""
    examples, config = training.examples, training.config
    refit = Refit.of(training.out) if training.refit else None
    features = _Features(training)
    learned, validation = examples.part("train"), examples.part("validation")
    discriminant = Discriminant(lambda: features.blocks(learned))
    if refit:
        found = refit.history[0]
        weights, bias = discriminant.fit(found["shrinkage"])
        weights, bias = weights / found["scale"], bias / found["scale"]
        temperature, evaluation, predictions = refit.temperature, refit.evaluation, refit.predictions
    else:
        found, weights, bias = _choose(discriminant, features, validation, config.model.settings().get("shrinkage"))
        logits = features.logits(np.arange(len(examples.table)), weights, bias)
        temperature = fit_temperature(true_classes(examples.targets[validation], False), logits[validation])
        evaluation, predictions = evaluation_of(
            examples, logits, temperature, task=config.task, labels=config.labels, baseline=training.baseline
        )
    reporter.epoch({**found, "seen": len(learned), "rate": float(len(learned))})
    network = training.network()
    network.get_layer("logits").set_weights([weights, bias])
    training.write(network, temperature, evaluation=evaluation, predictions=predictions, history=[found], best_epoch=1)


def _choose(
    discriminant: Discriminant, features: _Features, validation: Indices, shrinkage: float | None
) -> tuple[dict[str, Any], Floats, Floats]:
    """The classifier of the best shrinkage, or of the given one, its logits calibrated; and what was found, as JSON."""
    targets = features.examples.targets[validation]
    true = true_classes(targets, False)
    best: tuple[dict[str, Any], Floats, Floats] | None = None
    for tried in SHRINKAGES if shrinkage is None else (shrinkage,):
        weights, bias = discriminant.fit(tried)
        logits = features.logits(validation, weights, bias)
        # As large as the covariance is small, and far too sure of themselves: brought near to 1 before the fine search.
        scale = float(logits.std(axis=1).mean()) or 1.0
        scale *= fit_temperature(true, logits / scale)
        loss = log_loss(true, softmax(logits / scale))
        if best is None or loss < best[0]["loss"]:
            found = {"epoch": 1, "loss": loss, "shrinkage": tried, "scale": scale}
            best = {**found, **validation_metrics(targets, (logits / scale).astype(np.float32))}, weights, bias
        else:
            break  # along this path the validation loss falls, then rises
    assert best is not None
    found, weights, bias = best
    return found, weights / found["scale"], bias / found["scale"]


class _Features:
    """A training's features, standardised, block by block."""

    def __init__(self, training: ClassifierTraining):
        assert training.standardize is not None  # features are
        self.examples: Examples = training.examples
        self._inputs = training.examples.inputs
        mean, variance = (np.asarray(values, np.float64) for values in training.standardize)
        self._mean, self._deviation = mean, np.sqrt(variance)

    def _standardised(self, rows: Indices) -> Iterator[tuple[Indices, Floats]]:
        blocks = np.array_split(rows, range(_BLOCK, len(rows), _BLOCK))
        self._inputs.follow(blocks, lambda block: block)
        for block in blocks:
            yield block, (self._inputs.take(block) - self._mean) / self._deviation

    def blocks(self, rows: Indices) -> Iterator[tuple[Floats, Floats]]:
        """Features (rows, d) and targets (rows, classes) of some examples."""
        for block, x in self._standardised(rows):
            yield x, self.examples.targets[block]

    def logits(self, rows: Indices, weights: Floats, bias: Floats) -> Floats:
        """What a linear layer says of some examples, (rows, classes)."""
        return np.concatenate([x @ weights + bias for _, x in self._standardised(rows)])
