import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from sklearn.neighbors import NearestNeighbors

from artray.report import overview
from artray.report.overview import NEAREST, make_overview, nearest_works, project


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def digits():
    """1,000 pictures of digits: real clusters, as vectors of length 1."""
    return unit(load_digits().data[:1000])


@settings(max_examples=25, deadline=None)
@given(n=st.integers(5, 60), k=st.integers(1, 4), rows=st.integers(1, 70), seed=st.integers(0, 1000))
def test_nearest_are_scikit_learns_whatever_the_block(n, k, rows, seed):
    vectors = unit(np.random.default_rng(seed).normal(size=(n, 8)))
    places, cosines = nearest_works(vectors, k, block_bytes=4 * n * rows)
    distances, expected = NearestNeighbors(n_neighbors=k + 1, metric="cosine").fit(vectors).kneighbors(vectors)
    np.testing.assert_allclose(1 - cosines, distances[:, 1:], atol=1e-5)
    assert np.mean(places == expected[:, 1:]) > 0.99  # all but ties in the last bit
    assert not np.any(places == np.arange(n)[:, None]), "never itself"


def test_of_equals_the_earlier_comes_first():
    places, cosines = nearest_works(np.ones((20, 4), np.float32) / 2, 3)
    assert (np.sort(places, axis=1) == places).all()
    np.testing.assert_allclose(cosines, 1)


def test_length_does_not_matter_and_nothing_is_like_nothing():
    vectors = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    one = make_overview(list("x" * 30), vectors.copy())
    other = make_overview(list("x" * 30), vectors * np.linspace(0.1, 9, 30, dtype=np.float32)[:, None])
    assert (one.nearest == other.nearest).all()
    vectors[3] = 0
    assert make_overview(list("x" * 30), vectors).similarity[3].tolist() == [0] * NEAREST


@pytest.mark.slow
def test_map_keeps_neighbours_together(digits):
    found = make_overview(range(1000), digits.copy())
    assert found.nearest.shape == found.similarity.shape == (1000, NEAREST)
    assert found.positions.min() >= 0
    assert found.positions.max() <= 1
    assert np.ptp(found.positions, axis=0).max() == pytest.approx(1)
    assert trustworthiness(digits, found.positions, n_neighbors=12) > 0.97  # random: 0.5; two components: 0.8


@pytest.mark.slow
def test_map_of_many_works_is_interpolated_and_as_good(digits, monkeypatch):
    monkeypatch.setattr(overview, "_INTERPOLATED", 400)
    digits = digits[:400]
    nearest, similarity = nearest_works(digits, 90)
    assert trustworthiness(digits, project(digits.copy(), nearest, similarity), n_neighbors=12) > 0.95


@pytest.mark.slow
def test_same_seed_same_map(digits):
    first, again, other = (make_overview(range(200), digits[:200].copy(), seed).positions for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("n", [5, 6, 13])
def test_a_few_works_and_doubles_are_a_map_too(n):
    vectors = np.random.default_rng(0).normal(size=(n, 8)).astype(np.float32)
    vectors[:3] = vectors[3]
    found = make_overview(range(n), vectors)
    assert np.isfinite(found.positions).all()
    assert found.nearest.shape == (n, min(n - 1, NEAREST))


def test_fewer_are_none():
    assert make_overview(range(4), np.ones((4, 2), np.float32)) is None


def test_without_opentsne_there_are_neighbours_and_no_map(monkeypatch, digits):
    monkeypatch.setitem(sys.modules, "openTSNE", None)
    found = make_overview(range(50), digits[:50].copy())
    assert found.positions is None
    assert found.nearest.shape == (50, NEAREST)


def test_the_map_begins_where_opentsnes_own_principal_components_do():
    """Which would copy all vectors."""
    initialization = pytest.importorskip("openTSNE.initialization")
    vectors = np.random.default_rng(0).normal(size=(60, 20)).astype(np.float32)
    expected = initialization.pca(vectors.copy(), random_state=3, svd_solver="randomized", add_jitter=True)
    assert (overview.principal_components(vectors, 3) == expected).all()
