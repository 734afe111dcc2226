"""The pictures that a GAN learns from: the training part of a manifest or of patches, with their labels if wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.conditions import Condition, Vectors
from artray.bundles.description import refuse_bad_names
from artray.catalogs.targets import encode_targets
from artray.engine.examples import Inputs
from artray.engine.shards import Decoded, ExampleCache, decode_examples
from artray.errors import InputError
from artray.gans.config import GanConfig, PictureChoice
from artray.gans.descriptions import describe
from artray.storage import Location, dataset_digest
from artray.storage.located_rows import LocatedRows, read_rows


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures in an order that depends on nothing but their ids.

    Attributes:
        ids: Each one's `object_id`; of patches, those of their works.
        classes: The labels in the order of the networks' input; empty without a target.
        labels: (n, classes) float32, one-hot; or (n, width), the descriptions.
        conditions: What the descriptions are made of.
        blocks: References to uint8 arrays (rows, size, size, 3) in Ray's object store, or shards.
        positions: (n, 2): in which block a picture lies, and where in it.
        source: Fingerprint of the data set.
        dropped: What was left out, counted by reason.
    """

    ids: list[str]
    classes: list[str]
    labels: npt.NDArray[np.float32]
    blocks: list[Any]
    positions: npt.NDArray[np.int64]
    source: str
    dropped: dict[str, int]
    conditions: list[Condition] = field(default_factory=list)

    @property
    def inputs(self) -> Inputs:
        """The pictures, as a worker takes them."""
        return Inputs(self.blocks, self.positions)


def load_pictures(config: GanConfig | PictureChoice, data: Location, cache: ExampleCache) -> Pictures:
    """Decode the pictures of the training part; where the data have no column `split`, of all.

    Args:
        config: A generator's, or what of one this takes.
        data: The data set's URI.
        cache: Where what is decoded is kept, and how much of it in memory.

    Raises:
        InputError: Columns are missing, there are fewer pictures than a batch holds, or there is no picture of a class.
        ArtrayError: The disk is full.
    """
    dataset = data.dataset()
    names = dataset.schema.names
    needed = ["object_id", *(["image_uri"] if config.input == "pictures" else ["status", "patch"])]
    needed += [config.target] if config.target is not None else []
    needed += [name for name in config.conditions if name not in needed]
    for name in needed:
        if name not in names:
            hint = "; it is the config's target: --set target=NAME takes another" if name == config.target else ""
            hint = "; it is one of the config's conditions" if name in config.conditions else hint
            raise InputError(f"{data}: has no column {name!r}{hint} (it has {', '.join(names)})")
    if "split" in names and "split" not in needed:
        needed.append("split")
    rows = read_rows(dataset, needed, partial(_is_of_training, "split" in names))
    ids = rows.table.select([name for name in ("object_id", "patch") if name in rows.table.column_names])
    order = pc.sort_indices(ids, sort_keys=[(name, "ascending") for name in ids.column_names])
    rows = rows.take(order.to_numpy().astype(np.int64))
    chosen = _Chosen(config, data, rows)
    chosen.check(few=False)  # before anything is decoded
    candidates = rows.take(chosen.rows)
    source = dataset_digest(dataset)
    stored: npt.NDArray[np.int64] = np.arange(len(chosen.rows))
    if config.input == "patches":  # as they lie in their files
        stored = candidates.stored()
        table = candidates.take(stored).addresses()
    else:
        table = candidates.table.select(["object_id", "image_uri"])
    decoded = Decoded(np.empty(0, object), [], np.empty((0, 2), np.int64))
    if len(table):
        decoded = decode_examples(table, cache, data=data, kind=config.input, size=config.size, source=source)
    positions, status = np.empty_like(decoded.positions), np.empty_like(decoded.status)
    positions[stored], status[stored] = decoded.positions, decoded.status
    chosen.leave_out(status)
    chosen.check(few=True)
    one_hot: Vectors = np.zeros((len(chosen.rows), len(chosen.classes)), np.float32)
    if chosen.classes:
        index = {name: number for number, name in enumerate(chosen.classes)}
        one_hot[np.arange(len(chosen.rows)), [index[str(label)] for label in chosen.labels]] = 1
        for name in np.array(chosen.classes)[one_hot.sum(axis=0) == 0]:
            raise InputError(f"{data}: no picture of {name} in column {config.target!r}")
    if chosen.described is not None:
        one_hot = chosen.described.vectors[chosen.rows]
    return Pictures(
        ids=rows.table["object_id"].take(chosen.rows).to_pylist(),
        classes=chosen.classes,
        labels=one_hot,
        blocks=decoded.blocks,
        positions=positions[status == "ok"],
        source=source,
        dropped=chosen.dropped,
        conditions=chosen.described.conditions if chosen.described is not None else [],
    )


