"""What every training worker does: epochs of steps, checkpoints on the way, and at the end the model bundle."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.bundles.classifier import BUNDLE, load_bundle, read_evaluation, read_predictions
from artray.bundles.description import read_history
from artray.bundles.novelty import Novelty
from artray.classifiers.baseline import Baseline
from artray.classifiers.bundling import write_bundle
from artray.classifiers.calibration import fit_temperature
from artray.classifiers.config import TrainConfig
from artray.classifiers.evaluation import evaluation_of, true_classes, validation_metrics
from artray.classifiers.examples import Examples, epoch_order
from artray.classifiers.penalty import found_by_folds
from artray.classifiers.shares import shares_learned
from artray.engine.arithmetic import worth_compiling
from artray.engine.augmentation import draw, minority
from artray.engine.checkpoints import Checkpoints
from artray.engine.epoch_loop import EpochLoop, Position
from artray.engine.optimizers import optimizer
from artray.engine.order import as_stored
from artray.engine.progress import Reporter
from artray.engine.schedules import Freezing, improved, should_stop
from artray.engine.sparsity import SparsitySchedule, pruned_groups
from artray.engine.views import Views
from artray.engine.worker_group import TRAINING
from artray.engine.worker_resources import own_cpus
from artray.errors import ArtrayError
from artray.storage import Location, digest
from artray.vocabulary import Class

CHOSEN = "chosen"
"""Of a bundle's metrics: settings of its model that folds have chosen."""
_FEATURE_BATCH = 4096

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Refit:
    """The last fit of a model that has been evaluated: on all parts, for as many epochs as were best.

    Attributes:
        epochs: How many.
        history: Of the run that was evaluated; its metrics steer this one's schedule.
        temperature: Of that run.
        evaluation: Likewise.
        predictions: Likewise.
        chosen: Settings of its model that folds have chosen.
    """

    epochs: int
    history: list[dict[str, Any]]
    temperature: float
    evaluation: dict[str, Any]
    predictions: pa.Table
    chosen: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, out: Location) -> Refit:
        """The last fit of the model that has been evaluated in `out`."""
        bundle, evaluation = load_bundle(out), read_evaluation(out)
        return cls(
            epochs=bundle.metrics["best_epoch"],
            history=read_history(out),
            temperature=bundle.temperature,
            evaluation={name: value for name, value in evaluation.items() if name != "model_id"},
            predictions=read_predictions(out),
            chosen=bundle.metrics.get(CHOSEN, {}),
        )


