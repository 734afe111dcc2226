"""What every worker of a GAN's training does: epochs of steps, samples and checkpoints on the way, then the bundle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from artray.bundles.generator import BUNDLE
from artray.engine.arithmetic import worth_compiling
from artray.engine.augmentation import draw
from artray.engine.bundle_training import BundleTraining
from artray.engine.checkpoints import Checkpoints
from artray.engine.epoch_loop import EpochLoop, Position, check_shared, whole_batches
from artray.engine.optimizers import optimizer
from artray.engine.order import shuffled
from artray.engine.progress import Reporter
from artray.engine.views import Views
from artray.engine.worker_group import TRAINING
from artray.engine.worker_resources import own_cpus
from artray.errors import ArtrayError, InputError
from artray.gans.bundling import write_generator_bundle
from artray.gans.config import GanConfig
from artray.gans.descriptions import spread
from artray.gans.examples import Pictures
from artray.gans.latents import draw_latents
from artray.gans.sample_sheets import Diversity, Picture, to_pictures, warning, write_animation, write_sheet
from artray.storage import Location

Indices = npt.NDArray[np.int64]
Build: TypeAlias = Callable[[], Any]
"""Gives a Keras model."""

_TRAINING_LATENTS, _SAMPLE_LATENTS = range(2)


@dataclass(frozen=True, kw_only=True)
class GanTraining(BundleTraining):
    """One training of a GAN: all that a worker is told.

    Attributes:
        config: What is trained.
        pictures: From what; they are in Ray's object store, or in shards.
        summaries: Folder or prefix for TensorBoard's logs, None for none.
    """

    bundle = BUNDLE

    config: GanConfig
    pictures: Pictures
    summaries: Location | None = None

    @property
    def length(self) -> int:
        """How many pictures are gone through."""
        size = self.config.batch_size
        return self.config.epochs * (len(self.pictures.ids) // size) * size

    def run(self, rank: int, checkpoints: Checkpoints, reporter: Reporter) -> None:
        """One worker's whole training; rank 0 writes the bundle."""
        _Run(self, rank, checkpoints, reporter).run()


@dataclass(kw_only=True)
class _Position(Position):
    """How far a run has come.

    Attributes:
        metrics: Of each step of the epoch that has begun.
        seconds: They took.
        waited: Seconds of that in which there was no picture to work on.
    """

    metrics: list[list[float]] = field(default_factory=list)
    seconds: float = 0.0
    waited: float = 0.0


def networks_of(config: GanConfig, classes: int = 0, *, described: bool = False) -> tuple[Build, Build]:
    """What builds a config's generator and its discriminator.

    Args:
        config: The config.
        classes: Columns of the labels; 0 without.
        described: These are descriptions, and not one-hot.
    """
    from artray.models.gans import discriminator, generator

    model, settings = config.model, config.model.settings()
    return (
        partial(
            generator,
            model.name,
            config.size,
            config.latent_size,
            classes=classes,
            settings=settings,
            described=described,
        ),
        partial(discriminator, model.name, config.size, classes=classes, settings=settings, loss=config.loss.name),
    )


def trainer_of(config: GanConfig, generator: Build, discriminator: Build, steps: int) -> Any:
    """The `AdversarialTrainer` of a config, for so many steps; loads TensorFlow."""
    from artray.engine.adversarial import AdversarialTrainer
    from artray.engine.adversarial_step import Adaptive, Blur

    return AdversarialTrainer(
        generator,
        discriminator,
        [partial(optimizer, config.generator, "generator"), partial(optimizer, config.discriminator, "discriminator")],
        lambda step, count: _latents(config, count, _TRAINING_LATENTS, step),
        loss=config.loss.name,
        constants=config.loss.model_dump(exclude={"name", "penalty_end"}),
        changes=config.diff_augment,
        adaptive=Adaptive(**config.adaptive.model_dump()) if config.adaptive else None,
        blur=Blur(**config.blur.model_dump()) if config.blur else None,
        discriminator_steps=config.discriminator_steps,
        generator_steps=config.generator_steps,
        ema=config.ema,
        seed=config.seed,
        precision=config.precision,
        compile=worth_compiling(config.compile, steps),
        views=Views(config.augment, own_cpus()) if config.augment else None,
    )


