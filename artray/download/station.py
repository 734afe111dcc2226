"""Pictures that a catalogue names by address (system A1), fetched into the collection's storage.

    OUT/pictures/                 the files, named by object_id, with the suffix of what they are: for `ingest --images`
    OUT/downloads/                one row an address: object_id, url, path, status, error, sha256, bytes, etag
    OUT/_requests.parquet         what is asked for, and what was there before

The download is a pass (`artray.storage.passes`) over the table of requests: killed at any moment and run again, it
fetches only the parts that are missing. Once it finished, the same command fetches nothing; with `--retry`, what
failed; with a grown or corrected catalogue, what is new or has another address. A file fetched before counts as there
if it lies in its place with its size. Nothing in `pictures` is ever removed.

The requests take turns between the hosts, and one `Gate` on the cluster lets them through, so that each host is asked
at its pace however many workers there are. How servers are treated may change from run to run; what may be fetched
(`Rules`) is one of the settings by which a run is recognised.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import secrets
import shlex
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from io import BytesIO
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
from pydantic import Field, field_validator

from artray import cluster, console
from artray.catalogs import columns
from artray.catalogs.addresses import picture_columns
from artray.catalogs.name_keys import flags, strings
from artray.catalogs.options import CatalogOptions
from artray.catalogs.several_names import Names, split_names
from artray.download.connections import Connections
from artray.download.fetching import USER_AGENT, Fetched, Fetcher, Gate, Manners, Rules
from artray.errors import InputError
from artray.images.decoding import decode
from artray.job import Counts
from artray.storage import RUN, Location, digest, keep_apart, passes, refuse_other_job

PICTURES = "pictures"
DOWNLOADS = "downloads"
RESULT = pa.schema(
    [
        ("object_id", pa.string()),
        ("url", pa.string()),  # as `read_catalog` gives it: secrets masked
        ("path", pa.string()),  # below `pictures`; null unless the status is ok, like the columns from sha256 on
        ("status", pa.string()),
        ("error", pa.string()),
        ("sha256", pa.string()),
        ("bytes", pa.int64()),
        ("etag", pa.string()),
    ]
)

_REQUESTS = "_requests.parquet"
_KEY = b"artray.requests"
_GATE = "artray-download-gate"
_BEAT = 10.0  # seconds; see `Connections`
_KEPT = ("path", "sha256", "bytes", "etag")  # of a file that was fetched before
_LONGEST_NAME = 200  # bytes; file systems take 255
_SUFFIX = {
    "JPEG": ".jpg", "PNG": ".png", "TIFF": ".tif", "WebP": ".webp", "GIF": ".gif", "BMP": ".bmp",
    "JPEG 2000": ".jp2", "AVIF": ".avif",
}  # fmt: skip


class DownloadOptions(CatalogOptions):
    """Fetch the pictures that a catalogue names by address."""

    catalog: Location = Field(description="CSV, TSV, XLSX, JSON, JSON lines or Parquet", examples=["FILE"])
    out: Location = Field(description="folder or s3:// prefix for pictures/ and downloads/", examples=["URI"])
    mapping: str | None = Field(
        None, description="a YAML file, or a ready one's name; default: found from the columns", examples=["NAME|FILE"]
    )
    id_column: str | None = Field(None, description="the column with the works' numbers", examples=["COLUMN"])
    url_column: list[str] = Field(
        [],
        description="the column with the pictures' addresses; give the flag again for more (image_1, image_2)",
        examples=["COLUMN"],
    )
    rate: float = Field(5.0, gt=0, description="requests a second to one host, from the whole cluster")
    connections: int = Field(32, ge=1, le=10_000, description="downloads at once on the whole cluster")
    attempts: int = Field(4, ge=1, description="how often a picture is asked for where that may help")
    patience: float = Field(120, ge=0, description="seconds; a host that asks for a longer pause is left alone")
    connect_timeout: float = Field(10, gt=0, description="seconds for a connection")
    read_timeout: float = Field(30, gt=0, description="seconds without a byte")
    request_timeout: float = Field(600, gt=0, description="seconds for a whole picture")
    max_bytes: int = Field(100_000_000, ge=1, description="a larger file is refused")
    user_agent: str = Field(USER_AGENT, description="how servers see us; a way to reach you is good manners")
    honor_opt_out: bool = Field(True, description="leave alone what its server marks noai or noimageai")
    allow_private: bool = Field(False, description="also fetch from private and loopback addresses, for an intranet")
    retry: bool = Field(False, description="ask again for what failed in a finished run")

    @field_validator("url_column", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given


def download(options: DownloadOptions) -> Counts:
    """Fetch the pictures of a catalogue; one that can't be had is a row with its status.

    Raises:
        InputError: The catalogue or a column of it can't be used, or `out` can't be written.
    """
    out = options.out
    keep_apart(out / _REQUESTS, {"--catalog": options.catalog})
    refuse_other_job(out, "download")
    _refuse_others_pictures(out)
    out.ensure_writable()
    wanted, without = _wanted(options, out / PICTURES)
    rules = Rules(options.max_bytes, opt_out=options.honor_opt_out, private=options.allow_private)
    arguments = {"max_bytes": rules.max_bytes, "opt_out": rules.opt_out, "private": rules.private}
    reused = _write_requests(out, wanted, arguments, options.retry)
    with _gate(options):
        counts = passes.run_pass(
            "download",
            out / _REQUESTS,
            out / DOWNLOADS,
            _DownloadWorker,
            arguments,
            overwrite=True,  # rows of an earlier run whose files are there stand in the requests
        )
    console.table("download", ["status", "pictures"], list(counts["statuses"].items()))
    return counts | {"reused": reused, "without_url": without, "pictures": str(out / PICTURES)}


def _refuse_others_pictures(out: Location) -> None:
    """See that files in `OUT/pictures` are from downloads: others would be replaced where they have a work's name."""
    pictures = out / PICTURES
    if (out / _REQUESTS).exists() or not pictures.exists():
        return
    if next(iter(pictures.list_files()), None) is not None:
        raise InputError(f"{pictures}: holds files that no download has put there; give another --out")


