"""Who labels consistently, and how far every two agree."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from artray.agreement.annotations import encode
from artray.agreement.annotators import beside_gold, beside_others, beside_themselves, judge, pairs
from artray.agreement.coefficients import distances, kappa
from tests.agreement.made import of_matrix, rows_of, simulated


def plain(found):
    return distances(len(found.classes), found.level, found.values, "quadratic")


def judged(found, **how):
    settings = {"least": 0.4, "least_works": 5, "resamples": 50} | how
    return judge(found, plain(found), rng=np.random.default_rng(0), **settings)


def consistent(found, **how):
    return [one.name for one in judged(found, **how) if one.consistent]


matrices = st.lists(st.lists(st.sampled_from([None, 0, 1, 2]), min_size=6, max_size=6), min_size=2, max_size=5)


def slow_kappa(twos, distance):
    """Of pairs of labels, each with a weight."""
    total = sum(weight for *_, weight in twos)
    observed = sum(weight * distance[a, b] for a, b, weight in twos) / total
    expected = sum(v * w * distance[a, b] for a, _, v in twos for _, b, w in twos) / total**2
    return 1 - observed / expected if expected > 1e-12 else float("nan")


@settings(max_examples=30)
@given(matrices)
def test_beside_the_others_and_in_pairs_as_by_definition(matrix):
    columns = [[label for label in work if label is not None] for work in zip(*matrix, strict=True)]
    assume(any(len(column) >= 2 for column in columns) and len({label for each in columns for label in each}) > 1)
    found = of_matrix(matrix)
    distance = plain(found)
    beside = beside_others(found, distance, np.ones(len(found.annotators), bool))
    place = {int(name): at for at, name in enumerate(found.classes)}
    for at, name in enumerate(found.annotators):
        who = int(name[1:])
        twos = []
        for work, label in enumerate(matrix[who]):
            others = [line[work] for other, line in enumerate(matrix) if other != who and line[work] is not None]
            if label is not None and others:
                twos += [(place[label], place[other], 1 / len(others)) for other in others]
        works = round(sum(weight for *_, weight in twos))
        assert beside.works[at] == works
        if works:
            assert beside.share[at] == pytest.approx(sum(weight for a, b, weight in twos if a == b) / works)
            assert beside.kappa[at] == pytest.approx(slow_kappa(twos, distance), nan_ok=True)
    two = pairs(found, distance, resamples=5, most_intervals=3, rng=np.random.default_rng(0))
    told = {
        (found.annotators[a], found.annotators[b]): at
        for at, (a, b) in enumerate(zip(two.first, two.second, strict=True))
    }
    for one, other in combinations(found.annotators, 2):
        both = zip(matrix[int(one[1:])], matrix[int(other[1:])], strict=True)
        twos = [(place[a], place[b], 1) for a, b in both if a is not None and b is not None]
        assert ((one, other) in told) == bool(twos)
        if twos:
            at = told[one, other]
            assert two.works[at] == len(twos)
            assert two.kappa[at] == pytest.approx(slow_kappa(twos, distance), nan_ok=True)


def test_careless_people_are_found():
    """Two of twelve say anything or always the same; the others differ in how good they are."""
    rows, _ = simulated(300, [*np.linspace(0.7, 0.95, 10), 0.0], share=0.6)
    rows += [(f"w{work:05}", "p11", "joy") for work in range(300)]
    found = encode(rows_of(rows), "emotion")
    told = judged(found)
    assert [one.name for one in told if not one.consistent] == ["p10", "p11"]
    assert {one.judged_by for one in told} == {"others"}
    for one in told:
        low, high = one.interval
        assert low < one.kappa < high or one.kappa == pytest.approx(0, abs=0.1)
        assert (one.kappa >= 0.4) == one.consistent
    assert told[11].kappa == pytest.approx(0, abs=1e-9)
    better = [one.kappa for one in told[:10]]
    assert np.corrcoef(better, range(10))[0, 1] > 0.9


def test_the_careless_leave_first_and_do_not_take_the_careful_along():
    """Three careful people among four who say anything: beside all others even the careful are below."""
    rows, _ = simulated(400, [0.95, 0.95, 0.95, 0, 0, 0, 0])
    found = encode(rows_of(rows), "emotion")
    beside_all = beside_others(found, plain(found), np.ones(7, bool))
    assert (beside_all.kappa < 0.4).all()
    assert consistent(found) == ["p00", "p01", "p02"]


def test_gold_counts_for_more_than_the_others():
    """Three who agree with each other and not with what is known, and one who knows."""
    works = range(20)
    rows = [(f"w{work:02}", "knows", "ab"[work % 2]) for work in works]
    rows += [(f"w{work:02}", name, "ab"[(work // 2) % 2]) for work in works for name in ("one", "two", "three")]
    gold = [(f"w{work:02}", None, "ab"[work % 2]) for work in works]
    assert consistent(encode(rows_of(rows), "emotion")) == ["one", "three", "two"]
    found = encode(rows_of(rows + gold, [False] * len(rows) + [True] * len(gold)), "emotion")
    told = {one.name: one for one in judged(found)}
    assert [name for name, one in told.items() if one.consistent] == ["knows"]
    assert told["knows"].gold_kappa == told["knows"].gold_share == 1
    assert (told["one"].gold, told["one"].judged_by, told["one"].gold_kappa) == (20, "gold", 0)
    # With fewer gold works than needed they are judged by each other.
    assert consistent(found, least_works=21) == []
    found = encode(rows_of(rows + gold[:3], [False] * len(rows) + [True] * 3), "emotion")
    assert consistent(found) == ["one", "three", "two"]


def test_whoever_contradicts_themself_is_not_consistent():
    works = range(12)
    rows = [(f"w{work:02}", name, "ab"[work % 2]) for name in ("one", "two", "three") for work in works]
    again = [(f"w{work:02}", "two", "ab"[(work // 2) % 2]) for work in works]
    again += [(f"w{work:02}", "one", "ab"[work % 2]) for work in works]
    found = encode(rows_of(rows + again), "emotion")
    told = {one.name: one for one in judged(found)}
    assert (told["two"].consistent, told["two"].judged_by, told["two"].repeats) == (False, "repeats", 12)
    assert (told["one"].consistent, told["one"].repeats_share, told["one"].repeats_kappa) == (True, 1, 1)
    assert told["three"].repeats == 0
    assert told["three"].repeats_kappa is None


def test_too_few_works_to_judge():
    rows = [(f"w{work}", name, "ab"[work % 2]) for name in ("one", "two") for work in range(6)]
    rows += [("w0", "three", "a"), ("w9", "four", "b")]
    told = {one.name: one for one in judged(encode(rows_of(rows), "emotion"))}
    assert {name: one.judged_by for name, one in told.items() if not one.consistent} == {
        "three": "too few works",
        "four": "too few works",
    }
    assert (told["four"].works, told["four"].kappa, told["four"].share) == (0, None, None)


def test_where_chance_can_not_be_told_whoever_never_differs_is_consistent():
    """They share only works that all call `a`; alone they know `b` too."""
    rows = [(f"w{work}", name, "a") for name in ("one", "two") for work in range(6)] + [("w9", "one", "b")]
    found = encode(rows_of(rows), "emotion")
    told = judged(found)
    assert [(one.kappa, one.share, one.consistent) for one in told] == [(None, 1, True), (None, 1, True)]


def test_ranks_that_are_near_count_for_something():
    steady = [1, 2, 3, 4, 5] * 4
    near = [2, 2, 3, 4, 4] * 4
    far = [5, 2, 3, 4, 1] * 4
    nominal, ordinal = (of_matrix([steady, near, far], level=level) for level in ("nominal", "ordinal"))
    plain_kappa, weighted = (beside_others(found, plain(found), np.ones(3, bool)).kappa for found in (nominal, ordinal))
    assert weighted[0] - weighted[2] > plain_kappa[0] - plain_kappa[2]
    two = pairs(ordinal, plain(ordinal), resamples=20, most_intervals=1, rng=np.random.default_rng(0))
    assert two.kappa[0] == two.kappa[1]  # two works of five differ
    assert two.weighted[0] > 0.8 > two.weighted[1]
    assert [bounds is not None for bounds in two.intervals] == [True, False, False]


def test_beside_gold_and_themselves_without_any():
    found = of_matrix([[0, 1], [1, 1]])
    for beside in (beside_gold(found, plain(found)), beside_themselves(found, plain(found))):
        assert beside.works.tolist() == [0, 0]
        assert np.isnan(beside.kappa).all()


def test_a_kappa_of_many_at_once():
    first = np.array([[10.0, 10.0], [20.0, 0.0]])
    observed = np.array([0.25, 0.5])
    found = kappa(observed, first, np.array([[10.0, 10.0], [10.0, 10.0]]), 1 - np.eye(2))
    assert found.tolist() == [0.5, 0.0]
