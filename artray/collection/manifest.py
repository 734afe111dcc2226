"""Station 1: the manifest, one row a picture; the only place where collections are listed and joined.

    object_id   the museum's number where a catalogue row names the picture, else the picture's path without suffix
    image_uri   where the picture lies
    size        its bytes; null where the catalogue names a picture that is not there
    version     etag, or modification time: changes when the picture does
    …           the catalogue's columns, as text
    group       what a split must not divide: the artist or work, and near-duplicates with it
    split       train, validation or test: written here once, read by everybody

Ingesting a grown collection again keeps every object_id, and keeps the split of every group that had one.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from artray import console
from artray.collection import storage
from artray.collection.catalog import read_catalog
from artray.collection.columns import IMAGE_SUFFIX, Mapping, guess_mapping, parse_mapping, ready_mapping, ready_mappings
from artray.collection.matching import Match, match
from artray.collection.splits import PARTS, assign_splits, merge_groups, split_notes
from artray.errors import InputError
from artray.job import Counts, Options

FILE = "manifest.parquet"
RESERVED = frozenset(
    (
        "object_id", "image_uri", "size", "version", "group", "split", "status", "error", "width", "height",
        "patch", "left", "top", "image", "palette_rgb", "palette_hsv", "palette_share", "brightness", "texture",
        "color_map", "embedding", "style_statistics", "objects",
    )
)  # fmt: skip
"""Columns that artray writes; a catalogue's column of such a name is called `catalog_NAME`."""

_UNREADABLE_SUFFIX = r"(?i)\.(heic|heif|jxl|psd|psb|svg|dng|cr2|cr3|nef|arw|raf|exr|djvu|eps)$"
_NOT_UTF8 = re.compile("[\ud800-\udfff]")  # how Python shows bytes of a file's name that are not UTF-8
_TABLE = pa.schema(
    [("object_id", pa.string()), ("image_uri", pa.string()), ("size", pa.int64()), ("version", pa.string())]
)


class IngestOptions(Options):
    """List the pictures of a collection, join its catalogue, write the manifest."""

    images: str = Field(description="folder or s3:// prefix with the pictures", examples=["URI"])
    catalog: str | None = Field(None, description="CSV, TSV, XLSX, JSON, JSON lines or Parquet", examples=["FILE"])
    out: str = Field(description="folder or s3:// prefix for the manifest", examples=["URI"])
    mapping: str | None = Field(
        None, description="a YAML file, or a ready one's name; default: found from the columns", examples=["NAME|FILE"]
    )
    id_column: str | None = Field(None, description="the column with the works' numbers", examples=["COLUMN"])
    file_column: str | None = Field(None, description="the column with the pictures' names", examples=["COLUMN"])
    url_column: str | None = Field(None, description="the column with the pictures' addresses", examples=["COLUMN"])
    label: dict[str, str] = Field({}, description="the column of a task's labels", examples=["TASK=COLUMN"])
    split_by: list[str] = Field(
        [], description="columns whose values a split must not divide; default: artist, else work", examples=["COLUMN"]
    )
    split: dict[str, float] = Field(
        {"train": 0.6, "validation": 0.2, "test": 0.2}, description="share of each part", examples=["PART=SHARE"]
    )
    seed: int = Field(0, ge=0, description="other seeds give other splits")

    @field_validator("split")
    @classmethod
    def _parts(cls, split: dict[str, float]) -> dict[str, float]:
        if set(split) != set(PARTS) or min(split.values()) < 0 or sum(split.values()) <= 0:
            raise ValueError("must give train, validation and test a share, like train=0.6 validation=0.2 test=0.2")
        return split


