"""The pictures that a GAN learns from: the training part of a manifest or of patches, with their labels if wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.bundles.description import refuse_bad_names
from artray.catalogs.targets import read_targets
from artray.engine.examples import decode_images
from artray.errors import InputError
from artray.gans.config import GanConfig
from artray.storage import Location, dataset_digest


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures in an order that depends on nothing but their ids.

    Attributes:
        ids: Each one's `object_id`; of patches, those of their works.
        classes: The labels in the order of the networks' input; empty without a target.
        labels: (n, classes) float32, one-hot.
        blocks: References to uint8 arrays (rows, size, size, 3) in Ray's object store.
        place: (n, 2): in which block a picture lies, and where in it.
        source: Fingerprint of the data set.
        dropped: What was left out, counted by reason.
    """

    ids: list[str]
    classes: list[str]
    labels: npt.NDArray[np.float32]
    blocks: list[Any]
    place: npt.NDArray[np.int64]
    source: str
    dropped: dict[str, int]


def load_pictures(config: GanConfig, data: Location) -> Pictures:
    """Read the readable pictures of the training part; where the data have no column `split`, of all.

    Args:
        config: Its `input`, `size`, `target`, `classes` and `batch_size`.
        data: The data set's URI.

    Raises:
        InputError: Columns are missing, there are fewer pictures than a batch holds, or there is no picture of a class.
    """
    dataset = data.dataset()
    names = dataset.schema.names
    needed = ["object_id", *(["image_uri"] if config.input == "pictures" else ["status", "patch"])]
    needed += [config.target] if config.target is not None else []
    for name in needed:
        if name not in names:
            hint = "; it is the config's target: --set target=NAME takes another" if name == config.target else ""
            raise InputError(f"{data}: has no column {name!r}{hint} (it has {', '.join(names)})")
    if "split" in names and "split" not in needed:
        needed.append("split")
    table, blocks, place = decode_images(dataset, config.input, needed, config.size)
    status = table["status"].to_pylist()
    parts = table["split"].to_pylist() if "split" in names else ["train"] * len(table)
    labels = _labels(config, table)
    dropped = {"unreadable": 0, "unlabelled": 0, "other label": 0}
    keep = []
    for row, (state, part, label) in enumerate(zip(status, parts, labels, strict=True)):
        if part != "train":
            continue
        if state != "ok":
            dropped["unreadable"] += 1
        elif config.target is not None and label is None:
            dropped["unlabelled"] += 1
        elif config.classes is not None and label not in config.classes:
            dropped["other label"] += 1
        else:
            keep.append(row)
    if len(keep) < config.batch_size:
        of = " of the part train" if "split" in names else ""
        pictures = {0: "no picture", 1: "one picture"}.get(len(keep), f"{len(keep)} pictures")
        left = ", ".join(f"{number} {reason}" for reason, number in dropped.items() if number)
        raise InputError(
            f"{data}: has {pictures}{of} to learn from{f' ({left})' if left else ''}, fewer than a batch "
            f"(batch_size: {config.batch_size})"
            + ("; if the pictures have moved, run ingest again where they are now" if dropped["unreadable"] else "")
        )
    classes = config.classes or sorted({label for label in map(labels.__getitem__, keep) if label is not None})
    if config.target is not None and len(classes) < 2:
        raise InputError(f"{data}: column {config.target!r} has only {classes[0]!r}; without target: all are learned")
    refuse_bad_names(classes, data, config.target)
    ids = table["object_id"].to_pylist()
    numbers = table["patch"].to_pylist() if config.input == "patches" else [0] * len(ids)
    rows = np.array(sorted(keep, key=lambda row: (ids[row], numbers[row])), np.int64)
    one_hot = np.zeros((len(rows), len(classes)), np.float32)
    if classes:
        index = {name: number for number, name in enumerate(classes)}
        one_hot[np.arange(len(rows)), [index[str(labels[row])] for row in rows]] = 1
        for name in np.array(classes)[one_hot.sum(axis=0) == 0]:
            raise InputError(f"{data}: no picture of {name} in column {config.target!r}")
    source = dataset_digest(dataset)
    return Pictures(
        ids=[ids[row] for row in rows],
        classes=classes,
        labels=one_hot,
        blocks=blocks,
        place=place[rows],
        source=source,
        dropped=dropped,
    )


def _labels(config: GanConfig, table: pa.Table) -> list[str | None]:
    if config.target is None:
        return [None] * len(table)
    return [next(iter(shares), None) for shares in read_targets(table[config.target], "one", config.target)]
