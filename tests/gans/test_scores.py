"""Scores: which works count, what stands beside a generator's metrics, and what is read from them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pytest
from PIL import Image

from artray.bundles.generator import load_generator_bundle
from artray.errors import InputError
from artray.gans import embeddings, metrics, scores
from artray.gans.latent_walks import latent_strips
from artray.gans.metrics import Moments, frechet_distance
from artray.storage import Location, list_column
from tests.gans.bundles import SIZE, write_generator
from tests.gans.serial import Serial

WIDTH = 12
STYLES = ["Cubism", "Rococo"]


class Colours:
    """In the place of the backbone: a picture's mean colours in four bands."""

    def __init__(self, batch: int = 32, judge: str = ""):
        pass

    def enlarged(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        return np.reshape(pictures, (-1, SIZE, SIZE, 3))

    def __call__(self, pictures: Sequence[np.ndarray]) -> pa.Array:
        assert all(picture.shape == (SIZE, SIZE, 3) for picture in pictures)
        means = np.reshape([picture.reshape(4, -1, 3).mean(axis=1) for picture in pictures], (len(pictures), 12)) / 255
        return list_column(means.astype(np.float32))


REAL = embeddings._Embedder


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> Serial:
    monkeypatch.setattr(embeddings, "_Embedder", Colours)
    return Serial(monkeypatch)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> str:
    """60 pictures with a manifest; one can't be read, ten are not for training, one has another style."""
    folder = tmp_path_factory.mktemp("collection")
    chance = np.random.default_rng(0)
    rows = []
    for number in range(60):
        small = chance.integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(small).resize((40, 30), Image.Resampling.BICUBIC).save(folder / f"{number:02d}.png")
        rows.append(
            {
                "object_id": f"work-{number:02d}",
                "image_uri": str(folder / f"{number:02d}.png"),
                "style": "Fauvism" if number == 7 else STYLES[number % 3 == 0],
                "split": "test" if number >= 50 else "train",
            }
        )
    (folder / "03.png").write_bytes(b"no picture")
    manifest = str(folder / "manifest")
    (Location.parse(manifest) / "manifest.parquet").write_table(pa.Table.from_pylist(rows))
    return manifest


def test_only_training_works_of_the_right_classes_count(collection: str, tmp_path: Path) -> None:
    table = embeddings.training_works(Location.parse(collection))
    assert table["object_id"].to_pylist() == [f"work-{number:02d}" for number in range(50)]
    table = embeddings.training_works(Location.parse(collection), "style", STYLES)
    assert len(table) == 49
    bundle = write_generator(str(tmp_path), STYLES)
    assert embeddings.class_counts(table, bundle) == [32, 17]
    with pytest.raises(InputError, match="no column 'genre'"):
        embeddings.training_works(Location.parse(collection), "genre", STYLES)


def test_patches_are_read_from_their_table(collection: str, tmp_path: Path, serial: Serial) -> None:
    images = [
        Path(uri).read_bytes() for uri in Location.parse(collection).dataset().to_table()["image_uri"].to_pylist()
    ]
    table = pa.table(
        {
            "object_id": [f"work-{number // 2:02d}" for number in range(60)],
            "patch": [number % 2 for number in range(60)],
            "image": [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)],
            "status": ["failed" if number == 3 else "ok" for number in range(60)],
            "split": ["train"] * 60,
        }
    )
    Location.parse(str(tmp_path / "patches" / "part-0.parquet")).write_table(table)
    patches = Location.parse(tmp_path / "patches")
    works = embeddings.training_works(patches)
    assert len(works) == 59
    assert set(works.column_names) == {"object_id", "image_uri", "file", "row"}  # where they lie, not what they are
    place = Location.parse(tmp_path / "embeddings")
    found = {
        kind: dataset.to_table()
        for kind, dataset in embeddings.embed_works(patches, works, place, size=SIZE, noise=5).items()
    }
    assert [len(found[kind]) for kind in ("work", "mean", "noise")] == [59, 1, 5]
    assert found["work"]["object_id"].equals(works["object_id"])
    assert "row" not in found["work"].column_names
    picture = Image.open(collection.replace("manifest", "00.png")).resize((SIZE, SIZE), Image.Resampling.BOX)
    expected = Colours()([np.asarray(picture)]).to_pylist()[0]
    assert found["work"]["embedding"][0].as_py() == pytest.approx(expected)