@dataclass(frozen=True, kw_only=True)
class ClassifierTraining:
    """One training of a classifier: all that a worker is told.

    Attributes:
        config: What is trained.
        examples: From what; inputs are in Ray's object store, or in shards.
        standardize: Mean and variance of each feature over the training part.
        baseline: What a simple classifier says of the same works.
        out: Where the bundle goes.
        source: Fingerprint of the data set.
        known: Of the classes' concepts: what tells them may lie where only the driver reads.
        summaries: Folder or prefix for TensorBoard's logs, None for none.
        refit: This is the last fit on all parts, of the model that is in `out`.
    """

    config: TrainConfig
    examples: Examples
    standardize: tuple[list[float], list[float]] | None = None
    baseline: Baseline | None = None
    out: Location
    source: str
    known: Mapping[str, Class] = field(default_factory=dict)
    summaries: Location | None = None
    refit: bool = False

    @property
    def name(self) -> str:
        """It finds the checkpoints of an interrupted run."""
        return digest(self.config.model_dump_json().encode(), self.source.encode(), str(self.refit).encode())

    @property
    def title(self) -> str:
        """What tells it from the others of one command."""
        if self.refit:
            return "again on all parts"
        if self.config.folds is None:
            return ""
        again = f", dealt otherwise ({self.config.repeat})" if self.config.repeat else ""
        return f"fold {self.config.fold}{again}"

    def shares(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64] | None:
        """`shares_learned` of a model that learns from these examples; None where a work may have several labels."""
        config, examples = self.config, self.examples
        if config.multilabel:
            return None
        return shares_learned(
            examples.classes, examples.targets[rows], given=config.class_weights, sampling=config.sampling
        )

    def found_by_folds(self) -> dict[str, float]:
        """Settings of the model that its training part says: see `artray.classifiers.penalty`."""
        config = self.config
        return found_by_folds(
            config.model,
            self.examples,
            self.standardize,
            multilabel=config.multilabel,
            balanced="balanced" in (config.class_weights, config.sampling),
        )

    @property
    def length(self) -> int:
        """How many examples are gone through at most."""
        return self.config.epochs * len(self.examples.part("train"))

    def is_done(self) -> bool:
        """Whether the bundle is there."""
        if not (self.out / BUNDLE).exists():
            return False
        return not self.refit or bool(load_bundle(self.out).metrics.get("finalized"))

    def work(self, rank: int, checkpoints: Checkpoints, progress: Any) -> None:
        """One worker's whole training; rank 0 writes the bundle."""
        _Run(self, rank, checkpoints, Reporter(progress, rank)).run()

    def network(self, chosen: Mapping[str, float] = MappingProxyType({})) -> Any:
        """Its model before it has learned, a Keras model from inputs to logits; TensorFlow comes with it.

        Args:
            chosen: Settings of the model that its config leaves to folds.
        """
        from artray.models.classifiers import classifier

        return classifier(
            self.config.model.name,
            self.examples.shape,
            len(self.examples.classes),
            {**self.config.model.settings(), **chosen},
            standardize=self.standardize,
            widths=self.examples.widths,
        )

    def write(
        self,
        network: Any,
        temperature: float,
        *,
        evaluation: dict[str, Any],
        predictions: pa.Table,
        history: list[dict[str, Any]],
        best_epoch: int,
        chosen: Mapping[str, float] | None = None,
        novelty: Novelty | None = None,
    ) -> None:
        """Write the bundle.

        Args:
            network: As from `network`, outside of any strategy, with what was learned.
            temperature: What its logits are divided by.
            evaluation: As from `evaluation.evaluation_of`.
            predictions: Likewise.
            history: The metrics of each epoch.
            best_epoch: Of which the weights are.
            chosen: As for `network`.
            novelty: What tells works of none of the classes.
        """
        from artray.models.classifiers import calibrated

        config = self.config
        write_bundle(
            self.out,
            model=calibrated(network, temperature, config.multilabel, config.test_time_flip),
            temperature=temperature,
            config=config,
            examples=self.examples,
            source=self.source,
            evaluation=evaluation,
            predictions=predictions,
            history=history,
            metrics={
                "best_epoch": best_epoch,
                **({"finalized": True} if self.refit else {}),
                **({CHOSEN: dict(chosen)} if chosen else {}),
            },
            known=self.known,
            novelty=novelty,
        )


@dataclass(kw_only=True)
class _Position(Position):
    """How far a run has come.

    Attributes:
        losses: Of each step of the epoch that has begun.
        best: `epoch`, its monitored `value`, and the weights it had.
    """

    losses: list[float] = field(default_factory=list)
    best: dict[str, Any] | None = None


