"""Seconds of `artray compare` with its paper folder, in a fresh process.

    python benchmarks/compare.py [--models 5] [--works 1000]

The models' scores are made up: six classes, works of 250 artists. The job draws, tests and writes as on real ones.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.comparison.made import write_model

CLASSES = tuple(f"class {number}" for number in range(6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=5)
    parser.add_argument("--works", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = [
            write_model(
                Path(folder) / f"m{at}",
                seed=at,
                skill=0.8 - 0.05 * at,
                works=options.works,
                per_group=4,
                classes=CLASSES,
            )
            for at in range(options.models)
        ]
        began = time.perf_counter()
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "artray",
                "compare",
                "--model",
                ",".join(map(str, models)),
                "--out",
                f"{folder}/out",
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime
    counts = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{options.models} models, {options.works:,} works: {wall:.1f} s, {cpu:.1f} s of CPU, "
        f"{counts['paper_files']} files and {counts['figures']} figures in the paper folder"
    )


if __name__ == "__main__":
    main()
