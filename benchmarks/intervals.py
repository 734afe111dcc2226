"""Seconds for the intervals of a model's figures, by the number of works.

    python benchmarks/intervals.py [--classes 20]

Scores are made up, right for most works. What takes the time is the resampling, 1,000 times.
"""

import argparse
import time

import numpy as np

from artray.classifiers.calibration import softmax
from artray.classifiers.metrics import intervals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=20)
    classes = parser.parse_args().classes
    rng = np.random.default_rng(3)
    for works in (1_000, 10_000, 50_000):
        true = rng.integers(0, classes, works)
        scores = softmax(rng.normal(size=(works, classes)) + 2 * np.eye(classes)[true])
        start = time.perf_counter()
        intervals(true, scores)
        print(f"intervals: {works:,} works of {classes} classes in {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
