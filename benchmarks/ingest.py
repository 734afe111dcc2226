"""How long a catalogue takes to meet its pictures.

    python benchmarks/ingest.py [--rows 1000000]

Names are made up: rows and pictures in different orders, one in ten pictures without a row and the other way round,
a third of the names spelled differently (case, percent-encoding, decomposed accents). The listing is a fake source that
hands out pages of 1,000 names, as S3 does. Each case runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import base64
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from artray.catalogs.columns import Mapping
from artray.catalogs.matching import match

PAGE = 1000


def path_of(number: int) -> str:
    return (
        f"scans/{number % 997:03d}/Objet trouvé {number}.jpg"
        if number % 3
        else f"scans/{number % 997:03d}/{number}.JPG"
    )


def spelled(number: int) -> str:
    path = path_of(number)
    return (path, quote(path), path.lower().replace("é", "e\u0301"))[number % 3 if number % 5 == 0 else 0]


def title_of(number: int) -> str:
    return f"Étude no. {number}, for a larger composition"


Names = Callable[[int], str]
CASES: dict[str, tuple[Names, Names, Mapping]] = {
    "file": (path_of, spelled, Mapping(file="name")),
    "file below another folder": (lambda n: f"export/{path_of(n)}", path_of, Mapping(file="name")),
    "url": (
        lambda n: f"T{n:07d}_8.jpg", lambda n: f"https://museum.test/{n % 97}/T{n:07d}_8.jpg", Mapping(url="name")
    ),
    "id in the name": (lambda n: f"web/T{n:07d}_8.jpg", lambda n: f"T{n:07d}", Mapping(object_id="name")),
    "base64 title": (
        lambda n: base64.urlsafe_b64encode(title_of(n).encode()).decode() + ".jpg", title_of, Mapping(title="name")
    ),
}  # fmt: skip


def listing(names: Names, numbers: np.ndarray) -> Iterator[pa.RecordBatch]:
    """A fake listing source: pages of path, size and version."""
    for start in range(0, len(numbers), PAGE):
        page = numbers[start : start + PAGE].tolist()
        columns = {
            "path": [names(n) for n in page],
            "size": [n % 10_000_000 for n in page],
            "version": [f"{n:x}" for n in page],
        }
        yield pa.RecordBatch.from_pydict(columns)


def measure(case: str, rows: int, results: "multiprocessing.Queue[tuple[float, float, int, str]]") -> None:
    picture_name, row_name, mapping = CASES[case]
    random = np.random.default_rng(0)
    numbers = random.permutation(rows)
    catalog = pa.table(
        {"name": [row_name(n) for n in numbers.tolist()], "title": [f"work {n}" for n in numbers.tolist()]}
    )
    start = time.perf_counter()
    pictures = pa.Table.from_batches(listing(picture_name, random.permutation(rows) + rows // 10))
    listed = time.perf_counter()
    found = match(pictures, catalog, mapping)
    seconds = time.perf_counter() - listed
    wrong = np.asarray(numbers)[found.table["row"].drop_null()] != np.asarray(
        pictures["size"].filter(found.table["row"].is_valid())
    )
    if wrong.any():
        raise SystemExit(f"{case}: {wrong.sum()} wrong rows")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    results.put((seconds, peak, found.report.pictures_matched, f"{listed - start:.1f} s to list"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    context = multiprocessing.get_context("spawn")
    print(f"{'join by':<28}{'seconds':>9}{'peak GiB':>10}{'matched':>11}   {rows:,} rows to {rows:,} pictures")
    for case in CASES:
        results = context.Queue()
        process = context.Process(target=measure, args=(case, rows, results))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(process.exitcode)
        seconds, peak, matched, note = results.get()
        print(f"{case:<28}{seconds:>9.1f}{peak:>10.2f}{matched:>11,}   {note}", flush=True)


if __name__ == "__main__":
    main()
