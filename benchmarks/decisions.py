"""What the decisions of classifiers are worth: the simple answers, the fusion, closed forms and the default.

    python benchmarks/decisions.py --features STYLES --task style --features HAND --task medium [--seeds 6,7,8,9,10]
        [--also "Lite2=DIR" --also "Lite2=DIR"] [--out FILE]

STYLES and HAND are feature tables of `extract-features --statistics`. For each seed the works are dealt anew, as by
`ingest --seed`; each config learns and is judged on its test part, in this process, without Ray. `--also NAME=DIR`,
once a table, runs the default on another table of the same works. `--out` keeps each run's figures, and goes on from
them.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from artray.bundles.classifier import read_evaluation
from artray.classifiers import examples as examples_module
from artray.classifiers import feature_inputs
from artray.classifiers.closed_form import training_class
from artray.classifiers.config import read_config
from artray.classifiers.evaluation import metric
from artray.classifiers.station import standardization
from artray.engine import examples as inputs_module
from artray.ingest.splits import assign_splits
from artray.storage import Location

CONFIGS: dict[str, tuple[str, dict[str, str]]] = {
    "weighted logistic regression": ("default", {"model": "{name: logistic}"}),
    "fusion": ("fusion", {}),
    "lda": ("lda", {}),
    "default": ("default", {}),
}


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


def figures(table: str, target: str, seed: int, config_name: str, changes: dict[str, str]) -> dict[str, Any]:
    """Train, and read the evaluation's figures."""
    with tempfile.TemporaryDirectory() as scratch:
        data, out = Path(scratch, "data"), Location.parse(f"{scratch}/model")
        data.mkdir()
        split(table, target, seed, data)
        config = read_config(config_name, changes, target)
        examples = examples_module.load_examples(config.examples, Location.parse(str(data)))
        training = training_class(config)(
            config=config, examples=examples, standardize=standardization(examples), out=out, source="benchmark"
        )
        training.work(0, NoCheckpoints(), Silent())  # type: ignore[arg-type]
        evaluation = read_evaluation(out)
    level = evaluation["levels"]["artwork"]
    kept = level["kept"] or {"share": 0.0, "precision": None}
    return {
        "majority": level["majority"]["balanced_accuracy"],
        "balanced": metric(level, "balanced_accuracy"),
        "accuracy": level["accuracy"],
        "ece": level["expected_calibration_error"],
        "kept": kept["share"],
        "precision": kept["precision"],
        "novelty": (evaluation.get("novelty") or {}).get("auc"),
    }


def row(name: str, runs: list[dict[str, Any]]) -> str:
    def cell(key: str) -> str:
        values = [run[key] for run in runs if run[key] is not None]
        if not values:
            return "–"
        spread = f" ± {np.std(values, ddof=1):.3f}" if key == "balanced" and len(values) > 1 else ""
        return f"{np.mean(values):.3f}{spread}"

    certain = [run["precision"] for run in runs if run["precision"] is not None]
    lowest = f"{min(certain):.3f}" if certain else "–"
    cells = [name, cell("balanced"), cell("ece"), cell("kept"), cell("precision"), lowest, cell("novelty")]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--features", action="append", required=True)
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--seeds", default="6,7,8,9,10")
    parser.add_argument("--also", action="append", default=[], help="NAME=DIR, once a table")
    parser.add_argument("--configs", default=",".join(CONFIGS))
    parser.add_argument("--out")
    options = parser.parse_args()
    feature_inputs.ray = inputs_module.ray = NoRay()
    done: dict[str, Any] = {}
    if options.out and Path(options.out).exists():
        done = json.loads(Path(options.out).read_text())
    seeds = [int(seed) for seed in options.seeds.split(",")]
    plan = [(name, options.features, *CONFIGS[name]) for name in options.configs.split(",")]
    if options.also:
        name = options.also[0].partition("=")[0]
        plan.append((f"default, {name}", [item.partition("=")[2] for item in options.also], *CONFIGS["default"]))
    for number, task in enumerate(options.task):
        for seed in seeds:
            for name, tables, config, changes in plan:
                key = f"{task} {seed} {name}"
                if key not in done:
                    done[key] = figures(tables[number], task, seed, config, changes)
                    print(key, done[key], file=sys.stderr, flush=True)
                    if options.out:
                        Path(options.out).write_text(json.dumps(done, indent=1))
    for task in options.task:
        print(f"\n{task}, seeds {options.seeds}\n")
        print("| | balanced accuracy | ECE | kept | precision of the kept | lowest | AUC of novelty |")
        print("|---|---|---|---|---|---|---|")
        shown = [name for name, *_ in plan]
        simple = np.mean([done[f"{task} {seed} {shown[0]}"]["majority"] for seed in seeds])
        print(f"| always the same label | {simple:.3f} | – | – | – | – | – |")
        for name in shown:
            print(row(name, [done[f"{task} {seed} {name}"] for seed in seeds]))


if __name__ == "__main__":
    main()
