"""A run's checkpoints, kept by Ray Train: arrays and a few notes."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ray import train
from ray.train.collective import broadcast_from_rank_zero

from artray.storage import explained

_STATE = "state.npz"
_NOTES = "notes.json"
_TRAINING = "training"
_SECONDS = 10.0


def until_checkpoint(step: int, steps: int, every: int | None) -> slice:
    """The steps of an epoch from this one on: to the next checkpoint, where there is one after `every` steps."""
    return slice(step, steps if every is None else min(steps, (step // every + 1) * every))


class Checkpoints:
    """The checkpoints of one training of a group's. All workers call its methods at the same places.

    Args:
        training: The training's name: a group keeps one row of checkpoints for all of its trainings.
        folder: Where Ray keeps them, for messages.
    """

    def __init__(self, training: str, folder: object = "checkpoints") -> None:
        self._training, self._folder = training, folder
        self._saved = time.monotonic()

    def due(self) -> bool:
        """Whether the last one is long enough ago; rank 0's clock decides for all."""
        return bool(broadcast_from_rank_zero(time.monotonic() - self._saved > _SECONDS))

    def save(self, values: Mapping[str, Any] | None, notes: Mapping[str, Any]) -> None:
        """Keep arrays (of rank 0, the others give None) and JSON notes, which hold `epoch` and `step`.

        Raises:
            ArtrayError: The disk is full: this one's, where the arrays are put together, or that of the checkpoints.
        """
        with explained(self._folder), tempfile.TemporaryDirectory() as folder:
            checkpoint = None
            if values is not None:
                np.savez(Path(folder) / _STATE, **values)
                (Path(folder) / _NOTES).write_text(json.dumps(notes))
                checkpoint = train.Checkpoint.from_directory(folder)
                checkpoint.set_metadata({_TRAINING: self._training})
            train.report({name: notes[name] for name in ("epoch", "step")}, checkpoint=checkpoint)
        self._saved = time.monotonic()

    def load(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The arrays and notes of the last one; None if it is another training's, or there is none."""
        checkpoint = train.get_checkpoint()
        # Those of before hold no name: a group had one training.
        if checkpoint is None or checkpoint.get_metadata().get(_TRAINING, self._training) != self._training:
            return None
        with checkpoint.as_directory() as folder:
            return dict(np.load(Path(folder) / _STATE)), json.loads((Path(folder) / _NOTES).read_text())
