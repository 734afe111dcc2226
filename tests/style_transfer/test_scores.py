"""Figures by strength."""

import math

import pyarrow as pa
import pytest

from artray.bundles.classifier import load_bundle
from artray.storage import Location
from artray.style_transfer.page import judged_rows
from artray.style_transfer.scores import Classified, scores_of
from artray.style_transfer.transferring import FIGURES, STATE
from tests.film.making import write_colour_bundle


def made(*rows):
    """Rows of (content, strength, status, style distance before, after)."""
    return pa.Table.from_pylist(
        [
            {
                "object_id": f"{content}-{strength}",
                "content": content,
                "strength": strength,
                "status": status,
                **dict.fromkeys(FIGURES),
                "style_distance_before": before,
                "style_distance": after,
            }
            for content, strength, status, before, after in rows
        ],
        schema=STATE,
    )


ROWS = made(
    ("a", 1.0, "ok", 0.8, 0.6), ("a", 2.0, "ok", 0.8, 0.9),
    ("b", 1.0, "ok", 0.4, 0.2), ("b", 2.0, "ok", 0.4, 0.2),
    ("c", 1.0, "truncated", None, None), ("c", 2.0, "truncated", None, None),
)  # fmt: skip


def test_means_over_the_pictures_of_a_strength():
    one, two = scores_of(ROWS, [1.0, 2.0], judge="lite2", classified=None)["strengths"]
    assert (one["pictures"], one["nearer"], two["nearer"]) == (2, 1.0, 0.5)
    assert (one["style_distance_before"], one["style_distance"]) == (0.6, 0.4)
    assert one["content_distance"] is None
    header, rows = judged_rows({"strengths": [one, two]})
    assert header == ["strength", "pictures", "style, before", "after", "nearer"]
    assert rows == [["1", "2", "0.600", "0.400", "100%"], ["2", "2", "0.600", "0.550", "50%"]]


def labels(**found):
    rows = [{"object_id": name, "label": label, "scores": scores} for name, (label, scores) in found.items()]
    kind = pa.map_(pa.string(), pa.float32())
    schema = pa.schema([("object_id", pa.string()), ("label", pa.string()), ("scores", kind)])
    return pa.Table.from_pylist(rows, schema=schema)


@pytest.fixture
def bundle(tmp_path):
    return load_bundle(Location.parse(write_colour_bundle(tmp_path / "bundle")))


def test_what_a_classifier_says_before_and_after(bundle):
    before = labels(a=("red", {"red": 0.6, "blue": 0.4}), b=("red", {"red": 0.9, "blue": 0.1}), c=(None, None))
    after = labels(
        **{
            "a-1.0": ("blue", {"red": 0.4, "blue": 0.6}),
            "a-2.0": ("blue", {"red": 0.1, "blue": 0.9}),
            "b-1.0": ("red", {"red": 0.8, "blue": 0.2}),
            "b-2.0": ("blue", {"red": 0.3, "blue": 0.7}),
        }
    )
    scores = scores_of(ROWS, [1.0, 2.0], judge=None, classified=Classified(bundle, "blue", before, after))
    one, two = scores["strengths"]
    assert (one["score_before"], one["score_after"], two["score_after"]) == (0.25, 0.4, 0.8)
    assert (one["labelled_before"], one["labelled_after"], two["labelled_after"]) == (0, 0.5, 1)
    assert (one["changed"], two["changed"]) == (0.5, 1)
    assert scores["classifier"]["class"] == "blue"


def test_a_class_that_the_classifier_does_not_know(bundle):
    before = labels(a=("red", {"red": 1.0}))
    after = labels(**{"a-1.0": ("blue", {"red": math.nan})})
    scores = scores_of(ROWS, [1.0], judge=None, classified=Classified(bundle, "Rococo", before, after))
    assert scores["classifier"]["class"] is None
    assert scores["strengths"][0]["changed"] == 1
    assert "score_after" not in scores["strengths"][0]
