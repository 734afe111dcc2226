"""Augmentation (A8): other views of the same example, in the training part only.

Never blur: texture carries what a work is. Flips and turns move pixels without touching them; rotation and crop
resample once, by cubic interpolation. What happens to an example follows from the seed, the epoch and the example, so a
run that is resumed, or shared by another number of workers, sees the same pictures.

How an example is changed is drawn here, for all of a batch at once; `views` does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

LUMA = (0.299, 0.587, 0.114)
_YIQ = np.array([LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
_RGB = np.linalg.inv(_YIQ)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)


class Distortion(BaseModel):
    """Changes of colour, each drawn evenly from its range.

    Attributes:
        brightness: 0.2 multiplies all channels by 0.8 to 1.2.
        contrast: 0.2 stretches around the picture's mean brightness by 0.8 to 1.2.
        saturation: 0.2 stretches away from the pixel's own grey by 0.8 to 1.2.
        hue: 20 turns hues by -20 to 20 degrees; greys stay grey.
        share: Part of the examples that are distorted; the others keep their colours.
        minority: Only examples of the smaller classes: those that are not the average class's size (see `minority`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    brightness: float = Field(0.0, ge=0, le=1)
    contrast: float = Field(0.0, ge=0, le=1)
    saturation: float = Field(0.0, ge=0, le=1)
    hue: float = Field(0.0, ge=0, le=180)
    share: float = Field(1.0, ge=0, le=1)
    minority: bool = False


class Augmentation(BaseModel):
    """Which changes may happen.

    Attributes:
        flip: Mirror left and right, with probability one half.
        flip_vertical: Mirror up and down, with probability one half.
        turn: Turn by a random multiple of 90° and mirror; for patches, which have no up and down.
        rotate: Rotate by up to so many degrees either way; what comes into view is the picture mirrored at its edges.
        crop: 0.2 takes a square of 0.8 to 1 of the side, anywhere, and enlarges it.
        distort: Changes of colour.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: bool = False
    flip_vertical: bool = False
    turn: bool = False
    rotate: float = Field(0.0, ge=0, le=180)
    crop: float = Field(0.0, ge=0, lt=1)
    distort: Distortion | None = None

    def __bool__(self) -> bool:
        """Whether anything may happen."""
        return self != Augmentation()


def minority(targets: npt.NDArray[Any], training: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which examples are of a class that is smaller in the training part than classes are on average.

    Args:
        targets: (n, classes), one-hot, soft or multi-hot.
        training: Indices of the training part.

    Returns:
        (n,) True where the example has any such class (as its likeliest, where targets are shares).
    """
    sizes = targets[training].sum(axis=0)
    small = sizes < sizes.mean() * (1 - 1e-6)  # equal classes are equal, whatever rounding says
    has = targets >= np.maximum(targets.max(axis=1, keepdims=True), 1e-9)
    return np.asarray((has & small).any(axis=1))


class Changes(NamedTuple):
    """How some pictures are changed, in this order; arrays or tensors.

    Attributes:
        matrix: (n, 2, 2) from a place in the result to the one in the picture, both (across, down) from the middle.
        shift: (n, 2) what is added to that, in sides of the picture.
        color: (n, 3, 3) from RGB to RGB.
        lift: (n,) what is added, in parts of the picture's mean grey.
        moves: (n, 3) 1 to mirror left and right, 1 to mirror up and down; quarters of a turn to the left.
    """

    matrix: Any
    shift: Any
    color: Any
    lift: Any
    moves: Any


_WIDTHS = (4, 2, 9, 1, 3)
_SHAPES = ((2, 2), (2,), (3, 3), (), (3,))


def unpacked(numbers: Any, reshape: Callable[[Any, tuple[int, ...]], Any] = np.reshape) -> Changes:
    """What `draw` drew, by its names; `reshape` is that of the numbers' library."""
    pieces, start = [], 0
    for width, shape in zip(_WIDTHS, _SHAPES, strict=True):
        pieces.append(reshape(numbers[:, start : start + width], (-1, *shape)))
        start += width
    return Changes(*pieces)


