"""Model bundles at work: decoded pictures in, scores out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray

from artray.collection import storage
from artray.collection.passes import actor_cpus
from artray.collection.pictures import BATCH, Picture, View, read_pictures
from artray.errors import InputError
from artray.features.stage import build_feature, columns_of
from artray.labeling.work import read_features
from artray.models.batches import predict
from artray.patches import draw
from artray.training.bundle import Bundle, load_bundle, load_model
from artray.training.data import feature_matrix, resized
from artray.training.evaluation import by_artwork

_GPU_BATCH = 256

Scores = npt.NDArray[np.float32]


def identity(bundle: Bundle) -> str:
    """Changes with everything in a bundle that its labels depend on."""
    parts = bundle.model_dump(include={"task", "classes", "input", "decode_version", "model_sha"})
    return storage.fingerprint(json.dumps(parts, sort_keys=True).encode())


def specs_of(bundle: Bundle) -> list[dict[str, Any]]:
    """The features that a bundle's model needs; none where it looks at pictures or patches.

    The table it was trained on may have had more.
    """
    specs: list[dict[str, Any]] = bundle.input.get("features", [])
    columns = {*bundle.input.get("columns", []), *(["color_map"] if bundle.input.get("color_maps") else [])}
    return [spec for spec in specs if columns & set(columns_of(spec))]


class Inputs:
    """What models are given of one batch of pictures; what several of them need is computed once.

    Args:
        ids: The pictures' object_ids.
        images: The pictures in each view.
        computed: Features that are known already, by spec.
        features: Feature extractors by spec, kept from batch to batch.
    """

    def __init__(
        self,
        ids: Sequence[str],
        images: Mapping[View, Sequence[Picture]],
        computed: dict[str, Mapping[str, Any]],
        features: dict[str, Any],
    ):
        self.ids = ids
        self.images = images
        self._computed = computed
        self._features = features

    def columns(self, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        """A feature's columns for these pictures."""
        key = _key(spec)
        if key not in self._computed:
            feature = self._features[key]
            self._computed[key] = feature(np.stack(self.images[View(feature.size)]))
        return self._computed[key]


class BundleModel:
    """One bundle's model with its way from pictures to inputs.

    Attributes:
        bundle: What the bundle says of itself.
        specs: The features it needs.
        views: How it wants pictures decoded.
    """

    def __init__(self, uri: str, features: dict[str, Any], batch: int = BATCH):
        """Load a bundle.

        Args:
            uri: The bundle.
            features: Feature extractors by spec, shared with other bundles; filled up here.
            batch: How many inputs go through the model at once.
        """
        self.bundle: Bundle = load_bundle(uri)
        self.specs = specs_of(self.bundle)
        self._model = load_model(uri, self.bundle)
        self._input = self.bundle.input
        self._batch = _largest_batch(batch, self._input.get("model_size") or self._input.get("size") or 0)
        for spec in self.specs:
            if _key(spec) not in features:
                features[_key(spec)] = build_feature(spec)
        if self._input["kind"] == "features":
            self.views = [View(size) for size in sorted({features[_key(spec)].size for spec in self.specs})]
        elif self._input["kind"] == "patches":
            self.views = [View(self._input["long_side"], "inside")]
        else:
            self.views = [View(self._input["size"])]

    def scores(self, inputs: Inputs) -> Scores:
        """Scores of pictures, (n, classes)."""
        if self._input["kind"] == "features":
            columns = {name: values for spec in self.specs for name, values in inputs.columns(spec).items()}
            return self._predict(np.concatenate(list(feature_matrix(columns, self._input).values()), axis=1))
        images = inputs.images[self.views[0]]
        if self._input["kind"] == "pictures":
            return self._predict(np.stack(images))
        return self._from_patches(images, inputs.ids)

    def _from_patches(self, images: Sequence[Picture], ids: Sequence[str]) -> Scores:
        settings = {name: self._input[name] for name in ("size", "per_image", "seed")}
        patches = [
            resized(patch, self._input["model_size"])
            for image, object_id in zip(images, ids, strict=True)
            for patch in draw(image, object_id, **settings)
        ]
        owners = np.repeat([f"{position:09d}" for position in range(len(ids))], settings["per_image"]).tolist()
        _, scores = by_artwork(owners, self._predict(np.stack(patches)))
        return scores.astype(np.float32)

    def _predict(self, inputs: npt.NDArray[Any]) -> Scores:
        scores: Scores = predict(self._model, inputs, self._batch)
        return scores


