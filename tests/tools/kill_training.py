"""Does training survive? Kills its workers, or the job itself, at random moments, and compares what comes out.

    python -m tests.tools.kill_training [--gan | --folds 3] [--streamed] [--kills 20] [--each 1] [--driver 2]
                                        [--workers 2] [--seed 0] [--limit 600]

Trains a small network on made features, or on made pictures that are streamed from their shards, or a small GAN on made
pictures: first undisturbed, twice; then once for each kill (SIGKILL), at a moment drawn evenly from the life of an
undisturbed run's workers, or once for several kills, of which the later come once it has got further. A killed job is
begun again with the same command. Prints a table of each run's final metrics beside the undisturbed ones; ends with
status 1 if one differs by more than 1e-3, failed or hung. Linux only: processes are found in /proc.
"""

import argparse
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from artray import console
from artray.bundles.classifier import read_evaluation
from artray.bundles.description import read_history
from artray.images.encoding import png
from artray.storage import Location, list_column

ROOT = Path(__file__).parents[2]
WORKER = b"ray::RayTrainWorker"
RAY_DID_NOT_START = b"Ray has not started within its 30 seconds"
TOLERANCE = 1e-3
CLASSIFIER = """\
task: made
target: made
input: features
model: {name: linear_head, dropout: 0.3, l2: 0.01}
optimizer: {name: adam, learning_rate: 0.01}
schedule: cosine
ema: 0.95
batch_size: 24
epochs: 25
checkpoint_steps: 20
"""
# At 296 pixels a window of the stream has 256 examples, and an epoch two windows.
STREAMED = """\
task: made
target: made
input: pictures
size: 296
model: {name: valence_cnn, filters: [4, 4, 4], dense: 16}
optimizer: {name: adam, learning_rate: 0.003}
augment: {flip: true, crop: 0.2}
ema: 0.95
batch_size: 24
epochs: 3
checkpoint_steps: 4
"""
GAN = """\
model: {name: dcgan, width: 8}
size: 32
latent_size: 16
loss: {name: hinge}
diff_augment: [color, cutout]
generator: {name: adam, learning_rate: 0.0002, beta_1: 0.5}
discriminator: {name: adam, learning_rate: 0.0002, beta_1: 0.5}
ema: 0.9
batch_size: 16
epochs: 12
checkpoint_steps: 2
samples: 16
"""


def train_workers(driver: int) -> list[int]:
    """Process ids of the Ray Train workers among a process's descendants."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                # The command's name, in parentheses, may hold anything.
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue  # gone by now
    return [pid for pid in parents if driver in _ancestors(pid, parents) and _command(pid).startswith(WORKER)]


@contextmanager
def killing_a_worker(out: Path) -> Iterator[None]:
    """Kill one of this process's training workers once a run has its first checkpoint, in a thread."""
    killed = []

    def kill() -> None:
        deadline = time.monotonic() + 300
        while not killed and time.monotonic() < deadline:
            # Processes are looked for then: going through /proc all the time takes half a CPU.
            if any(out.glob("_training/*/checkpoint*")):
                for worker in train_workers(os.getpid())[-1:]:
                    os.kill(worker, signal.SIGKILL)
                    killed.append(worker)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    yield
    killer.join()
    assert killed


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid in parents and pid > 1:
        pid = parents[pid]
        yield pid


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def write_features(uri: str, works: int = 1500, width: int = 64) -> None:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, works)
    values = (rng.normal(size=(works, width)) + rng.normal(size=(3, width))[true] * 0.4).astype(np.float32)
    columns = {
        "object_id": [f"{number:05d}" for number in range(works)],
        "made": np.array(["a", "b", "c"])[true],
        "split": rng.choice(["train", "validation", "test"], works, p=[0.6, 0.2, 0.2]),
        "status": ["ok"] * works,
        "embedding": list_column(values),
    }
    (Location.parse(uri) / "part-000000.parquet").write_table(pa.table(columns))
    run = {"arguments": {"features": [{"name": "embedding", "size": 224}]}}
    (Location.parse(uri) / "_run.json").write_bytes(json.dumps(run).encode())


