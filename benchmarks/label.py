"""How many pictures a second get labels: ours, its floor and others', from one run.

    python benchmarks/label.py [--folder DIR] [--pictures 200] [--repeats 1]
    python benchmarks/label.py --scale 2000,50000     time a picture and peak memory, few small pictures and many
    python benchmarks/label.py --start                seconds from the command to the first labels on disk

The models are EfficientNet-Lite0 (ImageNet) and three heads on its embedding. Ours is the whole job: `label_catalog`
with three bundles over a manifest, labels published. Its floor is decoding alone and the models alone, one after the
other: each in a process pool, one process a CPU, their times a picture added up. Ray's and Daft's pipelines are written
as their manuals say, with the same models and labels. Contenders take turns; rates and ratios are medians over the
turns.

As in read.py everybody's start-up is left out in the same way (the clock starts when the first quarter of the pictures
is done) and given beside it, and the pictures are made in the same way. Contenders that decode in full get at most 200
pictures. Needs the environment that README.md beside this file makes.
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from read import (
    MOST_IN_FULL,
    SAMPLE,
    SIZE,
    Rates,
    add_picture_options,
    chosen_pictures,
    measure,
    peak_memory,
    process_pool,
    start_ray,
    started_pool,
)
from rich.console import Console
from rich.table import Table

from artray import console
from artray.console import quiet
from artray.images.decoding import DECODE_VERSION
from artray.storage import Location, digest

# Keras and Ray are imported where they are used: every process of the pools imports this file.

HEADS = {"style": 27, "medium": 8, "genre": 12}
WIDTH = 1280
BATCH = 32
JOB = Path(__file__).parents[1] / "jobs" / "label_catalog.py"


def head(classes: int, seed: int) -> Any:
    """A head that has learned nothing: it takes the same time."""
    import keras

    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((WIDTH,)), keras.layers.Dense(classes, activation="softmax")])


def write_bundles(folder: Path) -> list[str]:
    from artray.bundles.classifier import BUNDLE, MODEL, Bundle, BundleClass
    from artray.models import DEFAULT_BACKBONE

    spec = {"name": "embedding", "size": SIZE, "backbone": DEFAULT_BACKBONE, "weights": "imagenet", "statistics": False}
    uris = []
    for seed, (task, classes) in enumerate(HEADS.items()):
        place = folder / task
        place.mkdir()
        head(classes, seed).save(place / MODEL)
        bundle = Bundle(
            model_id=f"{task}-{seed}",
            task=task,
            target=task,
            classes=[BundleClass(name=f"class {number}") for number in range(classes)],
            input={"kind": "features", "features": [spec], "columns": ["embedding"]},
            decode_version=DECODE_VERSION,
            temperature=1,
            model_sha=digest((place / MODEL).read_bytes()),
            data={},
            config={},
            metrics={},
            versions={},
            created_at="",
        )
        (place / BUNDLE).write_text(bundle.model_dump_json())
        uris.append(str(place))
    return uris


class Models:
    """Backbone and heads as one function, for those who write their own pipeline: pictures to a label a task."""

    def __init__(self) -> None:
        import keras

        from artray.models.backbones import backbone

        base = backbone()
        heads = [head(classes, seed)(base.output) for seed, classes in enumerate(HEADS.values())]
        self.model = keras.Model(base.inputs, heads)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        scores = self.model.predict_on_batch(batch["image"])
        columns = {"ready": np.full(len(batch["image"]), time.time())}
        for task, values in zip(HEADS, scores, strict=True):
            columns |= {f"{task}_label": values.argmax(axis=1), f"{task}_score": values.max(axis=1)}
        return columns


# -- ours --------------------------------------------------------------------------------------------------------------


def write_manifest(uri: str, uris: Sequence[str]) -> None:
    ids = [f"{number:06d}" for number in range(len(uris))]
    rows = pa.table({"object_id": ids, "image_uri": list(uris), "version": ["1"] * len(uris)})
    Location.parse(f"{uri}/manifest.parquet").write_table(rows)


def ours(uris: Sequence[str]) -> list[float]:
    from artray.labeling import station
    from artray.labeling.models import LabelWorker

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        bundles = write_bundles(Path(folder))
        write_manifest(f"{folder}/manifest", uris)

        class Logged(LabelWorker):
            """Writes down when each batch was done."""

            def finish(self, prepared: Sequence[Any]) -> pa.Table:
                labelled = super().finish(prepared)
                with log.open("a") as file:
                    file.write(f"{time.time()} {len(labelled)}\n")
                return labelled

        station.LabelWorker = Logged  # type: ignore[misc]
        options = station.LabelOptions(manifest=f"{folder}/manifest", model=bundles, out=f"{folder}/out")
        counts = station.label_catalog(options)
        station.LabelWorker = LabelWorker  # type: ignore[misc]
        if counts["failed"]:
            raise SystemExit(f"not all pictures can be read: {counts['statuses']}")
        return times_of(log)


def times_of(log: Path) -> list[float]:
    """When each picture was done, by lines of a time and a number of pictures."""
    done = [line.split() for line in log.read_text().splitlines()]
    return [float(when) for when, rows in done for _ in range(int(rows))]


# -- the floor ---------------------------------------------------------------------------------------------------------


def models_alone(paths: Sequence[str]) -> list[float]:
    """The models in one process a CPU, with one thread each, on pictures that are there."""
    batches = range(len(paths) // BATCH)
    with started_pool(begin_models) as pool:
        return [now for now in pool.imap_unordered(label_batch, batches) for _ in range(BATCH)]


def begin_models() -> None:
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    global _models
    _models = Models()
    label_batch(0)


_models: Models


def label_batch(seed: int) -> float:
    pictures = np.random.default_rng(seed).integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8)
    return float(_models({"image": pictures})["ready"][0])


# -- others ------------------------------------------------------------------------------------------------------------


def ray_pipeline(paths: Sequence[str]) -> list[float]:
    """Ray's batch inference, as in its manual: a CPU is left to the tasks that read."""
    import ray

    from artray import cluster

    pictures = ray.data.read_images(list(paths), size=(SIZE, SIZE), mode="RGB")
    actors = ray.data.ActorPoolStrategy(size=max(1, cluster.cpus() - 1))
    labels = pictures.map_batches(Models, batch_size=BATCH, compute=actors, num_cpus=1)
    return [float(now) for batch in labels.iter_batches(batch_size=BATCH) for now in batch["ready"]]


