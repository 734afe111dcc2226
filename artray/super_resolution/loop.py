"""What every worker of an upscaler's training does: epochs of steps, checkpoints on the way, then the bundle."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.keras_files import keras_file, made_now
from artray.bundles.upscaler import BUNDLE, UpscalerBundle, load_upscaler, load_upscaler_bundle, save_upscaler_bundle
from artray.engine.arithmetic import Compile, worth_compiling
from artray.engine.bundle_training import BundleTraining
from artray.engine.checkpoints import Checkpoints
from artray.engine.epoch_loop import EpochLoop, Position, check_shared, whole_batches
from artray.engine.optimizers import optimizer
from artray.engine.order import shuffled
from artray.engine.progress import Reporter
from artray.engine.worker_group import TRAINING
from artray.errors import ArtrayError, InputError
from artray.images.pictures import Picture
from artray.models.batches import predict
from artray.storage import Location, digest
from artray.super_resolution.config import UpscalerConfig
from artray.super_resolution.evaluation import SHOWN, evaluation_of, measure, write_examples
from artray.super_resolution.examples import Originals, counts
from artray.super_resolution.pairs import all_reduced, crops

Indices = npt.NDArray[np.int64]

_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class UpscalerTraining(BundleTraining):
    """One training of an upscaler: all that a worker is told.

    Attributes:
        config: What is trained.
        originals: From what; they are in Ray's object store, or in shards.
        start: The bundle whose weights training begins with; None: random ones.
    """

    bundle = BUNDLE

    config: UpscalerConfig
    originals: Originals
    start: Location | None = None

    @property
    def length(self) -> int:
        """How many examples are gone through."""
        return self.config.epochs * len(self.originals.of("train"))

    def run(self, rank: int, checkpoints: Checkpoints, reporter: Reporter) -> None:
        """One worker's whole training; rank 0 writes the bundle."""
        _Run(self, rank, checkpoints, reporter).run()


@dataclass(kw_only=True)
class _Position(Position):
    """How far a run has come.

    Attributes:
        losses: Of each step of the epoch that has begun.
        best: The highest PSNR on the validation part, and its `epoch`; only with the L1 loss, which it measures.
    """

    losses: list[float] = field(default_factory=list)
    best: dict[str, Any] | None = None


