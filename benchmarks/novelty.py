"""What tells works of none of the classes: several measures, of each class left out in turn.

    python benchmarks/novelty.py --features STYLES --task style [--seeds 0,1,2] [--strange code=HAND:medium=code]

STYLES is a feature table of `extract-features --statistics`. For each seed the works are dealt anew, as by `ingest
--seed`; training and validation part of all other classes are learned from, and their test part stands beside all works
of the class that is left out. `--strange NAME=DIR:COLUMN=VALUE` says how well works of another table are told, by
models of all classes. A table of mean AUCs, the largest first, and of each seed's; no bundle is written.

All measures see the same standardised features, in the space that the works learned from span (with more features than
works, what lies outside of it is the residual). Covariances are shrunk to their mean variance by the number beside.
"""

import argparse
import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from decisions import strange_features

from artray.bundles.inputs import FeatureInput
from artray.ingest.splits import assign_splits
from artray.storage import Location
from artray.storage.passes import read_run

Floats = npt.NDArray[np.float64]

SHRINKAGES = 0.1, 0.3, 0.6, 0.9
COLUMNS = ["style_statistics", "brightness", "texture", "embedding"]


def auc(within: Floats, other: Floats) -> float:
    """The chance that one of the others has the larger value."""
    ordered = np.sort(within)
    upto = np.searchsorted(ordered, other, "left") + np.searchsorted(ordered, other, "right")
    return float(upto.mean() / (2 * len(within)))


def nearest(points: Floats, others: Floats, number: int) -> Floats:
    """(n,) the distance of each point to its `number`th nearest of the others."""
    squares = (points**2).sum(1)[:, None] + (others**2).sum(1) - 2 * points @ others.T
    return np.sqrt(np.maximum(np.sort(squares, axis=1)[:, number - 1], 0))


def deviation(values: Floats, within: int) -> Floats:
    """Values beside the mean and the standard deviation of the first ones."""
    return (values - values[:within].mean()) / values[:within].std()


def measures(learned: Floats, labels: npt.NDArray[np.int64], seen: Floats) -> dict[str, Floats]:
    """Each measure of each row of `seen`: the larger, the stranger.

    Args:
        learned: (n, d) standardised features of works of the classes.
        labels: (n,) 0 to classes - 1.
        seen: (m, d) of other works.
    """
    (n, d), classes = learned.shape, int(labels.max()) + 1
    middle = learned.mean(axis=0)
    squares, turned = np.linalg.eigh((learned - middle) @ (learned - middle).T)
    there = squares > squares.max() * 1e-7
    sizes, turned = np.sqrt(squares[there]), turned[:, there]
    basis = (learned - middle).T @ (turned / sizes)
    own, given = turned * sizes, (seen - middle) @ basis
    residual = np.maximum(((seen - middle) ** 2).sum(axis=1) - (given**2).sum(axis=1), 1e-9)
    means = np.stack([own[labels == label].mean(axis=0) for label in range(classes)])
    priors = np.log(np.bincount(labels) / n)
    targets = np.eye(classes)[labels]
    rest = own - means[labels]
    within = rest.T @ rest / (n - classes)
    total, spread = own.T @ own / n, float(np.trace(within)) / d
    found = {}
    for strength in SHRINKAGES:
        shrunk = strength * spread * np.eye(len(within))
        whiten = np.linalg.inv(np.linalg.cholesky((1 - strength) * within + shrunk)).T
        white, centres = given @ whiten, means @ whiten
        far = nearest(white, centres, 1) ** 2 + residual / (strength * spread)
        logits = white @ centres.T - (centres**2).sum(axis=1) / 2 + priors
        likely = logits.max(axis=1)
        found[f"Mahalanobis, {strength}"] = far
        background = np.linalg.inv(np.linalg.cholesky((1 - strength) * total + shrunk)).T
        found[f"relative Mahalanobis, {strength}"] = (
            far - ((given @ background) ** 2).sum(axis=1) - residual / (strength * spread)
        )
        found[f"largest logit, {strength}"] = -likely
        found[f"energy, {strength}"] = -likely - np.log(np.exp(logits - likely[:, None]).sum(axis=1))
        axes = np.linalg.qr((centres - centres.mean(axis=0)).T)[0][:, : classes - 1]
        found[f"fifth nearest in the discriminants' space, {strength}"] = nearest(white @ axes, own @ whiten @ axes, 5)
        ridge = np.linalg.solve((1 - strength) * total + shrunk, own.T @ (targets - targets.mean(axis=0)) / n)
        found[f"one against the rest, least squares, {strength}"] = -(given @ ridge).max(axis=1)
    distances = []
    for label in range(classes):
        part = rest[labels == label]
        single = 0.35 * (part.T @ part / (len(part) - 1)) + 0.35 * within + 0.3 * spread * np.eye(len(within))
        whiten = np.linalg.inv(np.linalg.cholesky(single)).T
        distances.append((((given - means[label]) @ whiten) ** 2).sum(axis=1))
    found["a covariance a class, 0.3"] = np.min(distances, axis=0) + residual / (0.3 * spread)
    found |= kernels(own, targets, given, residual)
    for dimensions in (16, 256):
        beyond = np.argsort(-sizes)[dimensions:]
        found[f"residual beyond {dimensions}"] = np.sqrt((given[:, beyond] ** 2).sum(axis=1) + residual)
    return found


