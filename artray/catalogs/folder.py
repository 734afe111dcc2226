"""A catalogue from its place: a file, or a folder of files that are one together."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from artray.catalogs.catalog import (
    JSON,
    MAX_BYTES,
    SUFFIXES,
    Catalog,
    Problem,
    Problems,
    Reading,
    as_catalog,
    read_bytes,
    refuse_foreign,
)
from artray.catalogs.cells import Raw
from artray.catalogs.encodings import Decoded, decode_text
from artray.catalogs.json_documents import Document, Repeated, documents
from artray.catalogs.json_records import records
from artray.errors import InputError, first_of
from artray.storage import Location, read_many
from artray.storage.faults import ReadError

_BATCH = 256  # files read at once


def load_catalog(location: Location, reading: Reading | None = None) -> Catalog:
    """Read a catalogue from its place: a file as by `read_catalog`, or a folder of JSON files or tables.

    Raises:
        InputError: It is not there, or can't be read as a catalogue.
    """
    reading = reading or Reading()
    if PurePosixPath(location.name).suffix.lower() in SUFFIXES or not _is_folder(location):
        _refuse_large(location, reading)
        return read_bytes(location.read_bytes(), str(location), reading)
    return _read_folder(location, reading)


def _refuse_large(location: Location, reading: Reading) -> None:
    """Refuse a file before it is in memory; one that is not there is left to whoever reads it."""
    fs, path = location.filesystem()
    limit = reading.max_bytes or MAX_BYTES
    if fs.exists(path) and (fs.size(path) or 0) > limit:
        raise InputError(f"{location}: larger than {limit:,} bytes: --max-catalog-mb raises the limit")


def _is_folder(location: Location) -> bool:
    fs, path = location.filesystem()
    return bool(fs.isdir(path))


def _read_folder(location: Location, reading: Reading) -> Catalog:
    """The records of all files below a folder, in the order of their names.

    Data sets for training have a `metadata.csv` (or .jsonl, .parquet) in each folder of pictures: these are read where
    there are some, or else JSON files, or else tables.
    """
    infos = [
        info
        for info in location.list_files()
        if PurePosixPath(info.uri).suffix.lower() in JSON | _TABLES
        and not PurePosixPath(info.uri).name.startswith("~$")  # beside a workbook that is open
    ]
    described = [info for info in infos if _DESCRIPTION.fullmatch(PurePosixPath(info.uri).name.lower())]
    jsons = [info for info in infos if PurePosixPath(info.uri).suffix.lower() in JSON]
    chosen = described or jsons or infos
    if not chosen:
        raise InputError(f"{location}: a folder as catalogue holds JSON files or tables, and there are none")
    limit = reading.max_bytes or MAX_BYTES
    if sum(info.size for info in chosen) > limit:
        raise InputError(f"{location}: its files are larger than {limit:,} bytes: --max-catalog-mb raises the limit")
    uris = [info.uri for info in chosen]
    read = _read_jsons(location, uris, reading) if chosen is jsons else _read_tables(location, uris, reading)
    others = [location.relative(info.uri) for info in infos if info.uri not in set(uris)]
    if not others:
        return read
    what = f"other tables there, not read ({first_of(others, 3)})"
    return replace(read, problems=(*read.problems, Problem(f"{what}: {len(others):,}", 0)))


_TABLES = frozenset((".csv", ".tsv", ".tab", ".xlsx", ".parquet"))
_DESCRIPTION = re.compile(r"metadata\.(csv|jsonl|parquet)")


def _read_jsons(location: Location, uris: Sequence[str], reading: Reading) -> Catalog:
    refuse_foreign(".json", str(location), reading)
    problems = Problems()
    read: list[Document] = []
    repeated = Repeated()
    broken: list[str] = []
    several = len({uri.rpartition("/")[0] for uri in uris}) > 1
    for uri, data in _files(uris):
        try:
            if isinstance(data, ReadError):
                raise InputError(str(data))
            decoded: Decoded = decode_text(data, reading.encoding)
            of_file = documents(decoded.text, repeated, by_line=not uri.lower().endswith(".json"))
        except InputError:
            broken.append(location.relative(uri))
            continue
        if len(of_file) == 1 and isinstance(of_file[0][1], dict) and _NAME not in of_file[0][1]:
            stem = re.sub(r"(?i)\.(json|jsonl|ndjson)$", "", uri.rpartition("/")[2])
            of_file = [(line, {**value, _NAME: stem}) for line, value in of_file if isinstance(value, dict)]
        if several:
            of_file = [
                (line, _with_folder(value, location.relative(uri.rpartition("/")[0]))) for line, value in of_file
            ]
        read += [(len(read) + number, value) for number, (_, value) in enumerate(of_file, 1)]
    if broken:
        what = f"files that are not JSON, left out ({first_of(broken, 3)})"
        problems(f"{what}: {len(broken):,}")
    repeated.tell(problems)
    if not read:
        raise InputError(f"{location}: none of its {len(uris):,} JSON files can be read")
    try:
        raw = records(read, f"{len(uris):,} JSON files", problems, reading.records)
        raw, told = _without_folders(raw, "" if several else location.relative(uris[0].rpartition("/")[0]))
        catalog = as_catalog(raw, problems)
    except InputError as error:
        raise InputError(f"{location}: {error}") from None
    kept = np.isin(raw.lines, catalog.lines)
    return replace(catalog, folders=pa.array(told, pa.string()).filter(pa.array(kept)))


_NAME = "record_file"  # a record's own file may be called as its picture
_FOLDER = "\0folder"  # in records as they go from their files to a table


def _with_folder(value: object, folder: str) -> object:
    """A document whose records say from which folder they are."""
    if isinstance(value, list):
        return [_with_folder(item, folder) if isinstance(item, dict) else item for item in value]
    return {**value, _FOLDER: folder} if isinstance(value, dict) else value


def _without_folders(raw: Raw, folder: str) -> tuple[Raw, list[str]]:
    """The records, numbered, and the folder of each; the given one where they don't say."""
    lines = np.arange(1, len(raw.lines) + 1)
    if _FOLDER not in raw.header:
        return replace(raw, lines=lines), [folder] * len(lines)
    column = list(raw.header).index(_FOLDER)
    told = [str(of_record or "") for of_record in raw.columns[column]]
    header, columns = ([*of[:column], *of[column + 1 :]] for of in (raw.header, raw.columns))
    return replace(raw, header=header, columns=columns, lines=lines), told


