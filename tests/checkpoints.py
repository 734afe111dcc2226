"""Checkpoints without Ray, for a training's loop in a test's own process."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


class Kept:
    """Checkpoints in memory; dies after so many."""

    def __init__(self, dies_after: int | None = None):
        self.last: tuple[dict[str, Any], str] | None = None
        self.dies_after = dies_after

    def due(self) -> bool:
        return True

    def save(self, values: dict[str, Any], notes: dict[str, Any]) -> None:
        if self.dies_after == 0:
            raise KeyboardInterrupt
        self.last = {name: np.array(value) for name, value in values.items()}, json.dumps(notes)
        self.dies_after = self.dies_after and self.dies_after - 1

    def load(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        return None if self.last is None else (self.last[0], json.loads(self.last[1]))
