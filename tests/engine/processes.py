"""The same training on one replica and on several, in a process of their own."""

import gc
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]


def on_replicas(module: str, folder: Path, several: int = 3) -> dict[int, dict[str, np.ndarray]]:
    """What a module of these tests writes, by the number of its replicas: `python -m MODULE FOLDER NUMBER`."""
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder), str(several)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {number: dict(np.load(folder / f"{number}.npz")) for number in (1, several)}


def on_one_and_several(run: Callable[[Any], dict[str, np.ndarray]]) -> None:
    """What such a module is when it is run: `run` without a strategy, then with one of so many replicas.

    Each replica is a logical device of this machine's CPU. One strategy for all: each begins to number its collectives
    anew, and TensorFlow remembers their shapes.
    """
    folder, several = Path(sys.argv[1]), int(sys.argv[2])
    gc.set_threshold(10_000)  # graphs in the making are no garbage
    import tensorflow as tf

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # A graph that is run eight times is not worth a fifth of the time for making it faster.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * several)
    for number in (1, several):
        strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(number)]) if number > 1 else None
        np.savez(folder / f"{number}.npz", **run(strategy))