def ingest(options: IngestOptions) -> Counts:
    """Write the manifest of a collection.

    Raises:
        InputError: There are no pictures, the catalogue or a column of it can't be used, or `out` can't be written.
    """
    storage.ensure_writable(options.out)
    console.say(f"listing {options.images}")
    pictures, others = _list_pictures(options.images)
    if others:
        console.say(f"not pictures, left out: {sum(others.values())} ({_examples(others)})")
    previous = _previous(options.out)
    if options.catalog:
        table, mapping, joined, records = _joined(options, pictures, previous)
    else:
        table, mapping, joined, records = _alone(options, pictures, previous), Mapping(), {}, [None] * len(pictures)
    table = _with_split(table, options, mapping, records, previous)
    changes = _changes(table, previous)
    storage.write_table(storage.join(options.out, FILE), table)
    counts: Counts = {
        "rows": len(table),
        "ok": table["size"].length() - table["size"].null_count,
        "failed": table["size"].null_count,
        "out": storage.normalize(options.out),
        **joined,
        **changes,
        "split": dict(Counter(table["split"].to_pylist())),
    }
    storage.write_bytes(storage.join(options.out, "_run.json"), json.dumps({"counts": counts}, indent=1).encode())
    console.table("manifest", ["what", "number"], [(n, v) for n, v in counts.items() if isinstance(v, int)])
    return counts


def _list_pictures(images: str) -> tuple[pa.Table, Counter[str]]:
    """Pictures (path, size, version), and how many other files there are by suffix.

    What counts is the name: whether a file is a picture is seen when it is read, and then it is a row with a status.
    """
    root = storage.normalize(images)
    paths, sizes, versions = [], [], []
    others: Counter[str] = Counter()
    unwritable: list[str] = []
    picture = re.compile(f"{IMAGE_SUFFIX}|{_UNREADABLE_SUFFIX.removeprefix('(?i)')}")
    for info in storage.list_files(root):
        path = info.uri[len(root) :].lstrip("/")
        if _NOT_UTF8.search(path):
            unwritable.append(path)
        elif picture.search(path):
            paths.append(path)
            sizes.append(info.size)
            versions.append(info.version)
        else:
            others["." + path.rsplit(".", 1)[-1] if "." in path.rsplit("/", 1)[-1] else "no suffix"] += 1
    if unwritable:  # Parquet's strings are UTF-8: such a name can stand in no table
        console.say(f"left out, names that are not UTF-8: {len(unwritable)} ({unwritable[0]!a}); rename them")
    if not paths:
        found = f"; it holds {sum(others.values())} other files ({_examples(others)})" if others else ""
        raise InputError(f"{images}: no pictures there{found}")
    return pa.table({"path": paths, "size": sizes, "version": versions}), others


def _examples(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.most_common(5))


def _alone(options: IngestOptions, pictures: pa.Table, previous: _Previous | None) -> pa.Table:
    """The manifest's first columns without a catalogue."""
    paths = pictures["path"].to_pylist()
    place = _place(options, pictures)
    ids = _ids(paths, [None] * len(paths), _earlier_ids(place[0], previous))
    return pa.table([ids, *place], schema=_TABLE)


def _place(options: IngestOptions, pictures: pa.Table) -> list[Any]:
    root = storage.normalize(options.images)
    uris = [storage.join(root, path) for path in pictures["path"].to_pylist()]
    return [pa.array(uris), pictures["size"].combine_chunks(), pictures["version"].combine_chunks()]


