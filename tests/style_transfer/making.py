"""What style transfer is tried with: a tiny network, pictures of stripes and spots, and passes in this process."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from keras import layers
from PIL import Image

from artray.storage import Location, dataset_digest
from artray.style_transfer import references, station, transferring
from artray.style_transfer.measures import Judge
from artray.style_transfer.optimizing import Looks, StyleTransfer

CHUNK = 2


def write_network(file: Path, seed: int = 0) -> str:
    """A network of three convolutions, down to an eighth of a picture's side."""
    keras.utils.set_random_seed(seed)
    picture = keras.Input((224, 224, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(picture)
    for maps in (6, 8, 10):
        x = layers.Conv2D(maps, 3, 2, padding="same", activation="relu", use_bias=False)(x)
    keras.Model(picture, x).save(file)
    return str(file)


def stripes(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Colours in stripes, (height, width, 3) uint8."""
    chance = np.random.default_rng(seed)
    colours = chance.integers(0, 256, (2, 3))
    places = (np.arange(width) // 4 + seed) % 2
    return np.broadcast_to(colours[places], (height, width, 3)).astype(np.uint8)


def spots(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Blocks of random colours, (height, width, 3) uint8."""
    chance = np.random.default_rng([seed, 1])
    small = chance.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    return small.repeat(8, 0).repeat(8, 1)[:height, :width]


def write_manifest(folder: Path, pictures: dict[str, np.ndarray | None], **columns: list[Any]) -> Path:
    """A manifest of pictures, PNG files beside it; None: a file that is none."""
    files = folder / "files"
    files.mkdir(parents=True)
    uris = []
    for name, picture in pictures.items():
        file = files / f"{name}.png"
        if picture is None:
            file.write_bytes(b"no picture")
        else:
            Image.fromarray(picture).save(file)
        uris.append(str(file))
    table = pa.table({"object_id": list(pictures), "image_uri": uris, **columns})
    (folder / "manifest").mkdir()
    pq.write_table(table, folder / "manifest" / "manifest.parquet")
    return folder / "manifest"


class DiedError(Exception):
    """What a pass ends in that is made to die."""


class Passes:
    """In the place of Ray from now on.

    Attributes:
        made: The ids of the rows that each pass worked on, by its name.
        dies_after: After how many chunks the pass over pictures dies.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.made: dict[str, list[str]] = {}
        self.dies_after: int | None = None
        for module in (references, transferring):
            monkeypatch.setattr(module, "run_pass", self._run_pass)
            monkeypatch.setattr(module, "StyleTransfer", _transfer)  # whose graph is built once
            monkeypatch.setattr(module, "Judge", _judge)

    def _run_pass(
        self, title: str, manifest: Location, out: Location, worker: Any, arguments: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        plan, settings = out / "_plan.json", json.dumps([dataset_digest(manifest.dataset()), arguments])
        if plan.exists() and plan.read_bytes().decode() != settings:
            out.remove()
        plan.write_bytes(settings.encode())
        table, work = manifest.dataset().to_table(), None
        statuses: Counter[str] = Counter()
        for start in range(0, len(table), CHUNK):
            part = out / f"part-{start // CHUNK:06d}.parquet"
            if not part.exists():
                if title == "transfers" and self.dies_after == start // CHUNK:
                    raise DiedError
                work = work or worker(**json.loads(json.dumps(arguments)))
                rows = table.slice(start, CHUNK)
                self.made.setdefault(title, []).extend(rows["object_id"].to_pylist())
                part.write_table(work(rows))
            statuses.update(part.dataset().to_table()["status"].to_pylist())
        return {"statuses": dict(statuses), "ok": statuses["ok"], "failed": statuses.total() - statuses["ok"]}


@cache
def _transfer(looks: Looks, size: int, *how: int) -> StyleTransfer:
    return StyleTransfer(looks, size, *how)


@cache
def _judge(name: str) -> Judge:
    return Judge(name)


def measured_by(monkeypatch: pytest.MonkeyPatch, network: str) -> None:
    """Let another network of ours measure."""
    monkeypatch.setattr(station, "judge_of", lambda backbone, *, needed: network)
