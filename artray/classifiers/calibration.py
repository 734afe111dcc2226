"""Scores that mean what they say: temperature scaling, and how far scores are from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

BINS = 15
_COARSE = 20


def softmax(logits: Floats) -> Floats:
    """Probabilities of classes that exclude each other, from logits, along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True))


def sigmoid(logits: Floats) -> Floats:
    """Probabilities of classes that don't exclude each other, from logits."""
    small = np.exp(-np.abs(logits))  # never overflows
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small))


def log_loss(true: Ints, scores: Floats) -> float:
    """Mean negative logarithm of what was said of the truth.

    Args:
        true: (n,) class indices; or (n, classes) zeros and ones, where an example may have several classes: then the
            mean is over examples and classes.
        scores: (n, classes) probabilities.
    """
    said = np.where(true, scores, 1 - scores) if true.ndim == 2 else scores[np.arange(len(true)), true]
    return float(-np.log(np.clip(said, 1e-12, 1)).mean())


def fit_temperature(true: Ints, logits: Floats) -> float:
    """The temperature T that makes softmax(logits / T) best calibrated on a validation part (Guo et al. 2017).

    Log loss is convex in 1/T: a coarse grid from 1/8 to 8 finds where its minimum is, a fine one there finds it to half
    a percent.

    Args:
        true: (n,) class indices; or (n, classes) zeros and ones, for sigmoid(logits / T).
        logits: (n, classes).
    """
    link = sigmoid if true.ndim == 2 else softmax
    grid = np.geomspace(1 / 8, 8, 801)

    def best(steps: range) -> int:
        return steps[int(np.argmin([log_loss(true, link(logits / grid[step])) for step in steps]))]

    near = best(range(0, len(grid), _COARSE))
    return float(grid[best(range(max(0, near - _COARSE), min(len(grid), near + _COARSE + 1)))])


def reliability(true: Ints, scores: Floats, given: Ints | None = None) -> dict[str, Any]:
    """Expected calibration error over 15 bins of equal width, and the bins (Guo et al. 2017).

    Of classes that exclude each other the said one's score is compared with how often it is the right one; where an
    example may have several, each score with how often the example has the class.

    Args:
        true: (n,) class indices, or (n, classes) zeros and ones.
        scores: (n, classes) probabilities.
        given: (n,) the class that is said, of classes that exclude each other; default: the best.

    Returns:
        `ece`, 0..1, and `bins` from score 0 to 1: each `n`, mean `confidence` and `accuracy`, null where `n` is 0.
    """
    bins, confidence, right = _binned(true, scores, given)
    number = np.bincount(bins, minlength=BINS)
    filled = np.maximum(number, 1)
    mean = np.bincount(bins, confidence, BINS) / filled
    accuracy = np.bincount(bins, right, BINS) / filled
    return {
        "ece": round(_mean_gap(bins, confidence, right), 4),
        "bins": [
            {
                "n": count,
                "confidence": round(sure, 4) if count else None,
                "accuracy": round(share, 4) if count else None,
            }
            for count, sure, share in zip(number.tolist(), mean.tolist(), accuracy.tolist(), strict=True)
        ],
    }


def calibration_error(true: Ints, scores: Floats, given: Ints | None = None) -> float:
    """The expected calibration error of `reliability`, 0..1, not rounded."""
    return _mean_gap(*_binned(true, scores, given))


def _binned(true: Ints, scores: Floats, given: Ints | None) -> tuple[Ints, Floats, npt.NDArray[np.bool_]]:
    """Each score's bin, the score, and whether what it says is right."""
    confidence: npt.NDArray[np.floating[Any]]
    if true.ndim == 2:
        confidence, right = scores.ravel(), true.ravel().astype(bool)
    else:
        given = scores.argmax(axis=1) if given is None else given
        confidence, right = np.take_along_axis(scores, given[:, None], axis=1)[:, 0], given == true
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1), confidence, right


def _mean_gap(bins: Ints, confidence: Floats, right: npt.NDArray[np.bool_]) -> float:
    """How far scores are from being right, bin by bin."""
    gaps = np.bincount(bins, confidence.astype(np.float64) - right, BINS)
    return float(np.abs(gaps).sum() / len(bins))
