"""A trained classifier on a few pictures: in this process, without Ray."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads

from artray import console
from artray.api.collections import Collection
from artray.api.pictures import Given, given_pictures
from artray.bundles.bundle_model import BundleModel
from artray.bundles.classifier import Bundle, read_evaluation, read_predictions
from artray.bundles.inputs import PatchInput, Works
from artray.features.specs import Extractors, needs_model
from artray.images.pictures import Pictures
from artray.labeling.contract import models_of
from artray.labeling.exports.source import DECISION, LabelledTask
from artray.labeling.label_rows import label_rows
from artray.storage import Location, list_column
from artray.storage.chunks import BATCH

_SINGLY = 16
"""Fewer pictures go through a model one by one: a batch is filled up to its whole size."""
_COLUMNS = (
    "object_id", "image_uri", "label", "labels", "label_uri", "score", "scores", "novelty", "status", "error",
    "model_id",
)  # fmt: skip


class Classifier:
    """A model bundle that was opened; its network is loaded at the first prediction.

    Attributes:
        bundle: What `bundle.json` says: task, classes, input, figures, versions.
    """

    def __init__(self, uri: Location, detector: Location | None = None):
        """Read a bundle's description.

        Args:
            uri: The bundle.
            detector: An object detector, for models that need one.

        Raises:
            InputError: It is no bundle, or one that this release can't use, or the file of its backbone is another one.
        """
        self._uri = uri
        self._model = BundleModel(uri, BATCH)
        for spec in self._model.specs.values():
            self._model.bundle.input.check_backbone(spec)
        self._extractors = Extractors(BATCH, detector)
        self.bundle: Bundle = self._model.bundle

    @property
    def task(self) -> str:
        """What it labels: `style`, `medium`, …."""
        return self.bundle.task

    @property
    def classes(self) -> list[str]:
        """The labels that it knows, in the order of its scores."""
        return [item.name for item in self.bundle.classes]

    @property
    def evaluation(self) -> dict[str, Any]:
        """How good it is on works that it never saw: `evaluation.json`."""
        return read_evaluation(self._uri)

    @property
    def predictions(self) -> Collection:
        """What is true of each labelled work, and what was said of it: `predictions.parquet`."""
        return Collection(read_predictions(self._uri))

    def predict(self, pictures: Given) -> Collection:
        """Label pictures, as `label-catalog` does.

        They are read, prepared and judged in this process, some at a time. For more than some thousand take the station
        `label-catalog`, which uses all CPUs and machines, and goes on where it was.

        Args:
            pictures: A path or s3:// address, a file's bytes, an image of Pillow, an array of numbers 0 to 255; any
                number of these; or a manifest: its place, an `artray.Collection`, or a table with `image_uri`.

        Returns:
            A row a picture, in the order in which they were given: `object_id` (of a path the path, of an array its
            number), `label`, `score`, `scores` and the others of the labels' contract, without `run_id` and
            `labeled_at`. `decision` is `label`, or `uncertain` where the score is below the bundle's threshold, the
            work looks like none of the classes, or the model is no better than chance. A picture that can't be read
            has a `status` other than ok, and no label.

        Raises:
            InputError: Something given is no picture, or the model is damaged or needs a detector.

        Example:
            `artray.load_bundle("work/model").predict("scans/12.jpg").to_pandas()`
        """
        given = given_pictures(pictures)
        quiet_keras()
        batch = 1 if len(given) < _SINGLY and not isinstance(self.bundle.input, PatchInput) else BATCH
        self._extractors.batch, self._model.batch = batch, self.bundle.input.batch_size(batch)
        staged = [self._scored(pictures) for pictures in given.read(self._model.decode_sizes)]
        told = "novelty" if self.bundle.novelty_sha is not None else None
        now = datetime.now(timezone.utc)
        rows = label_rows(pa.concat_tables(staged), "scores_0", self.bundle, "", now, novelty=told)
        return Collection(self._decided(rows.select(_COLUMNS)))

    def _scored(self, pictures: Pictures) -> pa.Table:
        """A batch's rows with `status`, `error`, `scores_0` and `novelty`."""
        table = pictures.rows
        for name in ("status", "error"):
            table = table.append_column(name, pictures.state[name])
        scores, novelty = pa.nulls(len(table), pa.list_(pa.float32())), pa.nulls(len(table), pa.float32())
        if pictures.readable:
            ids = table["object_id"].take(pa.array(pictures.readable, pa.int64())).to_pylist()
            works = Works(ids, pictures.images, self._extractors)
            specs = self._model.specs.values()
            with ThreadPoolExecutor(1) as pool:  # by another core, while the network runs
                others = [pool.submit(works.columns, spec) for spec in specs if not needs_model(spec)]
                for spec in filter(needs_model, specs):
                    works.columns(spec)
                for other in others:
                    other.result()
            inputs = self.bundle.input.prepare(works)
            scores = pictures.spread(list_column(self._model.scores(inputs)))
            values = self._model.novelty(inputs)
            if values is not None:
                novelty = pictures.spread(pa.array(values, pa.float32()))
        return table.append_column("scores_0", scores).append_column("novelty", novelty)

    def _decided(self, rows: pa.Table) -> pa.Table:
        """Rows of labels with `decision`, by the rules of the exports."""
        bundle = self.bundle
        told = {"model_id": bundle.model_id, "abstain": bundle.metrics.get("abstain"), "doubt": bundle.doubt}
        models = models_of([{"bundles": [told]}])
        task = LabelledTask(
            bundle.task,
            pads.dataset(rows),
            thresholds=models.thresholds,
            multilabel=bundle.multilabel,
            doubts=models.doubts,
        )
        return rows.append_column(DECISION, task.decisions(rows))

    def __repr__(self) -> str:
        return f"<{self.bundle.model_id}: {self.task} ({', '.join(self.classes)})>"


def load_bundle(uri: str | os.PathLike[str] | Location, detector: str | os.PathLike[str] | None = None) -> Classifier:
    """Open a model bundle that `train` wrote.

    Args:
        uri: Its folder or s3:// prefix.
        detector: A TensorFlow SavedModel of the Object Detection API, for models that need one.

    Raises:
        InputError: It is no bundle, or one that this release can't use.

    Example:
        `artray.load_bundle("work/model").predict(["a.jpg", "b.jpg"]).to_pandas()`
    """
    return Classifier(Location.parse(uri), None if detector is None else Location.parse(detector))


def quiet_keras() -> None:
    """Import Keras without what TensorFlow says of itself on standard error."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with console.silent_stderr():
        import keras

        _ = keras
