"""Numbers from pictures in one pass: fetch, decode and all features of a picture in one Ray stage."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from artray import console
from artray.errors import count_of
from artray.features.embedding import Embedding
from artray.features.kept import KEPT, KeptFeatures, clear, set_aside
from artray.features.options import FeatureOptions, requested_specs
from artray.features.specs import (
    Spec,
    build_feature,
    columns_of,
    needs_model,
    spec_key,
)
from artray.images.decoding import DECODE_VERSION
from artray.images.pictures import STATE, DecodeSize, Picture, read_pictures, spread
from artray.ingest.manifest import make_room
from artray.job import Counts
from artray.models import DEFAULT_BACKBONE
from artray.models.batches import batch_of, largest_batch
from artray.storage import Location, digest, keep_apart
from artray.storage.chunks import BATCH
from artray.storage.gpus import StagedWorker, gpu_memory
from artray.storage.passes import run_pass


def extract_features(options: FeatureOptions) -> Counts:
    """Station 2: the manifest's rows with `status`, `error`, `width`, `height` and the features' columns.

    Raises:
        InputError: An unknown feature, or input and output as in `run_pass`.
    """
    specs = requested_specs(options)
    for spec in specs:
        feature = build_feature(spec)  # a detector that is none is said before any worker starts
        if spec.get("backbone", DEFAULT_BACKBONE) != DEFAULT_BACKBONE:
            # And so is a backbone that can't be had; for the default one it would only take time.
            with console.silent_stderr(), redirect_stdout(io.StringIO()):
                _ = feature.fields
    keep_apart(options.out, {"--detector": options.detector})
    counts = compute_features(options.manifest, options.out, specs, overwrite=options.overwrite)
    return counts | {"features": [spec.get("column", spec["name"]) for spec in specs]}


def compute_features(manifest: Location, out: Location, specs: Sequence[Spec], *, overwrite: bool = False) -> Counts:
    """The pass of `extract_features`, for specs made by `feature_spec`: also those that another table was made with.

    Features that a table in `out` has already of the same pictures are taken over (see `artray.features.kept`).

    Returns:
        As `run_pass`, and `kept`: of how many pictures features were taken over, if a table was there.

    Raises:
        InputError: As in `run_pass`, or the table in `out` is mostly of other works.
    """
    arguments = {"features": list(specs), "decode_version": DECODE_VERSION, **_files_of(specs)}
    kept = set_aside(manifest, out, arguments, overwrite=overwrite)
    if kept is not None:
        console.say(f"features of {count_of(kept, 'picture')} are there already: taken over")
    counts = run_pass(
        "features",
        manifest,
        out,
        _FeatureWorker,
        arguments,
        overwrite=overwrite,
        gpus=any(map(needs_model, specs)),
        helps={} if kept is None else {"kept": str(out / KEPT)},
    )
    clear(out)
    return counts if kept is None else counts | {"kept": kept}


def _files_of(specs: Sequence[Spec]) -> dict[str, dict[str, str]]:
    """What is in the files that specs name as backbones: another network may come to lie there."""
    files = sorted({spec["backbone"] for spec in specs if str(spec.get("backbone", "")).endswith(".keras")})
    digests = {name: digest(Path(name).read_bytes()) for name in files if Path(name).is_file()}
    return {"files": digests} if digests else {}


@dataclass(frozen=True)
class _Prepared:
    """Rows as far as CPUs bring them.

    Attributes:
        rows: Of the manifest, with their state and the columns of the features that are there.
        readable: Which rows have a picture.
        images: Those pictures for the features that need a model, by side: (n, side, side, 3).
        known: The features that an earlier run has computed, by `spec_key`: their columns are in `rows`.
    """

    rows: pa.Table
    readable: list[int]
    images: dict[int, Picture]
    known: frozenset[str] = frozenset()


class _FeatureWorker(StagedWorker):
    """Computes features; those that are a model's output where the model is (see `artray.storage.gpus`)."""

    def __init__(
        self,
        features: list[dict[str, Any]],
        decode_version: int,
        kept: str | None = None,
        files: dict[str, str] | None = None,
    ):
        self._features = {spec_key(spec): build_feature(spec) for spec in features}
        self._with_model = {spec_key(spec) for spec in features if needs_model(spec)}
        self._columns = {spec_key(spec): columns_of(spec) for spec in features}
        self._computed = [name for names in self._columns.values() for name in names]
        self._kept = KeptFeatures(Location(kept), features) if kept else None
        self.batch = batch_of(gpu_memory())
        for feature in self._features.values():
            if isinstance(feature, Embedding) and self.batch > BATCH:
                feature.batch_size = largest_batch(self.batch, feature.size)

    def prepare(self, rows: pa.Table) -> Iterator[_Prepared]:
        """State, features without model, and the pictures for the others."""
        if self._kept is None:
            yield from self._read(rows)
            return
        kept = self._kept.find(rows)
        # Neighbours that lie in the same part; there may be one more picture between any two.
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(kept.file)) + 1):
            group, file = rows.slice(int(run[0]), len(run)), int(kept.file[run[0]])
            if file < 0:
                yield from self._read(group)
                continue
            for start in range(0, len(run), BATCH):
                some = run[start : start + BATCH]
                known = self._kept.read(file, kept.row[some])
                yield from self._taken_over(rows.slice(int(some[0]), len(some)), known, self._kept.specs(file))

    def warm(self) -> None:
        """One picture through each model."""
        for key in self._with_model:
            feature = self._features[key]
            feature(np.zeros((1, feature.size, feature.size, 3), np.uint8))

    def finish(self, prepared: Sequence[_Prepared]) -> pa.Table:
        """All columns, in the features' order."""
        tables = [one.rows for one in prepared]
        for key in self._features:
            if key not in self._with_model:
                continue
            lacking = [number for number, one in enumerate(prepared) if key not in one.known]
            for number, columns in zip(lacking, self._seen(key, [prepared[number] for number in lacking]), strict=True):
                for field, column in columns:
                    tables[number] = tables[number].append_column(field, column)
        own_columns = [name for name in tables[0].column_names if name not in self._computed]
        return pa.concat_tables([table.select([*own_columns, *self._computed]) for table in tables])

    def _seen(self, key: str, prepared: Sequence[_Prepared]) -> Iterator[list[tuple[pa.Field, pa.Array]]]:
        """The columns of a feature that needs a model, for each of some batches; the model sees them all at once."""
        feature = self._features[key]
        images = [one.images[feature.size] for one in prepared if one.readable]
        values = feature(images[0] if len(images) == 1 else np.concatenate(images)) if images else {}
        start = 0
        for one in prepared:
            end = start + len(one.readable)
            yield [
                (
                    field,
                    spread(values[field.name][start:end], one.readable, len(one.rows))
                    if one.readable
                    else pa.nulls(len(one.rows), field.type),
                )
                for field in feature.fields
            ]
            start = end

    def _read(self, rows: pa.Table, known: frozenset[str] = frozenset()) -> Iterator[_Prepared]:
        """What pictures show, but for the features that are known."""
        wanted = {key: feature for key, feature in self._features.items() if key not in known}
        views = list(dict.fromkeys(DecodeSize(feature.size) for feature in wanted.values()))
        written = [*STATE.names, *(name for key in wanted for name in self._columns[key])]
        for pictures in read_pictures(make_room(rows, written), views):
            table = pictures.rows
            for name in pictures.state.column_names:
                table = table.append_column(name, pictures.state[name])
            images = {view.size: np.stack(squares) for view, squares in pictures.images.items() if squares}
            for key, feature in wanted.items():
                if key in self._with_model:
                    continue
                values = feature(images[feature.size]) if images else {}
                for field in feature.fields:
                    column = pictures.spread(values[field.name]) if images else pa.nulls(len(table), field.type)
                    table = table.append_column(field, column)
            sides = {feature.size for key, feature in wanted.items() if key in self._with_model}
            shown = {side: stack for side, stack in images.items() if side in sides}
            yield _Prepared(table, pictures.readable, shown, known)

    def _taken_over(self, rows: pa.Table, known: pa.Table, specs: frozenset[str]) -> Iterator[_Prepared]:
        """Rows with the features that an earlier run has computed; pictures are read for what it has not."""
        columns = [name for key in self._features if key in specs for name in self._columns[key]]
        if specs == self._features.keys():
            table = make_room(rows, [*STATE.names, *self._computed])
            for name in [*STATE.names, *columns]:
                table = table.append_column(name, known[name])
            yield _Prepared(table, [], {}, specs)
            return
        start = 0
        for one in self._read(make_room(rows, [*STATE.names, *self._computed]), specs):
            table = one.rows
            for name in columns:
                then = known[name].slice(start, len(table)).take(pa.array(one.readable, pa.int64()))
                table = table.append_column(name, spread(then, one.readable, len(table)))
            start += len(table)
            yield replace(one, rows=table)
