"""Numbers from pictures in one pass: fetch, decode and all features of a picture in one Ray stage."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from artray import console
from artray.errors import InputError, did_you_mean
from artray.features.embedding import Embedding
from artray.features.specs import (
    DEFAULT_FEATURES,
    FEATURES,
    Feature,
    Spec,
    build_feature,
    columns_of,
    needs_model,
)
from artray.images.decoding import DECODE_VERSION
from artray.images.pictures import STATE, DecodeSize, Picture, read_pictures, spread
from artray.ingest.manifest import make_room
from artray.job import Counts, Options
from artray.models import DEFAULT_BACKBONE, EMBEDDED
from artray.models.batches import batch_of, largest_batch
from artray.storage import Location, keep_apart
from artray.storage.chunks import BATCH
from artray.storage.gpus import StagedWorker, gpu_memory
from artray.storage.passes import run_pass


class FeatureOptions(Options):
    """Compute features of every picture of a manifest."""

    manifest: Location = Field(description="the manifest of ingest", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for the feature table", examples=["URI"])
    features: list[str] = Field(
        list(DEFAULT_FEATURES),
        min_length=1,
        description="which ones; there is also objects",
        examples=["NAME,NAME"],
    )
    detector: Location | None = Field(
        None, description="a TensorFlow SavedModel of the Object Detection API; adds objects", examples=["DIR"]
    )
    size: int | None = Field(
        None,
        ge=16,
        le=2048,
        description="side in pixels at which pictures are decoded; default: what an embedded backbone was trained with "
        "(efficientnet-lite0: 224, lite1: 240, lite2: 260), else 224",
    )
    colors: int = Field(20, ge=1, le=256, description="how many colours a palette has")
    backbone: str = Field(
        DEFAULT_BACKBONE,
        description="of the embedding: also efficientnet-lite1 and -lite2 (extra `lite`), any keras.applications name, "
        "or a .keras file",
        examples=["NAME|FILE"],
    )
    weights: str | None = Field("imagenet", description="of the backbone: imagenet, none or a file", examples=["NAME"])
    statistics: bool = Field(False, description="the embedding's second form too: style statistics of every block")
    overwrite: bool = Field(False, description="replace a table made with other options")


def extract_features(options: FeatureOptions) -> Counts:
    """Station 2: the manifest's rows with `status`, `error`, `width`, `height` and the features' columns.

    Raises:
        InputError: An unknown feature, or input and output as in `run_pass`.
    """
    names = [*options.features, *(["objects"] if options.detector else [])]
    specs = [feature_spec(name, options) for name in dict.fromkeys(names)]
    for spec in specs:
        feature = build_feature(spec)  # a detector that is none is said before any worker starts
        if options.backbone != DEFAULT_BACKBONE:
            # And so is a backbone that can't be had; for the default one it would only take time.
            with console.silent_stderr(), redirect_stdout(io.StringIO()):
                _ = feature.fields
    keep_apart(options.out, {"--detector": options.detector})
    counts = compute_features(options.manifest, options.out, specs, overwrite=options.overwrite)
    return counts | {"features": [spec["name"] for spec in specs]}


def compute_features(manifest: Location, out: Location, specs: Sequence[Spec], *, overwrite: bool = False) -> Counts:
    """The pass of `extract_features`, for specs made by `feature_spec`: also those that another table was made with.

    Raises:
        InputError: As in `run_pass`.
    """
    return run_pass(
        "features",
        manifest,
        out,
        _FeatureWorker,
        {"features": list(specs), "decode_version": DECODE_VERSION},
        overwrite=overwrite,
        gpus=any(map(needs_model, specs)),
    )


def feature_spec(name: str, options: FeatureOptions) -> dict[str, Any]:
    """A feature's name and settings as JSON values, from which every actor builds the same feature.

    Raises:
        InputError: There is no such feature.
    """
    if name not in FEATURES:
        raise InputError(
            f"--features: there is no feature {name!r} ({', '.join(FEATURES)}){did_you_mean(name, FEATURES)}"
        )
    spec: dict[str, Any] = {"name": name}
    if name not in ("texture", "objects"):  # these two have a decode size of their own
        spec["size"] = options.size or EMBEDDED.get(options.backbone, 224)
    if name == "palette":
        spec["n"] = options.colors
    if name == "objects":
        if options.detector is None:
            raise InputError("--features objects: needs --detector")
        spec["detector"] = str(options.detector)
    if name == "embedding":
        spec |= {"backbone": options.backbone, "weights": options.weights, "statistics": options.statistics}
    return spec


@dataclass(frozen=True)
class _Prepared:
    """Rows as far as CPUs bring them.

    Attributes:
        rows: Of the manifest, with their state and the columns of the features that need no model.
        readable: Which rows have a picture.
        images: Those pictures for the features that need a model, by side: (n, side, side, 3).
    """

    rows: pa.Table
    readable: list[int]
    images: dict[int, Picture]


class _FeatureWorker(StagedWorker):
    """Computes features; those that are a model's output where the model is (see `artray.storage.gpus`)."""

    def __init__(self, features: list[dict[str, Any]], decode_version: int):
        self._specs = features
        self._features = [build_feature(spec) for spec in features]
        self._views = list(dict.fromkeys(DecodeSize(feature.size) for feature in self._features))
        self._computed = [name for spec in features for name in columns_of(spec)]
        self.batch = batch_of(gpu_memory())
        for feature in self._features:
            if isinstance(feature, Embedding) and self.batch > BATCH:
                feature.batch_size = largest_batch(self.batch, feature.size)

    def prepare(self, rows: pa.Table) -> Iterator[_Prepared]:
        """State, features without model, and the pictures for the others."""
        for pictures in read_pictures(make_room(rows, [*STATE.names, *self._computed]), self._views):
            table = pictures.rows
            for name in pictures.state.column_names:
                table = table.append_column(name, pictures.state[name])
            images = {view.size: np.stack(found) for view, found in pictures.images.items() if found}
            for feature in self._chosen(model=False):
                values = feature(images[feature.size]) if images else {}
                for field in feature.fields:
                    column = pictures.spread(values[field.name]) if images else pa.nulls(len(table), field.type)
                    table = table.append_column(field, column)
            wanted = {feature.size for feature in self._chosen(model=True)}
            shown = {side: stack for side, stack in images.items() if side in wanted}
            yield _Prepared(table, pictures.readable, shown)

    def warm(self) -> None:
        """One picture through each model."""
        for feature in self._chosen(model=True):
            feature(np.zeros((1, feature.size, feature.size, 3), np.uint8))

    def finish(self, prepared: Sequence[_Prepared]) -> pa.Table:
        """All columns, in the features' order."""
        table = pa.concat_tables([one.rows for one in prepared])
        starts = np.cumsum([0, *(len(one.rows) for one in prepared)]).tolist()
        readable = [start + row for start, one in zip(starts, prepared, strict=False) for row in one.readable]
        for feature in self._chosen(model=True):
            images = [one.images[feature.size] for one in prepared if one.readable]
            values = feature(images[0] if len(images) == 1 else np.concatenate(images)) if images else {}
            for field in feature.fields:
                column = (
                    spread(values[field.name], readable, len(table)) if images else pa.nulls(len(table), field.type)
                )
                table = table.append_column(field, column)
        return table.select([*(name for name in table.column_names if name not in self._computed), *self._computed])

    def _chosen(self, *, model: bool) -> list[Feature]:
        return [
            feature for spec, feature in zip(self._specs, self._features, strict=True) if needs_model(spec) == model
        ]
