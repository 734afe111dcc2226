"""The collection as a whole: which works are alike, and a map of all of them.

Both come from the embedding of the feature table. Alike is measured by the cosine, exactly: block by block, so that
memory is that of one block and not of the square of the collection. The map is t-SNE's (van der Maaten and Hinton
2008) by openTSNE, of the neighbours that are already there. It begins with the principal components, so that the large
order of the collection stays in it (Kobak and Berens 2019), and interpolates in large collections (Linderman et al.
2019), so that its time grows with the number of works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAREST = 12
"""How many works are said to be like another."""
PERPLEXITY = 30.0
_BLOCK_BYTES = 2**26
_MAP_LEAST = 5  # works; fewer are no map
_EXAGGERATED, _ITERATIONS = 125, 250  # half of openTSNE's; neighbours are as near, and a smaller map is cheaper a step
_INTERPOLATED = 4000  # works; interpolation takes about as long for few points as for many

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Overview:
    """Which works are alike, and where each lies on the map.

    Attributes:
        object_ids: The works that have an embedding, n of them.
        nearest: (n, k) int32, the works most like each, as places in `object_ids`, most alike first; never itself.
        similarity: (n, k), the cosine to each of them, -1..1.
        positions: (n, 2), x and y on the map in 0..1; None where openTSNE is not installed.
    """

    object_ids: Sequence[str]
    nearest: NDArray[np.int32]
    similarity: Floats
    positions: Floats | None


def make_overview(object_ids: Sequence[str], embedding: Floats, seed: int = 0) -> Overview | None:
    """The overview of a collection; None for fewer than five works.

    Args:
        object_ids: n ids.
        embedding: (n, d) float32. Is overwritten.
        seed: Of the principal components and of t-SNE.

    Time grows with the square of n. Memory is that of the embedding, once, (n, 90) neighbours and one block.
    """
    n = len(object_ids)
    if n < _MAP_LEAST:
        return None
    vectors = _normalized(embedding)
    perplexity = min(PERPLEXITY, (n - 1) / 3)
    nearest, similarity = nearest_works(vectors, min(n - 1, max(NEAREST, int(3 * perplexity))))
    positions = project(vectors, nearest, similarity, perplexity, seed)
    return Overview(object_ids, nearest[:, :NEAREST], similarity[:, :NEAREST], positions)


def _normalized(embedding: Floats) -> Floats:
    norms = np.linalg.norm(embedding, axis=1, keepdims=True)
    np.divide(embedding, norms, out=embedding, where=norms > 0)
    return embedding


def nearest_works(vectors: Floats, k: int, block_bytes: int = _BLOCK_BYTES) -> tuple[NDArray[np.int32], Floats]:
    """The k vectors with the largest cosine to each, and that cosine; of equals, the earlier first.

    Args:
        vectors: (n, d) float32 of length 1 (or 0), k < n.
        k: How many.
        block_bytes: Of the similarities that are in memory at one time; there are three such arrays.

    Returns:
        (n, k) places int32 and (n, k) cosines float32, largest first.
    """
    n = len(vectors)
    nearest, similarity = np.empty((n, k), np.int32), np.empty((n, k), np.float32)
    rows = max(1, block_bytes // (4 * n))
    for start in range(0, n, rows):
        cosines = vectors[start : start + rows] @ vectors.T
        rows_here = np.arange(len(cosines))
        cosines[rows_here, start + rows_here] = -np.inf  # not itself
        columns = np.argpartition(cosines, n - k, axis=1)[:, n - k :]
        similarities = np.take_along_axis(cosines, columns, 1)
        order = np.lexsort((columns, -similarities))
        nearest[start : start + rows] = np.take_along_axis(columns, order, 1)
        similarity[start : start + rows] = np.take_along_axis(similarities, order, 1)
    return nearest, similarity


def project(
    vectors: Floats, nearest: NDArray[np.int32], similarity: Floats, perplexity: float = PERPLEXITY, seed: int = 0
) -> Floats | None:
    """A place on the map for each vector, such that neighbours are neighbours there too.

    Args:
        vectors: (n, d) float32 of length 1. Are overwritten: centred.
        nearest: (n, k) neighbours of each, as `nearest_works` gives them.
        similarity: (n, k), their cosines.
        perplexity: How many neighbours count, softly; k / 3 or less.
        seed: The same seed gives the same map, on any number of processors.

    Returns:
        (n, 2) float32, 0..1, both axes at one scale, the map in the middle; None where openTSNE is not installed.
    """
    try:
        import openTSNE  # seconds that a report without a map need not wait for
        from openTSNE.affinity import PerplexityBasedNN
        from openTSNE.nearest_neighbors import PrecomputedNeighbors
    except ImportError:
        return None
    distances = np.sqrt(np.maximum(2 - 2 * similarity, 0))
    affinities = PerplexityBasedNN(perplexity=perplexity, knn_index=PrecomputedNeighbors(nearest, distances))
    start = principal_components(vectors, seed)
    # More threads are no faster at this, and may add up in any order, of which t-SNE makes another map.
    method = "fft" if len(vectors) >= _INTERPOLATED else "bh"
    tsne = openTSNE.TSNE(
        initialization=start,
        negative_gradient_method=method,
        early_exaggeration_iter=_EXAGGERATED,
        n_iter=_ITERATIONS,
        n_jobs=1,
        random_state=seed,
    )
    points = np.asarray(tsne.fit(affinities=affinities))
    low, high = points.min(axis=0), points.max(axis=0)
    scale = max(float((high - low).max()), 1e-12)
    centred: Floats = np.clip((points - (low + high) / 2) / scale + 0.5, 0, 1).astype(np.float32)
    return centred


def principal_components(vectors: Floats, seed: int) -> Floats:
    """Where t-SNE begins, (n, 2): openTSNE's own `pca`, without its copy of all vectors.

    Args:
        vectors: (n, d) float32. Are overwritten: centred.
        seed: Of the search, and of the jitter.
    """
    from openTSNE.initialization import jitter, rescale
    from sklearn.decomposition import PCA

    projected = PCA(2, svd_solver="randomized", random_state=seed, copy=False).fit_transform(vectors)
    return np.ascontiguousarray(jitter(rescale(projected), random_state=seed))