def _joined(
    options: IngestOptions, pictures: pa.Table, previous: _Previous | None
) -> tuple[pa.Table, Mapping, dict[str, Any], list[int | None]]:
    """Pictures with their catalogue rows, and rows for pictures that the catalogue names but that are not there.

    Returns:
        The manifest's columns but the last two, the mapping, the counts, and each picture's row in the catalogue.
    """
    assert options.catalog is not None
    data = storage.read_bytes(storage.normalize(options.catalog))
    catalog = read_catalog(io.BytesIO(data), options.catalog)
    console.say(f"catalogue: {len(catalog.table):,} rows, {catalog.form}")
    for problem in catalog.problems:
        console.say(f"catalogue: {problem}")
    mapping = _mapping(options, catalog.table)
    found = match(pictures, catalog.table, mapping)
    for line in found.report.lines():
        console.say(line)
    absent = _absent(found, mapping)
    rows = pa.concat_arrays([found.table["row"].combine_chunks(), absent["row"].combine_chunks()])
    own: Sequence[str | None] = [None] * len(rows)
    if mapping.object_id and mapping.object_id in catalog.table.column_names:
        own = catalog.table[mapping.object_id].take(rows).to_pylist()
    paths = [*pictures["path"].to_pylist(), *absent["value"].to_pylist()]
    first = pa.table([pa.nulls(len(pictures), pa.string()), *_place(options, pictures)], schema=_TABLE)
    uris = [storage.join(storage.normalize(options.images), value) for value in absent["value"].to_pylist()]
    second = pa.table(
        [
            pa.nulls(len(uris), pa.string()),
            pa.array(uris, pa.string()),
            pa.nulls(len(uris), pa.int64()),
            pa.nulls(len(uris), pa.string()),
        ],
        schema=_TABLE,
    )
    table = pa.concat_tables([first, second])
    table = table.set_column(0, "object_id", _ids(paths, own, _earlier_ids(table["image_uri"], previous)))
    for name, column in _catalog_columns(catalog.table, mapping).items():
        table = table.append_column(name, column.take(rows))
    path_names = [name for name in found.table.column_names if name not in ("path", "size", "version", "row", "method")]
    for name in path_names:
        values = pa.concat_arrays([found.table[name].combine_chunks(), pa.nulls(len(uris), pa.string())])
        table = table.append_column(_free(name, table.column_names), values)
    joined = {
        "catalog_rows": len(catalog.table),
        "matched": found.report.pictures_matched,
        "without_record": found.report.pictures - found.report.pictures_matched,
        "without_picture": found.report.rows - found.report.rows_matched,
    }
    return table, mapping, joined, rows.to_pylist()


def _mapping(options: IngestOptions, table: pa.Table) -> Mapping:
    if options.mapping is None:
        guess = guess_mapping(table)
        mapping = guess.mapping
        for reason in guess.reasons:
            console.say(f"guessed: {reason}")
    elif options.mapping in ready_mappings() or not options.mapping.endswith((".yaml", ".yml")):
        mapping = ready_mapping(options.mapping)
    else:
        mapping = parse_mapping(storage.read_bytes(storage.normalize(options.mapping)).decode(), options.mapping)
    given = {"object_id": options.id_column, "file": options.file_column, "url": options.url_column}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value}
    if options.label:
        changes["labels"] = options.label
    return mapping.model_copy(update=changes)


def _absent(found: Match, mapping: Mapping) -> pa.Table:
    """Rows whose file column names a picture that is not there: they stay, to be seen as `missing`.

    A number or an address that fits no file names no place in the collection, so such rows are only counted. Of
    several rows that name one picture the first stays: the manifest has one row a picture.
    """
    by_file = found.missing.filter(pc.equal(found.missing["column"], mapping.file or ""))
    first = {value: row for row, value in reversed(list(enumerate(by_file["value"].to_pylist())))}
    return by_file.take(pa.array(sorted(first.values()), pa.int64()))


def _catalog_columns(catalog: pa.Table, mapping: Mapping) -> dict[str, pa.Array]:
    columns: dict[str, pa.Array] = {}
    for name in catalog.column_names:
        if name != mapping.object_id:
            columns[_free(name, columns)] = catalog[name].combine_chunks()
    return columns


def _free(name: str, taken: Any) -> str:
    free = f"catalog_{name}" if name in RESERVED else name
    while free in taken:
        free += "_2"
    return free


def _earlier_ids(uris: pa.Array | pa.ChunkedArray, previous: _Previous | None) -> list[str | None]:
    known = previous.id_of_uri if previous else {}
    return [known.get(uri) for uri in uris.to_pylist()]


