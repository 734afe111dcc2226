"""What training costs beside the model's own arithmetic.

    python benchmarks/training.py [--parts step,pruning,feeding,feed,precision,head,memory,worker] [--repeats 5]
        [--seconds 4]

step     Updates a second on one worker, ours against Keras' `fit`: same model, optimizer, batch size and data in
         memory. The runs alternate; the best of each counts.
pruning  Milliseconds of a step without and with pruning, for masks that are made anew each ten updates. The runs
         alternate; medians, and of the ratio over all pairs of turns.
feeding  Pictures a second with pictures taken from Ray's object store, shuffled and augmented, against the same step
         on arrays that are ready.
feed     Pictures a second through a network that costs nothing (one number of the mean of a picture): what taking,
         changing and sending a batch costs from step to step.
precision
         Milliseconds of a step in float32 and bfloat16, by XLA and without, of networks as they are trained; on the
         GPU where there is one.
head     Seconds of the whole station (`train`) for a linear head on 1,000 works' embeddings, 50 epochs: what 49 of
         them add to a run of one.
memory   Peak memory of the whole station on pictures of 64 pixels, in all its processes and the object store: streamed
         from 4,000 and from 20,000 examples, and from 2,000 that are alone or among a million rows without a label.
worker   Memory of one worker at most, by config and batch: what `estimate` reckons with.
"""

# ruff: noqa: E402 - TensorFlow's and Ray's chatter is turned off before they are imported
import argparse
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from artray.console import quiet

quiet(verbose=False)

import keras
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
from PIL import Image
from read import family_memory
from rich.console import Console
from rich.table import Table

from artray import cluster
from artray.classifiers.config import read_config
from artray.classifiers.losses import CrossEntropy
from artray.engine.augmentation import Augmentation, draw
from artray.engine.examples import Inputs
from artray.engine.sparsity import PruningConfig, pruned_groups
from artray.engine.supervised import SupervisedTrainer
from artray.engine.views import Views
from artray.models.classifiers import classifier
from artray.storage import Location, list_column

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


