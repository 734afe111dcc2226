"""What every worker of a stylizer's training does: epochs of steps, checkpoints on the way, then the bundle."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.keras_files import keras_file, made_now
from artray.bundles.stylizer import BUNDLE, StylizerBundle, save_stylizer_bundle
from artray.engine.arithmetic import worth_compiling
from artray.engine.bundle_training import BundleTraining
from artray.engine.checkpoints import Checkpoints
from artray.engine.epoch_loop import EpochLoop, Position, check_shared, whole_batches
from artray.engine.optimizers import optimizer
from artray.engine.order import shuffled
from artray.engine.progress import Reporter
from artray.errors import ArtrayError
from artray.gans.examples import Pictures
from artray.storage import digest
from artray.style_transfer.config import StyleConfig
from artray.style_transfer.optimizing import Grams

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class StyleTraining(BundleTraining):
    """One training of a stylizer: all that a worker is told.

    Attributes:
        config: What is trained.
        pictures: What is painted; they are in Ray's object store, or in shards.
        styles: The styles' names.
        targets: Of each style the Gram matrices of each layer.
        works: Of how many works each style is the mean.
    """

    bundle = BUNDLE

    config: StyleConfig
    pictures: Pictures
    styles: list[str]
    targets: list[Grams]
    works: list[int]

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
        losses: Of each step of the epoch that has begun.
        seconds: They took.
    """

    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0


class _Run(EpochLoop[_Position]):
    def __init__(self, training: StyleTraining, rank: int, checkpoints: Checkpoints, reporter: Reporter):
        # Imported here: with them comes TensorFlow, which the driver does without.
        import keras

        from artray.engine.perceptual import PerceptualTrainer
        from artray.models.style import style_network
        from artray.models.stylizer import StylizerLosses, stylizer

        super().__init__(rank, checkpoints, reporter, training.config)
        self._training = training
        self._inputs = training.pictures.inputs
        config = training.config
        self._network = partial(stylizer, len(training.styles), width=config.model.width, blocks=config.model.blocks)
        targets = [np.stack(layer) for layer in zip(*training.targets, strict=True)]

        def build() -> Any:
            looks = style_network(config.looks.backbone, config.looks.weights, soften=config.looks.soften)
            return StylizerLosses(self._network(), looks, targets, config.weights)

        keras.utils.set_random_seed(config.seed)
        self._trainer = PerceptualTrainer(
            build,
            partial(optimizer, config.optimizer),
            row_bytes=3 * config.size**2,
            clip_norm=config.clip_norm,
            precision=config.precision,
            compile=worth_compiling(config.compile, training.length // config.batch_size),
        )
        check_shared(config.batch_size, self._trainer.count)
        self._position = self._restored(_Position)

    def _epoch(self) -> None:
        config, position, pictures = self._config, self._position, self._training.pictures
        epoch = position.epoch
        chance = np.random.default_rng([config.seed, epoch])
        order = shuffled(chance, np.arange(len(pictures.ids)), pictures.positions, 3 * config.size**2)
        # Each picture is painted in another style each epoch.
        styles = chance.integers(len(self._training.styles), size=len(pictures.ids))
        asked = np.eye(len(self._training.styles), dtype=np.float32)[styles]
        batches = whole_batches(order, config.batch_size)
        number = len(batches)
        rates = [config.optimizer.learning_rate] * number

        def take(indices: Indices) -> tuple[Any, Any, Any]:
            return self._inputs.take(indices), asked[indices], np.ones(len(indices), np.float32)

        def train(steps: slice) -> Iterator[int]:
            began = time.perf_counter()
            for losses in self._trainer.train(take, batches[steps], rates[steps]):
                self._check(losses)
                position.losses += losses.tolist()
                position.seconds += time.perf_counter() - began
                began = time.perf_counter()
                yield len(losses)

        self._take_steps(batches, train, lambda: {"epoch": epoch, **self._means()})
        position.epoch += 1
        metrics = {"epoch": position.epoch, "steps": position.epoch * number, **self._means()}
        position.history.append(metrics)
        self._reporter.epoch(metrics)
        position.step, position.losses, position.seconds = 0, [], 0.0

    def _means(self) -> dict[str, Any]:
        position = self._position
        seen = position.step * self._config.batch_size
        seconds = max(position.seconds, 1e-9)
        loss = float(np.mean(position.losses)) if position.losses else None
        return {"loss": loss, "seen": seen, "rate": seen / seconds, "seconds": round(position.seconds, 3)}

    def _check(self, losses: npt.NDArray[np.float32]) -> None:
        if not np.isfinite(losses).all():
            raise ArtrayError(
                f"the loss is no longer a number in epoch {self._position.epoch + 1}: try a smaller learning rate, or "
                "clip_norm"
            )

    def _finish(self) -> None:
        if self._rank != 0:
            return
        training, config = self._training, self._config
        network = self._network()  # outside the strategy: a model of ordinary variables
        trained = self._trainer.model.network
        network.set_weights([weight.numpy() for weight in trained.weights])
        file = keras_file(network)
        weights = digest(*(weight.tobytes() for weight in network.get_weights()))
        history = self._position.history
        bundle = StylizerBundle(
            model_id=f"{config.model.name}-{weights[:12]}",
            config=json.loads(config.model_dump_json()),
            size=config.size,
            styles=training.styles,
            stylizer_sha=digest(file),
            data={
                "train": len(training.pictures.ids),
                "dropped": training.pictures.dropped,
                "works": training.works,
                "source": training.source,
            },
            metrics=dict(history[-1]),
            **made_now(),
        )
        save_stylizer_bundle(training.out, bundle, file, history)
