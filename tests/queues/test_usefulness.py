import numpy as np

from artray.queues.usefulness import margins, most_useful


def test_margin_is_the_first_less_the_second():
    assert np.allclose(margins(np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])), [0.2, 1.0, 0.0])


def test_the_formula_step_by_step():
    chance = np.random.default_rng(0)
    margin, vectors, known = chance.random(40), chance.normal(size=(40, 6)), chance.normal(size=(9, 6))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    seen = list(known / np.linalg.norm(known, axis=1, keepdims=True))
    expected: list[int] = []
    for _ in range(12):
        worth = [
            -1.0 if n in expected else (1 - margin[n]) * min(np.linalg.norm(unit[n] - other) for other in seen)
            for n in range(40)
        ]
        expected.append(int(np.argmax(worth)))
        seen.append(unit[expected[-1]])
    assert most_useful(margin, vectors, known, 12).tolist() == expected


def test_of_equals_each_kind_is_chosen_once():
    vectors = np.repeat(np.eye(4, dtype=np.float32), 25, axis=0)
    chosen = most_useful(np.full(100, 0.1), vectors, np.zeros((0, 4), np.float32), 4)
    assert sorted(chosen // 25) == [0, 1, 2, 3]


def test_works_that_look_the_same_are_chosen_once_each():
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    assert most_useful(np.full(4, 0.1), vectors, vectors[:1]).tolist() == [2, 0, 1, 3]
    assert most_useful(np.ones(4), vectors, vectors[:0]).tolist() == [0, 1, 2, 3]


def test_what_is_sure_or_known_waits():
    vectors = np.array([[1, 0], [0, 1], [0.01, 1]], np.float32)
    assert most_useful(np.array([0.5, 0.5, 0.5]), vectors, vectors[:1], 1)[0] in (1, 2)
    assert most_useful(np.array([0.0, 1.0, 0.4]), vectors, vectors[:1])[0] == 2


def test_none_to_choose_from():
    assert most_useful(np.zeros(0), np.zeros((0, 3)), np.ones((2, 3))).tolist() == []
