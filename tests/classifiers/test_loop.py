import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from artray.classifiers.evaluation import validation_metrics
from artray.classifiers.examples import Examples, epoch_order


def examples(counts: list[int]) -> Examples:
    """So many training examples of each class, and a validation example of each."""
    true = np.repeat(np.arange(len(counts)), np.array(counts) + 1)
    part = np.concatenate([["train"] * count + ["validation"] for count in counts])
    table = pa.table({"object_id": [f"{n}" for n in range(len(true))], "part": part})
    names = [f"class-{number}" for number in range(len(counts))]
    targets = np.eye(len(counts), dtype=np.float32)[true]
    return Examples(
        table=table,
        classes=names,
        targets=targets,
        shape=(4,),
        blocks=[],
        positions=np.zeros((len(true), 2), np.int64),
        widths={},
        input={},
        dropped={},
    )


def test_an_epoch_is_every_training_example_once_in_another_order():
    found = examples([5, 7])
    orders = [epoch_order(found, epoch, seed=0) for epoch in range(3)]
    assert all(sorted(order) == found.part("train").tolist() for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert np.array_equal(orders[1], epoch_order(found, 1, seed=0))
    assert not np.array_equal(orders[1], epoch_order(found, 1, seed=1))


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(0, 3))
def test_balanced_sampling(counts, epoch):
    found = examples(counts)
    order = epoch_order(found, epoch, seed=0, balanced=True)
    assert len(order) == sum(counts)
    assert set(order) <= set(found.part("train"))
    true = found.targets.argmax(axis=1)
    drawn = np.bincount(true[order], minlength=len(counts))
    assert drawn.max() - drawn.min() <= 1
    for number, count in enumerate(counts):  # no example of a class more than once oftener than another
        times = np.bincount(order[true[order] == number], minlength=len(true))[found.part("train")]
        times = times[true[found.part("train")] == number]
        assert len(times) == count
        assert times.max() - times.min() <= 1


def test_validation_metrics_of_one_label():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 3)).astype(np.float32)
    true = rng.integers(0, 3, 50)
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = validation_metrics(np.eye(3, dtype=np.float32)[true], logits)
    assert found["validation_loss"] == pytest.approx(metrics.log_loss(true, scores), rel=1e-5)
    assert found["validation_accuracy"] == pytest.approx(metrics.accuracy_score(true, scores.argmax(1)))
    assert found["validation_balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(true, scores.argmax(1))
    )


def test_validation_metrics_of_shares():
    shares = np.float32([[0.7, 0.3], [0.2, 0.8]])
    found = validation_metrics(shares, np.log(shares))
    entropy = -(shares * np.log(shares)).sum(axis=1).mean()
    assert found["validation_loss"] == pytest.approx(entropy, rel=1e-5)
    assert found["validation_accuracy"] == 1


def test_validation_metrics_of_several_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 3)).astype(np.float32)
    true = (rng.random((50, 3)) < 0.4).astype(np.float32)
    found = validation_metrics(true, logits, multilabel=True)
    scores = 1 / (1 + np.exp(-logits))
    expected = np.mean([metrics.log_loss(true[:, n], scores[:, n]) for n in range(3)])
    assert found["validation_loss"] == pytest.approx(expected, rel=1e-5)
    assert found["validation_accuracy"] == pytest.approx(metrics.accuracy_score(true, scores >= 0.5))
    expected = np.mean([metrics.balanced_accuracy_score(true[:, n], scores[:, n] >= 0.5) for n in range(3)])
    assert found["validation_balanced_accuracy"] == pytest.approx(expected)
