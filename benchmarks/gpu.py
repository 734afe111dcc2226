"""What artray does with one GPU, beside what the GPU and the machine's cores could do: one table, in eight minutes.

    python benchmarks/gpu.py [--minutes 8] [--parts gan,decoding,…] [--out FILE] [--small]

Needs artray and TensorFlow with CUDA; PyTorch is compared with where it is installed. It makes its own pictures. Each
part runs in a process of its own within its share of the time: one that fails, or takes too long, loses nothing of the
others, and what it measured until then is kept. Rows are printed as they come, and written to --out as JSON lines.

steps     training steps, DCGAN's at 64x64 and lite0_finetune's at 224x224: artray's, plain loops with and without XLA,
          PyTorch; and what the first step takes (see gpu_steps.py)
decoding  JPEGs of 600 kB to 224x224 in one process a core; the same with features B1 to B4
models    EfficientNet-Lite0 and three heads on pictures in memory
label     label_catalog with these models; its goal is .8 of the lesser of decoding alone and the models alone
start     from the command label_catalog to the first labels on disk: the first time, and the second
finetune  train with lite0_finetune, float32 and bfloat16, beside its steps
gan       train_gan with DCGAN, beside its step
features  extract_features --statistics, beside decoding with B1 to B4

--small takes sizes that a laptop without GPU does in some minutes; its figures say nothing. XLA and bfloat16 are tried
on GPUs only.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from artray import console
from artray.console import quiet
from artray.storage import Location

# Keras, Ray and the other benchmarks are imported where they are used: each part is a process, as are the pools'.

SHARES = {"steps": 16, "decoding": 3, "models": 2, "label": 5, "start": 4, "finetune": 6, "gan": 3, "features": 3}
"""Of the time, by part."""

SIDE = 224
LONG_SIDE, GRAIN, QUALITY = 1500, 11, 90  # together some 600 kB
MINUTES = 8.0
FULL = "float32"
STEP_GOALS = {
    ("dcgan", "ours, compiled"): ("plain, compiled", "≥ .91"),
    ("dcgan", "ours, compiled, bfloat16"): ("PyTorch, channels last, bfloat16, compiled", "≥ 1"),
    ("finetune", "ours, float32"): ("on the device, float32", "≥ .9"),
    ("finetune", "ours, float32, compiled"): ("on the device, float32, compiled", "≥ .9"),
    ("finetune", "ours, bfloat16"): ("ours, float32", "> 1"),
    ("finetune", "ours, bfloat16, compiled"): ("ours, float32, compiled", "> 1"),
}
"""Of steps by network and name: with whose they are compared, and what the ratio should be."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        different: Pictures that are made; beyond them they come again.
        seconds: That a measured pass should take, by what decoding takes; its pictures follow from it.
        most: Pictures of a pass.
        steps: Of a turn of a contender.
        steps_seconds: In which a few contenders must be ready.
        repeats: Turns, and batches of the models alone.
        works: That a GAN is trained on.
        examples: That a classifier is trained on.
        epochs: Of both.
    """

    different: int = 64
    seconds: float = 15.0
    most: int = 20_000
    steps: int = 32
    steps_seconds: float = 60.0
    repeats: int = 5
    works: int = 6400
    examples: int = 3200
    epochs: int = 6


SMALL = Sizes(
    different=12, seconds=3.0, most=96, steps=1, steps_seconds=300.0, repeats=1, works=128, examples=48, epochs=2
)


@dataclass(frozen=True)
class Row:
    """A figure; of several by one name the last counts.

    Attributes:
        part: Which part it is from.
        what: What was measured.
        value: The figure.
        unit: Its unit.
        ratio: To what it is compared with.
        than: With what.
        goal: What the ratio, or where there is none the figure, should be.
    """

    part: str
    what: str
    value: float
    unit: str
    ratio: float | None = None
    than: str = ""
    goal: str = ""


class Rows:
    """The figures so far, in a file that each part adds to."""

    def __init__(self, file: Path):
        self._file = file

    def add(self, row: Row) -> None:
        """Write a row down, and print it."""
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(row)) + "\n")
        told = f"{row.part}: {row.what}: {row.value:,.1f} {row.unit}"
        console.say(told + (f", {row.ratio:.2f} of {row.than}" if row.ratio is not None else ""))

    def all(self) -> list[Row]:
        """Every row, in the order of their coming."""
        return [Row(**json.loads(line)) for line in self._file.read_text().splitlines()] if self._file.exists() else []

    def value(self, part: str, what: str) -> float | None:
        """A figure of an earlier part, if it came to one."""
        return next((row.value for row in self.all()[::-1] if (row.part, row.what) == (part, what)), None)


def card() -> str:
    """The GPU's name."""
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().splitlines()[0]
    return "no GPU"


