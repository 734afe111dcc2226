"""What each queue is worth: a curator who answers from the catalogue checks 200 works, and the model learns again.

    python benchmarks/curator.py --features STYLES --task style [--seeds 0,1,2] [--start 60] [--wrong .2]
        [--parts new,wrong,speed]

STYLES is a feature table of `extract-features`. For each seed the works are dealt anew by artist, as by `ingest`; what
is not the test part is the curator's. After each fifty works the model (a discriminant of the embedding, its shrinkage
chosen by folds of artists) learns again and the queues are made again. There are two beginnings:

new labels    `--start` works have labels, the others none: queues uncertain, useful, disagree (beside a logistic
              regression), against works in random order
wrong labels  all works have labels, of which a share of `--wrong` was exchanged by lot: queue differs, against works in
              random order, and against those that the model itself contradicts surest on works that it has learned from
speed         seconds for all queues of 50,000 made-up works of 20 classes, embeddings of 1,280 numbers, 5 % wrong
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads

from artray.catalogs.corrections import Corrections
from artray.classifiers.calibration import softmax
from artray.classifiers.out_of_fold import LDA, LOGISTIC, Family, Folds
from artray.ingest.splits import assign_splits
from artray.labeling.contract import Models
from artray.queues import make_queues, ranked
from artray.storage import Location, list_column, stack_lists

ROUND = 50
STEPS = (50, 100, 200)


class Collection:
    """A feature table's labelled works, dealt out anew."""

    def __init__(self, uri: str, task: str, seed: int):
        columns = ["object_id", "group", task, "embedding"]
        table = Location.parse(uri).dataset().to_table(columns=columns, filter=pads.field(task).is_valid())
        self.task, self.ids, self.groups = task, table["object_id"].to_pylist(), table["group"].to_pylist()
        self.names = sorted(set(table[task].to_pylist()))
        self.true = np.array([self.names.index(name) for name in table[task].to_pylist()])
        self.x = stack_lists(table["embedding"], "embedding").astype(np.float32)
        self.vectors = table["embedding"]
        parts = assign_splits(
            self.groups, table[task].to_pylist(), fractions={"train": 0.8, "validation": 0, "test": 0.2}, seed=seed
        )
        self.test = np.flatnonzero(np.array(parts) == "test")
        self.pool = np.flatnonzero(np.array(parts) != "test")

    def features(self, given: np.ndarray) -> pads.Dataset:
        """The pool as a feature table whose catalogue says `given`, -1 where nothing."""
        names = pa.array(self.names).take(pa.array(given[self.pool], mask=given[self.pool] < 0))
        return pads.InMemoryDataset(
            pa.table(
                {
                    "object_id": [self.ids[row] for row in self.pool],
                    "group": [self.groups[row] for row in self.pool],
                    self.task: names,
                    "embedding": self.vectors.take(pa.array(self.pool)),
                }
            )
        )

    def fitted(self, rows: np.ndarray, given: np.ndarray, family: Family = LDA) -> np.ndarray:
        """Scores of all works by a model that has learned from some: (n, classes)."""
        mean, deviation = self.x[rows].mean(axis=0), self.x[rows].std(axis=0) + 1e-6
        x = (self.x - mean) / deviation
        targets = np.eye(len(self.names))[given[rows]]
        found = Folds(x[rows], targets, [self.groups[row] for row in rows]).choose(family, slice(0, x.shape[1]))
        present = np.flatnonzero(targets.sum(axis=0))
        fit = family.prepare(lambda: [(x[rows], targets[:, present])], x.shape[1], np.ones(len(present)))
        weights, bias = fit(found.strength)
        scores = np.zeros((len(x), len(self.names)))
        scores[:, present] = softmax((x @ weights + bias) / found.temperature)
        return scores

    def labels(self, task: str, scores: np.ndarray, learned: set[int]) -> pa.Table:
        """Rows of labels of the pool."""
        own, n = scores[self.pool], len(self.pool)
        names = pa.array(self.names).take(pa.array(own.argmax(axis=1)))
        ends = pa.array(np.arange(n + 1) * len(self.names), pa.int32())
        keys = pa.array(np.tile(self.names, n))
        return pa.table(
            {
                "object_id": [self.ids[row] for row in self.pool],
                "label": names,
                "labels": pa.ListArray.from_arrays(pa.array(np.arange(n + 1), pa.int32()), names),
                "score": own.max(axis=1).astype(np.float32),
                "scores": pa.MapArray.from_arrays(ends, keys, pa.array(own.ravel().astype(np.float32))),
                "model_id": [task] * n,
                "status": ["ok"] * n,
                "learned_from": [int(row) in learned for row in self.pool],
                "task": [task] * n,
            }
        )

    def accuracy(self, scores: np.ndarray) -> float:
        return float((scores[self.test].argmax(axis=1) == self.true[self.test]).mean())


