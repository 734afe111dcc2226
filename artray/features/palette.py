"""The dominant colours of a picture (B1)."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from artray.features.color import color_histogram, rgb_to_hsv, rgb_to_lab
from artray.features.kmeans import cluster_means, lloyd, nearest_centroids, split_centroids
from artray.storage import list_column


class Palette:
    """The n colours that stand best for all of a picture's colours, that with the largest share first.

    Columns, lists of equal length:
        `palette_rgb`: red, green, blue, 0..255.
        `palette_hsv`: hue, saturation, value, 0..1.
        `palette_share`: part of the pixels for which this is the nearest colour; together 1.

    The lists have n entries; a picture with fewer colours at 5 bits per channel repeats its first colour with share 0.

    Like the modified median cut of ColorThief it divides a 5-bit histogram, but along principal axes in CIELAB, and the
    division is then refined by k-means: the colours lie closer to the picture's own, and change little when the picture
    is resized.

    Args:
        n: Number of colours, at least 1.
        size: Side in pixels at which pictures are decoded.

    >>> columns = Palette(n=5)(np.full((1, 224, 224, 3), (255, 0, 0), np.uint8))
    >>> columns["palette_rgb"].to_pylist(), columns["palette_share"].to_pylist()
    ([[[255, 0, 0], [255, 0, 0], [255, 0, 0], [255, 0, 0], [255, 0, 0]]], [[1.0, 0.0, 0.0, 0.0, 0.0]])
    """

    name = "palette"
    fields: ClassVar[list[pa.Field]] = [
        pa.field("palette_rgb", pa.list_(pa.list_(pa.uint8()))),
        pa.field("palette_hsv", pa.list_(pa.list_(pa.float32()))),
        pa.field("palette_share", pa.list_(pa.float32())),
    ]

    def __init__(self, n: int = 20, size: int = 224) -> None:
        if n < 1:
            raise ValueError(f"a palette has at least one colour, not {n}")
        self.n = n
        self.size = size

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, pa.Array]:
        """Find the palettes of pictures, (n, h, w, 3)."""
        rgb = np.empty((len(images), self.n, 3), np.uint8)
        share = np.zeros((len(images), self.n), np.float32)
        for index, image in enumerate(images):
            colors, shares = palette(image, self.n)
            rgb[index] = colors[0]
            rgb[index, : len(colors)] = colors
            share[index, : len(colors)] = shares
        return {
            "palette_rgb": list_column(rgb),
            "palette_hsv": list_column(rgb_to_hsv(rgb).astype(np.float32)),
            "palette_share": list_column(share),
        }


def palette(image: NDArray[np.uint8], n: int = 20) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The palette of one picture.

    Args:
        image: (h, w, 3).
        n: Number of colours.

    Returns:
        Colours, (n or fewer, 3), and their shares, largest first.
    """
    counts, colors = color_histogram(image)
    lab = rgb_to_lab(colors)
    labels: NDArray[np.signedinteger]
    if len(colors) <= n:
        labels = np.arange(len(colors))
    else:
        centroids, _ = lloyd(lab, counts, split_centroids(lab, counts, n)[None], iterations=5)
        labels = nearest_centroids(lab, centroids[0])
    means, pixels = cluster_means(colors, counts, labels)
    return np.rint(means).astype(np.uint8), pixels / pixels.sum()
