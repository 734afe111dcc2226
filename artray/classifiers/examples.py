"""Labelled examples: a table of who they are, and their inputs in Ray's object store (see `engine.examples`)."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
from pydantic import ValidationError

from artray.bundles.description import refuse_bad_names
from artray.bundles.inputs import COLOR_MAP, BundleInput, FeatureInput, PatchInput, PictureInput
from artray.catalogs.corrections import corrected
from artray.catalogs.targets import read_targets
from artray.classifiers.config import ExamplesConfig
from artray.engine.examples import decode_images
from artray.errors import InputError
from artray.features.colormaps import learn_color_maps
from artray.features.columns import matrix
from artray.ingest.splits import PARTS, assign_folds
from artray.storage import Location
from artray.storage.passes import read_run


@dataclass(frozen=True, kw_only=True)
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
        input: What an example's input is, and how the bundle's readers get the same from a work.
        dropped: What was left out, counted by reason.
    """

    table: pa.Table
    classes: list[str]
    targets: npt.NDArray[np.float32]
    shape: tuple[int, ...]
    blocks: list[Any]
    place: npt.NDArray[np.int64]
    widths: dict[str, int]
    input: BundleInput
    dropped: dict[str, int]

    def part(self, name: str) -> npt.NDArray[np.int64]:
        """Indices of the examples of one part."""
        return np.flatnonzero(np.asarray(self.table["part"]) == name)


def load_examples(
    config: ExamplesConfig,
    data: Location,
    *,
    all_for_training: bool = False,
    corrections: Sequence[Location] = (),
    decoded: dict[Any, Any] | None = None,
) -> Examples:
    """Read the labelled examples of a feature table, patches, or a manifest (for `input: pictures`).

    Args:
        config: Which are wanted.
        data: The data set's URI.
        all_for_training: Every part becomes training, for the last fit of a model that has been evaluated.
        corrections: Files with labels of curators, which count for more than the target column's.
        decoded: Keeps decoded pictures for later calls that need the same of this data set.

    Raises:
        InputError: Columns are missing, a part is empty or there is only one class.
    """
    dataset = data.dataset()
    features = list(dict.fromkeys([*config.columns, *([COLOR_MAP] if config.colormaps else [])]))
    inputs = {"features": ["status", *features], "patches": ["status", "patch"], "pictures": ["image_uri"]}
    needed = ["object_id", config.target, "split", *inputs[config.input]]
    for name in needed:
        if name not in dataset.schema.names:
            raise InputError(f"{data}: {_no_column(name, config, dataset.schema)}")
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
        given: BundleInput = _patch_input(data, config.size)
    else:
        if key not in decoded:
            decoded[key] = decode_images(dataset, "pictures", needed, config.size)
        given = PictureInput(size=config.size)
    table, blocks, place = decoded[key]
    if corrections:
        table = corrected(table, config.target, config.task, corrections)
    chosen = _label(config, data, table, all_for_training)
    return Examples(
        table=chosen.table,
        classes=chosen.classes,
        targets=chosen.targets,
        shape=(config.size, config.size, 3),
        blocks=blocks,
        place=place[chosen.rows],
        widths={},
        input=given,
        dropped=chosen.dropped,
    )


# Columns with text in which no label stands.
_OURS = frozenset(("object_id", "image_uri", "version", "group", "split", "change", "status", "error"))


def _is_text(kind: pa.DataType) -> bool:
    """Text, or lists of it."""
    while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _no_column(name: str, config: ExamplesConfig, schema: pa.Schema) -> str:
    """That a column is not there, and what to do about it."""
    there = f"(it has {', '.join(schema.names)})"
    if name == config.target:
        texts = [item.name for item in schema if _is_text(item.type) and item.name not in _OURS]
        near = difflib.get_close_matches(name, texts, n=1, cutoff=0.75)
        hint = f"; did you mean {near[0]}?" if near else ""
        task = f"the config's task is {config.task}" + ("" if name == config.task else f", its target {name}")
        return (
            f"has no column {name!r}; {task}: --task NAME sets task and target to another column{hint} (columns with "
            f"text: {', '.join(texts) or 'none'})"
        )
    if name == "split":
        return f"has no column 'split': made by an older ingest? Ingest writes it {there}"
    if name == "status":
        return f"has no column 'status': it is not what the config's input: {config.input} needs {there}"
    return f"has no column {name!r} {there}"


