"""How busy a pass on a GPU keeps its processes: with a GPU that exists only for Ray.

Each of `--processes` sleeps for as long as decoding would take a core, and the model for as long as a GPU would. What
their time at work falls short of 1 is what the pass itself costs, by errands that come late and by its last chunks, and
what Ray takes of this machine's cores. Whether decoding has a core to itself is not seen here; `benchmarks/gpu.py`
measures that.
"""

import argparse
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from rich.console import Console
from rich.table import Table

from artray import cluster, console
from artray.storage import Location
from artray.storage.gpus import StagedWorker
from artray.storage.passes import run_pass

PICTURE = 224 * 224 * 3  # bytes
MODEL = 5_000  # pictures a second


class Sleeper(StagedWorker):
    """Prepares and labels pictures by doing nothing for as long as it would take; writes down when."""

    batch = 256

    def __init__(self, log: str, milliseconds: float):
        self.log, self.seconds = log, milliseconds / 1000
        self.alone = threading.Lock()  # as if this process' core, or the GPU, were computing

    def prepare(self, rows: pa.Table) -> Iterator[tuple[pa.Table, Any]]:
        with self.alone:
            began = time.time()
            time.sleep(self.seconds * len(rows))
            self._note("prepared", began, len(rows))
        yield rows, np.zeros((len(rows), PICTURE), np.uint8)

    def warm(self) -> None:
        """There is no model."""

    def finish(self, prepared: Sequence[tuple[pa.Table, Any]]) -> pa.Table:
        rows = pa.concat_tables([rows for rows, _ in prepared])
        np.concatenate([pictures for _, pictures in prepared])
        with self.alone:
            began = time.time()
            time.sleep(math.ceil(len(rows) / self.batch) * self.batch / MODEL)  # a batch is filled up
            self._note("finished", began, len(rows))
        return rows.append_column("status", pa.array(["ok"] * len(rows)))

    def _note(self, what: str, began: float, rows: int) -> None:
        with open(self.log, "a") as file:  # noqa: PTH123 appended whole, whoever else does
            file.write(f"{what} {began} {time.time()} {rows}\n")


def measure(pictures: int, processes: int, milliseconds: float) -> tuple[float, float]:
    """Of the time from the first quarter on: pictures a second, and the share in which processes were at work."""
    with tempfile.TemporaryDirectory() as folder:
        root, log = Location.parse(folder), Path(folder) / "log"
        ids = [str(number) for number in range(pictures)]
        manifest = pa.table({"object_id": ids, "image_uri": ids, "version": ["1"] * pictures})
        (root / "manifest" / "manifest.parquet").write_table(manifest)
        arguments = {"log": str(log), "milliseconds": milliseconds}
        run_pass("pictures", root / "manifest", root / "out", Sleeper, arguments, gpus=True)
        lines = [line.split() for line in log.read_text().splitlines()]
    done = np.sort([float(end) for what, _, end, rows in lines if what == "finished" for _ in range(int(rows))])
    first, last = done[pictures // 4], done[-1]
    spans = np.array([(float(began), float(end)) for what, began, end, _ in lines if what == "prepared"])
    busy = np.diff(np.clip(spans, first, last)).sum() / processes
    return float((done > first).sum() / (last - first)), float(busy / (last - first))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="+", default=[2_000, 8_000, 20_000])
    parser.add_argument("--processes", type=int, default=16)
    parser.add_argument("--milliseconds", type=float, default=16, help="that decoding takes a core")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    console.quiet(verbose=False)
    # As many CPUs as that machine would have, whatever this one has.
    cluster.ray.init = partial(ray.init, num_cpus=options.processes, num_gpus=1)  # type: ignore[attr-defined]
    cluster.connect()
    table = Table("pictures", "pictures/s", "that the processes could prepare", "of their time at work")
    for pictures in options.pictures:
        runs = [measure(pictures, options.processes, options.milliseconds) for _ in range(options.repeats)]
        rate, busy = (statistics.median(values) for values in zip(*runs, strict=True))
        most = options.processes * 1000 / options.milliseconds
        table.add_row(f"{pictures:,}", f"{rate:,.0f}", f"{most:,.0f}", f"{busy:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
