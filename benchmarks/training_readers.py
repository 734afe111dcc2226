"""Who reads streamed examples sooner, artray's reader or Ray Data: `readers` of `benchmarks/training.py`."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
from rich.table import Table

from artray import cluster
from artray.engine.examples import Inputs, Shard
from artray.engine.order import shuffled, window_of
from artray.storage import Location

SHARD, BATCH = 256, 64  # a chunk of a pass; a global batch


def write_examples(folder: Path, side: int, number: int) -> list[Shard]:
    """The same pictures as shards, and as Parquet files for Ray Data, a file for each shard."""
    rng = np.random.default_rng(0)
    size, shards = side * side * 3, []
    (folder / "raw").mkdir(parents=True)
    (folder / "parquet").mkdir()
    for first in range(0, number, SHARD):
        pictures = rng.integers(0, 256, (SHARD, side, side, 3), np.uint8)
        file = folder / "raw" / f"{first:09d}.raw"
        file.write_bytes(pictures.tobytes())
        shards.append(Shard(Location.parse(file), SHARD, (side, side, 3), "uint8"))
        cells = pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), SHARD, [None, pa.py_buffer(pictures)])
        # Uncompressed, and without a dictionary: plain bytes, as the shards have them.
        table = pa.table({"number": np.arange(first, first + SHARD), "picture": cells})
        pq.write_table(table, folder / "parquet" / f"{first:09d}.parquet", compression="none", use_dictionary=False)
    return shards


def readers(repeats: int) -> Table:
    """Pictures a second that an epoch hands over as batches, and how long the first one takes."""
    cluster.connect()
    table = Table(
        "picture", "pictures", "reader", "pictures/s", "seconds to the first batch", "ours is … times as fast"
    )
    for side, number in ((64, 48 * 1024), (224, 4 * 1024)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            shards = write_examples(folder, side, number)
            runs = {
                "artray": partial(ours, shards),
                "Ray Data, local shuffle": partial(ray_data, folder / "parquet", side, True),
                "Ray Data, in order": partial(ray_data, folder / "parquet", side, False),
            }
            turns: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
            for _ in range(repeats):
                for name, run in runs.items():
                    turns[name].append(run())
            whole = {name: statistics.median(seconds for _, seconds in some) for name, some in turns.items()}
            for name, some in turns.items():
                first = statistics.median(seconds for seconds, _ in some)
                ratio = whole[name] / whole["artray"]
                table.add_row(
                    f"{side}x{side}",
                    f"{number:,}",
                    name,
                    f"{number / whole[name]:,.0f}",
                    f"{first:.2f}",
                    f"{ratio:.2f}",
                )
    return table


def ours(shards: list[Shard]) -> tuple[float, float]:
    """Seconds until the first batch, and until the last."""
    numbers = np.arange(len(shards) * SHARD)
    positions = np.stack([numbers // SHARD, numbers % SHARD], 1)
    inputs = Inputs(shards, positions)

    def batches() -> Iterator[np.ndarray]:
        order = shuffled(np.random.default_rng(0), numbers, positions, shards[0].example_bytes)
        coming = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        inputs.follow(coming, lambda batch: batch)
        return (inputs.take(batch) for batch in coming)

    return timed(batches)


def ray_data(folder: Path, side: int, shuffle: bool) -> tuple[float, float]:
    """Likewise; the buffer of its local shuffle is as large as a window of ours."""

    def batches() -> Iterator[np.ndarray]:
        buffer = window_of(side * side * 3) if shuffle else None
        data = ray.data.read_parquet(str(folder), columns=["picture"])
        tables = data.iter_batches(batch_size=BATCH, batch_format="pyarrow", local_shuffle_buffer_size=buffer)
        return (pictures_of(batch["picture"], side) for batch in tables)

    return timed(batches)


def pictures_of(cells: pa.ChunkedArray, side: int) -> np.ndarray:
    """Cells of a picture's bytes each, as an array."""
    array, size = pa.concat_arrays(cells.chunks), side * side * 3
    values = np.frombuffer(array.buffers()[1], np.uint8)[array.offset * size : (array.offset + len(array)) * size]
    return values.reshape(-1, side, side, 3)


def timed(batches: Callable[[], Iterator[np.ndarray]]) -> tuple[float, float]:
    began, first = time.perf_counter(), 0.0
    for batch in batches():
        first = first or time.perf_counter() - began
        batch.max()  # every byte is touched
    return first, time.perf_counter() - began
