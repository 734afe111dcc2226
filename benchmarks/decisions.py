"""What the decisions of classifiers are worth: the simple answers, the fusion, closed forms and the default.

    python benchmarks/decisions.py --features STYLES --task style --features HAND --task medium [--seeds 6,7,8,9,10]
        [--also "Lite2=DIR" --also "Lite2=DIR"] [--strange code=HAND:medium=code] [--left-out 6,7] [--out FILE]

STYLES and HAND are feature tables of `extract-features --statistics`. For each seed the works are dealt anew, as by
`ingest --seed`; each config learns and is judged on its test part, in this process, without Ray. `--also NAME=DIR`,
once a table, runs the default on another table of the same works. `--strange NAME=DIR:COLUMN=VALUE` says how novel some
works of another table are to the models of the first task, beside its test part, and `--left-out SEEDS` what these are
to models without their class; of the tables of `--also` it is `--strange-also ALSO=NAME=…`. `--out` keeps each run's
figures, and goes on from them.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from artray.bundles.classifier import load_bundle, load_novelty, read_evaluation
from artray.classifiers import examples as examples_module
from artray.classifiers import feature_inputs
from artray.classifiers.closed_form import training_class
from artray.classifiers.config import read_config
from artray.classifiers.evaluation import metric
from artray.classifiers.novelty import novelty_told
from artray.classifiers.station import standardization
from artray.engine import examples as inputs_module
from artray.ingest.splits import assign_splits
from artray.storage import Location

Recipe = tuple[str, dict[str, str]]
"""A config, and changes of it."""

CONFIGS: dict[str, Recipe] = {
    "weighted logistic regression": ("default", {"model": "{name: logistic}"}),
    "fusion": ("fusion", {}),
    "lda": ("lda", {}),
    "default": ("default", {}),
    "head": ("lite0_head", {}),
    "head of a fixed penalty": ("lite0_head", {"model.l2": "0.0001"}),
}
SHOWN = "weighted logistic regression,fusion,lda,default"


class NoRay(SimpleNamespace):
    """What is put into the object store stays where it is."""

    put = staticmethod(lambda value: value)
    get = staticmethod(lambda values: values)


class NoCheckpoints:
    def due(self) -> bool:
        return False

    def load(self) -> None:
        return None


class Silent:
    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *_: None)


def split(table: str, target: str, seed: int, out: Path) -> None:
    """A feature table whose works are dealt by another seed."""
    found = Location.parse(table).dataset().to_table()
    parts = assign_splits(found["group"].to_pylist(), found[target].to_pylist(), seed=seed)
    found = found.set_column(found.column_names.index("split"), "split", pa.array(parts))
    pq.write_table(found, out / "part-000000.parquet")
    shutil.copy(Path(table) / "_run.json", out)


def strange_features(given: str, wanted: Any) -> np.ndarray:
    """The features of some works of a table, by `DIR:COLUMN=VALUE`."""
    folder, _, condition = given.rpartition(":")
    column, _, value = condition.partition("=")
    found = (
        Location.parse(folder)
        .dataset()
        .to_table(filter=(pads.field(column) == value) & pads.field("status").isin(["ok"]))
    )
    if not len(found):
        raise SystemExit(f"{folder}: has no works with {condition}")
    return np.concatenate(list(wanted.groups({name: found[name] for name in wanted.columns}).values()), axis=1)


@contextmanager
def trained(table: str, target: str, seed: int, recipe: Recipe) -> Iterator[tuple[Any, Location]]:
    """The examples of a training, and its bundle, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as scratch:
        data, out = Path(scratch, "data"), Location.parse(f"{scratch}/model")
        data.mkdir()
        split(table, target, seed, data)
        config = read_config(*recipe, target)
        examples = examples_module.load_examples(config.examples, Location.parse(str(data)))
        training = training_class(config)(
            config=config, examples=examples, standardize=standardization(examples), out=out, source="benchmark"
        )
        training.work(0, NoCheckpoints(), Silent())  # type: ignore[arg-type]
        yield examples, out


def figures(table: str, target: str, seed: int, recipe: Recipe, strange: dict[str, str]) -> dict[str, Any]:
    """Train, and read the evaluation's figures."""
    with trained(table, target, seed, recipe) as (examples, out):
        evaluation = read_evaluation(out)
        novelty = load_novelty(out, load_bundle(out))
        aucs = {}
        if novelty is not None and strange:
            within = novelty(examples.inputs.take(examples.part("test")))
            for name, given in strange.items():
                told = novelty_told(within, novelty(strange_features(given, examples.input)))["other"]
                aucs[name] = told["roc_auc"], told["found"]
    level = evaluation["levels"]["artwork"]
    kept = level["kept"] or {"share": 0.0, "precision": None}
    return {
        "folds": metric(evaluation["validation"]["artwork"], "balanced_accuracy"),
        "majority": level["majority"]["balanced_accuracy"],
        "balanced": metric(level, "balanced_accuracy"),
        "accuracy": level["accuracy"],
        "ece": level["expected_calibration_error"],
        "kept": kept["share"],
        "precision": kept["precision"],
        "novelty": ((evaluation.get("novelty") or {}).get("other") or {}).get("roc_auc"),
        "found": ((evaluation.get("novelty") or {}).get("other") or {}).get("found"),
        "strange": aucs,
    }


