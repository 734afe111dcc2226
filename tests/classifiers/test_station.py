"""The job, without Ray: what it is asked for beside the config."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.bundles.classifier import load_bundle, read_predictions
from artray.classifiers import feature_inputs, station
from artray.classifiers.station import TrainOptions, train
from artray.labeling.half_precision import KEY
from artray.storage import Location

WORKS = 120


@pytest.fixture
def without_ray(monkeypatch):
    """The training runs in this process, and what would lie in the object store is handed on."""

    class Here:
        def __init__(self, **_):
            pass

        def run(self, trainings):
            for training in trainings:
                training.work(0, SimpleNamespace(due=lambda: False, load=lambda: None), None)

    monkeypatch.setattr("artray.engine.options.WorkerGroup", Here)
    for name in ("join_cluster", "cache_of"):
        monkeypatch.setattr(station, name, lambda *_: None)
    monkeypatch.setattr(station.cluster, "connect", lambda: None)
    monkeypatch.setattr(feature_inputs.ray, "put", lambda values: values)
    monkeypatch.setattr(station.ray, "remote", lambda function: SimpleNamespace(remote=function))
    monkeypatch.setattr(station.ray, "get", lambda value: value)


@pytest.fixture
def place(tmp_path):
    """Features of works whose pictures are not there, and a manifest that deals them otherwise."""
    chance = np.random.default_rng(0)
    light = np.arange(WORKS) % 2 * 60 + chance.integers(60, 110, WORKS)
    columns = {
        "object_id": [f"{number:03}" for number in range(WORKS)],
        "image_uri": [str(tmp_path / f"{number:03}.png") for number in range(WORKS)],
        "version": [f"etag {number}" for number in range(WORKS)],
    }
    table = {"status": ["ok"] * WORKS, "brightness": (light / 255).astype(np.float32)}
    found = Location.parse(tmp_path)
    (found / "features" / "part-000000.parquet").write_table(
        pa.table({**columns, **table, "split": ["train"] * WORKS, "tone": ["?"] * WORKS})
    )
    run = {"arguments": {"features": [{"name": "brightness", "size": 8}]}}
    (found / "features" / "_run.json").write_bytes(json.dumps(run).encode())
    parts = [("test", "test", "train", "test", "validation", "train")[number // 2 % 6] for number in range(WORKS)]
    tones = ["dark", "light"] * (WORKS // 2)
    (found / "manifest" / "manifest.parquet").write_table(pa.table({**columns, "split": parts, "tone": tones}))
    return SimpleNamespace(at=found, light=light, parts=parts)


def test_another_split_needs_no_picture_and_bfloat16_is_checked_by_the_test_parts(without_ray, place, capsys):
    given = {"task": "tone", "data": place.at / "features", "manifest": place.at / "manifest", "out": place.at / "out"}
    given |= {"config": "hand_or_code_head", "set": {"columns": "[brightness]"}, "baseline": False}
    counts = train(TrainOptions(**given))
    predictions = read_predictions(place.at / "out")
    dealt = dict(zip(predictions["object_id"].to_pylist(), predictions["part"].to_pylist(), strict=True))
    assert {int(name) for name, part in dealt.items() if part == "test"} == {
        number for number, part in enumerate(place.parts) if part == "test"
    }
    assert counts["accuracy"] > 0.8
    assert KEY not in load_bundle(place.at / "out").metrics

    for number, light in enumerate(place.light.tolist()):
        Image.new("RGB", (8, 8), (light,) * 3).save(str(place.at / f"{number:03}.png"))
    capsys.readouterr()
    train(TrainOptions(**given, check_bfloat16=True))
    told = load_bundle(place.at / "out").metrics[KEY]
    tested = place.parts.count("test")
    assert (told["n"], told["agreement"], told["holds"]) == (tested, 1.0, True)
    said = " ".join(capsys.readouterr().err.split())
    assert "holds this model already" in said
    assert f"bfloat16: 100.0% of {tested} labels are the same" in said
    assert "label-catalog may use it" in said
