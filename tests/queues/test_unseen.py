import numpy as np
import pytest

from artray.queues import unseen
from artray.queues.unseen import unseen_scores


@pytest.fixture
def works() -> tuple[np.ndarray, np.ndarray, list[str]]:
    chance = np.random.default_rng(1)
    given = chance.integers(0, 3, 300)
    x = (chance.normal(size=(300, 12)) + 1.5 * np.eye(12)[given]).astype(np.float32)
    return x, given, [f"artist {number % 40}" for number in range(300)]


def test_many_works_are_scored_as_few_are(works, monkeypatch):
    x, given, groups = works
    few = unseen_scores(x.copy(), given, 3, groups)
    assert (few.argmax(axis=1) == given).mean() > 0.7
    monkeypatch.setattr(unseen, "MOST", 299)
    monkeypatch.setattr(unseen, "drawn", lambda groups: np.arange(300))
    assert np.allclose(unseen_scores(x.copy(), given, 3, groups), few, atol=1e-3)


def test_a_work_is_scored_by_others_than_its_group(works):
    """A group whose labels say the opposite of all others is not believed."""
    x, given, groups = works
    mine = np.array([name == "artist 7" for name in groups])
    wrong = given.copy()
    wrong[mine] = (given[mine] + 1) % 3
    scores = unseen_scores(x, wrong, 3, groups)
    assert (scores[mine].argmax(axis=1) == given[mine]).mean() > 0.7


def test_of_a_class_of_one_group_nothing_is_said(works):
    x, given, groups = works
    given = given.copy()
    given[np.array(groups) == "artist 3"] = 3
    scores = unseen_scores(x, given, 4, groups)
    assert np.isnan(scores[given == 3]).all()
    assert not np.isnan(scores[given != 3]).any()
