"""Which hashes of earlier runs are kept, and where."""

import json

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from artray.images.decoding import DECODE_VERSION, USABLE_VERSIONS
from artray.images.perceptual_hash import HASH_VERSION
from artray.ingest import perceptual_hashes
from artray.ingest.perceptual_hashes import read_perceptual_hashes
from artray.storage import Location, list_column

ROWS = pa.table(
    {
        "object_id": ["a", "b", "c"],
        "image_uri": ["/a.jpg", "/b.jpg", "/c.jpg"],
        "size": pa.array([3, 4, None], pa.int64()),
        "version": ["mtime:1.000000 size:3", "mtime:2.000000 size:4", None],
    }
)


@pytest.fixture
def hashed(monkeypatch):
    """The pictures that are hashed, run by run."""
    asked = []

    def hash_them(pictures, out):
        asked.append(pictures["object_id"].to_pylist())
        keys = perceptual_hashes._keys(pictures)
        return {key: np.full(4, ord(key[0][1]), np.uint64) for key in keys}

    monkeypatch.setattr(perceptual_hashes, "_hashed", hash_them)
    return asked


def test_each_picture_is_hashed_once_and_no_reader_of_the_manifest_sees_it(tmp_path, hashed):
    out = Location.parse(tmp_path)
    (out / "manifest.parquet").write_table(ROWS)
    first = read_perceptual_hashes(ROWS, out)
    assert first.tolist() == [[97] * 4, [98] * 4, [0] * 4]
    assert read_perceptual_hashes(ROWS, out).tolist() == first.tolist()
    assert hashed == [["a", "b"]]
    for pattern in ("*.parquet", "**/*.parquet"):
        assert duckdb.sql(f"select count(*) from read_parquet('{tmp_path}/{pattern}')").fetchall() == [(3,)]
    assert len(out.dataset().to_table()) == 3


def test_the_file_of_an_earlier_release_is_read_and_gone(tmp_path, hashed):
    out = Location.parse(tmp_path)
    read_perceptual_hashes(ROWS, out)
    table = (out / perceptual_hashes.FOLDER / perceptual_hashes.FILE).dataset().to_table()
    old = table.set_column(1, "version", pa.array(["mtime:1.000000", "mtime:9.000000"]))  # which said no size
    (out / "_fingerprints.parquet").write_table(old)
    (out / perceptual_hashes.FOLDER / perceptual_hashes.FILE).remove()
    read_perceptual_hashes(ROWS, out)
    assert hashed == [["a", "b"], ["b"]]
    assert not (tmp_path / "_fingerprints.parquet").exists()


@pytest.mark.parametrize("version", [*sorted(USABLE_VERSIONS), DECODE_VERSION + 1])
def test_hashes_of_other_versions(tmp_path, monkeypatch, version):
    """Five million pictures are not read again for the few that are decoded otherwise."""
    words = np.arange(8, dtype=np.uint64).reshape(2, 4) + 1
    there = {"image_uri": ["a.jpg", "b.jpg"], "version": ["1", "1"]}
    settings = {"fingerprint_version": HASH_VERSION, "decode_version": version, "size": 224}
    stored = pa.table(there | {"fingerprint": list_column(words)})
    out = Location.parse(tmp_path)
    (out / perceptual_hashes.FOLDER / perceptual_hashes.FILE).write_table(
        stored.replace_schema_metadata({"artray": json.dumps(settings)})
    )
    asked = []
    monkeypatch.setattr(perceptual_hashes, "_hashed", lambda new, _: asked.extend(new["image_uri"].to_pylist()) or {})
    rows = pa.table(there | {"object_id": ["a", "b"], "size": [1, 1]})
    hashes = perceptual_hashes.read_perceptual_hashes(rows, out)
    if version in USABLE_VERSIONS:
        assert not asked
        assert hashes.tolist() == words.tolist()
    else:
        assert asked == ["a.jpg", "b.jpg"]
