"""What a pass costs beside its work: a manifest of millions of rows, and a stage that does nothing with them.

    python benchmarks/scale.py [--rows 1000000] [--cpus N] [--keep DIR]

Makes a manifest as `ingest` writes it, with a catalogue's columns, and runs a pass over it whose worker only says "ok".
Measured: the manifest's file; the plan, in seconds and bytes; the pass; the highest memory of the driver and of Ray's
control store; and the same pass again, which finds everything done. Needs the extra `bench`.
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
from artray.collection import passes
from artray.collection.manifest import FILE
from artray.job import quiet

ARTISTS = ("Turner, Joseph Mallord William", "Hepworth, Dame Barbara", "Utagawa Toyokuni II", "Blake, William")
MEDIA = ("Graphite on paper", "Oil paint on canvas", "Etching and aquatint", "Watercolour on paper")


class Nothing:
    """Reads no picture."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        return rows.select(["object_id"]).append_column("status", pa.array(["ok"] * len(rows)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the manifest (default: 1,000,000)")
    parser.add_argument("--cpus", type=int, help="as many as the plan and the pass go by (default: this machine's)")
    parser.add_argument("--keep", type=Path, help="folder for the manifest, used again if it is there")
    options = parser.parse_args()
    quiet(verbose=False)
    if options.cpus:
        cluster.cpus = lambda: options.cpus  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        manifest = folder / f"manifest-{options.rows}"
        if not manifest.exists():
            write_manifest(manifest, options.rows)
        cluster.connect()
        out = Path(scratch) / "out"
        lines = Table("", "", title=f"{options.rows:,} rows, {cluster.cpus()} CPUs", show_header=False)
        size = (manifest / FILE).stat().st_size
        footer = pq.ParquetFile(manifest / FILE).metadata
        lines.add_row(
            "manifest", f"{size / 1e6:,.0f} MB, {footer.num_row_groups} row groups, footer {footer.serialized_size:,} B"
        )
        begin = time.perf_counter()
        groups, _ = passes._manifest_rows(str(manifest))
        chunks = passes._cut(groups)
        lines.add_row("plan", f"{time.perf_counter() - begin:.1f} s, {len(chunks):,} chunks")
        for title in ("pass", "the same again"):
            with peak() as memory:
                begin = time.perf_counter()
                counts = passes.run_pass("nothing", str(manifest), str(out), Nothing, {})
                seconds = time.perf_counter() - begin
            assert counts["ok"] == options.rows
            each = 1000 * seconds / len(chunks)
            lines.add_row(title, f"{seconds:.1f} s, {each:.1f} ms a chunk; {', '.join(memory)}")
        lines.add_row("plan's file", f"{(out / passes.PLAN).stat().st_size / 1e6:.1f} MB")
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
    """The highest resident memory, every half second: of this process, and of Ray's control store (GCS)."""
    watched = {"driver": psutil.Process()}
    for child in psutil.Process().children():
        if child.name() == "gcs_server":
            watched["control store"] = child
    highest = dict.fromkeys(watched, 0)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.5):
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
        found += [f"{name} {size / 1e6:,.0f} MB" for name, size in highest.items()]


if __name__ == "__main__":
    main()