def write_pictures(uri: str, works: int = 130, side: int = 32) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(works):
        few, true = rng.integers(0, 256, (4, 4, 3), np.uint8), int(rng.integers(3))
        few[..., true] //= 2
        picture = Location.parse(f"{uri}-pictures") / f"{number:05d}.png"
        picture.write_bytes(png(np.asarray(Image.fromarray(few).resize((side, side)))))
        split = rng.choice(["train", "validation", "test"], p=[0.6, 0.2, 0.2])
        rows.append({"object_id": f"{number:05d}", "image_uri": str(picture), "made": "abc"[true], "split": str(split)})
    (Location.parse(uri) / "part-000000.parquet").write_table(pa.Table.from_pylist(rows))


def classifier_metrics(out: str) -> dict[str, float]:
    last = read_history(Location.parse(out))[-1]
    artwork = read_evaluation(Location.parse(out))["levels"]["artwork"]
    return {
        "loss": last["loss"],
        "validation loss": last["validation_loss"],
        "accuracy": artwork["accuracy"],
        "log loss": artwork["log_loss"],
    }


def gan_metrics(out: str) -> dict[str, float]:
    last = read_history(Location.parse(out))[-1]
    return {name: last[name] for name in ("discriminator_loss", "generator_loss", "fake_score", "diversity")}


@dataclass(frozen=True)
class Job:
    """A training, and what comes of it."""

    command: tuple[str, ...]
    config: str
    write_data: Callable[[str], None]
    metrics: Callable[[str], dict[str, float]]


FEATURES = Job(("jobs/train.py",), CLASSIFIER, write_features, classifier_metrics)
PICTURES = Job(("jobs/train.py",), STREAMED, partial(write_pictures, works=800, side=64), classifier_metrics)
GENERATOR = Job(("jobs/train_gan.py", "--scores", "0"), GAN, write_pictures, gan_metrics)