class _Run(EpochLoop[_Position]):
    def __init__(self, training: ClassifierTraining, rank: int, checkpoints: Checkpoints, reporter: Reporter):
        # Imported here: with them comes TensorFlow, which the driver does without.
        import keras

        from artray.classifiers.losses import CrossEntropy, class_weights
        from artray.engine.summaries import Summaries
        from artray.engine.supervised import SupervisedTrainer

        self._told, self._examples = training, training.examples
        self._refit = Refit.of(training.out) if training.refit else None
        self._baseline = training.baseline
        super().__init__(rank, checkpoints, reporter, training.config)
        config, examples = training.config, training.examples
        self._inputs = examples.inputs
        self._training = examples.part("train")
        self._validation = examples.part("validation")
        self._epochs = self._refit.epochs if self._refit else config.epochs

        multilabel = config.multilabel
        targets = examples.targets[self._training]
        weights = class_weights(config.class_weights, examples.classes, targets, multilabel)
        loss = CrossEntropy(multilabel, config.label_smoothing, weights if multilabel else None)
        self._weights: npt.NDArray[np.float32] = np.ones(len(examples.targets), np.float32)
        if weights is not None and not multilabel:
            self._weights = (examples.targets @ weights).astype(np.float32)
        self._shares = training.shares(self._training)
        self._small = minority(examples.targets, self._training)

        def trainable(model: keras.Model) -> list[Any]:
            self._freezing = Freezing(model, config.freeze, config.unfreeze)
            return self._freezing.ever_trainable()

        # Each worker finds the same: nothing else is drawn or summed otherwise.
        self._chosen = self._refit.chosen if self._refit else training.found_by_folds()
        keras.utils.set_random_seed(config.seed)
        self._trainer = SupervisedTrainer(
            partial(training.network, self._chosen),
            partial(optimizer, config.optimizer),
            loss,
            trainable=trainable,
            accumulate=config.accumulate,
            clip_norm=config.clip_norm,
            ema=config.ema,
            prune=partial(pruned_groups, config.pruning) if config.pruning else None,
            precision=config.precision,
            compile=worth_compiling(config.compile, training.length // config.batch_size),
            views=Views(config.augment, own_cpus()) if len(examples.shape) == 3 and config.augment else None,
        )
        self._position = self._restored(_Position)
        self._summaries = None
        if training.summaries and rank == 0:
            self._summaries = Summaries(training.summaries)

    def run(self) -> None:
        """Train from where the last checkpoint was taken, and write the bundle."""
        self._freezing.apply(self._position.epoch + 1)
        self._trainer.compile()
        super().run()

    def _is_over(self) -> bool:
        return self._position.epoch >= self._epochs or (self._refit is None and self._stops_early())

    def _stops_early(self) -> bool:
        rule = self._config.early_stopping
        if rule is None:
            return False
        history = [metrics for metrics in self._position.history if self._is_sparse(metrics["epoch"])]
        return bool(history) and should_stop(history, rule.metric or self._config.monitor, rule.patience)

    def _sparsity(self, batches: int) -> SparsitySchedule | None:
        """What the config plans, for epochs of so many batches."""
        config = self._config
        return SparsitySchedule(config.pruning, config.epochs * batches) if config.pruning else None

    def _is_sparse(self, epochs: int) -> bool:
        """Whether the model is as sparse as it is to be after so many epochs: before, it is not the one to keep."""
        batches = -(-len(self._training) // self._config.batch_size)
        schedule = self._sparsity(batches)
        return schedule is None or epochs * batches >= schedule.end

    def _epoch(self) -> None:
        config, position = self._config, self._position
        epoch = position.epoch
        order = epoch_order(self._examples, epoch, config.seed, balanced=config.sampling == "balanced")
        batches = [order[start : start + config.batch_size] for start in range(0, len(order), config.batch_size)]
        history = self._refit.history[:epoch] if self._refit else position.history
        schedule = config.learning_rates
        rates = [schedule.rate(epoch + (step + 0.5) / len(batches), history) for step in range(len(batches))]
        pruning, before = self._sparsity(len(batches)), epoch * len(batches)
        sparsities = [pruning.at(before + step + 1) for step in range(len(batches))] if pruning else None

        def take(indices: Indices) -> tuple[Any, Any, Any]:
            return self._inputs.take(indices), self._examples.targets[indices], self._weights[indices]

        def changes(indices: Indices) -> npt.NDArray[np.float32]:
            return draw(indices, config.augment, config.seed, epoch, minority=self._small[indices])

        started, first = time.monotonic(), position.step

        def so_far() -> dict[str, Any]:
            seen = sum(map(len, batches[: position.step]))
            rate = (seen - sum(map(len, batches[:first]))) / max(time.monotonic() - started, 1e-9)
            return {"epoch": epoch, "seen": seen, "rate": rate, "loss": _mean(position.losses, batches)}

        def train(steps: slice) -> Iterator[int]:
            planned = sparsities and sparsities[steps]
            for losses in self._trainer.train(take, batches[steps], rates[steps], changes, planned):
                if not np.isfinite(losses).all():
                    self._give_up("loss")
                position.losses += losses.tolist()
                yield len(losses)

        self._take_steps(batches, train, so_far)
        seconds = time.monotonic() - started
        metrics = {"epoch": epoch + 1, "loss": _mean(position.losses, batches), "learning_rate": rates[-1]}
        if pruning:
            metrics["sparsity"] = pruning.reached(before + len(batches))
        if not self._refit:
            with self._trainer.averaged():
                metrics |= self._validate()
                self._keep_best(metrics)
        position.history.append(metrics)
        position.epoch, position.step, position.losses = epoch + 1, 0, []
        rate = sum(map(len, batches[first:])) / max(seconds, 1e-9)
        self._reporter.epoch(metrics | {"seen": len(order), "rate": rate})
        if self._summaries is not None:
            self._summaries.write(epoch + 1, {name: value for name, value in metrics.items() if name != "epoch"})
        if self._freezing.changes(epoch + 2):
            self._freezing.apply(epoch + 2)
            self._trainer.compile()

    def _validate(self) -> dict[str, float]:
        logits = self._predict(self._validation)
        metrics = validation_metrics(self._examples.targets[self._validation], logits, self._config.multilabel)
        if not np.isfinite(metrics["validation_loss"]):
            self._give_up("validation loss")
        return metrics

    def _keep_best(self, metrics: dict[str, float]) -> None:
        best, monitor, epoch = self._position.best, self._config.monitor, int(metrics["epoch"])
        first = best is None or not self._is_sparse(best["epoch"])  # what is too dense is better only by that
        if best is None or first or improved(monitor, metrics[monitor], best["value"]):
            state = {name: value for name, value in self._trainer.state().items() if name.startswith("model/")}
            self._position.best = {"value": metrics[monitor], "epoch": epoch, "state": state}

    def _give_up(self, what: str) -> None:
        epochs = self._position.epoch
        kept = f"; {self._told.out}/{TRAINING} keeps the last checkpoint" if epochs else ""
        raise ArtrayError(
            f"the {what} is no longer a number in epoch {epochs + 1}: try a smaller learning rate, "
            f"clip_norm or warmup_epochs{kept}"
        )

    def _predict(self, indices: Indices, flip: bool = False) -> npt.NDArray[np.float32]:
        """Logits; with `flip` the mean of those for each picture and for its mirror image."""
        if len(self._examples.shape) == 1:
            batch = _FEATURE_BATCH
        else:
            batch = max(1, self._config.batch_size // self._config.accumulate)
        order = as_stored(np.arange(len(indices)), self._examples.positions[indices])
        indices = indices[order]
        batches = np.array_split(indices, range(batch, len(indices), batch))
        self._inputs.follow(batches, self._trainer.share)
        logits = self._trainer.predict(self._inputs.take, indices, batch)
        if flip:
            self._inputs.follow(batches, self._trainer.share)
            mirrored = self._trainer.predict(lambda rows: self._inputs.take(rows)[:, :, ::-1], indices, batch)
            logits = (logits + mirrored) / 2
        scores = np.empty(logits.shape, np.float32)
        scores[order] = logits
        return scores

    def _finish(self) -> None:
        if self._refit:
            self._finish_refit(self._refit)
        else:
            self._finish_first()

    def _finish_first(self) -> None:
        config, examples, best = self._config, self._examples, self._position.best
        assert best is not None  # a config has at least one epoch
        self._trainer.load(best["state"])
        logits = self._predict(np.arange(len(examples.table)), config.test_time_flip)
        if self._rank != 0:
            return
        true = true_classes(examples.targets[self._validation], config.multilabel)
        temperature = fit_temperature(true, logits[self._validation])
        evaluation, predictions = evaluation_of(
            examples,
            logits,
            temperature,
            task=config.task,
            labels=config.labels,
            baseline=self._baseline,
            decision=config.decision,
            shares=self._shares,
            precision_target=config.precision_target,
        )
        self._told.write(
            self._learned(),
            temperature,
            evaluation=evaluation,
            predictions=predictions,
            history=self._position.history,
            best_epoch=best["epoch"],
            chosen=self._chosen,
        )

    def _finish_refit(self, refit: Refit) -> None:
        with self._trainer.averaged():
            if self._rank == 0:
                self._told.write(
                    self._learned(),
                    refit.temperature,
                    evaluation=refit.evaluation,
                    predictions=refit.predictions,
                    history=refit.history,
                    best_epoch=refit.epochs,
                    chosen=self._chosen,
                )

    def _learned(self) -> Any:
        """The model outside the strategy, in float32: of ordinary variables."""
        plain = self._told.network(self._chosen)
        plain.set_weights([variable.numpy() for variable in self._trainer.model.weights])
        return plain

    def _load(self, arrays: dict[str, Any], notes: dict[str, Any]) -> None:
        super()._load(arrays, notes)
        if notes["best"] is not None:
            kept = {f"model/{name[5:]}": value for name, value in arrays.items() if name.startswith("best/")}
            notes["best"]["state"] = kept

    def _state(self) -> dict[str, Any]:
        state, best = super()._state(), self._position.best
        if best is not None:
            state |= {f"best/{name.removeprefix('model/')}": value for name, value in best["state"].items()}
        return state

    def _notes(self) -> dict[str, Any]:
        best = self._position.best
        return super()._notes() | {"best": best and {"value": best["value"], "epoch": best["epoch"]}}


def _mean(losses: Sequence[float], batches: Sequence[Indices]) -> float:
    return float(np.average(losses, weights=[len(batch) for batch in batches[: len(losses)]]))
