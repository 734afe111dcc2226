"""Coefficients against their published worked examples, and against their definitions, computed slowly."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from statsmodels.stats import inter_rater

from artray.agreement.coefficients import (
    bootstrap,
    coefficients,
    coincidences,
    distances,
    draws,
    interval,
    kappa,
    patterns,
)

FLEISS_1971 = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""
"""Psychiatric diagnoses of 30 patients by six of the psychiatrists each; kappa .430."""

KRIPPENDORFF_2011 = """
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Computing Krippendorff's Alpha-Reliability, section D: alpha nominal .743, ordinal .815, interval .849."""

COHEN_1960 = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]], np.float64)
"""Two judges, 200 patients; kappa .492."""


def counts_of(matrix, classes):
    """Votes (works, classes) of labels (annotators, works), -1 where there is none."""
    return np.stack([(np.array(matrix) == each).sum(axis=0) for each in range(classes)], axis=1).astype(np.int32)


def of(counts, level="nominal", values=None):
    found = patterns(counts)
    return coefficients(found, found.works[None], values, level)


def test_fleiss_1971():
    counts = np.array([[int(cell) for cell in row] for row in FLEISS_1971.split()], np.int32)
    assert counts.sum(axis=0).tolist() == [26, 26, 30, 55, 43]
    assert of(counts).fleiss[0] == pytest.approx(0.430, abs=5e-4)


def test_krippendorff_2011():
    lines = KRIPPENDORFF_2011.strip().splitlines()
    labels = [[-1 if cell == "." else int(cell) - 1 for cell in line.split()] for line in lines]
    counts = counts_of(labels, 5)
    found = of(counts, "interval", np.arange(1.0, 6.0))
    told = {level: float(alpha[0]) for level, alpha in found.alpha.items()}
    assert told == pytest.approx({"nominal": 0.743, "ordinal": 0.815, "interval": 0.849}, abs=5e-4)
    # His matrix of coincidences.
    together = coincidences(patterns(counts))
    assert together.sum() == pytest.approx(40)
    assert together[0] == pytest.approx([7, 4 / 3, 1 / 3, 1 / 3, 0])
    assert np.diag(together) == pytest.approx([7, 10, 8, 4, 3])


def test_cohen_1960():
    first, second = COHEN_1960.sum(axis=1), COHEN_1960.sum(axis=0)
    plain = distances(3, "nominal", None, "quadratic")
    observed = np.array((COHEN_1960 * plain).sum() / 200)
    assert kappa(observed, first, second, plain) == pytest.approx(0.492, abs=5e-4)


def test_kappas_are_statsmodels():
    chance = np.random.default_rng(0)
    votes = chance.multinomial(5, [0.5, 0.2, 0.2, 0.1], size=40)
    assert of(votes.astype(np.int32)).fleiss[0] == pytest.approx(inter_rater.fleiss_kappa(votes), abs=1e-9)
    pairs = chance.integers(1, 20, size=(4, 4)) + np.diag([30.0, 20, 10, 5])  # two people's labels
    for level, weights, wt in (
        ("nominal", "quadratic", None),
        ("ordinal", "linear", "linear"),
        ("ordinal", "quadratic", "quadratic"),
    ):
        distance = distances(4, level, None, weights)
        ours = kappa((pairs * distance).sum() / pairs.sum(), pairs.sum(axis=1), pairs.sum(axis=0), distance)
        theirs = inter_rater.cohens_kappa(pairs, wt=wt, return_results=False)
        assert ours == pytest.approx(theirs, abs=1e-9), (level, weights)


labels = st.lists(st.lists(st.integers(-1, 3), min_size=4, max_size=4), min_size=2, max_size=8)


def slow_alpha(works, classes, distance):
    """By its definition: 1 - D_o / D_e over pairs of labels."""
    pairable = [[label for label in work if label >= 0] for work in works]
    pairable = [work for work in pairable if len(work) >= 2]
    every = [label for work in pairable for label in work]
    observed = sum(distance[a, b] / (len(work) - 1) for work in pairable for a, b in permutations(work, 2)) / len(every)
    expected = sum(distance[a, b] for a, b in permutations(every, 2)) / (len(every) * (len(every) - 1))
    return 1 - observed / expected if expected else float("nan")


def slow_ordinal(works, classes):
    every = [label for work in works if sum(x >= 0 for x in work) >= 2 for label in work if label >= 0]
    sizes = np.bincount(every, minlength=classes)
    distance = np.zeros((classes, classes))
    for a in range(classes):
        for b in range(a, classes):
            distance[a, b] = distance[b, a] = (sizes[a : b + 1].sum() - (sizes[a] + sizes[b]) / 2) ** 2
    return slow_alpha(works, classes, distance)


