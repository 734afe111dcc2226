import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import OutOfDiskError

from artray.classifiers.station import TrainOptions
from artray.engine import worker_group
from artray.engine.progress import Progress
from artray.engine.worker_group import WorkerGroup, run_trainings, worker_range
from artray.errors import ArtrayError
from artray.storage import Location
from tests.engine.local_actor import LocalActor


@pytest.mark.parametrize(
    ("workers", "message"), [("0", "from 1 on"), ("4-2", "from 1 on"), ("many", "from 1 on"), ("1-", "from 1 on")]
)
def test_numbers_of_workers(workers: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainOptions(config="c", data="d", out="o", workers=workers)
    assert worker_range("2-4") == (2, 4)
    assert worker_range("3") == worker_range(3) == (3, 3)


@dataclass
class Pretended:
    """A training that notes who works on it; `fails` is what it raises."""

    name: str
    done: bool = False
    fails: ArtrayError | None = None
    worked: list[int] = field(default_factory=list)

    def is_done(self) -> bool:
        return self.done

    def work(self, rank: int, checkpoints: Any, progress: Any) -> None:
        self.worked.append(rank)
        if self.fails:
            raise self.fails
        self.done = True


@pytest.fixture
def worker(monkeypatch):
    """`run_trainings` as one worker's life, of so many; returns what the driver hears."""
    monkeypatch.setattr(worker_group.ray, "get", lambda value: value)
    monkeypatch.setattr(worker_group, "broadcast_from_rank_zero", lambda value: value)
    monkeypatch.setattr(worker_group, "_SECONDS_BETWEEN_FAILURES", 0.0)
    monkeypatch.setattr(worker_group, "use_own_cores", lambda: None)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(utils=SimpleNamespace(clear_session=lambda: None)))
    told = Progress()

    def live(trainings, workers=1):
        context = SimpleNamespace(get_world_size=lambda: workers, get_world_rank=lambda: 0)
        monkeypatch.setattr(worker_group.train, "get_context", lambda: context)
        run_trainings({"trainings": trainings, "progress": LocalActor(told), "gpus": 0})
        return told

    return live


def test_trainings_follow_each_other_and_those_that_are_done_are_left_out(worker):
    trainings = [Pretended("a", done=True), Pretended("b"), Pretended("c")]
    told = worker(trainings)
    assert [training.worked for training in trainings] == [[], [0], [0]]
    assert told.position() == (2, 0)
    assert told.error() is None
    worker(trainings)
    assert [training.worked for training in trainings] == [[], [0], [0]]


def test_what_is_wrong_is_told_and_nothing_follows(worker):
    trainings = [Pretended("a", fails=ArtrayError("no such column")), Pretended("b")]
    assert str(worker(trainings).error()) == "no such column"
    assert not trainings[1].worked
    # Where others were not met by it, Ray starts all anew: they end, and the driver says why.
    worker([training := Pretended("c")])
    assert not training.worked


def test_a_full_object_store_is_one_line(monkeypatch, tmp_path):
    def put(value: object) -> None:
        raise OutOfDiskError

    monkeypatch.setattr(worker_group.ray, "put", put)
    group = WorkerGroup(workers=1, gpus=0, out=Location.parse(tmp_path), name="a", title="a", note=str)
    with pytest.raises(ArtrayError, match=r"^Ray's object store is full, .* the same command goes on$"):
        group.run([Pretended("a")])


def test_what_only_some_workers_meet_ends_the_others(worker):
    """They would wait for it for ever."""
    with pytest.raises(ArtrayError, match="disk"):
        worker([Pretended("a", fails=ArtrayError("the disk is full"))], workers=2)
