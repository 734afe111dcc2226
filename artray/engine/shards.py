"""Pictures and patches decoded once, by a pass over the examples, into shards that training reads.

A pass (see `storage.passes`) goes over a small table of the examples on all CPUs of the cluster. Each of its chunks
writes a shard of uint8 pictures, whole or not at all, and then its part: who is in the shard, and why some are not.
So a job that was killed decodes what is missing. The folder is called by what is in it, so that a later run of the same
examples finds it.

Pixels are kept, not the files' bytes: 224 by 224 are read back with 0.04 ms of CPU. A JPEG of that size is decoded in
0.4 ms, a PNG in 1.6 ms, a JPEG of 12 megapixels in 22 ms, and that in each epoch again.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import ray
from PIL import Image
from ray.exceptions import ObjectStoreFullError, OutOfDiskError

from artray import cluster, console
from artray.engine.examples import Shard
from artray.engine.order import SHARE, Indices
from artray.errors import InputError
from artray.images.decoding import DECODE_VERSION
from artray.images.pictures import DecodeSize, Picture, Pictures, read_pictures
from artray.patches.squares import resized
from artray.storage import Location, digest, keep_apart, remove_scratch
from artray.storage.chunks import BATCH, LARGEST
from artray.storage.located_rows import cells_of
from artray.storage.passes import Worker, run_pass

EXAMPLES = "_examples"
"""Where below a job's place its decoded examples lie until it is done, unless it is told another."""
EXAMPLE_FILES = (
    rf"{EXAMPLES}/(pictures|patches)-\d+-[0-9a-f]+/"
    r"(_rows/rows\.parquet|_plan\.json|_run\.json|part-\d{6,}\.parquet|\d{9,}-\d{4,}\.raw)"
)
"""What lies there, as `remove_written` takes names."""

_FEW = 1024  # examples that are decoded without a pass
_BLOCK_BYTES = 64 << 20  # of an array in the object store, and of a shard
_ROWS_AT_ONCE = 1 << 16
_STATE = pa.schema(
    [
        ("object_id", pa.string()),
        ("number", pa.int64()),
        ("status", pa.string()),
        ("error", pa.string()),
        ("first", pa.int64()),
        ("count", pa.int32()),
        ("row", pa.int32()),
    ]
)


def remove_examples(out: Location) -> None:
    """Remove the examples that a job has decoded below its place; what others have put beside them stays."""
    remove_scratch(out / EXAMPLES, [EXAMPLE_FILES.removeprefix(f"{EXAMPLES}/")])


@dataclass(frozen=True)
class ExampleCache:
    """Where decoded examples are kept.

    Attributes:
        folder: The folder or s3:// prefix for shards.
        share: Which part of each machine's object store examples may fill; larger sets are streamed from the shards.
    """

    folder: Location
    share: float = SHARE

    def holds(self, size: int) -> bool:
        """Whether examples of so many bytes in all fit into memory."""
        return self.share > 0 and size <= self.share * cluster.object_store_bytes()


def cache_of(cache: Location | None, out: Location, data: Sequence[Location], share: float) -> ExampleCache:
    """Where a job keeps its examples.

    Args:
        cache: What the user says.
        out: The job's own place.
        data: From where the examples are.
        share: As in `ExampleCache`.

    Raises:
        InputError: The user's place is one of the data, or can't be written to.
    """
    if cache is None:
        return ExampleCache(out / EXAMPLES, share)
    try:
        keep_apart(cache, {}, {"--data": data})
    except InputError as error:
        raise InputError(str(error).replace("--out", "--cache", 1)) from error
    cache.ensure_writable()
    return ExampleCache(cache, share)


@dataclass(frozen=True)
class Decoded:
    """Examples that were decoded.

    Attributes:
        status: (n,) of each one, `ok` or why it has no picture.
        blocks: As `Inputs` takes them.
        positions: Likewise; (-1, -1) where there is no picture.
    """

    status: npt.NDArray[Any]
    blocks: list[Any]
    positions: Indices


