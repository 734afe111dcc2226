"""What a labelling run has to do, and what it can take over.

A picture is labelled by a model unless OUT has that model's label of the same version of the same picture already. What
could not be read for a reason that may have passed is tried again. Where a feature table is given, rows computed from
the same version of the same picture stand in for the picture.

All of it is done on Arrow columns, not row by row: five million pictures take about two gigabytes in the driver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from artray.errors import InputError, count_of
from artray.images.decoding import DECODE_VERSION, USABLE_VERSIONS
from artray.images.pictures import MAY_PASS
from artray.labeling.published import Published, TaskLabels
from artray.storage import SIZE_IN_VERSION, Location
from artray.storage.passes import read_run

_READERS = 16  # parts of a feature table read at once
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """What a run has to compute, and what stays.

    Attributes:
        pictures: The manifest's `object_id`, `image_uri` and `version`; no object_id twice.
        rows: What is to be computed: the same columns, `models` (bit k: by the k-th model), and `part` and `row`: where
            in the feature table (null: not there). Rows of one kind stand together.
        kept: For each task, which rows of its published labels stay.
        counts: Pictures by what is known of them: `new`, `changed`, `again` (could not be read), `other model`, `same`.
        gone: How many labelled pictures the manifest has no more, the most of any task.
    """

    pictures: pa.Table
    rows: pa.Table
    kept: dict[str, Flags]
    counts: dict[str, int]
    gone: int


def read_manifest(uri: Location) -> pa.Table:
    """A manifest's `object_id`, `image_uri` and `version` (null where it has none).

    Raises:
        InputError: It has no such columns or no rows, or an id is missing or stands in several rows.
    """
    dataset = uri.dataset()
    missing = [name for name in ("object_id", "image_uri") if name not in dataset.schema.names]
    if missing:
        raise InputError(f"{uri}: not a manifest: it has no column {', '.join(missing)}")
    names = [name for name in ("object_id", "image_uri", "version") if name in dataset.schema.names]
    table = dataset.to_table(columns=names)
    if "version" not in names:
        table = table.append_column("version", pa.nulls(len(table), pa.string()))
    table = table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))
    if not len(table):
        raise InputError(f"{uri}: has no rows")
    ids = table["object_id"]
    if ids.null_count:
        raise InputError(f"{uri}: {count_of(ids.null_count, 'row has', 'rows have')} no object_id")
    if pc.count_distinct(ids).as_py() < len(ids):
        counted = ids.value_counts()
        often = pc.sort_indices(counted.field("counts"), sort_keys=[("", "descending")])[0].as_py()
        name, number = counted[often].as_py().values()
        raise InputError(f"{uri}: the object_id {name!r} stands in {number} rows; each picture needs one of its own")
    return table


def make_plan(
    pictures: pa.Table,
    sources: Mapping[str, str],
    out: Location,
    published: Published | None,
    features: FeatureTable | None,
) -> Plan:
    """Compare the manifest with what is published, and with a feature table.

    Args:
        pictures: As from `read_manifest`.
        sources: For each task, what its model's labels depend on; in the models' order.
        out: Where the labels are.
        published: The current run there; None: all is computed.
        features: Rows of it stand in for pictures.
    """
    needed = np.zeros(len(pictures), np.int64)
    known: Flags
    same: Flags
    again: Flags
    known, same, again = (np.zeros(len(pictures), bool) for _ in range(3))
    kept: dict[str, Flags] = {}
    gone = 0
    for bit, (name, source) in enumerate(sources.items()):
        task = published.tasks.get(name) if published else None
        if task is None:
            needed |= 1 << bit
            continue
        before = _Before(out, task, pictures)
        stays = before.same & ~before.again if task.source == source else np.zeros(len(pictures), bool)
        needed[~stays] |= 1 << bit
        kept[name] = before.rows_of(stays)
        known, same, again = known | before.known, same | before.same, again | before.again
        gone = max(gone, before.gone)
    todo = np.flatnonzero(needed)
    kinds = np.select([~known, ~same, again, needed > 0], [0, 1, 2, 3], 4)
    names = ["new", "changed", "again", "other model", "same"]
    counts = dict(zip(names, np.bincount(kinds, minlength=len(names)).tolist(), strict=True))
    rows = pictures.take(todo).append_column("models", pa.array(needed[todo]))
    part_files, row = (
        features.find(rows) if features else (pa.nulls(len(rows), pa.string()), pa.nulls(len(rows), pa.int64()))
    )
    rows = rows.append_column("part", part_files).append_column("row", row)
    # A stable order: those of one kind in the order of the feature table or of the manifest.
    rows = rows.append_column("place", pa.array(todo))
    rows = rows.sort_by([("models", "ascending"), ("part", "ascending"), ("row", "ascending"), ("place", "ascending")])
    return Plan(pictures, rows.drop_columns(["place"]), kept, counts, gone)


class _Before:
    """A task's published labels, seen from the manifest's rows.

    Attributes:
        known: Which of the manifest's pictures have a row there.
        same: Which of them have the same address and the same version as then.
        again: Which of them could not be read for a reason that may have passed.
        gone: How many rows there the manifest has no more.
    """

    def __init__(self, out: Location, task: TaskLabels, pictures: pa.Table):
        then = (out / task.pictures).dataset().to_table()
        labels = (out / task.labels).dataset().to_table(columns=["object_id", "status"])
        self._indices = pc.index_in(pictures["object_id"], labels["object_id"].combine_chunks())
        self._rows = len(labels)
        self.known = _true(pc.is_valid(self._indices))
        self.same = self.known & unchanged(pictures, then)
        self.again = _true(pc.is_in(labels["status"].take(self._indices), MAY_PASS))
        self.gone = len(labels) - int(self.known.sum())

    def rows_of(self, chosen: Flags) -> Flags:
        """The rows of the labels that belong to some of the manifest's rows."""
        rows = np.zeros(self._rows, bool)
        rows[_numbers(self._indices)[chosen]] = True
        return rows


