"""Pictures as augmentation changes them: by Pillow in threads, or on the device that trains.

The two agree to a grey level. On CPUs Pillow is faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from artray.engine import views_by_pillow
from artray.engine.augmentation import Augmentation, draw


class Views:
    """Other views of pictures, by numbers that `draw` drew.

    Args:
        how: What may happen.
        threads: How many of this machine's CPUs may work at it.
    """

    def __init__(self, how: Augmentation, threads: int = 1):
        self.how, self._threads = how, threads

    def on_host(self, images: npt.NDArray[np.uint8], numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """(n, size, size, 3) RGB, changed by Pillow; of the same shape and type."""
        return views_by_pillow.changed(images, numbers, self.how, self._threads)

    def on_device(self, images: Any, numbers: Any) -> Any:
        """(n, size, size, 3) RGB as a tensor, changed where it lies: float32, or of the same type if only moved."""
        from artray.engine import views_on_device  # here: with it comes TensorFlow

        return views_on_device.changed(images, numbers, self.how)


def augment(
    images: npt.NDArray[np.uint8],
    examples: npt.NDArray[np.int64],
    how: Augmentation,
    seed: int,
    epoch: int,
    *,
    minority: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.uint8]:
    """Change pictures at random, on this machine.

    Args:
        images: (n, size, size, 3) RGB.
        examples: As for `draw`, and so on.
        how: Likewise.
        seed: Likewise.
        epoch: Likewise.
        minority: Likewise.

    Returns:
        Pictures of the same shape and type.
    """
    if not how:
        return images
    return Views(how).on_host(images, draw(examples, how, seed, epoch, minority=minority))
