"""What a model is worth in one form: how large, how fast, how often right, and how near to the model it comes from."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.classifier import Bundle
from artray.classifiers.calibration import reliability
from artray.classifiers.metrics import decisions, evaluate
from artray.exports.forms import Floats, Runner
from artray.exports.works import Judges

BATCH = 16
_SECONDS, _LEAST = 1.0, 3  # how long, and how often at least, a batch is run to find its time


def scores_of(run: Runner, bundle: Bundle, judges: Judges) -> Floats:
    """The works' scores in a form, (works, classes); batches are filled up, as a form may compile each size anew."""
    inputs = judges.inputs
    blocks = []
    for start in range(0, len(inputs), BATCH):
        block = inputs[start : start + BATCH]
        blocks.append(run(_filled(block))[: len(block)])
    return bundle.input.by_work(np.concatenate(blocks).astype(np.float32))


def rate_of(run: Runner, inputs: npt.NDArray[Any], seconds: float = _SECONDS) -> float:
    """Inputs a second through a form alone, in batches of 16; of several tries the best."""
    batch = _filled(inputs[:BATCH])
    run(batch)
    best, begun, tries = float("inf"), time.perf_counter(), 0
    while tries < _LEAST or time.perf_counter() - begun < seconds:
        started = time.perf_counter()
        run(batch)
        best, tries = min(best, time.perf_counter() - started), tries + 1
    return BATCH / best


def figures_of(scores: Floats, model: Floats, bundle: Bundle, true: npt.NDArray[np.int64]) -> dict[str, Any]:
    """What a form's scores are worth.

    Args:
        scores: (works, classes) of the form.
        model: Those of the bundle's model.
        bundle: The bundle.
        true: As `Judges` has it.

    Returns:
        `accuracy`, `balanced_accuracy`, `calibration_error` (of 15 bins), all 0..1; `agreement`, the share of works
        with the model's own label or labels, and `difference`, the largest one between two scores.
    """
    thresholds = bundle.class_thresholds()
    metrics = evaluate(true, scores, [item.name for item in bundle.classes], thresholds)
    said, told = (decisions(each, bundle.multilabel, thresholds) for each in (scores, model))
    return {
        "accuracy": round(float(metrics["accuracy"]), 4),
        "balanced_accuracy": round(float(metrics["balanced_accuracy"]), 4),
        "calibration_error": reliability(true, scores, None if bundle.multilabel else said.argmax(axis=1))["ece"],
        "agreement": round(float((said == told).all(axis=1).mean()), 4),
        "difference": float(np.abs(scores - model).max()),
    }


def size_of(files: Sequence[Path]) -> dict[str, int]:
    """`bytes` of files, and `compressed`: of each by zlib, as in a ZIP archive."""
    data = [file.read_bytes() for file in files]
    return {"bytes": sum(map(len, data)), "compressed": sum(len(zlib.compress(each)) for each in data)}


def _filled(block: npt.NDArray[Any]) -> Floats:
    """A batch of `BATCH` inputs."""
    return np.resize(block, (BATCH, *block.shape[1:])).astype(np.float32)
