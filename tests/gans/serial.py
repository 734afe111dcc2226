"""Passes and tasks in this process: without Ray."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from artray.gans import embeddings, sampling
from artray.gans import latent_walks as latent
from artray.storage import Location, dataset_digest

CHUNK = 9


class DiedError(Exception):
    """What a pass ends in that is made to die."""


class Serial:
    """In the place of Ray from now on.

    Attributes:
        passes: The ids of the rows that each pass worked on.
        dies_after: After how many chunks a pass dies.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.passes: list[list[str]] = []
        self.dies_after: int | None = None
        for module in (sampling, embeddings):
            monkeypatch.setattr(module, "run_pass", self._run_pass)
        for module in (latent, sampling, embeddings):
            monkeypatch.setattr(module, "in_task", _call)

    def _run_pass(
        self,
        title: str,
        manifest: str,
        out: str,
        worker: Any,
        arguments: dict[str, Any],
        *,
        overwrite: bool,
        gpus: bool,
    ) -> dict[str, Any]:
        found = Location.parse(manifest).dataset()
        plan, settings = Location.parse(out) / "_plan.json", json.dumps([dataset_digest(found), arguments])
        if Location.parse(plan).exists() and Location.parse(plan).read_bytes().decode() != settings:
            assert overwrite
            for part in Path(str(out)).glob("part-*.parquet"):
                part.unlink()
        Location.parse(plan).write_bytes(settings.encode())
        work, table = worker(**json.loads(json.dumps(arguments))), found.to_table()
        states: Counter[str] = Counter()
        self.passes.append([])
        for start in range(0, len(table), CHUNK):
            if self.dies_after == start // CHUNK:
                raise DiedError
            part = Location.parse(out) / f"part-{start // CHUNK:06d}.parquet"
            if not Location.parse(part).exists():
                self.passes[-1] += table["object_id"].slice(start, CHUNK).to_pylist()
                Location.parse(part).write_table(work(table.slice(start, CHUNK)))
            states.update(Location.parse(part).dataset().to_table()["status"].to_pylist())
        return {"statuses": dict(states)}


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)
