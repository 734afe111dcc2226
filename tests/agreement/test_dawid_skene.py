"""Dawid and Skene's model against their example, a slow version, and people whose errors are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artray.agreement.dawid_skene import dawid_skene

ANAESTHETISTS = """
111 1 1 1 1|333 4 3 3 4|112 2 1 2 2|222 3 1 2 1|222 3 2 2 2|222 3 3 2 2|122 2 1 1 1|333 3 4 3 3|222 2 2 2 3|
232 2 2 2 3|444 4 4 4 4|222 3 3 4 3|111 1 1 1 1|222 3 2 1 2|121 1 1 1 1|111 2 1 1 1|111 1 1 1 1|111 1 1 1 1|
222 2 2 2 1|222 1 3 2 2|222 2 2 2 2|222 2 2 2 1|222 3 2 2 2|221 2 2 2 2|111 1 1 1 1|111 1 1 1 1|232 2 2 2 2|
111 1 1 1 1|111 1 1 1 1|112 1 1 2 1|111 1 1 1 1|333 3 2 3 3|111 1 1 1 1|222 2 2 2 2|222 3 2 3 2|433 4 3 4 3|
221 2 2 3 2|232 3 2 3 3|333 3 4 3 2|111 1 1 1 1|111 1 1 1 1|121 2 1 1 1|232 2 2 2 2|121 1 1 1 1|222 2 2 2 2
"""
"""Table 1 of the paper: 45 patients' fitness, 1 to 4, said by five anaesthetists, of whom the first said it thrice."""


def anaesthetists():
    said = [
        (patient, who, int(label) - 1)
        for patient, line in enumerate("".join(ANAESTHETISTS.split("\n")).split("|"))
        for who, cell in enumerate(line.split())
        for label in cell
    ]
    return [np.array(column) for column in zip(*said, strict=True)]


def test_the_example_of_the_paper():
    found = dawid_skene(*anaesthetists(), (45, 5, 4), trust=0, smoothing=0)
    assert found.converged
    assert found.shares == pytest.approx([0.40, 0.42, 0.11, 0.07], abs=0.005)
    first = [[0.89, 0.11, 0, 0], [0.07, 0.88, 0.05, 0], [0, 0.34, 0.66, 0], [0, 0, 0.56, 0.44]]
    assert found.errors[0] == pytest.approx(np.array(first), abs=0.006)
    # The patients that a majority would call otherwise, or could not call.
    assert found.classes.argmax(axis=1)[[1, 2, 3, 11, 35]].tolist() == [3, 1, 1, 2, 3]


def slow(work, who, label, shape, rounds, *, trust, smoothing):
    """Equations 2.3 to 2.5 of the paper, one by one."""
    works, people, width = shape
    classes = np.array([np.bincount(label[work == each], minlength=width) for each in range(works)], float)
    classes /= classes.sum(axis=1, keepdims=True)
    for _ in range(rounds):
        shares = classes.mean(axis=0)
        errors = np.full((people, width, width), smoothing) + trust * np.eye(width)
        for at in range(len(work)):
            errors[who[at], :, label[at]] += classes[work[at]]
        errors /= errors.sum(axis=2, keepdims=True)
        new = np.tile(shares, (works, 1))
        for at in range(len(work)):
            new[work[at]] *= errors[who[at], :, label[at]]
        classes = new / new.sum(axis=1, keepdims=True)
    return classes


@given(st.lists(st.lists(st.integers(0, 2), min_size=3, max_size=3), min_size=2, max_size=6))
def test_it_is_what_the_equations_say(lines):
    work, who = np.divmod(np.arange(3 * len(lines)), 3)
    label = np.array(lines).ravel()
    shape = len(lines), 3, 3
    found = dawid_skene(work, who, label, shape, rounds=5, tolerance=0.0)
    assert found.classes == pytest.approx(slow(work, who, label, shape, 5, trust=1.0, smoothing=0.01), abs=1e-6)


def test_known_errors_are_found_again():
    """Four people, of whom one calls the first class the second and one says nearly anything."""
    rng = np.random.default_rng(0)
    errors = np.array(
        [
            [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]],
            [[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.05, 0.05, 0.9]],
            [[0.4, 0.3, 0.3], [0.3, 0.4, 0.3], [0.3, 0.3, 0.4]],
            [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]],
        ]
    )
    shares = np.array([0.5, 0.2, 0.3])
    truth = rng.choice(3, 4000, p=shares)
    work, who = np.divmod(np.arange(4 * len(truth)), 4)
    label = (rng.random(len(work))[:, None] > errors[who, truth[work]].cumsum(axis=1)).sum(axis=1)
    found = dawid_skene(work, who, label, (len(truth), 4, 3))
    assert found.errors == pytest.approx(errors, abs=0.07)
    assert found.shares == pytest.approx(shares, abs=0.03)
    votes = np.bincount(work * 3 + label, minlength=3 * len(truth)).reshape(-1, 3)
    right = (found.classes.argmax(axis=1) == truth).mean()
    assert right > (votes.argmax(axis=1) == truth).mean() + 0.05
    assert found.classes.max(axis=1).mean() == pytest.approx(right, abs=0.02)  # as sure as it is right


def test_known_works_stay_and_teach():
    """Two who contradict each other always: only gold says who is right."""
    truth = np.arange(40) % 2
    work, who = np.divmod(np.arange(80), 2)
    label = np.where(who == 0, truth[work], 1 - truth[work])
    known = np.where(np.arange(40) < 6, truth, -1)
    found = dawid_skene(work, who, label, (40, 2, 2), known=known)
    assert found.classes.argmax(axis=1).tolist() == truth.tolist()
    assert found.classes[:6].max(axis=1).tolist() == [1.0] * 6


def test_nothing_is_believed_of_somebody_for_a_single_work():
    """Carl once says fear where two say joy. What he alone calls fear is fear all the same."""
    work, who = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3]), np.array([0, 1, 2, 0, 1, 2, 0, 2, 2])
    label = np.array([1, 1, 0, 0, 0, 0, 1, 1, 0])
    assert dawid_skene(work, who, label, (4, 3, 2)).classes.argmax(axis=1).tolist() == [1, 0, 1, 0]
    assert dawid_skene(work, who, label, (4, 3, 2), trust=0).classes.argmax(axis=1).tolist() == [1, 0, 1, 1]


def test_works_and_people_without_labels():
    found = dawid_skene(np.array([0, 0, 2, 2]), np.array([0, 1, 0, 1]), np.array([0, 0, 1, 1]), (4, 3, 2), trust=0)
    assert np.isfinite(found.classes).all()
    assert found.classes[1] == pytest.approx(found.shares, abs=0.01)
    assert found.errors[2] == pytest.approx(0.5)
    assert np.isfinite(found.log_likelihood)


def test_the_likelihood_rises():
    said = anaesthetists()
    told = [
        dawid_skene(*said, (45, 5, 4), trust=0, smoothing=0, rounds=rounds).log_likelihood for rounds in range(1, 12)
    ]
    assert (np.diff(told) > -1e-9).all()