def kernels(own: Floats, targets: Floats, given: Floats, residual: Floats) -> dict[str, Floats]:
    """A radial kernel as wide as works are apart: one class against the rest, and a Gaussian process' variance."""
    lengths = (own**2).sum(axis=1)
    apart = np.maximum(lengths[:, None] + lengths - 2 * own @ own.T, 0)
    wide = np.median(apart)
    inner = np.exp(-apart / wide) + 0.1 * np.eye(len(own))
    outer = np.exp(-np.maximum(((given**2).sum(axis=1) + residual)[:, None] + lengths - 2 * given @ own.T, 0) / wide)
    return {
        "one against the rest, radial kernel": -(outer @ np.linalg.solve(inner, targets)).max(axis=1),
        "variance of a Gaussian process": 1 - (outer * np.linalg.solve(inner, outer.T).T).sum(axis=1),
    }


def together(found: dict[str, Floats], within: int) -> dict[str, Floats]:
    """What is far and what is silent, in one number; deviations are from the classes' own test works."""
    silent = deviation(found["largest logit, 0.3"], within)
    far = deviation(np.log(found["Mahalanobis, 0.3"]), within)
    beyond = deviation(found["residual beyond 256"], within)
    return {
        "log of Mahalanobis and largest logit, the larger smoothly": np.logaddexp(2 * far, 2 * silent),
        "log of Mahalanobis and largest logit, the sum": far + silent,
        "residual and energy, the sum (ViM)": beyond + deviation(found["energy, 0.3"], within),
        "half the residual and energy, the sum": beyond / 2 + deviation(found["energy, 0.3"], within),
        "half the residual and energy of 0.6, the sum": beyond / 2 + deviation(found["energy, 0.6"], within),
    }


def standardised(learned: Floats, *seen: Floats) -> Iterator[Floats]:
    mean, deviations = learned.mean(axis=0), learned.std(axis=0)
    for part in (learned, *seen):
        yield (part - mean) / np.where(deviations < 1e-4, 1, deviations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--strange", action="append", default=[], help="NAME=DIR:COLUMN=VALUE")
    options = parser.parse_args()
    place = Location.parse(options.features)
    wanted = FeatureInput(features=read_run(place)["arguments"]["features"], columns=COLUMNS)
    table = place.dataset().to_table()
    table = table.filter(pc.and_(table[options.task].is_valid(), pc.equal(table["status"], "ok")))
    told = wanted.groups({name: table[name] for name in COLUMNS})
    every = np.concatenate(list(told.values()), axis=1).astype(np.float64)
    names, labels = np.unique(table[options.task].to_pylist(), return_inverse=True)
    strange = {}
    for item in options.strange:
        name, _, given = item.partition("=")
        strange[name] = strange_features(given, wanted).astype(np.float64)
    found: dict[str, dict[str, list[list[float]]]] = {}
    for number, seed in enumerate(map(int, options.seeds.split(","))):
        parts = assign_splits(table["group"].to_pylist(), table[options.task].to_pylist(), seed=seed)
        tested = np.asarray(parts) == "test"
        kinds = [(label, "left out", every[labels == label]) for label in range(len(names))]
        for label, kind, others in [*kinds, *((None, name, given) for name, given in strange.items())]:
            there = labels != label if label is not None else np.ones(len(labels), bool)
            place_of = np.unique(labels[there & ~tested], return_inverse=True)[1]
            learned, within, beside = standardised(every[there & ~tested], every[there & tested], others)
            values = measures(learned, place_of, np.concatenate([within, beside]))
            for name, value in {**values, **together(values, len(within))}.items():
                rows = found.setdefault(name, {}).setdefault(kind, [])
                rows.extend([[]] * (number + 1 - len(rows)))
                rows[number] = [*rows[number], auc(value[: len(within)], value[len(within) :])]
    kinds_shown = ["left out", *strange]
    print(f"\nAUC, seeds {options.seeds}\n\n| | {' | '.join(kinds_shown)} | left out, by seed |")
    print(f"|{'---|' * (len(kinds_shown) + 2)}")
    means = {
        name: {kind: [float(np.mean(row)) for row in rows] for kind, rows in each.items()}
        for name, each in found.items()
    }
    for name, each in sorted(means.items(), key=lambda item: -np.mean(item[1]["left out"])):
        cells = [f"{np.mean(each[kind]):.3f}" for kind in kinds_shown]
        print(f"| {name} | {' | '.join(cells)} | {', '.join(f'{value:.3f}' for value in each['left out'])} |")


if __name__ == "__main__":
    main()
