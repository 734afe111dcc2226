"""Labelled examples: a table of who they are, and their inputs (see `engine.examples`).

Who is an example is decided on columns, of which only labelled rows are kept; then only examples are read or decoded.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from artray.bundles.description import refuse_bad_names
from artray.bundles.inputs import COLOR_MAP, BundleInput, FeatureInput, PatchInput, PictureInput
from artray.catalogs.corrections import Corrections, corrected, has_correction, read_corrections
from artray.catalogs.targets import Targets, encode_targets
from artray.classifiers.config import ExamplesConfig
from artray.classifiers.drawn_works import drawn_share
from artray.classifiers.feature_inputs import ALL, Moments, all_columns, read_color_maps, read_features
from artray.classifiers.joined_rows import read_joined
from artray.classifiers.reviewed_labels import count_reviewed, review_columns, reviewers_of
from artray.engine.examples import Inputs
from artray.engine.order import Indices, shuffled
from artray.engine.shards import Decoded, ExampleCache, decode_examples
from artray.errors import InputError
from artray.features.colormaps import learn_color_maps
from artray.ingest.splits import PARTS, assign_folds
from artray.storage import Location, dataset_digest
from artray.storage.located_rows import LocatedRows, read_rows
from artray.storage.passes import read_run

MOST_OTHERS = 3_000
"""Works of no class that are looked at, at most."""
_KNOWN = ("image_uri", "group", "artist", "date")
"""What a manifest says of works that is kept beside the examples, where it does."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """The labelled examples of one experiment, in an order that depends on nothing but their ids.

    Attributes:
        table: `object_id`, `part`, `image_uri`, `group`, `artist` and `date` where they are known and, for patches,
            `patch`; one row an example.
        classes: The labels in the order of the model's outputs.
        targets: (n, classes) float32: one-hot, shares that sum to 1, or, with several labels, 1 for each.
        shape: Of one example's input.
        blocks: References to arrays (rows, *shape) of inputs in Ray's object store, or shards.
        positions: (n, 2): in which block an example lies, and where in it.
        widths: For features, each column's width in the input, in order; empty for pictures.
        input: What an example's input is, and how the bundle's readers get the same from a work.
        dropped: What was left out, counted by reason.
        moments: Of the training part's features; None for pictures.
        others: (m, 2): like `positions`, of works with a label that is none of the classes, by lot `MOST_OTHERS` at
            most: nothing but novelty is learned from them. Of features only.
        others_table: `object_id`, `group` where it is known, `part` and `label` of these.
        reviewed: How many of the labels people have checked (see `count_reviewed`).
    """

    table: pa.Table
    classes: list[str]
    targets: npt.NDArray[np.float32]
    shape: tuple[int, ...]
    blocks: list[Any]
    positions: npt.NDArray[np.int64]
    widths: dict[str, int]
    input: BundleInput
    dropped: dict[str, int]
    moments: Moments | None = None
    others: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    others_table: pa.Table | None = None
    reviewed: Mapping[str, int] = field(default_factory=dict)

    def part(self, name: str) -> npt.NDArray[np.int64]:
        """Indices of the examples of one part."""
        return np.flatnonzero(np.asarray(self.table["part"]) == name)

    @property
    def example_bytes(self) -> int:
        """Of one example's input."""
        return int(np.prod(self.shape)) * (1 if len(self.shape) == 3 else 4)

    @property
    def inputs(self) -> Inputs:
        """The inputs, as a worker takes them."""
        return Inputs(self.blocks, self.positions)

    @property
    def other_inputs(self) -> Inputs:
        """Those of `others`, likewise."""
        return Inputs(self.blocks, self.others)