# -- what is asked for -------------------------------------------------------------------------------------------------


def _wanted(options: DownloadOptions, pictures: Location) -> tuple[pa.Table, int]:
    """`object_id`, `image_uri` (where the picture is to lie, without suffix) and `url`; and how many rows have none."""
    table = options.read_catalog(options.catalog).table
    mapping = _mapping(options, table)
    if mapping.url is None:
        raise InputError(f"{options.catalog}: no column with addresses found; name it with --url-column")
    table = mapping.without_described(table.column_names).complete(table)
    url_columns = (mapping.url, *mapping.more_urls)
    no_pictures = pa.array([], pa.large_string())
    named = Names.together(
        [split_names(strings(table[name]), no_pictures, None, addresses=True) for name in url_columns]
    )
    there = pc.is_valid(named.values)
    at = named.rows[flags(there)]
    if not len(at):
        raise InputError(f"{options.catalog}: the column {', '.join(map(repr, url_columns))} is empty")
    rows, first = np.unique(at, return_index=True)
    is_first = np.zeros(len(at), bool)
    is_first[first] = True
    urls: list[str] = named.values.filter(there).to_pylist()
    record = (np.cumsum(is_first) - 1).tolist()
    more = [(record[number], urls[number]) for number in np.flatnonzero(~is_first).tolist()]
    taken = table.take(pa.array(rows))
    own_ids = taken[mapping.object_id].to_pylist() if mapping.object_id else [None] * len(rows)
    titles = taken[mapping.title].to_pylist() if mapping.title else [None] * len(rows)
    first_urls = [urls[number] for number in first.tolist()]
    ids = object_ids(own_ids, titles, first_urls, more)
    wanted = dict(zip(ids, [*first_urls, *(url for _, url in more)], strict=True))
    names = file_names(list(wanted))
    asked = pa.table(
        {
            "object_id": pa.array(wanted.keys(), pa.string()),
            "image_uri": pa.array([str(pictures / name) for name in names], pa.string()),
            "url": pa.array(wanted.values(), pa.string()),
        }
    )
    return asked.take(_by_turns(asked["url"])), len(table) - len(rows)


def _mapping(options: DownloadOptions, table: pa.Table) -> columns.Mapping:
    said = [role for role, flag in (("object_id", options.id_column), ("url", options.url_column)) if flag]
    mapping = columns.named_mapping(options.mapping) if options.mapping else columns.guessed_mapping(table, said)
    given: dict[str, Any] = {"object_id": options.id_column} if options.id_column else {}
    if options.url_column:
        whole = ",".join(options.url_column)  # a column's name may hold commas, at which flags are cut
        first, *more = [whole] if whole in table.column_names else options.url_column
        given |= {"url": first, "more_urls": tuple(more)}
    mapping = mapping.model_copy(update=given)
    if mapping.url and not (options.url_column or mapping.more_urls):
        others = [name for name in picture_columns(table) if name != mapping.url]
        if others:
            flag = " ".join(f"--url-column {shlex.quote(name)}" for name in (mapping.url, *others))
            console.say(f"addresses are in {', '.join(map(repr, others))} too; to fetch from all: {flag}")
    return mapping


