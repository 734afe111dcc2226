"""Pictures and patches decoded into shards, without Ray: few are decoded by the driver, and none are in its store."""

import errno
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from ray.exceptions import ObjectStoreFullError

from artray.engine import shards
from artray.engine.examples import Inputs, Shard
from artray.engine.shards import Decoded, ExampleCache, cache_of, decode_examples
from artray.errors import ArtrayError, InputError
from artray.storage import Location

SIDE = 8
COLORS = np.random.default_rng(0).integers(0, 256, (10, 3), np.uint8)


def png(color: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.tile(color, (SIDE, SIDE, 1))).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Decoded]:
    """Ten pictures in chunks of four, of which one is none and one is not there."""
    monkeypatch.setattr(shards, "LARGEST", 4)
    uris = []
    for number, color in enumerate(COLORS):
        file = tmp_path / f"{number}.png"
        file.write_bytes(b"no picture" if number == 2 else png(color))
        uris.append(str(file))
    (tmp_path / "7.png").unlink()
    rows = pa.table({"object_id": [f"w{number}" for number in range(10)], "image_uri": uris})
    data = Location.parse(tmp_path)
    cache = ExampleCache(data / "cache", 0)
    return lambda: decode_examples(rows, cache, data=data, kind="pictures", size=SIDE, source="a")


def colors(found: Decoded) -> np.ndarray:
    readable = np.flatnonzero(found.status == "ok")
    return Inputs(found.blocks, found.positions).take(readable)[:, 0, 0]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []
    read = shards.read_pictures

    def watched(rows: pa.Table, *arguments: object, **more: object) -> object:
        asked.extend(rows["object_id"].to_pylist())
        return read(rows, *arguments, **more)

    monkeypatch.setattr(shards, "read_pictures", watched)
    return asked


def test_what_can_not_be_read_has_a_status(decode):
    found = decode()
    assert found.status.tolist() == ["ok"] * 2 + ["not_an_image"] + ["ok"] * 4 + ["missing"] + ["ok"] * 2
    assert np.array_equal(colors(found), COLORS[[0, 1, 3, 4, 5, 6, 8, 9]])
    assert found.positions[[2, 7]].tolist() == [[-1, -1]] * 2


def test_each_picture_is_decoded_once(decode, monkeypatch):
    asked = counted(monkeypatch)
    decode()
    assert sorted(asked) == [f"w{number}" for number in range(10)]
    assert np.array_equal(colors(decode()), COLORS[[0, 1, 3, 4, 5, 6, 8, 9]])
    assert len(asked) == 10


def test_a_job_that_was_killed_decodes_what_is_missing(decode, monkeypatch):
    asked = counted(monkeypatch)
    write = Location.write_table

    def killed(self: Location, table: pa.Table) -> None:
        if self.name == "part-000001.parquet":
            raise KeyboardInterrupt
        write(self, table)

    with monkeypatch.context() as patched:
        patched.setattr(Location, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            decode()
    del asked[:]
    assert np.array_equal(colors(decode()), COLORS[[0, 1, 3, 4, 5, 6, 8, 9]])
    assert sorted(asked) == [f"w{number}" for number in range(4, 10)]


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_bytes(b"short")], ids=["gone", "short"])
def test_a_shard_that_is_not_whole_is_made_anew(decode, monkeypatch, tmp_path, spoil):
    decode()
    asked = counted(monkeypatch)
    spoil(next((tmp_path / "cache").rglob("000000004-*.raw")))
    assert np.array_equal(colors(decode()), COLORS[[0, 1, 3, 4, 5, 6, 8, 9]])
    assert sorted(asked) == ["w4", "w5", "w6", "w7"]


def test_a_full_disk_is_one_line(decode, monkeypatch):
    def full(self: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ArtrayError, match="no space left on the disk; with more room the same command goes on"):
        decode()


