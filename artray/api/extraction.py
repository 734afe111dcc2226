"""Features of a few pictures: in this process, without a cluster."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.api.collections import Collection
from artray.api.pictures import Given, GivenPictures, given_pictures
from artray.api.prediction import quiet_keras
from artray.errors import InputError, did_you_mean
from artray.features.embedding import Embedding
from artray.features.options import FeatureOptions, requested_specs
from artray.features.specs import DEFAULT_FEATURES, Extractors, Spec, needs_model
from artray.images.pictures import DecodeSize
from artray.job import validate
from artray.models import DEFAULT_BACKBONE
from artray.models.sizes import backbone_size
from artray.storage.chunks import BATCH
from artray.storage.location import Location

Errors = Literal["raise", "nan"]

_SINGLY = 16
_NAMED = 3
_SETTINGS = ("size", "colors", "backbone", "weights", "precision", "statistics", "embed")
"""Options of the station that mean something here: nothing is written."""
_extractors = Extractors(BATCH)
"""Networks are built once a process."""


def embed(
    pictures: Given,
    *,
    backbone: str = DEFAULT_BACKBONE,
    size: int | None = None,
    weights: str | None = "imagenet",
    statistics: bool = False,
    errors: Errors = "raise",
) -> npt.NDArray[np.float32]:
    """Embed pictures by a frozen network, as `extract-features` does.

    The network is built once a process. Weights of the default one come with the installation.

    Args:
        pictures: As for `Classifier.predict`.
        backbone: A name that `extract-features --backbone` takes, or a `.keras` file.
        size: Side in pixels at which the network sees pictures; default: what it was trained with, else 224.
        weights: imagenet, None or a file.
        statistics: Give the style statistics of every block instead of the embedding (EfficientNet-Lite only).
        errors: What to do about pictures that can't be read. raise: say which; nan: their rows hold NaN.

    Returns:
        (n, d) float32, a row a picture; of `efficientnet-lite0` d is 1,280, of its statistics 6,176.

    Raises:
        InputError: A picture can't be read, something given is none, or the network can't be had.

    Example:
        `artray.embed(["a.jpg", "b.jpg"]).shape`
    """
    given = given_pictures(pictures)
    quiet_keras()
    side = size or backbone_size(backbone)
    spec = {
        "name": Embedding.name,
        "size": side,
        "backbone": backbone,
        "weights": weights,
        "statistics": statistics,
    }
    name = "style_statistics" if statistics else "embedding"
    table = _computed(given, [spec], _extractors)
    if errors == "raise" and (told := unreadable(table)):
        raise InputError(f"{told}; leave them out, or have NaN for them by errors='nan'")
    column = table[name].combine_chunks()
    values = column.drop_null()
    blank = np.zeros((1, side, side, 3), np.uint8)
    width = len((values if len(values) else _extractors[spec](blank)[name])[0])
    vectors = np.full((len(table), width), np.nan, np.float32)
    vectors[np.asarray(column.is_valid())] = np.asarray(values.flatten()).reshape(len(values), width)
    return vectors


def extract(
    pictures: Given, features: Sequence[str] = DEFAULT_FEATURES, *, detector: str | None = None, **settings: Any
) -> Collection:
    """Compute features of pictures, as `extract-features` does.

    Args:
        pictures: As for `Classifier.predict`.
        features: Which: palette, brightness, texture, colormaps, embedding, objects.
        detector: A TensorFlow SavedModel of the Object Detection API, for objects.
        settings: The station's other options: `size`, `colors`, `backbone`, `weights`, `precision`,
            `statistics`, `embed`.

    Returns:
        A row a picture with `object_id`, `image_uri`, `status`, `error`, `width`, `height` and the features' columns,
        null where a picture can't be read.

    Raises:
        InputError: There is no such feature or setting, or something given is no picture.

    Example:
        `artray.extract("scans/12.jpg", ["brightness", "palette"], colors=5).to_pandas()`
    """
    unknown = [name for name in settings if name not in _SETTINGS]
    if unknown:
        hint = did_you_mean(unknown[0], _SETTINGS)
        raise InputError(f"extract: {unknown[0]}: unknown key{hint} (there are: {', '.join(_SETTINGS)})")
    nowhere = Location.parse(os.curdir)
    told = {"manifest": nowhere, "out": nowhere, "detector": detector, "features": list(features), **settings}
    options = validate(FeatureOptions, told, "extract")
    specs = requested_specs(options)
    if any(map(needs_model, specs)):
        quiet_keras()
    extractors = Extractors(BATCH, options.detector) if options.detector else _extractors
    return Collection(_computed(given_pictures(pictures), specs, extractors))


def _computed(given: GivenPictures, specs: Sequence[Spec], extractors: Extractors) -> pa.Table:
    """The pictures' rows with their state and the features' columns."""
    extractors.batch = 1 if len(given) < _SINGLY else BATCH
    features = [extractors[spec] for spec in specs]
    sizes = list(dict.fromkeys(DecodeSize(feature.size) for feature in features))
    tables = []
    for pictures in given.read(sizes):
        table = pictures.rows
        for name in pictures.state.column_names:
            table = table.append_column(name, pictures.state[name])
        for feature in features:
            images = pictures.images[DecodeSize(feature.size)]
            values = feature(np.stack(images)) if images else {}
            for field in feature.fields:
                column = pictures.spread(values[field.name]) if images else pa.nulls(len(table), field.type)
                table = table.append_column(field, column)
        tables.append(table)
    return pa.concat_tables(tables)


def unreadable(table: pa.Table) -> str | None:
    """Which pictures can't be read, in words; None where all can.

    Args:
        table: `object_id` and `status`.
    """
    rows = table.select(["object_id", "status"]).to_pylist()
    bad = [f"{row['object_id']} ({row['status']})" for row in rows if row["status"] != "ok"]
    if not bad:
        return None
    more = f" and {len(bad) - _NAMED:,} more" if len(bad) > _NAMED else ""
    return f"{len(bad):,} of {len(table):,} pictures can't be read: {', '.join(bad[:_NAMED])}{more}"
