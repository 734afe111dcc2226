"""Whether one temperature and one threshold are enough, by scores of works that a classifier has not seen.

    python benchmarks/calibration.py --features STYLES --task style --features HAND --task medium [--seeds 0,1,2]

The default is trained, as in `benchmarks/decisions.py`; the scores that its folds give are halved by group, four times
each way. On one half are found: a temperature, or a factor and an offset for each class (vector scaling; "strength" is
that of the penalty that holds them together), and the threshold of abstention, for all classes or for each. On the
other half they are judged.
"""

import argparse
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow.compute as pc
from decisions import CONFIGS, NoRay, trained
from scipy.optimize import minimize

from artray.bundles.classifier import read_predictions
from artray.bundles.thresholds import abstention
from artray.classifiers import feature_inputs
from artray.classifiers.calibration import fit_temperature, log_loss, reliability, softmax
from artray.engine import examples as inputs_module

STRENGTHS = 0.001, 0.01, 0.1
HALVINGS = 4


def unseen(table: str, task: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of works by classifiers that have not seen them, their classes, and their groups."""
    with trained(table, task, seed, CONFIGS["default"]) as (examples, out):
        rows = read_predictions(out)
    rows = rows.filter(pc.equal(rows["part"], "validation"))
    scores = np.array([[dict(row)[name] for name in examples.classes] for row in rows["scores"].to_pylist()])
    true = np.array([examples.classes.index(name) for name in rows["true"].to_pylist()])
    return np.log(np.maximum(scores, 1e-12)), true, np.array(rows["group"].to_pylist(), dtype=str)


def vector_scaled(true: np.ndarray, logits: np.ndarray, strength: float) -> Any:
    """Factors and offsets that make logits best calibrated (Guo et al. 2017)."""
    k = logits.shape[1]

    def loss(point: np.ndarray) -> float:
        spread = ((point[:k] - point[:k].mean()) ** 2).sum() + (point[k:] ** 2).sum()
        return log_loss(true, softmax(logits * np.exp(point[:k]) + point[k:])) + strength * float(spread)

    point = minimize(loss, np.zeros(2 * k), method="L-BFGS-B").x
    return lambda given: given * np.exp(point[:k]) + point[k:]


def threshold(right: np.ndarray, scores: np.ndarray, groups: np.ndarray) -> float:
    found = abstention(right, scores, groups=groups.tolist())
    return 2.0 if found is None or found["threshold"] is None else float(found["threshold"])


def judge(figures: dict[str, list[Any]], logits: np.ndarray, true: np.ndarray, groups: np.ndarray) -> None:
    names, number = np.unique(groups, return_inverse=True)
    for halving in range(HALVINGS):
        first = (np.random.default_rng(halving).random(len(names)) < 0.5)[number]
        for one, other in ((first, ~first), (~first, first)):
            temperature = fit_temperature(true[one], logits[one])
            scaled = {"one temperature": logits / temperature}
            for strength in STRENGTHS:
                scaled[f"vector, strength {strength}"] = vector_scaled(true[one], logits[one], strength)(logits)
            for name, given in scaled.items():
                told = softmax(given[other])
                figures[name].append((log_loss(true[other], told), reliability(true[other], told)["ece"]))
            scores = softmax(scaled["one temperature"])
            said, sure = scores.argmax(axis=1), scores.max(axis=1)
            right = said == true
            single = threshold(right[one], sure[one], groups[one])
            each = [one & (said == label) for label in range(logits.shape[1])]
            own = np.array([threshold(right[rows], sure[rows], groups[rows]) for rows in each])
            for name, least in (("one threshold", single), ("a threshold a class", own[said[other]])):
                kept = sure[other] >= least
                figures[name].append((kept.mean(), right[other][kept].mean() if kept.any() else np.nan))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--features", action="append", required=True)
    parser.add_argument("--task", action="append", required=True)
    parser.add_argument("--seeds", default="0,1,2")
    options = parser.parse_args()
    feature_inputs.ray = inputs_module.ray = NoRay()
    for table, task in zip(options.features, options.task, strict=True):
        figures: dict[str, list[Any]] = defaultdict(list)
        for seed in map(int, options.seeds.split(",")):
            judge(figures, *unseen(table, task, seed))
        print(f"\n{task}: log loss and calibration error; of thresholds: labels that are certain, and right of these")
        for name, values in figures.items():
            print(f"{name:26}", *(f"{value:.3f}" for value in np.nanmean(values, axis=0)))


if __name__ == "__main__":
    main()
