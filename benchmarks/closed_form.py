"""Seconds and memory of the classifiers that are solved for, by the number of works and features.

    python benchmarks/closed_form.py [--works 1000,5000] [--features 6176]

Features are made up: six classes that differ a little, artists of ten works each. Each fit is a process of its own: the
strengths chosen by five folds of at most 3,000 works, then the weights on all; what `train` does beside it (reading,
evaluating, writing the bundle) is left out. Seconds are CPU seconds on one thread, which other programs disturb least;
memory is what the process holds at most, above what it held before.

    python benchmarks/closed_form.py --streamed 200000 --features 1280

Instead: a logistic regression of one penalty on so many works that lie in files, gone through block by block.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

CLASSES = 6
BLOCK = 4096


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


def streamed(works: int, features: int) -> tuple[float, float, float, float, int]:
    """The same of a logistic regression on works in files, and how often it went through them."""
    from artray.classifiers.out_of_fold import LOGISTIC
    from artray.engine.examples import Inputs, Shard
    from artray.storage import Location

    random, passes = np.random.default_rng(0), 0
    means = random.normal(size=(CLASSES, features)).astype(np.float32) * 0.1
    labels = random.integers(0, CLASSES, works)
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    batches = np.split(np.arange(works), range(BLOCK, works, BLOCK))
    with tempfile.TemporaryDirectory() as scratch:
        shards = []
        for number, batch in enumerate(batches):
            file = Path(scratch, str(number))
            x = random.standard_normal((len(batch), features), np.float32) + means[labels[batch]]
            file.write_bytes(x.tobytes())
            shards.append(Shard(Location.parse(str(file)), len(batch), (features,), "float32"))
        place = np.stack([np.arange(works) // BLOCK, np.arange(works) % BLOCK], axis=1)
        inputs = Inputs(shards, place)

        def blocks() -> Iterator[tuple[Any, Any]]:
            nonlocal passes
            passes += 1
            inputs.follow(batches, lambda batch: batch)
            for batch in batches:
                yield inputs.take(batch), targets[batch]

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, cpu = time.perf_counter(), time.process_time()
        weights, bias = LOGISTIC.prepare(blocks, features, np.ones(CLASSES))(1e-3)
        seconds, clock = time.process_time() - cpu, time.perf_counter() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    tested = random.normal(size=(500, features)) + means[np.arange(500) % CLASSES]
    right = (tested @ weights + bias).argmax(axis=1) == np.arange(500) % CLASSES
    return seconds, clock, grown, float(right.mean()), passes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--works", default="1000,5000")
    parser.add_argument("--features", type=int, default=6176, help="6,176: EfficientNet-Lite0's style statistics")
    parser.add_argument("--models", default="lda,logistic,default")
    parser.add_argument("--streamed", type=int, help="works in files")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    table = Table(title=f"Fits on {options.features:,} features", title_justify="left")
    for column in ("model", "works", "CPU s", "s", "MB", "accuracy"):
        table.add_column(column, justify="left" if column == "model" else "right")
    context = multiprocessing.get_context("spawn")
    if options.streamed:
        with context.Pool(1) as pool:
            *found, passes = pool.apply(streamed, (options.streamed, options.features))
        seconds, clock, grown, accuracy = found
        name = f"logistic, {passes} times through files"
        numbers = [f"{options.streamed:,}", f"{seconds:.1f}", f"{clock:.1f}", f"{grown:,.0f}", f"{accuracy:.3f}"]
        table.add_row(name, *numbers)
        Console().print(table)
        return
    for name in options.models.split(","):
        for works in map(int, options.works.split(",")):
            with context.Pool(1) as pool:
                seconds, clock, grown, accuracy = pool.apply(fit, (name, works, options.features))
            table.add_row(name, f"{works:,}", f"{seconds:.1f}", f"{clock:.1f}", f"{grown:,.0f}", f"{accuracy:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
