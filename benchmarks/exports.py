"""Inputs a second of a model's exported forms, in turns.

    python benchmarks/exports.py EXPORTED [EXPORTED …] [--turns 15]

EXPORTED is a folder of `artray export-model`. That job measures one form after the other, so that a machine on which
something else begins meanwhile compares badly. Here all forms take turns with batches of 16 made-up pictures, and of
each the fastest and the median turn are told. All have as many threads as the machine has CPUs.
"""

import argparse
import statistics
import time
from pathlib import Path

from artray.console import quiet

quiet(verbose=False)

import numpy as np  # noqa: E402 - TensorFlow's chatter is turned off before it is imported
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from artray.exports.forms import FORMS  # noqa: E402
from artray.exports.judging import BATCH  # noqa: E402
from artray.storage import Location  # noqa: E402


def rates(folder: Path, turns: int) -> Table:
    about = Location.parse(folder / "model.json").read_json()
    shape = about.get("input_shape")
    if shape is None:  # of an export that an older release has made
        side = about["input"].get("model_size") or about["input"].get("size")
        if side is None:
            raise SystemExit(f"{folder}: doesn't say how many features its model takes: export it again")
        shape = [side, side, 3]
    batch = np.random.default_rng(0).uniform(0, 255, (BATCH, *shape)).astype(np.float32)
    runners = {name: form.load(folder / name) for name, form in FORMS.items() if (folder / name / "form.json").exists()}
    for run in runners.values():
        run(batch)
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(turns):
        for name, run in runners.items():
            started = time.perf_counter()
            run(batch)
            seconds[name].append(time.perf_counter() - started)
    table = Table("form", "inputs/s, fastest", "median", title=f"{folder.name}, {'x'.join(map(str, shape))}")
    for name, found in seconds.items():
        table.add_row(FORMS[name].title, f"{BATCH / min(found):,.0f}", f"{BATCH / statistics.median(found):,.0f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exported", nargs="+", type=Path)
    parser.add_argument("--turns", type=int, default=15)
    options = parser.parse_args()
    for folder in options.exported:
        Console().print(rates(folder, options.turns))


if __name__ == "__main__":
    main()