class Run:
    """One run of the job, in a folder of its own."""

    def __init__(self, job: Job, folder: Path, name: str, *, workers: int, limit: float):
        self._job, self._limit = job, limit
        self.out = folder / name
        self._log = folder / f"{name}.log"
        self._command = [sys.executable, *job.command, "--config", str(folder / "config.yaml")]
        self._command += ["--data", str(folder / "data"), "--out", str(self.out), "--workers", str(workers)]
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=ROOT, stdout=log, stderr=log)
        self.started = time.monotonic()

    def wait_for_workers(self, before: Set[int] = frozenset()) -> list[int]:
        """Its workers, once some are there that weren't before; none if it has ended."""
        while (self.process.poll() is None or self._again()) and time.monotonic() - self.started < self._limit:
            found = train_workers(self.process.pid)
            if set(found) - before:
                return found
            time.sleep(0.3)  # looking through /proc takes time
        return []

    def checkpoints(self) -> set[str]:
        return {str(path) for path in self.out.glob("_training/*/checkpoint*")}

    def wait_for_checkpoint(self, before: set[str]) -> set[str]:
        """Its checkpoints, once there is one that wasn't before; or it has ended."""
        while self.process.poll() is None and time.monotonic() - self.started < self._limit:
            if self.checkpoints() - before:
                break
            time.sleep(0.1)
        return self.checkpoints()

    def _again(self) -> bool:
        """Start once more where Ray itself did not start: it waits 30 s, which is too short on a busy machine."""
        ended = self._log.read_bytes()[-500:]
        if self.process.poll() and RAY_DID_NOT_START in ended:
            self.start()
            return True
        return False

    def finish(self) -> dict[str, float] | None:
        """The final metrics; None if the job failed or hung."""
        try:
            status = self.process.wait(self._limit)
            while self._again():
                status = self.process.wait(self._limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = None
        if status != 0:
            print(self._log.read_text(errors="replace")[-2000:], file=sys.stderr)
            return None
        return self._job.metrics(str(self.out))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gan", action="store_true", help="train a GAN, not a classifier")
    parser.add_argument("--streamed", action="store_true", help="pictures, of which none lie in the object store")
    parser.add_argument("--folds", type=int, help="train so many, and their mean")
    parser.add_argument("--kills", type=int, default=20, help="of workers")
    parser.add_argument(
        "--each", type=int, default=1, help="so many of them in one run: of workers that follow each other"
    )
    parser.add_argument("--driver", type=int, default=2, help="kills of the job itself")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=600, help="seconds after which a run hangs")
    options = parser.parse_args()
    job = GENERATOR if options.gan else PICTURES if options.streamed else FEATURES
    if options.streamed:
        job = replace(job, command=(*job.command, "--in-memory", "0"))
    if options.folds:
        job = replace(job, command=(*job.command, "--folds", str(options.folds)))
    chance = random.Random(options.seed)
    rows: list[list[object]] = []
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        job.write_data(str(folder / "data"))
        (folder / "config.yaml").write_text(job.config)
        calm: list[dict[str, float]] = []
        life = training = math.inf
        for number in range(2):
            run = Run(job, folder, f"undisturbed-{number}", workers=options.workers, limit=options.limit)
            run.wait_for_workers()
            begun = time.monotonic()
            run.wait_for_checkpoint(set())
            first_checkpoint = time.monotonic()
            metrics = run.finish()
            assert metrics is not None, "an undisturbed run failed"
            life = min(life, time.monotonic() - begun)
            training = min(training, time.monotonic() - first_checkpoint)
            calm.append(metrics)
            rows.append(_row("nothing", "", metrics, calm[0], run))
            console.say(f"undisturbed: {metrics}")
        left = ["a worker"] * options.kills + ["the job"] * options.driver
        runs = 0
        while left:
            victims = left[: options.each] if left[0] == "a worker" else left[:1]
            run = Run(job, folder, f"killed-{runs}", workers=options.workers, limit=options.limit)
            runs, first = runs + 1, run.started
            died = _kill(run, [victim for victim in victims if victim == left[0]], life, training, chance)
            del left[: len(died)]
            found = run.finish()
            run.started = first
            if not died:  # this run was quicker than the others: not one of the kills
                life *= 0.9
                continue
            moments = ", ".join(f"{moment:.1f}" for _, moment in died)
            rows.append(_row(" and ".join(victim for victim, _ in died), moments, found, calm[0], run))
            bad += found is None or _difference(found, calm[0]) > TOLERANCE
            console.say(f"{len(left)} kills to go: {rows[-1][0]} after {moments} s: {found}")
    header = ["killed", "after s", *calm[0], "largest difference", "seconds"]
    console.table(f"{options.workers} workers, {life:.0f} s of training each", header, rows)
    sys.exit(1 if bad else 0)


def _kill(
    run: Run, victims: Sequence[str], life: float, training: float, chance: random.Random
) -> list[tuple[str, float]]:
    """Kill a run's workers one after the other, or the job itself; who died, and how long its workers had lived."""
    died: list[tuple[str, float]] = []
    before: set[int] = set()
    checkpoints: set[str] = set()
    for number, victim in enumerate(victims):
        before |= set(run.wait_for_workers(before))
        begun = time.monotonic()
        if number:  # those that get no further each time would be given up
            checkpoints |= run.wait_for_checkpoint(checkpoints)
        time.sleep(chance.uniform(0, training / len(victims) if number else life))
        checkpoints |= run.checkpoints()
        pids = [pid for pid in train_workers(run.process.pid) if pid in before]
        if run.process.poll() is not None or not pids:
            break
        try:
            os.kill(chance.choice(pids) if victim == "a worker" else run.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            break
        died.append((victim, time.monotonic() - begun))
        if victim == "the job":
            run.process.wait()
            run.start()
    return died


def _difference(found: dict[str, float], calm: dict[str, float]) -> float:
    return max(abs(found[name] - calm[name]) for name in calm)


def _row(victim: str, moment: str, found: dict[str, float] | None, calm: dict[str, float], run: Run) -> list[object]:
    seconds = f"{time.monotonic() - run.started:.0f}"
    if found is None:
        return [victim, moment, *("–" for _ in calm), "failed", seconds]
    return [victim, moment, *(f"{found[name]:.5f}" for name in calm), f"{_difference(found, calm):.1e}", seconds]


if __name__ == "__main__":
    main()