def _ids(paths: Sequence[str], own: Sequence[str | None], earlier: Sequence[str | None]) -> pa.Array:
    """An id for every picture, none twice.

    The record's number, with the file's name where a record has several pictures; where there is no record, the path
    without suffix, or with it where that is taken. A picture keeps the id that it had, unless that is not from its
    record's number.

    Args:
        paths: Of the pictures, each once.
        own: Their records' numbers.
        earlier: The ids they had in the previous manifest.
    """
    kept = [
        old if old and (item is None or old == item or old.startswith((f"{item}/", f"{item}#"))) else None
        for old, item in zip(earlier, own, strict=True)
    ]
    stems = [re.sub(IMAGE_SUFFIX, "", path) for path in paths]
    number = Counter(item for item in own if item is not None)
    first = [
        stem if item is None else item if number[item] == 1 else f"{item}/{stem.rsplit('/', 1)[-1]}"
        for item, stem in zip(own, stems, strict=True)
    ]
    named = Counter(first)
    taken = {old for old in kept if old}
    ids = []
    for old, number_or_stem, item, path in zip(kept, first, own, paths, strict=True):
        name = old or number_or_stem
        if not old and (named[name] > 1 or name in taken):
            name = path if item is None else f"{name}#{path}"
            while name in taken or name in named:
                name += "#"
        taken.add(name)
        ids.append(name)
    return pa.array(ids, pa.string())


@dataclass(frozen=True)
class _Previous:
    """What an earlier ingest into the same place decided."""

    id_of_uri: dict[str, str]
    split_of_id: dict[str, str]
    version_of_uri: dict[str, str | None]


def _previous(out: str) -> _Previous | None:
    uri = storage.join(out, FILE)
    if not storage.exists(uri):
        return None
    table = storage.dataset(uri).to_table(columns=["object_id", "image_uri", "version", "split"])
    return _Previous(
        dict(zip(table["image_uri"].to_pylist(), table["object_id"].to_pylist(), strict=True)),
        dict(zip(table["object_id"].to_pylist(), table["split"].to_pylist(), strict=True)),
        dict(zip(table["image_uri"].to_pylist(), table["version"].to_pylist(), strict=True)),
    )


def _with_split(
    table: pa.Table,
    options: IngestOptions,
    mapping: Mapping,
    records: Sequence[int | None],
    previous: _Previous | None,
) -> pa.Table:
    names = table.column_names

    def written(name: str) -> str:
        """What a column of the catalogue is called in the manifest."""
        return f"catalog_{name}" if name in RESERVED and f"catalog_{name}" in names else name

    by = options.split_by or [name for name in (mapping.artist or mapping.artwork,) if name]
    by = [written(name) for name in by]
    for name in by:
        if name not in names:
            raise InputError(f"--split-by {name}: the manifest has no such column (it has {', '.join(names)})")
    ids = table["object_id"].to_pylist()
    # Where rows of the catalogue are makers and not works, pictures of one row are still works of their own.
    works = ids if mapping.folder else _works(ids, records)
    # A work without an artist is a group of its own.
    columns = [[value or work for value, work in zip(table[name].to_pylist(), works, strict=True)] for name in by]
    groups = merge_groups(*columns) if columns else works
    label = next(map(written, mapping.labels.values()), None)
    labels = table[label].to_pylist() if label in names else [None] * len(ids)
    kept = [previous.split_of_id.get(object_id) for object_id in ids] if previous else None
    split = assign_splits(groups, labels, fractions=options.split, seed=options.seed, previous=kept)
    for note in split_notes(groups, labels, split, kept):
        console.say(f"split: {note}")
    table = table.append_column("group", pa.array(groups, pa.string()))
    return table.append_column("split", pa.array(split, pa.string()))


def _works(ids: Sequence[str], records: Sequence[int | None]) -> list[str]:
    """Each picture's work: its id, or for pictures of one record the first of their ids."""
    first: dict[int, str] = {}
    for object_id, record in zip(ids, records, strict=True):
        if record is not None:
            first[record] = min(object_id, first.get(record, object_id))
    return [object_id if record is None else first[record] for object_id, record in zip(ids, records, strict=True)]


def _changes(table: pa.Table, previous: _Previous | None) -> dict[str, int]:
    if previous is None:
        return {}
    before = previous.version_of_uri
    now = dict(zip(table["image_uri"].to_pylist(), table["version"].to_pylist(), strict=True))
    return {
        "new": sum(uri not in before for uri in now),
        "changed": sum(uri in before and before[uri] != version for uri, version in now.items()),
        "gone": sum(uri not in now for uri in before),
    }
