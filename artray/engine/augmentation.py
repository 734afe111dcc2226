"""Augmentation (A8): other views of the same example, in the training part only.

Never blur: texture carries what a work is. Flips and turns move pixels without touching them; rotation and crop
resample once, by cubic interpolation. What happens to an example follows from the seed, the epoch and the example, so a
run that is resumed, or shared by another number of workers, sees the same pictures.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

_LUMA = (0.299, 0.587, 0.114)
_YIQ = np.array([_LUMA, (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)])
_RGB = np.linalg.inv(_YIQ)


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


def augment(
    images: npt.NDArray[np.uint8],
    examples: npt.NDArray[np.int64],
    how: Augmentation,
    seed: int,
    epoch: int,
    *,
    minority: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Change pictures at random.

    Args:
        images: (n, size, size, 3) RGB.
        examples: (n,) who they are.
        how: What may happen.
        seed: Of the run.
        epoch: Every epoch gives others.
        minority: (n,) which of them are of a smaller class, where only those are distorted.

    Returns:
        Pictures of the same shape and type.
    """
    if not how:
        return images
    changed = np.empty_like(images)
    for row, (image, example) in enumerate(zip(images, examples.tolist(), strict=True)):
        chance = np.random.default_rng([seed, epoch, example])
        view = _resampled(image, how, chance) if how.rotate or how.crop else image
        distort = how.distort
        # Drawn for every example: what one gets does not depend on the classes' sizes.
        if (
            distort is not None
            and chance.random() < distort.share
            and (not distort.minority or minority is None or minority[row])
        ):
            view = _distorted(view, distort, chance)
        changed[row] = _moved(view, how, chance)
    return changed


def _resampled(image: npt.NDArray[np.uint8], how: Augmentation, chance: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Rotation and crop as one affine map from the result's pixels to the picture's."""
    size = image.shape[0]
    angle = math.radians(chance.uniform(-how.rotate, how.rotate))
    part = 1 - chance.uniform(0, how.crop)
    shift = chance.uniform(-1, 1, 2) * (1 - part) * size / 2
    cosine, sine = math.cos(angle) * part, math.sin(angle) * part
    # How far the corners lie outside the picture; two pixels more are for the interpolation.
    reach = (abs(cosine) + abs(sine)) * size / 2 + np.abs(shift).max() - size / 2
    margin = max(0, math.ceil(reach)) + 2
    padded = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="symmetric")
    middle = size / 2
    across, down = (
        middle + margin + move - middle * (cosine + sign * sine) for move, sign in zip(shift, (1, -1), strict=True)
    )
    matrix = (cosine, sine, across, -sine, cosine, down)
    view = Image.fromarray(padded).transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return np.asarray(view)


def _distorted(image: npt.NDArray[np.uint8], how: Distortion, chance: np.random.Generator) -> npt.NDArray[np.uint8]:
    """All changes of colour as one linear map of RGB."""
    brightness, contrast, saturation = (
        1 + chance.uniform(-reach, reach) for reach in (how.brightness, how.contrast, how.saturation)
    )
    turn = math.radians(chance.uniform(-how.hue, how.hue))
    chroma = saturation * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = np.zeros((3, 3))
    linear[0, 0] = 1
    linear[1:, 1:] = chroma
    matrix = brightness * contrast * (_RGB @ linear @ _YIQ)
    grey = brightness * float(image.reshape(-1, 3).mean(axis=0) @ _LUMA)
    offset = np.full((3, 1), grey * (1 - contrast))
    view = Image.fromarray(image).convert("RGB", tuple(np.hstack([matrix, offset]).ravel()))
    return np.asarray(view)


def _moved(image: npt.NDArray[np.uint8], how: Augmentation, chance: np.random.Generator) -> npt.NDArray[np.uint8]:
    turns = int(chance.integers(4)) if how.turn else 0
    if (how.flip or how.turn) and chance.integers(2):
        image = image[:, ::-1]
    if how.flip_vertical and chance.integers(2):
        image = image[::-1]
    return np.rot90(image, turns)
