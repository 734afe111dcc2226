"""Several generators side by side: architectures, losses or any other setting, trained one after the other.

All are trained by the same workers, which load TensorFlow once, and from pictures that are decoded once.

All are judged by as many pictures against the same works, whose embeddings are made once. Each bundle is below
`OUT/runs/`: run again, a comparison does what is missing. `results.parquet` and `results.csv` hold a row a generator:
the settings, the scores (see `scores`), `seconds` of training, `run`, and `error` where training failed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field

from artray import console
from artray.bundles.description import read_history
from artray.bundles.generator import read_scores
from artray.engine.grids import RESULTS, grid_values, readable, write_results
from artray.errors import ArtrayError
from artray.gans.config import read_config
from artray.gans.judges import JUDGED_BY, judge_of
from artray.gans.latent_walks import latent_strips
from artray.gans.sampling import EMBEDDED
from artray.gans.scores import CANDIDATES, HEADER, METRICS, cells, heading, score
from artray.gans.station import GanOptions, train_gans
from artray.job import Counts, Options
from artray.storage import Location, dataset_digest, digest, keep_apart, refuse_other_job, remove_scratch

_WORKS = "_works"


class ComparisonOptions(Options):
    """Train several GANs on the same works, and score all of them alike."""

    config: list[str] = Field(
        min_length=1, description="what to train: one or more packaged configs' names, or files", examples=["NAME|FILE"]
    )
    data: Location = Field(description="manifest or patches, as the configs' `input` says", examples=["URI"])
    out: Location = Field(description="folder or s3:// prefix for the table and the bundles", examples=["URI"])
    grid: dict[str, Any] = Field(
        {},
        description="values to try for a key of the config, in YAML with commas between them; once a key: "
        "`loss.name=ns,hinge`",
        examples=["KEY=VALUE,VALUE"],
    )
    set: dict[str, str] = Field({}, description="change a key of all configs", examples=["KEY=VALUE"])
    samples: int = Field(1000, ge=8, description="pictures that each is scored by; at most half of the works")
    judge: str | None = JUDGED_BY
    workers: int = Field(1, ge=1, description="processes that share each batch")
    gpus_per_worker: int = Field(0, ge=0, description="GPUs of each")


@dataclass(frozen=True)
class _Run:
    """One training: a config file with changes, and what distinguishes it from the others."""

    config: str
    changes: dict[str, str]
    values: dict[str, Any]
    size: int
    out: Location


def compare_gans(options: ComparisonOptions) -> Counts:
    """Train and score what is not done yet, and write the table.

    Raises:
        InputError: A config, the grid or the data can't be used.
        ArtrayError: Not one could be trained.
    """
    out = options.out
    keep_apart(out, {}, {"--data": options.data})
    refuse_other_job(out, "comparison")
    out.ensure_writable()
    runs = _runs(options, out)
    judge = judge_of(options.judge, [read_config(run.config, run.changes).model.name for run in runs])
    titles = [", ".join(f"{key}={value}" for key, value in run.values.items()) for run in runs]
    failed = train_gans(
        [
            (
                title,
                GanOptions(
                    config=run.config,
                    data=options.data,
                    out=run.out,
                    set=run.changes,
                    workers=options.workers,
                    gpus_per_worker=options.gpus_per_worker,
                ),
            )
            for title, run in zip(titles, runs, strict=True)
        ],
        out,
    )
    rows = []
    for number, (title, run) in enumerate(zip(titles, runs, strict=True), 1):
        console.heading(f"{number} of {len(runs)}  {title}")
        rows.append(_row(options, run, failed.get(run.out), (out / _WORKS / str(run.size), judge)))
    trained = [row for row in rows if not row["error"]]
    if not trained:
        raise ArtrayError(f"not one of {len(rows)} could be trained: {rows[0]['error']}")
    remove_scratch(out / _WORKS, [rf"\d+/{name}" for name in EMBEDDED])
    write_results(out, rows)
    _show(rows, list(runs[0].values), read_scores(Location(trained[0]["run"])))
    best = min(trained, key=lambda row: float(row["kid"]))
    return {
        "rows": len(rows),
        "ok": len(trained),
        "failed": len(rows) - len(trained),
        "out": str(out),
        "best": {key: best[key] for key in runs[0].values},
        "best_run": best["run"],
        **{name: best[name] for name in METRICS},
    }


def trained_runs(comparison: Location) -> list[Location]:
    """The bundles of a finished comparison, in the order of its table.

    Raises:
        InputError: There is none.
    """
    rows = (comparison / RESULTS).dataset().to_table(columns=["run", "error"]).to_pylist()
    return [Location(row["run"]) for row in rows if not row["error"]]


def _runs(options: ComparisonOptions, out: Location) -> list[_Run]:
    """All combinations, the last key of the grid changing fastest."""
    axes = [[(key, value) for value in grid_values(key, text)] for key, text in options.grid.items()]
    source = dataset_digest(options.data.dataset())
    runs = []
    for file, *values in itertools.product(options.config, *axes):
        changes = {**options.set, **{key: json.dumps(value) for key, value in values}}  # JSON is YAML
        config = read_config(file, changes)
        name = digest(config.model_dump_json().encode(), source.encode())[:12]
        told = {"config": PurePosixPath(file).stem, **{key: readable(value) for key, value in values}}
        runs.append(_Run(file, changes, told, config.size, out / "runs" / name))
    return runs


def _row(options: ComparisonOptions, run: _Run, error: str | None, works: tuple[Location, str]) -> dict[str, Any]:
    row: dict[str, Any] = dict(run.values)
    if error is not None:  # of some losses that is an answer too
        console.say(f"failed: {error}")
        names = (*METRICS[:2], "kid_error", *METRICS[2:], "epochs", "seconds")
        return {**row, **dict.fromkeys(names), "run": str(run.out), "error": error}
    scores = score(run.out, options.data, options.samples, works=works[0], judge=works[1])
    latent_strips(run.out)
    history = read_history(run.out)
    return {
        **row,
        **scores["rows"]["generator"],
        "epochs": len(history),
        "seconds": round(sum(epoch["seconds"] for epoch in history), 1),
        "run": str(run.out),
        "error": None,
    }


def _show(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], scores: Mapping[str, Any]) -> None:
    lines = [[*(row[key] for key in keys), *cells(row), _time(row["seconds"])] for row in rows]
    rest = [""] * (len(keys) - 1)
    lines += [[CANDIDATES[name], *rest, *cells(scores["rows"][name]), ""] for name in ("works", "mean", "noise")]
    console.table(heading(scores), [*keys, *HEADER, "training"], lines)


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds / 60:.1f} min"