@cache  # it takes as long as TensorFlow does to come
def gpus() -> int:
    """1 where TensorFlow can use a GPU. It is asked in a process of its own, as it would keep it."""
    code = "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return min(1, int(found.stdout.split()[-1]))


# -- parts -------------------------------------------------------------------------------------------------------------


def steps(sizes: Sizes, data: Path, rows: Rows) -> None:
    """Each in a process of its own; ratios are to artray's step as it is taken by default."""
    from gpu_steps import contenders, contest

    chosen = contenders(["dcgan", "finetune"])
    if not gpus():
        chosen = [one for one in chosen if not one.compile and one.precision == FULL]
    medians: dict[tuple[str, str], float] = {}
    for runner in contest(chosen, sizes.steps_seconds, sizes.steps, min(3, sizes.repeats)):
        one = runner.contender
        if runner.ready is None or not runner.times:
            console.say(f"{one.network}, {one.name}: not ready in time")
            continue
        median = medians[one.network, one.name] = statistics.median(runner.times)
        than, goal = STEP_GOALS.get((one.network, one.name), ("", ""))
        other = medians.get((one.network, than))
        rows.add(Row("steps", f"{one.network}: {one.name}: the first", runner.ready, "s"))
        ratio = other / median if other else None
        rows.add(
            Row("steps", f"{one.network}: {one.name}", median, "ms a step", ratio, than and f"speed of {than}", goal)
        )