def decode_examples(
    rows: pa.Table, cache: ExampleCache, *, data: Location, kind: Literal["pictures", "patches"], size: int, source: str
) -> Decoded:
    """Decode examples, or find that it was done, and load what fits into memory.

    Args:
        rows: `object_id`, and of pictures `image_uri`; of patches `file` and `row`: where in the data set each lies. In
            the order in which they are to be stored.
        cache: Where to.
        data: The data set.
        kind: What it holds.
        size: Side in pixels.
        source: Fingerprint of the data set.

    Raises:
        InputError: The place can't be written to.
        ArtrayError: The disk is full.
    """
    folder = cache.folder / f"{kind}-{size}-{_key(rows, kind, size, source)}"
    rows = rows.append_column("number", pa.array(np.arange(len(rows)), pa.int64()))
    if "image_uri" not in rows.column_names:
        rows = rows.append_column("image_uri", pa.nulls(len(rows), pa.string()))
    worker: type[Worker] = _PictureDecoder if kind == "pictures" else _PatchDecoder
    arguments = {"place": str(folder), "data": str(data), "size": size, "decode_version": DECODE_VERSION}
    decode = _decode_here if len(rows) <= _FEW else _decode_by_pass
    decode(rows, folder, worker, arguments)
    if _remove_parts_without_shard(folder, size):
        decode(rows, folder, worker, arguments)
    state = folder.dataset().to_table(columns=["number", "status", "first", "count", "row"]).sort_by("number")
    shards, where = _shards(folder, state, size)
    status = state["status"].to_numpy()
    if cache.holds(sum(shard.rows * shard.example_bytes for shard in shards)):
        try:
            return Decoded(status, *_loaded(shards, where))
        except (ObjectStoreFullError, OutOfDiskError):
            console.say("Ray's object store is full: the examples are read from their shards (--in-memory 0 does so)")
    return Decoded(status, list(shards), where)


def _decode_by_pass(rows: pa.Table, folder: Location, worker: type[Worker], arguments: Mapping[str, Any]) -> None:
    manifest = folder / "_rows" / "rows.parquet"
    if not manifest.exists():  # else it is this one, as the folder's name says
        manifest.write_table(rows)
    run_pass("examples", manifest, folder, worker, arguments, overwrite=True)


def _decode_here(rows: pa.Table, folder: Location, worker: Callable[..., Worker], arguments: Mapping[str, Any]) -> None:
    """Few examples are decoded sooner than a pass begins; what is whole stays here too where the job is killed."""
    work = worker(**arguments, threads=os.cpu_count() or 1)
    with console.bar("examples", len(rows)) as bar:
        for start in range(0, len(rows), LARGEST):
            part_file, chunk = folder / f"part-{start // LARGEST:06d}.parquet", rows.slice(start, LARGEST)
            if not part_file.exists():
                part_file.write_table(work(chunk))
            bar.advance(len(chunk))


def _key(rows: pa.Table, kind: str, size: int, source: str) -> str:
    """Of the examples and how they are decoded."""
    slices = (rows.slice(start, _ROWS_AT_ONCE) for start in range(0, len(rows), _ROWS_AT_ONCE))
    contents = [digest(json.dumps(each.to_pydict()).encode()) for each in slices]
    return digest(*(piece.encode() for piece in (source, kind, str(size), str(DECODE_VERSION), *contents)))[:16]


def _file(folder: Location, first: int, count: int) -> Location:
    return folder / f"{first:09d}-{count:04d}.raw"


def _shards(folder: Location, state: pa.Table, size: int) -> tuple[list[Shard], Indices]:
    """The shards of a finished pass, and where in them each example lies."""
    first, count = state["first"].to_numpy(), state["count"].to_numpy()
    readable = pc.is_valid(state["row"]).to_numpy()
    where = np.full((len(state), 2), -1, np.int64)
    where[readable, 1] = state["row"].drop_null().to_numpy()
    shards = []
    firsts, begin = np.unique(first[readable], return_index=True)
    of = np.searchsorted(firsts, first[readable])
    where[readable, 0] = of
    for number, (index, rows) in enumerate(zip(begin.tolist(), np.bincount(of).tolist(), strict=True)):
        counts = int(count[readable][index])
        shards.append(Shard(_file(folder, int(firsts[number]), counts), rows, (size, size, 3), "uint8"))
    return shards, where


def _remove_parts_without_shard(folder: Location, size: int) -> int:
    """Let the pass do again what has lost its shard; how many parts that were."""
    dataset = folder.dataset()
    state = dataset.to_table(columns=["number", "status", "first", "count", "row", "__filename"]).sort_by("number")
    there = {info.uri: info.size for info in folder.list_files()}
    shards, where = _shards(folder, state, size)
    lost = [
        number for number, shard in enumerate(shards) if there.get(str(shard.file)) != shard.rows * shard.example_bytes
    ]
    part_files = pc.unique(state["__filename"].filter(pa.array(np.isin(where[:, 0], lost)))).to_pylist() if lost else []
    for part_file in part_files:
        (folder / part_file.rpartition("/")[2]).remove()
    return len(part_files)


