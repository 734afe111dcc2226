"""Features that an earlier run has computed: taken over by picture and settings, instead of computed again.

A table of another manifest, or with fewer features, is set aside below OUT/_kept while the new one is made. There each
row is found by its picture: what storage says of its content (an etag) or, where that is only a time and a size, its
address and those. What is promised: whatever process dies at whatever moment, the same command goes on, and no feature
of a picture that was set aside is computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from artray.errors import InputError
from artray.features.specs import Spec, columns_of, spec_key
from artray.images.pictures import MAY_PASS, STATE
from artray.storage import (
    PASS_FILES,
    PLAN,
    RUN,
    Location,
    dataset_digest,
    digest,
    keep_apart,
    refuse_other_job,
    remove_scratch,
)
from artray.storage.passes import plan_of

KEPT = "_kept"
_INDEX = "index.parquet"
_FILES = (r"index\.parquet", *(f"[0-9a-f]+/{name}" for name in PASS_FILES))
_READERS = 16  # parts read at once
_PICTURE = ("image_uri", "version")
_NOWHERE = -1


@dataclass(frozen=True)
class KeptRows:
    """Where some pictures' features are kept.

    Attributes:
        file: For each row in which of `parts`; -1: nowhere.
        row: And in which row of it.
    """

    file: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]


def set_aside(manifest: Location, out: Location, arguments: Mapping[str, Any], *, overwrite: bool) -> int | None:
    """Make room for a new feature table, and keep what it can take over from the one that is there.

    Args:
        manifest: Of the new table.
        out: Its place.
        arguments: Its settings: `features`, `decode_version`, and `files`, what is in the files that features name.
        overwrite: It may lack features that the one there has, or most of its works.

    Returns:
        How many of the manifest's pictures have kept features; None: nothing is kept.

    Raises:
        InputError: The one there is mostly of other works.
    """
    keep_apart(out, {}, {"--manifest": manifest}, rows=True)
    refuse_other_job(out, "features")
    dataset = manifest.dataset()
    if not {"object_id", "version", *_PICTURE} <= set(dataset.schema.names):
        return None
    plan = (out / PLAN).read_json() if (out / PLAN).exists() else {}
    settings = {"manifest": str(manifest), "fingerprint": dataset_digest(dataset), "arguments": dict(arguments)}
    if plan.get("chunks") and plan["settings"] != settings:
        if not (_is_usable(plan, arguments) and (overwrite or _is_whole(plan, arguments))):
            return None
        if not overwrite:
            _check_gone(out, manifest, plan)
        out.ensure_writable()
        _move(out, plan)
    if not (out / KEPT).exists():
        return None
    return _write_index(out / KEPT, manifest, arguments)


def clear(out: Location) -> None:
    """Remove what was set aside: the new table has all of it."""
    remove_scratch(out / KEPT, _FILES)


def _known(plan: Mapping[str, Any]) -> dict[str, Any]:
    return dict(plan["settings"]["arguments"])


def _is_usable(plan: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    known = _known(plan)
    same = {spec_key(spec) for spec in known.get("features", [])} & {spec_key(spec) for spec in arguments["features"]}
    files = arguments.get("files", {})
    others = [name for name, content in known.get("files", {}).items() if files.get(name, content) != content]
    return bool(same) and not others and known.get("decode_version") == arguments["decode_version"]


def _is_whole(plan: Mapping[str, Any], arguments: Mapping[str, Any]) -> bool:
    """Whether the new table has all that the old one has."""
    return {spec_key(spec) for spec in _known(plan)["features"]} <= {spec_key(spec) for spec in arguments["features"]}


def _check_gone(out: Location, manifest: Location, plan: Mapping[str, Any]) -> None:
    part_files = [out / chunk["part"] for chunk in plan["chunks"]]
    tables = [table for table in _read_all(part_files, ["object_id"]) if table is not None]
    if not tables:
        return
    ids = pa.concat_tables(tables)["object_id"]
    now = manifest.dataset().to_table(columns=["object_id"])["object_id"].combine_chunks()
    gone = len(ids) - (pc.sum(pc.is_in(ids, value_set=now)).as_py() or 0)
    if gone > len(ids) / 2:
        raise InputError(
            f"{out}: {gone:,} of its {len(ids):,} works are not in {manifest}; if it is the same collection, "
            "--overwrite replaces them, else give another --out"
        )


def _move(out: Location, plan: Mapping[str, Any]) -> None:
    """The table's parts to a folder of their own, that says first of what they are."""
    text = json.dumps(plan).encode()
    folder = out / KEPT / str(plan.get("id") or digest(text))
    (folder / PLAN).write_bytes(text)
    (out / RUN).remove()
    there = set(out.names())
    part_files = [chunk["part"] for chunk in plan["chunks"] if chunk["part"] in there]
    with ThreadPoolExecutor(_READERS) as pool:
        list(pool.map(lambda name: (out / name).move_to(folder / name), part_files))
    (out / PLAN).remove()


def _read_all(part_files: Sequence[Location], columns: Sequence[str]) -> list[pa.Table | None]:
    """Some columns of each part file; None: it is not there."""

    def read(part_file: Location) -> pa.Table | None:
        fs, path = part_file.arrow_filesystem()
        try:
            with fs.open_input_file(path) as source:
                return pq.read_table(source, columns=list(columns))
        except (FileNotFoundError, pa.ArrowInvalid):
            return None

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read, part_files))


