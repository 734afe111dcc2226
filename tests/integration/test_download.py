"""A catalogue's pictures, from a web server on loopback into a folder and S3, by the workers of a real Ray."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from artray.download.station import RESULT, DownloadOptions, download
from artray.errors import InputError
from artray.storage import Location
from tests.download.museum_server import MuseumServer, picture, raw, reply
from tests.integration.conftest import passes_in_process

ROOT = Path(__file__).parents[2]
FAST = {"allow_private": True, "rate": 200, "attempts": 2, "patience": 3}

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture
def museum() -> Iterator[MuseumServer]:
    with MuseumServer() as server:
        yield server


@pytest.fixture
def without_actors() -> Iterator[None]:
    """What a catalogue's rows become is the same in this process; only the gate is an actor then."""
    with passes_in_process():
        yield


def write_catalog(folder: Path, rows: dict[str, str]) -> str:
    file = folder / "catalog.csv"
    file.write_text("number,title,image_url\n" + "".join(f"{name},A work,{url}\n" for name, url in rows.items()))
    return str(file)


def results(out: str) -> dict[str, dict[str, object]]:
    table = Location.parse(f"{out}/downloads").dataset().to_table()
    assert table.schema.names == RESULT.names
    rows = {row["object_id"]: row for row in table.to_pylist()}
    assert len(rows) == len(table)
    return rows