def _is_of_training(has_parts: bool, table: pa.Table) -> pa.ChunkedArray:
    if has_parts:
        return pc.equal(table["split"], "train")
    return pa.chunked_array([pa.array(np.ones(len(table), bool))])


class _Chosen:
    """Which rows of the training part are learned from.

    Attributes:
        rows: Their numbers.
        labels: Their labels, None without a target.
        described: All rows' descriptions, None without conditions.
        dropped: What was left out, counted by reason.
    """

    def __init__(self, config: GanConfig | PictureChoice, data: Location, rows: LocatedRows):
        self._config, self._data = config, data
        table = rows.table
        self._of = " of the part train" if "split" in table.column_names else ""
        labels: npt.NDArray[Any] = np.full(len(table), None, object)
        if config.target is not None:
            read = encode_targets(table[config.target], "one", config.target)
            names = np.array([*read.names, None], object)
            labels = names[read.main()]  # -1: None, the last
        readable: npt.NDArray[Any] = np.ones(len(table), bool)
        if "status" in table.column_names:
            readable = np.asarray(pc.equal(table["status"], "ok"))
        labelled = labels != np.array(None) if config.target is not None else np.ones(len(table), bool)
        wanted: npt.NDArray[Any] = np.ones(len(table), bool)
        self.described = describe(table, config) if config.conditions else None
        if self.described is not None:
            labelled = self.described.known
        if config.classes is not None:
            wanted = np.isin(labels.astype(str), config.classes)
        self.dropped = {
            "unreadable": int((~readable).sum()),
            "unlabelled": int((readable & ~labelled).sum()),
            "other label": int((readable & labelled & ~wanted).sum()),
        }
        if self.described is not None:
            wanted = ~self.described.held_out
            self.dropped = {**self.dropped, "other label": 0, "held out": int((readable & labelled & ~wanted).sum())}
        self.rows = np.flatnonzero(readable & labelled & wanted)
        self.labels = labels[self.rows].tolist()

    @property
    def classes(self) -> list[str]:
        """The labels in the order of the networks' input."""
        return self._config.classes or sorted({label for label in self.labels if label is not None})

    def leave_out(self, status: npt.NDArray[Any]) -> None:
        """Leave out what can't be read, by the status of each row."""
        readable = status == "ok"
        self.dropped["unreadable"] += int((~readable).sum())
        self.rows = self.rows[readable]
        self.labels = [label for label, good in zip(self.labels, readable.tolist(), strict=True) if good]

    def check(self, *, few: bool) -> None:
        """See that there is enough to learn from.

        Args:
            few: Whether a batch must be full: asked when it is known what can be read.
        """
        config, data, number = self._config, self._data, len(self.rows)
        if few and number < config.batch_size:
            pictures = {0: "no picture", 1: "one picture"}.get(number, f"{number} pictures")
            left = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
            moved = "; if the pictures have moved, run ingest again where they are now"
            raise InputError(
                f"{data}: has {pictures}{self._of} to learn from{f' ({left})' if left else ''}, fewer than a batch "
                f"(batch_size: {config.batch_size}){moved if self.dropped['unreadable'] else ''}"
            )
        classes = self.classes
        if config.target is not None and classes and len(classes) < 2:
            raise InputError(
                f"{data}: column {config.target!r} has only {classes[0]!r}; without target: all are learned"
            )
        refuse_bad_names(classes, data, config.target)
