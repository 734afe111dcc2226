"""The fingerprints of a collection's pictures, kept beside its manifest, so that a picture is hashed only once.

`_fingerprints.parquet` holds a row for each picture that could be read: `image_uri`, `version` and `fingerprint` (see
`artray.collection.duplicates`). Pictures that are new or have changed are hashed in a pass over the cluster, which a
run that was interrupted takes up where it was.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.collection import storage
from artray.collection.decoding import DECODE_VERSION
from artray.collection.duplicates import FINGERPRINT_VERSION, fingerprint
from artray.collection.passes import run_pass
from artray.collection.pictures import View, read_pictures

FILE = "_fingerprints.parquet"
_WORK = "_fingerprinting"
_SETTINGS = {"fingerprint_version": FINGERPRINT_VERSION, "decode_version": DECODE_VERSION, "size": 224}
_METADATA_KEY = b"artray"
_WORDS = 4


def read_fingerprints(table: pa.Table, out: str) -> npt.NDArray[np.uint64]:
    """The fingerprint of each picture.

    Args:
        table: The manifest's rows: `object_id`, `image_uri`, `size` (null: no picture), `version`.
        out: URI of the manifest's folder.

    Returns:
        Shape (n, 4), as `near_duplicate_groups` takes it; zeros, which are alike to none, where a picture is flat or
        can't be read.

    Raises:
        InputError: `out` can't be written.
    """
    known = _known(out)
    there = table.filter(pc.is_valid(table["size"])).select(["object_id", "image_uri", "version"])
    new = there.filter(pa.array([key not in known for key in _keys(there)], pa.bool_()))
    if len(new):
        known |= _hashed(new, out)
    keys = [key for key in _keys(there) if key in known]
    found = np.array([known[key] for key in keys], np.uint64).reshape(-1, _WORDS)
    columns = {
        "image_uri": pa.array([uri for uri, _ in keys], pa.string()),
        "version": pa.array([version for _, version in keys], pa.string()),
        "fingerprint": storage.list_column(found),
    }
    stored = pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(_SETTINGS)})
    storage.write_table(storage.join(out, FILE), stored)
    storage.remove(storage.join(out, _WORK))

    none = np.zeros(_WORDS, np.uint64)
    return np.array([known.get(key, none) for key in _keys(table)], np.uint64).reshape(-1, _WORDS)


_Key = tuple[str, str | None]


def _keys(table: pa.Table) -> list[_Key]:
    return list(zip(table["image_uri"].to_pylist(), table["version"].to_pylist(), strict=True))


def _known(out: str) -> dict[_Key, npt.NDArray[np.uint64]]:
    """The fingerprints of earlier runs; those made in another way can't be compared."""
    uri = storage.join(out, FILE)
    if not storage.exists(uri):
        return {}
    table = storage.dataset(uri).to_table()
    if json.loads((table.schema.metadata or {}).get(_METADATA_KEY, b"{}")) != _SETTINGS:
        return {}
    return _by_key(table)


def _by_key(table: pa.Table) -> dict[_Key, npt.NDArray[np.uint64]]:
    words = storage.stack_lists(table["fingerprint"], "fingerprint", _WORDS)
    return dict(zip(_keys(table), words, strict=True))


def _hashed(pictures: pa.Table, out: str) -> dict[_Key, npt.NDArray[np.uint64]]:
    listing = storage.join(out, _WORK, "pictures.parquet")
    # The pass goes on where it was if its list of pictures is the same file.
    if not storage.exists(listing) or not storage.dataset(listing).to_table().equals(pictures):
        storage.write_table(listing, pictures)
    parts = storage.join(out, _WORK, "parts")
    run_pass("fingerprints", listing, parts, _FingerprintWorker, _SETTINGS, overwrite=True)
    table = storage.dataset(parts).to_table(columns=["image_uri", "version", "status", "fingerprint"])
    return _by_key(table.filter(pc.equal(table["status"], "ok")))


class _FingerprintWorker:
    def __init__(self, size: int, **versions: int):
        self._view = View(size)

    def __call__(self, rows: pa.Table) -> pa.Table:
        tables = []
        for pictures in read_pictures(rows, [self._view]):
            images = pictures.images[self._view]
            words = fingerprint(np.stack(images)) if images else np.empty((0, _WORDS), np.uint64)
            table = pictures.rows.append_column("status", pictures.state["status"])
            tables.append(table.append_column("fingerprint", pictures.spread(storage.list_column(words))))
        return pa.concat_tables(tables)
