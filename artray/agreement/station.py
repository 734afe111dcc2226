"""The job about labels by several people: how far they agree, who is consistent, and what they say together.

OUT/agreement.json          all figures
OUT/agreement-TASK.html     the page
OUT/annotators.csv          a row an annotator and task
OUT/pairs.csv               a row for every two annotators
OUT/errors.parquet          what each annotator says of works of each class (Dawid and Skene)
OUT/consensus.parquet       a row a work and task: labels, probabilities, shares
OUT/labels.csv              the consensus as corrections, for `ingest --corrections`
OUT/soft_labels.csv         the shares likewise, for `labels: soft`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

import pyarrow as pa
from pydantic import Field

import artray
from artray import console
from artray.agreement.annotations import Rows, encode
from artray.agreement.coefficients import Level
from artray.agreement.consensus import By, consensus_table, label_rows, soft_rows
from artray.agreement.figures import Figures, annotator_table, as_json, error_table, figures, not_counted, pair_table
from artray.agreement.label_studio import is_export, read_export
from artray.agreement.page import write_page
from artray.agreement.tables import named_as_in, read_long, read_wide, with_gold
from artray.bundles.description import TASK
from artray.catalogs.cells import LIST_SEPARATOR
from artray.catalogs.formulas import csv_bytes
from artray.catalogs.options import CatalogOptions
from artray.errors import InputError, did_you_mean, first_of
from artray.job import Counts
from artray.storage import RUN, Location, keep_apart, refuse_other_file, refuse_other_job

_JOB = "agreement"
_FILES = ("annotators.csv", "pairs.csv", "labels.csv", "soft_labels.csv", "consensus.parquet", "errors.parquet")
_OBJECT = "object_id"
_EXAMPLES = 3


class AgreementOptions(CatalogOptions):
    """Compare the labels that several people gave to the same works, and bring them together."""

    annotations: Location = Field(
        description="CSV, TSV, XLSX, JSON or Parquet: a row a label, or a column an annotator; or Label Studio's JSON",
        examples=["FILE"],
    )
    out: Location = Field(description="folder or s3:// prefix for figures, page and labels", examples=["URI"])
    object: str | None = Field(
        None,
        description="the column that names the work; default: object_id, of Label Studio the only key of the data",
        examples=["COLUMN"],
    )
    annotator: str = Field("annotator", description="the column that names who gave the label", examples=["COLUMN"])
    label: dict[str, str] = Field(
        {}, description="the column of a task's labels, or Label Studio's control", examples=["TASK=COLUMN"]
    )
    annotators: list[str] = Field(
        [], description="instead, columns that hold an annotator's labels each", examples=["COLUMN,COLUMN"]
    )
    task: str = Field("label", description="what the labels in --annotators are called", examples=["NAME"])
    level: dict[str, Level] = Field(
        {}, description="what a task's labels are: nominal (default), ordinal or interval", examples=["TASK=LEVEL"]
    )
    classes: dict[str, str] = Field(
        {}, description="a task's labels in order; others are left out; default: all", examples=["TASK=A,B,C"]
    )
    separator: str = Field(LIST_SEPARATOR, description="what stands between labels; cells with several are left out")
    gold: Location | None = Field(
        None, description="a table of works whose labels are known, with the same columns", examples=["FILE"]
    )
    gold_annotator: str | None = Field(
        None, description="the annotator, or column, whose labels are known to be right", examples=["NAME"]
    )
    min_agreement: float = Field(0.4, ge=-1, le=1, description="from which kappa on an annotator is consistent")
    min_works: int = Field(5, ge=1, description="from how many works in common on an annotator is judged")
    weights: Literal["quadratic", "linear"] = Field(
        "quadratic", description="how kappa counts distances of ordinal and interval labels"
    )
    consensus: By = Field("dawid-skene", description="whose label a work gets: dawid-skene or majority")
    consensus_of: Literal["consistent", "all"] = Field("consistent", description="whose labels make it")
    manifest: Location | None = Field(
        None, description="the manifest: works are called as in it, and shown with their pictures", examples=["URI"]
    )
    resamples: int = Field(1000, ge=1, le=100_000, description="for the 95 % intervals")
    seed: int = Field(0, ge=0, description="of them")


def agreement(options: AgreementOptions) -> Counts:
    """Write the figures, the page and the labels.

    Raises:
        InputError: The table can't be read or has no such column, there is nothing to compare, or `out` can't be
            written, holds something else or is the place of an input.
    """
    out = options.out
    keep_apart(out, {"--annotations": options.annotations, "--gold": options.gold}, {"--manifest": options.manifest})
    for name in _FILES:
        keep_apart(out / name, {"--annotations": options.annotations, "--gold": options.gold})
    refuse_other_job(out, _JOB)
    refuse_other_file(out, "agreement.json", b'"job": "agreement"')
    out.ensure_writable()
    rows = _read(options)
    manifest = _manifest(options.manifest)
    counts: Counts = {"rows": len(rows.table)}
    if manifest is not None:
        rows, foreign = named_as_in(rows, manifest)
        if foreign:
            console.say(f"works that are not in the manifest: {_named(foreign)}")
        counts["not_in_manifest"] = len(foreign)
    _check_tasks(options, rows)
    told = {task: _figures(options, rows, task) for task in rows.tasks}
    pages = {task: write_page(out, one, manifest, options.min_agreement) for task, one in told.items()}
    every = list(told.values())
    for name, table in (("consensus", _together(every, _consensus)), ("errors", _together(every, error_table))):
        (out / f"{name}.parquet").write_table(table)
    for name, rows_of in (
        ("annotators", annotator_table),
        ("pairs", pair_table),
        ("labels", lambda one: label_rows(one.annotations, one.consensus)),
        ("soft_labels", lambda one: soft_rows(one.annotations, one.consensus)),
    ):
        (out / f"{name}.csv").write_bytes(csv_bytes(_together(every, rows_of)))
    summary = {task: as_json(one) for task, one in told.items()}
    settings = options.model_dump(mode="json", exclude={"max_catalog_mb"})
    (out / "agreement.json").write_json(
        {"job": _JOB, "artray": artray.__version__, "options": settings, "tasks": summary}
    )
    (out / RUN).write_json({"job": _JOB, "tasks": list(told)})
    for page in pages.values():
        console.say(f"open {page}")
    return counts | {"out": str(out), "tasks": {task: _counts(one) for task, one in told.items()}}


def _consensus(told: Figures) -> pa.Table:
    return consensus_table(told.annotations, told.consensus)


def _read(options: AgreementOptions) -> Rows:
    table = options.read_catalog(options.annotations).table
    gold_labels = dict(options.label)
    if options.annotators:
        if options.label:
            raise InputError("--annotators and --label: the labels stand in columns of annotators, or in one; give one")
        rows = read_wide(table, options.object or _OBJECT, options.annotators, options.task, options.gold_annotator)
    elif is_export(table):
        if options.gold_annotator is not None:
            raise InputError("--gold-annotator: Label Studio's export marks gold as ground truth; --gold FILE does too")
        rows = read_export(table, options.object, options.label)
        gold_labels = {}
    else:
        if not options.label:
            raise InputError(
                "--label TASK=COLUMN says which column holds the labels, or --annotators COLUMN,COLUMN which columns "
                f"hold an annotator's each (there is: {', '.join(table.column_names)})"
            )
        rows = read_long(table, options.object or _OBJECT, options.annotator, options.label, options.gold_annotator)
    if options.gold is None:
        return rows
    gold = options.read_attached(options.gold)
    columns = {task: gold_labels.get(task, task) for task in rows.tasks}
    known = {task: name if name in gold.column_names else task for task, name in columns.items()}
    known = {task: name for task, name in known.items() if name in gold.column_names}
    if not known:
        raise InputError(
            f"--gold {options.gold}: has none of the columns {', '.join(columns.values())} (it has: "
            f"{', '.join(gold.column_names)})"
        )
    return with_gold(rows, gold, options.object or _OBJECT, known)


def _manifest(location: Location | None) -> pa.Table | None:
    if location is None:
        return None
    dataset = location.dataset()
    for name in (_OBJECT, "image_uri"):
        if name not in dataset.schema.names:
            raise InputError(f"--manifest {location}: has no column {name!r}: it is no manifest")
    names = [name for name in (_OBJECT, "image_uri", "title") if name in dataset.schema.names]
    table = dataset.to_table(columns=names)
    return pa.table({name: table[name].cast(pa.string()) for name in names})


def _check_tasks(options: AgreementOptions, rows: Rows) -> None:
    for task in rows.tasks:
        if not re.fullmatch(TASK, task):
            raise InputError(
                f"a task can't be called {task!r}, which becomes part of a file's name: small letters, digits, - and _ "
                "only; --label TASK=COLUMN gives it another name"
            )
    for flag, values in (("level", options.level), ("classes", options.classes)):
        for task, value in values.items():
            if task not in rows.tasks:
                hint = did_you_mean(task, rows.tasks)
                raise InputError(
                    f"--{flag} {task}={value}: there is no task {task!r}{hint} (there is: {', '.join(rows.tasks)})"
                )


def _figures(options: AgreementOptions, rows: Rows, task: str) -> Figures:
    names = [name.strip() for name in options.classes.get(task, "").split(",") if name.strip()]
    annotations = encode(
        rows, task, level=options.level.get(task, "nominal"), classes=names, separator=options.separator or None
    )
    told = figures(
        annotations,
        weights=options.weights,
        least=options.min_agreement,
        least_works=options.min_works,
        by=options.consensus,
        of=options.consensus_of,
        resamples=options.resamples,
        seed=options.seed,
    )
    for line in not_counted(told):
        console.say(f"{task}: {line}")
    lines = []
    for who, group in (("all annotators", told.all), ("consistent ones", told.consistent)):
        if group is not None:
            figure = group.alpha[annotations.level]
            alpha = "–" if figure.value is None else f"{figure.value:.3f}"
            bounds = "" if figure.interval is None else f"{figure.interval[0]:.3f} to {figure.interval[1]:.3f}"
            fleiss = "–" if group.fleiss.value is None else f"{group.fleiss.value:.3f}"
            lines.append((who, group.annotators, group.works, alpha, bounds, fleiss))
    header = ["", "annotators", "works", f"alpha, {annotations.level}", "95 %", "Fleiss' kappa"]
    console.table(f"{task}: agreement", header, lines)
    return told


def _counts(told: Figures) -> Counts:
    annotations = told.annotations
    return {
        "works": len(annotations.objects),
        "annotators": len(annotations.annotators),
        "annotations": len(annotations.label),
        "left_out": sum(annotations.left_out.values()),
        "alpha": told.all.alpha[annotations.level].value,
        "consistent": sum(one.consistent for one in told.judgements),
        "alpha_consistent": (told.consistent or told.all).alpha[annotations.level].value,
        "labelled": int((told.consensus.label >= 0).sum()),
    }


def _together(told: Sequence[Figures], table_of: Callable[[Figures], pa.Table]) -> pa.Table:
    return pa.concat_tables([table_of(one) for one in told], promote_options="default")


def _named(names: Sequence[str]) -> str:
    return f"{len(names):,} ({first_of(names, _EXAMPLES)})"
