"""Whether a bundle says the same in bfloat16 as in float32, by works that it has not learned from.

It does where 99.5 % of the test part's works get the same label, and where the calibration error is no more than .005
away. The validation part helps where the test part is small: of what a model has learned from it is surer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.bundle_model import BundleModel
from artray.bundles.classifier import Bundle, load_bundle, read_predictions
from artray.bundles.inputs import Works
from artray.classifiers.calibration import calibration_error
from artray.classifiers.metrics import decisions
from artray.features.specs import Extractors
from artray.images.pictures import read_pictures
from artray.storage import Location
from artray.storage.chunks import BATCH

AGREEMENT = 0.995
"""The share of the labels that must be the same."""
CALIBRATION = 0.005
"""How far the calibration error may be from float32's."""
WORKS = 400
"""By which it is checked, at most."""
LEAST = 50
"""Fewer works than these tell nothing."""

_NONE = -1  # the class of a work that has none

Floats = npt.NDArray[np.floating[Any]]


def check_half(uri: Location, works: int = WORKS) -> dict[str, Any]:
    """Compare a bundle's labels in bfloat16 with those in float32, by works of its test part.

    Where these are fewer than `LEAST`, the validation part is taken too.

    Their pictures are read. Of works that can't be read nothing is told.

    Returns:
        JSON values: `n` works, `agreement` of the labels, `calibration_error` in `float32` and in `bfloat16`, and
        whether it `holds`.
    """
    bundle = load_bundle(uri)
    rows = read_predictions(uri)
    if "image_uri" not in rows.column_names:
        return {"n": 0, "holds": False}
    rows = rows.filter(pc.and_(pc.not_equal(rows["part"], "train"), pc.is_valid(rows["image_uri"])))
    tested = rows.filter(pc.equal(rows["part"], "test"))
    rows = tested if len(tested) >= LEAST else rows
    if len(rows) > works:
        rows = rows.take(np.sort(np.random.default_rng(0).permutation(len(rows))[:works]))
    models = {half: BundleModel(uri, BATCH, half=half) for half in (False, True)}
    extractors = {half: Extractors(BATCH, half=half) for half in (False, True)}
    kept: list[int] = []
    scores: dict[bool, list[Floats]] = {False: [], True: []}
    start = 0
    for pictures in read_pictures(rows.select(["object_id", "image_uri"]), models[False].decode_sizes):
        if pictures.readable:
            ids = pictures.rows["object_id"].take(pa.array(pictures.readable)).to_pylist()
            for half, model in models.items():
                inputs = bundle.input.prepare(Works(ids, pictures.images, extractors[half]))
                scores[half].append(model.scores(inputs))
            kept += [start + row for row in pictures.readable]
        start += len(pictures.rows)
    if len(kept) < LEAST:
        return {"n": len(kept), "holds": False}
    names = [item.name for item in bundle.classes]
    true = _true(rows.take(pa.array(kept)), names)
    return compared(np.concatenate(scores[False]), np.concatenate(scores[True]), true, bundle)


def compared(single: Floats, half: Floats, true: npt.NDArray[np.bool_], bundle: Bundle) -> dict[str, Any]:
    """What `check_half` says, from scores.

    Args:
        single: (n, classes) in float32.
        half: (n, classes) in bfloat16.
        true: (n, classes) which labels are right.
        bundle: Says whether a work may have several, and which label is said where it has one.
    """
    thresholds = bundle.class_thresholds()
    said = [decisions(scores, bundle.multilabel, thresholds) for scores in (single, half)]
    agreement = float((said[0] == said[1]).all(axis=1).mean())
    told = true.astype(np.int64) if bundle.multilabel else np.where(true.any(axis=1), true.argmax(axis=1), _NONE)
    given = [None if bundle.multilabel else each.argmax(axis=1) for each in said]
    errors = [calibration_error(told, *each) for each in zip((single, half), given, strict=True)]
    return {
        "n": len(single),
        "agreement": round(agreement, 4),
        "calibration_error": {"float32": round(errors[0], 4), "bfloat16": round(errors[1], 4)},
        "holds": agreement >= AGREEMENT and abs(errors[0] - errors[1]) <= CALIBRATION,
    }


def _true(rows: pa.Table, names: list[str]) -> npt.NDArray[np.bool_]:
    given = [value if isinstance(value, list) else [value] for value in rows["true"].to_pylist()]
    return np.array([[name in names_given for name in names] for names_given in given], bool)
