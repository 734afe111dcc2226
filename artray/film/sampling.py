"""Films' frames as pictures: listed, examined, sampled on all CPUs, and named by a manifest that other stations read.

    OUT/frames/FILM/0000012.000.jpg   what is seen in a film at second 12
    OUT/_sampled.parquet              a row for each moment of each film, with what became of it
    OUT/_sampling/                    while a run is under way

Two passes (see `artray.storage.passes`) over the films that are new or have changed: one examines each, the other works
on stretches of some minutes, which end where decoding can begin. A stretch is the unit of repeated work.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray import console
from artray.errors import InputError, first_of
from artray.film.container import SUFFIXES, Film, FilmError, examine, moments
from artray.film.cuts import differences, histogram
from artray.film.frames import frames_at
from artray.images.encoding import jpeg
from artray.images.pictures import MAY_PASS
from artray.storage import FileInfo, Location, digest
from artray.storage.passes import actor_cpus, run_pass

FRAMES = "frames"
SAMPLED = "_sampled.parquet"
SAMPLING = "_sampling"
FRAME_VERSION = 1
"""Changes when the same film would give other frames."""

_STRETCH = 256  # moments of the shortest stretch
_QUALITY = 90
_WRITERS = 4  # frames written at once: on S3 each is a request

_STATE = [pa.field("status", pa.string()), pa.field("error", pa.string())]
FILMS = pa.schema(
    [
        ("film", pa.string()),  # its path below the folder
        ("uri", pa.string()),
        ("version", pa.string()),
        *_STATE,
        ("duration", pa.float64()),  # seconds
        ("width", pa.int32()),  # pixels, as it is seen
        ("height", pa.int32()),
        ("rate", pa.float64()),  # frames a second
        ("codec", pa.string()),
    ]
)
"""A row a film."""

MOMENTS = pa.schema(
    [
        ("object_id", pa.string()),  # FILM#t=SECOND; of a film that can't be read FILM
        ("image_uri", pa.string()),  # null where there is no frame
        ("size", pa.int64()),
        ("version", pa.string()),
        ("film", pa.string()),
        ("second", pa.float64()),
        ("at", pa.float64()),  # when the frame begins to be seen
        ("difference", pa.float32()),  # from the frame before, 0..1
        *_STATE,
    ]
)
"""A row a moment, and one for each film that can't be read."""

_SEEN = pa.schema([*(field for field in MOMENTS if field.name != "difference"), ("histogram", pa.list_(pa.float32()))])


@dataclass(frozen=True, slots=True)
class Sampled:
    """All films with their moments.

    Attributes:
        films: As `FILMS`, by path.
        moments: As `MOMENTS`, film by film.
        new: How many films were sampled now.
        gone: How many were here before, and are no more.
    """

    films: pa.Table
    moments: pa.Table
    new: int
    gone: int


def list_films(location: Location) -> dict[str, FileInfo]:
    """The films in a folder, by their path below it; or one film.

    Raises:
        InputError: There are none.
    """
    console.say(f"listing {location}")
    folder = location.parent if location.is_file() else location
    films: dict[str, FileInfo] = {}
    others: list[str] = []
    for info in folder.list_files():
        path = folder.relative(info.uri)
        if folder != location and info.uri != location.uri:
            continue
        if path.lower().endswith(SUFFIXES):
            films[path] = info
        else:
            others.append(path)
    if others:
        console.say(f"not films, left out: {len(others):,} ({first_of(others, 3)})")
    if not films:
        raise InputError(f"{location}: no films there ({', '.join(SUFFIXES)})")
    return films


def sample_films(films: dict[str, FileInfo], out: Location, every: float, size: int, before: Sampled | None) -> Sampled:
    """Write the frames of films that are new or have changed since; a run that was killed goes on where it was.

    Args:
        films: As from `list_films`.
        out: The job's output.
        every: Seconds between moments.
        size: Longest side of a frame in pixels.
        before: What was sampled with the same settings before.

    Raises:
        InputError: `out` can't be written, or the S3 server refuses the keys.
    """
    known = {row["film"]: row for row in before.films.to_pylist()} if before else {}
    todo = {film: info for film, info in films.items() if not _is_done(known.get(film), info)}
    gone = len(known.keys() - films.keys())
    parts_films, parts_moments = [], []
    if before:
        kept = pa.array([film for film in films if film not in todo], pa.string())
        parts_films.append(before.films.filter(pc.is_in(before.films["film"], kept)))
        parts_moments.append(before.moments.filter(pc.is_in(before.moments["film"], kept)))
    if todo:
        new_films, new_moments = _sample(todo, out, every, size)
        parts_films.append(new_films)
        parts_moments.append(new_moments)
    return Sampled(
        pa.concat_tables(parts_films).sort_by("film"),
        pa.concat_tables(parts_moments).sort_by([("film", "ascending"), ("second", "ascending")]),
        new=len(todo),
        gone=gone,
    )


