"""The chart of a film, read as XML."""

from xml.etree import ElementTree

import numpy as np
import pytest

from artray.film.chart import Still, clock, film_chart
from artray.film.curves import smoothed
from artray.film.timeline import Curve

SVG = "{http://www.w3.org/2000/svg}"


def curve(scores, names, **about):
    seconds = np.arange(len(scores), dtype=float)
    values = np.asarray(scores, float)
    return seconds, Curve("task <1>", names, True, values, smoothed(seconds, values, 0), **about)


def parsed(seconds, *curves, **more):
    return ElementTree.fromstring(film_chart("Film & <co>", float(len(seconds)), seconds, curves, **more))


def paths(svg, kind):
    return [item for item in svg.iter(f"{SVG}path") if item.get("class", "").split()[:1] == [kind]]


def test_each_class_is_a_line_in_its_place():
    seconds, told = curve([[1, 0, 0], [0.5, 0.25, 0.25], [0, 1, 0], [0, 0, 1]], ["a", "b & c", "d"])
    svg = parsed(seconds, told, cuts=[2.0])
    first, *rest = paths(svg, "line")
    points = [tuple(map(float, point.split(","))) for point in first.get("d")[1:].split("L")]
    (left, top), _, (_, bottom), _ = points
    assert points[1][1] == pytest.approx((top + bottom) / 2)
    assert [x - left for x, _ in points] == pytest.approx([0, 285, 570, 855])  # of 1140 for 4 seconds
    assert len(rest) == 2
    (cut,) = paths(svg, "cut")
    assert float(cut.get("d")[1:].split(",")[0]) - left == pytest.approx(570)
    assert "b & c" in "".join(svg.itertext())


def test_two_classes_are_one_line_with_an_area_on_either_side():
    seconds, told = curve([[1, 0], [1, 0], [0, 1], [0, 1]], ["high", "low"])
    svg = parsed(seconds, told)
    assert len(paths(svg, "line")) == 1
    assert [item.get("class") for item in paths(svg, "area")] == ["area s0", "area s1"]
    above = paths(svg, "area")[0].get("d")
    assert any(point.startswith("471.5,") for point in above[1:].replace("Z", "").split("L"))  # 1.5 s: it crosses


def test_a_gap_in_the_scores_is_a_gap_in_the_line():
    seconds, told = curve([[1, 0, 0], [np.nan] * 3, [0, 1, 0], [0, 1, 0]], ["a", "b", "c"])
    assert paths(parsed(seconds, told, damaged=[(1, 2)]), "line")[0].get("d").count("M") == 2


def test_of_many_classes_those_that_rise_highest_are_drawn():
    chance = np.random.default_rng(0)
    seconds, told = curve(chance.dirichlet(np.ones(30), 50), [f"class {number}" for number in range(30)])
    svg = parsed(seconds, told)
    assert len(paths(svg, "line")) == 10
    assert "and 20 more" in "".join(svg.itertext())


def test_a_long_film_makes_no_larger_chart():
    seconds, told = curve(np.full((7200, 2), 0.5), ["a", "b"])
    assert len(film_chart("x", 7200, seconds, [told])) < 150_000


def test_a_strip_carries_its_frames():
    seconds, told = curve([[1, 0]], ["a", "b"])
    svg = parsed(seconds, told, strip=[Still(0, b"jpeg", "../frames/x.jpg")], style=".x { fill: none }")
    (image,) = svg.iter(f"{SVG}image")
    assert image.get("href") == "data:image/jpeg;base64,anBlZw=="
    assert svg.find(f"{SVG}style").text == ".x { fill: none }"


@pytest.mark.parametrize(("second", "text"), [(0, "0:00"), (59.96, "1:00"), (61.5, "1:01.5"), (7200, "2:00:00")])
def test_clock(second, text):
    assert clock(second) == text