def _read_tables(location: Location, uris: Sequence[str], reading: Reading) -> Catalog:
    """Tables of the same works' columns, one below the other.

    Raises:
        InputError: One can't be read, or they have little in common.
    """
    catalogs: dict[str, Catalog] = {}
    for uri, data in _files(uris):
        if isinstance(data, ReadError):
            raise InputError(f"{uri}: {data}")
        catalogs[location.relative(uri)] = read_bytes(data, uri, reading)
    (first, one), *_ = catalogs.items()
    names = set(one.table.column_names)
    for name, other in catalogs.items():
        if 2 * len(names & set(other.table.column_names)) < min(len(names), other.table.num_columns):
            shown = (f"{n} ({', '.join(c.table.column_names[:4])}, …)" for n, c in ((first, one), (name, other)))
            raise InputError(f"{location}: its tables have other columns: {' and '.join(shown)}; give one as --catalog")
        names |= set(other.table.column_names)
    counts: dict[str, list[Problem]] = {}
    for name, catalog in catalogs.items():
        for problem in catalog.problems:
            counts.setdefault(problem.what, []).append(replace(problem, what=f"{name}: {problem.what}"))
    problems = [
        each[0] if len(each) == 1 else Problem(f"{what} (in {len(each):,} files)", sum(each.count for each in each))
        for what, each in counts.items()
    ]
    folders = [name.rpartition("/")[0] for name, catalog in catalogs.items() for _ in range(len(catalog.table))]
    return Catalog(
        pa.concat_tables([catalog.table for catalog in catalogs.values()], promote_options="default"),
        np.concatenate([catalog.lines for catalog in catalogs.values()]),
        f"{len(catalogs):,} files, the first: {one.form}" if len(catalogs) > 1 else f"{first}: {one.form}",
        tuple(problems),
        pa.array(folders, pa.string()),
    )


def _files(uris: Sequence[str]) -> Iterator[tuple[str, bytes | ReadError]]:
    for start in range(0, len(uris), _BATCH):
        batch = uris[start : start + _BATCH]
        yield from zip(batch, read_many(batch), strict=True)
