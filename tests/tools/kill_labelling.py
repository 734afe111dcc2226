"""Kill label_catalog at random moments, run it again, and look whether a row is missing, doubled or half visible.

    python -m tests.tools.kill_labelling [--kills 10] [--pictures 256] [--seed 0]

A Ray cluster of two nodes on this machine labels a small collection with two bundles, again and again, in turns with
two generations of them, so that each run has everything to do. In each run one process is killed (-9):

    driver   the job itself
    worker   an actor that labels
    node     the raylet of the second node, and with it all of the node's processes

at one of these moments: at any time of a run, when a random number of chunks is done, or while the run is being
published. The same command is then run until it ends with 0.

After each kill the published labels must be those of one generation, all of them, each once and with the scores that an
undisturbed run gave; and so they must be at every look of a reader who looks all the time, through `read_labels` and
through `task=*/*.parquet`. Prints a table, and ends with status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

# Ray reads these as it is imported.
os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_BACKEND_LOG_LEVEL": "fatal", "TF_CPP_MIN_LOG_LEVEL": "3"}

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from ray.cluster_utils import Cluster
from rich.console import Console
from rich.table import Table

from artray.labeling.published import read_labels, read_published
from tests.labeling.bundles import write_bundle, write_manifest, write_pictures

ROOT = Path(__file__).parents[2]
TASKS = ("pictures", "features")
VICTIMS = ("driver", "worker", "node")
MOMENTS = ("any time", "some chunks done", "publishing")
BROKEN = 3
PATIENCE = 180.0
SCORES = 1e-5

Labels = dict[tuple[str, str], tuple[str, str, dict[str, float]]]
"""By task and object_id: model_id, status and scores."""


def labels_of(table: pa.Table) -> Labels:
    """Labels by their key.

    Raises:
        ValueError: A row is there twice.
    """
    rows = table.to_pylist(maps_as_pydicts="strict")
    found = {(row["task"], row["object_id"]): (row["model_id"], row["status"], row["scores"] or {}) for row in rows}
    if len(found) != len(rows):
        raise ValueError(f"{len(rows) - len(found)} rows are doubled")
    return found


def differences(found: Labels, expected: Labels) -> list[str]:
    """What is wrong with labels; the first few."""
    wrong = [f"{len(expected.keys() - found.keys())} missing"] if expected.keys() - found.keys() else []
    wrong += [f"{len(found.keys() - expected.keys())} too many"] if found.keys() - expected.keys() else []
    for key in expected.keys() & found.keys():
        (model, status, scores), (own, state, own_scores) = expected[key], found[key]
        if (model, status, scores.keys()) != (own, state, own_scores.keys()):
            wrong.append(f"{key}: {own} {state} instead of {model} {status}")
        elif any(abs(scores[name] - own_scores[name]) > SCORES for name in scores):
            wrong.append(f"{key}: {own_scores} instead of {scores}")
    return wrong[:5]


@dataclass
class Reader:
    """Looks at the published labels all the time, in a thread.

    Attributes:
        out: Where they are.
        generations: What may be seen.
        looks: How often it looked, by the commit and as plain readers do.
        wrong: What it saw and should not have.
    """

    out: Path
    generations: list[Labels]
    looks: int = 0
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def looking(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._look, args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _look(self, stop: threading.Event) -> None:
        while not stop.wait(0.02):
            for name, read in (("read_labels", self._by_commit), ("plain", self._plain)):
                try:
                    read()
                except Exception as error:
                    self.wrong.append(f"{name}: {type(error).__name__}: {error}")
            self.looks += 1

    def _by_commit(self) -> None:
        self._check(labels_of(read_labels(str(self.out)).to_table()), TASKS)

    def _plain(self) -> None:
        for task in TASKS:
            (file,) = (self.out / f"task={task}").glob("*.parquet")
            table = pq.ParquetFile(file).read()
            self._check(labels_of(table.append_column("task", pa.array([task] * len(table)))), (task,))

    def _check(self, found: Labels, tasks: tuple[str, ...]) -> None:
        """It must be one generation, whole."""
        faults = [
            differences(found, {key: row for key, row in labels.items() if key[0] in tasks})
            for labels in self.generations
        ]
        if all(faults):
            self.wrong.append(f"{tasks}: {faults}")


@dataclass
class Job:
    """The command, and what is to be known of a run."""

    folder: Path
    address: str
    bundles: list[list[str]]

    def start(self, generation: int, out: Path) -> subprocess.Popen[str]:
        models = [part for uri in self.bundles[generation] for part in ("--model", uri)]
        command = [sys.executable, str(ROOT / "jobs" / "label_catalog.py"), "--manifest", f"{self.folder}/manifest"]
        environment = {**os.environ, "RAY_ADDRESS": self.address, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [*command, *models, "--out", str(out)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> str:
        """Wait for a run's end; its last words unless it ended with 0."""
        try:
            _, said = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return f"did not end within {PATIENCE:.0f} s"
        return "" if process.returncode == 0 else f"{process.returncode}: {(said.splitlines() or [''])[-1][:200]}"


def chunks_done(out: Path) -> int:
    return sum(1 for _ in out.glob("_staging/*/parts/part-*.parquet"))


def runs(out: Path) -> set[str]:
    return {path.name for path in out.glob("_runs/*")}


def wait_until(process: subprocess.Popen[str], happened: Callable[[], bool]) -> bool:
    """Wait for something within a run; False where the run ended without."""
    while process.poll() is None:
        with suppress(OSError):  # what is listed may be gone a moment later
            if happened():
                return True
        time.sleep(0.003)
    return False