def unchanged(pictures: pa.Table, then: pa.Table) -> Flags:
    """Which pictures have the address and version that another table has for their ids; those without version don't.

    Versions that an earlier release has written down don't say the file's size: there the time alone is compared.

    Args:
        pictures: `object_id`, `image_uri` and `version`.
        then: The same.
    """
    indices = pc.index_in(pictures["object_id"], then["object_id"].combine_chunks())
    same = pc.is_valid(indices)
    same = pc.and_(same, pc.equal(pictures["image_uri"], then["image_uri"].take(indices)))
    version, before = pictures["version"], then["version"].take(indices)
    time = pc.replace_substring_regex(version, rf"^(mtime:.*){SIZE_IN_VERSION}\d+$", r"\1")
    return _true(pc.and_(same, pc.or_(pc.equal(version, before), pc.equal(time, before))))


class FeatureTable:
    """A feature table of extract_features: which rows of it can stand in for pictures.

    Attributes:
        uri: Where it is.
        specs: Its features.
        files: Digests of the files that they name as backbones, by path.
        digest: Changes when it is made anew.
    """

    def __init__(self, uri: Location):
        """Look at a table's description.

        Raises:
            InputError: It is not finished, not a feature table, or of another decode version.
        """
        self.uri = uri
        run = read_run(self.uri)
        arguments = run.get("arguments", {})
        if "features" not in arguments:
            raise InputError(f"{uri}: not a feature table of extract_features")
        if arguments["decode_version"] not in USABLE_VERSIONS:
            raise InputError(
                f"{uri}: is of decode version {arguments['decode_version']}, this release has {DECODE_VERSION}: "
                "extract the features again"
            )
        self.specs: list[dict[str, Any]] = arguments["features"]
        self.files: dict[str, str] = arguments.get("files", {})
        self.digest = f"{run['fingerprint']} {run['finished_at']}"

    def find(self, rows: pa.Table) -> tuple[pa.Array, pa.Array]:
        """For each of some pictures, the part and the row in it that were computed from it; null where none was."""
        names = ["object_id", "image_uri", "version", "status"]
        dataset = self.uri.dataset()
        missing = [name for name in names if name not in dataset.schema.names]
        if missing:
            raise InputError(f"{self.uri}: has no column {', '.join(missing)}")
        # Part by part: Arrow's own column `__filename` would be hidden by a catalogue's of that name.
        fragments = list(dataset.get_fragments())
        with ThreadPoolExecutor(_READERS) as pool:
            tables = list(pool.map(lambda fragment: fragment.to_table(columns=names), fragments))
        table = pa.concat_tables(tables)
        sizes = [len(item) for item in tables]
        file = np.repeat(np.arange(len(sizes)), sizes)
        row = np.concatenate([np.arange(size) for size in sizes])
        fresh = unchanged(rows, table)
        indices = pc.index_in(rows["object_id"], table["object_id"].combine_chunks())
        fresh &= _true(pc.equal(table["status"].take(indices), "ok"))
        chosen = pa.array(_numbers(indices), pa.int64(), mask=~fresh)
        files = pa.array([fragment.path for fragment in fragments], pa.string())
        return files.take(pa.array(file).take(chosen)), pa.array(row).take(chosen)


def read_features(
    uri: Location, part_file: str, rows: Sequence[int], ids: Sequence[str], columns: Sequence[str]
) -> pa.Table:
    """Rows of one part of a feature table: `status`, `error` and some columns.

    Args:
        uri: The table.
        part_file: The file in it.
        rows: Which rows of the part.
        ids: Their object_ids.
        columns: Of the features.

    Raises:
        InputError: The part is not there any more, or holds other pictures.
    """
    fs, _ = uri.arrow_filesystem()
    changed = InputError(f"{uri}: was replaced while it was read; run the same command again")
    try:
        with fs.open_input_file(part_file) as file:
            table = pq.read_table(file, columns=["object_id", "status", "error", *columns])
    except FileNotFoundError as error:
        raise changed from error
    if max(rows) >= len(table):
        raise changed
    taken = table.take(pa.array(rows))
    if taken["object_id"].to_pylist() != list(ids):
        raise changed
    return taken


def _true(values: Any) -> Flags:
    flags: Flags = np.asarray(pc.fill_null(values, False))
    return flags


def _numbers(indices: Any) -> npt.NDArray[np.int64]:
    """Indices as numbers, 0 where there is none."""
    numbers: npt.NDArray[np.int64] = np.asarray(pc.fill_null(indices, 0)).astype(np.int64)
    return numbers
