"""Model bundles at work: decoded pictures in, scores out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.collection.pictures import Picture, Pictures, View, read_pictures
from artray.features.stage import build_feature
from artray.patches import draw
from artray.training.bundle import Bundle, load_bundle, load_model
from artray.training.data import matrix, resized
from artray.training.evaluation import by_artwork

_BATCH = 32


class BundleModel:
    """One bundle's model with its way from pictures to inputs.

    Attributes:
        bundle: What the bundle says of itself.
        view: How it wants pictures decoded.
    """

    def __init__(self, uri: str, features: dict[str, Any]):
        """Load a bundle; feature extractors it needs are shared with other bundles through `features`."""
        self.bundle: Bundle = load_bundle(uri)
        self._model = load_model(uri, self.bundle)
        self._input = self.bundle.input
        self._features = features
        if self._input["kind"] == "features":
            for spec in self._needed():
                key = json.dumps(spec, sort_keys=True)
                if key not in features:
                    features[key] = build_feature(spec)
            sizes = {features[json.dumps(spec, sort_keys=True)].size for spec in self._needed()}
            self.views = [View(size) for size in sorted(sizes)]
        elif self._input["kind"] == "patches":
            self.views = [View(self._input["long_side"], "inside")]
        else:
            self.views = [View(self._input["size"])]

    def _needed(self) -> list[dict[str, Any]]:
        return list(self._input["features"])

    def scores(self, pictures: Pictures, computed: dict[str, dict[str, pa.Array]]) -> npt.NDArray[np.float32]:
        """Scores of the readable pictures, (n, classes).

        Args:
            pictures: A batch decoded at this model's views, among others.
            computed: Features of this batch that another bundle has computed already; filled here.
        """
        kind = self._input["kind"]
        if kind == "features":
            return self._predict(self._feature_matrix(pictures, computed))
        images = pictures.images[self.views[0]]
        if kind == "pictures":
            return self._predict(np.stack(images))
        ids = pictures.rows["object_id"].take(pictures.readable).to_pylist()
        return self._from_patches(images, ids)

    def _feature_matrix(self, pictures: Pictures, computed: dict[str, dict[str, pa.Array]]) -> npt.NDArray[np.float32]:
        columns: dict[str, pa.Array] = {}
        for spec in self._needed():
            key = json.dumps(spec, sort_keys=True)
            if key not in computed:
                feature = self._features[key]
                computed[key] = feature(np.stack(pictures.images[View(feature.size)]))
            columns |= computed[key]
        return np.concatenate([matrix(columns[name], name) for name in self._input["columns"]], axis=1)

    def _from_patches(self, images: Sequence[Picture], ids: Sequence[str]) -> npt.NDArray[np.float32]:
        settings = {name: self._input[name] for name in ("size", "per_image", "seed")}
        patches = [
            resized(patch, self._input["model_size"])
            for image, object_id in zip(images, ids, strict=True)
            for patch in draw(image, object_id, **settings)
        ]
        owners = np.repeat([f"{position:09d}" for position in range(len(ids))], settings["per_image"]).tolist()
        _, scores = by_artwork(owners, self._predict(np.stack(patches)))
        return scores.astype(np.float32)

    def _predict(self, inputs: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The model's output, in batches of one size: one compiled function, and no score depends on the batch."""
        outputs = []
        for start in range(0, len(inputs), _BATCH):
            part = inputs[start : start + _BATCH]
            filled = np.concatenate([part, np.zeros((_BATCH - len(part), *part.shape[1:]), part.dtype)])
            outputs.append(np.asarray(self._model.predict_on_batch(filled))[: len(part)])
        return np.concatenate(outputs)


class LabelWorker:
    """Labels chunks of a manifest with several bundles: each picture is fetched once and decoded once a view.

    Its rows hold all of a picture's scores (`scores_0` for the first bundle, …), so that a picture is either done
    for every task or for none.
    """

    def __init__(self, models: Sequence[dict[str, str]], decode_version: int):
        shared: dict[str, Any] = {}
        self._models = [BundleModel(model["uri"], shared) for model in models]
        self._views = list(dict.fromkeys(view for model in self._models for view in model.views))

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Rows of the manifest to rows with `status`, `error` and each bundle's scores (null where not ok)."""
        tables = []
        for pictures in read_pictures(rows.select(["object_id", "image_uri"]), self._views):
            table = pictures.rows
            for name in ("status", "error"):
                table = table.append_column(name, pictures.state[name])
            computed: dict[str, dict[str, pa.Array]] = {}
            for number, model in enumerate(self._models):
                kind = pa.list_(pa.float32(), len(model.bundle.classes))
                if pictures.readable:
                    scores = model.scores(pictures, computed)
                    column = pictures.spread(pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), type=kind))
                else:
                    column = pa.nulls(len(table), kind)
                table = table.append_column(pa.field(f"scores_{number}", kind), column)
            tables.append(table)
        return pa.concat_tables(tables)
