"""Examples in shards are taken as from memory, whatever was said of the order in which they would be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from artray.engine import examples, feed, order
from artray.engine.examples import Inputs, Shard
from artray.errors import ArtrayError
from artray.storage import Location

COUNT, SHAPE = 90, (2, 2, 3)
VALUES = np.random.default_rng(0).integers(0, 256, (COUNT, *SHAPE), np.uint8)
PLACE = np.stack([np.arange(COUNT) // 20, np.arange(COUNT) % 20], axis=1)[np.random.default_rng(1).permutation(COUNT)]


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Shard]:
    """Windows of 16 examples, read four at a time."""
    monkeypatch.setattr(order, "BLOCK_BYTES", 48)
    monkeypatch.setattr(order, "WINDOW_BYTES", 4 * 48)
    monkeypatch.setattr(examples, "_READ_BYTES", 48)
    made = []
    for number in range(5):
        here = np.flatnonzero(PLACE[:, 0] == number)
        rows = VALUES[here[np.argsort(PLACE[here, 1])]]
        (tmp_path / f"{number}.raw").write_bytes(rows.tobytes())
        made.append(Shard(Location.parse(tmp_path / f"{number}.raw"), len(rows), SHAPE, "uint8"))
    return made


def third(batch: np.ndarray) -> np.ndarray:
    return batch[len(batch) // 3 : 2 * len(batch) // 3]


@pytest.mark.parametrize("share", [lambda batch: batch, third], ids=["all", "a third"])
def test_an_epoch_read_ahead(shards, share):
    inputs = Inputs(shards, PLACE)
    for epoch in range(2):
        indices = np.random.default_rng(epoch).integers(0, COUNT, 130)  # as balanced sampling: some more than once
        batches = np.array_split(indices, range(7, 130, 7))
        inputs.follow(batches, share)
        assert np.array_equal(inputs.take(batches[0][:1]), VALUES[batches[0][:1]])  # to see what one is like
        for batch in map(share, batches):
            assert np.array_equal(inputs.take(batch), VALUES[batch])


def test_what_nobody_announced(shards):
    inputs = Inputs(shards, PLACE)
    assert np.array_equal(inputs.take(np.array([80, 3, 3])), VALUES[[80, 3, 3]])
    inputs.follow([np.arange(10), np.arange(10, 20)], lambda batch: batch)
    anything = np.random.default_rng(2).permutation(COUNT)
    assert np.array_equal(inputs.take(anything), VALUES[anything])
    assert np.array_equal(inputs.take(np.arange(10, 20)), VALUES[10:20])


def test_each_window_is_read_once(shards, monkeypatch):
    asked = []
    read = Shard.read_into
    monkeypatch.setattr(Shard, "read_into", lambda shard, to, start: asked.append(len(to)) or read(shard, to, start))
    monkeypatch.setattr(examples, "_GAP_BYTES", {False: 0, True: 0})
    batches = np.array_split(np.random.default_rng(0).permutation(COUNT), range(6, COUNT, 6))
    inputs = Inputs(shards, PLACE)
    inputs.follow(batches, lambda batch: batch)
    for batch in batches:
        inputs.take(batch)
    assert sum(asked) == COUNT


def test_a_shard_that_has_gone_or_is_not_whole_is_one_line(shards):
    file = Path(shards[3].file)
    inputs = Inputs(shards, PLACE)
    file.write_bytes(file.read_bytes()[:30])
    with pytest.raises(ArtrayError, match=r"3\.raw: is not whole; run the same command again"):
        inputs.take(np.arange(COUNT))
    file.unlink()
    inputs.follow([np.arange(COUNT)], lambda batch: batch)
    with pytest.raises(ArtrayError, match=r"3\.raw: not found; run the same command again"):
        inputs.take(np.arange(COUNT))


def test_a_shard_that_vanishes_while_it_is_streamed_ends_the_feed_in_one_line(shards):
    """And what was read before it is given out."""
    inputs, batches = Inputs(shards, PLACE), np.array_split(np.arange(COUNT), 9)
    calls = [slice(n, n + 1) for n in range(9)]
    going = feed.ahead(lambda call: inputs.take(batches[call.start]), lambda taken: taken, calls, 2)
    assert np.array_equal(next(going)[0], VALUES[batches[0]])
    for shard in shards:
        Path(shard.file).unlink()
    with pytest.raises(ArtrayError, match=r"\.raw: not found; run the same command again: it makes anew what is"):
        list(going)


def test_from_s3(shards, s3_bucket):
    there = []
    for shard in shards:
        file = Location.parse(f"{s3_bucket}/shards/{shard.file.name}")
        file.write_bytes(shard.file.read_bytes())
        there.append(replace(shard, file=file))
    inputs = Inputs(there, PLACE)
    batches = np.array_split(np.random.default_rng(0).permutation(COUNT), 9)
    inputs.follow(batches, third)
    for batch in map(third, batches):
        assert np.array_equal(inputs.take(batch), VALUES[batch])
    there[1].file.remove()
    with pytest.raises(ArtrayError, match=r"1\.raw: not found"):
        Inputs(there, PLACE).take(np.arange(COUNT))
