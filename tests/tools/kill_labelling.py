"""Kill label_catalog at random moments, run it again, and look whether a row is missing, doubled or half visible.

    python -m tests.tools.kill_labelling [--kills 10] [--row 1] [--pictures 256] [--seed 0] [--s3]

A Ray cluster of two nodes on this machine labels a small collection with two bundles, again and again, in turns with
two generations of them, so that each run has everything to do. In each run one process is killed (-9):

    driver   the job itself
    worker   an actor that labels
    node     the raylet of the second node, and with it all of the node's processes

at one of these moments: at any time of a run, when a random number of chunks is done, or while the run is being
published. The same command is then run again. With `--row 5` that run too is disturbed, and so on: of six runs one
after the other the last is left alone. It must end with 0.

Then the published labels must be those of one generation, all of them, each once and with the scores that an
undisturbed run gave; and so they must be at every look of a reader who looks all the time, through `read_labels` and
through `task=*/*.parquet`. With `--s3` pictures, bundles and labels are on a real S3 server; the jobs reach it through
a proxy that answers one request in twenty with 503, a reset, a stall or a body that is cut, the reader reaches it
directly. Prints a table, and ends with status 1 if anything was wrong.
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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
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
from artray.storage import Location
from tests.integration import proxy as proxies
from tests.integration.proxy import Fault, Proxy
from tests.labeling.bundles import write_bundle, write_manifest, write_pictures
from tests.servers import running_s3_server

ROOT = Path(__file__).parents[2]
TASKS = ("pictures", "features")
VICTIMS = ("driver", "worker", "node")
MOMENTS = ("any time", "some chunks done", "publishing")
FAULTS: tuple[Fault, ...] = ("503 SlowDown", "reset", "stall", "cut")
BROKEN = 3
PATIENCE = 300.0
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


def files(uri: str) -> list[str]:
    """All files below a place, relative to it."""
    fs, path = Location.parse(uri).filesystem()
    return [name[len(path) + 1 :] for name in fs.find(path)]


@dataclass
class Reader:
    """Looks at the published labels all the time, in a thread.

    Attributes:
        out: Where they are.
        generations: What may be seen.
        looks: How often it looked, by the commit and as plain readers do.
        wrong: What it saw and should not have.
    """

    out: str
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
        while not stop.wait(0.1):
            for name, read in (("read_labels", self._by_commit), ("plain", self._plain)):
                try:
                    read()
                except Exception as error:
                    self.wrong.append(f"{name}: {type(error).__name__}: {error}")
            self.looks += 1

    def _by_commit(self) -> None:
        self._check(labels_of(read_labels(Location.parse(self.out)).to_table()), TASKS)

    def _plain(self) -> None:
        for task in TASKS:
            folder = Location.parse(self.out) / f"task={task}"
            (name,) = (name for name in files(folder) if name.endswith(".parquet"))
            table = pq.ParquetFile(BytesIO((Location.parse(folder) / name).read_bytes())).read()
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

    manifest: str
    bundles: list[list[str]]
    environment: dict[str, str]

    def start(self, generation: int, out: str) -> subprocess.Popen[str]:
        models = [part for uri in self.bundles[generation] for part in ("--model", uri)]
        command = [sys.executable, str(ROOT / "jobs" / "label_catalog.py"), "--manifest", self.manifest]
        return subprocess.Popen(
            [*command, *models, "--out", out],
            env=self.environment,
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


def chunks_done(out: str) -> int:
    return sum("/parts/part-" in name for name in files(Location.parse(out) / "_staging"))


def runs(out: str) -> set[str]:
    return {name.split("/")[0] for name in files(Location.parse(out) / "_runs")}


def wait_until(process: subprocess.Popen[str], happened: Callable[[], bool]) -> bool:
    """Wait for something within a run; False where the run ended without."""
    while process.poll() is None:
        with suppress(OSError):  # what is listed may be gone a moment later
            if happened():
                return True
        time.sleep(0.01)
    return False


def workers(since: float) -> list[psutil.Process]:
    """The actors that label, but for those of a run before."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.cmdline()[:1] and "_ChunkActor" in process.cmdline()[0] and process.create_time() > since:
                found.append(process)
    return found