def gan(sizes: Sizes, data: Path, rows: Rows) -> None:
    """The job's rate."""
    from gan import BATCH, fed

    epochs = fed(sizes.works, sizes.epochs, gpus())
    rate = statistics.median(epoch["rate"] for epoch in epochs[len(epochs) // 2 :])
    alone = rows.value("steps", "dcgan: ours, compiled" if gpus() else "dcgan: ours")
    ratio = rate * alone / 1000 / BATCH if alone else None
    rows.add(Row("gan", "train_gan, last epochs", rate, "pictures/s", ratio, "our step on batches in memory"))


def decoding(sizes: Sizes, data: Path, rows: Rows) -> None:
    """All cores, one process each."""
    from read import Rates, process_pool, start_ray

    start_ray()
    count = max(64, min(sizes.most, int(sizes.seconds * 60 * (os.cpu_count() or 1) / 2)))
    measured = {"decoding alone": (process_pool, count), "decoding and B1 to B4": (features_pool, count // 3)}
    for what, (contend, number) in measured.items():
        rates = Rates()
        rates.add(contend, paths_of(data, number))
        rows.add(Row("decoding", what, rates.steady[0], "pictures/s"))


def features_pool(paths: Sequence[str]) -> list[float]:
    from read import started_pool

    with started_pool() as pool:
        return list(pool.imap_unordered(features_of, paths, chunksize=4))


def features_of(path: str) -> float:
    """A picture's features without model."""
    from artray.features.brightness import Brightness
    from artray.features.colormaps import ColorMaps
    from artray.features.palette import Palette
    from artray.features.texture import Texture
    from artray.images.decoding import decode

    image = decode(Path(path).read_bytes(), SIDE).image
    assert image is not None
    for feature in (Palette(), Brightness(), Texture(), ColorMaps()):
        feature(image[None])
    return time.time()


def models(sizes: Sizes, data: Path, rows: Rows) -> None:
    """From arrays in memory to scores, by batches of which the GPU's memory holds some."""
    from label import Models

    batch = 256 if gpus() else 32
    pictures = np.random.default_rng(0).integers(0, 256, (batch, SIDE, SIDE, 3), np.uint8)
    started = time.perf_counter()
    model = Models().model
    model.jit_compile = False  # as artray calls it: XLA takes a minute before the first picture
    model.predict_on_batch(pictures)
    rows.add(Row("models", "built and first batch", time.perf_counter() - started, "s"))
    turns = []
    for _ in range(4 * sizes.repeats if gpus() else sizes.repeats):
        started = time.perf_counter()
        model.predict_on_batch(pictures)
        turns.append(time.perf_counter() - started)
    rows.add(Row("models", "in memory", batch / statistics.median(turns), "pictures/s"))


def label(sizes: Sizes, data: Path, rows: Rows) -> None:
    """The job, its labels published."""
    from label import ours

    measure_pass("label", "label_catalog", ours, "decoding alone", sizes, data, rows)


def features(sizes: Sizes, data: Path, rows: Rows) -> None:
    """The job, with all features and the embedding's second form."""
    from artray.features import station

    def ours(paths: Sequence[str]) -> list[float]:
        from label import times_of, write_manifest

        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            write_manifest(f"{folder}/manifest", paths)

            class Logged(station._FeatureWorker):
                """Writes down when pictures were done."""

                def finish(self, prepared: Sequence[Any]) -> pa.Table:
                    table = super().finish(prepared)
                    with log.open("a") as file:
                        file.write(f"{time.time()} {len(table)}\n")
                    return table

            station._FeatureWorker = Logged  # type: ignore[misc]
            options = station.FeatureOptions(manifest=f"{folder}/manifest", out=f"{folder}/out", statistics=True)
            station.extract_features(options)
            return times_of(log)

    measure_pass("features", "extract_features --statistics", ours, "decoding and B1 to B4", sizes, data, rows)


def measure_pass(
    part: str,
    what: str,
    ours: Callable[[Sequence[str]], list[float]],
    beside: str,
    sizes: Sizes,
    data: Path,
    rows: Rows,
) -> None:
    """A pass over as many pictures as the time allows, beside what its halves do alone."""
    from read import Rates, start_ray

    start_ray()
    cores = rows.value("decoding", beside)
    alone = rows.value("models", "in memory")
    lesser = min(cores, alone) if cores and alone else None
    rates = Rates()
    rates.add(ours, paths_of(data, max(96, min(sizes.most, int(sizes.seconds * (lesser or 60))))))
    ratio = rates.steady[0] / lesser if lesser else None
    than = f"the lesser of {beside} and the models alone"
    rows.add(Row(part, what, rates.steady[0], "pictures/s", ratio, than, "≥ .8"))
    rows.add(Row(part, f"{what}, start included", rates.with_startup[0], "pictures/s"))


def start(sizes: Sizes, data: Path, rows: Rows) -> None:
    """The whole command, twice."""
    from label import first_labels

    for what in ("the first time", "the second time"):
        (seconds,) = first_labels(paths_of(data, min(sizes.most, 256)), 0)
        rows.add(Row("start", f"first labels, {what}", seconds, "s", goal="≤ 20 s"))


def finetune(sizes: Sizes, data: Path, rows: Rows) -> None:
    """The job's rate in an epoch, and all of its time."""
    from gpu_steps import BATCH, CLASSES, THAWED

    from artray.classifiers import station

    rates: list[float] = []
    note = station._note

    def noted(metrics: Any, *others: Any, **more: Any) -> str:
        rates.append(metrics["rate"])
        return str(note(metrics, *others, **more))

    station._note = noted
    write_works(data / "works", paths_of(data, sizes.examples), CLASSES)
    for precision in ("bfloat16", FULL) if gpus() else (FULL,):
        rates.clear()
        # Whichever is done sooner.
        first, then = (
            [rows.value("steps", f"finetune: ours, {precision}{how}{what}") or 0 for how in ("", ", compiled")]
            for what in (": the first", "")
        )
        number = sizes.epochs * sizes.examples / BATCH
        off = not then[1] or first[0] + number * then[0] / 1000 < first[1] + number * then[1] / 1000
        compiled = {"compile": '"off"' if off else '"on"'}
        started = time.perf_counter()
        options = station.TrainOptions(
            config="lite0_finetune",
            data=str(data / "works"),
            out=str(data / f"model-{precision}"),
            gpus_per_worker=gpus(),
            set={"epochs": str(sizes.epochs), "unfreeze": THAWED, "precision": precision, **compiled},
        )
        station.train(options)
        whole = f"{precision}, the whole job, XLA {'off' if off else 'on'}"
        rows.add(Row("finetune", whole, time.perf_counter() - started, "s"))
        alone = [rows.value("steps", f"finetune: on the device, {precision}{more}") for more in ("", ", compiled")]
        known = [1000 * BATCH / value for value in alone if value is not None]
        ratio = max(rates) / max(known) if known else None
        than = "its steps on tensors on the device"
        rows.add(Row("finetune", f"{precision}, train", max(rates), "pictures/s", ratio, than, "≥ .9"))


def write_works(folder: Path, uris: Sequence[str], classes: int) -> None:
    """A manifest of works in three parts and ten styles."""
    chance = np.random.default_rng(0)
    ids = [f"{number:06d}" for number in range(len(uris))]
    columns = {
        "object_id": ids,
        "image_uri": list(uris),
        "version": ["1"] * len(uris),
        "style": [f"style {number % classes}" for number in range(len(uris))],
        "group": ids,
        "split": chance.choice(["train", "validation", "test"], len(uris), p=[0.9, 0.05, 0.05]),
    }
    Location.parse(str(folder / "manifest.parquet")).write_table(pa.table(columns))


PARTS = {
    "steps": steps,
    "decoding": decoding,
    "models": models,
    "label": label,
    "start": start,
    "finetune": finetune,
    "gan": gan,
    "features": features,
}


# -- all of it ---------------------------------------------------------------------------------------------------------


def paths_of(data: Path, count: int) -> list[str]:
    """So many pictures, which come again and again."""
    made = sorted(data.glob("*.jpg"))
    return [str(made[number % len(made)]) for number in range(count)]


def make_pictures(data: Path, count: int) -> int:
    """JPEGs as museums put them on the web; gives their mean size in bytes."""
    from concurrent.futures import ProcessPoolExecutor

    from read import write_museum_picture

    data.mkdir(parents=True, exist_ok=True)
    paths = [data / f"{number:02d}.jpg" for number in range(count)]
    write = partial(write_museum_picture, long_side=LONG_SIDE, grain=GRAIN, quality=QUALITY)
    with ProcessPoolExecutor() as pool:
        list(pool.map(write, paths, range(count)))
    return int(np.mean([path.stat().st_size for path in paths]))


def run_part(name: str, limit: float, arguments: Sequence[str]) -> str:
    """A part in a process of its own; gives what became of it, empty where all is well."""
    environment = os.environ | {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    command = [sys.executable, __file__, "--part", name, *arguments]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        status = process.wait(limit)
    except subprocess.TimeoutExpired:
        status = None
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        with suppress(ProcessLookupError):  # what it began goes too: it would take the next part's time
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if status is None:
        return f"stopped after {limit:.0f} s"
    return f"failed with exit status {status}" if status else ""


def table_of(rows: Sequence[Row], notes: dict[str, str]) -> Table:
    table = Table("part", "what", "measured", "ratio", "to", "goal")
    for name in PARTS:
        for row in rows:
            if row.part == name:
                ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
                table.add_row(name, row.what, f"{row.value:,.1f} {row.unit}", ratio, row.than, row.goal)
        if notes.get(name):
            table.add_row(name, notes[name], "", "", "", "")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all parts (default: 8)")
    parser.add_argument("--parts", default=",".join(PARTS), help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="file for the rows, as JSON lines")
    parser.add_argument("--small", action="store_true", help="try it without GPU")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    quiet(verbose=False)
    sizes = SMALL if options.small else replace(Sizes(), seconds=Sizes.seconds * options.minutes / MINUTES)
    if options.part:
        PARTS[options.part](sizes, options.data, Rows(options.out))
        return
    begun = time.monotonic()
    chosen = options.parts.split(",")
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r} ({', '.join(PARTS)})")
    notes: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="artray-gpu-") as folder:
        data = Path(folder)
        out = options.out or data / "rows.jsonl"
        out.unlink(missing_ok=True)
        name, size = card(), make_pictures(data, sizes.different)
        console.say(f"{name}, {os.cpu_count()} CPUs; pictures of {size / 1000:,.0f} kB")
        arguments = [
            "--data",
            folder,
            "--out",
            str(out),
            "--minutes",
            str(options.minutes),
            *(["--small"] if options.small else []),
        ]
        for number, part in enumerate(chosen):
            left = 60 * options.minutes - (time.monotonic() - begun)
            share = SHARES[part] / sum(SHARES[later] for later in chosen[number:])
            # What earlier parts left over is for all; a part may take half as much again as its share.
            notes[part] = run_part(part, max(1.0, min(left, 1.5 * share * left)), arguments)
            if notes[part]:
                console.say(f"{part}: {notes[part]}")
        table = table_of(Rows(out).all(), notes)
        about = f"{name}, {os.cpu_count()} CPUs, {(time.monotonic() - begun) / 60:.1f} minutes"
        Console(width=160).print(table, about + (" (--small: these figures say nothing)" if options.small else ""))
    if any(notes.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
