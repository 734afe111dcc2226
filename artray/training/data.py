"""Training examples: a table of who they are, and their inputs in Ray's object store.

Every worker sees all examples (on one node they share the memory), so a global batch can be the same set of examples
for any number of workers.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
from PIL import Image

from artray import cluster
from artray.collection import storage
from artray.collection.passes import read_run
from artray.collection.pictures import View, read_pictures
from artray.errors import InputError
from artray.training.config import TrainConfig

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Examples:
    """The labelled examples of one experiment, in an order that depends on nothing but their ids.

    Attributes:
        table: `object_id`, `part` and, for patches, `patch`; one row an example.
        classes: The labels in the order of the model's outputs.
        targets: (n, classes) float32, one-hot.
        shape: Of one example's input.
        blocks: References to arrays (rows, *shape) of inputs.
        place: (n, 2): in which block an example lies, and where in it.
        input: How the bundle's readers get the same input from a picture.
        dropped: What was left out, counted by reason.
    """

    table: pa.Table
    classes: list[str]
    targets: npt.NDArray[np.float32]
    shape: tuple[int, ...]
    blocks: list[Any]
    place: npt.NDArray[np.int64]
    input: dict[str, Any]
    dropped: dict[str, int]

    def part(self, name: str) -> npt.NDArray[np.int64]:
        """Indices of the examples of one part."""
        return np.flatnonzero(np.asarray(self.table["part"]) == name)


class Inputs:
    """A worker's view of the inputs: any examples, by index."""

    def __init__(self, blocks: Sequence[Any], place: npt.NDArray[np.int64]):
        self._blocks = ray.get(list(blocks))  # zero-copy: arrays in the node's shared memory
        self._place = place

    def take(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The inputs of some examples, (len(indices), *shape)."""
        return np.stack([self._blocks[block][row] for block, row in self._place[indices]])


def load_examples(config: TrainConfig, data: str) -> Examples:
    """Read the labelled examples of a feature table, patches, or a manifest (for `input: pictures`).

    Raises:
        InputError: Columns are missing, a part is empty or there is only one class.
    """
    dataset = storage.dataset(data)
    needed = ["object_id", config.target, "split"]
    needed += {"features": ["status", *config.columns], "patches": ["status", "patch"], "pictures": []}[config.input]
    for name in needed:
        if name not in dataset.schema.names:
            hint = ": made by an older ingest? Ingest writes it" if name == "split" else ""
            raise InputError(f"{data}: has no column {name!r}{hint} (it has {', '.join(dataset.schema.names)})")
    if config.input == "features":
        table, blocks, shape, place = _features(dataset, config.columns)
        input_spec: dict[str, Any] = {"kind": "features", "features": _feature_specs(data), "columns": config.columns}
    elif config.input == "patches":
        settings = read_run(data)["arguments"]
        table, blocks, shape, place = _images(dataset, needed, _decode_patches, config.size)
        input_spec = {"kind": "patches", "model_size": config.size, **settings}
    else:
        table, blocks, shape, place = _images(dataset, [*needed, "image_uri"], _decode_pictures, config.size)
        input_spec = {"kind": "pictures", "size": config.size}
    return _labelled(config, data, table, blocks, shape, place, input_spec)


def _labelled(
    config: TrainConfig,
    data: str,
    table: pa.Table,
    blocks: list[Any],
    shape: tuple[int, ...],
    place: npt.NDArray[np.int64],
    input_spec: dict[str, Any],
) -> Examples:
    labels = [str(label) if label not in (None, "") else None for label in table[config.target].to_pylist()]
    parts = table["split"].to_pylist()
    status = table["status"].to_pylist()
    present = {
        label
        for label, part, state in zip(labels, parts, status, strict=True)
        if part == "train" and state == "ok" and label
    }
    classes = config.classes or sorted(present)
    index = {name: number for number, name in enumerate(classes)}
    dropped = {"unreadable": 0, "unlabelled": 0, "other label": 0}
    keep = []
    for row, (label, state) in enumerate(zip(labels, status, strict=True)):
        if state != "ok":
            dropped["unreadable"] += 1
        elif label is None:
            dropped["unlabelled"] += 1
        elif label not in index:
            dropped["other label"] += 1
        else:
            keep.append(row)
    absent = [name for name in classes if name not in present]
    if absent:
        raise InputError(f"{data}: no training example of {', '.join(absent)} in column {config.target!r}")
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "no label"
        raise InputError(f"{data}: the training part of column {config.target!r} has {found}; two classes are needed")
    order = sorted(keep, key=lambda row: (table["object_id"][row].as_py(), _number(table, row)))
    chosen = table.take(order)
    kept = chosen.select([name for name in ("object_id", "patch") if name in chosen.column_names])
    targets = np.zeros((len(order), len(classes)), np.float32)
    targets[np.arange(len(order)), [index[str(labels[row])] for row in order]] = 1
    examples = Examples(
        table=kept.append_column("part", chosen["split"]),
        classes=classes,
        targets=targets,
        shape=shape,
        blocks=blocks,
        place=place[order],
        input=input_spec,
        dropped=dropped,
    )
    for part in PARTS:
        if not len(examples.part(part)):
            raise InputError(f"{data}: no labelled example in the {part} part (column 'split')")
    return examples


def _number(table: pa.Table, row: int) -> int:
    return int(table["patch"][row].as_py()) if "patch" in table.column_names else 0


def _feature_specs(data: str) -> list[dict[str, Any]]:
    specs: list[dict[str, Any]] = read_run(data)["arguments"]["features"]
    return specs


def _features(
    dataset: Any, columns: Sequence[str]
) -> tuple[pa.Table, list[Any], tuple[int, ...], npt.NDArray[np.int64]]:
    table = dataset.to_table()
    ok = pc.equal(table["status"], "ok")
    table = table.filter(ok)
    values = np.concatenate([matrix(table[name], name) for name in columns], axis=1)
    place = np.stack([np.zeros(len(values), np.int64), np.arange(len(values))], axis=1)
    return table.drop_columns(list(columns)), [ray.put(values)], values.shape[1:], place


def matrix(column: pa.Array | pa.ChunkedArray, name: str) -> npt.NDArray[np.float32]:
    """A numeric column, or one of lists of equal length, as (rows, width).

    Raises:
        InputError: It is neither.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        flat = column.flatten()
        if len(column) and len(flat) % len(column):
            raise InputError(f"column {name!r} holds lists of different lengths")
        values = flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)
    elif pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        values = column.to_numpy(zero_copy_only=False)[:, None]
    else:
        raise InputError(f"column {name!r} is not numeric ({column.type})")
    return np.asarray(values, np.float32)


