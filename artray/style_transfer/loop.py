"""What every worker of a stylizer's training does: epochs of steps, checkpoints on the way, then the bundle."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.keras_files import keras_file, versions
from artray.bundles.stylizer import BUNDLE, StylizerBundle, save_stylizer_bundle
from artray.engine.arithmetic import worth_compiling
from artray.engine.checkpoints import Checkpoints, until_checkpoint
from artray.engine.optimizers import optimizer
from artray.engine.order import shuffled
from artray.engine.progress import Reporter
from artray.errors import ArtrayError, InputError
from artray.gans.examples import Pictures
from artray.images.decoding import DECODE_VERSION
from artray.storage import Location, digest
from artray.style_transfer.config import StyleConfig
from artray.style_transfer.optimizing import Grams

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class StyleTraining:
    """One training of a stylizer: all that a worker is told.

    Attributes:
        config: What is trained.
        pictures: What is painted; they are in Ray's object store, or in shards.
        styles: The styles' names.
        targets: Of each style the Gram matrices of each layer.
        works: Of how many works each style is the mean.
        out: Where the bundle goes.
        source: Fingerprint of pictures and styles.
    """

    config: StyleConfig
    pictures: Pictures
    styles: list[str]
    targets: list[Grams]
    works: list[int]
    out: Location
    source: str

    @property
    def name(self) -> str:
        """It finds the checkpoints of an interrupted run."""
        return digest(self.config.model_dump_json().encode(), self.source.encode())

    @property
    def title(self) -> str:
        """Nothing: the progress bar names the model."""
        return ""

    @property
    def length(self) -> int:
        """How many pictures are gone through."""
        size = self.config.batch_size
        return self.config.epochs * (len(self.pictures.ids) // size) * size

    def is_done(self) -> bool:
        """Whether the bundle is there."""
        return (self.out / BUNDLE).exists()

    def work(self, rank: int, checkpoints: Checkpoints, progress: Any) -> None:
        """One worker's whole training; rank 0 writes the bundle."""
        _Run(self, rank, checkpoints, Reporter(progress, rank)).run()


@dataclass(kw_only=True)
class _Position:
    """How far a run has come: what a checkpoint holds beside the network's state.

    Attributes:
        epoch: Epochs that are done.
        step: Batches of the next one that are done.
        losses: Of each of them.
        seconds: They took.
        history: Of each epoch that is done.
    """

    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


class _Run:
    """A run in one worker. Every worker makes the same decisions, as all of them see the same numbers."""

    def __init__(self, training: StyleTraining, rank: int, checkpoints: Checkpoints, reporter: Reporter):
        # Imported here: with them comes TensorFlow, which the driver does without.
        import keras

        from artray.engine.perceptual import PerceptualTrainer
        from artray.models.style import style_network
        from artray.models.stylizer import StylizerLosses, stylizer

        self._training, self._config = training, training.config
        self._rank, self._checkpoints, self._reporter = rank, checkpoints, reporter
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
        if self._trainer.count > config.batch_size:
            raise InputError(f"batch_size: {config.batch_size} pictures can't be shared by {self._trainer.count}")
        checkpoint = checkpoints.load()
        self._position = _Position()
        if checkpoint is not None:
            arrays, notes = checkpoint
            self._trainer.load(arrays)
            self._position = _Position(**notes)

    def run(self) -> None:
        """Train from where the last checkpoint was taken, and write the bundle."""
        while self._position.epoch < self._config.epochs:
            self._epoch()
            if self._checkpoints.due():
                self._checkpoint()
        if self._rank == 0:
            self._finish()

    def _epoch(self) -> None:
        config, position, pictures = self._config, self._position, self._training.pictures
        epoch, size = position.epoch, config.batch_size
        chance = np.random.default_rng([config.seed, epoch])
        order = shuffled(chance, np.arange(len(pictures.ids)), pictures.place, 3 * config.size**2)
        # Each picture is painted in another style each epoch.
        styles = chance.integers(len(self._training.styles), size=len(pictures.ids))
        asked = np.eye(len(self._training.styles), dtype=np.float32)[styles]
        number = len(order) // size
        batches = [order[step * size : (step + 1) * size] for step in range(number)]
        rates = [config.optimizer.learning_rate] * number

        def take(indices: Indices) -> tuple[Any, Any, Any]:
            return self._inputs.take(indices), asked[indices], np.ones(len(indices), np.float32)

        self._inputs.follow(batches[position.step :], self._trainer.share)
        while position.step < number:
            steps = until_checkpoint(position.step, number, config.checkpoint_steps)
            began = time.perf_counter()
            for losses in self._trainer.train(take, batches[steps], rates[steps]):
                self._check(losses)
                position.losses += losses.tolist()
                position.step += len(losses)
                position.seconds += time.perf_counter() - began
                began = time.perf_counter()
                if position.step < number:
                    self._reporter.step(lambda: {"epoch": epoch, **self._means()})
            if position.step < number:
                self._checkpoint()
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

    def _checkpoint(self) -> None:
        state = self._trainer.state() if self._rank == 0 else None
        self._checkpoints.save(state, vars(self._position))

    def _finish(self) -> None:
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
            decode_version=DECODE_VERSION,
            data={
                "train": len(training.pictures.ids),
                "dropped": training.pictures.dropped,
                "works": training.works,
                "source": training.source,
            },
            metrics=dict(history[-1]),
            versions=versions(),
            created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        save_stylizer_bundle(training.out, bundle, file, history)
