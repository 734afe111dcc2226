"""Perceived brightness (B2)."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_WEIGHTS = np.array([0.241, 0.691, 0.068])


class Brightness:
    """How bright a picture looks, from the root mean square of each channel (Finley's HSP model).

        brightness = sqrt(0.241 R² + 0.691 G² + 0.068 B²)

    Args:
        size: Side in pixels at which pictures are decoded.

    Column `brightness`: float64, 0 (black) to 255 (white). The sums are exact integers, as in Pillow's `ImageStat`.

    >>> Brightness()(np.full((1, 224, 224, 3), 255, np.uint8))["brightness"].to_pylist()
    [255.0]
    """

    name = "brightness"
    fields: ClassVar[list[pa.Field]] = [pa.field("brightness", pa.float64())]

    def __init__(self, size: int = 224) -> None:
        self.size = size

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, pa.Array]:
        """Measure pictures, (n, h, w, 3)."""
        n, height, width, channels = images.shape
        squares = np.square(images, dtype=np.uint16).reshape(n, height, width * channels)
        # Rows first: they are contiguous. 65,025 a pixel lets uint32 hold 66,051 rows.
        sums = squares.sum(axis=1, dtype=np.uint32).reshape(n, width, channels).sum(axis=1, dtype=np.uint64)
        return {"brightness": pa.array(np.sqrt((sums / (height * width) * _WEIGHTS).sum(axis=1)))}
