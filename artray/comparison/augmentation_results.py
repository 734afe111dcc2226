"""What generated works do for a classifier, as numbers: each share's figures, and how far they lie from those without.

All classifiers are judged by the same works. For an interval these are drawn again, the same works for all, and with
them the generators, where there are several: another one would have made other works. What classifiers of several
seeds have right is averaged; it is no reason for doubt beside works and generators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.classifier import read_evaluation
from artray.classifiers.evaluation import metric
from artray.classifiers.metrics import from_tallies, rounded
from artray.comparison.results import BY_GROUPS, BY_WORKS
from artray.comparison.significance import numbered, resampled
from artray.comparison.subjects import Works, read_works
from artray.storage import Location

Floats = npt.NDArray[np.floating[Any]]

METRICS = ("accuracy", "balanced_accuracy", "macro_f1")
RESAMPLES = 10_000


@dataclass(frozen=True)
class Trained:
    """Classifiers with one share of generated works.

    Attributes:
        share: Generated works in percent of the training part.
        generated: How many these are.
        runs: For each generator the classifiers' bundles, one a seed; without generated works there is one such list.
    """

    share: float
    generated: int
    runs: list[list[Location]]


def rows_of(trained: Sequence[Trained]) -> list[dict[str, Any]]:
    """A row of `augmentation.json` for each share, in the order given.

    Raises:
        InputError: Classifiers were not judged by the same works.
    """
    rows = [
        {"share": each.share, "generated": each.generated, **_figures([run for runs in each.runs for run in runs])}
        for each in trained
    ]
    without = next((at for at, each in enumerate(trained) if not each.generated), None)
    if without is not None:
        for row, told in zip(rows, differences(trained, without), strict=True):
            row["difference"] = told
    return rows


def _figures(runs: Sequence[Location]) -> dict[str, Any]:
    """Mean and spread over classifiers, and the mean of the regressions beside them."""
    levels = [read_evaluation(run)["levels"]["artwork"] for run in runs]
    figures: dict[str, Any] = {"majority_share": levels[0]["majority_share"], "test": levels[0]["n"]}
    for name in METRICS:
        values = [metric(level, name) or 0.0 for level in levels]
        figures[name] = {
            "mean": round(float(np.mean(values)), 4),
            "spread": round(float(np.std(values, ddof=1)), 4),
        }
        if all(level["baseline"] for level in levels):  # the same for every seed, another for each generator
            beside = [metric(level["baseline"], name) or 0.0 for level in levels]
            figures[f"regression_{name}"] = round(float(np.mean(beside)), 4)
    return figures


def differences(trained: Sequence[Trained], without: int) -> list[dict[str, Any] | None]:
    """Of each share but one, how far accuracy and balanced accuracy lie from that one's.

    Args:
        trained: The classifiers.
        without: The place of those that the others are compared with.

    Returns:
        For each share metric → `value`, and the ends of 95 % intervals by what is drawn again: `works`, and `groups`
        where works belong together; None for the one itself.
    """
    all_runs = [run for each in trained for runs in each.runs for run in runs]
    works = read_works(all_runs, [str(run) for run in all_runs], "test")
    tallies = iter(works.tallies)
    tables = [[np.mean([next(tallies) for _ in runs], axis=0) for runs in each.runs] for each in trained]
    owners = np.repeat(np.arange(len(trained)), [len(tables_of_one) for tables_of_one in tables])
    flat = [table for tables_of_one in tables for table in tables_of_one]
    values = _metrics(
        [np.stack([table.sum(axis=0) for table in tables_of_one]).mean(axis=0) for tables_of_one in tables]
    )
    told: list[dict[str, Any] | None] = [
        None if at == without else {name: {"value": rounded(metrics[name] - values[without][name])} for name in metrics}
        for at, metrics in enumerate(values)
    ]
    for by, units in _units(works).items():
        sums = resampled(flat, units, resamples=RESAMPLES)
        chance = np.random.default_rng(1)
        drawn = _metrics(
            [
                _generators_drawn(np.stack([sums[at] for at in np.flatnonzero(owners == share)]), chance)
                for share in range(len(trained))
            ]
        )
        for metrics, told_of_one in zip(drawn, told, strict=True):
            for name, figures in (told_of_one or {}).items():
                ends = np.percentile(metrics[name] - drawn[without][name], (2.5, 97.5))
                figures[by] = [rounded(end) for end in ends]
    return told


def _units(works: Works) -> dict[str, npt.NDArray[np.int64]]:
    units = {BY_WORKS: np.arange(len(works), dtype=np.int64)}
    return units | ({BY_GROUPS: numbered(works.groups)} if works.grouped else {})


def _generators_drawn(sums: Floats, chance: np.random.Generator) -> Floats:
    """Of each resample the mean of as many generators as there are, drawn again: (generators, resamples, k)."""
    number, resamples, _ = sums.shape
    if number == 1:
        return np.asarray(sums[0])
    weights = chance.multinomial(number, np.full(number, 1 / number), resamples) / number
    return np.asarray(np.einsum("rg,grk->rk", weights, sums))


def _metrics(sums: Sequence[Floats]) -> list[dict[str, Floats]]:
    """The metrics that follow from means of counts as their own mean does: all classifiers have the same works."""
    all_metrics = [from_tallies(counts, multilabel=False) for counts in sums]
    return [{name: metrics[name] for name in METRICS[:2]} for metrics in all_metrics]
