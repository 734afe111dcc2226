"""Training examples: a table of who they are, and their inputs in Ray's object store.

Every worker sees all examples (on one node they share the memory), so a global batch can be the same set of examples
for any number of workers.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from PIL import Image

from artray import cluster
from artray.collection import storage
from artray.collection.corrections import corrected
from artray.collection.passes import read_run
from artray.collection.pictures import View, read_pictures
from artray.collection.splits import PARTS, assign_folds
from artray.errors import InputError
from artray.features.colormaps import color_map_distances, learn_color_maps
from artray.training.config import TrainConfig
from artray.training.targets import read_targets


@dataclass(frozen=True)
class Examples:
    """The labelled examples of one experiment, in an order that depends on nothing but their ids.

    Attributes:
        table: `object_id`, `part`, `image_uri` where it is known and, for patches, `patch`; one row an example.
        classes: The labels in the order of the model's outputs.
        targets: (n, classes) float32: one-hot, shares that sum to 1, or, with several labels, 1 for each.
        shape: Of one example's input.
        blocks: References to arrays (rows, *shape) of inputs.
        place: (n, 2): in which block an example lies, and where in it.
        widths: For features, each column's width in the input, in order; empty for pictures.
        input: How the bundle's readers get the same input from a picture.
        dropped: What was left out, counted by reason.
    """

    table: pa.Table
    classes: list[str]
    targets: npt.NDArray[np.float32]
    shape: tuple[int, ...]
    blocks: list[Any]
    place: npt.NDArray[np.int64]
    widths: dict[str, int]
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
        block, row = self._place[indices].T
        first = self._blocks[block[0]]
        if len(self._blocks) == 1:
            return np.asarray(first[row])
        found = np.empty((len(indices), *first.shape[1:]), first.dtype)
        for number in np.unique(block):
            here = block == number
            found[here] = self._blocks[number][row[here]]
        return found


def load_examples(
    config: TrainConfig,
    data: str,
    *,
    all_for_training: bool = False,
    corrections: Sequence[str] = (),
    decoded: dict[Any, Any] | None = None,
) -> Examples:
    """Read the labelled examples of a feature table, patches, or a manifest (for `input: pictures`).

    Args:
        config: What is trained.
        data: The data set's URI.
        all_for_training: Every part becomes training, for the last fit of a model that has been evaluated.
        corrections: Files with labels of curators, which count for more than the target column's.
        decoded: Keeps decoded pictures for later calls that need the same of this data set.

    Raises:
        InputError: Columns are missing, a part is empty or there is only one class.
    """
    dataset = storage.dataset(data)
    features = list(dict.fromkeys([*config.columns, *(["color_map"] if config.colormaps else [])]))
    inputs = {"features": ["status", *features], "patches": ["status", "patch"], "pictures": ["image_uri"]}
    needed = ["object_id", config.target, "split", *inputs[config.input]]
    for name in needed:
        if name not in dataset.schema.names:
            hint = ": made by an older ingest? Ingest writes it" if name == "split" else ""
            raise InputError(f"{data}: has no column {name!r}{hint} (it has {', '.join(dataset.schema.names)})")
    known = [name for name in ("group", "fold", "image_uri") if name in dataset.schema.names]
    needed = list(dict.fromkeys([*needed, *known]))
    if config.input == "features":
        table = dataset.to_table(columns=needed)
        if corrections:
            table = corrected(table, config.target, config.task, corrections)
        chosen = _label(config, data, table, all_for_training)
        return _with_features(config, data, table, chosen)
    decoded = {} if decoded is None else decoded
    key = config.input, config.size, *needed
    if config.input == "patches":
        if key not in decoded:
            decoded[key] = decode_images(dataset, "patches", needed, config.size)
        input_spec = {"kind": "patches", "model_size": config.size, **read_run(data)["arguments"]}
    else:
        if key not in decoded:
            decoded[key] = decode_images(dataset, "pictures", needed, config.size)
        input_spec = {"kind": "pictures", "size": config.size}
    table, blocks, place = decoded[key]
    if corrections:
        table = corrected(table, config.target, config.task, corrections)
    chosen = _label(config, data, table, all_for_training)
    shape = (config.size, config.size, 3)
    return Examples(
        chosen.table, chosen.classes, chosen.targets, shape, blocks, place[chosen.rows], {}, input_spec, chosen.dropped
    )


@dataclass(frozen=True)
class _Chosen:
    """The rows of a table that are examples."""

    rows: npt.NDArray[np.int64]
    table: pa.Table
    classes: list[str]
    targets: npt.NDArray[np.float32]
    dropped: dict[str, int]


def _label(config: TrainConfig, data: str, table: pa.Table, all_for_training: bool) -> _Chosen:
    labels = read_targets(table[config.target], config.labels, config.target)
    status = table["status"].to_pylist()
    parts = _parts(config, table, labels, all_for_training)
    present = {
        label
        for shares, part, state in zip(labels, parts, status, strict=True)
        if part == "train" and state == "ok"
        for label in shares
    }
    classes = config.classes or sorted(present)
    index = {name: number for number, name in enumerate(classes)}
    dropped = {"unreadable": 0, "unlabelled": 0, "other label": 0}
    keep = []
    for row, (shares, state) in enumerate(zip(labels, status, strict=True)):
        if state != "ok":
            dropped["unreadable"] += 1
        elif not shares:
            dropped["unlabelled"] += 1
        elif not shares.keys() & index.keys():
            dropped["other label"] += 1
        else:
            keep.append(row)
    absent = [name for name in classes if name not in present]
    if absent:
        raise InputError(f"{data}: no training example of {', '.join(absent)} in column {config.target!r}")
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "no label"
        raise InputError(f"{data}: the training part of column {config.target!r} has {found}; two classes are needed")
    ids = table["object_id"].to_pylist()
    numbers = table["patch"].to_pylist() if "patch" in table.column_names else [0] * len(ids)
    rows = np.array(sorted(keep, key=lambda row: (ids[row], numbers[row])), np.int64)
    targets = np.zeros((len(rows), len(classes)), np.float32)
    for place, row in enumerate(rows):
        for label in labels[row].keys() & index.keys():
            targets[place, index[label]] = labels[row][label]
    if config.labels == "soft":
        targets /= targets.sum(axis=1, keepdims=True)
    part = np.array(parts, object)[rows]
    for name in ("train",) if all_for_training else PARTS:
        if name not in part:
            raise InputError(f"{data}: no labelled example in the {name} part (column 'split')")
    known = [name for name in ("object_id", "patch", "image_uri") if name in table.column_names]
    kept = table.select(known).take(rows)
    return _Chosen(rows, kept.append_column("part", pa.array(part, pa.string())), classes, targets, dropped)


def _parts(
    config: TrainConfig, table: pa.Table, labels: Sequence[Mapping[str, float]], all_for_training: bool
) -> list[str]:
    """Each row's part: the column `split`, unless the config wants one of some folds for validation.

    Ingest's folds (column `fold`) are taken where there are as many; else they are dealt here.
    """
    parts: list[str] = table["split"].to_pylist()
    if all_for_training:
        return ["train"] * len(parts)
    if config.folds is None:
        return parts
    groups = table["group" if "group" in table.column_names else "object_id"].to_pylist()
    rows = [row for row, part in enumerate(parts) if part != "test" and labels[row]]
    main = [max((share, label) for label, share in labels[row].items())[1] for row in rows]
    given = table["fold"].to_pylist() if "fold" in table.column_names else []
    if len({fold for fold in given if fold is not None}) == config.folds:
        folds = [given[row] for row in rows]
    else:  # the same for every seed: models of several seeds are compared, or put together, fold by fold
        folds = assign_folds([groups[row] for row in rows], main, config.folds)
    for row, fold in zip(rows, folds, strict=True):
        parts[row] = "validation" if fold == config.fold else "train"
    return parts


COLOR_MAP_DISTANCES = "color_map_distances"


def feature_matrix(columns: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float32]]:
    """What a model of `kind: features` takes, in groups whose concatenation along the last axis is its input.

    Args:
        columns: Columns of a feature table.
        spec: The bundle's `input`: `columns`, and `color_maps` where it has reference maps.
    """
    groups = {name: matrix(columns[name], name) for name in spec["columns"]}
    if spec.get("color_maps"):
        maps = matrix(columns["color_map"], "color_map")
        groups[COLOR_MAP_DISTANCES] = color_map_distances(maps, spec["color_maps"]).astype(np.float32)
    return groups


def _with_features(config: TrainConfig, data: str, table: pa.Table, chosen: _Chosen) -> Examples:
    # Filtered, not taken: that would put the lists together, which Arrow can't with more than 2³¹ numbers.
    wanted = np.zeros(len(table), bool)
    wanted[chosen.rows] = True
    table = table.filter(pa.array(wanted))
    row = (np.cumsum(wanted) - 1)[chosen.rows]  # of each example in what is left
    spec: dict[str, Any] = {
        "kind": "features",
        "features": read_run(data)["arguments"]["features"],
        "columns": config.columns,
    }
    if config.colormaps:
        training = np.flatnonzero(np.asarray(chosen.table["part"]) == "train")
        spec["color_maps"] = _reference_maps(
            matrix(table["color_map"], "color_map")[row[training]], chosen.targets[training], chosen.classes
        )
    groups = feature_matrix({name: table[name] for name in table.column_names}, spec)
    values = np.concatenate(list(groups.values()), axis=1)
    place = np.stack([np.zeros(len(values), np.int64), row], axis=1)
    widths = {name: group.shape[1] for name, group in groups.items()}
    return Examples(
        chosen.table,
        chosen.classes,
        chosen.targets,
        values.shape[1:],
        [ray.put(values)],
        place,
        widths,
        spec,
        chosen.dropped,
    )


def _reference_maps(
    maps: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], classes: Sequence[str]
) -> dict[str, list[list[float]]]:
    """One colour map a class (B4), of its training examples; in the order of the classes."""
    rows, columns = np.nonzero(targets >= 0.5)
    learned = learn_color_maps(maps[rows], [classes[column] for column in columns.tolist()])
    return {name: learned[name].round(3).tolist() for name in classes if name in learned}


def matrix(column: pa.Array | pa.ChunkedArray, name: str) -> npt.NDArray[np.float32]:
    """A numeric column, or one of (nested) lists of equal length, as (rows, width).

    Raises:
        InputError: As `storage.stack_lists`, or it holds values that are not finite.
    """
    numbers = np.asarray(storage.stack_lists(column, name), np.float32)
    if not np.isfinite(numbers).all():
        raise InputError(f"column {name!r} holds values that are not finite")
    return numbers


def decode_images(
    dataset: Any, kind: Literal["pictures", "patches"], columns: Sequence[str], size: int
) -> tuple[pa.Table, list[Any], npt.NDArray[np.int64]]:
    """Decode all pictures of a manifest, or patches, once, in Ray tasks; the arrays stay in the object store.

    Args:
        dataset: As from `storage.dataset`.
        kind: What it holds.
        columns: Which of its columns are wanted; `image_uri` of a manifest, `status` of patches among them.
        size: Side in pixels.

    Returns:
        The columns, with `status`; references to uint8 arrays (rows, size, size, 3); and (rows, 2): in which array a
        row's picture lies, and where in it. It is black where the status is not ok.
    """
    decode = {"pictures": _decode_pictures, "patches": _decode_patches}[kind]
    remote = ray.remote(num_returns=2)(decode)
    fs = dataset.filesystem
    groups = [(fragment.path, group.id) for fragment in dataset.get_fragments() for group in fragment.row_groups]
    started = [remote.remote(fs, path, group, list(columns), size) for path, group in groups]
    with cluster.own_errors():
        tables = ray.get([table for table, _ in started])
    place = np.concatenate(
        [np.stack([np.full(len(table), block), np.arange(len(table))], axis=1) for block, table in enumerate(tables)]
    ).astype(np.int64)
    return pa.concat_tables(tables), [block for _, block in started], place


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
