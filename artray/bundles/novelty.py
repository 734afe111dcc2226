"""How little a work looks like any of a model's classes: arrays beside the model, made when it was learned.

Two things give a work of none of the classes away. It lies far from every class (a Mahalanobis distance, which sees
what no training picture looked like: a photograph, a picture drawn by code); or nothing speaks for any class (the
largest logit is small; it sees what looks like an ordinary work of another kind: a style left out). Each misses what
the other sees. Where the catalogue has works of other labels to learn from, a third is what speaks for one of these
labels. All are told in deviations from what is usual for works that the model has not seen; the largest counts, and a
little more where another is as large.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.errors import InputError
from artray.storage import Location, digest

NOVELTY = "novelty.npz"
LIMIT = 0.95
"""From which novelty on a work is taken to be of none of the classes: 5 % of those that are of one are lost."""
GRID = np.linspace(0, LIMIT, 20)
"""The shares of works at which the usual values are kept."""

Floats = npt.NDArray[np.floating[Any]]
_BLOCK = 1024
_MOST = 1 << 30  # bytes that the arrays may have


@dataclass(frozen=True, kw_only=True)
class Distance:
    """Squared Mahalanobis distances to the classes' means, under one covariance of the works within them.

    The covariance has some directions with variances of their own, and one variance in all others.

    Attributes:
        directions: (d, r) float32, orthonormal.
        gains: (r,) how much more a square counts along each: 1 / its variance less 1 / the others'.
        spread: The variance of the others.
        weights: (d, classes) float32 and
        bias: (classes,) what makes it the distance to a class.
    """

    directions: Floats
    gains: Floats
    spread: Floats
    weights: Floats
    bias: Floats

    def __call__(self, z: Floats) -> Floats:
        """The distance to each class, (n, classes), of standardised features (n, d)."""
        distances = np.einsum("nd,nd->n", z, z) / self.spread + (z @ self.directions) ** 2 @ self.gains
        return np.asarray(distances[:, None] - 2 * (z @ self.weights) + self.bias)


@dataclass(frozen=True, kw_only=True)
class Novelty:
    """From a model's features to novelty.

    Attributes:
        mean: (d,) and
        deviation: (d,) by which features are standardised.
        distance: To the classes.
        weights: (d, classes) and
        bias: (classes,) from standardised features to the model's logits.
        usual: (2, 2) middle and deviation of the distance's logarithm and of the largest logit, of works not seen; a
            third row of the odds for other labels, where these are known.
        values: (20,) how unusual a share of `GRID` of the works not seen is at most.
        other_weights: (d, classes + other labels) and
        other_bias: (classes + other labels,) from standardised features to logits of the classes and, behind them, of
            other labels of the catalogue; None: none is known.
    """

    mean: Floats
    deviation: Floats
    distance: Distance
    weights: Floats
    bias: Floats
    usual: Floats
    values: Floats
    other_weights: Floats | None = None
    other_bias: Floats | None = None

    def __call__(self, x: Floats) -> npt.NDArray[np.float32]:
        """How many of the works of the classes are less novel, 0..1; above `LIMIT` an order, not a share.

        Args:
            x: (n, d) features as the model takes them.
        """
        starts = range(0, len(x), _BLOCK)
        blocks = [self.of_standardised((x[start : start + _BLOCK] - self.mean) / self.deviation) for start in starts]
        return np.concatenate([np.zeros(0, np.float32), *blocks])

    def of_standardised(self, z: Floats) -> npt.NDArray[np.float32]:
        """The same of features that are standardised, (n, d), all at once."""
        z = z.astype(np.float32)
        distance, logit = self.distance(z).min(axis=1), (z @ self.weights + self.bias).max(axis=1)
        odds = None
        if self.other_weights is not None and self.other_bias is not None:
            odds = other_odds(z @ self.other_weights + self.other_bias, self.weights.shape[1])
        return share(unusual(distance, logit, self.usual, odds), self.values)


def other_odds(logits: Floats, classes: int) -> Floats:
    """The logarithm of the odds that a work has none of the classes, but one of the other labels.

    Args:
        logits: (n, classes + other labels).
        classes: How many there are.
    """
    return np.asarray(
        np.logaddexp.reduce(logits[:, classes:], axis=1) - np.logaddexp.reduce(logits[:, :classes], axis=1), np.float64
    )


def unusual(distance: Floats, logit: Floats, usual: Floats, odds: Floats | None = None) -> Floats:
    """The largest deviation from what is usual, smoothly: farther from the classes, less that speaks for any of them.

    Args:
        distance: (n,) to the nearest class.
        logit: (n,) the largest.
        usual: As of `Novelty`.
        odds: (n,) for another label, where these are known.
    """
    far = (np.log(np.maximum(distance, 1e-12)) - usual[0, 0]) / usual[0, 1]
    silent = (usual[1, 0] - logit) / usual[1, 1]
    novelty = np.logaddexp(2 * far, 2 * silent)
    if odds is not None:
        novelty = np.logaddexp(novelty, 2 * (odds - usual[2, 0]) / usual[2, 1])
    return np.asarray(novelty / 2, np.float64)


def share(values: Floats, known: Floats) -> npt.NDArray[np.float32]:
    """The share of works that are less unusual; beyond the last that is known it nears 1, and keeps the order.

    Args:
        values: (n,) from `unusual`.
        known: (20,) at the shares of `GRID`, not falling.
    """
    within = np.interp(values, known, GRID)
    beyond = np.maximum(values - known[-1], 0) / max(float(known[-1] - known[len(known) // 2]), 1e-9)
    return np.where(values >= known[-1], 1 - (1 - LIMIT) / (1 + beyond), within).astype(np.float32)


def novelty_bytes(novelty: Novelty) -> bytes:
    """As the file `novelty.npz`."""
    file = io.BytesIO()
    np.savez(file, **_arrays(novelty))
    return file.getvalue()


def read_novelty(uri: Location, sha: str, classes: int) -> Novelty:
    """The arrays of a bundle.

    Args:
        uri: The bundle.
        sha: What their digest must be.
        classes: How many there are.

    Raises:
        InputError: They are damaged, or were replaced.
    """
    data = (uri / NOVELTY).read_bytes()
    if digest(data) != sha:
        raise InputError(f"{uri}: {NOVELTY} is not the one bundle.json was written for")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MOST:
                raise ValueError("it is too large")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}
        _check(arrays, classes)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{uri}: {NOVELTY} can't be used: {reason}; train the model again") from error
    distance = {item.name: arrays.pop(f"distance_{item.name}") for item in fields(Distance)}
    return Novelty(distance=Distance(**distance), **arrays)


def _arrays(novelty: Novelty) -> dict[str, Any]:
    told = {item.name: getattr(novelty, item.name) for item in fields(Novelty) if item.name != "distance"}
    told = {name: value for name, value in told.items() if value is not None}
    told |= {f"distance_{item.name}": getattr(novelty.distance, item.name) for item in fields(Distance)}
    large = {"weights", "other_weights", "distance_weights", "distance_directions"}
    return {name: np.asarray(value, np.float32 if name in large else np.float64) for name, value in told.items()}


def _check(arrays: dict[str, Floats], classes: int) -> None:
    """See that arrays fit each other.

    Raises:
        ValueError: They don't.
        KeyError: One is missing.
    """
    d, r = arrays["distance_directions"].shape
    seen = len(arrays["distance_bias"])  # the classes that works were most of all of
    shapes: dict[str, tuple[int, ...]] = {
        "mean": (d,), "deviation": (d,), "weights": (d, classes), "bias": (classes,), "usual": (2, 2),
        "values": GRID.shape, "distance_directions": (d, r), "distance_gains": (r,), "distance_spread": (),
        "distance_weights": (d, seen), "distance_bias": (seen,),
    }  # fmt: skip
    if "other_weights" in arrays:
        number = arrays["other_bias"].size
        shapes |= {"usual": (3, 2), "other_weights": (d, number), "other_bias": (number,)}
        if number <= classes:
            raise ValueError("other_bias: has no other label")
    if arrays.keys() != shapes.keys():
        raise ValueError(f"it holds {', '.join(sorted(arrays))[:100]}")
    for name, shape in shapes.items():
        if arrays[name].shape != shape or arrays[name].dtype.kind != "f" or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is not of {shape} finite numbers")
