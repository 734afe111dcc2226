import numpy as np
import pytest
from cleanlab.filter import find_label_issues

from artray.queues.confident_learning import likely_wrong


def noisy(
    seed: int, n: int = 400, classes: int = 5, strength: float = 2.5
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True classes, labels of which some are wrong, and scores that know better."""
    chance = np.random.default_rng(seed)
    true = chance.choice(classes, n, p=chance.dirichlet(np.full(classes, 3.0)))
    given = np.where(chance.random(n) < 0.15, chance.integers(0, classes, n), true)
    given[:classes] = np.arange(classes)
    logits = chance.normal(size=(n, classes)) + strength * np.eye(classes)[true] * chance.random((n, 1))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return true, given, scores


@pytest.mark.parametrize("seed", range(6))
def test_the_same_works_in_the_same_order_as_cleanlab(seed):
    _, given, scores = noisy(seed)
    theirs = find_label_issues(
        given, scores, filter_by="confident_learning", return_indices_ranked_by="normalized_margin", n_jobs=1
    )
    assert likely_wrong(given, scores).tolist() == theirs.tolist()


def slowly(given: list[int], scores: list[list[float]]) -> set[int]:
    """As the paper has it, work by work: thresholds t, the confident joint, what lies off its diagonal."""
    classes = range(len(scores[0]))
    t = [np.mean([row[c] for row, label in zip(scores, given, strict=True) if label == c] or [np.inf]) for c in classes]
    found = set()
    for number, (row, label) in enumerate(zip(scores, given, strict=True)):
        reached = [c for c in classes if row[c] >= t[c] - 1e-6]
        if reached:
            best = max(classes, key=lambda c: row[c])
            guess = best if len(reached) > 1 else reached[0]
            if label not in (guess, best):
                found.add(number)
    return found


@pytest.mark.parametrize("seed", range(10, 14))
def test_the_published_formula_work_by_work(seed):
    _, given, scores = noisy(seed)
    assert set(likely_wrong(given, scores).tolist()) == slowly(given.tolist(), scores.tolist())


def test_wrong_labels_come_first():
    true, given, scores = noisy(3, n=3000, strength=6)
    found = likely_wrong(given, scores)
    first = found[:100]
    assert (given[first] != true[first]).mean() > 0.8
    assert (given != true).mean() < 0.15


def test_of_no_works_and_of_agreement_nothing_is_found():
    assert likely_wrong(np.zeros(0, np.int64), np.zeros((0, 3))).tolist() == []
    assert likely_wrong(np.array([0, 1, 2]), np.eye(3)).tolist() == []


def test_a_class_without_works_is_nobodys_guess():
    scores = np.array([[0.5, 0.1, 0.4], [0.1, 0.6, 0.3], [0.2, 0.3, 0.5]])
    assert 2 not in likely_wrong(np.array([0, 1, 1]), scores)