def object_ids(
    own_ids: Sequence[str | None],
    titles: Sequence[str | None],
    urls: Sequence[str],
    more: Sequence[tuple[int, str]] = (),
) -> list[str]:
    """An id for every address; equal ones only for the same record and the same address.

    The record's number; where it has none the base64 of its title (system A1); else the address without its scheme
    and suffix. A record of several rows gets the address's last part (and if need be a number) behind it, and so do
    the further addresses of a row.

    Args:
        own_ids: Each row's number.
        titles: Its title.
        urls: Its first address.
        more: Further ones, each with its row. They change no id of the first.

    Returns:
        Those of `urls`, then those of `more`.
    """

    def short(url: str) -> str:
        return re.sub(columns.IMAGE_SUFFIX, "", re.sub(r"^\w+://", "", url))

    first = [
        number or (base64.urlsafe_b64encode(title.encode()).decode() if title else short(url))
        for number, title, url in zip(own_ids, titles, urls, strict=True)
    ]
    pairs = dict.fromkeys(zip(first, urls, strict=True))
    several = Counter(name for name, _ in pairs)
    taken = {name for name, number in several.items() if number == 1}
    uses: Counter[str] = Counter()
    ids: dict[tuple[str, str], str] = {}
    for name, url in pairs:
        ids[name, url] = new = name if several[name] == 1 else f"{name}/{short(url).rsplit('/', 1)[-1]}"
        while several[name] > 1 and ids[name, url] in taken:
            uses[new] += 1
            ids[name, url] = f"{new}#{uses[new] + 1}"
        taken.add(ids[name, url])
    others = [(first[row], url) for row, url in more]
    for name, url in others:
        if (name, url) in ids:
            continue
        ids[name, url] = new = f"{name}/{short(url).rsplit('/', 1)[-1]}"
        while ids[name, url] in taken:
            uses[new] += 1
            ids[name, url] = f"{new}#{uses[new] + 1}"
        taken.add(ids[name, url])
    return [ids[pair] for pair in [*zip(first, urls, strict=True), *others]]


def file_names(object_ids: Sequence[str]) -> list[str]:
    """A safe file name for each id, without suffix; none twice, not even where a file system ignores case.

    It is the id percent-encoded, so that `urllib.parse.unquote` gives the id back. A name that is too long, or differs
    from another by case only, ends in `~` and a digest.
    """
    encoded = [re.sub(r"^\.", "%2E", quote(name, safe="=").replace("~", "%7E")) for name in object_ids]
    twins = Counter(name.lower() for name in encoded)
    return [
        f"{name[:_LONGEST_NAME]}~{digest(object_id.encode())}"
        if len(name) > _LONGEST_NAME or twins[name.lower()] > 1
        else name
        for name, object_id in zip(encoded, object_ids, strict=True)
    ]


