"""What is made anew, what is kept and what is removed; tests/report/test_station.py makes thumbnails on Ray."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from PIL import Image

from artray.report import thumbnails
from artray.report.thumbnails import make_thumbnails, remove_thumbnails
from artray.storage import Location

IDS = ["W/1", "../w2", "wörk 3", "broken"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The ids of each pass, which runs in this process."""
    passes: list[list[str]] = []

    def run_pass(title: str, manifest: str, out: str, worker: Any, arguments: dict[str, Any], **_: Any) -> None:
        rows = Location.parse(manifest).dataset().to_table()
        passes.append(rows["object_id"].to_pylist())
        Location.parse(f"{out}/part-000000.parquet").write_table(worker(**arguments)(rows))

    monkeypatch.setattr(thumbnails, "run_pass", run_pass)
    return passes


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (300 + number, 200), (80 * number, 90, 120)).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no picture")
    return folder


def pictures(scans: Path, versions: list[str | None], count: int = 4) -> pa.Table:
    uris = [str(scans / f"{number}.png") for number in range(count)]
    return pa.table(
        {"object_id": IDS[:count], "image_uri": uris, "version": pa.array(versions[:count], pa.string())}
    ).sort_by([("object_id", "descending")])


def files(out: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in out.rglob("*.jpg")}


def test_only_what_is_new_or_changed_is_made(tmp_path, scans, made):
    out = tmp_path / "page"
    paths = make_thumbnails(out, pictures(scans, ["1"] * 4), 100)
    assert set(paths) == set(IDS[:3])
    assert {out / path for path in paths.values()} == set(files(out))
    for number, object_id in enumerate(IDS[:3]):
        with Image.open(out / paths[object_id]) as image:
            assert image.size == (100, round(100 * 200 / (300 + number)))
    before = files(out)
    assert make_thumbnails(out, pictures(scans, ["1"] * 4), 100) == paths
    assert len(made) == 1
    assert files(out) == before
    Image.new("RGB", (300, 100)).save(scans / "1.png")
    assert make_thumbnails(out, pictures(scans, ["1", "2", "1", "1"]), 100) == paths
    assert made[1:] == [[IDS[1]]]
    with Image.open(out / paths[IDS[1]]) as image:
        assert image.size == (100, 33)
    assert sorted(path.name for path in out.iterdir()) == ["thumbnails"]


def test_a_picture_whose_version_is_not_known_is_made_anew(tmp_path, scans, made):
    for _ in range(2):
        make_thumbnails(tmp_path / "page", pictures(scans, [None, "1", "1", "1"]), 100)
    assert made[1:] == [[IDS[0]]]


def test_another_size_and_a_thumbnail_that_was_removed(tmp_path, scans, made):
    out = tmp_path / "page"
    paths = make_thumbnails(out, pictures(scans, ["1"] * 4), 100)
    (out / paths[IDS[2]]).unlink()
    make_thumbnails(out, pictures(scans, ["1"] * 4), 100)
    assert made[1:] == [[IDS[2]]]
    make_thumbnails(out, pictures(scans, ["1"] * 4), 80)
    assert sorted(made[2]) == sorted(IDS)


def test_those_of_works_that_have_gone_are_removed(tmp_path, scans, made):
    out = tmp_path / "page"
    make_thumbnails(out, pictures(scans, ["1"] * 4), 100)
    paths = make_thumbnails(out, pictures(scans, ["1"] * 4, count=2), 100)
    assert {out / path for path in paths.values()} == set(files(out))
    assert len(made) == 1
    make_thumbnails(out, pictures(scans, ["1"] * 4), 100)
    assert sorted(made[1]) == sorted(IDS[2:])


def test_pictures_that_are_no_thumbnails_stay(tmp_path, scans, made):
    mine = [tmp_path / "page" / "thumbnails" / name for name in ("holiday.jpg", "ab/holiday.jpg", "mine/ab/0.jpg")]
    for file in mine:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"mine")
    for count in (4, 1):
        make_thumbnails(tmp_path / "page", pictures(scans, ["1"] * 4, count), 100)
    assert all(file.read_bytes() == b"mine" for file in mine)
    assert len(files(tmp_path / "page")) == len(mine) + 1


def test_a_picture_that_may_be_there_tomorrow_is_tried_again(tmp_path, scans, made):
    out = tmp_path / "page"
    (scans / "2.png").rename(tmp_path / "away.png")
    assert set(make_thumbnails(out, pictures(scans, ["1"] * 4), 100)) == set(IDS[:2])
    (tmp_path / "away.png").rename(scans / "2.png")
    assert set(make_thumbnails(out, pictures(scans, ["1"] * 4), 100)) == set(IDS[:3])
    assert made[1:] == [[IDS[2]]]


def test_larger_pictures_of_an_older_page_go_and_nothing_else(tmp_path: Path) -> None:
    for name in ("8f/8f434346648f6b96.jpg", "index.parquet", "8f/mine.jpg", "notes.txt"):
        (tmp_path / "zoom" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "zoom" / name).write_text(name)
    remove_thumbnails(tmp_path, "zoom")
    left = [str(path.relative_to(tmp_path / "zoom")) for path in (tmp_path / "zoom").rglob("*") if path.is_file()]
    assert sorted(left) == ["8f/mine.jpg", "notes.txt"]
    remove_thumbnails(tmp_path, "nowhere")