def _images(
    dataset: Any, columns: Sequence[str], decode: Any, size: int
) -> tuple[pa.Table, list[Any], tuple[int, ...], npt.NDArray[np.int64]]:
    """Decode all pictures once, in Ray tasks; the arrays stay in the object store."""
    remote = ray.remote(num_returns=2)(decode)
    fs = dataset.filesystem
    groups = [(fragment.path, group.id) for fragment in dataset.get_fragments() for group in fragment.row_groups]
    started = [remote.remote(fs, path, group, list(columns), size) for path, group in groups]
    with cluster.own_errors():
        tables = ray.get([table for table, _ in started])
    place = np.concatenate(
        [np.stack([np.full(len(table), block), np.arange(len(table))], axis=1) for block, table in enumerate(tables)]
    ).astype(np.int64)
    return pa.concat_tables(tables), [block for _, block in started], (size, size, 3), place


def _read_group(fs: Any, path: str, group: int, columns: Sequence[str]) -> pa.Table:
    with fs.open_input_file(path) as source:
        return pq.ParquetFile(source).read_row_group(group, columns=list(columns))


def _decode_patches(fs: Any, path: str, group: int, columns: list[str], size: int) -> tuple[pa.Table, Any]:
    table = _read_group(fs, path, group, [*columns, "image"])
    images = np.zeros((len(table), size, size, 3), np.uint8)
    for row, image in enumerate(table["image"].to_pylist()):
        if image is not None:
            images[row] = resized(np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB")), size)
    return table.drop_columns(["image"]), images


def _decode_pictures(fs: Any, path: str, group: int, columns: list[str], size: int) -> tuple[pa.Table, Any]:
    table = _read_group(fs, path, group, columns)
    images = np.zeros((len(table), size, size, 3), np.uint8)
    state = []
    start = 0
    view = View(size)
    for pictures in read_pictures(table, [view]):
        for row, image in zip(pictures.readable, pictures.images[view], strict=True):
            images[start + row] = image
        state.append(pictures.state["status"])
        start += len(pictures.rows)
    status = pa.chunked_array([chunk for column in state for chunk in column.chunks])
    return table.append_column("status", status), images


def resized(image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """A square patch at the model's size; training and labelling both come through here."""
    if image.shape[0] == size:
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BOX))
