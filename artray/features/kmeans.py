"""Weighted k-means on a few thousand points, such as the bins of a colour histogram.

Everything here is deterministic. Clustering a picture's histogram instead of its pixels gives the same centroids, to
the width of a bin, at a hundredth of the cost.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STARTS = 24
_STARTS_KEPT = 2
# Two runs whose inertias differ by less ended in the same place.
_SAME = 5e-4
_GRID = 16


def kmeans(points: Floats, weights: Floats, k: int) -> Floats:
    """Centroids close to the best that many restarts find.

    Twenty-four k-means++ starts (Arthur and Vassilvitskii 2007) run on a coarser grid of the points; the best two
    that differ and `split_centroids` are then refined on the points themselves.

    Args:
        points: (n, d), 0..255, with n > k.
        weights: (n,), positive.
        k: Number of clusters.

    Returns:
        (k, d), in no particular order.
    """
    candidates = [split_centroids(points, weights, k)]
    coarse_points, coarse_weights = _coarse(points, weights)
    if len(coarse_points) > k:
        centres, inertias = lloyd(coarse_points, coarse_weights, _spread_starts(coarse_points, coarse_weights, k), 8)
        kept: list[int] = []
        for index in np.argsort(inertias, kind="stable"):
            if not kept or inertias[index] > inertias[kept[-1]] * (1 + _SAME):
                kept.append(index)
        candidates += list(centres[kept[:_STARTS_KEPT]])
    centroids, inertias = lloyd(points, weights, np.stack(candidates), 20)
    best: Floats = centroids[np.argmin(inertias)]
    return best


def lloyd(
    points: Floats, weights: Floats, centroids: Floats, iterations: int, tolerance: float = 0.1
) -> tuple[Floats, Floats]:
    """Refine several sets of centroids at once.

    Args:
        points: (n, d).
        weights: (n,).
        centroids: Starts, (starts, k, d).
        iterations: At most so many.
        tolerance: Stop when no coordinate moves by more.

    Returns:
        Centroids, (starts, k, d), and inertias, (starts,). A centroid without points stays where it was.
    """
    starts, k, dimensions = centroids.shape
    # Around their mean, float32 is exact enough, and half the work.
    origin = weights @ points / weights.sum()
    homogeneous = _homogeneous(points - origin)
    weighted = (homogeneous * weights.astype(np.float32)).T
    centroids = centroids - origin
    # Both are written again and again: fresh arrays of their size cost more than the arithmetic.
    distances = np.empty((starts, k, len(points)), np.float32)
    nearest = np.empty_like(distances)
    for _ in range(iterations):
        _relative_distances(homogeneous, centroids, out=distances)
        # A point exactly between two centroids counts for both, so that their order does not matter.
        np.equal(distances, distances.min(axis=1, keepdims=True), out=nearest)
        sums = (nearest.reshape(starts * k, -1) @ weighted).reshape(starts, k, -1)
        totals = sums[..., dimensions:]
        moved = np.where(totals > 0, sums[..., :dimensions] / np.where(totals > 0, totals, 1), centroids)
        shift = np.abs(moved - centroids).max()
        centroids = moved
        if shift <= tolerance:
            break
    _relative_distances(homogeneous, centroids, out=distances)
    return centroids + origin, (distances.min(axis=1) + np.square(points - origin).sum(axis=-1)) @ weights


def nearest_centroids(points: Floats, centroids: Floats) -> NDArray[np.intp]:
    """Index of the nearest of the centroids, (k, d), for each point, (n, d); the first where several are."""
    origin = points.mean(axis=0)
    distances = np.empty((1, len(centroids), len(points)), np.float32)
    _relative_distances(_homogeneous(points - origin), (centroids - origin)[None], out=distances)
    labels: NDArray[np.intp] = distances[0].argmin(axis=0)
    return labels


def cluster_means(points: Floats, weights: Floats, labels: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Weighted means, (clusters, d), and weights, (clusters,), of the clusters that have points, the heaviest first."""
    totals = np.bincount(labels, weights=weights)
    sums = np.stack([np.bincount(labels, weights=weights * coordinate) for coordinate in points.T], axis=-1)
    order = np.argsort(-totals, kind="stable")[: np.count_nonzero(totals)]
    return sums[order] / totals[order, None], np.asarray(totals[order], np.float64)


