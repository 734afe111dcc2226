"""Training of GANs on several workers, with checkpoints, from pictures as they come."""

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.bundles.classifier import load_keras
from artray.bundles.generator import BUNDLE, DISCRIMINATOR, load_generator, load_generator_bundle
from artray.engine.shards import ExampleCache
from artray.errors import ArtrayError, InputError
from artray.gans.config import GanConfig, read_config
from artray.gans.examples import Pictures, load_pictures
from artray.gans.latents import draw_latents
from artray.gans.station import GanOptions, train_gan, train_gans
from artray.storage import Location
from tests.integration.conftest import trainings_in_process
from tests.tools.kill_training import killing_a_worker

pytestmark = pytest.mark.usefixtures("ray_session")

CONFIG = str(Path(__file__).parents[2] / "jobs" / "configs" / "gan_dcgan.yaml")
SMALL = {
    "size": "16",
    "model.width": "4",
    "latent_size": "8",
    "batch_size": "8",
    "epochs": "2",
    "samples": "6",
    "ema": "0.9",
    "checkpoint_steps": "1",
    "target": "kind",
    "diff_augment": "[color, cutout]",
}
TRAIN = 27  # three batches of eight an epoch, three pictures wait


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Stripes and dots of several sizes, some grey; one broken file; a test part that is not to be seen."""
    folder = tmp_path_factory.mktemp("collection")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(TRAIN + 4):
        kind, side = ["stripes", "dots"][number % 2], int(rng.integers(20, 80))
        pixels = rng.integers(0, 256, (side, side if kind == "dots" else 1, 3), np.uint8)
        image = Image.fromarray(pixels).resize((side, side + 5))
        image = image.convert("L") if number % 5 == 0 else image
        image.save(folder / f"{number}.png")
        part = "train" if number < TRAIN else "test"
        rows.append({"object_id": f"{number:02d}", "image_uri": f"{folder}/{number}.png", "split": part, "kind": kind})
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    rows.append({"object_id": "zz", "image_uri": f"{folder}/broken.png", "split": "train", "kind": "dots"})
    rows.append({**rows[0], "object_id": "zy", "kind": None})
    uri = Location.parse(str(folder)) / "manifest"
    (Location.parse(uri) / "part-000000.parquet").write_table(pa.Table.from_pylist(rows))
    return uri


def run(manifest: str, out: Path, workers: int = 1, in_memory: float = 0.3, **changes: str) -> dict[str, object]:
    given = {"config": CONFIG, "data": manifest, "out": str(out), "workers": workers, "in_memory": in_memory}
    return train_gan(GanOptions(**given, set={**SMALL, **changes}))


def read(config: GanConfig, data: str, folder: Path) -> Pictures:
    return load_pictures(config, Location.parse(data), ExampleCache(Location.parse(folder / "examples")))


def curves(out: Path) -> list[dict[str, float]]:
    history = json.loads((out / "history.json").read_bytes())
    return [{name: value for name, value in epoch.items() if isinstance(value, float)} for epoch in history]


def test_a_generator_bundle_and_a_killed_worker(manifest: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One that is undisturbed, and one that streams its pictures and is killed in the middle: the same curves, samples
    and networks.

    How many there are changes nothing either: `tests/engine/test_adversarial.py`.
    """
    with killing_a_worker(tmp_path / "killed"):
        run(manifest, tmp_path / "killed", in_memory=0)
    with trainings_in_process():
        calm = run(manifest, tmp_path / "calm")
    one, other = curves(tmp_path / "calm"), curves(tmp_path / "killed")
    assert len(one) == len(other) == 2
    timing = {"seconds", "data_wait"}
    for epoch, again in zip(one, other, strict=True):
        assert epoch.keys() == again.keys() >= {"discriminator_loss", "generator_gradient", "diversity", "data_wait"}
        for name in epoch.keys() - timing:
            assert again[name] == pytest.approx(epoch[name], rel=2e-3, abs=2e-3), name

    out = tmp_path / "calm"
    assert (calm["rows"], calm["ok"], calm["failed"], calm["steps"]) == (TRAIN + 2, TRAIN, 1, 6)
    bundle = load_generator_bundle(Location.parse(out))
    assert (bundle.size, bundle.latent_size, bundle.distribution) == (16, 8, "uniform")
    assert bundle.classes == ["dots", "stripes"]
    assert bundle.data["train"] == TRAIN
    assert bundle.data["dropped"] == {"unreadable": 1, "unlabelled": 1, "other label": 0}
    assert not (out / "_training").exists()
    latents, labels = draw_latents(3, 8, "uniform", 1), np.eye(2, dtype=np.float32)[[0, 1, 0]]
    made = load_generator(Location.parse(out), bundle).predict_on_batch([latents, labels])
    assert made.shape == (3, 16, 16, 3)
    assert 0 <= made.min() < made.max() <= 255
    again = load_generator(
        Location.parse(tmp_path / "killed"), load_generator_bundle(Location.parse(tmp_path / "killed"))
    )
    assert np.allclose(again.predict_on_batch([latents, labels]), made, atol=0.5)
    discriminator = load_keras(Location.parse(out), DISCRIMINATOR, bundle.discriminator_sha, BUNDLE)
    assert discriminator.predict_on_batch([made, labels]).shape == (3, 1)
    sheets = [np.asarray(Image.open(out / "samples" / f"epoch-00{epoch}.png")) for epoch in range(3)]
    assert {one.shape for one in sheets} == {(32, 48, 3)}
    assert not np.array_equal(sheets[0], sheets[2])
    with Image.open(io.BytesIO((out / "samples.webp").read_bytes())) as animation:
        assert animation.size == (48, 32)

    assert run(manifest, out)["model_id"] == calm["model_id"]
    with pytest.raises(InputError, match="--overwrite"):
        run(manifest, out, epochs="3")
    (out / "generator.keras").write_bytes(b"x")
    with pytest.raises(InputError, match=r"generator.keras is not the one generator.json was written for"):
        load_generator(Location.parse(out), bundle)