def new_labels(works: Collection, queue: str, start: int, chance: np.random.Generator) -> list[float]:
    """Test accuracy at the start and after each round."""
    order = chance.permutation(works.pool)
    known = list(order[:start])
    found = []
    while True:
        rows = np.array(known)
        scores = works.fitted(rows, works.true)
        found.append(works.accuracy(scores))
        if len(found) > max(STEPS) // ROUND:
            return found
        if queue == "random":
            chosen = [row for row in order.tolist() if row not in set(known)]
        else:
            given = np.full(len(works.ids), -1)
            given[rows] = works.true[rows]
            tables = [works.labels(works.task, scores, set(known))]
            models = Models(targets={works.task: works.task, "second": works.task})
            if queue == "disagree":
                tables.append(works.labels("second", works.fitted(rows, works.true, LOGISTIC), set(known)))
            queues = make_queues(pa.concat_tables(tables), works.features(given), models=models)
            place = {works.ids[row]: int(row) for row in works.pool}
            chosen = [place[name] for name in ranked(queues, queue, works.task)]
            # A queue may be short: the curator goes on with the least certain.
            more = [place[name] for name in ranked(queues, "uncertain", works.task)]
            chosen = list(dict.fromkeys([*chosen, *more]))
        known += chosen[:ROUND]


def wrong_labels(works: Collection, queue: str, wrong: float, chance: np.random.Generator) -> tuple[list[float], int]:
    """Test accuracy at the start and after each round, and how many wrong labels were found."""
    given = works.true.copy()
    flipped = works.pool[chance.random(len(works.pool)) < wrong]
    given[flipped] = (given[flipped] + chance.integers(1, len(works.names), len(flipped))) % len(works.names)
    order = chance.permutation(works.pool).tolist()
    checked: list[int] = []
    found = []
    corrected = 0
    while True:
        scores = works.fitted(works.pool, given)
        found.append(works.accuracy(scores))
        if len(found) > max(STEPS) // ROUND:
            return found, corrected
        if queue == "random":
            chosen = [row for row in order if row not in set(checked)]
        elif queue == "contradicted":
            own = scores[np.arange(len(scores)), given]
            chosen = works.pool[np.argsort((own - scores.max(axis=1))[works.pool])].tolist()
            chosen = [row for row in chosen if row not in set(checked)]
        else:
            reviewed = Corrections({works.task: {works.ids[row]: works.names[given[row]] for row in checked}})
            labels = works.labels(works.task, scores, set(works.pool.tolist()))
            queues = make_queues(labels, works.features(given), reviewed=reviewed)
            place = {works.ids[row]: int(row) for row in works.pool}
            chosen = [place[name] for name in ranked(queues, queue, works.task)]
            chosen += [row for row in order if row not in set(chosen) | set(checked)]
        now = chosen[:ROUND]
        corrected += int((given[now] != works.true[now]).sum())
        given[now] = works.true[now]
        checked += now


