"""Seconds and memory of the classifiers that are solved for, by the number of works and features.

    python benchmarks/closed_form.py [--works 1000,5000] [--features 6176]

Features are made up: six classes that differ a little, artists of ten works each. Each fit is a process of its own: the
strengths chosen by five folds of at most 3,000 works, then the weights on all; what `train` does beside it (reading,
evaluating, writing the bundle) is left out. Seconds are CPU seconds on one thread, which other programs disturb least;
memory is what the process holds at most, above what it held before.
"""

import argparse
import multiprocessing
import os
import resource
import time

import numpy as np
from rich.console import Console
from rich.table import Table

CLASSES = 6


def fit(name: str, works: int, features: int) -> tuple[float, float, float, float]:
    """Seconds of CPU and of the clock, MB, and the accuracy on works that were not learned from."""
    from artray.estimators import DiscriminantClassifier, LinearMeanClassifier, LogisticClassifier

    kinds = {
        "lda": DiscriminantClassifier(),
        "logistic": LogisticClassifier(),
        "default": LinearMeanClassifier(widths={"style_statistics": features}),
    }
    random = np.random.default_rng(0)
    means = random.normal(size=(CLASSES, features)).astype(np.float32) * 0.1
    artists = np.arange(works) // 10
    labels = random.integers(0, CLASSES, works)
    x = random.normal(size=(works, features)).astype(np.float32) + means[labels]
    tested = random.normal(size=(500, features)).astype(np.float32) + means[np.arange(500) % CLASSES]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    model = kinds[name].fit(x, labels, groups=artists.tolist())
    seconds, clock = time.process_time() - cpu, time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return seconds, clock, grown, model.score(tested, np.arange(500) % CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--works", default="1000,5000")
    parser.add_argument("--features", type=int, default=6176, help="6,176: EfficientNet-Lite0's style statistics")
    parser.add_argument("--models", default="lda,logistic,default")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    table = Table(title=f"Fits on {options.features:,} features", title_justify="left")
    for column in ("model", "works", "CPU s", "s", "MB", "accuracy"):
        table.add_column(column, justify="left" if column == "model" else "right")
    context = multiprocessing.get_context("spawn")
    for name in options.models.split(","):
        for works in map(int, options.works.split(",")):
            with context.Pool(1) as pool:
                seconds, clock, grown, accuracy = pool.apply(fit, (name, works, options.features))
            table.add_row(name, f"{works:,}", f"{seconds:.1f}", f"{clock:.1f}", f"{grown:,.0f}", f"{accuracy:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
