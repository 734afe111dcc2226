"""Model bundles at work: rows of a run's work in, scores out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray

from artray.bundles.classifier import Bundle, load_bundle, load_model
from artray.bundles.inputs import Works
from artray.errors import InputError
from artray.features.specs import Columns, Extractors, columns_of, spec_key
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.labeling.plan import read_features
from artray.models.batches import predict
from artray.storage import Location, digest, list_column
from artray.storage.chunks import BATCH
from artray.storage.passes import actor_cpus

_GPU_BATCH = 256

Scores = npt.NDArray[np.float32]


def identity(bundle: Bundle) -> str:
    """Changes with everything in a bundle that its labels depend on."""
    told = {"task", "classes", "input", "decode_version", "model_sha"}
    # Of a single label nothing more is asked, so that what older releases have labelled stays.
    parts = bundle.model_dump(include=told | ({"labels", "thresholds"} if bundle.multilabel else set()))
    return digest(json.dumps(parts, sort_keys=True).encode())


class BundleModel:
    """One bundle's model with its way from works to scores.

    Attributes:
        bundle: What the bundle says of itself.
        features: Those it needs, by `spec_key`.
        decode_sizes: How it wants pictures decoded.
    """

    def __init__(self, uri: Location, batch: int):
        """Load a bundle.

        Args:
            uri: The bundle.
            batch: How many inputs go through the model at once, if they are pictures of 224 by 224 or smaller.
        """
        self.bundle: Bundle = load_bundle(uri)
        self.features = frozenset(map(spec_key, self.bundle.input.specs()))
        self.decode_sizes = self.bundle.input.decode_sizes()
        self._model = load_model(uri, self.bundle)
        self._batch = self.bundle.input.batch_size(batch)

    def scores(self, works: Works) -> Scores:
        """Scores of works, (n, classes)."""
        given = self.bundle.input
        return given.by_work(predict(self._model, given.prepare(works), self._batch))


class LabelWorker:
    """Labels chunks of a run's work with several bundles: each picture is fetched once, and decoded once for each size.

    Its rows hold all of a picture's scores (`scores_0` for the first bundle, …; null where that model has nothing to
    do), so that a picture is either done for every task or for none.
    """

    def __init__(
        self,
        models: Sequence[dict[str, str]],
        features: dict[str, Any] | None,
        decode_version: int,
        detector: str | None = None,
    ):
        """Load the bundles.

        Args:
            models: `uri`, `identity` and `task` of each.
            features: `uri` and `specs` of the feature table that the work's `part` and `row` point into.
            decode_version: Of this release; as one of the run's settings.
            detector: The object detector that the user names; the one that a bundle names is not loaded.

        Raises:
            InputError: A bundle can't be used, or is not the one that the run began with.
        """
        batch = _GPU_BATCH if ray.is_initialized() and ray.get_gpu_ids() else BATCH
        self._extractors = Extractors(batch, Location(detector) if detector else None)
        self._models = [BundleModel(Location(model["uri"]), batch) for model in models]
        for model, loaded in zip(models, self._models, strict=True):
            if identity(loaded.bundle) != model["identity"]:
                raise InputError(f"{model['uri']}: was replaced while it was labelling; run the same command again")
        self._batch = batch
        self._table = Location(features["uri"]) if features else None
        needed = {key for model in self._models for key in model.features}
        self._stored = [spec for spec in (features["specs"] if features else []) if spec_key(spec) in needed]

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of the work to rows with `status`, `error` and each bundle's scores."""
        return pa.concat_tables(
            [table for models, part, group in _alike(rows) for table in self._label(models, part, group)]
        )

    def _label(self, needed: int, part: str | None, rows: pa.Table) -> Iterator[pa.Table]:
        """Rows that need the same models and whose features are in the same part of the feature table."""
        chosen = [number for number in range(len(self._models)) if needed >> number & 1]
        stored = self._read_stored(part, rows) if part else None
        at_hand = {spec_key(spec) for spec in self._stored} if part else set()
        models = [self._models[number] for number in chosen]
        looking = [model for model in models if not model.features or model.features - at_hand]
        decode_sizes = list(dict.fromkeys(decode_size for model in looking for decode_size in model.decode_sizes))
        if stored is not None and not decode_sizes:
            yield self._scored(rows, stored.select(["status", "error"]), {}, chosen, stored)
            return
        start = 0
        for pictures in read_pictures(rows, decode_sizes, self._batch, actor_cpus()):
            near = stored.slice(start, len(pictures.rows)) if stored is not None else None
            state = pictures.state.select(["status", "error"])
            yield self._scored(pictures.rows, state, pictures.images, chosen, near)
            start += len(pictures.rows)

    def _read_stored(self, part: str, rows: pa.Table) -> pa.Table:
        columns = dict.fromkeys(name for spec in self._stored for name in columns_of(spec))
        places, ids = rows["row"].to_pylist(), rows["object_id"].to_pylist()
        assert self._table is not None  # rows have a part only where there is a table
        return read_features(self._table, part, places, ids, list(columns))

    def _scored(
        self,
        rows: pa.Table,
        state: pa.Table,
        images: Mapping[DecodeSize, Sequence[Picture]],
        chosen: Sequence[int],
        stored: pa.Table | None,
    ) -> pa.Table:
        table = rows.select(["object_id", "image_uri", "models"])
        for name in state.column_names:
            table = table.append_column(name, state[name])
        readable = [row for row, status in enumerate(state["status"].to_pylist()) if status == "ok"]
        known: dict[str, Columns] = {}
        if stored is not None:
            rows_at_hand = stored.take(pa.array(readable, pa.int64()))
            known = {spec_key(spec): {name: rows_at_hand[name] for name in columns_of(spec)} for spec in self._stored}
        ids = table["object_id"].take(pa.array(readable, pa.int64())).to_pylist()
        works = Works(ids, images, self._extractors, known)
        position = dict(zip(readable, range(len(readable)), strict=True))
        places = pa.array([position.get(row) for row in range(len(rows))], pa.int64())
        for number, model in enumerate(self._models):
            column = pa.nulls(len(table), pa.list_(pa.float32()))
            if number in chosen and readable:
                scores = model.scores(works)
                column = list_column(scores).take(places)
            table = table.append_column(f"scores_{number}", column)
        return table


def _alike(rows: pa.Table) -> Iterator[tuple[int, str | None, pa.Table]]:
    """Runs of rows with the same `models` and `part`."""
    kinds = list(zip(rows["models"].to_pylist(), rows["part"].to_pylist(), strict=True))
    start = 0
    for end in range(1, len(kinds) + 1):
        if end == len(kinds) or kinds[end] != kinds[start]:
            yield *kinds[start], rows.slice(start, end - start)
            start = end
