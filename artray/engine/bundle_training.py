"""A training that ends in one bundle: what those of generators, stylizers and upscalers have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel

from artray.engine.checkpoints import Checkpoints
from artray.engine.progress import Reporter
from artray.storage import Location, digest


@dataclass(frozen=True, kw_only=True)
class BundleTraining(ABC):
    """All that a worker is told of one training (see `engine.worker_group.Training`).

    Attributes:
        config: What is trained.
        out: Where the bundle goes.
        source: Fingerprint of the data.
        title: What tells it from the others of its group, beside the progress bar; empty: it is alone.
    """

    bundle: ClassVar[str]
    """The file that is written last."""

    config: BaseModel
    out: Location
    source: str
    title: str = ""

    @property
    def name(self) -> str:
        """It finds the checkpoints of an interrupted run."""
        return digest(self.config.model_dump_json().encode(), self.source.encode())

    @property
    @abstractmethod
    def length(self) -> int:
        """How many examples are gone through."""

    def is_done(self) -> bool:
        """Whether the bundle is there."""
        return (self.out / self.bundle).exists()

    def work(self, rank: int, checkpoints: Checkpoints, progress: Any) -> None:
        """One worker's whole training; rank 0 writes the bundle."""
        self.run(rank, checkpoints, Reporter(progress, rank))

    @abstractmethod
    def run(self, rank: int, checkpoints: Checkpoints, reporter: Reporter) -> None:
        """The same, with what tells the driver how far it is."""