def test_a_loss_that_is_no_number_is_one_line(in_process: None, manifest: str, tmp_path: Path) -> None:
    changes = {"discriminator": "{name: sgd, learning_rate: 1.0e+30}", "loss.name": "lsgan"}
    with pytest.raises(ArtrayError, match=r"loss is no longer a number in epoch \d: try a smaller learning rate"):
        run(manifest, tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"batch_size": "64"},
            r"has 27 pictures of the part train to learn from \(1 unreadable, 1 unlabelled\), fewer",
        ),
        ({"target": "style"}, "has no column 'style'"),
        ({"classes": "[dots, squares]"}, "no picture of squares in column 'kind'"),
        ({"target": "split"}, "column 'split' has only 'train'"),
        ({"input": "patches"}, "has no column 'status'"),
    ],
)
def test_data_that_does_not_fit_the_config(
    manifest: str, changes: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read(read_config(CONFIG, {**SMALL, **changes}), manifest, tmp_path)


def test_one_picture_is_too_few_and_without_parts_all_are_learned(manifest: str, tmp_path: Path) -> None:
    table = Location.parse(manifest).dataset().to_table().drop_columns(["split"])
    config = read_config(CONFIG, {"size": "32", "batch_size": "8"})
    for name, rows in (("all", table), ("one", table.slice(0, 1))):
        Location.parse(f"{tmp_path}/{name}/part-000000.parquet").write_table(rows)
    found = read(config, f"{tmp_path}/all", tmp_path)
    assert len(found.ids) == TRAIN + 5
    assert found.classes == []
    grey = found.inputs.take(np.array([0, 5]))
    assert grey.shape == (2, 32, 32, 3)
    assert np.array_equal(grey[..., 0], grey[..., 2])
    with pytest.raises(InputError, match=r"has one picture to learn from, fewer than a batch \(batch_size: 8\)"):
        read(config, f"{tmp_path}/one", tmp_path)


def test_several_in_one_group_are_each_what_they_are_alone(in_process: None, manifest: str, tmp_path: Path) -> None:
    """Float by float: the workers forget one before the next. And the one that may take no time ends after an epoch."""
    changes = {**SMALL, "epochs": "1"}
    asked = [
        (loss, GanOptions(config=CONFIG, data=manifest, out=str(tmp_path / loss), set={**changes, "loss.name": loss}))
        for loss in ("lsgan", "hinge")
    ]
    assert train_gans(asked, Location.parse(tmp_path / "shared")) == {}
    assert not (tmp_path / "shared" / "_training").exists()
    short = {**changes, "loss.name": "hinge", "epochs": "40", "seconds": "0.001"}
    train_gan(GanOptions(config=CONFIG, data=manifest, out=str(tmp_path / "alone"), set=short))
    assert sorted(file.name for file in (tmp_path / "alone" / "samples").iterdir()) == [
        "epoch-000.png",
        "epoch-001.png",
    ]
    networks = []
    for name in ("hinge", "alone"):
        place = Location.parse(tmp_path / name)
        networks.append(load_generator(place, load_generator_bundle(place)).get_weights())
    for one, other in zip(*networks, strict=True):
        assert np.array_equal(one, other)
