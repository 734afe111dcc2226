"""An upscaler trained on a collection: it beats interpolation, resumes where it was, and goes on with SRGAN's loss."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.bundles.upscaler import load_upscaler, load_upscaler_bundle, read_evaluation
from artray.engine.examples import Shard
from artray.errors import InputError
from artray.storage import Location
from artray.super_resolution.config import read_config
from artray.super_resolution.examples import Originals
from artray.super_resolution.loop import UpscalerTraining
from artray.super_resolution.station import UpscalerOptions, train_upscaler
from artray.super_resolution.upscaling import UpscaleOptions, upscale
from tests.checkpoints import Kept

SIDE = 48
SMALL = {
    "input": "pictures",
    "size": str(SIDE),
    "crop": "24",
    "batch_size": "4",
    "epochs": "3",
    "model.blocks": "1",
    "model.width": "8",
    "model.interpolated": "true",
    "optimizer.learning_rate": "0.001",
}


def picture(number: int) -> np.ndarray:
    """Blobs with sharp edges, which interpolation blurs."""
    chance = np.random.default_rng(number)
    corners = chance.normal(size=(3, 4, 4))
    waves = np.stack([np.asarray(Image.fromarray(each.astype(np.float32)).resize((SIDE, SIDE))) for each in corners])
    return np.where(waves.transpose(1, 2, 0) > 0, 210, 40).astype(np.uint8)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    pictures = np.stack([picture(number) for number in range(20)])
    file = Location.parse(tmp_path_factory.mktemp("shards") / "0.raw")
    file.write_bytes(pictures.tobytes())
    return Originals(
        ids=[f"{number:02d}" for number in range(20)],
        parts=np.array(["train"] * 12 + ["validation"] * 4 + ["test"] * 4, object),
        size=SIDE,
        blocks=[Shard(file, 20, (SIDE, SIDE, 3), "uint8")],
        positions=np.stack([np.zeros(20, np.int64), np.arange(20)], axis=1),
        dropped={"unreadable": 0},
    )


def weights(out: Location) -> list[Any]:
    return load_upscaler(out, load_upscaler_bundle(out)).get_weights()


def test_a_killed_training_goes_on_as_if_nothing_had_been(originals: Originals, tmp_path: Path) -> None:
    def training(name: str, start: str | None = None, **changes: str) -> UpscalerTraining:
        return UpscalerTraining(
            config=read_config("sr_edsr_x2", {**SMALL, "checkpoint_steps": "2", **changes}),
            originals=originals,
            out=Location.parse(tmp_path / name),
            source="",
            start=None if start is None else Location.parse(tmp_path / start),
        )

    whole, killed = training("whole"), training("killed")
    whole.work(0, Kept(), None)
    kept = Kept(dies_after=3)
    with pytest.raises(KeyboardInterrupt):
        killed.work(0, kept, None)
    kept.dies_after = None
    killed.work(0, kept, None)
    for first, second in zip(weights(whole.out), weights(killed.out), strict=True):
        assert (first == second).all()
    told = read_evaluation(whole.out)
    assert told["n"] == 4
    assert told["upscaler"]["psnr"] > told["bicubic"]["psnr"] - 0.5  # it begins as interpolation

    sharper = training("sharper", "whole", **{"loss.name": "srgan", "loss.layer": "1", "epochs": "1"})
    sharper.work(0, Kept(), None)
    bundle = load_upscaler_bundle(sharper.out)
    assert bundle.data["start"] == load_upscaler_bundle(whole.out).model_id
    assert any((first != second).any() for first, second in zip(weights(whole.out), weights(sharper.out), strict=True))
    with pytest.raises(InputError, match=r"--start .*/whole: is of another scale"):
        training("wider", "whole", **{"model.width": "4"}).work(0, Kept(), None)


@pytest.mark.usefixtures("ray_session", "in_process")
def test_from_pictures_to_larger_ones(tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        file = tmp_path / f"{number}.png"
        Image.fromarray(picture(number)).save(file)
        part = "train" if number < 8 else "validation" if number < 10 else "test"
        rows.append({"object_id": f"{number:02d}", "image_uri": str(file), "split": part, "group": str(number)})
    (tmp_path / "broken.png").write_bytes(b"nothing")
    rows.append({**rows[0], "object_id": "zz", "image_uri": str(tmp_path / "broken.png")})
    manifest, out = Location.parse(tmp_path / "manifest"), Location.parse(tmp_path / "upscaler")
    (manifest / "manifest.parquet").write_table(pa.Table.from_pylist(rows))
    options = UpscalerOptions(config="sr_edsr_x2", data=manifest, out=out, set={**SMALL, "epochs": "1"})
    counts = train_upscaler(options)
    assert (counts["rows"], counts["ok"], counts["failed"]) == (13, 12, 1)
    assert Path(counts["page"]).exists()
    assert train_upscaler(options) == counts  # it is there already
    with pytest.raises(InputError, match="--overwrite"):
        train_upscaler(options.model_copy(update={"set": {**SMALL, "epochs": "2"}}))
    larger = upscale(UpscaleOptions(model=out, manifest=manifest, out=Location.parse(tmp_path / "larger")))
    assert (larger["rows"], larger["ok"], larger["failed"]) == (13, 12, 1)
    assert len(Location.parse(larger["manifest"]).dataset().to_table()) == 12
