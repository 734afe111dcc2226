"""What the benchmarks of training have in common: networks with their examples, and how turns are timed."""

# ruff: noqa: E402 - TensorFlow's chatter is turned off before it is imported
import os
import time
from collections.abc import Callable
from typing import Any

from artray.console import quiet

quiet(verbose=False)

import keras
import numpy as np
import numpy.typing as npt

from artray.classifiers.losses import CrossEntropy
from artray.engine.augmentation import Augmentation, draw
from artray.engine.supervised import SupervisedTrainer
from artray.engine.views import Views
from artray.models.classifiers import classifier

# model, shape of an example, classes, batch size, examples
CASES: list[tuple[str, tuple[int, ...], int, int, int]] = [
    ("linear_head", (1280,), 6, 64, 1920),
    ("linear_head", (1280,), 6, 8, 1920),
    ("one_block_vgg", (48, 48, 3), 2, 64, 640),
    ("one_block_vgg", (48, 48, 3), 2, 8, 320),
    ("valence_cnn", (256, 256, 3), 2, 8, 64),
]
AUGMENTATIONS = {
    "none": Augmentation(),
    "flip": Augmentation(flip=True),
    "flip, rotate 25, crop 0.2": Augmentation(flip=True, rotate=25, crop=0.2),
}


def examples(shape: tuple[int, ...], classes: int, count: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    if len(shape) == 3:
        x: npt.NDArray[Any] = rng.integers(0, 256, (count, *shape), np.uint8)
    else:
        x = rng.normal(size=(count, *shape)).astype(np.float32)
    return x, np.eye(classes, dtype=np.float32)[rng.integers(0, classes, count)]


def trainer_of(
    name: str, shape: tuple[int, ...], classes: int, settings: dict[str, Any] | None = None, **options: Any
) -> SupervisedTrainer:
    return SupervisedTrainer(
        lambda: classifier(name, shape, classes, settings or {}),
        lambda: keras.optimizers.Adam(1e-3),
        CrossEntropy(),
        **{"precision": "float32", **options},
    )


def views_of(how: Augmentation) -> dict[str, Any]:
    """Options of a trainer that changes its pictures so."""
    return {"views": Views(how, os.cpu_count() or 1) if how else None}


def draws(how: Augmentation) -> Callable[..., Any]:
    """What the feed asks how pictures are to be changed."""
    return lambda rows: draw(rows, how, 0, 0)


def epoch_of(count: int, batch: int, seed: int) -> list[npt.NDArray[np.int64]]:
    order = np.random.default_rng(seed).permutation(count)
    return [order[start : start + batch] for start in range(0, count, batch)]


def best_of(runs: dict[str, Callable[[], None]], repeats: int, seconds: float) -> dict[str, float]:
    """Each run's shortest time; repeated so often that a repeat takes about `seconds` of them all."""
    for run in runs.values():
        run()
    started = time.perf_counter()
    for run in runs.values():
        run()
    number = max(1, round(seconds / (time.perf_counter() - started)))
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            for _ in range(number):
                run()
            best[name] = min(best[name], (time.perf_counter() - started) / number)
    return best


def paired(runs: dict[str, Callable[[], None]], repeats: int, seconds: float) -> tuple[list[float], list[float]]:
    """Two runs' median seconds, and the medians over all pairs of turns of the second's time by the first's.

    Others' load, which comes and goes, weighs on both turns of a pair.

    Returns:
        Wall seconds of the first and the second; their ratio in wall time, and in CPU time of all threads.
    """
    for run in runs.values():
        run()
    turns: list[list[tuple[float, float]]] = [[], []]
    begun = time.perf_counter()
    while len(turns[1]) < 2 * repeats or time.perf_counter() - begun < repeats * seconds:
        for run, found in zip(runs.values(), turns, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            found.append((time.perf_counter() - wall, time.process_time() - cpu))
    first, second = np.array(turns)
    return np.median([first[:, 0], second[:, 0]], axis=1).tolist(), np.median(second / first, axis=0).tolist()
