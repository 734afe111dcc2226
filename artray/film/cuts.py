"""Cuts between the frames that were sampled: where the colours of the picture change all at once.

A frame is described by how its brightness and its two colour differences are spread (16 steps each). The difference of
two frames is the share of the picture, 0..1, whose values would have to change for one to become the other. A cut is
where it reaches a threshold, and is two and a half times what it is nearby: a camera that moves changes every frame a
little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.images.pictures import Picture

BINS = 16
_SIDE = 64  # pixels of the longer side that are looked at
_NEARBY = 4  # differences before and after
_TIMES = 2.5  # how many times the usual difference nearby a cut's is

Histogram = npt.NDArray[np.float32]


def histogram(picture: Picture) -> Histogram:
    """How a picture's brightness and its two colour differences are spread.

    A value between two steps counts for both in proportion, so that a flat colour that wavers does not jump.

    Args:
        picture: RGB (height, width, 3).

    Returns:
        (3 · BINS,), the shares of each third summing to 1.

    Example:
        >>> histogram(np.zeros((2, 2, 3), np.uint8))[:2].tolist()
        [1.0, 0.0]
    """
    step = max(1, max(picture.shape[:2]) // _SIDE)
    red, green, blue = picture[::step, ::step].reshape(-1, 3).astype(np.float32).T
    bright = (red + green + blue) / 3
    channels = (bright, (red - green) / 2 + 127.5, ((red + green) / 2 - blue) / 2 + 127.5)
    return np.concatenate([_spread(values) for values in channels])


def _spread(values: npt.NDArray[np.floating[Any]]) -> Histogram:
    position = np.clip(values * ((BINS - 1) / 255), 0, BINS - 1)
    low = np.minimum(position.astype(np.int64), BINS - 2)
    share = position - low
    counts = np.bincount(low, 1 - share, BINS) + np.bincount(low + 1, share, BINS)
    return (counts / len(values)).astype(np.float32)


def differences(histograms: Sequence[Histogram | None]) -> npt.NDArray[np.float32]:
    """Each frame's difference from the last one before it that could be seen, 0..1.

    Args:
        histograms: Of frames in their order; None: it could not be seen.

    Returns:
        (n,), 0 for the first one, NaN for those that could not be seen.
    """
    distances = np.full(len(histograms), np.nan, np.float32)
    before: Histogram | None = None
    for number, now in enumerate(histograms):
        if now is None:
            continue
        # Of brightness and colours what differs more: of two scenes as bright as each other the colours tell.
        thirds = np.abs(now - before).reshape(3, BINS).sum(axis=1) / 2 if before is not None else np.zeros(3)
        distances[number] = (thirds.max() + thirds.mean()) / 2
        before = now
    return distances


def find_cuts(difference: npt.NDArray[np.float32], threshold: float) -> npt.NDArray[np.bool_]:
    """Which frames are the first ones after a cut.

    Args:
        difference: As from `differences`.
        threshold: From which one on it may be a cut, 0..1.

    Returns:
        (n,).
    """
    known = np.nan_to_num(difference, nan=0.0)
    cuts = known >= threshold
    for moment in np.flatnonzero(cuts):
        nearby = np.concatenate([known[max(1, moment - _NEARBY) : moment], known[moment + 1 : moment + 1 + _NEARBY]])
        # Where cut follows cut all are large: from three times the threshold on nothing is asked of those nearby.
        if len(nearby) and known[moment] < min(_TIMES * np.median(nearby), 3 * threshold):
            cuts[moment] = False
    return cuts
