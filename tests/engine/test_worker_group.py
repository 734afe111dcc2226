from types import SimpleNamespace

import pytest

from artray.classifiers.station import TrainOptions
from artray.engine import worker_group
from artray.engine.examples import ShardError
from artray.engine.worker_group import worker_range
from artray.errors import ArtrayError


@pytest.mark.parametrize(
    ("workers", "message"), [("0", "from 1 on"), ("4-2", "from 1 on"), ("many", "from 1 on"), ("1-", "from 1 on")]
)
def test_numbers_of_workers(workers: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainOptions(config="c", data="d", out="o", workers=workers)
    assert worker_range("2-4") == (2, 4)
    assert worker_range("3") == worker_range(3) == (3, 3)


class Progress:
    """The actor's two methods that `in_worker` calls, as Ray hands them out."""

    def __init__(self) -> None:
        self.told: Exception | None = None
        self.error = SimpleNamespace(remote=lambda: self.told)
        self.fail = SimpleNamespace(remote=lambda error: setattr(self, "told", error))


def worker(monkeypatch: pytest.MonkeyPatch, progress: Progress, rank: int, workers: int, error: Exception) -> list[int]:
    """Runs one worker whose work ends with an error; returns the ranks that began to work."""
    began: list[int] = []
    context = SimpleNamespace(
        get_world_rank=lambda: rank, get_world_size=lambda: workers, get_local_world_size=lambda: workers
    )
    monkeypatch.setattr(worker_group.train, "get_context", lambda: context)
    monkeypatch.setattr(worker_group.ray, "get", lambda found: found)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")

    def work(rank: int, checkpoints: object) -> None:
        began.append(rank)
        raise error

    worker_group.in_worker(work, progress)
    return began


def test_what_is_wrong_for_all_is_told_once(monkeypatch):
    progress = Progress()
    assert worker(monkeypatch, progress, 1, 2, ArtrayError("the loss")) == [1]
    assert progress.told is None
    assert worker(monkeypatch, progress, 0, 2, ArtrayError("the loss")) == [0]
    assert str(progress.told) == "the loss"


def test_a_shard_that_one_worker_has_lost_ends_all(monkeypatch):
    """Ray must end the others, who wait for it, and those that it then begins end at once."""
    progress = Progress()
    with pytest.raises(ShardError):
        worker(monkeypatch, progress, 1, 2, ShardError("gone"))
    assert str(progress.told) == "gone"
    assert worker(monkeypatch, progress, 0, 2, ShardError("gone")) == []
    assert worker(monkeypatch, progress, 0, 1, ShardError("gone")) == [0]  # of a search, which goes on with others
