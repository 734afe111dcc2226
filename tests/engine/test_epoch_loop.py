"""Epochs of steps with checkpoints between them, of something that only adds up what it is given."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from artray.engine.epoch_loop import EpochLoop, Position, check_shared, whole_batches
from artray.errors import InputError


@dataclass(kw_only=True)
class Place(Position):
    losses: list[float] = field(default_factory=list)


class Kept:
    """Checkpoints in memory, as JSON; after so many of them the process is killed."""

    def __init__(self, last: Any = None, lives: int = 99) -> None:
        self.last, self.lives, self.ranks = last, lives, []

    def due(self) -> bool:
        return True

    def save(self, values: Any, notes: Any) -> None:
        self.last = dict(values or {}), json.loads(json.dumps(notes))
        self.ranks.append(values is not None)
        self.lives -= 1
        if not self.lives:
            raise KeyboardInterrupt

    def load(self) -> Any:
        return self.last


class Sum(EpochLoop[Place]):
    def __init__(self, checkpoints: Kept, rank: int = 0) -> None:
        config = SimpleNamespace(epochs=3, checkpoint_steps=2)
        super().__init__(rank, checkpoints, SimpleNamespace(step=lambda tell: self.told.append(tell())), config)
        self.told: list[Any] = []
        self.followed: list[int] = []
        self._inputs = SimpleNamespace(follow=lambda batches, share: self.followed.append(len(batches)))
        self._trainer = SimpleNamespace(share=None, state=lambda: {"sum": self.sum}, load=self._put_back)
        self.sum, self.result = 0, None
        self._position = self._restored(Place)

    def _put_back(self, arrays: dict[str, Any]) -> None:
        self.sum = arrays["sum"]

    def _epoch(self) -> None:
        position = self._position
        order = np.random.default_rng(position.epoch).permutation(11)
        batches = whole_batches(order, 2)

        def train(steps: slice) -> Iterator[int]:
            for batch in batches[steps]:
                self.sum += int(batch.sum()) * (position.epoch + 1)
                position.losses.append(float(self.sum))
                yield 1

        self._take_steps(batches, train, lambda: {"seen": position.step})
        position.history.append({"epoch": position.epoch + 1, "losses": position.losses})
        position.epoch, position.step, position.losses = position.epoch + 1, 0, []

    def _finish(self) -> None:
        self.result = self.sum, self._position.history


def test_a_run_killed_at_any_checkpoint_goes_on_as_if_nothing_had_been():
    whole = Kept()
    (loop := Sum(whole)).run()
    assert len(whole.ranks) == 3 * 3  # after steps 2 and 4 of five, and after each epoch
    assert loop.followed == [5, 5, 5]
    assert loop.told[:4] == [{"seen": done} for done in (1, 2, 3, 4)]
    assert [len(epoch["losses"]) for epoch in loop.result[1]] == [5, 5, 5]
    for lives in range(1, 10):
        killed = Kept(lives=lives)
        with pytest.raises(KeyboardInterrupt):
            Sum(killed).run()
        (again := Sum(Kept(killed.last))).run()
        assert again.result == loop.result
        assert again.followed[:1] == ([5 - (0, 2, 4)[lives % 3]] if lives < 9 else [])


def test_rank_0_alone_keeps_arrays():
    kept = Kept()
    Sum(kept, rank=1).run()
    assert set(kept.ranks) == {False}


def test_what_does_not_fill_a_batch_waits():
    assert [batch.tolist() for batch in whole_batches(np.arange(7), 3)] == [[0, 1, 2], [3, 4, 5]]
    assert whole_batches(np.arange(2), 3) == []
    check_shared(4, 4)
    with pytest.raises(InputError, match="batch_size: 4 pictures can't be shared by 5"):
        check_shared(4, 5)
