"""Augmentation (A8): other views of the same example, in the training part only.

Never blur: texture carries what a work is. What happens to an example follows from the seed, the epoch and the
example, so a run that is resumed, or shared by another number of workers, sees the same pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict


class Augmentation(BaseModel):
    """Which changes may happen.

    Attributes:
        flip: Mirror left and right, each with probability one half.
        turn: Turn by a random multiple of 90° and mirror; for patches, which have no up and down.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flip: bool = False
    turn: bool = False


def augment(
    images: npt.NDArray[Any], examples: npt.NDArray[np.int64], how: Augmentation, seed: int, epoch: int
) -> npt.NDArray[Any]:
    """Change pictures at random.

    Args:
        images: (n, size, size, 3).
        examples: (n,) who they are.
        how: What may happen.
        seed: Of the run.
        epoch: Every epoch gives others.

    Returns:
        Pictures of the same shape and type.
    """
    if not (how.flip or how.turn):
        return images
    changed = np.empty_like(images)
    for row, (image, example) in enumerate(zip(images, examples.tolist(), strict=True)):
        chance = np.random.default_rng([seed, epoch, example])
        turns = int(chance.integers(4)) if how.turn else 0
        mirrored = image[:, ::-1] if chance.integers(2) else image
        changed[row] = np.rot90(mirrored, turns)
    return changed
