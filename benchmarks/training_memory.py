"""What memory training takes: `memory` and `worker` of `benchmarks/training.py`."""

import multiprocessing
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image
from read import family_memory
from rich.table import Table
from training_cases import epoch_of, examples, trainer_of

from artray.classifiers.config import read_config
from artray.storage import Location


def write_pictures(folder: Path, works: int, rows: int) -> Path:
    """A manifest of labelled pictures, and of rows without a label or a picture."""
    rng = np.random.default_rng(0)
    files = []
    for number in range(works):
        file = folder / "pictures" / f"{number // 1000:03d}" / f"{number:06d}.jpg"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64)).save(file)
        files.append(str(file))
    manifest = folder / f"manifest-{works}-{rows}"
    labelled = np.arange(rows) % (rows // works) == 0
    uris = np.array([f"/scans/of/a/large/collection/{number:08d}.jpg" for number in range(rows)], object)
    uris[labelled] = files
    table = pa.table(
        {
            "object_id": [f"work-{number:08d}" for number in range(rows)],
            "image_uri": pa.array(uris, pa.string()),
            "kind": pa.array(
                [("a", "b")[number // (rows // works) % 2] if there else None for number, there in enumerate(labelled)],
                pa.string(),
            ),
            "split": rng.choice(["train", "validation", "test"], rows, p=[0.6, 0.2, 0.2]),
        }
    )
    Location.parse(manifest / "part-000000.parquet").write_table(table)
    return manifest


def peak_of(command: list[str]) -> tuple[float, float]:
    """The most memory, in MB, that a command and all processes below it had at once, and its seconds.

    Pages that several processes share, as those of the object store, count once (PSS).
    """
    peak, started = 0, time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as job:
        while job.poll() is None:
            peak = max(peak, family_memory(job.pid))
            time.sleep(0.3)
        assert job.returncode == 0, job.stderr and job.stderr.read()[-2000:]
    return peak / 1e6, time.perf_counter() - started


def measured(command: list[str], out: Path, tries: int = 6) -> tuple[float, float]:
    """As `peak_of`, again where Ray had too little time to start: on a busy machine its half a minute is short."""
    for _ in range(tries - 1):
        with suppress(AssertionError):
            return peak_of([*command, "--out", str(out)])
        shutil.rmtree(out, ignore_errors=True)
    return peak_of([*command, "--out", str(out)])


def memory() -> Table:
    table = Table("labelled", "rows", "in memory", "peak, MB", "seconds", "of the smaller")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = folder / "config.yaml"
        model = "{name: one_block_vgg, filters: 8, dense: 8}"
        config.write_text(f"task: kind\ntarget: kind\ninput: pictures\nsize: 64\nepochs: 2\nmodel: {model}\n")
        before = 0.0
        for works, rows, share in [
            (4000, 4000, 0.001),
            (20000, 20000, 0.001),
            (2000, 2000, 0.3),
            (2000, 1_000_000, 0.3),
        ]:
            manifest, out = write_pictures(folder, works, rows), folder / f"model-{works}-{rows}"
            command = [sys.executable, "-m", "artray", "train", "--config", str(config), "--data", str(manifest)]
            peak, seconds = measured([*command, "--in-memory", str(share)], out)
            ratio = f"{peak / before:.2f}" if before else ""
            print(f"{works:,} of {rows:,} rows: {peak:,.0f} MB, {seconds:.0f} s", file=sys.stderr)
            table.add_row(f"{works:,}", f"{rows:,}", f"{share:g}", f"{peak:,.0f}", f"{seconds:.0f}", ratio)
            before = 0.0 if before else peak
    return table


def train_some(config: str, batch: int, results: Any) -> None:
    """Tell this process' memory at most, in MB, after two steps with a packaged config; without, with Keras loaded."""
    weights = 0
    if config:
        told = read_config(config, {})
        x, y = examples((told.size, told.size, 3), 10, 2 * batch)
        trainer = trainer_of(told.model.name, x.shape[1:], 10, told.model.settings())
        ones, batches = np.ones(len(x), np.float32), epoch_of(len(x), batch, 0)
        list(trainer.train(lambda rows: (x[rows], y[rows], ones[rows]), batches, [1e-3] * len(batches)))
        weights = trainer.model.count_params()
    results.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, weights))


def worker() -> Table:
    table = Table("config", "million weights", "batch", "memory at most, MB", "bytes a pixel of the batch")
    context = multiprocessing.get_context("spawn")
    before: dict[str, tuple[int, float]] = {}
    for config, batch in [("", 0), *((name, batch) for name in ("styles_cnn", "lite0_finetune") for batch in (8, 32))]:
        results = context.SimpleQueue()
        process = context.Process(target=train_some, args=(config, batch, results))
        process.start()
        process.join()
        peak, weights = results.get()
        slope = ""
        if config in before:
            pixels = (batch - before[config][0]) * read_config(config, {}).size ** 2
            slope = f"{(peak - before[config][1]) * 2**20 / pixels:.0f}"
        before[config] = batch, peak
        print(f"{config} {batch}: {peak:,.0f} MB", file=sys.stderr)
        table.add_row(config or "none", f"{weights / 1e6:.1f}", str(batch), f"{peak:,.0f}", slope)
    return table
