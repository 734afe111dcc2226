"""The manifest, one row a picture: the only place where collections are listed and joined.

    object_id   the museum's number where a catalogue row names the picture, else the picture's path without suffix
    image_uri   where the picture lies
    size        its bytes; null where the catalogue names a picture that is not there
    version     etag, or modification time and size: changes when the picture does
    …           the catalogue's columns, as text, and what the pictures' paths say
    TASK        the label of each task, null where a row has none
    group       what a split must not divide: the artist or work, and near-duplicates with it
    split       train, validation or test: written here once, read by everybody
    fold        0..k-1 where folds were asked for, null in the test part
    change      since the previous manifest: new, changed (another version) or same

Ingesting a grown collection again keeps every object_id, and keeps the split of every group that had one. Where nothing
has changed the manifest is still the same one, though its column `change` now says so. The file's metadata hold by
which options the parts were dealt out: dealt by others, old groups and new ones would not go together.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from artray import console
from artray.catalogs.columns import IMAGE_SUFFIX
from artray.storage import RUN, SIZE_IN_VERSION, Location, dataset_digest, with_identity

FILE = "manifest.parquet"
RESERVED = frozenset(
    (
        "object_id", "image_uri", "size", "version", "group", "split", "fold", "change", "status", "error", "width",
        "height", "patch", "left", "top", "image", "palette_rgb", "palette_hsv", "palette_share", "brightness",
        "texture", "color_map", "embedding", "style_statistics", "objects",
    )
)  # fmt: skip
"""Columns that artray writes; a catalogue's column of such a name, or of one in `__`, is called `catalog_NAME`."""

_SPLIT_KEY = b"artray.split"

PLACE = pa.schema(
    [("object_id", pa.string()), ("image_uri", pa.string()), ("size", pa.int64()), ("version", pa.string())]
)
"""The manifest's first columns."""


@dataclass(frozen=True, slots=True)
class Previous:
    """What an earlier ingest into the same place decided; empty where there was none.

    `split_options` are those by which it dealt out the parts, by their flags; None: an earlier version did not say.
    """

    id_of_uri: dict[str, str] = field(default_factory=dict)
    version_of_uri: dict[str, str | None] = field(default_factory=dict)
    split_of_uri: dict[str, str] = field(default_factory=dict)
    split_of_id: dict[str, str] = field(default_factory=dict)
    split_options: dict[str, Any] | None = None

    @classmethod
    def read(cls, out: Location) -> Previous:
        """The manifest in a folder.

        Raises:
            InputError: What is there is no manifest.
        """
        uri = out / FILE
        if not uri.exists():
            return cls()
        dataset = uri.dataset()
        table = dataset.to_table(columns=["object_id", "image_uri", "size", "version", "split"])
        told = (dataset.schema.metadata or {}).get(_SPLIT_KEY)
        ids, uris, sizes, versions, splits = (column.to_pylist() for column in table.columns)
        versions = [_with_size(version, size) for version, size in zip(versions, sizes, strict=True)]
        return cls(
            dict(zip(uris, ids, strict=True)),
            dict(zip(uris, versions, strict=True)),
            dict(zip(uris, splits, strict=True)),
            dict(zip(ids, splits, strict=True)),
            json.loads(told) if told else None,
        )

    def without_split(self) -> Previous:
        """The same, with the parts forgotten."""
        return replace(self, split_of_uri={}, split_of_id={}, split_options=None)

    def splits(self, table: pa.Table) -> list[str | None]:
        """The part that each row had, found by its picture or else by its id (a picture may have moved)."""
        rows = zip(table["image_uri"].to_pylist(), table["object_id"].to_pylist(), strict=True)
        return [self.split_of_uri.get(uri) or self.split_of_id.get(object_id) for uri, object_id in rows]

    def changes(self, table: pa.Table) -> list[str]:
        """`new`, `changed` or `same` for each row."""
        before = self.version_of_uri
        return [
            "new" if uri not in before else "same" if before[uri] == version else "changed"
            for uri, version in zip(table["image_uri"].to_pylist(), table["version"].to_pylist(), strict=True)
        ]

    def gone(self, table: pa.Table) -> int:
        """How many rows there are no more."""
        return len(self.version_of_uri.keys() - set(table["image_uri"].to_pylist()))


def _with_size(version: str | None, size: int | None) -> str | None:
    """A version as it is written today: those of 0.1 don't say a local file's size."""
    if version is None or not version.startswith("mtime:") or SIZE_IN_VERSION in version:
        return version
    return f"{version}{SIZE_IN_VERSION}{size}"


