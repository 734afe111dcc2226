"""`artray.storage.Location` beside universal-pathlib's `UPath`, on a folder and on a real S3 server.

    pip install universal-pathlib
    python benchmarks/locations.py [--objects 20000] [--chunks 2000] [--repeats 3]

Two things that jobs do: list a collection (its files with size and version: etag, or modification time), and a pass's
way with its chunks: for each the name of its part, whether it is there, written, and read. Says the medians and ratios,
and what of size and version a listing by `UPath` knows.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from artray.storage import Location

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.servers import running_s3_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--chunks", type=int, default=2_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    table = Table("", "what", "Location", "UPath", "Location is … times as fast", "UPath's listing knows")
    with tempfile.TemporaryDirectory() as scratch, running_s3_server(scratch_folder(scratch)) as server:
        os.environ.update(server.environment())
        fs, _ = Location.parse("s3://museum").filesystem()
        fs.mkdir("museum")
        for where, root in (("folder", f"{scratch}/files"), ("S3", "s3://museum/files")):
            fill(Location.parse(root), options.objects)
            knows = upath_listing(root)[0]
            compare(
                table,
                (where, f"{options.objects:,} files listed"),
                lambda root=root: len(list(Location.parse(root).list_files())),
                lambda root=root: len(upath_listing(root)),
                options.repeats,
                f"size {knows[1]}, version {knows[2]}",
            )
            compare(
                table,
                (where, f"{options.chunks:,} chunks"),
                lambda root=root: location_chunks(f"{root}-own", options.chunks),
                lambda root=root: upath_chunks(f"{root}-upath", options.chunks),
                options.repeats,
                "",
            )
    Console(width=140).print(table)


def scratch_folder(scratch: str) -> Path:
    folder = Path(scratch, "s3")
    folder.mkdir()
    return folder


def fill(root: Location, number: int) -> None:
    fs, path = root.filesystem()
    names = [f"{path}/{item // 1000:03d}/{item:06d}.jpg" for item in range(number)]
    if root.is_s3:
        for start in range(0, number, 1000):
            fs.pipe(dict.fromkeys(names[start : start + 1000], b"jpeg"))
        return
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"jpeg")


def upath(root: str):
    from upath import UPath

    if not root.startswith("s3://"):
        return UPath(root)
    return UPath(root, endpoint_url=os.environ["AWS_ENDPOINT_URL"], use_listings_cache=False)


def upath_listing(root: str) -> list[tuple[str, object, object]]:
    """What a manifest needs: path, size, and etag or modification time."""
    found = []
    for path in upath(root).rglob("*"):
        if path.suffix:
            stat = path.stat()
            found.append((str(path), stat.st_size, getattr(stat, "_info", {}).get("ETag", stat.st_mtime)))
    return found


def location_chunks(root: str, number: int) -> int:
    out = Location.parse(root)
    for chunk in range(number):
        part = out / f"part-{chunk:06d}.parquet"
        if not part.exists():
            part.write_bytes(b"rows")
        part.read_bytes()
    out.remove()
    return number


def upath_chunks(root: str, number: int) -> int:
    out = upath(root)
    out.mkdir(parents=True, exist_ok=True)
    for chunk in range(number):
        part = out / f"part-{chunk:06d}.parquet"
        if not part.exists():
            part.write_bytes(b"rows")
        part.read_bytes()
    out.fs.rm(out.path, recursive=True)
    return number


def compare(
    table: Table,
    what: tuple[str, str],
    ours: Callable[[], int],
    theirs: Callable[[], int],
    repeats: int,
    remark: str,
) -> None:
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(repeats):  # in turn, as the machine's speed drifts
        for name, function in (("ours", ours), ("theirs", theirs)):
            begin = time.perf_counter()
            assert function()
            times[name].append(time.perf_counter() - begin)
    own, other = (statistics.median(values) for values in times.values())
    table.add_row(*what, f"{own:.2f} s", f"{other:.2f} s", f"{other / own:.2f}", remark)


if __name__ == "__main__":
    main()
