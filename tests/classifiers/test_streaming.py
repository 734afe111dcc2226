"""Features in shards: the same batches as from memory, in an order by windows."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from artray.classifiers.config import TrainConfig
from artray.classifiers.examples import Examples, epoch_order, load_examples
from artray.classifiers.feature_inputs import Moments
from artray.engine import examples as engine_examples
from artray.engine import order
from artray.engine.examples import Inputs
from artray.engine.shards import ExampleCache
from artray.storage import Location, list_column

WORKS, WIDTH, BATCH = 60, 5, 8


@pytest.fixture
def streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examples:
    """A feature table in several files, read into shards of which windows hold twelve examples."""
    monkeypatch.setattr(order, "BLOCK_BYTES", 3 * WIDTH * 4)
    monkeypatch.setattr(order, "WINDOW_BYTES", 12 * WIDTH * 4)
    rng = np.random.default_rng(0)
    ids = [f"w{row:02d}" for row in rng.permutation(WORKS)]
    table = pa.table(
        {
            "object_id": ids,
            "style": rng.choice(["a", "b", "c"], WORKS, p=[0.6, 0.3, 0.1]),
            "split": rng.choice(["train", "validation", "test"], WORKS, p=[0.7, 0.2, 0.1]),
            "status": ["ok"] * WORKS,
            "embedding": list_column(rng.normal(2, 3, (WORKS, WIDTH)).astype(np.float32)),
        }
    )
    data = Location.parse(tmp_path / "features")
    for part in range(3):
        (data / f"part-{part:06d}.parquet").write_table(table.slice(20 * part, 20), 8)
    (data / "_run.json").write_bytes(json.dumps({"arguments": {"features": []}}).encode())
    config = TrainConfig.model_validate(
        {"task": "style", "target": "style", "input": "features", "model": {"name": "linear_head"}}
    )
    return load_examples(config.examples, data, cache=ExampleCache(Location.parse(tmp_path / "cache"), 0))


def in_memory(found: Examples, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    """The same blocks as arrays, as the object store would give them."""
    with monkeypatch.context() as patched:
        patched.setattr(engine_examples.ray, "get", lambda blocks: blocks)
        return Inputs([shard.read() for shard in found.blocks], found.positions)


@pytest.mark.parametrize("balanced", [False, True])
def test_the_same_batches_as_from_memory(streamed, monkeypatch, balanced):
    memory, stream = in_memory(streamed, monkeypatch), streamed.inputs
    for epoch in range(2):
        indices = epoch_order(streamed, epoch, 1, balanced=balanced)
        batches = np.split(indices, range(BATCH, len(indices), BATCH))
        stream.follow(batches, lambda batch: batch)
        for batch in batches:
            assert np.array_equal(stream.take(batch), memory.take(batch))


def test_an_epoch_goes_through_windows(streamed):
    training = streamed.part("train")
    assert len(training) > order.window_of(streamed.example_bytes) == 12
    for balanced in (False, True):
        found = epoch_order(streamed, 0, 0, balanced=balanced)
        assert len(found) == len(training)
        assert np.array_equal(found, epoch_order(streamed, 0, 0, balanced=balanced))
        assert set(found) <= set(training)


def test_features_are_those_of_the_works(streamed):
    x = streamed.inputs.take(np.arange(len(streamed.table)))
    mean, variance = x[streamed.part("train")].mean(axis=0), x[streamed.part("train")].var(axis=0)
    assert np.allclose(streamed.moments.mean, mean, atol=1e-6)
    assert np.allclose(streamed.moments.variance, variance, rtol=1e-5)


def test_moments_of_parts():
    values = np.random.default_rng(0).normal(1e4, 1, (50, 3)).astype(np.float32)
    whole = Moments.of(values[:7]) + Moments.of(values[7:7]) + Moments.of(values[7:])
    assert whole.count == 50
    assert np.allclose(whole.mean, values.mean(axis=0, dtype=np.float64))
    assert np.allclose(whole.variance, values.var(axis=0, dtype=np.float64), rtol=1e-6)