@contextmanager
def variables(values: dict[str, str]) -> Iterator[None]:
    """Some environment variables, for the processes that are started within the block."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Harness:
    """A cluster, a collection, two generations of bundles, and what the kills did."""

    def __init__(self, folder: Path, place: str, pictures: int, seed: int, jobs_environment: dict[str, str]):
        """Start the cluster, write all that a run needs, and find out what an undisturbed run gives.

        Args:
            folder: On this machine.
            place: Where pictures, bundles and labels are.
            pictures: How many.
            seed: Of the moments.
            jobs_environment: Variables of the jobs and the cluster's nodes, which this process has not.
        """
        self.chance = random.Random(seed)
        self.out = Location.parse(place) / "out"
        self._environment = jobs_environment
        with variables(jobs_environment):
            self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
            self.node = self.cluster.add_node(num_cpus=1)
            environment = {**os.environ, "RAY_ADDRESS": self.cluster.address, "PYTHONPATH": str(ROOT)}
        scans = write_pictures(folder / "scans", pictures - BROKEN, BROKEN, side=400)
        if place.startswith("s3://"):
            for name, path in scans.items():
                scans[name] = Location.parse(place) / "scans" / Path(path).name
                Location.parse(scans[name]).write_bytes(Path(path).read_bytes())
        manifest = write_manifest(Location.parse(place) / "manifest", scans)
        bundles = [
            [write_bundle(Location.parse(place) / f"{task}-{seed}", task, task, seed=seed) for task in TASKS]
            for seed in (1, 2)
        ]
        self.job = Job(manifest, bundles, environment)
        self.seconds = 0.0
        self.generations = [
            self._undisturbed(Location.parse(place) / f"expected-{number}", number) for number in (0, 1)
        ]

    def _undisturbed(self, out: str, generation: int) -> Labels:
        begun = time.monotonic()
        reason = self.job.finish(self.job.start(generation, out))
        if reason:
            raise SystemExit(f"an undisturbed run ended with {reason}")
        self.seconds = time.monotonic() - begun
        return labels_of(read_labels(Location.parse(out)).to_table())

    def first(self) -> None:
        """The labels that the first disturbed run finds."""
        self._undisturbed(self.out, 0)

    def disturb(self, generation: int, victim: str, moment: str) -> tuple[str, str]:
        """One run with one kill: when the process was killed, and the run's last words unless it ended with 0."""
        process = self.job.start(generation, self.out)
        return self._kill(process, victim, moment), self.job.finish(process)

    def end(self, generation: int) -> list[str]:
        """Run until a run ends with 0; what is wrong then."""
        for _ in range(3):
            ended = self.job.finish(self.job.start(generation, self.out))
            if not ended:
                return self.wrong(generation)
        return [f"the command fails again and again: {ended}"]

    def wrong(self, generation: int) -> list[str]:
        """What is wrong with the labels after a run that ended with 0."""
        wrong = differences(labels_of(read_labels(Location.parse(self.out)).to_table()), self.generations[generation])
        published = read_published(Location.parse(self.out))
        assert published
        there = set(files(self.out))
        if {name for name in there if name.startswith("_runs/")} != {*published.files(), *published.previous}:
            wrong.append("files of other runs are left behind")
        if any(name.startswith("_staging/") for name in there):
            wrong.append("staged files are left behind")
        return wrong

    def _kill(self, process: subprocess.Popen[str], victim: str, moment: str) -> str:
        before = runs(self.out)
        since, begun = time.time(), time.monotonic()
        if moment == "any time":
            wait = self.chance.uniform(0, 0.9 * self.seconds)
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
            alive = workers(since)
            if alive:
                self.chance.choice(alive).kill()
            else:
                hit += ", no worker there"
        else:
            self.cluster.remove_node(self.node, allow_graceful=False)
            with variables(self._environment):
                self.node = self.cluster.add_node(num_cpus=1)
        return hit