@dataclass(frozen=True)
class _Chosen:
    """The rows of a table that are examples."""

    rows: npt.NDArray[np.int64]
    table: pa.Table
    classes: list[str]
    targets: npt.NDArray[np.float32]
    dropped: dict[str, int]


def _label(config: ExamplesConfig, data: Location, table: pa.Table, all_for_training: bool) -> _Chosen:
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
    unreadable = _Unreadable(table, labels, parts)
    absent = [name for name in classes if name not in present]
    if absent:
        raise InputError(
            f"{data}: no training example of {', '.join(absent)} in column {config.target!r}{unreadable.told('train')}"
        )
    if len(classes) < 2:
        labels_there = f"only {classes[0]!r}" if classes else "no label"
        why = unreadable.told("train") or "; two classes are needed"
        raise InputError(f"{data}: the training part of column {config.target!r} has {labels_there}{why}")
    refuse_bad_names(classes, data, config.target)
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
            raise InputError(f"{data}: no labelled example in the {name} part (column 'split'){unreadable.told(name)}")
    known = [name for name in ("object_id", "patch", "image_uri") if name in table.column_names]
    kept = table.select(known).take(rows)
    return _Chosen(rows, kept.append_column("part", pa.array(part, pa.string())), classes, targets, dropped)


class _Unreadable:
    """Labelled rows whose pictures can't be read, by part."""

    def __init__(self, table: pa.Table, labels: Sequence[Mapping[str, float]], parts: Sequence[str]):
        status = table["status"].to_pylist()
        self._states: dict[str, Counter[str]] = {}
        for shares, part, state in zip(labels, parts, status, strict=True):
            if shares and state != "ok":
                self._states.setdefault(part, Counter())[state] += 1

    def told(self, part: str) -> str:
        """The end of a message about a part that lacks examples; nothing where its pictures are not at fault."""
        states = self._states.get(part)
        if not states:
            return ""
        counted = ", ".join(f"{number:,} {state}" for state, number in states.most_common())
        return (
            f": the pictures of {states.total():,} labelled works there can't be read ({counted}). If they have moved, "
            "run ingest again where they are now, and then the stations after it"
        )


def _parts(
    config: ExamplesConfig, table: pa.Table, labels: Sequence[Mapping[str, float]], all_for_training: bool
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


def _patch_input(data: Location, size: int) -> PatchInput:
    arguments = read_run(data)["arguments"]
    try:
        return PatchInput.model_validate({"model_size": size, **arguments})
    except ValidationError as error:
        raise InputError(f"{data}: not patches that make_patches has made") from error


def _with_features(config: ExamplesConfig, data: Location, table: pa.Table, chosen: _Chosen) -> Examples:
    # Filtered, not taken: that would put the lists together, which Arrow can't with more than 2³¹ numbers.
    wanted = np.zeros(len(table), bool)
    wanted[chosen.rows] = True
    table = table.filter(pa.array(wanted))
    row = (np.cumsum(wanted) - 1)[chosen.rows]  # of each example in what is left
    color_maps = None
    if config.colormaps:
        training = np.flatnonzero(np.asarray(chosen.table["part"]) == "train")
        color_maps = _reference_maps(
            matrix(table[COLOR_MAP], COLOR_MAP)[row[training]], chosen.targets[training], chosen.classes
        )
    given = FeatureInput(
        features=read_run(data)["arguments"]["features"], columns=config.columns, color_maps=color_maps
    )
    groups = given.groups({name: table[name] for name in table.column_names})
    values = np.concatenate(list(groups.values()), axis=1)
    place = np.stack([np.zeros(len(values), np.int64), row], axis=1)
    widths = {name: group.shape[1] for name, group in groups.items()}
    return Examples(
        table=chosen.table,
        classes=chosen.classes,
        targets=chosen.targets,
        shape=values.shape[1:],
        blocks=[ray.put(values)],
        place=place,
        widths=widths,
        input=given,
        dropped=chosen.dropped,
    )


def _reference_maps(
    maps: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], classes: Sequence[str]
) -> dict[str, list[list[float]]]:
    """One colour map a class (B4), of its training examples; in the order of the classes."""
    rows, columns = np.nonzero(targets >= 0.5)
    learned = learn_color_maps(maps[rows], [classes[column] for column in columns.tolist()])
    return {name: learned[name].round(3).tolist() for name in classes if name in learned}