def sample_latents(config: GanConfig, count: int, truncation: float | None = None) -> npt.NDArray[np.float32]:
    """The latents whose pictures are shown while a config is trained, as they are or nearer to 0."""
    seed = (config.seed, _SAMPLE_LATENTS)
    return draw_latents(count, config.latent_size, config.distribution, seed, truncation)


def _latents(config: GanConfig, count: int, *purpose: int) -> npt.NDArray[np.float32]:
    return draw_latents(count, config.latent_size, config.distribution, (config.seed, *purpose))


class _Run(EpochLoop[_Position]):
    def __init__(self, training: GanTraining, rank: int, checkpoints: Checkpoints, reporter: Reporter):
        # Imported here: with them comes TensorFlow, which the driver does without.
        import keras

        from artray.engine.adversarial_step import METRICS
        from artray.engine.summaries import Summaries

        self._out, self._pictures = training.out, training.pictures
        self._grouped = bool(training.title)
        super().__init__(rank, checkpoints, reporter, training.config)
        self._names = METRICS
        config, pictures = training.config, training.pictures
        self._inputs = pictures.inputs
        classes = pictures.labels.shape[1]
        self._generator, self._discriminator = networks_of(config, classes, described=bool(pictures.conditions))
        keras.utils.set_random_seed(config.seed)
        steps = training.length // config.batch_size
        self._trainer = trainer_of(config, self._generator, self._discriminator, steps)
        check_shared(config.batch_size, self._trainer.count)
        if self._trainer.count > 1 and config.seconds is not None:
            raise InputError("seconds: is for one worker; several have several clocks")
        self._position = self._restored(_Position)
        self._summaries = Summaries(training.summaries) if training.summaries and rank == 0 else None
        if rank == 0:
            self._plain = self._generator()  # outside the strategy: a model of ordinary variables
            few = np.random.default_rng(config.seed).permutation(len(pictures.ids))[: config.samples]
            self._diversity = Diversity(self._inputs.take(np.sort(few)))

    def run(self) -> None:
        """Train from where the last checkpoint was taken, and write the bundle."""
        config, position = self._config, self._position
        if self._rank == 0 and not position.epoch and not position.step:
            write_sheet(self._out, 0, self._samples(), model=config.model.name)
        super().run()

    def _epoch(self) -> None:
        config, position = self._config, self._position
        epoch = position.epoch
        pictures, chance = self._pictures, np.random.default_rng([config.seed, epoch])
        order = shuffled(chance, np.arange(len(pictures.ids)), pictures.positions, 3 * config.size**2)
        batches = whole_batches(order, config.batch_size)
        number = len(batches)
        moments = [epoch + (step + 0.5) / number for step in range(number)]
        rates = [self._rates(moment) for moment in moments]
        penalties = [config.loss.penalty_at(moment / config.epochs) for moment in moments]

        def take(indices: Indices) -> tuple[Any, Any]:
            return self._inputs.take(indices), self._pictures.labels[indices]

        def changes(indices: Indices) -> npt.NDArray[np.float32]:
            return draw(indices, config.augment, config.seed, epoch)

        def train(steps: slice) -> Iterator[int]:
            began = time.perf_counter()
            first = epoch * number + steps.start
            trained = self._trainer.train(
                take, batches[steps], first, rates[steps], changes, penalties=penalties[steps]
            )
            for metrics, waited in trained:
                self._check(metrics, epoch * number + position.step)
                position.metrics += metrics.tolist()
                position.seconds += time.perf_counter() - began
                position.waited += waited
                began = time.perf_counter()
                yield len(metrics)

        self._take_steps(batches, train, lambda: {"epoch": epoch, **self._means()})
        self._close_epoch(number, rates[-1])

    def _close_epoch(self, number: int, rates: tuple[float, float]) -> None:
        config, position = self._config, self._position
        epoch = position.epoch + 1
        means = self._means()
        metrics: dict[str, Any] = {
            "epoch": epoch,
            "steps": epoch * number,
            **{name: means[name] for name in self._names},
            "generator_rate": rates[0],
            "discriminator_rate": rates[1],
        }
        if config.loss.name == "began":
            metrics["balance"] = self._trainer.balance
            metrics["convergence"] = self._trainer.convergence(metrics["real_score"], metrics["fake_score"])
        metrics |= {"seconds": round(position.seconds, 3), "data_wait": means["data_wait"]}
        last = self._is_last(epoch, metrics["seconds"])
        if self._rank == 0 and (epoch % config.sample_epochs == 0 or last):
            samples = self._samples()
            write_sheet(self._out, epoch, samples, model=config.model.name)
            metrics["diversity"] = self._diversity(samples)
            metrics["warning"] = warning(metrics["diversity"])
        position.history.append(metrics)
        position.epoch, position.step, position.metrics = epoch, 0, []
        position.seconds = position.waited = 0.0
        self._reporter.epoch({**means, **metrics})
        if self._summaries is not None:
            values = {name: value for name, value in metrics.items() if isinstance(value, float)}
            self._summaries.write(epoch, values)

    def _is_over(self) -> bool:
        return self._is_last(self._position.epoch)

    def _is_last(self, epochs: int, seconds: float = 0.0) -> bool:
        """Whether the run ends after so many epochs, the last of which took so long if it is not in the history yet."""
        config = self._config
        if config.seconds is not None:
            seconds += sum(epoch["seconds"] for epoch in self._position.history)
        return epochs >= config.epochs or (config.seconds is not None and seconds >= config.seconds)

    def _means(self) -> dict[str, Any]:
        """Means over the steps of this epoch, None where there is none, and how fast it goes."""
        position = self._position
        steps = np.array(position.metrics, np.float64)
        there = np.isfinite(steps)  # the generator's are not in steps in which it did not learn
        sums, numbers = np.where(there, steps, 0).sum(axis=0).tolist(), there.sum(axis=0).tolist()
        values = [total / number if number else None for total, number in zip(sums, numbers, strict=True)]
        seen = position.step * self._config.batch_size
        seconds = max(position.seconds, 1e-9)
        speed = {"seen": seen, "rate": seen / seconds, "data_wait": round(position.waited / seconds, 4)}
        return dict(zip(self._names, values, strict=True)) | speed

    def _check(self, metrics: npt.NDArray[np.float32], first: int) -> None:
        learns = (np.arange(first, first + len(metrics)) + 1) % self._config.discriminator_steps == 0
        finite = np.isfinite(metrics[:, :6])  # the losses, scores and gradients
        if finite[:, :4].all() and finite[learns].all():
            return
        whose = "discriminator" if not finite[:, :4].all() else "generator"
        position, kept = self._position, ""
        if position.epoch:
            kept = f"; {self._out}/{TRAINING} keeps the last checkpoint, samples/ the pictures until then"
            if self._grouped:  # where the next one's checkpoints take its place
                kept = f"; {self._out}/samples/ keeps the pictures until then"
        raise ArtrayError(
            f"the {whose}'s loss is no longer a number in epoch {position.epoch + 1}: try a smaller learning rate, or "
            f"another loss{kept}"
        )

    def _rates(self, epochs: float) -> tuple[float, float]:
        generator, discriminator = (
            optimizer.learning_rates(self._config.epochs).rate(epochs)
            for optimizer in (self._config.generator, self._config.discriminator)
        )
        return generator, discriminator

    def _samples(self) -> Picture:
        """The same latents' pictures, as the generator (its moving average, if there is one) makes them now."""
        config, classes = self._config, self._pictures.labels.shape[1]
        self._plain.set_weights(self._trainer.generator_weights())
        latents = sample_latents(config, config.samples)
        labels = np.eye(max(classes, 1), dtype=np.float32)[np.arange(config.samples) * classes // config.samples]
        if self._pictures.conditions:
            labels = spread(self._pictures.labels, config.samples)
        pictures = []
        for start in range(0, config.samples, config.batch_size):
            rows = slice(start, start + config.batch_size)
            inputs = [latents[rows], labels[rows]] if classes else latents[rows]
            pictures.append(to_pictures(np.asarray(self._plain.predict_on_batch(inputs))))
        return np.concatenate(pictures)

    def _finish(self) -> None:
        if self._rank != 0:
            return
        config, history = self._config, self._position.history
        self._plain.set_weights(self._trainer.generator_weights())
        discriminator = self._discriminator()
        discriminator.set_weights(self._trainer.discriminator_weights())
        write_animation(
            self._out, [*range(0, len(history), config.sample_epochs), len(history)], model=config.model.name
        )
        write_generator_bundle(
            self._out,
            generator=self._plain,
            discriminator=discriminator,
            config=config,
            pictures=self._pictures,
            history=history,
        )
