"""Station 4, many times: every combination of some settings, on some seeds and splits, ranked on the validation part.

A plain grid: with one worker a trial, trials run side by side, as many as the cluster has CPUs (or GPUs). Each worker
starts TensorFlow once and trains one trial after the other; the examples are read once for all trials that see the
same. Each trial's bundle is below `OUT/runs/`: run again, a search does what is missing. Only the winner's figures on
the test part are shown: choosing by them would spoil them (`--show-test` is for tables of what each part contributes).
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import ray
import yaml
from pydantic import Field
from ray.exceptions import RayError
from ray.train import ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from artray import cluster, console
from artray.collection import storage
from artray.errors import ArtrayError, InputError
from artray.job import Counts, Options
from artray.training.baseline import Baseline, baseline_columns, fit_baseline
from artray.training.bundle import BUNDLE, read_json
from artray.training.config import TrainConfig, read_config
from artray.training.data import Examples, load_examples
from artray.training.evaluation import figure
from artray.training.loop import Job, train_worker
from artray.training.progress import begin_progress
from artray.training.station import baseline_features, standardization

RESULTS = "results.parquet"
METRICS = ("balanced_accuracy", "accuracy", "macro_f1", "log_loss")
_SHOWN = ("balanced_accuracy", "accuracy", "macro_f1")


class SearchOptions(Options):
    """Train a config with every combination of some settings, on some seeds and splits, and rank them."""

    config: str = Field(description="what to train: one of jobs/configs/ or your own", examples=["FILE"])
    data: list[str] = Field(
        min_length=1,
        description="feature table, patches or manifest, as the config's `input` says; of several, such as the same "
        "works split with several seeds, each combination is trained on each",
        examples=["URI"],
    )
    out: str = Field(description="folder or s3:// prefix for the table and the bundles", examples=["URI"])
    grid: dict[str, Any] = Field(
        {},
        description="values to try for a key of the config, in YAML with commas between them; once a key: "
        "`epochs=20,40`, `columns=[embedding],[embedding, brightness]`, `model={name: linear_head},{name: fusion}`",
        examples=["KEY=VALUE,VALUE"],
    )
    ablate: bool = Field(
        False,
        description="try all groups of features (`columns` and `colormaps`), all but each one, and each one alone",
    )
    seeds: list[int] = Field([0], min_length=1, description="each combination is trained once a seed", examples=["N,N"])
    set: dict[str, str] = Field({}, description="change a key of the config", examples=["KEY=VALUE"])
    metric: Literal["balanced_accuracy", "accuracy", "macro_f1", "log_loss"] = Field(
        "balanced_accuracy", description="what the validation part ranks by, per artwork"
    )
    show_test: bool = Field(False, description="show the test part's figures for all rows, not only for the winner")
    workers: int | None = Field(None, ge=1, description="trials at once; default: as many as there are CPUs, or GPUs")
    gpus_per_worker: int = Field(0, ge=0, description="GPUs of each trial")
    features: list[str] = Field(
        [],
        description="feature table of the same works, to compare with a logistic regression on their embedding, one "
        "for each --data; default: --data, where it is one",
        examples=["URI"],
    )


@dataclass(frozen=True)
class Setting:
    """One combination: what differs from the config, and a config for each seed."""

    values: dict[str, Any]
    configs: list[TrainConfig]


@dataclass(frozen=True)
class _Trial:
    """One training: a config on one of the data sets, and where its bundle goes."""

    config: TrainConfig
    data: int
    run: str


def settings_of(options: SearchOptions) -> list[Setting]:
    """All combinations, the last key of the grid changing fastest.

    Raises:
        InputError: A key or a value is not one of a config's.
    """
    axes = [[{key: value} for value in grid_values(key, text)] for key, text in options.grid.items()]
    if options.ablate:
        if options.grid.keys() & {"columns", "colormaps"}:
            raise InputError("--ablate: chooses the columns and colormaps itself: leave them out of --grid")
        axes.insert(0, _ablation(read_config(options.config, options.set)))
    if not axes and len(options.data) * len(options.seeds) == 1:
        raise InputError("--grid: say what to try, as KEY=VALUE,VALUE")
    found = []
    for combination in itertools.product(*axes):
        values = {key: value for part in combination for key, value in part.items()}
        texts = {key: json.dumps(value) for key, value in values.items()}  # JSON is YAML
        configs = [read_config(options.config, {**options.set, **texts, "seed": str(seed)}) for seed in options.seeds]
        found.append(Setting(values, configs))
    return found


def _ablation(config: TrainConfig) -> list[dict[str, Any]]:
    """All groups of features, all but each one, and each one alone."""
    groups = [*config.columns, *(["colormaps"] if config.colormaps else [])]
    if config.input != "features" or len(groups) < 2:
        raise InputError("--ablate: needs a config with two or more columns of features")
    without = [[name for name in groups if name != left_out] for left_out in groups]
    chosen = [groups, *without, *([name] for name in groups if [name] not in without)]
    return [
        {
            "columns": [name for name in names if name in config.columns],
            **({"colormaps": "colormaps" in names} if config.colormaps else {}),
        }
        for names in chosen
    ]


def grid_values(key: str, given: Any) -> list[Any]:
    """The values of a key of `--grid`: `a,b` or `[a],[a, b]` as a list; in an options file it may be one already.

    Raises:
        InputError: They are not YAML, or none.
    """
    if isinstance(given, str):
        try:
            given = yaml.safe_load(f"[{given}]")
        except yaml.YAMLError as error:
            raise InputError(f"--grid {key}={given}: not YAML values with commas between them") from error
    if not isinstance(given, list) or not given:
        raise InputError(f"--grid {key}: must be a list of values")
    return given


def search(options: SearchOptions) -> Counts:
    """Train what is not trained yet, and write `results.parquet` and `results.csv`, a row a combination.

    Raises:
        InputError: The config, the grid or the data can't be used.
        ArtrayError: Not one trial could be trained.
    """
    settings = settings_of(options)
    if options.features and len(options.features) != len(options.data):
        raise InputError(
            f"--features: {len(options.features)} tables for {len(options.data)} --data: give one for each"
        )
    out = storage.normalize(options.out)
    storage.keep_apart(out, {}, {"--data": options.data, "--features": options.features})
    storage.refuse_other_job(out, "search")
    storage.ensure_writable(out)
    sources = [storage.dataset_fingerprint(storage.dataset(uri)) for uri in options.data]

    def trials_of(setting: Setting) -> list[_Trial]:
        return [
            _Trial(config, data, _run(out, config, source))
            for data, source in enumerate(sources)
            for config in setting.configs
        ]

    trials = {trial.run: trial for item in settings for trial in trials_of(item)}
    todo = [trial for run, trial in trials.items() if not storage.exists(storage.join(run, BUNDLE))]
    console.say(f"{len(settings)} combinations, {len(trials)} trials; {len(trials) - len(todo)} done before")
    failed = _train(options, todo, sources) if todo else {}
    trained = [run for run in trials if run not in failed]
    if not trained:
        raise ArtrayError(f"not one of {len(trials)} trials could be trained: {next(iter(failed.values()))}")
    evaluations = {run: read_json(run, "evaluation.json") for run in trained}
    rows = [_row(item, [trial.run for trial in trials_of(item)], evaluations, failed) for item in settings]
    rows.sort(key=lambda row: _rank(row, options.metric))
    if not options.show_test:
        for row in rows[1:]:
            row.update({name: None for name in row if name.startswith("test_")})
    write_results(out, rows)
    best = rows[0]
    sign = 1 if options.metric == "log_loss" else -1
    figures = {
        run: figure(evaluations[run]["validation"]["artwork"], options.metric) or 0.0
        for run in best["runs"]
        if run in evaluations
    }
    winner = min(figures, key=lambda run: sign * figures[run])
    _show(options, rows, list(settings[0].values), [evaluations[run] for run in best["runs"] if run in evaluations])
    return {
        "rows": len(trials),
        "ok": len(trained),
        "failed": len(failed),
        "out": out,
        "best": {name: best[name] for name in settings[0].values},
        "best_run": winner,
        **{name: value for name, value in best.items() if name.startswith(("validation_", "test_"))},
    }


def _run(out: str, config: TrainConfig, source: str) -> str:
    return storage.join(out, "runs", storage.fingerprint(config.model_dump_json().encode(), source.encode())[:12])


def _train(options: SearchOptions, trials: Sequence[_Trial], sources: Sequence[str]) -> dict[str, str]:
    """Train; returns why those trials failed that did, by their run."""
    cluster.connect()
    cluster.check_nodes(options.data, [options.out])
    read = _Reader(options, sources)
    read.decode(trials)
    free = _workers(options, len(trials))
    failed: dict[str, str] = {}
    running: dict[Any, tuple[_Worker, str]] = {}
    # Trials that see the same examples follow each other, so that few examples are in memory at once.
    waiting = sorted(trials, key=lambda trial: (trial.data, _examples_key(trial.config)), reverse=True)
    with console.bar("search", len(trials), note=f"starting {len(free)} worker(s)") as bar:
        while waiting or running:
            while waiting and free:
                trial = waiting.pop()
                worker = free.pop()
                job = replace(read.job(trial), out=trial.run, progress=worker.progress)
                running[worker.trials.train.remote(job)] = worker, trial.run
            done = ray.wait(list(running))[0][0]
            worker, run = running.pop(done)
            free.append(worker)
            try:
                ray.get(done)
                error = None
            except RayError as lost:  # the process died; Ray starts another
                error = " ".join(str(lost).split())[:200]
            if not storage.exists(storage.join(run, BUNDLE)):
                failed[run] = error or str(ray.get(worker.progress.error.remote()) or "ended without a bundle")
            bar.advance(note=f"{len(failed)} failed" if failed else "")
    return failed


@dataclass(frozen=True)
class _Worker:
    trials: Any
    progress: Any


def _workers(options: SearchOptions, trials: int) -> list[_Worker]:
    """Processes for trials, each with its share of the CPUs, or its GPUs."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    if gpus < options.gpus_per_worker:
        raise InputError(f"--gpus-per-worker {options.gpus_per_worker}: there are {gpus} GPUs")
    room = gpus // options.gpus_per_worker if options.gpus_per_worker else cluster.cpus()
    number = min(options.workers or room, trials)
    threads = {"TF_NUM_INTRAOP_THREADS": str(max(1, cluster.cpus() // number)), "TF_NUM_INTEROP_THREADS": "1"}
    process = ray.remote(_Trials).options(
        num_cpus=min(1.0, cluster.cpus() / number),
        num_gpus=options.gpus_per_worker,
        max_restarts=-1,
        runtime_env={"env_vars": threads},
    )
    return [_Worker(process.remote(), begin_progress()) for _ in range(number)]


class _Trials:
    """A process that trains one trial after the other."""

    def train(self, job: Job) -> None:
        import keras

        keras.utils.clear_session()  # the last trial's graphs
        # No workers: Ray Train runs the loop here, in this process.
        DataParallelTrainer(
            train_worker, train_loop_config={"job": job}, scaling_config=ScalingConfig(num_workers=0)
        ).fit()


_EXAMPLES = ("target", "labels", "classes", "input", "columns", "colormaps", "size", "folds", "fold")
"""The keys of a config that examples depend on."""


def _examples_key(config: TrainConfig) -> str:
    return json.dumps(config.model_dump(include=set(_EXAMPLES)), sort_keys=True)


class _Reader:
    """Reads what trials share, once: pictures, examples, the baseline."""

    def __init__(self, options: SearchOptions, sources: Sequence[str]):
        self._options, self._sources = options, sources
        self._decoded: list[dict[Any, Any]] = [{} for _ in sources]
        self._baselines: dict[tuple[int, str], Baseline | None] = {}
        self._last: tuple[tuple[int, str], Job] | None = None

    def decode(self, trials: Sequence[_Trial]) -> None:
        """Decode the pictures of all trials: it needs CPUs, and the trials' processes will have taken all of them."""
        for _, trial in sorted(
            {(trial.data, trial.config.input, trial.config.size): trial for trial in trials}.items()
        ):
            if trial.config.input != "features":
                self.job(trial)

    def job(self, trial: _Trial) -> Job:
        """A trial's job, still without a place to write to."""
        key = trial.data, _examples_key(trial.config)
        if self._last is None or self._last[0] != key:
            examples = load_examples(trial.config, self._options.data[trial.data], decoded=self._decoded[trial.data])
            baseline = self._baseline(trial, examples)
            job = Job(trial.config, examples, standardization(examples), baseline, "", self._sources[trial.data], None)
            self._last = key, job
        return replace(self._last[1], config=trial.config)

    def _baseline(self, trial: _Trial, examples: Examples) -> Baseline | None:
        config, options = trial.config, self._options
        given = options.features[trial.data] if options.features else None
        features = baseline_features(given, options.data[trial.data], config)
        if features is None:
            return None
        columns = baseline_columns(config, features)
        key = trial.data, _examples_key(config.model_copy(update={"columns": columns, "colormaps": False}))
        if key not in self._baselines:
            self._baselines[key] = fit_baseline(config, examples, features)
        return self._baselines[key]


def _row(
    setting: Setting, runs: Sequence[str], evaluations: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str]
) -> dict[str, Any]:
    """A row of the table: the settings, and each figure's mean and spread (standard deviation) over its trials."""
    row: dict[str, Any] = {name: _readable(value) for name, value in setting.values.items()}
    trained = [run for run in runs if run in evaluations]
    row["trials"] = len(trained)
    for part in ("validation", "test"):
        for name in METRICS:
            levels = [
                evaluations[run]["validation"]["artwork"]
                if part == "validation"
                else evaluations[run]["levels"]["artwork"]
                for run in trained
            ]
            values = [value for level in levels if (value := figure(level, name)) is not None]
            row[f"{part}_{name}"] = round(float(np.mean(values)), 4) if values else None
            row[f"{part}_{name}_spread"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    row["runs"] = list(runs)
    row["error"] = "; ".join(dict.fromkeys(failed[run] for run in runs if run in failed)) or None
    return row


def _readable(value: Any) -> str | int | float | bool:
    """A setting as a cell of the table."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, (str, int, float, bool)) else json.dumps(value)


def _rank(row: Mapping[str, Any], metric: str) -> tuple[bool, float]:
    value = row[f"validation_{metric}"]
    return value is None, 0.0 if value is None else value if metric == "log_loss" else -value


def write_results(out: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """`results.parquet` and `results.csv`, a row a training or combination; all have the same keys."""
    mixed = [name for name in rows[0] if len({type(row[name]) for row in rows if row[name] is not None} - {int}) > 1]
    typed = [{name: str(value) if name in mixed else value for name, value in row.items()} for row in rows]
    storage.write_table(storage.join(out, RESULTS), pa.Table.from_pylist(typed))
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow([" ".join(value) if isinstance(value, list) else value for value in row.values()])
    storage.write_bytes(storage.join(out, "results.csv"), sink.getvalue().encode())


def _show(
    options: SearchOptions, rows: Sequence[Mapping[str, Any]], keys: Sequence[str], best: Sequence[Mapping[str, Any]]
) -> None:
    shown = list(dict.fromkeys([options.metric, *_SHOWN]))

    def cells(row: Mapping[str, Any], part: str) -> list[str]:
        found = []
        for name in shown:
            value, spread = row[f"{part}_{name}"], row[f"{part}_{name}_spread"]
            text = "–" if value is None else f"{value:.3f}"
            found.append(text if spread is None else f"{text} ± {spread:.3f}")
        return found

    header = [*keys, *(name.replace("_", " ") for name in shown)]
    parts = "validation part, then test part" if options.show_test else "validation part"
    lines = [
        [*(row[key] for key in keys), *cells(row, "validation"), *(cells(row, "test") if options.show_test else [])]
        for row in rows
    ]
    if options.show_test:
        header += [f"test {name.replace('_', ' ')}" for name in shown]
    count = len(options.data) * len(options.seeds)
    console.table(f"{len(rows)} combinations, mean ± spread over {count} trial(s): {parts}", header, lines)
    values = ", ".join(f"{key}={rows[0][key]}" for key in keys)
    tried = [["this model", *cells(rows[0], "test")]]
    levels = [evaluation["levels"]["artwork"] for evaluation in best]
    for name, kind in (("always the same label", "majority"), ("logistic regression", "baseline")):
        if all(level[kind] for level in levels):
            means = [np.mean([figure(level[kind], key) or 0 for level in levels]) for key in shown]
            tried.append([name, *(f"{value:.3f}" for value in means)])
    header = ["", *(name.replace("_", " ") for name in shown)]
    chosen = f"the best on the validation part, on the test part: {values}" if keys else "on the test part"
    console.table(chosen, header, tried)
    for row in rows:
        if row["error"]:
            console.say(f"failed: {', '.join(f'{key}={row[key]}' for key in keys)}: {row['error']}")
