"""The job that trains on ever more of the labelled works, and says what more of them would bring.

OUT/learning-curve.html      the page
OUT/learning-curve.csv       accuracies by the number of works
OUT/learning-curve.json      all of it
OUT/learning-curve.svg .pdf .png   the figure, where matplotlib is there
OUT/some/ OUT/all/           the searches that trained the models
"""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

import artray
from artray import console
from artray.bundles.classifier import BUNDLE, load_bundle
from artray.catalogs.formulas import csv_bytes
from artray.classifiers.search import SearchOptions, searches
from artray.comparison.curve import Curve, Needed, Runs, learning_curve
from artray.comparison.paper.figures import NO_MATPLOTLIB, curve_drawing, has_matplotlib
from artray.comparison.significance import numbered
from artray.comparison.subjects import read_works
from artray.engine.grids import RESULTS
from artray.errors import ArtrayError, InputError
from artray.job import Counts, Options
from artray.report.charts import Series, line_chart
from artray.report.sections import section, static_page, table
from artray.storage import RUN, Location, keep_apart, refuse_other_file, refuse_other_job

_JOB = "learning-curve"
_SHARES = (0.1, 0.2, 0.35, 0.5, 0.7)


class CurveOptions(Options):
    """Train on ever more of the labelled works, and say what more of them would bring."""

    data: Location = Field(description="feature table, patches or manifest, as for train", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for the curve and its models", examples=["URI"])
    config: str = Field("default", description="what to train: a config's name, or a file", examples=["NAME|FILE"])
    task: str | None = Field(None, description="learn this task, as for train", examples=["NAME"])
    set: dict[str, str] = Field({}, description="change a key of the config", examples=["KEY=VALUE"])
    shares: list[float] = Field(
        list(_SHARES), description="of the labelled works to learn from, besides all of them", examples=["X,X"]
    )
    draws: int = Field(5, ge=1, le=100, description="how many times each share is drawn, each time other works")
    target: float | None = Field(None, gt=0, lt=1, description="an accuracy: how many works would it need?")
    workers: int | None = Field(None, ge=1, description="trainings at once; default: as many as there are CPUs")
    resamples: int = Field(500, ge=100, le=100_000, description="how often works are drawn again, for 95 % intervals")
    seed: int = Field(0, ge=0, description="for the resamples")


def trace_learning_curve(options: CurveOptions) -> Counts:
    """Train what is not trained yet, and write curve, page and figure.

    Raises:
        InputError: The config, the shares or the data can't be used, or `out` holds something else.
        ArtrayError: Not one model could be trained.
    """
    out = options.out
    if any(not 0 < share < 1 for share in options.shares) or len(set(options.shares)) < len(options.shares):
        raise InputError("--shares: between 0 and 1, each once; all works are learned from besides")
    keep_apart(out, {"--data": options.data})
    refuse_other_job(out, _JOB)
    refuse_other_file(out, "learning-curve.json", b'"job": "learning-curve"')
    out.ensure_writable()
    common: dict[str, Any] = {
        "config": options.config,
        "data": [options.data],
        "task": options.task,
        "set": options.set,
        "workers": options.workers,
        "baseline": False,
    }
    some = {"learn_from": sorted(options.shares), "draw": list(range(options.draws))}
    wanted = [SearchOptions(out=out / "all", grid={"learn_from": [1.0]}, **common)]
    if options.shares:
        wanted.insert(0, SearchOptions(out=out / "some", grid=some, **common))
    failed = sum(each["failed"] for each in searches(wanted, out, shown=False))
    bundles, shares = _trained([each.out for each in wanted])
    if not bundles:
        raise ArtrayError(f"{out}: no model could be trained")
    if failed:
        console.say(f"left out: {failed:,} trainings that failed; the same command tries them again")
    works = read_works(bundles, [f"run {number}" for number in range(len(bundles))], "test")
    data = [load_bundle(run).data for run in bundles]
    sizes = np.array([int(each["train"]) + int(each["validation"]) for each in data])
    runs = Runs(sizes, np.array(works.right), numbered(works.groups))
    told = learning_curve(runs, shares, target=options.target, resamples=options.resamples, seed=options.seed)
    task = works.subjects[0].bundle.task
    sentences = sentences_of(told)
    _write(options, told, task, sentences, f"{len(works):,} test works ({len(set(works.groups)):,} groups)")
    rows = [[f"{each.works:,.0f}", each.runs, f"{each.accuracy:.3f}", _range(each.interval)] for each in told.points]
    console.table(f"{task}: by the number of works learned from", ["works", "runs", "accuracy", "95 %"], rows)
    for sentence in sentences:
        console.say(sentence)
    console.say(f"open {out / 'learning-curve.html'}")
    needed = None if told.needed is None else asdict(told.needed)
    return {
        "rows": len(bundles) + failed,
        "ok": len(bundles),
        "failed": failed,
        "out": str(out),
        "accuracy": {str(round(each.works)): round(each.accuracy, 4) for each in told.points},
        "needed": needed,
    }


def _trained(outs: list[Location]) -> tuple[list[Location], list[float]]:
    runs, shares = [], []
    for out in outs:
        for row in (out / RESULTS).dataset().to_table().to_pylist():
            for run in map(Location.parse, row["runs"]):
                if (run / BUNDLE).exists():
                    runs.append(run)
                    shares.append(float(row["learn_from"]))
    return runs, shares


def sentences_of(told: Curve) -> list[str]:
    """What a curve says, in words."""
    if told.forecast is None:
        return ["Too few numbers of works for a forecast: give more --shares."]
    last = told.points[-1]
    sentences = []
    if told.tried is not None:
        tried = told.tried
        held = tried.interval[0] <= tried.accuracy <= tried.interval[1]
        sentences.append(
            f"Tried on itself: from the first half of the curve {tried.forecast:.1%} ({_range(tried.interval)}) would "
            f"have been forecast for all {tried.works:,.0f} works, and {tried.accuracy:.1%} came true"
            + ("." if held else ": outside of what was forecast, so don't rely on what follows.")
        )
    if told.gain is not None:
        value, low, high = (100 * each for each in told.gain)
        sentences.append(
            f"Twice as many works ({2 * last.works:,.0f}) would add {value:.1f} points of accuracy (95 %: {low:.1f} to "
            f"{high:.1f}) to the {last.accuracy:.1%} of the {last.works:,.0f} there are."
        )
    if told.needed is not None:
        sentences.append(needed_sentence(told.needed))
    return sentences


def needed_sentence(needed: Needed) -> str:
    """How many works a target needs, as one sentence."""
    if needed.works is None:
        return (
            f"{needed.target:.0%} may need more than {needed.most:,} labelled works, or never be reached: "
            f"{needed.reached:.0%} of the curves that the points allow reach it by then."
        )
    low, high = needed.interval
    upper = f"{high:,}" if high is not None else f"more than {needed.most:,}, or never"
    return f"{needed.target:.0%} would need about {needed.works:,} labelled works (95 %: {low or 0:,} to {upper})."


def _range(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}"


def _write(options: CurveOptions, told: Curve, task: str, sentences: list[str], judged: str) -> None:
    out = options.out
    columns = {
        "works": [point.works for point in told.points],
        "runs": [point.runs for point in told.points],
        "accuracy": [point.accuracy for point in told.points],
        "lower": [point.interval[0] for point in told.points],
        "upper": [point.interval[1] for point in told.points],
    }
    (out / "learning-curve.csv").write_bytes(csv_bytes(pa.table(columns)))
    (out / "learning-curve.json").write_json(
        {
            "job": _JOB,
            "artray": artray.__version__,
            "options": options.model_dump(mode="json"),
            "task": task,
            "points": [asdict(point) for point in told.points],
            "forecast": None if told.forecast is None else told.forecast.round(4).tolist(),
            "needed": None if told.needed is None else asdict(told.needed),
            "gain": told.gain,
            "tried": None if told.tried is None else asdict(told.tried),
            "told": sentences,
        }
    )
    if has_matplotlib():
        for kind, data in curve_drawing(told).files.items():
            (out / f"learning-curve.{kind}").write_bytes(data)
    else:
        console.say(f"no figure: {NO_MATPLOTLIB.replace(' (--no-figures leaves them out)', '')}")
    for style in ("page.css", "evaluation.css"):
        (out / style).write_bytes(files("artray.report").joinpath(style).read_bytes())
    (out / "learning-curve.html").write_bytes(_page(told, task, sentences, judged))
    (out / RUN).write_json({"job": _JOB, "task": task})


def _page(told: Curve, task: str, sentences: list[str], judged: str) -> bytes:
    series = [Series("measured", [(point.works, point.accuracy) for point in told.points], 1, marked=True)]
    furthest = told.points[-1].works
    if told.forecast is not None:
        furthest = float(told.forecast[-1, 0])
        for column, name in ((1, "forecast"), (2, "95 %"), (3, "")):
            line = [(float(row[0]), float(row[column])) for row in told.forecast]
            series.append(Series(name, line, 1 if column == 1 else 0, dashed=column > 1))
    chart = line_chart("Learning curve", series, "labelled works", "accuracy", x_range=(0, furthest))
    rows = [
        [f"{each.works:,.0f}", f"{each.accuracy:.3f}", _range(each.interval), f"{each.runs}"] for each in told.points
    ]
    hint = (
        f"On the same {judged}. Intervals: groups of test works, and the draws of "
        "works that were learned from, drawn again. The forecast is a falling power of the number of works, above an "
        "error that stays."
    )
    return static_page(
        task,
        sections=[
            section("curve", "Accuracy by labelled works", hint, f'<div class="charts"><figure>{chart}</figure></div>'),
            section("points", "In numbers", "", table(["works", "accuracy", "95 %", "runs"], rows, 1, (2,))),
        ],
        styles=("page.css", "evaluation.css"),
        kind="evaluation",
        eyebrow="What more labels would bring",
        lead=escape(" ".join(sentences)),
        about="",
        suffix=": learning curve",
    )