def test_pictures_that_no_download_put_there_are_not_replaced(museum: MuseumServer, tmp_path: Path) -> None:
    (mine := tmp_path / "out" / "pictures" / "N1.png").parent.mkdir(parents=True)
    mine.write_text("mine")
    catalog = write_catalog(tmp_path, {"N1": museum.add("/1", reply(picture(1, "PNG")))})
    with pytest.raises(InputError, match="holds files that no download has put there"):
        download(DownloadOptions(catalog=catalog, out=str(tmp_path / "out"), id_column="number", **FAST))
    assert mine.read_text() == "mine"


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_a_catalogue_is_downloaded_once(
    museum: MuseumServer, place: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    out = str(tmp_path / "out") if place == "folder" else f"{request.getfixturevalue('s3_bucket')}/download"
    good = {f"N{number:03d}": museum.add(f"/{number}", reply(picture(number))) for number in range(40)}
    bad = {
        "X/404": museum.url("/nowhere"),
        "html": museum.add("/html", reply(b"<html>Sorry</html>")),
        "noai": museum.add("/noai", reply(picture(1), X_Robots_Tag="noai")),
        "stalls": museum.add("/stalls", raw(stall=600)),
        "secret": f"http://curator:hunter2@127.0.0.1:{museum.port}/1",
    }
    late = {"late": museum.add("/late", reply(status=503, Retry_After="1"), reply(picture(99, "PNG")))}
    catalog = write_catalog(tmp_path, good | bad | late | {"none": ""})
    # Five seconds are enough for who has something to say, on a busy machine too.
    options = DownloadOptions(catalog=catalog, out=out, id_column="number", read_timeout=5, **FAST)
    counts = download(options)
    assert (counts["rows"], counts["ok"], counts["failed"], counts["without_url"]) == (46, 41, 5, 1)
    assert counts["statuses"] == {"ok": 41, "missing": 1, "not_an_image": 1, "denied": 2, "failed": 1}

    rows = results(out)
    assert {name: rows[name]["status"] for name in bad} == {
        "X/404": "missing", "html": "not_an_image", "noai": "denied", "stalls": "failed", "secret": "denied"
    }  # fmt: skip
    for number, name in enumerate(good):
        data = picture(number)
        assert Location.parse(f"{out}/pictures/{rows[name]['path']}").read_bytes() == data
        assert rows[name]["sha256"] == hashlib.sha256(data).hexdigest()
        assert rows[name]["bytes"] == len(data)
    assert rows["late"]["path"] == "late.png"
    assert len(list(Location.parse(f"{out}/pictures").list_files())) == 41
    everything = b"".join(Location.parse(info.uri).read_bytes() for info in Location.parse(out).list_files())
    assert b"hunter2" not in everything + json.dumps([counts, list(rows.values())]).encode()

    asked = len(museum.asked)
    again = download(options)
    assert (again["ok"], again["failed"], again["resumed"], len(museum.asked)) == (41, 5, 46, asked)


def test_a_grown_catalogue_asks_only_for_what_is_new_and_retry_for_what_failed(
    without_actors: None, museum: MuseumServer, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    rows = {f"{number}": museum.add(f"/{number}", reply(picture(number))) for number in range(10)}
    rows["flaky"] = museum.add("/flaky", reply(status=404), reply(status=404), reply(picture(50)))
    first = {"out": out, "id_column": "number", **FAST}
    download(DownloadOptions(catalog=write_catalog(tmp_path, rows), **first))
    before = results(out)

    (tmp_path / "out" / "pictures" / "3.jpg").unlink()
    (tmp_path / "out" / "pictures" / "4.jpg").write_bytes(b"cut")
    rows["new"] = museum.add("/new", reply(picture(60)))
    rows["5"] = museum.add("/5-corrected", reply(picture(61)))
    museum.asked.clear()
    counts = download(DownloadOptions(catalog=write_catalog(tmp_path, rows), **first))
    assert {path for path, _ in museum.asked} == {"/3", "/4", "/5-corrected", "/new", "/flaky"}
    assert (counts["rows"], counts["ok"], counts["reused"]) == (12, 11, 7)
    after = results(out)
    assert {name: after[name] for name in "0126789"} == {name: before[name] for name in "0126789"}
    assert after["5"]["sha256"] == hashlib.sha256(picture(61)).hexdigest()

    museum.asked.clear()
    catalog = str(tmp_path / "catalog.csv")
    assert download(DownloadOptions(catalog=catalog, **first))["failed"] == 1
    assert museum.asked == []
    assert download(DownloadOptions(catalog=catalog, retry=True, **first))["ok"] == 12
    assert {path for path, _ in museum.asked} == {"/flaky"}
    assert results(out)["flaky"]["status"] == "ok"


def test_a_lost_part_is_the_unit_of_repeated_work(without_actors: None, museum: MuseumServer, tmp_path: Path) -> None:
    rows = {f"{number:02d}": museum.add(f"/{number}", reply(picture(number))) for number in range(32)}
    out = tmp_path / "out"
    options = {"catalog": write_catalog(tmp_path, rows), "out": str(out), "id_column": "number", **FAST}
    download(DownloadOptions(**options))
    expected = results(str(out))
    part = out / "downloads" / "part-000001.parquet"  # as if the job had been killed before it was written
    lost = set(pd.read_parquet(part)["url"])
    part.unlink()
    (out / "downloads" / "_run.json").unlink()
    museum.asked.clear()
    # How servers are treated may change when a run goes on.
    counts = download(DownloadOptions(**options | {"rate": 100, "connections": 4}))
    assert {museum.url(path) for path, _ in museum.asked} == lost
    assert counts["resumed"] == 32 - len(lost)
    assert results(str(out)) == expected


def test_the_rate_holds_across_workers(two_cpus: None, museum: MuseumServer, tmp_path: Path) -> None:
    rows = {f"{number:02d}": museum.add(f"/{number}", reply(picture(number))) for number in range(24)}
    catalog = write_catalog(tmp_path, rows)
    download(DownloadOptions(catalog=catalog, out=str(tmp_path / "out"), id_column="number", **FAST | {"rate": 12}))
    times = sorted(museum.times())
    # Each waits a twelfth of a second for the one before; with a gate in each of two workers, half of that. From which
    # on we count does not matter: a busy machine answers some late.
    assert any(times[-1] - when >= 0.75 * (23 - number) / 12 for number, when in enumerate(times[:12]))


def test_private_addresses_are_refused_by_default(without_actors: None, museum: MuseumServer, tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path, {"1": museum.add("/1", reply(picture(1)))})
    counts = download(DownloadOptions(catalog=catalog, out=str(tmp_path / "out")))
    assert counts["statuses"] == {"denied": 1}
    assert museum.asked == []


def test_a_catalogue_without_addresses_is_refused(tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.csv"
    catalog.write_text("number,title\n1,A\n2,B\n")
    with pytest.raises(InputError, match="--url-column"):
        download(DownloadOptions(catalog=str(catalog), out=str(tmp_path / "out")))
    with pytest.raises(InputError, match="'url'"):
        download(DownloadOptions(catalog=str(catalog), out=str(tmp_path / "out"), url_column="url"))


def test_the_job_tells_what_it_can_do() -> None:
    command = [sys.executable, "jobs/download.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=300)
    assert "--allow-private" in done.stdout
    assert "--honor-opt-out" in done.stdout
