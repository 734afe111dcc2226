"""Features are kept by picture and settings: of a grown collection only what is new is read and computed."""

import pyarrow as pa
import pytest
from PIL import Image

from artray.errors import InputError
from artray.features.brightness import Brightness
from artray.features.embedding import Embedding
from artray.features.station import FeatureOptions, extract_features
from artray.images import pictures
from artray.storage import Location, list_column
from tests.features import serial
from tests.images.files import encode

READ = pictures.read_many


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The names of the pictures that are read."""
    serial.install(monkeypatch)
    found: list[str] = []

    def read_many(uris):
        found.extend(uri.rpartition("/")[2] for uri in uris)
        return READ(uris)

    monkeypatch.setattr(pictures, "read_many", read_many)
    return found


@pytest.fixture
def museum(tmp_path):
    """A folder with 12 pictures, of which the last is none."""
    for number in range(12):
        picture = tmp_path / f"{number:02}.png"
        picture.write_bytes(
            b"none" if number == 11 else encode(Image.new("RGB", (9, 8), (number * 20, 9, 9)), format="PNG")
        )
    return tmp_path


def manifest(folder, numbers, name="manifest", versions=None, **columns) -> Location:
    """The manifest of some pictures."""
    numbers = list(numbers)
    table = {
        "object_id": [f"{number:02}" for number in numbers],
        "image_uri": [str(folder / f"{number:02}.png") for number in numbers],
        "version": versions or [f"mtime:{number} size:1" for number in numbers],
        **columns,
    }
    place = Location.parse(folder / name)
    (place / "manifest.parquet").write_table(pa.table(table))
    return place


def extract(folder, given, features=("brightness",), **options):
    values = FeatureOptions(manifest=given, out=Location.parse(folder / "features"), features=list(features), **options)
    counts = extract_features(values)
    return counts, (folder / "features"), values.out.dataset().to_table()


def test_of_a_grown_collection_only_new_and_changed_pictures_are_read(museum, read):
    _, _, before = extract(museum, manifest(museum, range(8), style=["a"] * 8))
    assert len(read) == 8
    read.clear()
    versions = [f"mtime:{99 if number == 3 else number} size:1" for number in range(12)]
    grown = manifest(museum, range(12), "grown", versions, style=["b"] * 12, genre=["g"] * 12)
    counts, place, after = extract(museum, grown)
    assert read == ["03.png", "08.png", "09.png", "10.png", "11.png"]
    assert (counts["rows"], counts["ok"], counts["kept"]) == (12, 11, 7)
    assert after["object_id"].to_pylist() == [f"{number:02}" for number in range(12)]
    assert set(after["style"].to_pylist()) == {"b"}
    assert set(after["genre"].to_pylist()) == {"g"}
    assert after["brightness"].slice(0, 8).to_pylist() == before["brightness"].to_pylist()
    assert after["width"].null_count == 1
    assert {path.name for path in place.iterdir()} >= {"_run.json", "_plan.json"}
    assert not (place / "_kept").exists()
    read.clear()
    assert extract(museum, grown)[0]["rows"] == 12
    assert not read


def test_another_split_or_column_reads_no_picture_and_one_that_can_not_be_read_stays_so(museum, read):
    extract(museum, manifest(museum, range(12), split=["train"] * 12))
    read.clear()
    counts, _, table = extract(museum, manifest(museum, reversed(range(12)), "again", split=["test"] * 12))
    assert not read
    assert counts["statuses"] == {"ok": 11, "not_an_image": 1}
    assert (table["status"][0].as_py(), table["brightness"][0].as_py()) == ("not_an_image", None)
    assert set(table["split"].to_pylist()) == {"test"}


def test_what_may_pass_is_tried_again(museum, read):
    (museum / "02.png").rename(museum / "away.png")
    assert extract(museum, manifest(museum, range(4)))[0]["failed"] == 1
    (museum / "away.png").rename(museum / "02.png")
    read.clear()
    counts, _, table = extract(museum, manifest(museum, range(4), "again", style=["a"] * 4))
    assert (read, counts["failed"], table["brightness"].null_count) == (["02.png"], 0, 0)


def test_an_etag_is_known_wherever_the_picture_lies(museum, read):
    tags = [f'"{number}"' for number in range(4)]
    extract(museum, manifest(museum, range(4), versions=tags))
    read.clear()
    (museum / "moved").mkdir()
    ids = {"object_id": ["00", "01", "02", "03"], "image_uri": [str(museum / f"moved/{n}.png") for n in range(4)]}
    moved = Location.parse(museum / "elsewhere")
    (moved / "manifest.parquet").write_table(pa.table({**ids, "version": tags}))
    assert extract(museum, moved)[0]["kept"] == 4
    assert not read


def test_one_more_feature_computes_that_one_alone(museum, read, monkeypatch):
    _, _, before = extract(museum, manifest(museum, range(6)))
    monkeypatch.setattr(Brightness, "__call__", lambda *_: pytest.fail("computed again"))
    counts, _, after = extract(museum, manifest(museum, range(6)), ["brightness", "palette"])
    assert (counts["kept"], counts["features"]) == (6, ["brightness", "palette"])
    assert after.column_names[-4:] == ["brightness", "palette_rgb", "palette_hsv", "palette_share"]
    assert after["brightness"].to_pylist() == before["brightness"].to_pylist()
    with pytest.raises(InputError, match="with other options; give another --out, or --overwrite"):
        extract(museum, manifest(museum, range(6)), ["palette"])
    read.clear()
    after = extract(museum, manifest(museum, range(6)), ["palette"], overwrite=True)[2]
    assert "brightness" not in after.column_names
    assert not read


def test_another_collection_is_refused(museum, read):
    extract(museum, manifest(museum, range(5)))
    other = manifest(museum, range(3, 12), "other")
    with pytest.raises(InputError, match=r"3 of its 5 works are not in .*other; if it is the same collection"):
        extract(museum, other)
    assert extract(museum, other, overwrite=True)[0]["kept"] == 2


@pytest.mark.parametrize("after", range(5))
def test_a_killed_run_goes_on_wherever_it_was(museum, read, monkeypatch, after):
    """While the table is set aside, and while the new one is made."""
    expected = extract(museum, manifest(museum, range(11)))[2]
    (museum / "features").rename(museum / "expected")
    extract(museum, manifest(museum, range(8)))
    grown = manifest(museum, range(11), "grown", style=["a"] * 11)
    done = []
    name = "move_to" if after < 1 else "write_table"
    way = getattr(Location, name)

    def killed(*arguments):
        done.append(1)
        if len(done) > after:
            raise KeyboardInterrupt
        return way(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Location, name, killed)
        try:
            extract(museum, grown)
        except KeyboardInterrupt:
            done.clear()
    read.clear()
    _, _, table = extract(museum, grown)
    assert table.drop_columns(["style"]).equals(expected)
    assert {"00.png", "01.png"}.isdisjoint(read)


def test_a_worker_with_models_takes_over_what_is_known(museum, read, monkeypatch):
    """The model sees only the pictures whose embedding is not there."""
    seen: list[int] = []

    def means(_, images):
        seen.append(len(images))
        return {"embedding": list_column(images.mean(axis=(1, 2), dtype="float32"))}

    monkeypatch.setattr(Embedding, "__call__", means)
    monkeypatch.setattr(Embedding, "fields", [pa.field("embedding", pa.list_(pa.float32()))])
    before = extract(museum, manifest(museum, range(0, 11, 2)), ["embedding"])[2]
    seen.clear()
    after = extract(museum, manifest(museum, range(11), "grown"), ["embedding", "brightness"])[2]
    assert sum(seen) == 5
    assert after.take(list(range(0, 11, 2)))["embedding"].to_pylist() == before["embedding"].to_pylist()
    assert after["embedding"].null_count == after["brightness"].null_count == 0


def test_another_network_in_the_file_of_a_backbone_is_another_feature(museum, read):
    keras = pytest.importorskip("keras")
    file = museum / "backbone.keras"

    def network(channels):
        pictures = keras.Input((16, 16, 3))
        keras.Model(pictures, keras.layers.Conv2D(channels, 3)(pictures)).save(file)

    given, options = manifest(museum, range(3)), {"features": ("embedding",), "backbone": str(file), "size": 16}
    network(4)
    extract(museum, given, **options)
    network(5)
    with pytest.raises(InputError, match="or with other options; give another --out, or --overwrite"):
        extract(museum, manifest(museum, range(4), "grown"), **options)
    _, _, table = extract(museum, given, **options, overwrite=True)
    assert [len(row) for row in table["embedding"].to_pylist()] == [5] * 3
