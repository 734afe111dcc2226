"""Model bundles at work: rows of a run's work in, scores out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.bundles.bundle_model import BundleModel
from artray.bundles.classifier import Bundle, load_bundle
from artray.bundles.inputs import Works
from artray.errors import InputError
from artray.features.embedding import Embedding
from artray.features.specs import Columns, Extractors, columns_of, decode_size_of, needs_model, spec_key
from artray.images.pictures import DecodeSize, Picture, read_pictures, spread
from artray.labeling.half_precision import PassPrecision, computes_in_half
from artray.labeling.plan import read_features
from artray.models.batches import batch_of
from artray.storage import Location, digest, list_column
from artray.storage.chunks import BATCH
from artray.storage.gpus import StagedWorker, gpu_capability, gpu_memory

PRECISION = "precision"
"""The staged column that says in which precision networks saw a picture."""


def identity(bundle: Bundle) -> str:
    """Changes with everything in a bundle that its labels depend on."""
    told = {"task", "classes", "input", "decode_version", "model_sha"}
    # Of a single label nothing more is asked, so that what older releases have labelled stays.
    if bundle.multilabel:
        told |= {"labels", "thresholds"}
    if bundle.decision != "likely":
        told |= {"decision", "shares"}
    if bundle.novelty_sha is not None:
        told |= {"novelty_sha"}
    fields = bundle.model_dump(include=told)
    return digest(json.dumps(fields, sort_keys=True).encode())


@dataclass(frozen=True)
class _Prepared:
    """Rows of a run's work that need the same models, as far as CPUs bring them.

    Attributes:
        rows: `object_id`, `image_uri`, `models`, `status`, `error`.
        chosen: Which models.
        readable: Which rows could be read; all else has a row for each of these.
        columns: Features, by `spec_key`.
        images: The pictures that the other features are computed from, (n, side, side, 3).
        inputs: Models' inputs that are ready, by `BundleModel.ready`.
    """

    rows: pa.Table
    chosen: list[int]
    readable: list[int]
    columns: dict[str, pa.Table] = field(default_factory=dict)
    images: dict[DecodeSize, Picture] = field(default_factory=dict)
    inputs: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


class LabelWorker(StagedWorker):
    """Labels chunks of a run's work with several bundles: each picture is fetched once, and decoded once for each size.

    Its rows hold all of a picture's scores (`scores_0` for the first bundle, …; null where that model has nothing to
    do), so that a picture is either done for every task or for none, and the `precision` in which networks saw it (null
    where none did: its features were at hand).

    Attributes:
        batch: How many pictures go through a model at once.
    """

    def __init__(
        self,
        models: Sequence[dict[str, str]],
        features: dict[str, Any] | None,
        decode_version: int,
        detector: str | None = None,
        precision: PassPrecision = "float32",
    ):
        """Read what the bundles say of themselves.

        Args:
            models: `uri`, `identity` and `task` of each.
            features: `uri` and `specs` of the feature table that the work's `part` and `row` point into.
            decode_version: Of this release; as one of the run's settings.
            detector: The object detector that the user names; the one that a bundle names is not loaded.
            precision: In which networks are computed; auto: bfloat16 where all these bundles have been found to say the
                same in it, and the GPU or, without one, the processor is made for it; else float32.

        Raises:
            InputError: A bundle can't be used, or is not the one that the run began with.
        """
        gpu = gpu_memory()
        self.batch = batch_of(gpu)
        uris = [Location(model["uri"]) for model in models]
        # One for all: several may share an embedding.
        capability = gpu_capability() if gpu else None
        half = all(computes_in_half(precision, load_bundle(uri), gpu=capability) for uri in uris)
        self._half = half
        self._extractors = Extractors(self.batch, Location(detector) if detector else None, half=half)
        self._models = [BundleModel(uri, self.batch, half=half) for uri in uris]
        for model, loaded in zip(models, self._models, strict=True):
            if identity(loaded.bundle) != model["identity"]:
                raise InputError(f"{model['uri']}: was replaced while it was labelling; run the same command again")
        self._table = Location(features["uri"]) if features else None
        needed = {key for model in self._models for key in model.specs}
        self._stored = [spec for spec in (features["specs"] if features else []) if spec_key(spec) in needed]

    def prepare(self, rows: pa.Table) -> Iterator[_Prepared]:
        """State, features without model or from the table, models' inputs, and the pictures for all else."""
        for models, part_file, group in _alike(rows):
            yield from self._prepare(models, part_file, group)

    def warm(self) -> None:
        """Some inputs through each model that this run needs."""
        stored = {spec_key(spec) for spec in self._stored}
        for model in self._models:
            for key, spec in model.specs.items():
                if needs_model(spec) and key not in stored:
                    side = decode_size_of(spec)
                    self._extractors[spec](np.zeros((1, side, side, 3), np.uint8))
            model.warm()

    def finish(self, prepared: Sequence[_Prepared]) -> pa.Table:
        """Rows of the work with `status`, `error` and each bundle's scores."""
        tables = []
        for _, alike in groupby(prepared, key=lambda one: (one.chosen, one.columns.keys(), bool(one.readable))):
            tables.append(self._scored(_joined(list(alike))))
        return pa.concat_tables(tables)

    def _prepare(self, needed: int, part_file: str | None, rows: pa.Table) -> Iterator[_Prepared]:
        """Rows that need the same models and whose features are in the same part of the feature table."""
        chosen = [number for number in range(len(self._models)) if needed >> number & 1]
        stored = self._read_stored(part_file, rows) if part_file else None
        at_hand = {spec_key(spec) for spec in self._stored} if part_file else set()
        models = [self._models[number] for number in chosen]
        looking = [model for model in models if not model.specs or model.specs.keys() - at_hand]
        decode_sizes = list(dict.fromkeys(decode_size for model in looking for decode_size in model.decode_sizes))
        if stored is not None and not decode_sizes:
            yield self._brought(rows, stored.select(["status", "error"]), {}, chosen, stored)
            return
        start = 0
        for pictures in read_pictures(rows, decode_sizes, BATCH):
            near = stored.slice(start, len(pictures.rows)) if stored is not None else None
            state = pictures.state.select(["status", "error"])
            yield self._brought(pictures.rows, state, pictures.images, chosen, near)
            start += len(pictures.rows)

    def _read_stored(self, part_file: str, rows: pa.Table) -> pa.Table:
        columns = dict.fromkeys(name for spec in self._stored for name in columns_of(spec))
        numbers, ids = rows["row"].to_pylist(), rows["object_id"].to_pylist()
        assert self._table is not None  # rows have a part only where there is a table
        return read_features(self._table, part_file, numbers, ids, list(columns))

    def _brought(
        self,
        rows: pa.Table,
        state: pa.Table,
        images: Mapping[DecodeSize, Sequence[Picture]],
        chosen: list[int],
        stored: pa.Table | None,
    ) -> _Prepared:
        """What CPUs can do for a batch of rows whose pictures are there."""
        table = rows.select(["object_id", "image_uri", "models"])
        for name in state.column_names:
            table = table.append_column(name, state[name])
        readable = [row for row, status in enumerate(state["status"].to_pylist()) if status == "ok"]
        brought = _Prepared(table, chosen, readable)
        if not readable:
            return brought
        known: dict[str, Columns] = {}
        if stored is not None:
            rows_at_hand = stored.take(pa.array(readable, pa.int64()))
            known = {spec_key(spec): {name: rows_at_hand[name] for name in columns_of(spec)} for spec in self._stored}
        ids = table["object_id"].take(pa.array(readable, pa.int64())).to_pylist()
        works = Works(ids, images, self._extractors, known)
        for model in [self._models[number] for number in chosen]:
            if model.ready is not None:
                if model.ready not in brought.inputs:
                    brought.inputs[model.ready] = model.bundle.input.prepare(works)
                continue
            for key, spec in model.specs.items():
                if key in known or not needs_model(spec):
                    brought.columns[key] = pa.table(dict(works.columns(spec)))
                else:
                    decode_size = DecodeSize(decode_size_of(spec))
                    brought.images.setdefault(decode_size, np.stack(images[decode_size]))
        return brought

    def _scored(self, work: _Prepared) -> pa.Table:
        used = pa.array([self._precision(work)] * len(work.readable), pa.string())
        table = work.rows.append_column(PRECISION, spread(used, work.readable, len(work.rows)))
        ids = table["object_id"].take(pa.array(work.readable, pa.int64())).to_pylist()
        known: dict[str, Columns] = {
            key: dict(zip(each.column_names, each.columns, strict=True)) for key, each in work.columns.items()
        }
        works = Works(ids, work.images, self._extractors, known)
        for number, model in enumerate(self._models):
            column = pa.nulls(len(table), pa.list_(pa.float32()))
            novelty = pa.nulls(len(table), pa.float32())
            if number in work.chosen and work.readable:
                ready = work.inputs.get(model.ready) if model.ready else None
                inputs = model.bundle.input.prepare(works) if ready is None else ready
                column = spread(list_column(model.scores(inputs)), work.readable, len(table))
                told = model.novelty(inputs)
                if told is not None:
                    novelty = spread(pa.array(told, pa.float32()), work.readable, len(table))
            table = table.append_column(f"scores_{number}", column)
            if model.bundle.novelty_sha is not None:
                table = table.append_column(f"novelty_{number}", novelty)
        return table

    def _precision(self, work: _Prepared) -> str | None:
        """In which precision networks see these pictures; None where none does."""
        used = set()
        for model in [self._models[number] for number in work.chosen]:
            if not model.specs:
                used.add(self._half)
            for key, spec in model.specs.items():
                if spec["name"] == Embedding.name and key not in work.columns:
                    used.add(self._half or spec.get("precision") == "bfloat16")
        return ", ".join("bfloat16" if half else "float32" for half in sorted(used)) or None


def _joined(pieces: list[_Prepared]) -> _Prepared:
    """Batches that need the same models as one."""
    first = pieces[0]
    if len(pieces) == 1:
        return first
    starts = np.cumsum([0, *(len(piece.rows) for piece in pieces)]).tolist()
    return _Prepared(
        rows=pa.concat_tables([piece.rows for piece in pieces]),
        chosen=first.chosen,
        readable=[start + row for start, piece in zip(starts, pieces, strict=False) for row in piece.readable],
        columns={key: pa.concat_tables([piece.columns[key] for piece in pieces]) for key in first.columns},
        images={size: np.concatenate([piece.images[size] for piece in pieces]) for size in first.images},
        inputs={key: np.concatenate([piece.inputs[key] for piece in pieces]) for key in first.inputs},
    )


def _alike(rows: pa.Table) -> Iterator[tuple[int, str | None, pa.Table]]:
    """Runs of rows with the same `models` and `part`."""
    kinds = list(zip(rows["models"].to_pylist(), rows["part"].to_pylist(), strict=True))
    start = 0
    for end in range(1, len(kinds) + 1):
        if end == len(kinds) or kinds[end] != kinds[start]:
            yield *kinds[start], rows.slice(start, end - start)
            start = end