def _is_done(known: dict[str, Any] | None, info: FileInfo) -> bool:
    return (
        known is not None
        and (known["uri"], known["version"]) == (info.uri, info.version)
        and known["status"] not in MAY_PASS.to_pylist()
    )


def _sample(films: dict[str, FileInfo], out: Location, every: float, size: int) -> tuple[pa.Table, pa.Table]:
    settings = [every, size, FRAME_VERSION, sorted((film, info.version) for film, info in films.items())]
    key = digest(json.dumps(settings).encode())
    root = out / SAMPLING
    for name in {*root.names()} - {key}:  # of a run that was killed, and whose films or settings are others now
        (root / name).remove()
    staging = root / key
    rows = pa.table(
        {
            "object_id": pa.array(films),
            "image_uri": pa.array([info.uri for info in films.values()]),
            "version": pa.array([info.version for info in films.values()]),
        }
    )
    _run(staging, "films", rows, _Examiner, {}, rows_in_group=1)
    examined = (staging / "films").dataset().to_table()
    stretches = _stretches(examined, out, every)
    empty = pa.table({name: pa.array([], kind) for name, kind in zip(_SEEN.names, _SEEN.types, strict=True)})
    seen = empty
    if len(stretches):
        _run(staging, "stretches", stretches, _Sampler, {"every": every, "size": size}, rows_in_group=1)
        seen = (staging / "stretches").dataset().to_table().cast(_SEEN)
    broken = examined.filter(pc.not_equal(examined["status"], "ok"))
    rest = {name: pa.nulls(len(broken), MOMENTS.field(name).type) for name in MOMENTS.names}
    rest |= {"object_id": broken["object_id"], "film": broken["object_id"]}
    rest |= {"status": broken["status"], "error": broken["error"]}
    new_moments = pa.concat_tables([_compared(seen), pa.table(rest, schema=MOMENTS)])
    named = examined.rename_columns({"object_id": "film", "image_uri": "uri"})
    return named.select(FILMS.names).cast(FILMS), new_moments


def _run(
    staging: Location, name: str, rows: pa.Table, worker: Any, arguments: dict[str, Any], *, rows_in_group: int
) -> None:
    """A pass over some rows; chunks never go beyond a row group."""
    file = staging / f"{name}.parquet"
    if not file.exists():  # a pass that goes on knows its rows by the file
        file.write_table(rows, row_group_size=rows_in_group)
    run_pass(name, file, staging / name, worker, {**arguments, "frame_version": FRAME_VERSION}, overwrite=True)


def _compared(seen: pa.Table) -> pa.Table:
    """Rows with each frame's difference from the one before of its film, in the place of its histogram."""
    seen = seen.sort_by([("film", "ascending"), ("second", "ascending")])
    films = seen["film"].to_pylist()
    histograms = [
        None if item is None else np.asarray(item, np.float32)
        for item in seen["histogram"].to_numpy(zero_copy_only=False)
    ]
    blocks: list[Any] = []
    start = 0
    for end in range(1, len(films) + 1):
        if end == len(films) or films[end] != films[start]:
            blocks.append(differences(histograms[start:end]))
            start = end
    values = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    column = pa.array(values, pa.float32(), from_pandas=True)  # NaN: null
    table = seen.drop_columns("histogram").append_column("difference", column)
    return table.select(MOMENTS.names).cast(MOMENTS)


def frame_id(film: str, second: float) -> str:
    """The id of what is seen in a film at a moment: the film's path, with the moment as the W3C's media fragment.

    Example:
        >>> frame_id("news/1936.mp4", 12.5)
        'news/1936.mp4#t=12.5'
    """
    return f"{film}#t={f'{second:.3f}'.rstrip('0').rstrip('.')}"


def folder_of(film: str) -> str:
    """A folder's name for a film, that every storage takes and no other film has."""
    stem = re.sub(r"[^\w-]+", "-", film.rpartition("/")[2].rpartition(".")[0], flags=re.ASCII).strip("-")
    return f"{stem[:40] or 'film'}-{digest(film.encode())[:8]}"


