"""What training costs beside the model's own arithmetic.

    python benchmarks/training.py [--parts step,pruning,feeding,feed,readers,precision,head,memory,worker]
        [--repeats 5] [--seconds 4]

step     Updates a second on one worker, ours against Keras' `fit`: same model, optimizer, batch size and data in
         memory. The runs alternate; the best of each counts.
pruning  Milliseconds of a step without and with pruning, for masks that are made anew each ten updates. The runs
         alternate; medians, and of the ratio over all pairs of turns.
feeding  Pictures a second with pictures taken from Ray's object store, shuffled and augmented, against the same step
         on arrays that are ready.
feed     Pictures a second through a network that costs nothing (one number of the mean of a picture): what taking,
         changing and sending a batch costs from step to step.
readers  Pictures a second that are streamed from shards in an epoch's order, against Ray Data on Parquet, with its
         local shuffle and without. The runs alternate; medians.
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
import tempfile
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from artray.console import quiet

quiet(verbose=False)

import keras
import numpy as np
import pyarrow as pa
import ray
from rich.console import Console
from rich.table import Table
from training_cases import AUGMENTATIONS, CASES, best_of, draws, epoch_of, examples, paired, trainer_of, views_of
from training_memory import memory, worker
from training_readers import readers

from artray import cluster
from artray.classifiers.losses import CrossEntropy
from artray.engine.augmentation import Augmentation
from artray.engine.examples import Inputs
from artray.engine.sparsity import PruningConfig, pruned_groups
from artray.engine.supervised import SupervisedTrainer
from artray.models.classifiers import classifier
from artray.storage import Location, list_column


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
            "readers": lambda: readers(options.repeats),
            "memory": memory,
            "worker": worker,
        }[part]()
        Console(width=120).print(found)


if __name__ == "__main__":
    main()