def speed(works: int = 50_000, width: int = 1280, classes: int = 20) -> None:
    """Seconds for all queues, and how many of the wrong labels are in theirs."""
    chance = np.random.default_rng(0)
    true = chance.integers(0, classes, works)
    centres = chance.normal(size=(classes, width)).astype(np.float32)
    x = chance.standard_normal((works, width), dtype=np.float32) + 0.35 * centres[true]
    given = np.where(chance.random(works) < 0.05, chance.integers(0, classes, works), true)
    names = pa.array([f"class {number}" for number in range(classes)])
    ids = [str(number) for number in range(works)]
    features = pads.InMemoryDataset(
        pa.table(
            {
                "object_id": ids,
                "group": [f"artist {number % 3000}" for number in range(works)],
                "style": names.take(pa.array(given)),
                "embedding": list_column(x),
            }
        )
    )
    scores = chance.dirichlet(np.full(classes, 0.3), works).astype(np.float32)
    said = names.take(pa.array(scores.argmax(axis=1)))
    keys = pa.array(np.tile(names.to_pylist(), works))
    ends = pa.array(np.arange(works + 1) * classes, pa.int32())
    labels = pa.table(
        {
            "object_id": ids,
            "label": said,
            "labels": pa.ListArray.from_arrays(pa.array(np.arange(works + 1), pa.int32()), said),
            "score": scores.max(axis=1),
            "scores": pa.MapArray.from_arrays(ends, keys, pa.array(scores.ravel())),
            "model_id": pa.repeat("model", works),
            "learned_from": chance.random(works) < 0.5,
            "task": pa.repeat("style", works),
        }
    )
    begun, used = time.monotonic(), time.process_time()
    queues = make_queues(labels, features)
    seconds, used = time.monotonic() - begun, time.process_time() - used
    found = np.array([int(name) for name in ranked(queues, "differs", "style")])
    wrong = given != true
    print(f"\n{works:,} works: {seconds:.1f} s, {used:.1f} CPU seconds")
    print(f"differs: {len(found):,} works, {wrong[found].mean():.1%} of them wrong, of {wrong.sum():,} wrong ones")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--start", type=int, default=60)
    parser.add_argument("--wrong", type=float, default=0.2)
    parser.add_argument("--parts", default="new,wrong,speed")
    given = parser.parse_args()
    begun = time.monotonic()
    seeds = [int(seed) for seed in given.seeds.split(",")]
    collections = {seed: Collection(given.features, given.task, seed) for seed in seeds}

    def table(title: str, queues: list[str], run: Callable[[str, int], tuple[list[float], str]]) -> None:
        print(f"\n{title}")
        print(f"| order | start | {' | '.join(map(str, STEPS))} | |\n|---|{'---|' * (len(STEPS) + 2)}")
        for queue in queues:
            runs = [run(queue, seed) for seed in seeds]
            cells = []
            for step in (0, *STEPS):
                values = [100 * curve[step // ROUND] for curve, _ in runs]
                cells.append(f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}")
            print(f"| {queue} | {' | '.join(cells)} | {'; '.join(note for _, note in runs)} |", flush=True)

    def new(queue: str, seed: int) -> tuple[list[float], str]:
        return new_labels(collections[seed], queue, given.start, np.random.default_rng(seed)), ""

    def wrong(queue: str, seed: int) -> tuple[list[float], str]:
        curve, corrected = wrong_labels(collections[seed], queue, given.wrong, np.random.default_rng(seed))
        return curve, f"{corrected} corrected"

    if "new" in given.parts:
        table(f"new labels, {given.start} at the start", ["random", "uncertain", "useful", "disagree"], new)
    if "wrong" in given.parts:
        table(f"wrong labels, {given.wrong:.0%}", ["random", "contradicted", "differs"], wrong)
    if "speed" in given.parts:
        speed()
    print(f"\n{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
