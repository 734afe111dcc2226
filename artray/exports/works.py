"""The works by which an exported model is judged, as its inputs: those that a bundle lists itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.classifier import Bundle
from artray.bundles.inputs import FeatureInput, Works
from artray.errors import InputError
from artray.features.specs import Extractors
from artray.images.pictures import read_pictures
from artray.storage import Location
from artray.storage.chunks import BATCH


@dataclass(frozen=True, kw_only=True)
class Judges:
    """Works of one part of a bundle's data set.

    Attributes:
        ids: Their object_ids.
        inputs: The model's, one or more of each work, as `BundleInput.prepare` gives them.
        true: (works,) class indices, or (works, classes) zeros and ones where a work may have several labels.
        left_out: Works whose picture or features are not there, by status.
    """

    ids: list[str]
    inputs: npt.NDArray[Any]
    true: npt.NDArray[np.int64]
    left_out: dict[str, int] = field(default_factory=dict)


def read_judges(
    bundle: Bundle, predictions: pa.Table, part: str, *, most: int, features: Location | None = None, seed: int = 0
) -> Judges:
    """Works of a part, with the inputs that the model sees of them.

    Args:
        bundle: Whose works they are.
        predictions: Its `predictions.parquet`.
        part: train, validation or test.
        most: How many works; of more, so many are drawn.
        features: A feature table with these works, where the model looks at features; default: they are computed from
            the pictures.
        seed: Of the draw.

    Raises:
        InputError: The part has no works, none of them can be read, or it is not said where the pictures are.
    """
    rows = predictions.filter(pc.equal(predictions["part"], part))
    if not len(rows):
        raise InputError(f"the bundle's predictions name no work of the {part} part")
    if len(rows) > most:
        rows = rows.take(np.sort(np.random.default_rng(seed).permutation(len(rows))[:most]))
    if features is not None and isinstance(bundle.input, FeatureInput):
        rows, inputs, left_out = _from_table(bundle.input, rows, features)
    else:
        rows, inputs, left_out = _from_pictures(bundle, rows)
    if not len(rows):
        told = ", ".join(f"{number:,} {status}" for status, number in left_out.items())
        raise InputError(
            f"none of the {sum(left_out.values()):,} works of the {part} part can be read ({told}). If the pictures "
            "have moved, train again from where they are; of a model of features, --features names their table"
        )
    return Judges(ids=rows["object_id"].to_pylist(), inputs=inputs, true=_true(bundle, rows), left_out=left_out)


def _from_pictures(bundle: Bundle, rows: pa.Table) -> tuple[pa.Table, npt.NDArray[Any], dict[str, int]]:
    if "image_uri" not in rows.column_names:
        raise InputError(
            "the bundle's predictions don't say where the pictures are; --features names a feature table with its works"
        )
    extractors = Extractors(BATCH)
    inputs, rows_read, states = [], [], Counter[str]()
    start = 0
    for pictures in read_pictures(rows, bundle.input.decode_sizes(), BATCH, threads=2):
        states.update(status for status in pictures.state["status"].to_pylist() if status != "ok")
        if pictures.readable:
            ids = pictures.rows["object_id"].take(pa.array(pictures.readable, pa.int64())).to_pylist()
            inputs.append(bundle.input.prepare(Works(ids, pictures.images, extractors)))
            rows_read += [start + row for row in pictures.readable]
        start += len(pictures.rows)
    inputs_read = np.concatenate(inputs) if inputs else np.zeros(0)
    return rows.take(pa.array(rows_read, pa.int64())), inputs_read, dict(states)


def _from_table(
    given: FeatureInput, rows: pa.Table, features: Location
) -> tuple[pa.Table, npt.NDArray[Any], dict[str, int]]:
    dataset = features.dataset()
    needed = [*given.columns, *(["color_map"] if given.color_maps else [])]
    for name in ("object_id", *needed):
        if name not in dataset.schema.names:
            raise InputError(f"--features {features}: has no column {name!r}, which the model needs")
    known = pc.field("object_id").isin(rows["object_id"].combine_chunks())
    table = dataset.to_table(columns=["object_id", *needed], filter=known).drop_null()
    indices = pc.index_in(rows["object_id"], table["object_id"].combine_chunks())
    there = np.flatnonzero(np.asarray(pc.is_valid(indices)))
    table = table.take(indices.drop_null())
    groups = given.groups({name: table[name] for name in needed}) if len(there) else {}
    inputs = np.concatenate(list(groups.values()), axis=1) if groups else np.zeros(0)
    absent = len(rows) - len(there)
    return rows.take(pa.array(there, pa.int64())), inputs, {"missing": absent} if absent else {}


def _true(bundle: Bundle, rows: pa.Table) -> npt.NDArray[np.int64]:
    number = {item.name: index for index, item in enumerate(bundle.classes)}
    told = rows["true"].to_pylist()
    if not bundle.multilabel:
        return np.array([number[label] for label in told], np.int64)
    has = np.zeros((len(told), len(number)), np.int64)
    for row, labels in enumerate(told):
        has[row, [number[label] for label in labels]] = 1
    return has
