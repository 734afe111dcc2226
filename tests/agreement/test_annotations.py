"""From rows to numbers: what is counted, what is left out and said."""

import numpy as np
import pytest

from artray.agreement.annotations import encode, number
from artray.errors import InputError
from tests.agreement.made import of_matrix, rows_of


def test_rows_become_numbers_in_an_order_that_rows_do_not_decide():
    rows = [("w2", "ben", "joy"), ("w1", "anna", "fear"), ("w1", "ben", "Joy"), ("w2", "anna", "joy")]
    for given in (rows, rows[::-1]):
        found = encode(rows_of(given), "emotion")
        assert (found.objects, found.annotators, found.classes) == (["w1", "w2"], ["anna", "ben"], ("fear", "joy"))
        assert found.object.tolist() == [0, 0, 1, 1]
        assert found.annotator.tolist() == [0, 1, 0, 1]
        assert found.label.tolist() == [0, 1, 1, 1]
        assert found.votes().tolist() == [[1, 1], [0, 2]]
        assert found.votes(np.array([True, False])).tolist() == [[1, 0], [0, 1]]
        assert not found.left_out


def test_what_is_left_out_is_counted_and_named():
    rows = [
        ("w1", "anna", "fear"),
        ("w1", "ben", "joy"),
        ("w1", "carl", ""),
        ("w1", "dora", "n/a"),
        ("w2", None, "joy"),
        (None, "ben", "joy"),
        ("w2", "ben", "joy|fear"),
        ("w3", "anna", None),
    ]
    found = encode(rows_of(rows), "emotion", separator="|")
    assert found.left_out == {
        "empty cells": 3,
        "cells with several labels (joy|fear)": 1,
        "labels without a work": 1,
        "labels without an annotator": 1,
    }
    assert (found.objects, found.annotators) == (["w1"], ["anna", "ben"])


def test_labels_that_are_not_among_the_classes():
    rows = [("w1", "anna", "fear"), ("w1", "ben", "joy"), ("w1", "carl", "hapy"), ("w1", "dora", "unknown")]
    found = encode(rows_of(rows), "emotion", classes=["joy", "fear", "love"])
    assert found.classes == ("joy", "fear", "love")
    assert found.left_out == {"labels not in --classes (hapy)": 1, "empty cells": 1}
    found = encode(rows_of(rows), "emotion", classes=["joy", "fear", "unknown"])
    assert found.left_out == {"labels not in --classes (hapy)": 1}
    assert len(found.label) == 3


def test_numbers_are_told_apart_by_value_not_by_spelling():
    found = of_matrix([["-1", "1", "10", "2"], ["-1.0", "1", "10", "2,5"]])
    assert found.classes == ("-1", "1", "2", "2.5", "10")
    assert found.values.tolist() == [-1, 1, 2, 2.5, 10]
    assert found.label.tolist() == [0, 0, 1, 1, 4, 4, 2, 3]


def test_numbers_that_are_none():
    found = of_matrix([["1", "2", "3"], ["1", "high", "inf"]], level="interval")
    assert found.left_out == {"labels that are no numbers (high, inf)": 2}
    assert number("1e400") is None
    found = of_matrix([["1", "2", "3"], ["1", "2", "7"]], level="ordinal", classes=["3", "2", "1"])
    assert found.classes == ("3", "2", "1")
    assert found.left_out == {"labels not in --classes (7)": 1}


def test_an_annotators_first_label_counts_and_the_later_ones_are_repeats():
    rows = [("w1", "anna", "joy"), ("w1", "ben", "joy"), ("w1", "anna", "fear"), ("w1", "anna", "joy")]
    found = encode(rows_of(rows), "emotion")
    assert found.votes().tolist() == [[0, 2]]
    assert found.repeats.annotator.tolist() == [0, 0]
    assert found.repeats.first.tolist() == [1, 1]
    assert found.repeats.again.tolist() == [0, 1]


def test_gold_is_no_annotation():
    rows = [
        ("w1", "anna", "joy"),
        ("w1", "ben", "fear"),
        ("w1", "expert", "love"),  # a class that nobody else says
        ("w2", "anna", "joy"),
        ("w2", "expert", "joy"),
        ("w2", "expert", "fear"),
        ("w9", None, "joy"),
    ]
    found = encode(rows_of(rows, [row[1] in ("expert", None) for row in rows]), "emotion")
    assert found.classes == ("fear", "joy", "love")
    assert found.annotators == ["anna", "ben"]
    assert found.gold.tolist() == [2, -1]
    assert found.left_out == {"gold works with several labels": 1, "gold works that nobody labelled": 1}


@pytest.mark.parametrize(
    ("labels", "how", "line"),
    [
        ([["joy", "joy"], ["joy", "joy"]], {}, r"emotion: column 'emotion' holds only the label 'joy'; agreement is"),
        ([["", ""], ["", "n/a"]], {}, r"emotion: column 'emotion' holds no label"),
        ([["a", None], [None, "b"]], {}, r"no work has labels of two annotators \(2 works, 2 annotators\)"),
        (
            [["low"], ["high"]],
            {"level": "ordinal"},
            r"--level emotion=ordinal: .*\(low, high\); --classes emotion=LOW,",
        ),
        ([["a"], ["b"]], {"classes": ["a", "A"]}, r"--classes emotion=a,A: holds a label twice"),
        ([["1"], ["2"]], {"classes": ["1", "1.0"]}, r"--classes emotion=1,1.0: holds a label twice"),
        ([["1"], ["2"]], {"classes": ["1", "b"], "level": "interval"}, r"--level emotion=interval labels are numbers"),
        ([list(range(300)), list(range(300))], {}, r"holds 300 different labels, more than 256: is it the right col"),
    ],
)
def test_what_can_not_be_compared_is_one_line(labels, how, line):
    with pytest.raises(InputError, match=line) as raised:
        of_matrix(labels, **how)
    assert "\n" not in str(raised.value)