def _write_index(kept: Location, manifest: Location, arguments: Mapping[str, Any]) -> int:
    """Where each picture's features are; and how many of a manifest's pictures have some."""
    plans = {name: (kept / name / PLAN).read_json() for name in kept.names() if (kept / name / PLAN).exists()}
    usable = [name for name, plan in plans.items() if _is_usable(plan, arguments)]
    wanted = {spec_key(spec) for spec in arguments["features"]}
    # Where a picture is in several, the one with most of what is wanted counts.
    usable.sort(key=lambda name: (-len(wanted & {spec_key(spec) for spec in _known(plans[name])["features"]}), name))
    names: list[str] = []
    columns: list[tuple[npt.NDArray[np.uint64], int, npt.NDArray[np.int64]]] = []
    for name in usable:
        whole = wanted <= {spec_key(spec) for spec in _known(plans[name])["features"]}
        part_files = [chunk["part"] for chunk in plans[name]["chunks"]]
        tables = _read_all([kept / name / part_file for part_file in part_files], [*_PICTURE, "status"])
        for part_file, table in zip(part_files, tables, strict=True):
            if table is None or plan_of(table.schema) != plans[name].get("id"):
                continue
            keys = _keys(table)
            status = table["status"]
            # Pictures that could not be read have no features, and are tried again where that may have passed.
            fixed = pc.invert(pc.is_in(status, value_set=MAY_PASS)) if whole else pc.equal(status, "ok")
            rows = np.flatnonzero((keys != 0) & np.asarray(fixed))
            columns.append((keys[rows], len(names), rows))
            names.append(f"{name}/{part_file}")
    none = np.zeros(0, np.int64)
    keys = np.concatenate([none.astype(np.uint64), *(each for each, _, _ in columns)])
    file = np.concatenate([none, *(np.full(len(each), number) for each, number, _ in columns)]).astype(np.int32)
    row = np.concatenate([none, *(each for _, _, each in columns)]).astype(np.int32)
    keys, first = np.unique(keys, return_index=True)
    about = {
        "parts": names,
        "features": {name: _known(plans[name])["features"] for name in usable},
    }
    index = pa.table({"key": keys, "part": file[first], "row": row[first]})
    (kept / _INDEX).write_table(index.replace_schema_metadata({"kept": json.dumps(about)}))
    pictures = manifest.dataset().to_table(columns=list(_PICTURE))
    return int(np.isin(_keys(pictures), keys).sum())


def _keys(table: pa.Table) -> npt.NDArray[np.uint64]:
    """A number for each picture's content; 0 where nothing is known of it."""
    return np.array([_key(*cells) for cells in zip(*(table[name].to_pylist() for name in _PICTURE), strict=True)], "u8")


def _key(uri: str | None, version: str | None) -> int:
    if not uri or not version:
        return 0
    return int.from_bytes(hashlib.blake2b(_identity(uri, version).encode(), digest_size=8).digest(), "little")


def _identity(uri: str, version: str) -> str:
    """Equal for pictures of the same content: an etag says so wherever it lies, a time and a size only of one file."""
    return f"{uri} {version}" if version.startswith("mtime:") else version


class KeptFeatures:
    """What was set aside, as the processes of a pass read it."""

    def __init__(self, location: Location, specs: Iterable[Spec]):
        """Nothing is read yet.

        Args:
            location: The folder.
            specs: What the new table has.
        """
        self._location = location
        self._specs = {spec_key(spec): spec for spec in specs}
        self._read = lru_cache(2)(self._read_file)  # rows of a chunk mostly lie in one, and the next ones in the next

    @cached_property
    def _index(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        key, file, row = (column.to_numpy() for column in self._table.columns)
        return key, file, row

    @cached_property
    def _table(self) -> pa.Table:
        fs, path = (self._location / _INDEX).arrow_filesystem()
        try:
            with fs.open_input_file(path) as source:
                return pq.read_table(source)
        except FileNotFoundError as error:
            raise InputError(f"{self._location}: was removed while it was read; run the same command again") from error

    @cached_property
    def _about(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._table.schema.metadata[b"kept"])
        return found

    def find(self, rows: pa.Table) -> KeptRows:
        """Where the features of some rows of a manifest are."""
        keys, file, row = self._index
        wanted = _keys(rows)
        if not len(keys):
            return KeptRows(np.full(len(wanted), _NOWHERE), np.zeros(len(wanted), np.int64))
        indices = np.searchsorted(keys, wanted)
        indices[indices == len(keys)] = 0
        is_kept = keys[indices] == wanted
        return KeptRows(np.where(is_kept, file[indices], _NOWHERE).astype(np.int64), row[indices].astype(np.int64))

    def specs(self, file: int) -> frozenset[str]:
        """Which of the wanted features a part file has, by `spec_key`."""
        name = self._about["parts"][file].partition("/")[0]
        return frozenset(self._specs.keys() & {spec_key(spec) for spec in self._about["features"][name]})

    def read(self, file: int, rows: npt.NDArray[np.int64]) -> pa.Table:
        """Some rows of a part file: a picture's state, and its features as far as they are wanted."""
        return self._read(file).take(pa.array(rows))

    def _read_file(self, file: int) -> pa.Table:
        name = self._about["parts"][file]
        columns = [column for key in sorted(self.specs(file)) for column in columns_of(self._specs[key])]
        (table,) = _read_all([self._location / name], [*STATE.names, *columns])
        if table is None:
            raise InputError(f"{self._location}: was removed while it was read; run the same command again")
        return table