def daft_pipeline(paths: Sequence[str]) -> list[float]:
    os.environ["DAFT_RUNNER"] = "native"  # it would take Ray, which runs here for the others
    import daft

    labels = {f"{task}_{name}": kind for task in HEADS for name, kind in (("label", "int64"), ("score", "float32"))}
    fields = {"ready": daft.DataType.float64()} | {
        name: getattr(daft.DataType, kind)() for name, kind in labels.items()
    }

    @daft.cls(max_concurrency=1)
    class Labels:
        def __init__(self) -> None:
            self.models = Models()

        @daft.method.batch(return_dtype=daft.DataType.struct(fields), batch_size=BATCH)
        def label(self, images: daft.Series) -> pa.Array:
            pictures = np.stack([np.asarray(image) for image in images.to_pylist()])
            columns = self.models({"image": pictures})
            return pa.StructArray.from_arrays([pa.array(columns[name]) for name in fields], names=list(fields))

    image = daft.col("path").download().decode_image(mode="RGB").resize(SIZE, SIZE)
    frame = daft.from_pydict({"path": list(paths)}).into_batches(BATCH).select(Labels().label(image).alias("labels"))
    return [row["labels"]["ready"] for part in frame.iter_partitions() for row in part.to_pylist()]


def compare(paths: Sequence[str], repeats: int) -> Table:
    """Ours, the floor and the others over one folder."""
    few = paths[:MOST_IN_FULL]
    entries: dict[str, tuple[Callable[[Sequence[str]], list[float]], Sequence[str]]] = {
        "ours": (ours, paths),
        "decoding alone": (process_pool, paths),
        "models alone": (models_alone, paths[: len(paths) // BATCH * BATCH]),
        "Ray read_images + map_batches": (ray_pipeline, few),
        "Daft": (daft_pipeline, few),
    }
    rates = measure(entries, repeats)
    if rates.keys() >= {"decoding alone", "models alone"}:
        floor = Rates()
        for name in ("steady", "with_startup"):
            decoding, models = (getattr(rates[part], name) for part in ("decoding alone", "models alone"))
            setattr(floor, name, [1 / (1 / one + 1 / other) for one, other in zip(decoding, models, strict=True)])
        rates["floor: the two added up"] = floor
    order = [*list(entries)[:3], "floor: the two added up", *list(entries)[3:]]
    table = Table("", "pictures/s", "ours is … times it", "start-up included")
    for name in order:
        if name not in rates:
            table.add_row(name, "-", "-", "-")
            continue
        own = rates[name]
        # Turn by turn: what else the machine did then has slowed both.
        ratio = statistics.median(one / other for one, other in zip(rates["ours"].steady, own.steady, strict=True))
        steady, with_startup = map(statistics.median, (own.steady, own.with_startup))
        table.add_row(name, f"{steady:.1f}", f"{ratio:.2f}", f"{with_startup:.1f}")
    return table


# -- scale and start ---------------------------------------------------------------------------------------------------


def scale(counts: Sequence[int]) -> Table:
    """Time a picture and peak memory of the whole job for few and for many small pictures."""
    small = [str(path) for path in sorted(SAMPLE.glob("*.jpg"))]
    table = Table("pictures", "ms a picture", "ratio", "with start-up", "peak, GiB", "ratio")
    first: tuple[float, float] | None = None
    for count in counts:
        uris = [small[number % len(small)] for number in range(count)]
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result"
            job = multiprocessing.get_context("spawn").Process(target=alone, args=(uris, str(result)))
            job.start()
            peak = peak_memory(job) / 2**30
            if job.exitcode:
                raise SystemExit(job.exitcode)
            steady, with_startup = map(float, result.read_text().split())
        first = first or (steady, peak)
        ratios = (f"{steady / first[0]:.2f}", f"{peak / first[1]:.2f}")
        table.add_row(
            f"{count:,}", f"{steady * 1000:.2f}", ratios[0], f"{with_startup * 1000:.2f}", f"{peak:.2f}", ratios[1]
        )
    return table


def alone(uris: Sequence[str], result: str) -> None:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers can't import a spawned main module
    start_ray()
    rates = Rates()
    rates.add(ours, uris)
    Path(result).write_text(f"{1 / rates.steady[0]} {1 / rates.with_startup[0]}")


def first_labels(paths: Sequence[str], times_more: int) -> list[float]:
    """Seconds from the command to the first labels on disk, Ray's and TensorFlow's start included; again and again."""
    times = []
    with tempfile.TemporaryDirectory() as folder, console.silent_stderr():
        bundles = write_bundles(Path(folder))
        write_manifest(f"{folder}/manifest", paths)
        for number in range(times_more + 1):
            command = [sys.executable, str(JOB), "--manifest", f"{folder}/manifest", "--out", f"{folder}/out-{number}"]
            command += [part for uri in bundles for part in ("--model", uri)]
            begun = time.monotonic()
            job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            parts = Path(folder) / f"out-{number}" / "_staging"
            while job.poll() is None and not any(parts.glob("*/parts/part-*.parquet")):
                time.sleep(0.02)
            times.append(time.monotonic() - begun)
            if job.wait():
                raise SystemExit(job.returncode)
    return times


def start(paths: Sequence[str], repeats: int) -> Table:
    times = first_labels(paths, repeats)  # the first one warms the machine
    table = Table("", "seconds")
    table.add_row("from the command to the first labels", f"{statistics.median(times[1:]):.1f}")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--scale", metavar="N,N", help="time a picture and memory at so many small pictures")
    what.add_argument("--start", action="store_true", help="from the command to the first labels")
    add_picture_options(parser, repeats=1)
    options = parser.parse_args()

    quiet(verbose=False)
    about = f"{os.cpu_count()} CPUs"
    if options.scale:
        table = scale([int(part) for part in options.scale.split(",")])
    else:
        paths = chosen_pictures(parser, options, options.folder)
        sizes = [len(Path(path).read_bytes()) for path in paths]  # read, so that nobody finds a cold file cache
        about = f"{len(paths)} pictures of {statistics.mean(sizes) / 1000:,.0f} kB, {about}"
        if options.start:
            table = start(paths, options.repeats)
        else:
            start_ray()
            table = compare(paths, options.repeats)
    Console().print(table, about, sep="\n")


if __name__ == "__main__":
    main()