class LabelWorker:
    """Labels chunks of a run's work with several bundles: each picture is fetched once and decoded once a view.

    Its rows hold all of a picture's scores (`scores_0` for the first bundle, …; null where that model has nothing to
    do), so that a picture is either done for every task or for none.
    """

    def __init__(self, models: Sequence[dict[str, str]], features: dict[str, Any] | None, decode_version: int):
        """Load the bundles.

        Args:
            models: `uri`, `identity` and `task` of each.
            features: `uri` and `specs` of the feature table that the work's `part` and `row` point into.
            decode_version: Of this release; as one of the run's settings.

        Raises:
            InputError: A bundle can't be used, or is not the one that the run began with.
        """
        batch = _GPU_BATCH if ray.is_initialized() and ray.get_gpu_ids() else BATCH
        self._extractors: dict[str, Any] = {}
        self._models = [BundleModel(model["uri"], self._extractors, batch) for model in models]
        for model, loaded in zip(models, self._models, strict=True):
            if identity(loaded.bundle) != model["identity"]:
                raise InputError(f"{model['uri']}: was replaced while it was labelling; run the same command again")
        for extractor in self._extractors.values():
            if hasattr(extractor, "batch_size"):
                extractor.batch_size = _largest_batch(batch, extractor.size)
        self._batch = batch
        self._table = features["uri"] if features else ""
        self._stored = [spec for spec in (features["specs"] if features else []) if _key(spec) in self._extractors]

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of the work to rows with `status`, `error` and each bundle's scores."""
        return pa.concat_tables(
            [table for models, part, group in _alike(rows) for table in self._label(models, part, group)]
        )

    def _label(self, needed: int, part: str | None, rows: pa.Table) -> Iterator[pa.Table]:
        """Rows that need the same models and whose features are in the same part of the feature table."""
        chosen = [number for number in range(len(self._models)) if needed >> number & 1]
        stored = self._read_stored(part, rows) if part else None
        keys = {_key(spec) for spec in self._stored} if part else set()
        looking = [
            self._models[number]
            for number in chosen
            if not self._models[number].specs or {_key(spec) for spec in self._models[number].specs} - keys
        ]
        views = list(dict.fromkeys(view for model in looking for view in model.views))
        if stored is not None and not views:
            yield self._scored(rows, stored.select(["status", "error"]), {}, chosen, stored)
            return
        start = 0
        for pictures in read_pictures(rows, views, self._batch, actor_cpus()):
            near = stored.slice(start, len(pictures.rows)) if stored is not None else None
            state = pictures.state.select(["status", "error"])
            yield self._scored(pictures.rows, state, pictures.images, chosen, near)
            start += len(pictures.rows)

    def _read_stored(self, part: str, rows: pa.Table) -> pa.Table:
        columns = dict.fromkeys(name for spec in self._stored for name in columns_of(spec))
        places, ids = rows["row"].to_pylist(), rows["object_id"].to_pylist()
        return read_features(self._table, part, places, ids, list(columns))

    def _scored(
        self,
        rows: pa.Table,
        state: pa.Table,
        images: Mapping[View, Sequence[Picture]],
        chosen: Sequence[int],
        stored: pa.Table | None,
    ) -> pa.Table:
        table = rows.select(["object_id", "image_uri", "models"])
        for name in state.column_names:
            table = table.append_column(name, state[name])
        readable = [row for row, status in enumerate(state["status"].to_pylist()) if status == "ok"]
        computed: dict[str, Mapping[str, Any]] = {}
        if stored is not None:
            known = stored.take(pa.array(readable, pa.int64()))
            computed = {_key(spec): {name: known[name] for name in columns_of(spec)} for spec in self._stored}
        ids = table["object_id"].take(pa.array(readable, pa.int64())).to_pylist()
        inputs = Inputs(ids, images, computed, self._extractors)
        position = dict(zip(readable, range(len(readable)), strict=True))
        places = pa.array([position.get(row) for row in range(len(rows))], pa.int64())
        for number, model in enumerate(self._models):
            column = pa.nulls(len(table), pa.list_(pa.float32()))
            if number in chosen and readable:
                column = storage.list_column(model.scores(inputs)).take(places)
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


def _key(spec: Mapping[str, Any]) -> str:
    return json.dumps(spec, sort_keys=True)


def _largest_batch(batch: int, side: int) -> int:
    """How many pictures have about the pixels of `batch` pictures of 224 by 224: a model's memory grows with them."""
    return max(1, batch // max(1, side // 224) ** 2)