def _loaded(shards: Sequence[Shard], where: Indices) -> tuple[list[Any], Indices]:
    """The shards as arrays in the object store, put there by the machines that work, several shards in each."""
    bundles: list[list[Shard]] = []
    block, offset = np.empty(len(shards) + 1, np.int64), np.zeros(len(shards) + 1, np.int64)
    block[-1] = -1  # of an example without a picture
    filled = 0
    for number, shard in enumerate(shards):
        if not bundles or filled + shard.rows * shard.example_bytes > _BLOCK_BYTES:
            bundles.append([])
            filled = 0
        block[number], offset[number] = len(bundles) - 1, sum(item.rows for item in bundles[-1])
        bundles[-1].append(shard)
        filled += shard.rows * shard.example_bytes
    load = ray.remote(num_returns=2)(_load)
    started = [load.remote(bundle) for bundle in bundles]
    with cluster.unwrapped_errors():
        ray.get([done for done, _ in started])
    positions = np.stack([block[where[:, 0]], where[:, 1] + offset[where[:, 0]]], axis=1)
    return [array for _, array in started], positions


def _load(shards: Sequence[Shard]) -> tuple[bool, npt.NDArray[Any]]:
    first = shards[0]
    whole = np.empty((sum(shard.rows for shard in shards), *first.shape), first.dtype)
    start = 0
    for shard in shards:
        whole[start : start + shard.rows] = shard.read()
        start += shard.rows
    return True, whole


def _write(
    folder: Location,
    rows: pa.Table,
    pictures: Mapping[int, Picture],
    status: Sequence[str],
    error: Sequence[str | None],
) -> pa.Table:
    """Write a shard; returns who is in it, and who is not."""
    first = rows["number"][0].as_py()
    if pictures:
        _file(folder, first, len(rows)).write_bytes(b"".join(pictures[row].tobytes() for row in sorted(pictures)))
    row_of = dict(zip(sorted(pictures), range(len(pictures)), strict=True))
    return pa.table(
        {
            "object_id": rows["object_id"].cast(pa.string()),
            "number": rows["number"],
            "status": status,
            "error": error,
            "first": [first] * len(rows),
            "count": [len(rows)] * len(rows),
            "row": [row_of.get(row) for row in range(len(rows))],
        },
        schema=_STATE,
    )


class _PictureDecoder:
    """Decodes the pictures of a chunk."""

    def __init__(self, place: str, data: str, size: int, decode_version: int, threads: int = 1):
        self._folder, self._size, self._threads = Location(place), DecodeSize(size), threads

    def __call__(self, rows: pa.Table) -> pa.Table:
        tables: list[pa.Table] = []
        waiting: list[Pictures] = []
        begin = end = 0
        for pictures in read_pictures(rows, [self._size], threads=self._threads):
            waiting.append(pictures)
            end += len(pictures.rows)
            # Of large pictures a chunk has several shards: no more than one is in memory.
            if end == len(rows) or (end - begin + BATCH) * self._size.size**2 * 3 > _BLOCK_BYTES:
                tables.append(self._shard(rows.slice(begin, end - begin), waiting))
                waiting, begin = [], end
        return pa.concat_tables(tables)

    def _shard(self, rows: pa.Table, batches: Sequence[Pictures]) -> pa.Table:
        decoded: dict[int, Picture] = {}
        status: list[str] = []
        error: list[str | None] = []
        for pictures in batches:
            for row, image in zip(pictures.readable, pictures.images[self._size], strict=True):
                decoded[len(status) + row] = image
            error += pictures.state["error"].to_pylist()
            status += pictures.state["status"].to_pylist()
        return _write(self._folder, rows, decoded, status, error)


class _PatchDecoder:
    """Decodes the patches of a chunk, and no others of their file."""

    def __init__(self, place: str, data: str, size: int, decode_version: int, threads: int = 1):
        self._folder, self._data, self._size = Location(place), Location(data), size

    def __call__(self, rows: pa.Table) -> pa.Table:
        decoded: dict[int, Picture] = {}
        error: list[str | None] = [None] * len(rows)
        for file in pc.unique(rows["file"]).to_pylist():
            here = np.flatnonzero(pc.equal(rows["file"], file).to_numpy())
            wanted = dict(zip(rows["row"].to_numpy()[here].tolist(), here.tolist(), strict=True))
            for row, image in cells_of(self._data, file, list(wanted), "image"):
                try:
                    patch = np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB"))
                    decoded[wanted[row]] = resized(patch, self._size)
                except Exception as reason:  # a row with a status
                    error[wanted[row]] = str(reason)[:300]
        status = ["ok" if row in decoded else "failed" for row in range(len(rows))]
        return _write(self._folder, rows, decoded, status, error)