def test_a_chunk_of_large_pictures_has_several_shards(decode, monkeypatch):
    monkeypatch.setattr(shards, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(shards, "LARGEST", 10)
    read = shards.read_pictures
    monkeypatch.setattr(shards, "read_pictures", lambda *arguments, threads: read(*arguments, batch=3, threads=threads))
    found = decode()
    assert [(shard.file.name, shard.rows) for shard in found.blocks] == [
        ("000000000-0003.raw", 2),
        ("000000003-0003.raw", 3),
        ("000000006-0003.raw", 2),
        ("000000009-0001.raw", 1),
    ]
    assert np.array_equal(colors(found), COLORS[[0, 1, 3, 4, 5, 6, 8, 9]])


def test_wanted_patches_of_several_files(tmp_path):
    data = Location.parse(tmp_path / "patches")
    for file in range(2):
        images = [{"bytes": png(color), "path": "x.png"} for color in COLORS]
        images[3] = {"bytes": b"no picture", "path": "x.png"} if file else images[3]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        (data / f"part-{file:06d}.parquet").write_table(pa.table({"image": pa.array(images, kind)}), 3)
    wanted = [(0, 9), (0, 1), (1, 3), (1, 4), (1, 0)]
    files = sorted(data.dataset().files)
    rows = pa.table(
        {"object_id": list("abcde"), "file": [files[file] for file, _ in wanted], "row": [row for _, row in wanted]}
    )
    cache = ExampleCache(Location.parse(tmp_path / "cache"), 0)
    found = decode_examples(rows, cache, data=data, kind="patches", size=4, source="a")
    assert found.status.tolist() == ["ok", "ok", "failed", "ok", "ok"]
    assert found.blocks[0].shape == (4, 4, 3)
    assert np.array_equal(colors(found), COLORS[[9, 1, 4, 0]])


def test_a_cache_is_no_place_of_data(tmp_path):
    data = Location.parse(tmp_path / "data")
    assert cache_of(None, Location.parse(tmp_path / "out"), [data], 0.5).share == 0.5
    with pytest.raises(InputError, match=r"--cache .*: is the place of --data"):
        cache_of(data, Location.parse(tmp_path / "out"), [data], 0.5)


def test_where_the_store_is_full_the_shards_are_read(decode, monkeypatch, capsys):
    def full(*_: object) -> None:
        raise ObjectStoreFullError

    monkeypatch.setattr(ExampleCache, "holds", lambda *_: True)
    monkeypatch.setattr(shards, "_loaded", full)
    assert np.array_equal(colors(decode()), COLORS[[0, 1, 3, 4, 5, 6, 8, 9]])
    assert "object store is full: the examples are read from their shards" in capsys.readouterr().err


def test_many_are_decoded_by_a_pass_and_loaded(tmp_path, monkeypatch, ray_session):
    uris = []
    for number, color in enumerate(COLORS):
        file = tmp_path / f"{number}.png"
        file.write_bytes(b"no picture" if number == 2 else png(color))
        uris.append(str(file))
    rows = pa.table({"object_id": [f"w{number}" for number in range(10)], "image_uri": uris})
    data = Location.parse(tmp_path)
    monkeypatch.setattr(shards, "_FEW", 0)
    monkeypatch.setattr(shards, "_BLOCK_BYTES", 3 * SIDE**2 * 3)
    cache = ExampleCache(data / "cache")
    found = decode_examples(rows, cache, data=data, kind="pictures", size=SIDE, source="a")
    assert not any(isinstance(block, Shard) for block in found.blocks)
    assert np.array_equal(colors(found), COLORS[[0, 1, 3, 4, 5, 6, 7, 8, 9]])
    next((tmp_path / "cache").rglob("*.raw")).unlink()
    found = decode_examples(rows, ExampleCache(data / "cache", 0), data=data, kind="pictures", size=SIDE, source="a")
    assert all(isinstance(block, Shard) for block in found.blocks)
    assert np.array_equal(colors(found), COLORS[[0, 1, 3, 4, 5, 6, 7, 8, 9]])