def left_out(table: str, target: str, seed: int, recipe: Recipe) -> list[tuple[float, float]]:
    """AUC, and share found, of each class's works to a model without it."""
    labels = sorted(set(Location.parse(table).dataset().to_table(columns=[target])[target].drop_null().to_pylist()))
    found = []
    for left in labels:
        kept = json.dumps([label for label in labels if label != left])
        told = figures(table, target, seed, (recipe[0], {**recipe[1], "classes": kept}), {})
        found.append((told["novelty"], told["found"]))
    return found


def row(name: str, runs: list[dict[str, Any]]) -> str:
    def cell(key: str) -> str:
        values = [run[key] for run in runs if run.get(key) is not None]
        if not values:
            return "–"
        spread = f" ± {np.std(values, ddof=1):.3f}" if key == "balanced" and len(values) > 1 else ""
        return f"{np.mean(values):.3f}{spread}"

    certain = [run["precision"] for run in runs if run["precision"] is not None]
    lowest = f"{min(certain):.3f}" if certain else "–"
    cells = [name, cell("folds"), cell("balanced"), cell("ece"), cell("kept"), cell("precision"), lowest]
    return f"| {' | '.join(cells)} |"


def show_novelty(done: dict[str, Any], shown: list[str], seeds: list[int], left_seeds: list[int], task: str) -> None:
    """Means of AUC, and of the share that is found, for each kind of strange works."""
    kinds = sorted({kind for key in done if key.startswith(f"{task} ") for kind in done[key].get("strange", {})})
    if not kinds and not left_seeds:
        return
    print(f"\nnovelty: AUC, and share found; {task}, seeds {seeds}, of classes left out {left_seeds}\n")
    print(f"| | {' | '.join([*kinds, 'left out'])} |\n|{'---|' * (len(kinds) + 2)}")
    for name in shown:
        cells = []
        for told in [
            [done[f"{task} {seed} {name}"].get("strange", {}).get(kind) for seed in seeds] for kind in kinds
        ] + [[each for seed in left_seeds for each in done.get(f"left out {task} {seed} {name}", [])]]:
            known = [each for each in told if each]
            cells.append(" ".join(f"{value:.3f}" for value in np.mean(known, axis=0)) if known else "–")
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--features", action="append", required=True)
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--seeds", default="6,7,8,9,10")
    parser.add_argument("--also", action="append", default=[], help="NAME=DIR, once a table")
    parser.add_argument("--strange", action="append", default=[], help="NAME=DIR:COLUMN=VALUE")
    parser.add_argument("--strange-also", action="append", default=[], help="ALSO=NAME=DIR:COLUMN=VALUE")
    parser.add_argument("--left-out", default="", help="seeds")
    parser.add_argument("--configs", default=SHOWN, help=f"of {', '.join(CONFIGS)}")
    parser.add_argument("--out")
    options = parser.parse_args()
    if len(options.task) != len(options.features):
        parser.error("--task: give one for each --features")
    feature_inputs.ray = inputs_module.ray = NoRay()
    done: dict[str, Any] = {}
    if options.out and Path(options.out).exists():
        done = json.loads(Path(options.out).read_text())
    seeds = [int(seed) for seed in options.seeds.split(",")]
    plan = [(name, options.features, CONFIGS[name]) for name in options.configs.split(",")]
    also: dict[str, list[str]] = {}
    for item in options.also:
        also.setdefault(item.partition("=")[0], []).append(item.partition("=")[2])
    for name, tables in also.items():
        if len(tables) != len(options.features):
            parser.error(f"--also {name}: is given for {len(tables)} of {len(options.features)} tables of --features")
    plan += [(f"default, {name}", tables, CONFIGS["default"]) for name, tables in also.items()]
    strange = {name: dict(item.split("=", 1) for item in options.strange) for name, *_ in plan[: len(plan) - len(also)]}
    for item in options.strange_also:
        name, _, given = item.partition("=")
        strange.setdefault(f"default, {name}", {}).update([given.split("=", 1)])

    def once(key: str, make: Callable[[], Any]) -> None:
        if key not in done:
            done[key] = make()
            print(key, done[key], file=sys.stderr, flush=True)
            if options.out:
                Path(options.out).write_text(json.dumps(done, indent=1))

    left_seeds = [int(seed) for seed in options.left_out.split(",") if seed]
    for number, task in enumerate(options.task):
        for seed in seeds:
            for name, tables, recipe in plan:
                given = {} if number else strange.get(name, {})
                once(f"{task} {seed} {name}", partial(figures, tables[number], task, seed, recipe, given))
    for seed in left_seeds:
        for name, tables, (config, changes) in plan:
            if config != "fusion":
                key, first = f"left out {options.task[0]} {seed} {name}", (tables[0], options.task[0], seed)
                once(key, partial(left_out, *first, (config, changes)))
                once(f"{key}, other: learn", partial(left_out, *first, (config, {**changes, "other": "learn"})))
    for task in options.task:
        print(f"\n{task}, seeds {options.seeds}\n")
        print("| | on the training side | balanced accuracy | ECE | kept | precision of the kept | lowest |")
        print("|---|---|---|---|---|---|---|")
        shown = [name for name, *_ in plan]
        simple = np.mean([done[f"{task} {seed} {shown[0]}"]["majority"] for seed in seeds])
        print(f"| always the same label | – | {simple:.3f} | – | – | – | – |")
        for name in shown:
            print(row(name, [done[f"{task} {seed} {name}"] for seed in seeds]))
        show_novelty(done, shown, seeds, left_seeds if task == options.task[0] else [], task)
    if left_seeds:
        show_novelty(done, [f"{name}, other: learn" for name in shown], [], left_seeds, options.task[0])


if __name__ == "__main__":
    main()