def workers() -> list[psutil.Process]:
    """The actors of passes that run now."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.cmdline()[:1] and "_ChunkActor" in process.cmdline()[0]:
                found.append(process)
    return found


class Harness:
    """A cluster, a collection, two generations of bundles, and what the kills did."""

    def __init__(self, folder: Path, pictures: int, seed: int):
        self.chance = random.Random(seed)
        self.out = folder / "out"
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.node = self.cluster.add_node(num_cpus=1)
        write_manifest(str(folder / "manifest"), write_pictures(folder / "scans", pictures - BROKEN, BROKEN, side=400))
        bundles = [
            [write_bundle(str(folder / f"{task}-{seed}"), task, task, seed=seed) for task in TASKS] for seed in (1, 2)
        ]
        self.job = Job(folder, self.cluster.address, bundles)
        self.seconds = 0.0
        self.generations = [self._undisturbed(folder / f"expected-{number}", number) for number in (0, 1)]

    def _undisturbed(self, out: Path, generation: int) -> Labels:
        begun = time.monotonic()
        process = self.job.start(generation, out)
        reason = self.job.finish(process)
        if reason:
            raise SystemExit(f"an undisturbed run ended with {reason}")
        self.seconds = time.monotonic() - begun
        return labels_of(read_labels(str(out)).to_table())

    def first(self) -> None:
        """The labels that the first disturbed run finds."""
        self._undisturbed(self.out, 0)

    def disturb(self, number: int, victim: str, moment: str) -> tuple[str, int, list[str]]:
        """One kill, and runs until one ends with 0.

        Returns:
            When the process was killed, the runs needed after that, and what is wrong with the labels now.
        """
        generation = number % 2
        process = self.job.start(generation, self.out)
        hit = self._kill(process, victim, moment)
        ended = self.job.finish(process)
        again = 0
        while ended:
            again += 1
            if again > 3:
                return hit, again, [f"the command fails again and again: {ended}"]
            ended = self.job.finish(self.job.start(generation, self.out))
        wrong = differences(labels_of(read_labels(str(self.out)).to_table()), self.generations[generation])
        published = read_published(str(self.out))
        assert published
        files = {str(path.relative_to(self.out)) for path in self.out.glob("_runs/*/*")}
        if files != {*published.files(), *published.previous} or (self.out / "_staging").exists():
            wrong.append("files are left behind")
        return hit, again, wrong

    def _kill(self, process: subprocess.Popen[str], victim: str, moment: str) -> str:
        before = runs(self.out)
        begun = time.monotonic()
        if moment == "any time":
            wait = self.chance.uniform(0, self.seconds)
            wait_until(process, lambda: time.monotonic() - begun > wait)
        elif moment == "publishing":
            wait_until(process, lambda: runs(self.out) != before)
            time.sleep(self.chance.uniform(0, 0.1))
        else:
            enough = self.chance.randint(1, 7)
            wait_until(process, lambda: chunks_done(self.out) >= enough)
        hit = f"{time.monotonic() - begun:.1f} s, {chunks_done(self.out)} chunks"
        if process.poll() is not None:
            return f"{hit}, had ended"
        if victim == "driver":
            process.kill()
        elif victim == "worker":
            alive = workers()
            if alive:
                self.chance.choice(alive).kill()
            else:
                hit += ", no worker there"
        else:
            self.cluster.remove_node(self.node, allow_graceful=False)
            self.node = self.cluster.add_node(num_cpus=1)
        return hit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--pictures", type=int, default=256, help="in the collection (default: 256)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    say = Console(stderr=True, highlight=False).print
    plan = [
        (victim, moment) for moment in MOMENTS for victim in VICTIMS if (victim, moment) != ("worker", "publishing")
    ]
    random.Random(options.seed).shuffle(plan)
    results: list[tuple[str, str, int, list[str]]] = []
    with tempfile.TemporaryDirectory(prefix="artray-kill-") as folder:
        say("an undisturbed run of each generation …")
        harness = Harness(Path(folder), options.pictures, options.seed)
        try:
            harness.first()
            reader = Reader(harness.out, harness.generations)
            with reader.looking():
                for number in range(1, options.kills + 1):
                    victim, moment = plan[(number - 1) % len(plan)]
                    begun = time.monotonic()
                    hit, again, wrong = harness.disturb(number, victim, moment)
                    results.append((victim, moment, again, wrong))
                    took = time.monotonic() - begun
                    what = f"{victim} killed, {moment} ({hit}); {again} more runs, {took:.0f} s"
                    seen = f"; the reader saw something else: {reader.wrong[-1]}" if reader.wrong else ""
                    say(f"{number}: {what}, {wrong or 'whole'}{seen}")
        finally:
            harness.cluster.shutdown()
    report(results, reader)


def report(results: list[tuple[str, str, int, list[str]]], reader: Reader) -> None:
    table = Table("killed", "moment", "kills", "run again", "wrong afterwards")
    kinds = Counter((victim, moment) for victim, moment, *_ in results)
    for (victim, moment), kills in sorted(kinds.items()):
        own = [result for result in results if result[:2] == (victim, moment)]
        again, wrong = sum(result[2] > 0 for result in own), sum(bool(result[3]) for result in own)
        table.add_row(victim, moment, str(kills), str(again), str(wrong))
    faulty = sum(bool(result[3]) for result in results)
    table.add_section()
    table.add_row("all", "", str(len(results)), str(sum(result[2] > 0 for result in results)), str(faulty))
    console = Console()
    console.print(
        table, f"a reader looked {reader.looks:,} times and saw {len(reader.wrong)} times something else", sep="\n"
    )
    for line in reader.wrong[:5]:
        console.print(line, highlight=False, markup=False)
    if faulty or reader.wrong or not reader.looks:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
