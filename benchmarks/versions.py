"""Whether a station has become slower: the walk's jobs of this checkout and of another, in turn.

    python benchmarks/versions.py ../artray-before [--pictures 300] [--repeats 3]

The other checkout, of an earlier version, has an environment of its own in `.venv` (`make .venv/.demo` there), as this
one has. Each job is a command of its own (`python jobs/ingest.py …`), with the start of its Ray, on the same pictures;
every version goes on with what its own jobs wrote. The seconds of CPU are the whole machine's meanwhile, since a job's
Ray has processes that no other waits for: so nothing else may run. Linux only.
"""

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from read import SAMPLE, write_museum_picture
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parents[1]
STYLES = ("Cubism", "Impressionism", "Rococo")
JOBS = {
    "ingest": "--images {pictures} --catalog {pictures}/catalog.csv --label style=style --out manifest",
    "extract_features": "--manifest manifest --out features",
    "make_patches": "--manifest manifest --out patches --size 64 --per-image 4",
    "train": "--config {checkout}/jobs/configs/lite0_head.yaml --data features --out model",
    "label_catalog": "--manifest manifest --model model --out labels",
    "report": "--labels labels --features features --evaluation model --out page",
}
"""The walk: each job with its arguments, all places in one folder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout of another version, with its .venv")
    parser.add_argument("--pictures", type=int, default=300, help="how many (default: %(default)s)")
    parser.add_argument("--side", type=int, default=1200, help="their long side, in pixels (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="how often each version runs (default: %(default)s)")
    options = parser.parse_args()
    checkouts = [HERE, options.other.absolute()]
    for checkout in checkouts:
        if not python_of(checkout).exists():
            parser.error(f"{checkout} has no environment: run `make .venv/.demo` there")
    with tempfile.TemporaryDirectory() as name:
        pictures = Path(name, "pictures")
        make_collection(pictures, options.pictures, options.side)
        turns = []
        for turn in range(options.repeats):
            walks = {}
            for version in (0, 1) if turn % 2 == 0 else (1, 0):  # neither is always the first
                walks[version] = walk(checkouts[version], pictures, Path(name, f"{turn}-{version}"))
            turns.append([walks[0], walks[1]])
    Console().print(compared(turns))


def python_of(checkout: Path) -> Path:
    return checkout / ".venv" / "bin" / "python"


def make_collection(folder: Path, count: int, side: int) -> None:
    """JPEGs of the sample's paintings, which come again with other grain, and their catalogue."""
    folder.mkdir()
    paintings = len(list(SAMPLE.glob("*.jpg")))
    files = [folder / f"{number:05d}.jpg" for number in range(count)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(write_museum_picture, long_side=side), files, range(count)))
    with (folder / "catalog.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["object_id", "artist", "style", "file"])
        for number, path in enumerate(files):
            painting = number % paintings
            writer.writerow([path.stem, f"Artist {painting}", STYLES[painting % len(STYLES)], path.name])


def walk(checkout: Path, pictures: Path, folder: Path) -> dict[str, tuple[float, float]]:
    """The seconds that each job of a checkout takes, and the machine's seconds of CPU meanwhile."""
    folder.mkdir(parents=True)
    taken = {}
    for job, arguments in JOBS.items():
        words = arguments.format(pictures=pictures, checkout=checkout).split()
        command = [str(python_of(checkout)), str(checkout / "jobs" / f"{job}.py"), *words]
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        began, cpu = time.monotonic(), cpu_seconds()
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        taken[job] = time.monotonic() - began, cpu_seconds() - cpu
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-600:]}")
        print(f"{checkout}: {job} {taken[job][0]:.1f} s, {taken[job][1]:.1f} s of CPU", file=sys.stderr)
    return taken


def cpu_seconds() -> float:
    """How long this machine's cores have worked since it started."""
    user, nice, system = Path("/proc/stat").read_text(encoding="ascii").split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def compared(turns: Sequence[Sequence[dict[str, tuple[float, float]]]]) -> Table:
    """Medians over the turns, and the medians of the ratios within each."""
    table = Table("job", "seconds", "other's", "ratio", "CPU seconds", "other's", "ratio")
    rows = {job: [[walked[job] for walked in turn] for turn in turns] for job in JOBS}
    rows["all"] = [[tuple(map(sum, zip(*walked.values(), strict=True))) for walked in turn] for turn in turns]
    for job, measured in rows.items():
        cells = []
        for what in (0, 1):  # seconds, seconds of CPU
            ours, others = ([turn[version][what] for turn in measured] for version in (0, 1))
            ratio = statistics.median(one / other for one, other in zip(ours, others, strict=True))
            cells += [f"{statistics.median(ours):.1f}", f"{statistics.median(others):.1f}", f"{ratio:.2f}"]
        table.add_row(job, *cells)
    return table


if __name__ == "__main__":
    main()