def write_manifest(out: Location, table: pa.Table, run: dict[str, Any]) -> None:
    """Write a manifest and its `_run.json`; what was made from the one before is made from this one, if it is the same.

    Args:
        out: The manifest's folder.
        table: Its rows.
        run: What `_run.json` says.

    Raises:
        InputError: `out` can't be written.
    """
    file = out / FILE
    identity = dataset_digest(file.dataset()) if _is_same(file, table) else None
    file.write_table(table)
    if identity is not None:
        console.say("nothing has changed since the last ingest")
        run = with_identity(run, file.dataset(), identity)
    (out / RUN).write_json(run)


def _is_same(file: Location, table: pa.Table) -> bool:
    """Whether a file is this manifest already, but for its column `change`."""
    if not file.exists():
        return False
    dataset = file.dataset()
    if not dataset.schema.equals(table.schema) or dataset.schema.metadata != table.schema.metadata:
        return False
    # One by one: two manifests of millions of rows need not be in memory together.
    return all(
        dataset.to_table(columns=[name])[name].equals(table[name]) for name in table.column_names if name != "change"
    )


def with_split_options(table: pa.Table, options: Mapping[str, Any]) -> pa.Table:
    """A manifest that says by which options its parts were dealt out; see `Previous`."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _SPLIT_KEY: json.dumps(options)})


def free_name(name: str, taken: Container[str], tasks: Container[str]) -> str:
    """What a column of the catalogue is called in the manifest.

    Args:
        name: In the catalogue.
        taken: The manifest's columns so far.
        tasks: Names kept for the tasks' labels.
    """
    # Arrow knows columns `__…` of its own, and pandas `__index_level_0__`.
    free = f"catalog_{name}" if name in RESERVED or name in tasks or name.startswith("__") else name
    while free in taken:
        free += "_2"
    return free


def make_room(rows: pa.Table, written: Sequence[str]) -> pa.Table:
    """A manifest's rows without the names of the columns that a job writes beside them.

    Ingest keeps these names free; a manifest that others have made may have such columns, which are then called
    `catalog_NAME`.

    Args:
        rows: Of the manifest.
        written: The job's columns.
    """
    names = list(rows.column_names)
    for index, name in enumerate(names):
        if name in written or name.startswith("__"):
            names[index] = free_name(name, {*names, *written}, {name})
    return rows.rename_columns(names)


def make_ids(paths: Sequence[str], own_ids: Sequence[str | None], earlier: Sequence[str | None]) -> pa.Array:
    """An id for every picture, none twice.

    The record's number, with the file's name where a record has several pictures; where there is no record, the path
    without suffix, or with it where that is taken. A picture keeps the id that it had, unless that is not from its
    record's number.

    Args:
        paths: Of the pictures, each once.
        own_ids: Their records' numbers.
        earlier: The ids they had in the previous manifest.
    """
    kept = [
        old if old and (item is None or old == item or old.startswith((f"{item}/", f"{item}#"))) else None
        for old, item in zip(earlier, own_ids, strict=True)
    ]
    stems = [re.sub(IMAGE_SUFFIX, "", path) for path in paths]
    number = Counter(item for item in own_ids if item is not None)
    first = [
        stem if item is None else item if number[item] == 1 else f"{item}/{stem.rsplit('/', 1)[-1]}"
        for item, stem in zip(own_ids, stems, strict=True)
    ]
    named = Counter(first)
    taken = {old for old in kept if old}
    ids = []
    for old, number_or_stem, item, path in zip(kept, first, own_ids, paths, strict=True):
        name = old or number_or_stem
        if not old and (named[name] > 1 or name in taken):
            name = path if item is None else f"{name}#{path}"
            while name in taken or name in named:
                name += "#"
        taken.add(name)
        ids.append(name)
    return pa.array(ids, pa.string())


def works(ids: Sequence[str], records: Sequence[int | None]) -> list[str]:
    """Each picture's work: its id, or for pictures of one record the first of their ids.

    Args:
        ids: Of the pictures.
        records: Their rows in the catalogue.
    """
    first: dict[int, str] = {}
    for object_id, record in zip(ids, records, strict=True):
        if record is not None:
            first[record] = min(object_id, first.get(record, object_id))
    return [object_id if record is None else first[record] for object_id, record in zip(ids, records, strict=True)]
