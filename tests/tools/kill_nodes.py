"""The whole walk on a cluster of several nodes, with pictures and tables on S3, while nodes are killed.

    python -m tests.tools.kill_nodes [--pictures 240] [--seed 0]

A real S3 server, a head and two more nodes (`ray start`) on this machine; each job is submitted with `ray job submit
--working-dir .`. Every station runs undisturbed once, and once more with kills (-9, a node's whole process group):

    features, labels, training   one of the two nodes in the middle of the job; another one joins
    the head                     in the middle of labelling, and with it the whole cluster; a new cluster gets the same
                                 command
    two at once                  features and labels at the same time
    from none                    features and labels on a cluster without nodes, whose autoscaler begins some (by Ray's
                                 "fake multi-node" provider) and ends them when they are idle

A job that does not end with 0 is submitted again. What comes out must be what the undisturbed run gave: each row once,
features and scores equal to 1e-5, the same metrics. Prints a table; ends with status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa

from artray import console
from artray.bundles.classifier import read_evaluation
from artray.labeling.published import read_labels
from artray.sample.collection import write_sample
from artray.storage import Location
from tests.clusters import RealCluster, counts_of, kill
from tests.servers import running_s3_server

BUCKET = "s3://museum"
NODES = 2
ATTEMPTS = 4
LEAVE = 120  # seconds within which idle nodes must be gone; the autoscaler waits for 15
CLOSE = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=240, help="in the collection (default: 240)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="artray-nodes-") as place:
        folder = Path(place)
        (folder / "s3").mkdir()
        with running_s3_server(folder / "s3") as server:
            os.environ.update(server.environment())
            walk = Walk(folder, random.Random(options.seed))
            try:
                walk.upload(options.pictures)
                walk.run()
            finally:
                walk.cluster.close()
    sys.exit(1 if walk.wrong else 0)


class Walk:
    """The cluster, and what became of each job."""

    def __init__(self, folder: Path, chance: random.Random):
        self._folder, self._chance = folder, chance
        self._homes = 0
        self._grows = False
        self.cluster = self._new_cluster()
        self.rows: list[list[Any]] = []
        self.wrong = 0
        self._replacing = Lock()

    def _new_cluster(self, grows_to: int = 0) -> RealCluster:
        self._homes += 1
        home = self._folder / f"home-{self._homes}"
        home.mkdir()
        return RealCluster(home, cpus=0, grows_to=grows_to)

    def upload(self, pictures: int) -> None:
        """The sample collection's pictures, again and again under other names, until there are enough."""
        fs, _ = Location.parse(BUCKET).filesystem()
        fs.mkdir(BUCKET.removeprefix("s3://"))
        sample = self._folder / "sample"
        with write_sample(sample).open(encoding="utf-8", newline="") as file:
            works = [work for work in csv.DictReader(file) if work["medium"]]
        rows = ["file,medium,family"]
        for number in range(pictures):
            work = works[number % len(works)]
            name = f"{number:05d}.jpg"
            Location.parse(f"{BUCKET}/pictures/{name}").write_bytes((sample / work["file"]).read_bytes())
            rows.append(f"{name},{work['medium']},{work['family']}")
        Location.parse(f"{BUCKET}/catalog.csv").write_bytes("\n".join(rows).encode())

    def run(self) -> None:
        """All stations, undisturbed and disturbed."""
        manifest, config = f"{BUCKET}/manifest", "jobs/configs/lite0_head.yaml"
        ingest = ["ingest", "--images", f"{BUCKET}/pictures", "--catalog", f"{BUCKET}/catalog.csv", "--out", manifest]
        self._job("ingest", [*ingest, "--label", "medium=medium", "--split-by", "family", "--no-near-duplicates"])

        def features(out: str) -> list[str]:
            return ["extract_features", "--manifest", manifest, "--out", f"{BUCKET}/{out}", "--features", "embedding"]

        def training(out: str) -> list[str]:
            training = [
                "train",
                "--config",
                config,
                "--task",
                "medium",
                "--data",
                f"{BUCKET}/features",
                "--out",
                f"{BUCKET}/{out}",
            ]
            return [*training, "--workers", "2", "--set", "epochs=60", "--set", "checkpoint_steps=20"]

        def labels(out: str) -> list[str]:
            return ["label_catalog", "--manifest", manifest, "--model", f"{BUCKET}/model", "--out", f"{BUCKET}/{out}"]

        def parts(out: str, number: int) -> Callable[[], bool]:
            fs, path = Location.parse(f"{BUCKET}/{out}").filesystem()
            return lambda: sum("/part-" in name for name in fs.find(path)) >= number

        def checkpoints(out: str) -> Callable[[], bool]:
            fs, path = Location.parse(f"{BUCKET}/{out}/_training").filesystem()
            return lambda: any(name.endswith("notes.json") for name in fs.find(path))

        self._job("features", features("features"))
        self._job("train", training("model"))
        self._job("labels", labels("labels"))

        with self._killing("features, a node killed", parts("features-2", self._chance.randint(1, 3)), self._kill_node):
            self._job("features, a node killed", features("features-2"), self._same_features("features-2"))
        with self._killing("train, a node killed", checkpoints("model-2"), self._kill_node):
            self._job("train, a node killed", training("model-2"), self._same_model("model-2"))
        with self._killing("labels, a node killed", parts("labels-2", self._chance.randint(1, 3)), self._kill_node):
            self._job("labels, a node killed", labels("labels-2"), self._same_labels("labels-2"))
        with self._killing("labels, the head killed", parts("labels-3", self._chance.randint(1, 3)), self._kill_all):
            self._job("labels, the head killed", labels("labels-3"), self._same_labels("labels-3"))
        with ThreadPoolExecutor(2) as pool:
            both = [
                pool.submit(self._job, f"{name}, two jobs at once", command, check)
                for name, command, check in (
                    ("features", features("features-4"), self._same_features("features-4")),
                    ("labels", labels("labels-4"), self._same_labels("labels-4")),
                )
            ]
            for job in both:
                job.result()
        self._grow(features("features-5"), labels("labels-5"))
        header = ["job", "rows", "submitted", "seconds", "came out"]
        console.table(f"a head and {NODES} nodes", header, self.rows)

    def _job(self, name: str, command: list[str], check: Callable[[], str] = lambda: "") -> None:
        """Submit a job until it ends with 0, and compare what it made."""
        started = time.monotonic()
        script, *options = command
        faults: list[str] = []
        while len(faults) < ATTEMPTS:
            with self._replacing:
                cluster = self.cluster
                if not self._grows:
                    cluster.wait_for_nodes(NODES)
            try:
                done = cluster.submit("python", f"jobs/{script}.py", *options)
            except subprocess.TimeoutExpired:
                faults.append("no end")
            else:
                if done.returncode == 0:
                    break
                said = [
                    line for line in done.stdout.splitlines() if line.startswith("error: ")
                ] or done.stderr.splitlines()
                faults.append(said[-1] if said else f"status {done.returncode}")
            console.say(f"{name}: {faults[-1]}")
        else:
            self.wrong += 1
            self.rows.append([name, "", len(faults), f"{time.monotonic() - started:.0f}", faults[-1]])
            return
        seconds = f"{time.monotonic() - started:.0f}"
        counts, fault = counts_of(done), check()
        self.wrong += bool(fault)
        self.rows.append([name, counts["rows"], len(faults) + 1, seconds, fault or "as it should be"])
        console.say(f"{name}: {seconds} s, {self.rows[-1][-1]}, {counts}")

    @contextmanager
    def _killing(self, name: str, moment: Callable[[], bool], action: Callable[[], None]) -> Iterator[None]:
        """While a job runs, do something at a moment of it."""
        with ThreadPoolExecutor(1) as pool:
            ended = False

            def watch() -> bool:
                while not ended:
                    if moment():
                        action()
                        return True
                    time.sleep(0.1)
                return False

            killed = pool.submit(watch)
            try:
                yield
            finally:
                ended = True
            if not killed.result():
                self.wrong += 1
                self.rows.append([name, "", "", "", "it had ended before the moment came"])

    def _grow(self, features: list[str], labels: list[str]) -> None:
        """Begin without nodes, see some come for each job, and all of them go."""
        self.cluster.close()
        self.cluster, self._grows = self._new_cluster(grows_to=NODES), True
        for name, command, check in (
            ("features", features, self._same_features("features-5")),
            ("labels", labels, self._same_labels("labels-5")),
        ):
            most = 0
            with ThreadPoolExecutor(1) as pool:
                job = pool.submit(self._job, f"{name}, from no node", command, check)
                while not job.done():
                    most = max(most, self.cluster.joined())
                    time.sleep(1)
                job.result()
            begin = time.monotonic()
            while self.cluster.joined() and time.monotonic() - begin < LEAVE:
                time.sleep(1)
            left = self.cluster.joined()
            seconds = time.monotonic() - begin
            self.wrong += most < 1 or left > 0
            console.say(f"{name}, from no node: {most} came; {seconds:.0f} s after its end there were {left}")

    def _kill_node(self) -> None:
        alive = [node for node in self.cluster.nodes if node.poll() is None]
        kill(self._chance.choice(alive))
        self.cluster.add_node()

    def _kill_all(self) -> None:
        """The head, without which no node stays."""
        with self._replacing:
            self.cluster.close()
            self.cluster = self._new_cluster()

    def _same_features(self, out: str) -> Callable[[], str]:
        return lambda: _difference(_table("features"), _table(out), "embedding")

    def _same_labels(self, out: str) -> Callable[[], str]:
        def labels(name: str) -> pa.Table:
            table = read_labels(Location.parse(f"{BUCKET}/{name}")).to_table().sort_by("object_id")
            scores = [[row["code"], row["hand"]] for row in table["scores"].to_pylist(maps_as_pydicts="strict")]
            return table.set_column(table.column_names.index("scores"), "scores", pa.array(scores))

        return lambda: _difference(labels("labels"), labels(out), "scores")

    def _same_model(self, out: str) -> Callable[[], str]:
        def metrics(name: str) -> np.ndarray[Any, Any]:
            artwork = read_evaluation(Location.parse(f"{BUCKET}/{name}"))["levels"]["artwork"]
            return np.array([artwork["accuracy"], artwork["log_loss"]])

        def check() -> str:
            largest = np.abs(metrics("model") - metrics(out)).max()
            return "" if largest < 1e-3 else f"metrics differ by {largest:.4f}"

        return check


def _table(name: str) -> pa.Table:
    return Location.parse(f"{BUCKET}/{name}").dataset().to_table().sort_by("object_id")


def _difference(expected: pa.Table, found: pa.Table, column: str) -> str:
    """What is wrong with a table; nothing if it has the same rows, once each, and close values."""
    if expected["object_id"].to_pylist() != found["object_id"].to_pylist():
        return f"{len(found)} rows, {len(set(found['object_id'].to_pylist()))} works, instead of {len(expected)}"
    apart = np.abs(np.array(expected[column].to_pylist()) - np.array(found[column].to_pylist())).max()
    scale = np.abs(np.array(expected[column].to_pylist())).max()
    return "" if apart <= CLOSE * max(1, scale) else f"{column} differs by {apart:.2g}"


if __name__ == "__main__":
    main()
