"""Pictures by number: the same ones however many are asked for, in the classes that are wanted."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from artray.bundles.generator import load_generator_bundle
from artray.errors import InputError
from artray.gans.sampling import GeneratorModel, class_shares, numbered_latents, sample, spread_classes
from artray.storage import Location
from tests.gans.bundles import LATENT_SIZE, SIZE, write_generator
from tests.gans.serial import CHUNK, DiedError, Serial

pytestmark = pytest.mark.slow  # whole stations

CLASSES = ["Cubism", "Rococo", "Ukiyo-e"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("gan"))
    write_generator(folder)
    return folder


@pytest.fixture(scope="module")
def conditional(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("conditional-gan"))
    write_generator(folder, CLASSES)
    return folder


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> Serial:
    return Serial(monkeypatch)


@given(shares=st.lists(st.floats(0.05, 1), min_size=1, max_size=8), count=st.integers(1, 3000))
def test_any_first_pictures_have_the_wanted_classes(shares: list[float], count: int) -> None:
    chosen = spread_classes(count, shares)
    assert chosen[: count // 2] == spread_classes(count // 2, shares)
    found, total = Counter(chosen), sum(shares)
    for index, share in enumerate(shares):  # the sequence's discrepancy grows with the logarithm
        assert abs(found[index] - count * share / total) <= 2 + 1.5 * np.log(count + 1)


def test_a_class_without_a_share_is_never_drawn() -> None:
    assert set(spread_classes(5000, [0, 1, 0, 2, 0])) == {1, 3}


def test_latents_belong_to_a_seed_and_a_number(plain: str) -> None:
    bundle = load_generator_bundle(Location.parse(plain))
    latents = numbered_latents(bundle, range(10), seed=3)
    assert latents.shape == (10, LATENT_SIZE)
    assert (numbered_latents(bundle, [7, 2], seed=3) == latents[[7, 2]]).all()
    assert not np.isin(numbered_latents(bundle, range(10), seed=4), latents).any()
    assert numbered_latents(bundle, [], seed=3).shape == (0, LATENT_SIZE)
    assert np.abs(numbered_latents(bundle, range(99), 3, truncation=0.5)).max() <= 0.5


def test_a_picture_does_not_depend_on_its_neighbours(conditional: str) -> None:
    generator_model = GeneratorModel(Location.parse(conditional))
    classes = [random.Random(0).randrange(3) for _ in range(70)]
    whole = generator_model.numbered(range(70), 0, classes)
    assert whole.shape == (70, SIZE, SIZE, 3)
    assert whole.dtype == np.uint8
    chosen = [69, 3, 40]
    assert (generator_model.numbered(chosen, 0, [classes[number] for number in chosen]) == whole[chosen]).all()
    other = generator_model.numbered(chosen, 0, [(classes[number] + 1) % 3 for number in chosen])
    assert (other != whole[chosen]).any(axis=(1, 2, 3)).all()


def test_the_generator_is_rounded_not_cut(plain: str) -> None:
    generator_model = GeneratorModel(Location.parse(plain))
    latents = numbered_latents(generator_model.bundle, range(5), 0)
    values = np.asarray(generator_model._model(latents))
    assert np.abs(generator_model(latents) - values).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("classes", [["Rococo", "Rococo"], ["Rococo", ""], ["Rococo", "a\nb"]])
def test_a_strangers_classes(classes: list[str], tmp_path: Path) -> None:
    write_generator(str(tmp_path), ["Rococo", "Cubism"])
    values = json.loads((tmp_path / "generator.json").read_text())
    (tmp_path / "generator.json").write_text(json.dumps({**values, "classes": classes}))
    with pytest.raises(
        InputError, match=r"not a generator bundle of this release: generator.json: classes: "
    ) as raised:
        load_generator_bundle(Location.parse(tmp_path))
    assert "\n" not in str(raised.value)


def test_classes_are_asked_for_by_name(conditional: str, plain: str) -> None:
    bundle = load_generator_bundle(Location.parse(conditional))
    assert class_shares(bundle, Location.parse(conditional), []) == [1, 1, 1]
    assert class_shares(bundle, Location.parse(conditional), ["Rococo"]) == [0, 1, 0]
    with pytest.raises(InputError, match=r"no class 'Roccoco' \(classes: Cubism, Rococo, Ukiyo-e\)"):
        class_shares(bundle, Location.parse(conditional), ["Roccoco"])
    with pytest.raises(InputError, match="trained without labels"):
        class_shares(load_generator_bundle(Location.parse(plain)), Location.parse(plain), ["Rococo"])


def test_samples_are_a_collection(conditional: str, tmp_path: Path, serial: Serial) -> None:
    out = str(tmp_path / "generated")
    counts = sample(Location.parse(conditional), Location.parse(out), 40, seed=5)
    assert counts["rows"] == counts["ok"] == 40
    assert sum(counts["classes"].values()) == 40
    table = Location.parse(counts["manifest"]).dataset().to_table()
    assert table.column_names[:4] == ["object_id", "image_uri", "size", "version"]
    assert set(table["split"].to_pylist()) == {"train"}
    assert len(set(table["object_id"].to_pylist())) == 40
    files = {info.uri: info for info in Location.parse(str(tmp_path / "generated" / "pictures")).list_files()}
    assert set(files) == set(table["image_uri"].to_pylist())
    assert Counter(table["style"].to_pylist()) == counts["classes"]
    for row in table.to_pylist():
        assert (files[row["image_uri"]].size, files[row["image_uri"]].version) == (row["size"], row["version"])
    generator_model = GeneratorModel(Location.parse(conditional))
    for row in table.slice(0, 2).to_pylist():  # and say so themselves
        with Image.open(row["image_uri"]) as image:
            told = image.getxmp()["xmpmeta"]["RDF"]["Description"]
        assert told["DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
        assert told["AISystemUsed"] == "artray untrained"
    row = table.to_pylist()[17]
    expected = generator_model.numbered([17], 5, [CLASSES.index(row["style"])])[0]
    assert (np.asarray(Image.open(row["image_uri"])) == expected).all()

    # Again: nothing to do. More of them: the first ones stay what they are, and so do their ids.
    assert sample(Location.parse(conditional), Location.parse(out), 40, seed=5) == counts
    assert len(serial.passes) == 1
    with pytest.raises(InputError, match="--overwrite"):
        sample(Location.parse(conditional), Location.parse(out), 64, seed=5)
    more = sample(Location.parse(conditional), Location.parse(out), 64, seed=5, overwrite=True)
    longer = Location.parse(more["manifest"]).dataset().to_table()
    assert longer["object_id"].to_pylist()[:40] == table["object_id"].to_pylist()
    assert (np.asarray(Image.open(row["image_uri"])) == expected).all()
    other = sample(Location.parse(conditional), Location.parse(tmp_path / "other"), 40, seed=6)
    ids = Location.parse(other["manifest"]).dataset().to_table()["object_id"].to_pylist()
    assert not set(ids) & set(table["object_id"].to_pylist())


def test_a_run_that_died_goes_on(plain: str, tmp_path: Path, serial: Serial) -> None:
    whole, died = tmp_path / "whole", tmp_path / "died"
    sample(Location.parse(plain), Location.parse(whole), 40)
    serial.dies_after = 2
    with pytest.raises(DiedError):
        sample(Location.parse(plain), Location.parse(died), 40)
    serial.dies_after = None
    counts = sample(Location.parse(plain), Location.parse(died), 40)
    assert serial.passes[-1] == serial.passes[0][2 * CHUNK :]
    for picture in sorted((whole / "pictures").rglob("*.png")):
        assert picture.read_bytes() == (died / picture.relative_to(whole)).read_bytes()
    assert "style" not in Location.parse(counts["manifest"]).dataset().schema.names
    run = json.loads((Location.parse(counts["manifest"]) / "_run.json").read_bytes())
    assert run["arguments"]["count"] == 40


def test_overwrite_replaces_samples_and_nothing_else(plain: str, tmp_path: Path, serial: Serial) -> None:
    sample(Location.parse(plain), Location.parse(tmp_path), 20)
    mine = [
        tmp_path / name for name in ("notes.txt", "pictures/0000/mine.png", "pictures/mine.png", "manifest/mine.csv")
    ]
    for file in mine:
        file.write_text("mine")
    sample(Location.parse(plain), Location.parse(tmp_path), 10, overwrite=True)
    assert all(file.read_text() == "mine" for file in mine)
    assert len(list((tmp_path / "pictures" / "0000").iterdir())) == 10 + 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_manifest_of_ingest_is_left_alone(plain: str, tmp_path: Path, overwrite: bool) -> None:
    mine = {"manifest/_run.json": '{"counts": {}}', "manifest/manifest.parquet": "mine", "pictures/mine.png": "mine"}
    for name, text in mine.items():
        Location.parse(f"{tmp_path}/{name}").write_bytes(text.encode())
    with pytest.raises(InputError, match=r"holds the output of another job \(manifest"):
        sample(Location.parse(plain), Location.parse(tmp_path), 10, overwrite=overwrite)
    assert {name: (tmp_path / name).read_text() for name in mine} == mine


def test_a_bad_truncation_is_said_at_once(plain: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="truncation"):
        sample(Location.parse(plain), Location.parse(tmp_path), 4, truncation=0.0)
