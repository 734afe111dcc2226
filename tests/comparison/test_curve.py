"""Learning curves: fitted where the truth is known, honest where it is not."""

import numpy as np
import pytest

from artray.comparison.curve import FURTHEST, Curve, Needed, Point, Runs, fitted, learning_curve
from artray.comparison.learning_curve import CurveOptions, needed_sentence, sentences_of, trace_learning_curve
from artray.errors import InputError

SIZES = np.array([50, 100, 175, 250, 350, 500])


def runs(a=0.1, b=3.0, power=0.5, works=1_500, draws=4, seed=0, per_group=1):
    """Runs whose errors fall as they should, but for chance."""
    chance = np.random.default_rng(seed)
    sizes = np.repeat(SIZES, draws)
    hard = np.repeat(chance.random(-(-works // per_group)), per_group)[:works]
    error = a + b * sizes.astype(float) ** -power
    right = hard[None, :] + chance.normal(0, 0.05, (len(sizes), works)) > error[:, None]
    groups = np.arange(works) // per_group
    return Runs(sizes, right, groups), sizes / 500


@pytest.mark.parametrize(("a", "b", "power"), [(0.1, 3.0, 0.5), (0.0, 2.0, 0.3), (0.2, 0.0, 1.0)])
def test_the_fit_finds_what_was_put_in(a, b, power):
    errors = a + b * SIZES.astype(float) ** -power
    (found,) = fitted(SIZES.astype(float), 1 - errors[None], np.ones(len(SIZES)))
    n = np.array([50.0, 500, 2_000])
    np.testing.assert_allclose(found[0] + found[1] * n ** -found[2], a + b * n**-power, atol=1e-6)


def test_neither_end_is_negative():
    """Accuracies that fall with more works give a flat curve, not one that rises the other way round."""
    ((a, b, _),) = fitted(SIZES.astype(float), 0.8 - SIZES[None] / 5_000, np.ones(len(SIZES)))
    assert a >= 0
    assert b == 0


def test_the_forecast_holds_the_truth():
    held = 0
    for seed in range(2):
        told = learning_curve(*runs(seed=seed), target=0.82, resamples=100)
        assert told.forecast is not None
        at = np.argmin(np.abs(told.forecast[:, 0] - 1_500))
        n, _, low, high = told.forecast[at]
        held += low - 0.02 <= 1 - (0.1 + 3 * n**-0.5) <= high + 0.02
    assert held == 2


def test_twice_as_many_works():
    """3 / √500 − 3 / √1000."""
    told = learning_curve(*runs(), resamples=100)
    assert told.gain is not None
    value, low, high = told.gain
    assert low - 0.01 <= 3 / 500**0.5 - 3 / 1000**0.5 <= high + 0.01
    assert low <= value <= high
    assert "Twice as many works (1,000) would add" in sentences_of(told)[1]


def test_what_a_target_needs():
    """1 - .1 - 3 / √n = .8 at n = 900."""
    told = learning_curve(*runs(), target=0.8, resamples=100)
    assert told.needed is not None
    assert told.needed.works is not None
    low, high = told.needed.interval
    assert low is not None
    assert low <= 1_000
    assert high is None or high >= 800
    assert 600 < told.needed.works < 1_400
    assert told.needed.most == FURTHEST * 500


def test_what_is_never_reached_is_said():
    told = learning_curve(*runs(a=0.3, b=1.0), target=0.95, resamples=100)
    assert told.needed is not None
    assert told.needed.works is None
    assert needed_sentence(told.needed).startswith("95% may need more than 2,000 labelled works, or never be reached: ")


def test_few_groups_make_it_less_sure():
    sure = learning_curve(*runs(works=400), resamples=100)
    unsure = learning_curve(*runs(works=400, per_group=20), resamples=100)
    widths = [each.points[-1].interval[1] - each.points[-1].interval[0] for each in (sure, unsure)]
    assert widths[1] > 2 * widths[0]


def test_the_first_half_forecasts_the_end():
    told = learning_curve(*runs(), resamples=100)
    assert told.tried is not None
    assert (told.tried.works, told.tried.accuracy) == (500, pytest.approx(told.points[-1].accuracy))
    assert told.tried.interval[0] <= told.tried.accuracy <= told.tried.interval[1]
    assert "came true." in sentences_of(told)[0]


def test_a_forecast_that_fails_on_itself_says_so():
    point = Point(500, 1, 0.6, (0.55, 0.65))
    told = learning_curve(*runs(), resamples=100)
    assert told.tried is not None
    wrong = Curve([point], told.forecast, None, type(told.tried)(500, 0.8, (0.75, 0.85), 0.6))
    assert "don't rely on what follows" in sentences_of(wrong)[0]


def test_too_few_sizes_have_no_forecast():
    given, _ = runs()
    some = given.sizes >= 250
    told = learning_curve(Runs(given.sizes[some], given.right[some], given.groups), given.sizes[some], resamples=100)
    assert (len(told.points), told.forecast, told.tried) == (3, None, None)
    assert sentences_of(told) == ["Too few numbers of works for a forecast: give more --shares."]


def test_a_target_in_words():
    told = needed_sentence(Needed(0.9, 1_200, (800, None), 0.7, 4_000))
    assert told == "90% would need about 1,200 labelled works (95 %: 800 to more than 4,000, or never)."


@pytest.mark.parametrize("shares", [[0.5, 0.5], [1.2], [0.0]])
def test_shares_that_are_none_are_refused(shares, tmp_path):
    with pytest.raises(InputError, match="--shares: between 0 and 1, each once"):
        trace_learning_curve(CurveOptions(data=str(tmp_path / "data"), out=str(tmp_path / "out"), shares=shares))
