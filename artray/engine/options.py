"""The options that all stations which train have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from artray.engine.arithmetic import Compile, Precision, told
from artray.engine.bundle_training import BundleTraining
from artray.engine.order import SHARE
from artray.engine.shards import remove_examples
from artray.engine.worker_group import WorkerGroup, Workers, remove_checkpoints
from artray.job import Options
from artray.storage import Location

CACHE = Field(
    None,
    description="folder or s3:// prefix where decoded pictures are kept for later runs that see the same; default: "
    "below --out, until all is done",
    examples=["URI"],
)
"""The option `--cache`."""

IN_MEMORY = Field(
    SHARE,
    ge=0,
    le=1,
    description="which part of each machine's object store the examples may fill; if they need more, they are streamed",
)
"""The option `--in-memory`."""


class TrainingOptions(Options):
    """How a config is trained: by which workers, in how much memory, in which arithmetic, and with which changes."""

    workers: Workers = 1
    gpus_per_worker: int = Field(0, ge=0, description="GPUs of each")
    cache: Location | None = CACHE
    in_memory: float = IN_MEMORY
    precision: Precision | None = Field(
        None, description="compute in this precision; default: the config's", examples=["auto|float32|bfloat16"]
    )
    compile: Compile | None = Field(
        None, description="have XLA compile the training's steps; default: the config's", examples=["auto|on|off"]
    )
    set: dict[str, str] = Field({}, description="change a key of the config", examples=["KEY=VALUE"])
    overwrite: bool = Field(False, description="replace a bundle made from other data or with another config")

    def changes(self) -> dict[str, str]:
        """What the command line says otherwise than the config, by its keys."""
        return self.set | told(self.precision, self.compile)

    def group(self, out: Location, *, name: str, title: str, note: Callable[[Mapping[str, Any]], str]) -> WorkerGroup:
        """The workers, whose checkpoints lie below `out`."""
        return WorkerGroup(
            workers=self.workers, gpus=self.gpus_per_worker, out=out, name=name, title=title, note=note
        )  # fmt: skip

    def run(self, training: BundleTraining, *, title: str, note: Callable[[Mapping[str, Any]], str]) -> None:
        """Run one training in a group of its own. What it needed on the way is removed when its bundle is there.

        Raises:
            ArtrayError: It failed.
        """
        self.group(training.out, name=training.name, title=title, note=note).run([training])
        remove_checkpoints(training.out)
        remove_examples(training.out)
