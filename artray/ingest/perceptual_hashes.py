"""The perceptual hashes of a collection's pictures, kept beside its manifest, so that a picture is hashed only once.

`_fingerprints/hashes.pq`, a Parquet file that no `*.parquet` finds, holds a row for each picture that could be read:
`image_uri`, `version` and `fingerprint` (see `artray.images.perceptual_hash`). Pictures that are new or have changed
are hashed in a pass over the cluster, which a run that was interrupted takes up where it was.
"""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray import console
from artray.errors import count_of, first_of
from artray.images.decoding import DECODE_VERSION, USABLE_VERSIONS
from artray.images.perceptual_hash import HASH_VERSION, perceptual_hash
from artray.images.pictures import DecodeSize, read_pictures
from artray.storage import PASS_FILES, SIZE_IN_VERSION, Location, list_column, remove_scratch, stack_lists
from artray.storage.passes import run_pass

FOLDER = "_fingerprints"
FILE = "hashes.pq"
_OLD_FILE = "_fingerprints.parquet"  # of 0.1: beside the manifest, where DuckDB's `*.parquet` finds it
_WORK = "_fingerprinting"
_TODAY = {"decode_version": DECODE_VERSION}
_SETTINGS = {"fingerprint_version": HASH_VERSION, "size": 224, **_TODAY}
_METADATA_KEY = b"artray"
_WORDS = 4
_NAMED = 5  # pictures that can't be read


def read_perceptual_hashes(table: pa.Table, out: Location) -> npt.NDArray[np.uint64]:
    """The perceptual hash of each picture.

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
    _with_sizes(known, table)
    there = table.filter(pc.is_valid(table["size"])).select(["object_id", "image_uri", "version"])
    wanted = _keys(there)
    new = there.filter(pa.array([key not in known for key in wanted], pa.bool_()))
    if len(new):
        known |= _hashed(new, out)
    keys = [key for key in wanted if key in known]
    if len(keys) < len(wanted):
        readable = pa.array([key in known for key in wanted], pa.bool_())
        _say_unread(there["object_id"].filter(pc.invert(readable)).to_pylist())
    hashes = np.array([known[key] for key in keys], np.uint64).reshape(-1, _WORDS)
    columns = {
        "image_uri": pa.array([uri for uri, _ in keys], pa.string()),
        "version": pa.array([version for _, version in keys], pa.string()),
        "fingerprint": list_column(hashes),
    }
    stored = pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(_SETTINGS)})
    (out / FOLDER / FILE).write_table(stored)
    (out / _OLD_FILE).remove()
    remove_scratch(out / _WORK, (r"pictures\.parquet", *(f"parts/{name}" for name in PASS_FILES)))

    none = np.zeros(_WORDS, np.uint64)
    return np.array([known.get(key, none) for key in _keys(table)], np.uint64).reshape(-1, _WORDS)


def _say_unread(names: list[str]) -> None:
    console.say(
        f"can't be read: {count_of(len(names), 'picture')} ({first_of(names, _NAMED)}), listed all the same; "
        "extract-features and label-catalog give the status"
    )


_Key = tuple[str, str | None]


def _keys(table: pa.Table) -> list[_Key]:
    return list(zip(table["image_uri"].to_pylist(), table["version"].to_pylist(), strict=True))


def _with_sizes(known: dict[_Key, npt.NDArray[np.uint64]], pictures: pa.Table) -> None:
    """Find hashes by today's versions too: those of 0.1 don't say the file's size."""
    for uri, version in _keys(pictures):
        time = (uri, (version or "").partition(SIZE_IN_VERSION)[0])
        if time in known:
            known.setdefault((uri, version), known[time])


def _known(out: Location) -> dict[_Key, npt.NDArray[np.uint64]]:
    """The hashes of earlier runs; those made in another way can't be compared."""
    uri = next((file for file in (out / FOLDER / FILE, out / _OLD_FILE) if file.exists()), None)
    if uri is None:
        return {}
    table = uri.dataset().to_table()
    settings = json.loads((table.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
    if settings.get("decode_version") not in USABLE_VERSIONS or settings | _TODAY != _SETTINGS:
        return {}
    return _by_key(table)


def _by_key(table: pa.Table) -> dict[_Key, npt.NDArray[np.uint64]]:
    words = stack_lists(table["fingerprint"], "fingerprint", _WORDS)
    return dict(zip(_keys(table), words, strict=True))


def _hashed(pictures: pa.Table, out: Location) -> dict[_Key, npt.NDArray[np.uint64]]:
    listing = out / _WORK / "pictures.parquet"
    # The pass goes on where it was if its list of pictures is the same file.
    if not listing.exists() or not listing.dataset().to_table().equals(pictures):
        listing.write_table(pictures)
    pass_folder = out / _WORK / "parts"
    run_pass("hashes", listing, pass_folder, _Hasher, _SETTINGS, overwrite=True)
    table = pass_folder.dataset().to_table(columns=["image_uri", "version", "status", "fingerprint"])
    return _by_key(table.filter(pc.equal(table["status"], "ok")))


class _Hasher:
    def __init__(self, size: int, **versions: int):
        self._decode_size = DecodeSize(size)

    def __call__(self, rows: pa.Table) -> pa.Table:
        tables = []
        for pictures in read_pictures(rows, [self._decode_size]):
            images = pictures.images[self._decode_size]
            words = perceptual_hash(np.stack(images)) if images else np.empty((0, _WORDS), np.uint64)
            table = pictures.rows.append_column("status", pictures.state["status"])
            tables.append(table.append_column("fingerprint", pictures.spread(list_column(words))))
        return pa.concat_tables(tables)
