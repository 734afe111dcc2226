"""Colour maps: a picture's five main colours, and how far they are from reference maps (B4).

The feature stores each picture's colour map. Reference maps, one per class, are learned from the labelled part of a
collection (`learn_color_maps`) and kept with the model; distances then come from the stored maps without opening a
picture again (`color_map_distances`).
"""

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from artray.collection import storage
from artray.features.color import color_histogram
from artray.features.kmeans import cluster_means, kmeans, nearest_centroids

COLORS = 5
# What the published form writes for every reference map but the nearest.
FAR = 100.0

_PERMUTATIONS = np.array(list(permutations(range(COLORS))))
# One row per permutation: 1 where it pairs a picture's colour with a reference's.
_PAIRINGS = np.eye(COLORS)[_PERMUTATIONS].reshape(len(_PERMUTATIONS), -1)


class ColorMaps:
    """Five main colours: the centroids of k-means over the pixels' RGB, that with the largest share first.

    Columns:
        `color_map`: five times red, green, blue, float32, 0..255.
        `color_map_share`: five float32, together 1.

    A picture with fewer than five colours at 5 bits per channel repeats its first colour with share 0.

    Args:
        size: Side in pixels at which pictures are decoded.
    """

    name = "colormaps"
    fields: ClassVar[list[pa.Field]] = [
        pa.field("color_map", pa.list_(pa.list_(pa.float32()))),
        pa.field("color_map_share", pa.list_(pa.float32())),
    ]

    def __init__(self, size: int = 224) -> None:
        self.size = size

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, pa.Array]:
        """Find the colour maps of pictures, (n, h, w, 3)."""
        colors = np.empty((len(images), COLORS, 3), np.float32)
        share = np.empty((len(images), COLORS), np.float32)
        for index, image in enumerate(images):
            colors[index], share[index] = color_map(image)
        return {"color_map": storage.list_column(colors), "color_map_share": storage.list_column(share)}


def color_map(image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The colour map of one picture, (h, w, 3): colours, (5, 3), and their shares, (5,)."""
    counts, colors = color_histogram(image)
    centroids = kmeans(colors, counts, COLORS) if len(colors) > COLORS else colors
    means, pixels = cluster_means(colors, counts, nearest_centroids(colors, centroids))
    missing = COLORS - len(means)
    filled = np.concatenate([means, np.repeat(means[:1], missing, axis=0)])
    return filled, np.concatenate([pixels, np.zeros(missing)]) / pixels.sum()


def color_map_distances(
    color_maps: ArrayLike, references: Mapping[str, ArrayLike], form: Literal["assignment", "published"] = "assignment"
) -> NDArray[np.float64]:
    """Distances from pictures to reference maps.

    Args:
        color_maps: (n, 5, 3), 0..255: the column `color_map`.
        references: Reference maps, (5, 3) each, by class.
        form: "assignment" pairs the colours of picture and reference so that their Euclidean distance is smallest: the
            order of colours does not matter. "published" adds up absolute differences in the stored order, keeps the
            nearest reference's distance and writes 100 for all others.

    Returns:
        (n, references) in the mapping's order. Colours count in 0..1, so that distances end at sqrt(15) ("assignment")
        or 15 ("published").
    """
    maps = np.asarray(color_maps, np.float64).reshape(-1, COLORS, 3) / 255
    targets = [np.asarray(reference, np.float64) / 255 for reference in references.values()]
    if form == "assignment":
        return np.stack([np.sqrt(_pair_costs(maps, target).min(axis=1)) for target in targets], axis=1)
    distances = np.stack([np.abs(maps - target).sum(axis=(1, 2)) for target in targets], axis=1)
    nearest = np.arange(len(targets)) == distances.argmin(axis=1)[:, None]
    return np.where(nearest, distances, FAR)


def learn_color_maps(color_maps: ArrayLike, labels: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Learn one reference map per class: the map with the smallest summed squared distance to those of the class.

    Alternates between pairing each picture's colours with the reference's and averaging what was paired, as in k-means,
    from the picture nearest to all others of its class.

    Args:
        color_maps: (n, 5, 3), 0..255: the column `color_map` of the labelled (training!) part.
        labels: n class names.

    Returns:
        Reference maps, (5, 3), 0..255, by class in alphabetical order.
    """
    maps = np.asarray(color_maps, np.float64).reshape(-1, COLORS, 3)
    classes = np.asarray(labels, str)
    if len(maps) != len(classes):
        raise ValueError(f"{len(maps)} colour maps but {len(classes)} labels")
    return {str(name): _barycentre(maps[classes == name]) for name in np.unique(classes)}


def _pair_costs(maps: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Summed squared distance under each permutation: (n, 120) from (n, 5, 3) and (5, 3)."""
    costs = np.square(maps[:, :, None] - reference).sum(axis=-1)
    total: NDArray[np.float64] = costs.reshape(len(maps), -1) @ _PAIRINGS.T
    return total


def _barycentre(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    reference: NDArray[np.float64] = min(maps, key=lambda candidate: _pair_costs(maps, candidate).min(axis=1).sum())
    previous = np.inf
    while True:
        costs = _pair_costs(maps, reference)
        cost = costs.min(axis=1).sum()
        if cost >= previous:
            return reference
        previous = cost
        # Permutation p pairs a picture's colour i with the reference's p[i]; argsort inverts it.
        paired = np.argsort(_PERMUTATIONS, axis=1)[costs.argmin(axis=1)]
        reference = np.take_along_axis(maps, paired[:, :, None], axis=1).mean(axis=0)
