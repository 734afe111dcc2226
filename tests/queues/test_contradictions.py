import numpy as np

from artray.queues.contradictions import different_twins, disagreements


def test_two_sure_models_that_contradict_each_other_come_first():
    labels = np.array([[0, 0], [0, 1], [1, 2], [2, 2], [-1, 1], [0, 1]])
    scores = np.array([[0.9, 0.9], [0.9, 0.4], [0.8, 0.7], [0.5, 0.6], [np.nan, 0.9], [0.45, 0.99]])
    assert disagreements(labels, scores).tolist() == [2, 5, 1]


def test_of_three_models_the_surest_two_count():
    labels = np.array([[0, 1, 0], [0, 0, 1]])
    scores = np.array([[0.6, 0.5, 0.9], [0.9, 0.8, 0.7]])
    assert disagreements(labels, scores).tolist() == [1, 0]


def test_twins_with_different_labels_stand_together():
    given = np.array([0, 1, 0, 0, -1])
    nearest = np.array([[1, 2], [0, 3], [0, 1], [1, 0], [0, 1]])
    similarity = np.array([[0.97, 0.96], [0.97, 0.99], [0.96, 0.5], [0.99, 0.2], [0.99, 0.99]])
    works, others = different_twins(given, nearest, similarity)
    assert works.tolist() == [1, 3, 0]
    assert others.tolist() == [3, 1, 1]


def test_twins_of_one_label_are_no_contradiction():
    works, _ = different_twins(np.array([1, 1]), np.array([[1], [0]]), np.array([[1.0], [1.0]]))
    assert works.tolist() == []
