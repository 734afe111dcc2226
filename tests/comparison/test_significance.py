"""McNemar, Holm, bootstrap and permutation, against statsmodels, SciPy, slow ways, and values worked out by hand."""

import gc
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import contingency_tables, multitest

from artray.comparison.significance import binomial_p, holm, mcnemar, numbered, resampled, swapped, two_sided


def discordant(first, second):
    """Flags of two models of which so many works only the one, and only the other, has right; 5 both."""
    flags = np.array([[1, 0]] * first + [[0, 1]] * second + [[1, 1]] * 5, bool)
    return flags[:, 0], flags[:, 1]


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (7, 2), (2, 7), (30, 31), (0, 200), (400, 300)])
def test_mcnemar_is_the_binomial_test(first, second):
    told = mcnemar(*discordant(first, second))
    assert (told.first, told.second) == (first, second)
    if first + second:
        oracle = stats.binomtest(first, first + second, 0.5)
        assert told.p == pytest.approx(oracle.pvalue, rel=1e-9)
        ends = oracle.proportion_ci(0.95, "exact")
        assert told.interval[0] == pytest.approx(ends.low / (1 - ends.low), rel=1e-6)
        if second:
            assert told.interval[1] == pytest.approx(ends.high / (1 - ends.high), rel=1e-6)
            assert told.odds == first / second
        else:
            assert told.interval[1] is None
            assert told.odds is None
    else:
        assert told.p == 1


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (7, 2), (2, 7), (30, 31), (0, 200), (400, 300)])
def test_mcnemar_is_statsmodels(first, second):
    table = [[5, first], [second, 0]]
    assert mcnemar(*discordant(first, second)).p == pytest.approx(
        contingency_tables.mcnemar(table, exact=True).pvalue, rel=1e-9
    )


def test_mcnemar_by_hand():
    """5 works against 1: 2 · (1 + 6) / 64."""
    assert binomial_p(1, 6) == pytest.approx(14 / 64)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_the_slow_way(ps):
    """Of each p the largest (number of hypotheses still open) · p of those not above it."""
    ordered = sorted(ps)
    slow = [min(1, max((len(ps) - rank) * other for rank, other in enumerate(ordered) if other <= p)) for p in ps]
    assert holm(ps) == pytest.approx(slow)


def test_holm_is_statsmodels(monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda: 0)  # statsmodels asks for it each time: seconds, of all that is loaded
    chance = np.random.default_rng(5)
    for number in (1, 2, 3, 10, 45):
        ps = chance.random(number) ** 4
        ps[::4] = ps[0]  # some alike
        assert holm(ps.tolist()) == pytest.approx(multitest.multipletests(ps, method="holm")[1])


def test_holm_by_hand():
    """Holm 1979's steps: 4 · .005, 3 · .011, 2 · .02, then 1 · .04 raised to that before it."""
    assert holm([0.02, 0.005, 0.04, 0.011]) == pytest.approx([0.04, 0.02, 0.04, 0.033])


@pytest.mark.parametrize(("first", "second"), [(7, 2), (5, 5), (12, 1)])
def test_swapped_is_mcnemar_where_each_work_is_its_own_group(first, second):
    one, two = discordant(first, second)
    p = swapped(one.astype(float) - two, np.arange(len(one)))
    assert p == pytest.approx(mcnemar(one, two).p)


def test_swapped_goes_by_whole_groups():
    """Three groups, of which the first model wins by 3, 1 and 1: of 8 assignments two reach 5."""
    difference = np.array([1, 1, 1, 1, 1.0])
    groups = np.array([0, 0, 0, 1, 2])
    slow = [abs(sum(sign * size for sign, size in zip(signs, (3, 1, 1), strict=True))) >= 5 for signs in
            itertools.product((1, -1), repeat=3)]  # fmt: skip
    assert swapped(difference, groups) == np.mean(slow) == 0.25


def test_swapped_drawn_is_near_to_exact():
    chance = np.random.default_rng(3)
    difference = chance.choice([-1.0, 0, 1], 30, p=[0.2, 0.4, 0.4])
    one, two = difference > 0, difference < 0
    drawn = swapped(np.repeat(difference, 2), np.repeat(np.arange(30), 2), draws=4_000)
    assert drawn == pytest.approx(mcnemar(one, two).p, abs=0.03)


def test_the_bootstrap_draws_the_same_works_for_all():
    table = np.random.default_rng(0).random((50, 3))
    first, second = resampled([table, table + np.array([0, 0, 1])], np.arange(50), resamples=200)
    np.testing.assert_allclose(second - first, np.tile([0, 0, 50], (200, 1)), atol=1e-9)


def test_the_bootstrap_is_scipys():
    """Of a paired difference of means; by percentile, as SciPy's."""
    chance = np.random.default_rng(1)
    one, two = (chance.random((2, 300)) < [[0.8], [0.7]]).astype(float)
    first, second = resampled([one[:, None], two[:, None]], np.arange(300), resamples=4_000)
    ours = np.percentile((first - second)[:, 0] / 300, (2.5, 97.5))
    theirs = stats.bootstrap(
        (one - two,), np.mean, n_resamples=4_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_whole_groups_are_drawn():
    """Works that are right or wrong by group: intervals get as wide as from so many groups."""
    groups = np.repeat(np.arange(25), 8)
    right = (groups % 2).astype(float)[:, None]
    (by_works,) = resampled([right], np.arange(200), resamples=3_000)
    (by_groups,) = resampled([right], groups, resamples=3_000)
    assert by_groups.std() / by_works.std() == pytest.approx(8**0.5, rel=0.1)


def test_two_sided():
    assert two_sided(np.array([1.0] * 199)) == pytest.approx(2 / 200)
    assert two_sided(np.array([1.0, -1.0] * 50)) == 1
    assert two_sided(np.zeros(10)) == 1


def test_names_are_numbered_from_0():
    assert numbered(["b", "a", "b"]).tolist() == [1, 0, 1]