def step(repeats: int, seconds: float) -> Table:
    table = Table("model", "input", "batch", "fit, ms a step", "ours, ms a step", "ours is … times fit")
    for name, shape, classes, batch, count in CASES:
        x, y = examples(shape, classes, count)
        model = classifier(name, shape, classes, {})
        model.compile(keras.optimizers.Adam(1e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
        trainer = trainer_of(name, shape, classes)
        ones = np.ones(count, np.float32)
        batches = epoch_of(count, batch, 0)

        def fit(model: Any = model, x: Any = x, y: Any = y, batch: int = batch) -> None:
            model.fit(x, y, batch_size=batch, epochs=1, verbose=0)

        def ours(
            trainer: SupervisedTrainer = trainer, x: Any = x, y: Any = y, ones: Any = ones, batches: Any = batches
        ) -> None:
            list(trainer.train(lambda rows: (x[rows], y[rows], ones[rows]), batches, [1e-3] * len(batches)))

        best = best_of({"fit": fit, "ours": ours}, repeats, seconds)
        each = {run: 1e3 * value / len(batches) for run, value in best.items()}
        figures = [each["fit"], each["ours"], each["fit"] / each["ours"]]
        table.add_row(name, "x".join(map(str, shape)), str(batch), *(f"{value:.2f}" for value in figures))
    return table


def pruning(repeats: int, seconds: float) -> Table:
    table = Table(
        "model",
        "input",
        "batch",
        "scope",
        "pruned weights",
        "plain, ms",
        "pruned, ms",
        "pruned is … of plain",
        "in CPU time",
    )
    for name, shape, classes, batch, count in (CASES[2], CASES[4], ("one_block_vgg", (128, 128, 3), 2, 64, 640)):
        x, y = examples(shape, classes, count)
        ones, batches = np.ones(count, np.float32), epoch_of(count, batch, 0)
        plan = [0.25 if step % 10 == 0 else None for step in range(len(batches))]
        for scope in ("layer", "global"):
            config = PruningConfig(scope=scope)
            runs = {}
            for how in ("plain", "pruned"):
                trainer = trainer_of(
                    name, shape, classes, **({"prune": partial(pruned_groups, config)} if how == "pruned" else {})
                )

                def run(
                    trainer: Any = trainer,
                    planned: Any = plan if how == "pruned" else None,
                    x: Any = x,
                    y: Any = y,
                    ones: Any = ones,
                    batches: Any = batches,
                ) -> None:
                    take = lambda rows: (x[rows], y[rows], ones[rows])  # noqa: E731
                    list(trainer.train(take, batches, [1e-3] * len(batches), None, planned))

                runs[how] = run
            weights = sum(variable.shape.num_elements() for variable in trainer._masks.values)
            each, ratios = paired(runs, repeats, seconds)
            table.add_row(
                name,
                "x".join(map(str, shape)),
                str(batch),
                scope,
                f"{weights:,}",
                *(f"{1e3 * value / len(batches):.2f}" for value in each),
                *(f"{ratio:.3f}" for ratio in ratios),
            )
    return table


def feeding(repeats: int, seconds: float) -> Table:
    cluster.connect()
    table = Table("model", "augmentation", "ready, pictures/s", "fed, pictures/s", "fed is … of ready")
    for name, shape, classes, batch, count in (CASES[2], CASES[4]):
        x, y = examples(shape, classes, count)
        pieces = np.array_split(np.arange(count), 4)
        blocks = [ray.put(x[piece]) for piece in pieces]
        place = np.concatenate(
            [np.stack([np.full(len(rows), block), np.arange(len(rows))], 1) for block, rows in enumerate(pieces)]
        )
        inputs, ones = Inputs(blocks, place), np.ones(count, np.float32)
        batches = epoch_of(count, batch, 0)
        ready = [
            np.arange(start, start + len(rows)) for start, rows in zip(range(0, count, batch), batches, strict=True)
        ]
        for words, how in AUGMENTATIONS.items():
            trainer = trainer_of(name, shape, classes, **views_of(how))

            def train(batches: Any, take: Callable[..., Any], draws: Any, trainer: Any = trainer) -> None:
                list(trainer.train(take, batches, [1e-3] * len(batches), draws))

            def fed(rows: Any, inputs: Any = inputs, y: Any = y, ones: Any = ones) -> Any:
                return inputs.take(rows), y[rows], ones[rows]

            def given(rows: Any, x: Any = x, y: Any = y, ones: Any = ones) -> Any:
                part = slice(rows[0], rows[-1] + 1)
                return x[part], y[part], ones[part]

            best = best_of(
                {
                    "ready": lambda train=train, ready=ready, given=given: train(ready, given, None),
                    "fed": lambda train=train, batches=batches, fed=fed, how=how: train(batches, fed, draws(how)),
                },
                repeats,
                seconds,
            )
            rate = {run: count / value for run, value in best.items()}
            table.add_row(
                name, words, f"{rate['ready']:,.0f}", f"{rate['fed']:,.0f}", f"{rate['fed'] / rate['ready']:.2f}"
            )
    return table


def feed(repeats: int, seconds: float) -> Table:
    table = Table("picture", "batch", "augmentation", "pictures/s")
    for size, count in ((64, 4096), (224, 512)):
        x, y = examples((size, size, 3), 2, count)
        ones, batches = np.ones(count, np.float32), epoch_of(count, 64, 0)

        def mean_of(size: int = size) -> keras.Model:
            picture = keras.Input((size, size, 3))
            mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(picture))
            return keras.Model(picture, keras.layers.Dense(2)(mean))

        for words, how in AUGMENTATIONS.items():
            trainer = SupervisedTrainer(
                mean_of, lambda: keras.optimizers.SGD(1e-3), CrossEntropy(), precision="float32", **views_of(how)
            )

            def run(trainer: Any, take: Callable[..., Any], batches: Any, how: Augmentation) -> None:
                list(trainer.train(take, batches, [1e-3] * len(batches), draws(how)))

            def take(rows: Any, x: Any = x, y: Any = y, ones: Any = ones) -> Any:
                return x[rows], y[rows], ones[rows]

            best = best_of({"feed": partial(run, trainer, take, batches, how)}, repeats, seconds)["feed"]
            table.add_row(f"{size}x{size}", "64", words, f"{count / best:,.0f}")
    return table


def precision(repeats: int, seconds: float) -> Table:
    import tensorflow as tf

    devices = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    title = ", ".join(device.get("device_name", "a GPU") for device in devices) or "CPU"
    table = Table("model", "batch", "precision", "without XLA, ms a step", "by XLA, ms a step", title=title)
    styles = {"filters": [32, 64, 128, 128], "dense": 512, "dropout": 0.4}
    for name, shape, settings, batch, count in (
        ("baseline_cnn", (200, 200, 3), styles, 32, 128),
        ("transfer", (224, 224, 3), {}, 64, 128),
    ):
        x, y = examples(shape, 6, count)
        ones, batches = np.ones(count, np.float32), epoch_of(count, batch, 0)
        for said in ("float32", "bfloat16"):
            runs = {}
            for how in ("off", "on"):
                trainer = trainer_of(name, shape, 6, settings, precision=said, compile=how)

                def run(trainer: Any = trainer, x: Any = x, y: Any = y, ones: Any = ones, of: Any = batches) -> None:
                    list(trainer.train(lambda rows: (x[rows], y[rows], ones[rows]), of, [1e-3] * len(of)))

                runs[how] = run
            best = best_of(runs, repeats, seconds)
            each = [f"{1e3 * best[how] / len(batches):.2f}" for how in ("off", "on")]
            table.add_row(name, str(batch), said, *each)
    return table


def write_works(uri: str, works: int) -> None:
    """A feature table of two classes that overlap."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, works)
    values = (rng.normal(size=(works, 1280)) + 0.1 * true[:, None]).astype(np.float32)
    columns = {
        "object_id": [f"{number:05d}" for number in range(works)],
        "medium": np.where(true, "hand", "code"),
        "split": rng.choice(["train", "validation", "test"], works, p=[0.6, 0.2, 0.2]),
        "status": ["ok"] * works,
        "embedding": list_column(values),
    }
    (Location.parse(uri) / "part-000000.parquet").write_table(pa.table(columns))
    run = {"arguments": {"features": [{"name": "embedding", "size": 224}]}}
    (Location.parse(uri) / "_run.json").write_bytes(json.dumps(run).encode())


def head(repeats: int) -> Table:
    from artray.classifiers.station import TrainOptions, train

    cluster.connect()
    table = Table("epochs", "seconds, whole station", "seconds after start-up")
    with tempfile.TemporaryDirectory() as folder:
        write_works(f"{folder}/features", 1000)
        best: dict[int, float] = {}
        for attempt in range(min(repeats, 2)):
            for epochs in (1, 50):
                options = TrainOptions(
                    config="hand_or_code_head",
                    data=f"{folder}/features",
                    out=f"{folder}/{attempt}-{epochs}",
                    set={"epochs": str(epochs)},
                )
                started = time.perf_counter()
                train(options)
                best[epochs] = min(best.get(epochs, float("inf")), time.perf_counter() - started)
        table.add_row("1", f"{best[1]:.1f}", "")
        table.add_row("50", f"{best[50]:.1f}", f"{best[50] - best[1]:.1f}")
    return table


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="step,feeding,feed,head")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of one repeat")
    options = parser.parse_args()
    for part in options.parts.split(","):
        found = {
            "step": lambda: step(options.repeats, options.seconds),
            "pruning": lambda: pruning(options.repeats, options.seconds),
            "feed": lambda: feed(options.repeats, options.seconds),
            "precision": lambda: precision(options.repeats, options.seconds),
            "feeding": lambda: feeding(options.repeats, options.seconds),
            "head": lambda: head(options.repeats),
            "memory": memory,
            "worker": worker,
        }[part]()
        Console(width=120).print(found)


if __name__ == "__main__":
    main()
