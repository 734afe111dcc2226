import numpy as np
import pytest
from sklearn.cluster import KMeans

from artray.features.kmeans import kmeans, lloyd, nearest_centroids, split_centroids


@pytest.fixture(scope="module")
def cloud():
    random = np.random.default_rng(1)
    centres = random.uniform(20, 235, (6, 3))
    points = np.concatenate([random.normal(centre, 8, (80, 3)) for centre in centres]).clip(0, 255)
    return points, random.integers(1, 50, len(points)).astype(float), centres


def test_lloyd_agrees_with_scikit_learn_from_the_same_start(cloud):
    points, weights, _ = cloud
    start = points[:6]
    expected = KMeans(6, init=start, n_init=1, max_iter=500, tol=0).fit(points, sample_weight=weights)
    (centroids,), (found,) = lloyd(points, weights, start[None], iterations=500, tolerance=0)
    np.testing.assert_allclose(centroids, expected.cluster_centers_, rtol=1e-5)
    assert found == pytest.approx(expected.inertia_)
    np.testing.assert_array_equal(nearest_centroids(points, centroids), expected.labels_)


def test_lloyd_never_gets_worse(cloud):
    points, weights, _ = cloud
    starts = np.stack([points[:4], points[100:104]])
    inertias = [lloyd(points, weights, starts, iterations, tolerance=0)[1] for iterations in range(8)]
    assert (np.diff(inertias, axis=0) <= 1e-6 * inertias[0]).all()


def test_finds_separate_clusters(cloud):
    points, weights, centres = cloud
    found = kmeans(points, weights, 6)
    assert np.abs(found[nearest_centroids(centres, found)] - centres).max() < 5


def test_a_weight_counts_like_repeated_points(cloud):
    points, weights, _ = cloud
    repeats = weights.astype(int) % 4 + 1
    once = split_centroids(points, repeats.astype(float), 5)
    repeated = np.repeat(points, repeats, axis=0)
    np.testing.assert_allclose(split_centroids(repeated, np.ones(len(repeated)), 5), once)


def test_splitting_reaches_every_point():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [200, 3, 9]])
    found = split_centroids(points, np.array([1.0, 9, 2]), 5)
    np.testing.assert_allclose(sorted(found.tolist()), points)
