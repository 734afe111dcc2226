"""Examples in Ray's object store: decoded once, seen by every worker.

Every worker sees all examples (on one node they share the memory), so a global batch can be the same set of examples
for any number of workers.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from PIL import Image

from artray import cluster
from artray.images.pictures import DecodeSize, read_pictures
from artray.patches.squares import resized


class Inputs:
    """A worker's view of the inputs: any examples, by index."""

    def __init__(self, blocks: Sequence[Any], place: npt.NDArray[np.int64]):
        self._blocks = ray.get(list(blocks))  # zero-copy: arrays in the node's shared memory
        self._place = place

    def take(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The inputs of some examples, (len(indices), *shape)."""
        block, row = self._place[indices].T
        first = self._blocks[block[0]]
        if len(self._blocks) == 1:
            return np.asarray(first[row])
        taken = np.empty((len(indices), *first.shape[1:]), first.dtype)
        for number in np.unique(block):
            here = block == number
            taken[here] = self._blocks[number][row[here]]
        return taken


def decode_images(
    dataset: Any, kind: Literal["pictures", "patches"], columns: Sequence[str], size: int
) -> tuple[pa.Table, list[Any], npt.NDArray[np.int64]]:
    """Decode all pictures of a manifest, or patches, once, in Ray tasks; the arrays stay in the object store.

    Args:
        dataset: As from `storage.dataset`.
        kind: What it holds.
        columns: Which of its columns are wanted; `image_uri` of a manifest, `status` of patches among them.
        size: Side in pixels.

    Returns:
        The columns, with `status`; references to uint8 arrays (rows, size, size, 3); and (rows, 2): in which array a
        row's picture lies, and where in it. It is black where the status is not ok.
    """
    decode = {"pictures": _decode_pictures, "patches": _decode_patches}[kind]
    remote = ray.remote(num_returns=2)(decode)
    fs = dataset.filesystem
    groups = [(fragment.path, group.id) for fragment in dataset.get_fragments() for group in fragment.row_groups]
    started = [remote.remote(fs, path, group, list(columns), size) for path, group in groups]
    with cluster.unwrapped_errors():
        tables = ray.get([table for table, _ in started])
    place = np.concatenate(
        [np.stack([np.full(len(table), block), np.arange(len(table))], axis=1) for block, table in enumerate(tables)]
    ).astype(np.int64)
    return pa.concat_tables(tables), [block for _, block in started], place


def _read_group(fs: Any, path: str, group: int, columns: Sequence[str]) -> pa.Table:
    with fs.open_input_file(path) as source:
        return pq.ParquetFile(source).read_row_group(group, columns=list(columns))


def _decode_patches(fs: Any, path: str, group: int, columns: list[str], size: int) -> tuple[pa.Table, Any]:
    table = _read_group(fs, path, group, [*columns, "image"])
    images = np.zeros((len(table), size, size, 3), np.uint8)
    for row, image in enumerate(table["image"].to_pylist()):
        if image is not None:
            images[row] = resized(np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB")), size)
    return table.drop_columns(["image"]), images


def _decode_pictures(fs: Any, path: str, group: int, columns: list[str], size: int) -> tuple[pa.Table, Any]:
    table = _read_group(fs, path, group, columns)
    images = np.zeros((len(table), size, size, 3), np.uint8)
    state = []
    start = 0
    decode_size = DecodeSize(size)
    for pictures in read_pictures(table, [decode_size]):
        for row, image in zip(pictures.readable, pictures.images[decode_size], strict=True):
            images[start + row] = image
        state.append(pictures.state["status"])
        start += len(pictures.rows)
    status = pa.chunked_array([chunk for column in state for chunk in column.chunks])
    return table.append_column("status", status), images