@given(labels)
def test_alpha_is_what_its_definition_says(works):
    assume(sum(sum(label >= 0 for label in work) >= 2 for work in works) >= 1)
    values = np.array([-1.0, 0.5, 2.0, 7.0])
    found = of(counts_of(np.array(works).T, 4), "interval", values)
    expected = {
        "nominal": slow_alpha(works, 4, 1 - np.eye(4)),
        "ordinal": slow_ordinal(works, 4),
        "interval": slow_alpha(works, 4, (values[:, None] - values[None, :]) ** 2),
    }
    for level, alpha in expected.items():
        assert found.alpha[level][0] == pytest.approx(alpha, abs=1e-9, nan_ok=True), level
    for each in range(4):
        one = np.zeros((4, 4))
        one[each], one[:, each] = 1, 1
        one[each, each] = 0
        assert found.classes[0, each] == pytest.approx(slow_alpha(works, 4, one), abs=1e-9, nan_ok=True)


@given(st.lists(st.integers(0, 2), min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_weighted_kappa_is_what_its_definition_says(one, random):
    other = [label if random.random() < 0.6 else random.randrange(3) for label in one]
    assume(len({*one, *other}) > 1)
    first, second = (np.bincount(side, minlength=3).astype(float) for side in (one, other))
    for level, weights, apart in (
        ("nominal", "quadratic", lambda a, b: float(a != b)),
        ("ordinal", "linear", lambda a, b: abs(a - b)),
        ("ordinal", "quadratic", lambda a, b: (a - b) ** 2),
    ):
        distance = distances(3, level, None, weights)
        ours = kappa(distance[one, other].mean(), first, second, distance)
        observed = sum(map(apart, one, other)) / len(one)
        expected = sum(apart(a, b) for a in one for b in other) / len(one) ** 2
        assert ours == pytest.approx(1 - observed / expected, abs=1e-9)


def test_one_label_leaves_nothing_to_chance():
    counts = np.array([[3, 0], [2, 0]], np.int32)
    found = of(counts)
    assert np.isnan([found.alpha["nominal"][0], found.fleiss[0], *found.classes[0]]).all()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_alpha_does_not_depend_on_the_unit(scale):
    counts = np.array([[2, 0, 0], [0, 1, 1], [1, 0, 2], [0, 3, 0]], np.int32)
    values = scale * np.array([1.0, 2.0, 4.0]) + 5 * scale
    works = [np.repeat(np.arange(3), row).tolist() for row in counts]
    places = np.array([1.0, 2.0, 4.0])
    expected = slow_alpha(works, 3, (places[:, None] - places[None, :]) ** 2)
    assert of(counts, "interval", values).alpha["interval"][0] == pytest.approx(expected, abs=1e-9)


def test_works_drawn_by_kind_are_drawn_like_works():
    """Few kinds of many works are drawn as numbers, many kinds as works: both as often as they are there."""
    rng = np.random.default_rng(0)
    for works in (np.array([900, 90, 10]), np.array([5, 3, 2, 1, 1])):
        drawn = np.concatenate(list(draws(works, 2000, rng)))
        assert drawn.shape == (2000, len(works))
        assert (drawn.sum(axis=1) == works.sum()).all()
        share = works / works.sum()
        spread = np.sqrt(works * (1 - share))
        assert drawn.mean(axis=0) == pytest.approx(works, abs=0.1 * spread.max())
        assert drawn.std(axis=0) == pytest.approx(spread, rel=0.1)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """People who are right in 70 of 100 works, and else say anything: alpha is known."""
    rng = np.random.default_rng(1)
    expected = 0.7**2
    held = 0
    for _ in range(100):
        truth = rng.integers(0, 4, 150)
        said = [np.where(rng.random(150) < 0.7, truth, rng.integers(0, 4, 150)) for _ in range(3)]
        found = bootstrap(patterns(counts_of(said, 4)), None, "nominal", resamples=200, rng=rng)
        low, high = interval(found.alpha["nominal"])
        held += low <= expected <= high
    assert 88 <= held <= 100


def test_no_interval_where_most_resamples_have_no_value():
    assert interval(np.array([np.nan, np.nan, 0.5])) is None
    assert interval(np.array([])) is None
    assert interval(np.array([0.5, 0.5, np.nan])) == (0.5, 0.5)
