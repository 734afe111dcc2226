"""Ingest with near-duplicates: pictures that look alike are on one side, and hashed only once."""

import csv
import io
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from artray import cluster
from artray.images.perceptual_hash import perceptual_hash
from artray.ingest import perceptual_hashes
from artray.ingest.duplicates import DISTANCE
from artray.ingest.manifest import FILE
from artray.ingest.splits import PARTS
from artray.ingest.station import IngestOptions, ingest
from artray.storage import Location
from tests.conftest import SHARED
from tests.integration.conftest import passes_in_process

PAINTINGS = sorted((Path(__file__).parents[2] / "artray/sample/paintings22/images").glob("*.jpg"))
STYLES = SHARED / "data" / "styles6"

pytestmark = pytest.mark.usefixtures("ray_session")


def rows_of(folder: Path) -> dict[str, dict[str, object]]:
    return {row["object_id"]: row for row in pq.read_table(folder / FILE).to_pylist()}


def other_scan(picture: Path) -> bytes:
    """The same work at another size, exposure and compression."""
    image = Image.open(picture).convert("RGB")
    image = image.resize((image.width * 2 // 3, image.height * 2 // 3)).point(lambda value: int(value * 0.9))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


@pytest.fixture
def without_actors() -> Iterator[None]:
    with passes_in_process():
        yield


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each ingest hashed."""
    passes: list[int] = []

    def counted(*arguments: object, **keywords: object) -> dict[str, int]:
        counts = run_pass(*arguments, **keywords)
        passes.append(counts["rows"] - counts["resumed"])
        return counts

    run_pass = perceptual_hashes.run_pass
    monkeypatch.setattr(perceptual_hashes, "run_pass", counted)
    return passes


def test_near_duplicates_are_on_one_side_and_hashed_once(
    without_actors: None, tmp_path: Path, hashed: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    images, out = tmp_path / "images", tmp_path / "manifest"
    images.mkdir()
    for picture in PAINTINGS:
        (images / picture.name).write_bytes(picture.read_bytes())
    (images / "broken.jpg").write_bytes(b"no picture")
    options = IngestOptions(images=str(images), out=str(out))
    counts = ingest(options)
    assert (counts["near_duplicates"], hashed) == (0, [23])
    assert "can't be read: 1 picture (broken), listed all the same" in capsys.readouterr().err
    before = rows_of(out)
    assert {row["group"] for row in before.values()} == set(before)

    # Other scans of a test work and of a training work, and one file that shows a test work now.
    works = {
        part: [name for name, row in before.items() if row["split"] == part and name != "broken"] for part in PARTS
    }
    test, train = works["test"][0], works["train"][0]
    (images / "new-scan.jpg").write_bytes(other_scan(images / f"{test}.jpg"))
    (images / "zz-scan.jpg").write_bytes(other_scan(images / f"{train}.jpg"))
    counts = ingest(options)
    # The two, and the file that could not be read, which may be whole by now.
    assert (counts["near_duplicates"], counts["new"], counts["changed"]) == (2, 2, 0)
    assert hashed[1:] == [3]
    after = rows_of(out)
    assert {name: after[name]["split"] for name in before} == {name: row["split"] for name, row in before.items()}
    assert after["new-scan"]["group"] == after[test]["group"]
    assert (after["new-scan"]["split"], after["zz-scan"]["split"]) == ("test", "train")
    assert "groups of near-duplicates: 2 with 4 pictures" in capsys.readouterr().err

    # A picture that is replaced by a scan of a training work joins its group, and leaves the test part.
    (images / f"{test}.jpg").write_bytes(other_scan(images / f"{train}.jpg"))
    counts = ingest(options)
    assert (counts["changed"], hashed[2:]) == (1, [2])
    moved = rows_of(out)
    assert moved[test]["change"] == "changed"
    assert moved[test]["group"] == moved[train]["group"]
    assert moved[test]["split"] == "train"
    assert "1 row changed sides" in capsys.readouterr().err
    assert not (out / "_fingerprinting").exists()


def test_an_interrupted_run_hashes_nothing_twice(
    without_actors: None, tmp_path: Path, hashed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    images, out = tmp_path / "images", tmp_path / "manifest"
    images.mkdir()
    for picture in PAINTINGS[:8]:
        (images / picture.name).write_bytes(picture.read_bytes())
    options = IngestOptions(images=str(images), out=str(out))
    write_table = Location.write_table

    def dies(place: Location, table: object) -> None:
        if place.name == perceptual_hashes.FILE:
            raise KeyboardInterrupt
        write_table(place, table)

    with monkeypatch.context() as patch:
        patch.setattr(Location, "write_table", dies)
        with pytest.raises(KeyboardInterrupt):
            ingest(options)
    assert not (out / FILE).exists()
    assert ingest(options)["rows"] == 8
    assert hashed == [8, 0]


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of styles6: forty works of each style, and its near-duplicates; some of them also under another artist."""
    if not STYLES.exists():
        pytest.skip("needs ../shared/data/styles6")
    folder = tmp_path_factory.mktemp("styles")
    with (STYLES / "catalog.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rng = random.Random(0)
    rng.shuffle(rows)
    chosen = [
        row for style in sorted({row["style"] for row in rows}) for row in [r for r in rows if r["style"] == style][:40]
    ]
    for row in chosen:
        (folder / row["file"]).parent.mkdir(exist_ok=True)
        (folder / row["file"]).write_bytes((STYLES / row["file"]).read_bytes())
    for number, row in enumerate(rng.sample(chosen, 25)):
        copy = {**row, "object_id": f"copy-{number}", "artist": f"after {row['artist']}", "file": f"copy-{number}.jpg"}
        (folder / copy["file"]).write_bytes(other_scan(STYLES / row["file"]))
        chosen.append(copy)
    with (folder / "catalog.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(chosen[0]))
        writer.writeheader()
        writer.writerows(chosen)
    return folder


def test_no_artist_and_no_near_duplicate_is_on_two_sides(
    two_cpus: None, styles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def split(name: str) -> dict[str, dict[str, object]]:
        counts = ingest(
            IngestOptions(
                images=str(styles), catalog=f"{styles}/catalog.csv", out=str(tmp_path / name), split_by=["artist"]
            )
        )
        assert counts["labelled"] == {"style": 265}
        assert counts["near_duplicates"] >= 25
        return rows_of(tmp_path / name)

    rows = split("first")
    sides: dict[str, set[object]] = {}
    for row in rows.values():
        sides.setdefault(str(row["artist"]), set()).add(row["split"])
    assert all(len(parts) == 1 for parts in sides.values())
    assert set().union(*sides.values()) == {"train", "validation", "test"}

    # Every pair of pictures, decoded and compared here.
    ordered = list(rows.values())
    pictures = [np.asarray(Image.open(str(row["image_uri"])).convert("RGB").resize((224, 224))) for row in ordered]
    bits = np.unpackbits(perceptual_hash(np.stack(pictures)).view(np.uint8), axis=1).astype(np.int32)
    apart = bits @ (1 - bits).T + (1 - bits) @ bits.T
    # Well below the limit, since the pixels of two decoders are not quite the same.
    alike = [(a, b) for a, b in np.argwhere(apart <= DISTANCE - 12) if a < b]
    assert len(alike) >= 25
    for a, b in alike:
        assert ordered[a]["group"] == ordered[b]["group"]
        assert ordered[a]["split"] == ordered[b]["split"]

    # Another machine: other workers and chunks, and a listing in another order.
    files = list(Location.parse(str(styles)).list_files())
    random.Random(1).shuffle(files)
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "cpus", lambda: 1)
        patch.setattr(Location, "list_files", lambda self, hidden: iter(files))
        assert split("second") == rows


def test_on_s3(s3_bucket: str, tmp_path: Path, hashed: list[int]) -> None:
    for name in ("a", "b"):
        Location.parse(f"{s3_bucket}/alike/{name}.jpg").write_bytes(
            PAINTINGS[0].read_bytes() if name == "a" else other_scan(PAINTINGS[0])
        )
    Location.parse(f"{s3_bucket}/alike/c.jpg").write_bytes(PAINTINGS[1].read_bytes())
    options = IngestOptions(images=f"{s3_bucket}/alike", out=f"{s3_bucket}/alike-manifest")
    for _ in range(2):
        assert ingest(options)["near_duplicates"] == 1
        table = Location.parse(f"{s3_bucket}/alike-manifest").dataset().to_table()
        groups = dict(zip(table["object_id"].to_pylist(), table["group"].to_pylist(), strict=True))
        assert groups == {"a": "a", "b": "a", "c": "c"}
    assert hashed == [3]
