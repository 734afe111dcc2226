"""How a training goes through its epochs, whatever it trains: steps, checkpoints between them, and on from the last."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from artray.engine.checkpoints import Checkpoints, until_checkpoint
from artray.engine.progress import Reporter
from artray.errors import InputError

Indices = npt.NDArray[np.int64]
_P = TypeVar("_P", bound="Position")


@dataclass(kw_only=True)
class Position:
    """How far a run has come: what a checkpoint holds beside arrays.

    Attributes:
        epoch: Epochs that are done.
        step: Batches of the next one that are done.
        history: Metrics of each epoch that is done.
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class EpochLoop(ABC, Generic[_P]):
    """A run in one worker. Every worker makes the same decisions, as all of them see the same numbers.

    Args:
        rank: The worker's; rank 0 keeps the checkpoints' arrays.
        checkpoints: Of this training.
        reporter: Tells the driver how far it is.
        config: Of it: for so many `epochs`, with a checkpoint after `checkpoint_steps` of each, where that is not None.
    """

    _inputs: Any
    """Where the examples lie."""
    _trainer: Any  # an `engine.trainer.Trainer`, with which TensorFlow is loaded
    _position: _P

    def __init__(self, rank: int, checkpoints: Checkpoints, reporter: Reporter, config: Any):
        self._rank, self._checkpoints, self._reporter, self._config = rank, checkpoints, reporter, config

    def run(self) -> None:
        """Train from where the last checkpoint was taken, and write the bundle."""
        while not self._is_over():
            self._epoch()
            if self._checkpoints.due():
                self._checkpoint()
        self._finish()

    def _is_over(self) -> bool:
        return bool(self._position.epoch >= self._config.epochs)

    @abstractmethod
    def _epoch(self) -> None:
        """An epoch, or the rest of one; the position is at the next one's beginning then."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what has been learned, on rank 0."""

    def _take_steps(
        self, batches: Sequence[Indices], train: Callable[[slice], Iterator[int]], so_far: Callable[[], dict[str, Any]]
    ) -> None:
        """The steps of an epoch that are left, with checkpoints between them.

        Args:
            batches: The examples of each global batch of the epoch.
            train: Takes some steps; yields how many are done, each time that some are.
            so_far: What to tell the driver then.
        """
        position, number = self._position, len(batches)
        self._inputs.follow(batches[position.step :], self._trainer.share)
        while position.step < number:
            for done in train(until_checkpoint(position.step, number, self._config.checkpoint_steps)):
                position.step += done
                if position.step < number:
                    self._reporter.step(so_far)
            if position.step < number:
                self._checkpoint()

    def _restored(self, kind: type[_P]) -> _P:
        """Where the run's last checkpoint was taken, its arrays put back; the beginning where there is none."""
        checkpoint = self._checkpoints.load()
        if checkpoint is None:
            return kind()
        arrays, notes = checkpoint
        self._load(arrays, notes)
        return kind(**notes)

    def _checkpoint(self) -> None:
        self._checkpoints.save(self._state() if self._rank == 0 else None, self._notes())

    def _notes(self) -> dict[str, Any]:
        """The position as JSON values."""
        return vars(self._position)

    def _state(self) -> dict[str, Any]:
        """The arrays of a checkpoint."""
        return dict(self._trainer.state())

    def _load(self, arrays: dict[str, Any], notes: dict[str, Any]) -> None:
        """Put them back; what the notes lack of the position is put into them."""
        self._trainer.load(arrays)


def whole_batches(order: Indices, size: int) -> list[Indices]:
    """An epoch's order in batches of one size; what does not fill one waits an epoch."""
    return [order[start : start + size] for start in range(0, len(order) - size + 1, size)]


def check_shared(batch_size: int, replicas: int) -> None:
    """Refuse so many replicas that some would have nothing of a batch."""
    if replicas > batch_size:
        raise InputError(f"batch_size: {batch_size} pictures can't be shared by {replicas}")
