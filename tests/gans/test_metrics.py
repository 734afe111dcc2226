"""Scores of generators against SciPy's matrix root, slow loops, and distributions whose distance is known."""

import math

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from artray.gans import metrics

Array = np.ndarray


def sets(seed: int, n: int, m: int, d: int) -> tuple[Array, Array]:
    chance = np.random.default_rng(seed)
    return chance.normal(size=(n, d)), chance.normal(size=(m, d)) * 1.3 + 0.2


def distance(one: Array, two: Array) -> float:
    return metrics.frechet_distance(metrics.Moments.of(one), metrics.Moments.of(two))


def whole_distance(one: Array, two: Array) -> float:
    """Of all embeddings at once, as `frechet_distance` was before it came to add up blocks."""
    first, second = ((values - values.mean(axis=0)) / np.sqrt(len(values) - 1) for values in (one, two))
    means = one.mean(axis=0) - two.mean(axis=0)
    root = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return float(means @ means + (first**2).sum() + (second**2).sum() - 2 * root)


sizes = {"seed": st.integers(0, 10_000), "n": st.integers(4, 30), "m": st.integers(4, 30), "d": st.integers(1, 12)}


@given(**sizes)
@settings(max_examples=60, deadline=None)
def test_the_frechet_distance_is_that_of_scipys_matrix_root(seed: int, n: int, m: int, d: int) -> None:
    one, two = sets(seed, n, m, d)
    covariances = [np.atleast_2d(np.cov(values, rowvar=False)) for values in (one, two)]
    root = scipy.linalg.sqrtm((covariances[0] @ covariances[1]).astype(complex)).real
    means = one.mean(axis=0) - two.mean(axis=0)
    slow = means @ means + np.trace(covariances[0] + covariances[1] - 2 * root)
    # Where a covariance is singular, it is sqrtm that is imprecise.
    precise = min(n, m) > d + 1
    assert distance(one, two) == pytest.approx(max(slow, 0), rel=1e-6, abs=1e-6 if precise else 1e-3)


def test_the_frechet_distance_of_two_normal_distributions_is_the_formulas() -> None:
    chance = np.random.default_rng(0)
    deviations, means = np.array([1.0, 2.0, 0.5]), np.array([3.0, 0.0, -1.0])
    one, two = chance.normal(size=(200_000, 3)), chance.normal(size=(200_000, 3)) * deviations + means
    expected = (means**2).sum() + ((deviations - 1) ** 2).sum()
    assert distance(one, two) == pytest.approx(expected, rel=0.01)


