"""Which hashes of earlier runs are kept."""

import json

import numpy as np
import pyarrow as pa
import pytest

from artray.images.decoding import DECODE_VERSION, USABLE_VERSIONS
from artray.images.perceptual_hash import HASH_VERSION
from artray.ingest import perceptual_hashes
from artray.storage import Location, list_column


@pytest.mark.parametrize("version", [*sorted(USABLE_VERSIONS), DECODE_VERSION + 1])
def test_hashes_of_other_versions(tmp_path, monkeypatch, version):
    """Five million pictures are not read again for the few that are decoded otherwise."""
    words = np.arange(8, dtype=np.uint64).reshape(2, 4) + 1
    there = {"image_uri": ["a.jpg", "b.jpg"], "version": ["1", "1"]}
    settings = {"fingerprint_version": HASH_VERSION, "decode_version": version, "size": 224}
    stored = pa.table(there | {"fingerprint": list_column(words)})
    out = Location.parse(tmp_path)
    (out / perceptual_hashes.FILE).write_table(stored.replace_schema_metadata({"artray": json.dumps(settings)}))
    asked = []
    monkeypatch.setattr(perceptual_hashes, "_hashed", lambda new, _: asked.extend(new["image_uri"].to_pylist()) or {})
    rows = pa.table(there | {"object_id": ["a", "b"], "size": [1, 1]})
    hashes = perceptual_hashes.read_perceptual_hashes(rows, out)
    if version in USABLE_VERSIONS:
        assert not asked
        assert hashes.tolist() == words.tolist()
    else:
        assert asked == ["a.jpg", "b.jpg"]