def _by_turns(urls: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The rows in an order in which the hosts take turns: no worker waits long at one gate while others are open."""
    hosts = pc.replace_substring_regex(pc.utf8_lower(urls), r"^[a-z]*://([^/?#]*).*$", r"\1").combine_chunks()
    codes = np.asarray(hosts.dictionary_encode().indices, np.int64)
    by_host = np.argsort(codes, kind="stable")
    numbers = np.bincount(codes)
    turn = np.arange(len(codes)) - np.repeat(np.cumsum(numbers) - numbers, numbers)
    return by_host[np.argsort(turn, kind="stable")]


def _write_requests(out: Location, wanted: pa.Table, arguments: Mapping[str, Any], retry: bool) -> int:
    """Write the table of requests unless it is the one of a run to go on with; gives the files that are there."""
    uri = out / _REQUESTS
    downloads = out / DOWNLOADS
    pieces = [json.dumps(arguments, sort_keys=True), *wanted["object_id"].to_pylist(), *wanted["url"].to_pylist()]
    key = digest(*(piece.encode() for piece in pieces)).encode()
    before = pq.read_table(BytesIO(uri.read_bytes())) if uri.exists() else None
    again = retry and (downloads / RUN).exists()
    if before is not None and before.schema.metadata[_KEY] == key and not again:
        return int(pc.count(before["path"]).as_py())
    kept = _files_there(out, before)
    rows = [kept.get(key, {}) for key in zip(wanted["object_id"].to_pylist(), wanted["url"].to_pylist(), strict=True)]
    for name in _KEPT:
        wanted = wanted.append_column(name, pa.array([row.get(name) for row in rows], RESULT.field(name).type))
    uri.write_table(wanted.replace_schema_metadata({_KEY: key}))
    return int(pc.count(wanted["path"]).as_py())


def _files_there(out: Location, before: pa.Table | None) -> dict[tuple[str, str], dict[str, Any]]:
    """By object_id and address, what earlier runs noted of the files that lie in their place with their size."""
    names = ["object_id", "url", *_KEPT]
    tables = [] if before is None else [before.select(names)]
    if any(name.endswith(".parquet") for name in (out / DOWNLOADS).names()):
        tables.append((out / DOWNLOADS).dataset().to_table(columns=names))
    rows = [row for table in tables for row in table.to_pylist() if row["path"]]
    if not rows:
        return {}
    pictures = out / PICTURES
    sizes = {info.uri: info.size for info in pictures.list_files()} if pictures.exists() else {}
    return {
        (row["object_id"], row["url"]): row for row in rows if sizes.get(str(pictures / row["path"])) == row["bytes"]
    }


# -- the pass ----------------------------------------------------------------------------------------------------------


class _GateActor(Gate, Connections):
    """The gate of a run, its connections, and what its workers may differ in from run to run."""

    def __init__(self, manners: Manners, connections: int) -> None:
        Gate.__init__(self, manners.rate, manners.patience)
        Connections.__init__(self, connections)
        self._manners = manners

    async def manners(self) -> Manners:
        """How servers are treated: no part of the pass's settings."""
        return self._manners


class _FarGate:
    """The gate, from a worker."""

    def __init__(self) -> None:
        self._actor = ray.get_actor(_GATE)
        self._worker = secrets.token_hex(8)

    def manners(self) -> Manners:
        manners: Manners = ray.get(self._actor.manners.remote())
        return manners

    @asynccontextmanager
    async def connections(self) -> AsyncIterator[Callable[[], AbstractAsyncContextManager[None]]]:
        """Gives what lets one download after the other be open; while it is in use the gate hears of this worker."""
        asking = asyncio.Lock()  # one asks for all: the calls that wait at the gate are as many as the workers

        @asynccontextmanager
        async def connection() -> AsyncIterator[None]:
            async with asking:
                await self._actor.open.remote(self._worker)
            try:
                yield
            finally:
                await self._actor.close.remote(self._worker)

        async def beat() -> None:
            while True:
                await self._actor.beat.remote(self._worker)
                await asyncio.sleep(_BEAT)

        beating = asyncio.ensure_future(beat())
        try:
            yield connection
        finally:
            beating.cancel()

    async def enter(self, host: str) -> float:
        return float(await self._actor.enter.remote(host))

    async def hold(self, host: str, seconds: float) -> None:
        await self._actor.hold.remote(host, seconds)


@contextmanager
def _gate(options: DownloadOptions) -> Iterator[None]:
    cluster.connect()
    manners = Manners(
        **options.model_dump(
            include={
                "rate", "attempts", "patience", "connect_timeout", "read_timeout", "request_timeout", "user_agent"
            }
        )
    )  # fmt: skip
    # Each worker of the pass takes a CPU; the gate takes none, and most of its callers are asleep.
    actor = (
        ray.remote(_GateActor)
        .options(name=_GATE, num_cpus=0, max_concurrency=20_000, max_restarts=-1, max_task_retries=-1)
        .remote(manners, options.connections)
    )
    try:
        yield
    finally:
        ray.kill(actor)


class _DownloadWorker:
    def __init__(self, max_bytes: int, opt_out: bool, private: bool) -> None:
        self._rules = Rules(max_bytes, opt_out, private)
        self._gate = _FarGate()

    def __call__(self, rows: pa.Table) -> pa.Table:
        return asyncio.run(self._download(rows.to_pylist()))

    async def _download(self, rows: Sequence[dict[str, Any]]) -> pa.Table:
        async with (
            Fetcher(self._gate, self._rules, self._gate.manners()) as fetcher,
            self._gate.connections() as connection,
        ):

            async def one(row: dict[str, Any]) -> dict[str, Any]:
                if row["path"]:  # fetched before
                    return row | {"status": "ok"}
                async with connection():
                    fetched = await fetcher.fetch(row["url"])
                    return row | await asyncio.to_thread(store, fetched, row["image_uri"])

            return pa.Table.from_pylist(await asyncio.gather(*map(one, rows)), RESULT)


def store(fetched: Fetched, uri: str) -> dict[str, Any]:
    """Write what was fetched if it is a picture that artray reads; the columns of its row, from `path` on.

    Args:
        fetched: The bytes, or why there are none.
        uri: Where the picture is to lie; the suffix of its format is added.

    Raises:
        InputError: It can't be written.
    """
    row: dict[str, Any] = dict.fromkeys(RESULT.names[2:])
    if fetched.status != "ok":
        return row | {"status": fetched.status, "error": fetched.error}
    # With no pixel allowed the header is read and nothing is decoded: a sound one is refused for its size.
    picture = decode(fetched.data, 1, max_pixels=0)
    if picture.status != "too_large":
        return row | {"status": picture.status, "error": picture.error}
    target = Location(f"{uri}{_SUFFIX[picture.format or '']}")
    target.write_bytes(fetched.data)
    return row | {
        "path": target.name,
        "status": "ok",
        "sha256": hashlib.sha256(fetched.data).hexdigest(),
        "bytes": len(fetched.data),
        "etag": fetched.etag,
    }