def load_examples(
    config: ExamplesConfig,
    data: Location,
    *,
    cache: ExampleCache | None = None,
    all_for_training: bool = False,
    corrections: Sequence[Location] = (),
    decoded: dict[Any, Any] | None = None,
    manifest: Location | None = None,
) -> Examples:
    """Read the labelled examples of a feature table, patches, or a manifest (for `input: pictures`).

    Args:
        config: Which are wanted.
        data: The data set's URI.
        cache: Where what is decoded is kept, and how much of it in memory; None: nothing is decoded, and all that is
            read lies in memory.
        all_for_training: Every part becomes training, for the last fit of a model that has been evaluated.
        corrections: Files with labels of curators, which count for more than the target column's.
        decoded: Keeps decoded pictures for later calls that need the same of this data set.
        manifest: Labels, split and groups are this one's, and not those that the data set has.

    Raises:
        InputError: Columns are missing, a part is empty or there is only one class.
        ArtrayError: The disk is full.
    """
    dataset = data.dataset()
    if config.input == "features" and config.columns == [ALL]:
        config = replace(config, columns=all_columns(dataset.schema.names))
        if not config.columns:
            raise InputError(f"{data}: has no features: it is extract-features that writes a feature table")
    features = list(dict.fromkeys([*config.columns, *([COLOR_MAP] if config.colormaps else [])]))
    inputs = {"features": ["status", *features], "patches": ["status", "patch"], "pictures": ["image_uri"]}
    if manifest is not None and config.input == "pictures":
        raise InputError("--manifest: goes with features and patches; of pictures --data is the manifest")
    works = dataset if manifest is None else manifest.dataset()
    for location, source, names in (
        (manifest or data, works, ["object_id", config.target, "split"]),
        (data, dataset, ["object_id", *inputs[config.input]]),
    ):
        for name in names:
            if name not in source.schema.names:
                raise InputError(f"{location}: {_no_column(name, config, source.schema)}")
    told = [name for name in ("fold", *_KNOWN) if name in works.schema.names]
    told += review_columns(config.target, works.schema)
    told = list(dict.fromkeys(["object_id", config.target, "split", *told]))
    own_columns = [name for name in inputs[config.input] if name not in features]
    given = read_corrections(corrections) if corrections else None
    lost: dict[str, int] = {}
    if manifest is None:
        columns = list(dict.fromkeys([*told, *own_columns]))
        rows = read_rows(dataset, columns, lambda table: _may_be_labelled(table, config, given))
    else:
        rows, lost = read_joined(
            manifest,
            dataset,
            of_manifest=told,
            of_data=own_columns,
            keep=lambda table: _may_be_labelled(table, config, given),
        )
    if corrections:
        rows = replace(rows, table=corrected(rows.table, config.target, config.task, corrections))
    by = reviewers_of(rows.table, config.target, config.task, given)
    labelled = _Labelled(config, data, rows, all_for_training, lost)
    if config.input == "features":
        chosen = labelled.choose()
        examples = _with_features(config, data, rows, chosen, cache)
        return replace(examples, reviewed=count_reviewed(examples.table["object_id"], by.take(chosen.rows)))
    labelled.choose()  # before pictures are decoded: whether there would be enough if all of them could be read
    assert cache is not None
    candidates = labelled.candidates
    source = dataset_digest(dataset)
    wanted = rows.take(candidates)
    table = wanted.addresses() if config.input == "patches" else wanted.table.select(["object_id", "image_uri"])
    decoded = {} if decoded is None else decoded
    key = config.input, config.size, candidates.tobytes()
    if key not in decoded:
        decoded[key] = decode_examples(table, cache, data=data, kind=config.input, size=config.size, source=source)
    pictures: Decoded = decoded[key]
    chosen = labelled.choose(pictures.status)
    number = np.empty(len(rows.table), np.int64)
    number[candidates] = np.arange(len(candidates))
    return Examples(
        table=chosen.table,
        classes=chosen.classes,
        targets=chosen.targets,
        shape=(config.size, config.size, 3),
        blocks=pictures.blocks,
        positions=pictures.positions[number[chosen.rows]],
        widths={},
        input=_patch_input(data, config.size) if config.input == "patches" else PictureInput(size=config.size),
        dropped=chosen.dropped,
        reviewed=count_reviewed(chosen.table["object_id"], by.take(chosen.rows)),
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


def _may_be_labelled(table: pa.Table, config: ExamplesConfig, corrections: Corrections | None) -> pa.ChunkedArray:
    """Which rows may have a label: those with a value in the target column, or with a correction."""
    filled = pc.is_valid(table[config.target])
    if corrections is None:
        return filled
    return pc.or_(filled, has_correction(table["object_id"], corrections, config.task))


@dataclass(frozen=True)
class _Chosen:
    """The rows of a table that are examples."""

    rows: Indices
    table: pa.Table
    classes: list[str]
    targets: npt.NDArray[np.float32]
    dropped: dict[str, int]
    others: Indices
    others_table: pa.Table


class _Labelled:
    """The rows that may be labelled, and which of them are examples.

    Args:
        config: Which are wanted.
        data: The data set, for messages.
        rows: The rows, with the status of each if the data set knows it.
        all_for_training: Every part becomes training.
        lost: Labelled works that are in no row, by reason.
    """

    def __init__(
        self,
        config: ExamplesConfig,
        data: Location,
        rows: LocatedRows,
        all_for_training: bool,
        lost: Mapping[str, int] = MappingProxyType({}),
    ):
        self._lost = lost
        self._config, self._data, self._rows, self._all = config, data, rows, all_for_training
        self._table = table = rows.table
        self._labels = labels = encode_targets(table[config.target], config.labels, config.target)
        self._part = _parts(config, table, labels, all_for_training)
        self._has_label = labels.counts > 0
        self._drawn: npt.NDArray[np.bool_] = np.ones(len(table), bool)
        if config.learn_from < 1 and not all_for_training:
            self._drawn = drawn_share(table, labels, self._part, config.learn_from, config.draw)
        if config.classes is not None:
            wanted = np.isin(np.array(labels.names, object), config.classes)
            self._has_wanted = np.bincount(labels.rows[wanted[labels.codes]], minlength=len(table)) > 0
        else:
            self._has_wanted = self._has_label
        self._status = np.full(len(table), "ok", object)
        if "status" in table.column_names:
            self._status = table["status"].to_numpy()

    @property
    def candidates(self) -> Indices:
        """The rows that have to be decoded, in the order in which they are stored.

        The same for each fold. Pictures in the order of their ids, patches as they lie in their files.
        """
        rows = np.flatnonzero(self._has_wanted & (self._status == "ok"))
        if self._config.input == "patches":
            return rows
        return rows[self._order(rows)]

    def choose(self, status: npt.NDArray[Any] | None = None) -> _Chosen:
        """The examples.

        Args:
            status: Of each candidate, where it is known.

        Raises:
            InputError: A part is empty or there is only one class.
        """
        config, data, labels, parts = self._config, self._data, self._labels, self._part
        state = self._status
        if status is not None:
            state = state.copy()
            state[self.candidates] = status
        readable = state == "ok"
        of = labels.rows
        learned = np.zeros(len(labels.names), bool)
        learned[labels.codes[(readable & (parts == "train"))[of]]] = True
        present = {name for name, there in zip(labels.names, learned.tolist(), strict=True) if there}
        classes = config.classes or sorted(present)
        index = {name: number for number, name in enumerate(classes)}
        column = np.array([index.get(name, -1) for name in labels.names], np.int64)[labels.codes]
        has_class = np.bincount(of[column >= 0], minlength=len(parts)) > 0
        kept = readable & has_class & self._drawn
        known = int((self._status == "ok").sum())  # to be readable, as far as the data set says
        dropped = {
            "unreadable": self._rows.unreadable + known - int(readable.sum()),
            "unlabelled": self._rows.readable - known + int((readable & ~self._has_label).sum()),
            "other label": int((readable & self._has_label & ~has_class).sum()),
            **self._lost,
        }
        if not self._drawn.all():
            dropped["not drawn (learn_from)"] = int((readable & has_class & ~self._drawn).sum())
        unreadable = _Unreadable(state[self._has_label], parts[self._has_label])
        absent = [name for name in classes if name not in present]
        if absent:
            told = f"no training example of {', '.join(absent)} in column {config.target!r}"
            raise InputError(f"{data}: {told}{unreadable.told('train')}")
        if len(classes) < 2:
            labels_there = f"only {classes[0]!r}" if classes else "no label"
            why = unreadable.told("train") or "; two classes are needed"
            raise InputError(f"{data}: the training part of column {config.target!r} has {labels_there}{why}")
        refuse_bad_names(classes, data, config.target)
        rows = np.flatnonzero(kept)
        rows = rows[self._order(rows)]
        number = np.full(len(parts), -1, np.int64)
        number[rows] = np.arange(len(rows))
        entries = kept[of] & (column >= 0)
        targets = np.zeros((len(rows), len(classes)), np.float32)
        targets[number[of[entries]], column[entries]] = labels.shares[entries]
        if config.labels == "soft":
            targets /= targets.sum(axis=1, keepdims=True)
        part_of_row = parts[rows]
        for name in ("train",) if self._all else PARTS:
            if name not in part_of_row:
                raise InputError(
                    f"{data}: no labelled example in the {name} part (column 'split'){unreadable.told(name)}"
                )
        names = [name for name in ("object_id", "patch", *_KNOWN) if name in self._table.column_names]
        table = self._table.select(names).take(rows).append_column("part", pa.array(part_of_row, pa.string()))
        others = np.flatnonzero(readable & self._has_label & ~has_class)
        if len(others) > MOST_OTHERS:
            others = np.sort(np.random.default_rng(0).choice(others, MOST_OTHERS, replace=False))
        names = [name for name in ("object_id", "group") if name in self._table.column_names]
        others_table = (
            self._table.select(names).take(others).append_column("part", pa.array(parts[others], pa.string()))
        )
        said = [labels.names[code] for code in labels.main()[others].tolist()]
        return _Chosen(
            rows,
            table,
            classes,
            targets,
            dropped=dropped,
            others=others,
            others_table=others_table.append_column("label", pa.array(said, pa.string())),
        )

    def _order(self, rows: Indices) -> Indices:
        """Some rows by their ids, and patches by their number."""
        keys = [name for name in ("object_id", "patch") if name in self._table.column_names]
        ids = self._table.select(keys).take(rows)
        order: Indices = pc.sort_indices(ids, sort_keys=[(key, "ascending") for key in keys]).to_numpy()
        return order.astype(np.int64)


class _Unreadable:
    """Labelled rows whose pictures can't be read, by part."""

    def __init__(self, status: npt.NDArray[Any], parts: npt.NDArray[Any]):
        bad = status != "ok"
        self._states: dict[str, Counter[str]] = {}
        for name, state in zip(parts[bad].tolist(), status[bad].tolist(), strict=True):
            self._states.setdefault(name, Counter())[state] += 1

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


def _parts(config: ExamplesConfig, table: pa.Table, labels: Targets, all_for_training: bool) -> npt.NDArray[Any]:
    """Each row's part: the column `split`, unless the config wants one of some folds for validation.

    Ingest's folds (column `fold`) are taken where there are as many; else they are dealt here.
    """
    if all_for_training:
        return np.full(len(table), "train", object)
    parts: npt.NDArray[Any] = table["split"].to_numpy().copy()
    if config.folds is None:
        return parts
    rows = np.flatnonzero((parts != "test") & (labels.counts > 0))
    given = table["fold"].drop_null().unique() if "fold" in table.column_names else []
    if len(given) == config.folds and not config.repeat:
        folds = table["fold"].take(rows).to_pylist()
    else:  # the same for every seed: models of several seeds are compared, or put together, fold by fold
        groups = table["group" if "group" in table.column_names else "object_id"].take(rows).to_pylist()
        main = [labels.names[code] for code in labels.main()[rows].tolist()]
        folds = assign_folds(groups, main, config.folds, seed=config.repeat)
    parts[rows] = np.where(np.array(folds, object) == config.fold, "validation", "train")
    return parts


def _patch_input(data: Location, size: int) -> PatchInput:
    arguments = read_run(data)["arguments"]
    try:
        return PatchInput.model_validate({"model_size": size, **arguments})
    except ValidationError as error:
        raise InputError(f"{data}: not patches that make_patches has made") from error


def _with_features(
    config: ExamplesConfig, data: Location, rows: LocatedRows, chosen: _Chosen, cache: ExampleCache | None
) -> Examples:
    located = rows.take(np.concatenate([chosen.rows, chosen.others]))
    training = np.append(np.asarray(chosen.table["part"]) == "train", np.zeros(len(chosen.others), bool))
    color_maps = None
    if config.colormaps:
        learned = np.flatnonzero(training)
        maps = read_color_maps(data, located.take(learned))
        color_maps = _reference_maps(maps, chosen.targets[learned], chosen.classes)
    made = read_run(data)["arguments"]
    given = FeatureInput(
        features=made["features"], columns=config.columns, color_maps=color_maps, files=made.get("files")
    )
    features = read_features(data, located, given, training, cache)
    return Examples(
        table=chosen.table,
        classes=chosen.classes,
        targets=chosen.targets,
        shape=(sum(features.widths.values()),),
        blocks=features.blocks,
        positions=features.positions[: len(chosen.rows)],
        widths=features.widths,
        input=given,
        dropped=chosen.dropped,
        moments=features.moments,
        others=features.positions[len(chosen.rows) :],
        others_table=chosen.others_table,
    )


def _reference_maps(
    maps: npt.NDArray[np.float32], targets: npt.NDArray[np.float32], classes: Sequence[str]
) -> dict[str, list[list[float]]]:
    """One colour map a class (B4), of its training examples; in the order of the classes."""
    rows, columns = np.nonzero(targets >= 0.5)
    learned = learn_color_maps(maps[rows], [classes[column] for column in columns.tolist()])
    return {name: learned[name].round(3).tolist() for name in classes if name in learned}


def epoch_order(examples: Examples, epoch: int, seed: int, balanced: bool = False) -> Indices:
    """The examples of an epoch in their order: the same for any number of workers, and after any resumption.

    Balanced, each class is gone through in rounds, each round in a new order, until there are as many
    examples as the training part has; a class counts as an example's where it has the largest share.
    """
    chance = np.random.default_rng([seed, epoch])
    training = examples.part("train")
    if not balanced:
        return shuffled(chance, training, examples.positions, examples.example_bytes)
    classes = examples.targets[training].argmax(axis=1)
    drawn = []
    for number, wanted in enumerate(
        np.diff(np.arange(len(examples.classes) + 1) * len(training) // len(examples.classes))
    ):
        members = training[classes == number]
        if len(members):
            rounds = [chance.permutation(members) for _ in range(-(-wanted // len(members)))]
            drawn.append(np.concatenate([*rounds, members[:0]])[:wanted])
    return shuffled(chance, np.concatenate(drawn), examples.positions, examples.example_bytes)
