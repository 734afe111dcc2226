"""Labelling on S3 behind a server with faults, and on Ray with workers that are killed."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import threading
import time
import typing
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from artray.errors import ArtrayError, InputError
from artray.labeling.published import read_labels
from artray.labeling.station import LabelOptions, label_catalog
from artray.storage import Location, s3
from artray.storage.location import _S3_CONFIG
from tests.conftest import S3Server
from tests.integration import proxy as proxies
from tests.integration.proxy import Fault, Proxy
from tests.labeling import serial
from tests.labeling.bundles import write_bundle, write_manifest, write_pictures

ROWS = 60
PLACE = "s3://museum/labeling"


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return write_pictures(tmp_path_factory.mktemp("scans"), ROWS - 1, broken=1)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("bundles")
    return [write_bundle(f"{root}/{kind}", kind, kind) for kind in ("pictures", "patches")]


@pytest.fixture(scope="module")
def on_s3(s3_bucket: str, collection: dict[str, str]) -> dict[str, str]:
    uris = {name: f"{PLACE}/scans/{name}.png" for name in collection}
    for name, uri in uris.items():
        Location.parse(uri).write_bytes(Path(collection[name]).read_bytes())
    return uris


@pytest.fixture(scope="module")
def expected(collection: dict[str, str], bundles: list[str], tmp_path_factory: pytest.TempPathFactory) -> dict:
    """Labels of the local folder, from a run without Ray."""
    folder = tmp_path_factory.mktemp("expected")
    with pytest.MonkeyPatch.context() as patch:
        serial.install(patch)
        label(write_manifest(f"{folder}/manifest", collection), bundles, f"{folder}/out")
    return scores(f"{folder}/out")


def label(manifest: str, bundles: list[str], out: str, **options: Any) -> dict[str, Any]:
    return label_catalog(LabelOptions(manifest=manifest, model=bundles, out=out, **options))


def scores(out: str) -> dict[tuple[str, str], tuple[str, dict[str, float]]]:
    """Status and scores by task and object_id; no row is there twice."""
    rows = read_labels(Location.parse(out)).to_table().to_pylist(maps_as_pydicts="strict")
    found = {(row["task"], row["object_id"]): (row["status"], row["scores"] or {}) for row in rows}
    assert len(found) == len(rows)
    assert Location.parse(out).dataset().count_rows() == len(rows)
    return found


def same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, (status, values) in expected.items():
        assert found[key][0] == status, key
        assert found[key][1] == pytest.approx(values, abs=1e-5)


@pytest.fixture
def proxy(s3_server: S3Server, on_s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setitem(_S3_CONFIG, "read_timeout", 3.0)
    monkeypatch.setattr(s3, "_FIRST_WAIT", 0.02)
    with proxies.running(s3_server.endpoint) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        yield running


def test_a_bad_network_loses_no_picture(proxy, on_s3, bundles, expected, monkeypatch):
    """Of all requests for pictures one in twenty, and of those for bundles and labels some, meet a fault."""
    serial.install(monkeypatch)
    chance = random.Random(1)
    kinds = [fault for fault in typing.get_args(Fault) if not fault.startswith("403")]
    for uri in on_s3.values():
        faults = [fault for fault in chance.choices(kinds, k=3) if chance.random() < 0.05]
        proxy.plan(uri.removeprefix("s3://"), *faults)
    proxy.plan(on_s3["W7"].removeprefix("s3://"), "503 SlowDown", "reset", "stall", "cut")
    proxy.rate(0.05, "503 SlowDown")
    manifest = write_manifest(f"{PLACE}/manifest", on_s3)
    counts = label(manifest, bundles, f"{PLACE}/out")
    assert counts["statuses"] == {"ok": ROWS - 1, "truncated": 1}
    same(scores(f"{PLACE}/out"), expected)
    before = label(manifest, bundles[:1], f"{PLACE}/out", overwrite=True)["run_id"]
    rows = read_labels(Location.parse(f"{PLACE}/out")).to_table().to_pylist()
    assert {row["task"] for row in rows if row["run_id"] == before} == {"pictures"}
    same(scores(f"{PLACE}/out"), expected)


def test_keys_that_expire_in_the_middle(proxy, on_s3, bundles, expected, tmp_path, monkeypatch):
    """The run stops with one line; no row says `denied`, and with new keys the same command goes on."""
    passes = serial.install(monkeypatch)
    manifest = write_manifest(f"{tmp_path}/manifest", on_s3)
    for name in list(on_s3)[ROWS // 2 :]:
        proxy.always(on_s3[name].removeprefix("s3://"), "403 ExpiredToken")
    with pytest.raises(InputError, match="refuses these keys; have they expired") as raised:
        label(manifest, bundles, f"{tmp_path}/out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out" / "_run.json").exists()
    proxy.behave()
    assert label(manifest, bundles, f"{tmp_path}/out")["statuses"] == {"ok": ROWS - 1, "truncated": 1}
    assert 0 < len(passes[1]) <= ROWS // 2 + serial.CHUNK
    same(scores(f"{tmp_path}/out"), expected)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A disk of so many KiB; called again, it grows."""
    place = tmp_path / "disk"
    place.mkdir()

    def resize(size: int) -> Path:
        how = "remount," if place.is_mount() else ""
        if shutil.which("mount") is None:
            pytest.skip("there is no `mount` here")
        command = ["mount", "-t", "tmpfs", "-o", f"{how}size={size}k", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk can't be mounted here: {done.stderr.strip()}")
        return place

    try:
        yield resize
    finally:
        if place.is_mount():
            subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_full(small_disk, collection, bundles, expected, tmp_path, monkeypatch):
    """Wherever it gets full: one line, nothing half visible, and with more room the same command goes on."""
    serial.install(monkeypatch)
    manifest = write_manifest(f"{tmp_path}/manifest", collection)
    said = []
    for size in range(4, 400, 12):
        out = small_disk(size) / "out"
        try:
            label(manifest, bundles, str(out))
        except ArtrayError as error:
            said.append(str(error))
            assert not list(out.glob("task=*/*.parquet")) or (out / "_run.json").exists()
        else:
            break
    wanted = ": no space left on the disk; with more room the same command goes on"
    assert all(line.endswith(wanted) and "\n" not in line for line in said), said
    places = {re.sub(r".*/out/?", "", line.split(":")[0]).split("/")[0] for line in said}
    assert {"_staging", "_runs"} <= places
    same(scores(str(out)), expected)
    assert sorted(path.name for path in out.iterdir()) == ["_run.json", "_runs", "task=patches", "task=pictures"]


def test_a_worker_that_is_killed(two_cpus, collection, bundles, expected, tmp_path):
    """On Ray: another one takes its place, and the run ends as if nothing had been."""
    out = tmp_path / "out"
    killed = []

    def kill() -> None:
        while not killed and not (out / "_run.json").exists():
            time.sleep(0.01)
            if any(out.glob("_staging/*/parts/part-*.parquet")):
                for process in psutil.Process().children(recursive=True):
                    with suppress(psutil.Error):
                        if not killed and "_ChunkActor" in " ".join(process.cmdline()):
                            process.kill()
                            killed.append(process.pid)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    counts = label(write_manifest(f"{tmp_path}/manifest", collection), bundles, str(out))
    killer.join(10)
    assert counts["statuses"] == {"ok": ROWS - 1, "truncated": 1}
    same(scores(str(out)), expected)
    assert killed
