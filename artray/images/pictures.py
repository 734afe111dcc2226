"""The pictures of some manifest rows, fetched and decoded batch by batch.

Features, patches and labels all read pictures through `read_pictures`: there is one decode path, so a model sees in
labelling what it saw in training.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.errors import InputError
from artray.images.decoding import Decoded, decode
from artray.storage import REFUSED, ReadError, read_many
from artray.storage.chunks import BATCH

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DecodeSize:
    """How a picture is decoded (see `artray.images.decoding.decode`).

    Attributes:
        size: In pixels.
        fit: `stretch` to size × size, or `inside`: aspect kept, the long side at most `size`.
    """

    size: int
    fit: Literal["stretch", "inside"] = "stretch"


@dataclass(frozen=True, slots=True)
class Pictures:
    """A batch: the manifest's rows, each one's state, and those pictures that could be decoded.

    Attributes:
        rows: The rows of the manifest.
        state: For each row `status`, `error`, and `width`, `height` of the upright original.
        readable: Which rows have a picture, as indices into `rows`.
        images: For each size, the pictures of the readable rows, in their order.
    """

    rows: pa.Table
    state: pa.Table
    readable: list[int]
    images: dict[DecodeSize, list[Picture]]

    def spread(self, values: pa.Array) -> pa.Array:
        """Values of the readable rows as a column for all rows, null elsewhere."""
        return spread(values, self.readable, len(self.rows))


def spread(values: pa.Array, readable: Sequence[int], rows: int) -> pa.Array:
    """Values of the readable ones among so many rows as a column for all rows, null elsewhere."""
    position = dict(zip(readable, range(len(readable)), strict=True))
    return values.take(pa.array([position.get(row) for row in range(rows)], pa.int64()))


STATE = pa.schema(
    [("status", pa.string()), ("error", pa.string()), ("width", pa.int32()), ("height", pa.int32())],
)


MAY_PASS = pa.array(["missing", "denied", "failed"])
"""Statuses that another day may change though the picture doesn't."""


def read_pictures(
    rows: pa.Table, decode_sizes: Sequence[DecodeSize], batch: int = BATCH, threads: int = 1
) -> Iterator[Pictures]:
    """Fetch and decode the pictures of manifest rows; the next batch is fetched while one is worked on.

    Args:
        rows: Rows with `image_uri` (null: no picture).
        decode_sizes: The sizes wanted; each decodes on its own, so that one's pixels never depend on another's.
        batch: How many pictures are in memory at once, decoded.
        threads: How many of them are decoded at once.

    Raises:
        InputError: The S3 server refuses the keys: that is no picture's fault.
    """
    slices = [rows.slice(start, batch) for start in range(0, len(rows), batch)]
    decode_all = partial(_decode_all, decode_sizes=decode_sizes)
    with ThreadPoolExecutor(1) as fetcher, ThreadPoolExecutor(threads) as decoders:
        coming = deque(fetcher.submit(_fetch, rows_of_slice) for rows_of_slice in slices[:2])
        rest = iter(slices[2:])
        for rows_of_slice in slices:
            data = coming.popleft().result()
            coming += [fetcher.submit(_fetch, later) for later in islice(rest, 1)]
            yield _collect(
                rows_of_slice, decoders.map(decode_all, data) if threads > 1 else map(decode_all, data), decode_sizes
            )


def decode_pictures(
    rows: pa.Table, contents: Sequence[bytes | ReadError], decode_sizes: Sequence[DecodeSize]
) -> Pictures:
    """As one batch of `read_pictures`, of files that are in memory.

    Args:
        rows: A row a picture.
        contents: Its file's bytes, or why there are none.
        decode_sizes: The sizes wanted.
    """
    decode_all = partial(_decode_all, decode_sizes=decode_sizes)
    return _collect(rows, map(decode_all, contents), decode_sizes)


Outcome = ReadError | list[Decoded]
"""A picture in each size, or why its file could not be read."""


def _fetch(rows: pa.Table) -> list[bytes | ReadError]:
    uris = rows["image_uri"].to_pylist()
    content_of = dict(zip(filter(None, uris), read_many(list(filter(None, uris))), strict=True))
    for uri, content in content_of.items():
        if isinstance(content, ReadError) and content.message == REFUSED:
            raise InputError(f"{uri}: {content.message}; have they expired? The same command goes on with new ones")
    return [content_of[uri] if uri else ReadError("missing", "the record names no picture") for uri in uris]


def _decode_all(content: bytes | ReadError, decode_sizes: Sequence[DecodeSize]) -> Outcome:
    if isinstance(content, ReadError):
        return content
    return [decode(content, decode_size.size, fit=decode_size.fit) for decode_size in decode_sizes]


def _collect(rows: pa.Table, pictures: Iterable[Outcome], decode_sizes: Sequence[DecodeSize]) -> Pictures:
    state: list[dict[str, object]] = []
    readable: list[int] = []
    images: dict[DecodeSize, list[Picture]] = {decode_size: [] for decode_size in decode_sizes}
    for row, decoded in enumerate(pictures):
        if isinstance(decoded, ReadError):
            state.append({"status": decoded.status, "error": decoded.message, "width": None, "height": None})
            continue
        bad = next((item for item in decoded if item.status != "ok"), None)
        item = bad or decoded[0]
        state.append({"status": item.status, "error": item.error, "width": item.width, "height": item.height})
        if bad is None:
            readable.append(row)
            for decode_size, picture in zip(decode_sizes, decoded, strict=True):
                assert picture.image is not None  # status is ok
                images[decode_size].append(picture.image)
    return Pictures(rows, pa.Table.from_pylist(state, schema=STATE), readable, images)