def draw(
    examples: npt.NDArray[np.int64],
    how: Augmentation,
    seed: int,
    epoch: int,
    *,
    minority: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float32]:
    """Draw how pictures are changed.

    Args:
        examples: (n,) who they are.
        how: What may happen.
        seed: Of the run.
        epoch: Every epoch gives others.
        minority: (n,) which of them are of a smaller class, where only those are distorted.

    Returns:
        (n, 19) numbers, which `unpacked` names; (n, 0) where nothing may happen.
    """
    count = len(examples)
    if not how:
        return np.zeros((count, 0), np.float32)
    # Each has its column, whatever is asked for: what one gets does not depend on the rest.
    columns = even(seed, epoch, examples, 12).T
    angle, crop, right, down, share, brightness, contrast, saturation, hue, turn, mirror, upside_down = columns
    angle = np.radians(how.rotate) * (2 * angle - 1)
    scale = 1 - how.crop * crop
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    room = (1 - scale) / 2
    turned = np.where(how.turn, np.floor(4 * turn), 0)
    moves = [(mirror < 0.5) & (how.flip or how.turn), (upside_down < 0.5) & how.flip_vertical, turned]
    matrix: npt.NDArray[Any] = np.broadcast_to(np.eye(3), (count, 3, 3))
    lift: npt.NDArray[Any] = np.zeros(count)
    if how.distort is not None:
        distorted = share < how.distort.share
        if how.distort.minority and minority is not None:
            distorted &= minority
        mixed, lifts = _color(how.distort, np.stack([brightness, contrast, saturation, hue]))
        matrix = np.where(distorted[:, None, None], mixed, matrix)
        lift = np.where(distorted, lifts, lift)
    pieces = [
        np.stack([cosine, sine, -sine, cosine], axis=1),
        np.stack([room * (2 * right - 1), room * (2 * down - 1)], axis=1),
        matrix.reshape(count, 9),
        lift[:, None],
        np.stack(moves, axis=1),
    ]
    drawn: npt.NDArray[np.float32] = np.concatenate(pieces, axis=1).astype(np.float32)
    return drawn


def _color(how: Distortion, even: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """All changes of colour as one linear map of RGB, and what is added in parts of the mean grey.

    Args:
        how: Their ranges.
        even: (4, n) from 0 to 1: for brightness, contrast, saturation and hue.
    """
    reach = np.array([[how.brightness], [how.contrast], [how.saturation], [np.radians(how.hue)]])
    brightness, contrast, saturation, hue = reach * (2 * even - 1) + np.array([[1], [1], [1], [0]])
    cosine, sine = saturation * np.cos(hue), saturation * np.sin(hue)
    linear = np.zeros((even.shape[1], 3, 3))
    linear[:, 0, 0] = 1
    linear[:, 1, 1] = linear[:, 2, 2] = cosine
    linear[:, 1, 2], linear[:, 2, 1] = -sine, sine
    return (brightness * contrast)[:, None, None] * (_RGB @ linear @ _YIQ), brightness * (1 - contrast)


def even(seed: int, epoch: int, examples: npt.NDArray[np.int64], columns: int) -> npt.NDArray[np.float64]:
    """Numbers from 0 to below 1, evenly drawn, (n, columns), of which a row follows from seed, epoch and example alone.

    SplitMix64 (Steele et al. 2014), each row a sequence of its own: NumPy's generators would need an object a row.
    """
    state: npt.NDArray[np.uint64] = np.zeros(len(examples), np.uint64)
    for number in (seed, epoch, examples):
        state = _mixed(state + _GAMMA) + np.asarray(number).astype(np.uint64)
    steps = np.arange(1, columns + 1, dtype=np.uint64) * _GAMMA
    integers = _mixed(_mixed(state)[:, None] + steps) >> np.uint64(11)
    return integers.astype(np.float64) * 2.0**-53


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
