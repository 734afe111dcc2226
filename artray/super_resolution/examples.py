"""The pictures or patches that an upscaler learns from and is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.engine.examples import Inputs
from artray.engine.shards import ExampleCache, decode_examples
from artray.errors import InputError
from artray.ingest.splits import PARTS
from artray.storage import Location, dataset_digest
from artray.storage.located_rows import read_rows
from artray.storage.passes import read_run
from artray.super_resolution.config import UpscalerConfig


@dataclass(frozen=True, kw_only=True)
class Originals:
    """Square pictures at the large size, in an order that depends on nothing but their ids.

    Attributes:
        ids: Each one's `object_id`; of patches, those of their works.
        parts: (n,) each one's part.
        size: Their side.
        blocks: References to uint8 arrays (rows, size, size, 3) in Ray's object store, or shards.
        positions: (n, 2): in which block a picture lies, and where in it.
        dropped: What was left out, counted by reason.
    """

    ids: list[str]
    parts: npt.NDArray[Any]
    size: int
    blocks: list[Any]
    positions: npt.NDArray[np.int64]
    dropped: dict[str, int]

    def of(self, part: str) -> npt.NDArray[np.int64]:
        """Indices of one part's."""
        return np.flatnonzero(self.parts == part)

    @property
    def inputs(self) -> Inputs:
        """The pictures, as a worker takes them."""
        return Inputs(self.blocks, self.positions)


def load_originals(config: UpscalerConfig, data: Location, cache: ExampleCache) -> Originals:
    """Decode the pictures of all parts.

    Args:
        config: Its `input`, `size`, `scale`, `crop` and `batch_size`.
        data: The data set's URI.
        cache: Where what is decoded is kept, and how much of it in memory.

    Raises:
        InputError: Columns are missing, patches are smaller than the squares of a step, or the training part has fewer
            pictures than a batch.
        ArtrayError: The disk is full.
    """
    dataset = data.dataset()
    names = dataset.schema.names
    patches = config.input == "patches"
    needed = ["object_id", "split", *(["status", "patch"] if patches else ["image_uri"])]
    for name in needed:
        if name not in names:
            other = " (a manifest? --set input=pictures --set size=N)" if patches and name == "patch" else ""
            raise InputError(f"{data}: has no column {name!r}{other} (it has {', '.join(names)})")
    size = _patch_size(data, config) if patches else config.size
    assert size is not None  # the config says it
    rows = read_rows(dataset, needed, lambda table: pc.is_valid(table["split"]))
    readable = np.flatnonzero(pc.equal(rows.table["status"], "ok")) if patches else np.arange(len(rows.table))
    unreadable = len(rows.table) - len(readable)
    rows = rows.take(readable)
    keys = [name for name in ("object_id", "patch") if name in needed]
    order = pc.sort_indices(rows.table.select(keys), sort_keys=[(key, "ascending") for key in keys])
    rows = rows.take(order.to_numpy().astype(np.int64))
    stored: npt.NDArray[np.int64] = rows.stored() if patches else np.arange(len(rows.table))
    table = rows.take(stored).addresses() if patches else rows.table.select(["object_id", "image_uri"])
    if not len(table):
        raise InputError(f"{data}: has no picture in any part (column 'split')")
    source = dataset_digest(dataset)
    decoded = decode_examples(table, cache, data=data, kind=config.input, size=size, source=source)
    positions, status = np.empty_like(decoded.positions), np.empty_like(decoded.status)
    positions[stored], status[stored] = decoded.positions, decoded.status
    good = np.flatnonzero(status == "ok")
    parts = rows.table["split"].to_numpy()[good]
    dropped = {"unreadable": unreadable + len(status) - len(good)}
    learned = int((parts == "train").sum())
    if learned < config.batch_size:
        raise InputError(
            f"{data}: has {learned} pictures of the part train to learn from ({dropped['unreadable']} unreadable), "
            f"fewer than a batch (batch_size: {config.batch_size})"
        )
    return Originals(
        ids=rows.table["object_id"].take(pa.array(good)).to_pylist(),
        parts=parts,
        size=size,
        blocks=decoded.blocks,
        positions=positions[good],
        dropped=dropped,
    )


def counts(originals: Originals) -> dict[str, int]:
    """How many examples each part has."""
    return {name: len(originals.of(name)) for name in PARTS}


def _patch_size(data: Location, config: UpscalerConfig) -> int:
    size = read_run(data).get("arguments", {}).get("size")
    if not isinstance(size, int):
        raise InputError(f"{data}: not patches that make-patches has made")
    if size < config.crop or size % config.scale:
        raise InputError(
            f"{data}: patches of {size} pixels can't give squares of {config.crop} at scale {config.scale}: cut larger "
            f"ones (make-patches --size), or --set crop=N; both must be multiples of {config.scale}"
        )
    return size