@given(**sizes, block=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_moments_added_up_by_blocks_are_those_of_the_whole(seed: int, n: int, m: int, d: int, block: int) -> None:
    sets_of = [values + 1e3 for values in sets(seed, n, m, d)]  # far from 0 sums of squares would lose digits
    added = [metrics.Moments(), metrics.Moments()]
    for values, moments in zip(sets_of, added, strict=True):
        for start in range(0, len(values), block):
            moments.add(values[start : start + block])
        assert moments.triangle.shape[0] <= max(d, 2 * len(values))
        assert moments.triangle.T @ moments.triangle / (moments.n - 1) == pytest.approx(
            np.atleast_2d(np.cov(values, rowvar=False)), rel=1e-6, abs=1e-9
        )
    expected = whole_distance(*sets_of)
    assert metrics.frechet_distance(*added) == pytest.approx(max(expected, 0), rel=1e-6, abs=1e-7)


def test_moments_keep_no_more_than_a_square() -> None:
    one, two = sets(0, 120, 80, 12)
    moments = metrics.Moments()
    for part in np.array_split(one, 23):
        moments.add(part)
        assert moments.triangle.shape[0] <= 12
    assert metrics.frechet_distance(moments, metrics.Moments.of(two)) == pytest.approx(
        whole_distance(one, two), rel=1e-9
    )


@pytest.mark.slow
def test_the_frechet_distance_of_a_set_to_itself_is_nothing_and_of_two_halves_something() -> None:
    values = np.random.default_rng(0).normal(size=(100, 300))
    assert distance(values, values) < 1e-9
    few = distance(values[:50], values[50:])
    assert few > 10  # the bias of few pictures
    more = np.random.default_rng(1).normal(size=(2000, 300))
    assert distance(more[:1000], more[1000:]) < few / 2


@given(**sizes)
@settings(max_examples=40, deadline=None)
def test_the_kernel_distance_is_that_of_a_double_loop(seed: int, n: int, m: int, d: int) -> None:
    one, two = sets(seed, n, m, d)

    def kernel(x: Array, y: Array) -> float:
        return float((x @ y / d + 1) ** 3)

    slow = (
        sum(kernel(one[i], one[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
        + sum(kernel(two[i], two[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
        - 2 * sum(kernel(x, y) for x in one for y in two) / (n * m)
    )
    assert metrics.kernel_distance(one, two) == pytest.approx(slow, rel=1e-9, abs=1e-9)


def test_the_kernel_distance_has_no_bias_and_an_error_that_is_right() -> None:
    chance = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(200):
        one, two = chance.normal(size=(60, 8)), chance.normal(size=(60, 8))
        values.append(metrics.kernel_distance(one, two))
        errors.append(metrics.kernel_distance_error(one, two) or math.nan)
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))
    # Blocks are smaller than the whole, and the estimate from them is the more careful one.
    assert np.std(values) < np.mean(errors) < 10 * np.std(values)


def test_too_few_pictures_for_blocks_have_no_error() -> None:
    one, two = sets(0, 19, 40, 3)
    assert metrics.kernel_distance_error(one, two) is None
    assert metrics.kernel_distance_error(one, two, blocks=5) is not None


@given(**sizes, k=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_precision_and_recall_are_those_of_brute_force(seed: int, n: int, m: int, d: int, k: int) -> None:
    real, generated = sets(seed, n, m, d)

    def within(queries: Array, members: Array) -> float:
        radii = [sorted(math.dist(a, b) for b in members)[k] for a in members]
        hits = [any(math.dist(q, a) <= r for a, r in zip(members, radii, strict=True)) for q in queries]
        return sum(hits) / len(hits)

    precision, recall = metrics.precision_and_recall(real, generated, k)
    assert precision == pytest.approx(within(generated, real))
    assert recall == pytest.approx(within(real, generated))


def test_a_generator_of_one_good_picture_is_precise_and_forgets_the_rest() -> None:
    real = np.random.default_rng(0).normal(size=(200, 8))
    precision, recall = metrics.precision_and_recall(real, np.tile(real[0], (50, 1)))
    assert precision == 1
    assert recall <= 1 / 200
    precision, recall = metrics.precision_and_recall(real, real + 100)
    assert precision == recall == 0


@given(**sizes)
@settings(max_examples=40, deadline=None)
def test_the_nearest_work_is_that_of_brute_force(seed: int, n: int, m: int, d: int) -> None:
    queries, works = sets(seed, n, m, d)

    def distance(a: Array, b: Array) -> float:
        return float(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    places, distances = metrics.nearest(queries, works)
    slow = np.array([[distance(query, work) for work in works] for query in queries])
    assert distances == pytest.approx(slow.min(axis=1), abs=1e-12)
    assert slow[np.arange(n), places] == pytest.approx(slow.min(axis=1), abs=1e-12)
    places, distances = metrics.nearest(works, works, themselves=True)
    among = np.array([[distance(a, b) if i != j else 9 for j, b in enumerate(works)] for i, a in enumerate(works)])
    assert (places != np.arange(m)).all()
    assert distances == pytest.approx(among.min(axis=1), abs=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = sets(3, 40, 50, 6)
    whole = metrics.precision_and_recall(one, two), metrics.share_closer(one, two)
    kid = metrics.kernel_distance(one, two)
    places, distances = metrics.nearest(two, two, themselves=True)
    monkeypatch.setattr(metrics, "_BLOCK", 7)
    assert metrics.kernel_distance(one, two) == pytest.approx(kid, abs=1e-13)
    assert (metrics.precision_and_recall(one, two), metrics.share_closer(one, two)) == whole
    again = metrics.nearest(two, two, themselves=True)
    assert (again[0] == places).all()
    assert again[1] == pytest.approx(distances, abs=1e-15)
    some = np.array([3, 30, 8])
    found = metrics.Nearest(two[some], some)
    for part in np.array_split(two, 4):  # as they come
        found.add(part)
    assert (found.rows == places[some]).all()
    assert found.distances == pytest.approx(distances[some], abs=1e-15)


def test_copies_are_closer_than_works_are_and_new_works_as_close() -> None:
    chance = np.random.default_rng(0)
    works = chance.normal(size=(400, 16)) + 10
    assert metrics.share_closer(works[:50] * 1.001 + 0.001 * chance.normal(size=(50, 16)), works) == 1
    assert 0.1 < metrics.share_closer(chance.normal(size=(400, 16)) + 10, works) < 0.75
    elsewhere = chance.normal(size=(50, 16)) + np.resize([10, -10], 16)
    assert metrics.share_closer(elsewhere, works) == 0


@given(**{**sizes, "n": st.integers(6, 30), "m": st.integers(1, 30)}, k=st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_density_and_coverage_count_balls(seed: int, n: int, m: int, d: int, k: int) -> None:
    real, made = sets(seed, n, m, d)
    held, covered = 0, 0
    for one in real:
        radius = sorted(math.dist(one, other) for other in real)[k]
        within = sum(math.dist(one, other) <= radius for other in made)
        held, covered = held + within, covered + (within > 0)
    found = metrics.density_and_coverage(real, made, k)
    assert found == pytest.approx((held / (k * m), covered / n), abs=1e-9)


def test_density_and_coverage_of_one_distribution_and_of_one_picture_over_and_over() -> None:
    chance = np.random.default_rng(0)
    one, two = chance.normal(size=(2, 600, 4))
    density, coverage = metrics.density_and_coverage(one, two)
    assert density == pytest.approx(1, abs=0.1)
    assert coverage == pytest.approx(1 - 0.5**5, abs=0.04)  # 1 - (n - 1)…(n - k) / ((2n - 1)…(2n - k))
    assert metrics.density_and_coverage(one, np.repeat(one[:1], 600, axis=0))[1] < 0.05
