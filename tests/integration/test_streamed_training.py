"""A whole training on pictures: from memory, and streamed from a cache that an earlier one has left."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.bundles.classifier import read_predictions
from artray.classifiers.station import TrainOptions, train
from artray.engine import shards
from artray.storage import Location

pytestmark = pytest.mark.usefixtures("ray_session")

WORKS = 48


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    """Pictures in two colours; one can't be read, one has no label."""
    rows = []
    for number in range(WORKS):
        uri = tmp_path / "pictures" / f"{number:02d}.png"
        uri.parent.mkdir(exist_ok=True)
        red, green = np.random.default_rng(number).integers(0, 255, 2).tolist()
        Image.new("RGB", (16, 16), (red, green, 150 * (number % 2))).save(uri)
        part = ["train", "train", "validation", "test"][number // 2 % 4]
        made = None if number == 7 else "ab"[number % 2]
        rows.append({"object_id": f"{number:02d}", "image_uri": str(uri), "made": made, "split": part})
    (tmp_path / "pictures" / "05.png").write_bytes(b"no picture")
    Location.parse(tmp_path / "manifest" / "part-0.parquet").write_table(pa.Table.from_pylist(rows))
    return str(tmp_path / "manifest")


def test_memory_and_stream_give_the_same_model(
    in_process: None, manifest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.yaml"
    model = "{name: one_block_vgg, filters: 2, dense: 4}"
    config.write_text(
        f"{{task: made, target: made, input: pictures, size: 16, model: {model}, epochs: 3, augment: {{flip: true}}}}"
    )
    given = {"config": str(config), "data": manifest, "cache": tmp_path / "cache", "baseline": False}
    monkeypatch.setattr(shards, "LARGEST", 10)  # several shards
    counts = train(TrainOptions(**given, out=tmp_path / "memory"))
    assert (counts["ok"], counts["failed"]) == (WORKS - 2, 1)
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.raw")}
    assert len(written) == 5
    streamed = train(TrainOptions(**given, out=tmp_path / "streamed", in_memory=0))
    assert written == {file: file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("*.raw")}
    assert streamed["model_id"] == counts["model_id"]
    one, other = (read_predictions(Location.parse(tmp_path / name)) for name in ("memory", "streamed"))
    assert one.equals(other)
    histories = [(tmp_path / name / "history.json").read_bytes() for name in ("memory", "streamed")]
    assert histories[0] == histories[1]
    assert not (tmp_path / "memory" / "_examples").exists()