def killed(hit: str) -> bool:
    return not hit.endswith(("had ended", "no worker there"))


@dataclass
class Kill:
    """One kill, and what came of it."""

    victim: str
    moment: str
    run_failed: bool
    wrong: list[str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--row", type=int, default=1, help="kills before a run is left alone (default: 1)")
    parser.add_argument("--pictures", type=int, default=256, help="in the collection (default: 256)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--s3", action="store_true", help="on a real S3 server behind a proxy with faults")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no more kills after so long")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="artray-kill-")))
        proxy, place, environment = None, str(folder), dict[str, str]()
        if options.s3:
            (folder / "s3").mkdir()
            server = stack.enter_context(running_s3_server(folder / "s3"))
            proxy = stack.enter_context(proxies.running(server.endpoint))
            os.environ.update(server.environment())
            fs, _ = Location.parse("s3://museum").filesystem()
            fs.mkdir("museum")
            place, environment = "s3://museum", {"AWS_ENDPOINT_URL": proxy.endpoint}
        run(options, folder, place, environment, proxy)


def run(
    options: argparse.Namespace, folder: Path, place: str, environment: dict[str, str], proxy: Proxy | None
) -> None:
    say = Console(stderr=True, highlight=False).print
    plan = [
        (victim, moment) for moment in MOMENTS for victim in VICTIMS if (victim, moment) != ("worker", "publishing")
    ]
    chance = random.Random(options.seed)
    chance.shuffle(plan)
    until = time.monotonic() + 60 * options.minutes
    results: list[Kill] = []
    say("an undisturbed run of each generation …")
    harness = Harness(folder, place, options.pictures, options.seed, environment)
    number, generation = 0, 1
    try:
        harness.first()
        reader = Reader(harness.out, harness.generations)
        with reader.looking():
            while len(results) < options.kills and time.monotonic() < until:
                row: list[Kill] = []
                ended = ""
                for _ in range(min(options.row, options.kills - len(results))):
                    victim, moment = plan[number % len(plan)]
                    number += 1
                    if proxy:
                        proxy.rate(0.05, chance.choice(FAULTS), seed=number)
                    begun = time.monotonic()
                    hit, ended = harness.disturb(generation, victim, moment)
                    if killed(hit):
                        row.append(Kill(victim, moment, bool(ended), []))
                    what = f"{victim}, {moment} ({hit}), {time.monotonic() - begun:.0f} s"
                    say(
                        f"{len(results) + len(row)}: {what}, {f'run ended with {ended}' if ended else 'run ended well'}"
                    )
                    if not ended:
                        break  # the generation is published: the next run would have nothing to do
                wrong = harness.end(generation) if ended else harness.wrong(generation)
                for kill in row:
                    kill.wrong = wrong
                results += row
                generation = 1 - generation
                seen = f"; the reader saw something else: {reader.wrong[-1]}" if reader.wrong else ""
                say(f"   after {'the last run' if ended else 'this run'}: {wrong or 'whole'}{seen}")
    finally:
        harness.cluster.shutdown()
    report(results, reader)


def report(results: list[Kill], reader: Reader) -> None:
    table = Table("killed", "moment", "kills", "runs that ended with it", "wrong afterwards")
    kinds = Counter((kill.victim, kill.moment) for kill in results)
    for (victim, moment), kills in sorted(kinds.items()):
        own = [kill for kill in results if (kill.victim, kill.moment) == (victim, moment)]
        failed, wrong = sum(kill.run_failed for kill in own), sum(bool(kill.wrong) for kill in own)
        table.add_row(victim, moment, str(kills), str(failed), str(wrong))
    faulty = sum(bool(kill.wrong) for kill in results)
    table.add_section()
    table.add_row("all", "", str(len(results)), str(sum(kill.run_failed for kill in results)), str(faulty))
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
