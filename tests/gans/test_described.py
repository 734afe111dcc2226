"""A generator that is told descriptions: samples as works are described, and as the user wants them."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from artray.bundles.generator import load_generator_bundle, read_descriptions
from artray.engine.examples import Shard
from artray.errors import InputError
from artray.gans.config import read_config
from artray.gans.examples import Pictures
from artray.gans.latent_walks import latent_strips
from artray.gans.loop import GanTraining
from artray.gans.sampling import GeneratorModel, sample
from artray.models.gans import discriminator, generator
from artray.storage import Location
from tests.checkpoints import Kept
from tests.gans.bundles import CONDITIONS, SIZE, WORKS, write_generator
from tests.gans.serial import Serial

pytestmark = pytest.mark.slow  # whole stations


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Location:
    folder = tmp_path_factory.mktemp("described")
    write_generator(str(folder), described=True)
    return Location.parse(folder)


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> Serial:
    return Serial(monkeypatch)


def test_samples_are_asked_for_as_works_are_described(bundle: Location, tmp_path: Path, serial: Serial) -> None:
    counts = sample(bundle, Location.parse(tmp_path / "some"), 12)
    assert "classes" not in counts
    table = Location.parse(counts["manifest"]).dataset().to_table()
    assert table.column_names == [
        "object_id", "image_uri", "size", "version", "style", "genre", "date", "generator", "group", "split",
    ]  # fmt: skip
    rows = {(row["style"], tuple(row["genre"]), row["date"]) for row in table.to_pylist()}
    assert rows == {("Cubism", ("portrait",), 1900), ("Rococo", ("nude", "portrait"), 1750), (None, (), 1800)}
    wishes = {"style": "Rococo", "date": "1925"}
    wished = sample(bundle, Location.parse(tmp_path / "wished"), 12, condition=wishes)
    table = Location.parse(wished["manifest"]).dataset().to_table()
    assert {(row["style"], row["date"]) for row in table.to_pylist()} == {("Rococo", 1925)}
    assert len(set(map(tuple, table["genre"].to_pylist()))) == 3  # as the works
    same = sample(bundle, Location.parse(tmp_path / "wished"), 12, condition=wishes)
    assert same == wished
    with pytest.raises(InputError, match="--overwrite"):
        sample(bundle, Location.parse(tmp_path / "wished"), 12, condition={"style": "Cubism"})


def test_what_is_wanted_is_what_the_network_is_told(bundle: Location) -> None:
    plain, wished = GeneratorModel(bundle), GeneratorModel(bundle, condition={"style": "Rococo"})
    assert plain.kinds == wished.kinds == len(WORKS)
    pictures = [model.numbered([5, 5, 5], 0, [0, 1, 2]) for model in (plain, wished)]
    assert pictures[0].shape == (3, SIZE, SIZE, 3)
    differs = (pictures[0] != pictures[1]).any(axis=(1, 2, 3)).tolist()
    assert differs == [True, False, True]  # the second work is Rococo itself
    assert (pictures[0][0] != pictures[0][1]).any()


def test_wishes_of_a_generator_without_conditions(tmp_path: Path) -> None:
    write_generator(str(tmp_path))  # a generator.json without the key, as those of before
    uri = Location.parse(tmp_path)
    assert load_generator_bundle(uri).conditions == []
    assert read_descriptions(uri, load_generator_bundle(uri)).shape == (0, 0)
    with pytest.raises(InputError, match="none: it was trained without conditions"):
        sample(uri, uri / "out", 3, condition={"style": "Rococo"})


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1.0, 0]], pa.list_(pa.float32())),
        pa.array([[float("nan")] * 7], pa.list_(pa.float32())),
        pa.array([], pa.list_(pa.float32())),
        pa.array(["text"]),
    ],
)
def test_a_strangers_descriptions(column: pa.Array, bundle: Location, tmp_path: Path) -> None:
    about = load_generator_bundle(bundle)
    file = Location.parse(tmp_path) / "descriptions.parquet"
    file.write_table(pa.table({"description": column}))
    with pytest.raises(InputError, match=r"descriptions\.parquet"):
        read_descriptions(Location.parse(tmp_path), about)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": ["a", "b"]}, "classes and conditions"),
        ({"conditions": [{"name": "style", "kind": "label"}]}, "says nothing of its values"),
        ({"conditions": [{"name": "date", "kind": "number", "mean": [1], "deviation": 0}]}, "deviation"),
    ],
)
def test_a_strangers_conditions(changes: dict[str, object], message: str, bundle: Location, tmp_path: Path) -> None:
    values = json.loads((bundle / "generator.json").read_bytes())
    (tmp_path / "generator.json").write_text(json.dumps({**values, **changes}))
    with pytest.raises(InputError, match=message):
        load_generator_bundle(Location.parse(tmp_path))


def test_strips_are_of_several_descriptions_and_none_is_of_classes(tmp_path: Path, serial: Serial) -> None:
    write_generator(str(tmp_path), described=True)
    assert latent_strips(Location.parse(tmp_path)) == [
        "latent/interpolation.png",
        "latent/arithmetic.png",
        "latent/truncation.png",
    ]


@pytest.mark.parametrize("name", ["basic", "deconv", "dcgan", "resnet"])
def test_every_pair_of_networks_takes_any_vector(name: str) -> None:
    size = 32 if name in ("basic", "deconv") else 16
    made = generator(name, size, 8, 3, described=True)
    judge = discriminator(name, size, 3)
    vectors = np.array([[0, 0, 0], [1, 1, -3]], np.float32)
    pictures = np.asarray(made([np.ones((2, 8), np.float32), vectors]))
    assert np.isfinite(pictures).all()
    assert np.ptp(pictures[0]) > 0  # a work of which nothing is known is no empty picture
    assert np.asarray(judge([pictures, vectors])).shape == (2, 1)


def test_a_generator_learns_from_descriptions(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    file = Location.parse(tmp_path / "0.raw")
    file.write_bytes(chance.integers(0, 256, (16, 16, 16, 3), np.uint8).tobytes())
    pictures = Pictures(
        ids=[f"{number:02d}" for number in range(16)],
        classes=[],
        labels=WORKS[np.arange(16) % 3],
        blocks=[Shard(file, 16, (16, 16, 3), "uint8")],
        positions=np.stack([np.zeros(16, np.int64), np.arange(16)], axis=1),
        source="",
        dropped={"held out": 2},
        conditions=CONDITIONS,
    )
    changes = {"size": "16", "model.width": "4", "batch_size": "8", "epochs": "1", "samples": "4", "latent_size": "8"}
    config = read_config("gan_dcgan", {**changes, "conditions": "[style, genre, date, embedding]"})
    out = Location.parse(tmp_path / "out")
    GanTraining(config=config, pictures=pictures, out=out, source="").work(0, Kept(), None)
    about = load_generator_bundle(out)
    assert about.conditions == CONDITIONS
    assert about.data["dropped"] == {"held out": 2}
    assert (read_descriptions(out, about) == pictures.labels).all()
    assert GeneratorModel(out, condition={"style": "Cubism"}).numbered([0], 0, [1]).shape == (1, 16, 16, 3)
