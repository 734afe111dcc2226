"""The whole walk on a cluster of several nodes, with pictures and tables on S3, while nodes are killed.

    python -m tests.tools.kill_nodes [--pictures 600] [--seed 0]

A real S3 server, a head and two more nodes (`ray start`) on this machine; each job is submitted with `ray job submit
--working-dir .`. Every station runs undisturbed once, and once more with kills (-9, a node's whole process group):

    features, labels, training   one of the two nodes in the middle of the job; another one joins
    the head                     in the middle of labelling, and with it the whole cluster; a new cluster gets the same
                                 command
    two at once                  features and labels at the same time

A job that does not end with 0 is submitted again. What comes out must be what the undisturbed run gave: each row once,
features and scores equal to 1e-5, the same metrics. Prints a table; ends with status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
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
from typing import Any

import numpy as np
import pyarrow as pa

from artray import console
from artray.collection import storage
from artray.labeling.published import read_labels
from artray.sample.collection import write_sample
from artray.training.bundle import read_json
from tests.clusters import RealCluster, counts_of, kill
from tests.servers import running_s3_server

BUCKET = "s3://museum"
NODES = 2
ATTEMPTS = 4
CLOSE = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=600, help="in the collection (default: 600)")
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
        self.cluster = self._new_cluster()
        self.rows: list[list[Any]] = []
        self.wrong = 0

    def _new_cluster(self) -> RealCluster:
        self._homes += 1
        home = self._folder / f"home-{self._homes}"
        home.mkdir()
        cluster = RealCluster(home, cpus=1)
        for _ in range(NODES):
            cluster.add_node()
        return cluster

    def upload(self, pictures: int) -> None:
        """The sample collection's pictures, again and again under other names, until there are enough."""
        fs, _ = storage.filesystem(BUCKET)
        fs.mkdir(BUCKET.removeprefix("s3://"))
        write_sample(self._folder / "sample")
        files = sorted((self._folder / "sample").rglob("*.jpg"))
        rows = ["file,medium,family"]
        for number in range(pictures):
            file = files[number % len(files)]
            name = f"{file.parent.name}/{number:05d}.jpg"
            storage.write_bytes(f"{BUCKET}/pictures/{name}", file.read_bytes())
            rows.append(f"{name},{'hand' if 'images' in str(file) else 'code'},{file.stem}")
        storage.write_bytes(f"{BUCKET}/catalog.csv", "\n".join(rows).encode())

    def run(self) -> None:
        """All stations, undisturbed and disturbed."""
        manifest, config = f"{BUCKET}/manifest", "jobs/configs/hand_or_code_head.yaml"
        ingest = ["ingest", "--images", f"{BUCKET}/pictures", "--catalog", f"{BUCKET}/catalog.csv", "--out", manifest]
        self._job("ingest", [*ingest, "--label", "medium=medium", "--split-by", "family", "--no-near-duplicates"])

        def features(out: str) -> list[str]:
            return ["extract_features", "--manifest", manifest, "--out", f"{BUCKET}/{out}", "--features", "embedding"]

        def training(out: str) -> list[str]:
            training = ["train", "--config", config, "--data", f"{BUCKET}/features", "--out", f"{BUCKET}/{out}"]
            return [*training, "--workers", "2", "--set", "epochs=400", "--set", "checkpoint_steps=20"]

        def labels(out: str) -> list[str]:
            return ["label_catalog", "--manifest", manifest, "--model", f"{BUCKET}/model", "--out", f"{BUCKET}/{out}"]

        def parts(out: str, number: int) -> Callable[[], bool]:
            fs, path = storage.filesystem(f"{BUCKET}/{out}")
            return lambda: sum("/part-" in name for name in fs.find(path)) >= number

        def checkpoints(out: str) -> Callable[[], bool]:
            fs, path = storage.filesystem(f"{BUCKET}/{out}/_training")
            return lambda: any(name.endswith("notes.json") for name in fs.find(path))

        self._job("features", features("features"))
        self._job("train", training("model"))
        self._job("labels", labels("labels"))

        with self._killing("features, a node killed", parts("features-2", self._chance.randint(1, 6)), self._kill_node):
            self._job("features, a node killed", features("features-2"), self._same_features("features-2"))
        with self._killing("train, a node killed", checkpoints("model-2"), self._kill_node):
            self._job("train, a node killed", training("model-2"), self._same_model("model-2"))
        with self._killing("labels, a node killed", parts("labels-2", self._chance.randint(1, 6)), self._kill_node):
            self._job("labels, a node killed", labels("labels-2"), self._same_labels("labels-2"))
        with self._killing("labels, the head killed", parts("labels-3", self._chance.randint(1, 6)), self._kill_all):
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
        header = ["job", "rows", "submitted", "seconds", "came out"]
        console.table(f"a head and {NODES} nodes", header, self.rows)

    def _job(self, name: str, command: list[str], check: Callable[[], str] = lambda: "") -> None:
        """Submit a job until it ends with 0, and compare what it made."""
        started = time.monotonic()
        script, *options = command
        attempts = 0
        while attempts < ATTEMPTS:
            attempts += 1
            try:
                done = self.cluster.submit("python", f"jobs/{script}.py", *options)
            except subprocess.TimeoutExpired:
                continue
            if done.returncode == 0:
                break
            console.say(f"{name}: ended with {done.returncode}: {done.stdout.strip().splitlines()[-1:]}")
            time.sleep(5)  # where the head was killed, another one comes
        rows = counts_of(done)["rows"]
        fault = check()
        self.wrong += bool(fault)
        seconds = f"{time.monotonic() - started:.0f}"
        self.rows.append([name, rows, attempts, seconds, fault or "the same"])
        console.say(f"{name}: {seconds} s, submitted {attempts} times, {fault or 'as it should be'}")

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

    def _kill_node(self) -> None:
        alive = [node for node in self.cluster.nodes if node.poll() is None]
        kill(self._chance.choice(alive))
        self.cluster.add_node()

    def _kill_all(self) -> None:
        """The head, without which no node stays."""
        self.cluster.close()
        self.cluster = self._new_cluster()

    def _same_features(self, out: str) -> Callable[[], str]:
        return lambda: _difference(_table("features"), _table(out), "embedding")

    def _same_labels(self, out: str) -> Callable[[], str]:
        def labels(name: str) -> pa.Table:
            table = read_labels(f"{BUCKET}/{name}").to_table().sort_by("object_id")
            scores = [[row["code"], row["hand"]] for row in table["scores"].to_pylist(maps_as_pydicts="strict")]
            return table.set_column(table.column_names.index("scores"), "scores", pa.array(scores))

        return lambda: _difference(labels("labels"), labels(out), "scores")

    def _same_model(self, out: str) -> Callable[[], str]:
        def metrics(name: str) -> np.ndarray[Any, Any]:
            artwork = read_json(f"{BUCKET}/{name}", "evaluation.json")["levels"]["artwork"]
            return np.array([artwork["accuracy"], artwork["log_loss"]])

        def check() -> str:
            largest = np.abs(metrics("model") - metrics(out)).max()
            return "" if largest < 1e-3 else f"metrics differ by {largest:.4f}"

        return check


def _table(name: str) -> pa.Table:
    return storage.dataset(f"{BUCKET}/{name}").to_table().sort_by("object_id")


def _difference(expected: pa.Table, found: pa.Table, column: str) -> str:
    """What is wrong with a table; nothing if it has the same rows, once each, and close values."""
    if expected["object_id"].to_pylist() != found["object_id"].to_pylist():
        return f"{len(found)} rows, {len(set(found['object_id'].to_pylist()))} works, instead of {len(expected)}"
    apart = np.abs(np.array(expected[column].to_pylist()) - np.array(found[column].to_pylist())).max()
    scale = np.abs(np.array(expected[column].to_pylist())).max()
    return "" if apart <= CLOSE * max(1, scale) else f"{column} differs by {apart:.2g}"


if __name__ == "__main__":
    main()
