"""The same training on one replica and on three, each in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def on_replicas(module: str, folder: Path) -> dict[int, dict[str, np.ndarray]]:
    """What a module of these tests writes, by the number of its replicas: `python -m MODULE NUMBER FILE.npz`."""
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    processes = {
        number: subprocess.Popen(
            [sys.executable, "-m", module, str(number), str(folder / f"{number}.npz")],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (1, 3)
    }
    for process in processes.values():
        _, errors = process.communicate(timeout=400)
        assert process.returncode == 0, errors[-3000:]
    return {number: dict(np.load(folder / f"{number}.npz")) for number in processes}