def split_centroids(points: Floats, weights: Floats, k: int) -> Floats:
    """Start from one cluster and split, again and again, that with the largest inertia, across its principal axis.

    After Orchard and Bouman (1991), Color quantization of images, IEEE Transactions on Signal Processing 39(12).
    Small changes of the points change the result little, which random starts can't promise.

    Returns:
        At most k centroids, (k, d); fewer where the points are fewer.
    """

    def cluster(members: NDArray[np.intp]) -> tuple[float, Floats, NDArray[np.intp], Floats]:
        """Inertia, mean, members and their offsets from the mean."""
        share = weights[members]
        mean = share @ points[members] / share.sum()
        offsets = points[members] - mean
        return float(share @ np.square(offsets).sum(axis=-1)), mean, members, offsets

    clusters = [cluster(np.arange(len(points)))]
    while len(clusters) < k:
        largest = max(range(len(clusters)), key=lambda index: clusters[index][0])
        _, _, members, offsets = clusters[largest]
        if len(members) == 1:
            break
        principal = np.linalg.eigh((offsets.T * weights[members]) @ offsets).eigenvectors[:, -1]
        # An eigenvector's sign is arbitrary.
        beyond = offsets @ (principal * np.sign(principal[np.abs(principal).argmax()])) > 0
        clusters[largest] = cluster(members[~beyond])
        clusters.append(cluster(members[beyond]))
    return np.stack([mean for _, mean, _, _ in clusters])


def _homogeneous(points: Floats) -> NDArray[np.float32]:
    """(d + 1, n) from (n, d): a last coordinate of 1."""
    return np.vstack([points.T, np.ones(len(points))]).astype(np.float32)


def _relative_distances(homogeneous: NDArray[np.float32], centroids: Floats, out: NDArray[np.float32]) -> None:
    """Squared distances less the points' own squares, which are the same for every centroid: (starts, k, n)."""
    starts, k, dimensions = centroids.shape
    planes = np.empty((starts * k, dimensions + 1), np.float32)
    planes[:, :dimensions] = centroids.reshape(starts * k, dimensions) * -2
    planes[:, dimensions] = np.square(centroids).sum(axis=-1).ravel()
    np.matmul(planes, homogeneous, out=out.reshape(starts * k, -1))


def _coarse(points: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Merge points that share a cell of the grid into their weighted mean."""
    cells = (points // _GRID).astype(np.intp)
    _, cell = np.unique(np.ravel_multi_index(tuple(cells.T), tuple(cells.max(axis=0) + 1)), return_inverse=True)
    merged = np.bincount(cell, weights=weights)
    means = [np.bincount(cell, weights=weights * coordinate) / merged for coordinate in points.T]
    return np.stack(means, axis=-1), np.asarray(merged, np.float64)


def _spread_starts(points: Floats, weights: Floats, k: int) -> Floats:
    """k-means++ starts, (starts, k, d): each next centroid is drawn by weight and squared distance to the others."""
    draws = np.random.default_rng(0).random((k, _STARTS))
    centroids = np.empty((_STARTS, k, points.shape[1]))
    distances = np.full((_STARTS, len(points)), np.inf)
    cumulative = np.tile(weights.cumsum(), (_STARTS, 1))
    for index, draw in enumerate(draws):
        chosen = points[(cumulative <= draw[:, None] * cumulative[:, -1:]).sum(axis=1)]
        centroids[:, index] = chosen
        added = sum(np.square(np.subtract.outer(a, b)) for a, b in zip(chosen.T, points.T, strict=True))
        np.minimum(distances, added, out=distances)
        np.cumsum(distances * weights, axis=1, out=cumulative)
    return centroids
