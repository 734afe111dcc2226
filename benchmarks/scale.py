"""What a pass costs beside its work: a manifest of millions of rows, and a stage that does nothing with them.

    python benchmarks/scale.py [--rows 100000] [--chunk 256] [--cpus N]
    python benchmarks/scale.py --rows 5000000 --cpus 256 --plan     the plan alone

Makes a manifest as `ingest` writes it, with a catalogue's columns, and runs a pass over it whose worker only says "ok".
Measured: the manifest's file; the plan, in seconds and bytes; the pass, with the driver's CPU time and its highest
memory, and that of Ray's control store; and the same pass again, which finds everything done. What it costs the driver
goes by chunks, not by rows: --chunk 8 with 160,000 rows has as many as five million rows have. Needs the extra `bench`.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from artray import cluster
from artray.console import quiet
from artray.ingest.manifest import FILE
from artray.storage import PLAN, Location, passes

ARTISTS = ("Turner, Joseph Mallord William", "Hepworth, Dame Barbara", "Utagawa Toyokuni II", "Blake, William")
MEDIA = ("Graphite on paper", "Oil paint on canvas", "Etching and aquatint", "Watercolour on paper")


class Nothing:
    """Reads no picture."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        return rows.select(["object_id"]).append_column("status", pa.array(["ok"] * len(rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="of the manifest (default: 100,000)")
    parser.add_argument("--chunk", type=int, default=256, help="rows of a chunk, at most (default: 256)")
    parser.add_argument("--cpus", type=int, help="as many as the plan and the pass go by (default: this machine's)")
    parser.add_argument("--plan", action="store_true", help="plan, and run nothing")
    options = parser.parse_args()
    quiet(verbose=False)
    if options.cpus:
        cluster.cpus = lambda: options.cpus
    passes._LARGEST_CHUNK = options.chunk
    passes.BATCH = min(passes.BATCH, options.chunk)
    with tempfile.TemporaryDirectory() as scratch:
        manifest = Path(scratch) / "manifest"
        write_manifest(manifest, options.rows)
        if not (options.plan and options.cpus):
            cluster.connect()
        lines = Table("", "", title=f"{options.rows:,} rows, {cluster.cpus()} CPUs", show_header=False)
        size = (manifest / FILE).stat().st_size
        footer = pq.ParquetFile(manifest / FILE).metadata
        lines.add_row(
            "manifest", f"{size / 1e6:,.0f} MB, {footer.num_row_groups} row groups, footer {footer.serialized_size:,} B"
        )
        with peak() as used:
            groups, _ = passes._manifest_rows(Location.parse(manifest))
            plan = passes._plan(Location.parse(Path(scratch) / "planned"), {}, groups, False)
        chunks = len(plan["chunks"])
        size = (Path(scratch) / "planned" / PLAN).stat().st_size
        lines.add_row("plan", f"{chunks:,} chunks, {size / 1e6:.1f} MB; {', '.join(used)}")
        for title in () if options.plan else ("pass", "the same again"):
            with peak() as used:
                begin = time.perf_counter()
                counts = passes.run_pass(
                    "nothing", Location.parse(manifest), Location.parse(Path(scratch) / "out"), Nothing, {}
                )
                seconds = time.perf_counter() - begin
            assert counts["ok"] == options.rows
            lines.add_row(title, f"{1000 * seconds / chunks:.1f} ms a chunk; {', '.join(used)}")
        Console().print(lines)


def write_manifest(folder: Path, rows: int) -> None:
    """A manifest in one file, a row group every 4,096 rows."""
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, 40_960):
        index = np.arange(start, min(start + 40_960, rows))
        ids = pa.array([f"P{number:07d}" for number in index])
        table = pa.table(
            {
                "object_id": ids,
                "image_uri": pa.array(
                    [f"s3://museum/scans/{number // 1000:05d}/P{number:07d}.jpg" for number in index]
                ),
                "size": pa.array(numbers.integers(100_000, 9_000_000, len(index))),
                "version": pa.array([f"{value:032x}" for value in numbers.integers(0, 2**62, len(index))]),
                "title": pa.array([f"Untitled study for a larger work, number {number}" for number in index]),
                "artist": pa.array(numbers.choice(ARTISTS, len(index))),
                "medium": pa.array(numbers.choice(MEDIA, len(index))),
                "year": pa.array([str(year) for year in numbers.integers(1500, 2020, len(index))]),
                "style": pa.array(numbers.choice(["Impressionism", "Cubism", "Rococo"], len(index))),
                "group": ids,
                "split": pa.array(numbers.choice(["train", "validation", "test"], len(index))),
                "change": pa.array(["new"] * len(index)),
            }
        )
        writer = writer or pq.ParquetWriter(folder / FILE, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=4096)
    assert writer is not None
    writer.close()


@contextmanager
def peak() -> Iterator[list[str]]:
    """Time, and of this process and Ray's control store (GCS) CPU time and highest memory, looked at every 0.2 s."""
    watched = {"driver": psutil.Process()}
    for child in psutil.Process().children():
        if child.name() == "gcs_server":
            watched["control store"] = child
    highest = {name: process.memory_info().rss for name, process in watched.items()}
    spent = {name: sum(process.cpu_times()[:2]) for name, process in watched.items()}
    begin = time.perf_counter()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            for name, process in watched.items():
                highest[name] = max(highest[name], process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    found: list[str] = []
    try:
        yield found
    finally:
        stop.set()
        thread.join()
        found.append(f"{time.perf_counter() - begin:.1f} s")
        for name, process in watched.items():
            cpu = sum(process.cpu_times()[:2]) - spent[name]
            found.append(f"{name} {cpu:.1f} s of CPU and {highest[name] / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
