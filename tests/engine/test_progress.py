"""What the driver shows of trainings that run one after the other."""

import threading
from types import SimpleNamespace

import pytest

from artray.engine import progress
from artray.engine.progress import Progress, watch
from tests.engine.local_actor import LocalActor


@pytest.fixture
def told(monkeypatch):
    """A Progress that is no actor."""
    monkeypatch.setattr(progress.ray, "get", lambda value: value)
    return Progress()


def shown(told, trainings, events) -> list[tuple[int, str]]:
    """How far the bar is and what stands beside it, after each event."""
    bar, stop, seen = SimpleNamespace(done=0), threading.Event(), []

    def advance(amount, note):
        bar.done += amount
        seen.append((bar.done, note))

    def wait(_):
        if events:
            events.pop(0)()
        return not events

    bar.advance, stop.wait = advance, wait
    watch(LocalActor(told), bar, trainings, lambda metrics: f"epoch {metrics['epoch']}", stop)
    return seen


def test_a_bar_goes_through_all_trainings(told):
    """The first stops before its last epoch; the next begins where it would have ended."""
    events = [
        lambda: told.begin(0),
        lambda: told.step({"epoch": 0, "seen": 4}),
        lambda: told.add({"epoch": 1, "seen": 10}),
        lambda: told.begin(1),
        lambda: told.step({"epoch": 0, "seen": 5}),
        lambda: told.add({"epoch": 1, "seen": 20}),
        lambda: told.add({"epoch": 2, "seen": 20}),
    ]
    assert shown(told, [("fold 0", 30), ("", 40)], events) == [
        (4, "fold 0  epoch 1"),
        (10, "fold 0  epoch 1"),
        (35, "epoch 1"),
        (50, "epoch 1"),
        (70, "epoch 2"),
    ]


def test_a_bar_never_goes_back(told):
    """Workers that died go on at their last checkpoint."""
    events = [
        lambda: told.step({"epoch": 0, "seen": 8}),
        lambda: (told.begin(0), told.step({"epoch": 0, "seen": 2})),
        lambda: told.step({"epoch": 0, "seen": 9}),
    ]
    assert [done for done, _ in shown(told, [("", 30)], events)] == [8, 8, 9]


def test_what_is_done_is_known_by_training_and_epoch(told):
    assert told.position() == (0, 0)
    told.add({"epoch": 3})
    told.begin(0)  # after a death
    assert told.position() == (0, 3)
    told.begin(1)
    assert told.position() == (1, 0)
    assert told.news(0, 3) == (1, [], None)


def test_the_first_error_is_told(told):
    told.fail(ValueError("first"))
    told.fail(ValueError("second"))
    assert told.failures() == 2
    assert str(told.error()) == "first"