def _stretches(films: pa.Table, out: Location, every: float) -> pa.Table:
    """A row a stretch of each sound film: what an actor must know of it."""
    rows = []
    for row in films.filter(pc.equal(films["status"], "ok")).to_pylist():
        film = Film(
            **{name: row[name] for name in ("duration", "width", "height", "rate", "codec", "begin")},
            keys=tuple(row["keys"]),
        )
        for first, count, keys in cut_stretches(film, every):
            rows.append(
                {
                    "object_id": f"{row['object_id']}#{first}",
                    "image_uri": row["image_uri"],
                    "film": row["object_id"],
                    "place": str(out / FRAMES / folder_of(row["object_id"])),
                    "begin": film.begin,
                    "keys": keys,
                    "first": first,
                    "count": count,
                }
            )
    return pa.Table.from_pylist(rows)


def cut_stretches(film: Film, every: float, most: int = _STRETCH) -> Iterator[tuple[int, int, list[float]]]:
    """A film's moments cut into stretches, none of which ends between key frames: nothing is decoded twice.

    Args:
        film: As from `examine`.
        every: Seconds between moments.
        most: Moments of a stretch; more only where there is no key frame.

    Yields:
        The first moment's number, how many there are, and the key frames that they need, with the one after them.
    """
    total = moments(film.duration, every)
    first = 0
    while first < total:
        end = min(first + most, total)
        last = film.key_before((end - 1) * every)
        after = next((key for key in film.keys if key > last), None)
        if after is None:
            end = total
        else:
            while end < total and film.key_before(end * every) == last:
                end += 1
        keys = sorted({film.key_before(number * every) for number in range(first, end)})
        yield first, end - first, [*keys, *([after] if after is not None else [])]
        first = end


class _Examiner:
    def __init__(self, frame_version: int):
        pass

    def __call__(self, rows: pa.Table) -> pa.Table:
        examined = []
        for row in rows.to_pylist():
            try:
                told = asdict(examine(Location(row["image_uri"])))
                examined.append({**row, **told, "keys": list(told["keys"]), "status": "ok", "error": None})
            except FilmError as error:
                examined.append({**row, "status": error.status, "error": str(error)})
        return pa.Table.from_pylist(examined, _EXAMINED)


_EXAMINED = pa.schema(
    [
        ("object_id", pa.string()),
        ("image_uri", pa.string()),
        *(field for field in FILMS if field.name not in ("film", "uri")),
        ("begin", pa.int64()),
        ("keys", pa.list_(pa.float64())),
    ]
)


class _Sampler:
    """Samples stretches and writes their frames."""

    def __init__(self, every: float, size: int, frame_version: int):
        self._every, self._size = every, size

    def __call__(self, rows: pa.Table) -> pa.Table:
        return pa.concat_tables([self._sample(row) for row in rows.to_pylist()])

    def _sample(self, row: dict[str, Any]) -> pa.Table:
        film = Film(
            duration=0, width=0, height=0, rate=None, codec="", begin=row["begin"], keys=tuple(row["keys"] or [0.0])
        )
        seconds = [round(number * self._every, 6) for number in range(row["first"], row["first"] + row["count"])]
        seen_moments: list[dict[str, Any]] = []
        with ThreadPoolExecutor(_WRITERS) as pool:
            writing: deque[Future[None]] = deque()
            for frame in frames_at(
                Location(row["image_uri"]), film, seconds, every=self._every, size=self._size, threads=actor_cpus()
            ):
                seen: dict[str, Any] = {
                    "object_id": frame_id(row["film"], frame.second),
                    "film": row["film"],
                    "second": frame.second,
                    "at": frame.at,
                    "status": frame.status,
                    "error": frame.error,
                }
                if frame.picture is not None:
                    data = jpeg(frame.picture, _QUALITY)
                    target = Location(f"{row['place']}/{frame.second:011.3f}.jpg")
                    writing.append(pool.submit(target.write_bytes, data))
                    seen |= {"image_uri": target.uri, "size": len(data), "version": f"blake2:{digest(data)}"}
                    seen["histogram"] = histogram(frame.picture)
                seen_moments.append(seen)
                while len(writing) > _WRITERS:
                    writing.popleft().result()
            for each in writing:
                each.result()
        return pa.Table.from_pylist(seen_moments, _SEEN)


def read_sampled(out: Location) -> Sampled | None:
    """What was sampled before; None: nothing."""
    if not (out / SAMPLED).exists():
        return None
    moments_before = (out / SAMPLED).dataset().to_table().cast(MOMENTS)
    films = (out / "films.parquet").dataset().to_table()
    return Sampled(films.select(FILMS.names).cast(FILMS), moments_before, new=0, gone=0)
