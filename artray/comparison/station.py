"""The job that compares classifiers on the same works, and writes what a paper needs of them.

OUT/comparison.html      the page, with its pictures in OUT/comparison/
OUT/comparison.json      all figures
OUT/differences.csv      the works on which the models differ
OUT/breakdown.csv        accuracies by artist, decade, …
OUT/paper/               figures, tables and text for a paper (see `paper.folder`)
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

import artray
from artray import console
from artray.catalogs.formulas import csv_bytes
from artray.comparison.differences import (
    breakdown,
    breakdown_table,
    differing,
    predictions_table,
    read_records,
)
from artray.comparison.page import write_page
from artray.comparison.paper.figures import NO_MATPLOTLIB, drawings, has_matplotlib
from artray.comparison.paper.folder import write_paper
from artray.comparison.paper.methods import split_of
from artray.comparison.results import BY_GROUPS, BY_WORKS, Figure, Results, results_of
from artray.comparison.subjects import Part, Works, distinct_names, found_bundles, read_works
from artray.comparison.words import few_groups, p_text, verdict
from artray.job import Counts, Options
from artray.storage import RUN, Location, keep_apart, refuse_other_file, refuse_other_job

_JOB = "models-compared"


class CompareOptions(Options):
    """Compare trained classifiers on the same works, and write figures, tables and text for a paper."""

    model: list[Location] = Field(
        min_length=1,
        description="model bundles; or a search's --out, which stands for its best combination",
        examples=["URI,URI"],
    )
    out: Location = Field(description="folder or s3:// prefix for page, figures and tables", examples=["URI"])
    names: list[str] = Field([], description="what the models are called; default: their folders", examples=["A,B"])
    part: Part = Field(
        "test",
        description="works to compare on: test, or out-of-fold (all others, of models trained with --folds)",
    )
    manifest: Location | None = Field(
        None, description="the manifest: titles, artists and years of the works", examples=["URI"]
    )
    by: list[str] = Field(
        [],
        description="columns of the manifest, or decade, for whose values accuracies are given; default: artist and "
        "decade, where they are known",
        examples=["COLUMN,COLUMN"],
    )
    every_trial: bool = Field(
        False, description="compare all combinations of a search; then choose none of them by the result"
    )
    figures: bool = Field(
        True, description="draw OUT/paper/figures, which needs artray[paper]; --no-figures: leave them out"
    )
    title: str | None = Field(None, description="your publication's title, for OUT/paper")
    authors: list[str] = Field([], description="its authors", examples=["GIVEN FAMILY,GIVEN FAMILY"])
    license: str | None = Field(
        None,
        description="the models' licence, for their cards: Hugging Face's name for it (cc-by-4.0)",
        examples=["NAME"],
    )
    resamples: int = Field(
        10_000, ge=100, le=1_000_000, description="how often works are drawn again, for 95 % intervals"
    )
    permutations: int = Field(5_000, ge=100, le=1_000_000, description="how often labels are exchanged, in the tests")
    seed: int = Field(0, ge=0, description="for resamples and permutations")


def compare(options: CompareOptions) -> Counts:
    """Write the page, the figures and the tables.

    Raises:
        InputError: A place holds no bundle, the models were not judged by the same works, or `out` can't be written,
            holds something else or is the place of an input.
    """
    out = options.out
    keep_apart(out, {"--model": options.model}, {"--manifest": options.manifest})
    refuse_other_job(out, _JOB)
    refuse_other_file(out, "comparison.json", b'"job": "models-compared"')
    bundles = found_bundles(options.model, options.every_trial)
    works = read_works(bundles, distinct_names(bundles, options.names), options.part)
    records = read_records(options.manifest, works)
    broken_down = breakdown(works, records, options.by)
    out.ensure_writable()
    if options.figures and not has_matplotlib():
        console.say(f"no figures: {NO_MATPLOTLIB}")
    told = results_of(works, resamples=options.resamples, permutations=options.permutations, seed=options.seed)
    _show(told)
    apart = differing(works)
    table = predictions_table(works, records)
    (out / "differences.csv").write_bytes(csv_bytes(table.take(apart)))
    (out / "breakdown.csv").write_bytes(csv_bytes(breakdown_table(broken_down, [each.name for each in told.models])))
    page = write_page(out, told, broken_down, records)
    drawn = drawings(told, broken_down) if options.figures and has_matplotlib() else []
    files = write_paper(
        out / "paper",
        told,
        broken_down,
        table,
        drawn=drawn,
        split=split_of(options.manifest),
        title=options.title,
        authors=options.authors,
        license=options.license,
    )
    settings = options.model_dump(mode="json")
    figures: dict[str, Any] = {"job": _JOB, "artray": artray.__version__, "options": settings, **told.as_json()}
    (out / "comparison.json").write_json(figures)
    (out / RUN).write_json({"job": _JOB, "models": [each.model_id for each in told.models]})
    console.say(f"open {page}")
    console.say(f"for a paper: {out / 'paper'}, {files} files, {len(drawn)} figures")
    return _counts(told, works, out, len(apart)) | {"figures": len(drawn), "paper_files": files}


def _counts(told: Results, works: Works, out: Location, apart: int) -> Counts:
    return {
        "rows": len(works),
        "out": str(out),
        "models": {model.name: model.figures["accuracy"].value for model in told.models},
        "pairs": {f"{pair.first} - {pair.second}": _rounded(pair.p) for pair in told.pairs},
        "differ": apart,
    }


def _rounded(value: float) -> float:
    return round(value, 4)


def _show(told: Results) -> None:
    by = BY_GROUPS if told.works.grouped else BY_WORKS
    rows = []
    for model in told.models:
        row = [model.name]
        for name in ("accuracy", "balanced_accuracy", "macro_f1"):
            row += [_figure(model.figures[name], by)]
        rows.append(row)
    unit = f"drawing {told.groups:,} groups" if told.works.grouped else "drawing works"
    title = f"{told.works.subjects[0].bundle.task}: {len(told.works):,} works; 95 % intervals by {unit} again"
    console.table(title, ["", "accuracy", "balanced", "mean F1"], rows)
    if told.pairs:
        lines = [
            [
                f"{pair.first} − {pair.second}",
                _figure(pair.differences["accuracy"], by),
                f"{pair.mcnemar.first} : {pair.mcnemar.second}",
                p_text(pair.mcnemar_holm),
                "–" if pair.groups_holm is None else p_text(pair.groups_holm),
            ]
            for pair in told.pairs
        ]
        header = ["", "accuracy", "right alone", "McNemar p", "p by groups"]
        corrected = ", corrected by Holm" if len(told.pairs) > 1 else ""
        console.table(f"between any two{corrected}", header, lines)
    for pair in told.pairs:
        console.say(verdict(pair, told.works.grouped))
    if note := few_groups(told):
        console.say(note)


def _figure(figure: Figure, by: str) -> str:
    low, high = figure.intervals[by]
    return f"{figure.value or 0:.3f} ({low or 0:.3f} to {high or 0:.3f})".replace("-", "−")