def test_works_are_embedded_anew_where_another_network_lies_under_the_judges_name(
    collection: str, tmp_path: Path, serial: Serial
) -> None:
    data, file = Location.parse(collection), tmp_path / "judge.keras"
    works = embeddings.training_works(data).slice(0, 2)
    for content in ("one", "one", "another"):
        file.write_text(content)
        embeddings.embed_works(data, works, Location.parse(tmp_path / "works"), size=SIZE, noise=1, judge=str(file))
    assert [len(rows) for rows in serial.passes] == [4, 0, 4]


def _own_file_judges(file: Path, model: str, collection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own network scores, and scores anew where another lies under its name."""
    monkeypatch.setattr(embeddings, "_Embedder", REAL)
    picture = keras.Input((24, 24, 3))
    fids = []
    for pool in (2, 3):
        made = keras.layers.Flatten()(keras.layers.AveragePooling2D(24 // pool)(picture))
        keras.Model(picture, made).save(file)
        found = scores.score(Location.parse(model), Location.parse(collection), samples=8, judge=str(file))
        assert found["embedding"] == str(file)
        fids.append(found["rows"]["generator"]["fid"])
    assert fids[0] > 0 < fids[1] != fids[0]


@pytest.mark.slow
def test_scores_are_written_once(
    collection: str,
    tmp_path: Path,
    serial: Serial,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = str(tmp_path / "gan")
    before = write_generator(model, STYLES)
    found = scores.score(Location.parse(model), Location.parse(collection), samples=1000)
    assert found["n"] == found["samples"] == 24  # 48 of 49 could be read
    assert found["works"] == 48
    assert found["rows"].keys() == scores.CANDIDATES.keys()
    rows = found["rows"]
    assert rows["works"]["fid"] < min(rows[name]["fid"] for name in ("generator", "mean", "noise"))
    assert rows["works"]["precision"] > 0.3
    assert rows["noise"]["recall"] == 0
    assert rows["mean"]["recall"] == 0
    assert len(found["nearest"]) == 24
    assert [(row["class"], row["works"], row["n"]) for row in found["classes"]] == [
        ("Cubism", 32, 16),
        ("Rococo", 16, 8),
    ]
    distances = [item["distance"] for item in found["nearest"]]
    assert distances == sorted(distances)
    assert {item["class"] for item in found["nearest"]} == set(STYLES)
    assert {path.name for path in Path(model).iterdir()} == {
        "generator.keras", "discriminator.keras", "generator.json", "scores.json",
    }  # fmt: skip
    bundle = load_generator_bundle(Location.parse(model))
    assert bundle.metrics["scores"]["fid"] == rows["generator"]["fid"]
    assert bundle.model_copy(update={"metrics": {}}) == before
    passes = len(serial.passes)
    assert (
        scores.score(Location.parse(model), Location.parse(collection), samples=1000)
        == found
        == json.loads(Path(model, "scores.json").read_text())
    )
    assert len(serial.passes) == passes
    assert scores.score(Location.parse(model), Location.parse(collection), samples=8)["n"] == 8
    other = scores.score(Location.parse(model), Location.parse(collection), samples=8, judge="efficientnet-lite0")
    assert other["settings"]["backbone"] == other["embedding"] == "efficientnet-lite0"
    _own_file_judges(tmp_path / "judge.keras", model, collection, monkeypatch)
    scores.show(found)
    scores.show({**found, "rows": {name: {**row, "density": None} for name, row in rows.items()}})  # as old ones are
    said = capsys.readouterr().err
    assert "24 pictures against 24, embedding efficientnet-lite2 (not Inception's FID and knows ImageNet" in said
    assert "works, half against half" in said
    assert "nearer to a work" in said


@pytest.mark.slow
def test_works_are_embedded_once_for_several_generators(collection: str, tmp_path: Path, serial: Serial) -> None:
    kept = str(tmp_path / "works")
    for number in range(2):
        write_generator(str(tmp_path / f"gan-{number}"), distribution=("normal", "uniform")[number])
        scores.score(Location.parse(tmp_path / f"gan-{number}"), Location.parse(collection), works=Location.parse(kept))
    assert [len(rows) for rows in serial.passes] == [50 + 1 + 25, 25, 0, 25]


def test_too_few_works_are_said(collection: str, tmp_path: Path, serial: Serial) -> None:
    few = Location.parse(collection).dataset().to_table().slice(0, 7)
    Location.parse(str(tmp_path / "few" / "manifest.parquet")).write_table(few)
    write_generator(str(tmp_path / "gan"))
    with pytest.raises(InputError, match="7 training works are too few for scores; 12 are needed"):
        scores.score(Location.parse(tmp_path / "gan"), Location.parse(tmp_path / "few"))


def embedded(values: np.ndarray) -> pa.Table:
    return pa.table({"embedding": list_column(values.astype(np.float32))})


def comparison(works: np.ndarray, samples: np.ndarray) -> dict[str, Any]:
    noise = np.random.default_rng(9).normal(size=(len(works) // 2, works.shape[1])) + 9
    sets = {"work": works, "mean": works[:1], "noise": noise}
    return scores.compare({kind: pads.dataset(embedded(values)) for kind, values in sets.items()}, embedded(samples))[0]


def test_every_row_is_of_as_many_pictures_against_both_halves() -> None:
    chance = np.random.default_rng(0)
    works, samples = chance.normal(size=(61, 5)).astype(np.float32), chance.normal(size=(90, 5)).astype(np.float32)
    found = comparison(works, samples)
    assert (found["n"], found["works"], found["samples"]) == (30, 61, 90)
    order = np.random.default_rng(scores.SEED).permutation(61)
    one, two = works[order[:30]], works[order[30:60]]
    made, one, two = (Moments.of(values) for values in (samples[:30], one, two))
    fids = [frechet_distance(one, made), frechet_distance(two, made)]
    assert found["rows"]["generator"]["fid"] == pytest.approx(np.mean(fids), abs=1e-6)
    assert found["rows"]["works"]["fid"] == pytest.approx(frechet_distance(one, two), abs=1e-6)


def test_each_class_is_compared_with_its_own_works() -> None:
    """Samples are right for one class, and another class's for the other."""
    chance = np.random.default_rng(0)
    works = chance.normal(size=(130, 4)) + np.repeat([[0], [9]], [60, 70], axis=0)
    table = embedded(works).append_column("class", pa.array(["one"] * 60 + ["two"] * 60 + ["few"] * 10))
    made = chance.normal(size=(90, 4))
    labels = pa.array(np.repeat([0, 1, 2], 30), pa.int32())
    rows = scores.by_class(pads.dataset(table), embedded(made).append_column("class", labels), ["one", "two", "few"])
    one, two, few = rows
    assert (one["n"], two["n"], few["n"], few["works"]) == (30, 30, None, 10)
    assert one["fid"] == pytest.approx(one["floor"]["fid"], abs=0.6)
    assert two["fid"] > 100 > 10 * two["floor"]["fid"]
    assert one["coverage"] > 0.8 > two["coverage"] == 0
    lines = scores.class_lines({"classes": rows})
    assert [line[0] for line in lines] == [
        "one", "  its works, half against half", "two", "  its works, half against half", "few",
    ]  # fmt: skip
    assert lines[-1][1:4] == ["10", "too few", "–"]


def test_copies_are_called_copies_and_new_works_are_not() -> None:
    chance = np.random.default_rng(0)
    works = chance.normal(size=(200, 6))
    copies = comparison(works, works[:100] + 1e-4)
    assert "it seems to repeat what it has seen" in scores.memorisation(copies)
    new = comparison(works, chance.normal(size=(100, 6)))
    assert "repeat" not in scores.memorisation(new)
    assert new["rows"]["generator"]["closer"] == pytest.approx(new["rows"]["works"]["closer"], abs=0.2)


def test_works_come_block_by_block_whatever_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    works, samples = chance.normal(size=(61, 5)), chance.normal(size=(20, 5))
    whole = comparison(works, samples)
    monkeypatch.setattr(scores, "_BLOCK", 7)
    monkeypatch.setattr(metrics, "_BLOCK", 3)
    blocks = comparison(works, samples)
    for name, row in whole.pop("rows").items():
        assert blocks["rows"][name] == pytest.approx(row, abs=2e-6)
    assert blocks.pop("distances") == pytest.approx(whole.pop("distances"))
    del blocks["rows"]
    assert blocks == whole


@pytest.mark.slow
@pytest.mark.parametrize("classes", [[], STYLES])
def test_latent_strips_are_written(tmp_path: Path, serial: Serial, classes: list[str]) -> None:
    write_generator(str(tmp_path), classes)
    names = latent_strips(Location.parse(tmp_path))
    shapes = {name: Image.open(tmp_path / name).size for name in names}
    each = SIZE + 2
    expected = {"latent/interpolation.png": (9 * each - 2, 6 * each - 2), "latent/arithmetic.png": (4 * each - 2, 106)}
    expected["latent/truncation.png"] = (6 * each - 2, 106)
    if classes:
        expected["latent/classes.png"] = (2 * each - 2, 106)
    assert shapes == expected
    again = Path(tmp_path / "latent/interpolation.png").read_bytes()
    latent_strips(Location.parse(tmp_path))
    assert Path(tmp_path / "latent/interpolation.png").read_bytes() == again
