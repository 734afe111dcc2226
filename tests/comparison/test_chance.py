"""Permutation tests: what they find, what they don't, and all permutations gone through by hand."""

import itertools

import numpy as np
import pytest

from artray.comparison.chance import chance_test


def test_any_order_of_the_labels():
    """Six works all right: of 720 orders of three labels twice 8 are as good."""
    true = np.array([0, 0, 1, 1, 2, 2])
    told = chance_test(true, true, np.arange(6), permutations=2_000)
    slow = np.mean([(np.array(order) == true).all() for order in itertools.permutations(true.tolist())])
    assert told.value == 1
    assert told.works == pytest.approx(slow, abs=0.01)
    assert (told.blocks, told.within, told.movable, told.expected) == (None, None, 0, None)


def test_a_model_that_knows_the_artist_only_knows_nothing_within():
    """Each group's usual label is said of all its works."""
    chance = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 10)
    usual = np.arange(20) % 2
    true = np.where(chance.random(200) < 0.7, usual[groups], 1 - usual[groups])
    told = chance_test(true, usual[groups], groups, permutations=300)
    assert told.works < 0.01
    assert told.blocks is not None
    assert told.blocks < 0.05
    assert told.within == 1  # any order within a group is as good
    assert told.movable > 150
    assert told.expected == pytest.approx(told.value)


def test_a_model_that_knows_the_work_knows_it_within_groups_too():
    groups = np.repeat(np.arange(10), 6)
    true = np.tile([0, 1, 1], 20)
    told = chance_test(true, true, groups, permutations=300)
    assert told.within == pytest.approx(1 / 301)
    assert told.movable == 60


def test_of_few_groups_as_a_whole_little_can_be_shown():
    """Two artists of a class each, all right: works seem to show it, the two groups can't."""
    groups = np.repeat([0, 1], 30)
    told = chance_test(groups, groups, groups, permutations=300)
    assert told.works < 0.01
    assert told.blocks == pytest.approx(0.5, abs=0.1)
    assert (told.within, told.movable) == (None, 0)


def test_works_of_several_labels():
    chance = np.random.default_rng(1)
    true = (chance.random((80, 4)) < 0.4).astype(np.int64)
    given = np.where(chance.random((80, 4)) < 0.9, true, 1 - true)
    told = chance_test(true, given, np.arange(80), permutations=200)
    assert told.works == pytest.approx(1 / 201)
    assert chance_test(true, chance.permutation(true), np.arange(80), permutations=200).works > 0.05
