"""The page's thumbnails: files beside it, made on all CPUs, kept from one report to the next.

    OUT/thumbnails/8f/8f434346648f6b96.jpg   named after the object_id, which may hold what no file system takes
    OUT/thumbnails/index.parquet             which picture, in which version, each of them shows
    OUT/zoom/…                               likewise, larger, for the work's own view

A thumbnail is made anew when its picture has another address or version than the index says, and where no version is
known, always.
"""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from artray.images.decoding import DECODE_VERSION
from artray.images.encoding import jpeg
from artray.images.pictures import MAY_PASS, DecodeSize, read_pictures
from artray.labeling.plan import unchanged
from artray.storage import Location, digest, remove_written
from artray.storage.passes import run_pass

FOLDER = "thumbnails"
ZOOM_FOLDER = "zoom"
INDEX = "index.parquet"
_MANIFEST, _STAGING = "_pictures.parquet", "_thumbnails"
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{16,}\.jpg")
_COLUMNS = ["object_id", "image_uri", "version", "status", "thumbnail"]


def make_thumbnails(out: Path, pictures: pa.Table, size: int, folder: str = FOLDER) -> dict[str, str]:
    """Thumbnails of some pictures; those that are there and fresh are kept, those of other pictures removed.

    Args:
        out: The page's folder.
        pictures: `object_id`, `image_uri` and `version`, each object_id once.
        size: Long side in pixels.
        folder: In which they are.

    Returns:
        The thumbnails' paths relative to `out`, by object_id; works whose picture can't be read have none.
    """
    pictures = pictures.sort_by("object_id")
    index = _read_index(out, size, folder)
    fresh = unchanged(pictures, index)
    kept = index.take(pc.index_in(pictures["object_id"].filter(pa.array(fresh)), index["object_id"].combine_chunks()))
    new = pictures.filter(pa.array(~fresh))
    made = _make(out, new, size, folder) if len(new) else index.slice(0, 0)
    index = pa.concat_tables([kept, made])
    shown = index.filter(pc.is_valid(index["thumbnail"]))
    paths = dict(zip(shown["object_id"].to_pylist(), shown["thumbnail"].to_pylist(), strict=True))
    wanted = set(paths.values())
    for file in (out / folder).glob("??/*.jpg"):
        name = f"{file.parent.name}/{file.name}"
        if f"{folder}/{name}" not in wanted and _NAME.fullmatch(name):
            file.unlink()
    notes = {"size": str(size), "decode_version": str(DECODE_VERSION)}
    Location.parse(out / folder / INDEX).write_table(index.replace_schema_metadata(notes))
    for name in (_STAGING, _MANIFEST):
        Location.parse(out / name).remove()
    return paths


def remove_thumbnails(out: Path, folder: str) -> None:
    """Remove a folder's thumbnails, as a page without them does; what is not ours stays.

    Args:
        out: The page's folder.
        folder: In which they are.
    """
    remove_written(Location.parse(out / folder), [re.escape(INDEX), _NAME.pattern])


def _read_index(out: Path, size: int, folder: str) -> pa.Table:
    """What is there in this size, but for what may be better today, and for files that have been removed."""
    file = out / folder / INDEX
    if file.exists():
        index = pq.read_table(file, columns=_COLUMNS)
        notes = index.schema.metadata or {}
        if notes.get(b"size") == str(size).encode() and notes.get(b"decode_version") == str(DECODE_VERSION).encode():
            there = {str(path.relative_to(out)) for path in (out / folder).rglob("*.jpg")}
            good = [path is None or path in there for path in index["thumbnail"].to_pylist()]
            lasting = pc.invert(pc.is_in(index["status"], MAY_PASS))
            return index.filter(pc.and_(pa.array(good, pa.bool_()), lasting)).replace_schema_metadata()
    return pa.table({name: pa.array([], pa.string()) for name in _COLUMNS})


def _make(out: Path, pictures: pa.Table, size: int, folder: str) -> pa.Table:
    """Rows of the index for new thumbnails."""
    manifest, staging = Location.parse(out / _MANIFEST), Location.parse(out / _STAGING)
    if not manifest.exists() or not manifest.dataset().to_table().equals(pictures):  # else a run that died goes on
        manifest.write_table(pictures)
    arguments = {"size": size, "decode_version": DECODE_VERSION}
    run_pass("thumbnails", manifest, staging, _ThumbnailWorker, arguments, overwrite=True)
    schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
    made = []
    # Of these files few are read ahead: their pictures would fill the memory.
    for batch in staging.dataset().to_batches(batch_size=256, batch_readahead=1, fragment_readahead=2):
        rows = batch.to_pylist()
        for row in rows:
            content = row["thumbnail"]
            row["thumbnail"] = None
            if content is not None:
                # Folders of some hundred: some file systems, and people, are slow with more.
                name = digest(row["object_id"].encode())
                row["thumbnail"] = f"{folder}/{name[:2]}/{name}.jpg"
                Location.parse(out / row["thumbnail"]).write_bytes(content)
        made.append(pa.Table.from_pylist(rows, schema))
    return pa.concat_tables(made) if made else schema.empty_table()


class _ThumbnailWorker:
    def __init__(self, size: int, decode_version: int):
        self._decode_size = DecodeSize(size, "inside")

    def __call__(self, rows: pa.Table) -> pa.Table:
        tables = []
        for pictures in read_pictures(rows, [self._decode_size]):
            images = [jpeg(image, quality=75) for image in pictures.images[self._decode_size]]
            table = pictures.rows.append_column("status", pictures.state["status"])
            tables.append(table.append_column("thumbnail", pictures.spread(pa.array(images, pa.binary()))))
        return pa.concat_tables(tables)