class _Run(EpochLoop[_Position]):
    """A run in one worker; rank 0 alone measures and writes."""

    def __init__(self, training: UpscalerTraining, rank: int, checkpoints: Checkpoints, reporter: Reporter):
        # Imported here: with them comes TensorFlow, which the driver does without.
        import keras

        from artray.models.super_resolution import edsr

        super().__init__(rank, checkpoints, reporter, training.config)
        self._training, self._originals = training, training.originals
        config = training.config
        self._inputs = training.originals.inputs
        self._learned, self._validation = (training.originals.of(part) for part in ("train", "validation"))
        self._network = partial(edsr, config.scale, **config.model.model_dump(exclude={"name"}))
        self._begun_with: str | None = None
        keras.utils.set_random_seed(config.seed)
        # Before any other network: TensorFlow's workers must find each other first.
        compile = worth_compiling(config.compile, training.length // config.batch_size)
        begin = _adversarial if config.loss.name == "srgan" else _l1
        self._steps = begin(config, self._begun, compile)
        self._trainer = self._steps.trainer
        check_shared(config.batch_size, self._trainer.count)
        if rank == 0:
            self._plain = self._network()  # outside the strategy: a model of ordinary variables, for whole pictures
        self._best: list[Any] | None = None
        self._position = self._restored(_Position)

    def _begun(self) -> Any:
        """The network, with the weights that training begins with."""
        model, start = self._network(), self._training.start
        if start is not None:
            begun = load_upscaler_bundle(start)
            weights = load_upscaler(start, begun).get_weights()
            if [weight.shape for weight in weights] != [tuple(weight.shape) for weight in model.weights]:
                raise InputError(f"--start {start}: is of another scale, or has other blocks or width")
            model.set_weights(weights)
            self._begun_with = begun.model_id
        return model

    def _epoch(self) -> None:
        config, position = self._config, self._position
        epoch = position.epoch
        order = shuffled(
            np.random.default_rng([config.seed, epoch]),
            self._learned,
            self._originals.positions,
            3 * self._originals.size**2,
        )
        batches = whole_batches(order, config.batch_size)
        number = len(batches)
        moments = [epoch + (step + 0.5) / number for step in range(number)]

        def take(indices: Indices) -> tuple[Picture, Picture]:
            large = crops(self._inputs.take(indices), indices, config.crop, config.seed, epoch)
            return large, all_reduced(large, config.scale)

        began, first = time.monotonic(), position.step

        def so_far() -> dict[str, Any]:
            rate = (position.step - first) * config.batch_size / max(time.monotonic() - began, 1e-9)
            mean = float(np.mean(position.losses))
            return {"epoch": epoch, "seen": position.step * config.batch_size, "rate": rate, "loss": mean}

        def train(steps: slice) -> Iterator[int]:
            for losses in self._steps.train(take, batches[steps], epoch * number + steps.start, moments[steps]):
                if not np.isfinite(losses).all():
                    self._give_up()
                position.losses += losses.tolist()
                yield len(losses)

        self._take_steps(batches, train, so_far)
        metrics: dict[str, Any] = {**so_far(), "epoch": epoch + 1, "steps": (epoch + 1) * number}
        metrics["seconds"] = round(time.monotonic() - began, 3)
        if self._rank == 0:
            metrics |= self._validated(epoch + 1)
        position.history.append(metrics)
        position.epoch, position.step, position.losses = epoch + 1, 0, []
        self._reporter.epoch(metrics)

    def _validated(self, epoch: int) -> dict[str, float]:
        """How near the pictures of the validation part come; the best weights are kept."""
        self._plain.set_weights(self._steps.weights())
        some = self._validation[np.linspace(0, len(self._validation) - 1, self._config.validated).astype(np.int64)]
        if not len(self._validation):
            return {}
        figures = measure(
            self._enlarge, self._inputs.take, np.unique(some), self._config.scale, interpolation=False
        ).mean(axis=0)
        psnr, ssim = (round(float(value), 4) for value in figures)
        if self._config.loss.name == "l1" and (self._position.best is None or psnr > self._position.best["psnr"]):
            self._position.best = {"psnr": psnr, "epoch": epoch}
            self._best = self._plain.get_weights()
        return {"psnr": psnr, "ssim": ssim}

    def _enlarge(self, pictures: Picture) -> Picture:
        enlarged: Picture = np.rint(predict(self._plain, pictures, _BATCH)).clip(0, 255).astype(np.uint8)
        return enlarged

    def _give_up(self) -> None:
        kept = f"; {self._training.out}/{TRAINING} keeps the last checkpoint" if self._position.epoch else ""
        raise ArtrayError(
            f"the loss is no longer a number in epoch {self._position.epoch + 1}: try a smaller learning rate{kept}"
        )

    def _finish(self) -> None:
        if self._rank != 0:
            return
        config, originals = self._config, self._originals
        self._plain.set_weights(self._best or self._steps.weights())
        tested = originals.of("test")
        figures = measure(self._enlarge, self._inputs.take, tested, config.scale)
        network = keras_file(self._plain)
        weights = digest(*(weight.tobytes() for weight in self._plain.get_weights()))
        model_id = f"{config.model.name}-x{config.scale}-{weights[:12]}"
        shown = np.unique(np.linspace(0, max(len(tested) - 1, 0), SHOWN).astype(np.int64))[: len(tested)]
        evaluation = evaluation_of(figures) | {
            "examples": write_examples(
                self._training.out,
                self._enlarge,
                self._inputs.take(tested[shown]),
                config.scale,
                model=model_id,
                figures=figures[shown],
            )
        }
        from artray.models.super_resolution import margin

        best = self._position.best
        bundle = UpscalerBundle(
            model_id=model_id,
            config=json.loads(config.model_dump_json()),
            scale=config.scale,
            margin=margin(config.scale, config.model.blocks),
            upscaler_sha=digest(network),
            data={
                **counts(originals),
                "dropped": originals.dropped,
                "source": self._training.source,
                "start": self._begun_with,
            },
            metrics={**self._position.history[-1], "best_epoch": best["epoch"] if best else config.epochs},
            **made_now(),
        )
        save_upscaler_bundle(self._training.out, bundle, network, self._position.history, evaluation)

    def _state(self) -> dict[str, Any]:
        best = {f"best/{number}": values for number, values in enumerate(self._best or [])}
        return super()._state() | best

    def _load(self, arrays: dict[str, Any], notes: dict[str, Any]) -> None:
        super()._load(arrays, notes)
        kept = [name for name in arrays if name.startswith("best/")]
        self._best = [arrays[f"best/{number}"] for number in range(len(kept))] or None


class _Steps(ABC):
    """A trainer of either kind, as the loop uses it."""

    def __init__(self, trainer: Any, config: UpscalerConfig):
        self.trainer, self._config = trainer, config

    def _rates(self, moments: Sequence[float]) -> list[tuple[float, float]]:
        upscaler, discriminator = (
            one.learning_rates(self._config.epochs) for one in (self._config.optimizer, self._config.discriminator)
        )
        return [(upscaler.rate(moment), discriminator.rate(moment)) for moment in moments]

    @abstractmethod
    def train(
        self, take: Any, batches: Sequence[Indices], first: int, moments: Sequence[float]
    ) -> Iterator[npt.NDArray[np.float32]]:
        """A step each; yields the losses of some.

        Args:
            take: Large and small pictures of some examples.
            batches: The examples of each global batch.
            first: The number of the first step.
            moments: At how many epochs each step is.
        """

    @abstractmethod
    def weights(self) -> list[Any]:
        """The upscaler's, or their moving average."""


class _L1(_Steps):
    def train(
        self, take: Any, batches: Sequence[Indices], first: int, moments: Sequence[float]
    ) -> Iterator[npt.NDArray[np.float32]]:
        def small_first(indices: Indices) -> tuple[Picture, Picture, npt.NDArray[np.float32]]:
            large, small = take(indices)
            return small, large, np.ones(len(indices), np.float32)

        yield from self.trainer.train(small_first, batches, [rate for rate, _ in self._rates(moments)])

    def weights(self) -> list[Any]:
        with self.trainer.averaged():
            return [weight.numpy() for weight in self.trainer.model.weights]


class _Srgan(_Steps):
    def train(
        self, take: Any, batches: Sequence[Indices], first: int, moments: Sequence[float]
    ) -> Iterator[npt.NDArray[np.float32]]:
        from artray.engine.adversarial_step import METRICS

        of = METRICS.index("generator_loss")
        for metrics, _ in self.trainer.train(take, batches, first, self._rates(moments)):
            yield metrics[:, of]

    def weights(self) -> list[Any]:
        return list(self.trainer.generator_weights())


def _l1(config: UpscalerConfig, network: Any, compile: Compile) -> _Steps:
    from artray.engine.supervised import SupervisedTrainer
    from artray.super_resolution.losses import l1

    trainer = SupervisedTrainer(
        network,
        partial(optimizer, config.optimizer),
        l1,
        ema=config.ema,
        precision=config.precision,
        compile=compile,
    )
    return _L1(trainer, config)


def _adversarial(config: UpscalerConfig, network: Any, compile: Compile) -> _Steps:
    from artray.engine.adversarial import AdversarialTrainer
    from artray.models.super_resolution import as_generator, srgan_discriminator
    from artray.super_resolution.losses import srgan

    trainer = AdversarialTrainer(
        lambda: as_generator(network()),
        partial(srgan_discriminator, config.crop, config.model.width),
        [
            partial(optimizer, config.optimizer, "optimizer"),
            partial(optimizer, config.discriminator, "discriminator"),
        ],
        lambda _, count: np.zeros((count, 1), np.float32),  # the small picture says all
        loss="ns",
        objective=partial(srgan, config.loss, config.crop),
        ema=config.ema,
        seed=config.seed,
        precision=config.precision,
        compile=compile,
    )
    return _Srgan(trainer, config)
