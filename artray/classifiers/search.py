"""Station 4, many times: every combination of some settings, on some seeds and splits, ranked on the validation part.

A plain grid: with one worker a trial, trials run side by side, as many as the cluster has CPUs (or GPUs). Each worker
starts TensorFlow once and trains one trial after the other; the examples are read once for all trials that see the
same. Each trial's bundle is below `OUT/runs/`: run again, a search does what is missing. Only the winner's metrics on
the test part are shown: choosing by them would spoil them (`--show-test` is for tables of what each part contributes).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Literal

import numpy as np
import ray
from pydantic import Field
from ray.exceptions import RayError
from ray.train import ScalingConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from artray import cluster, console
from artray.bundles.classifier import BUNDLE, read_evaluation
from artray.classifiers.baseline import Baseline, baseline_columns, fit_baseline
from artray.classifiers.bundling import concepts, lacking_told, source_with_vocabulary
from artray.classifiers.closed_form import training_class
from artray.classifiers.config import ExamplesConfig, TrainConfig, labels_found, read_config
from artray.classifiers.evaluation import metric
from artray.classifiers.examples import Examples, load_examples
from artray.classifiers.loop import ClassifierTraining
from artray.classifiers.station import baseline_features, standardization
from artray.engine.grids import grid_values, readable, write_results
from artray.engine.options import CACHE, IN_MEMORY
from artray.engine.progress import InProcess, Progress
from artray.engine.shards import cache_of, remove_examples
from artray.engine.worker_group import run_trainings
from artray.errors import ArtrayError, InputError
from artray.job import Counts, Options
from artray.storage import Location, dataset_digest, digest, keep_apart, refuse_other_job
from artray.storage.nodes import check_nodes

METRICS = ("balanced_accuracy", "accuracy", "macro_f1", "log_loss")
_SHOWN = ("balanced_accuracy", "accuracy", "macro_f1")


class SearchOptions(Options):
    """Train a config with every combination of some settings, on some seeds and splits, and rank them."""

    config: str = Field(description="what to train: a packaged config's name, or a file", examples=["NAME|FILE"])
    data: list[Location] = Field(
        min_length=1,
        description="feature table, patches or manifest, as the config's `input` says; of several, such as the same "
        "works split with several seeds, each combination is trained on each",
        examples=["URI"],
    )
    out: Location = Field(description="folder or s3:// prefix for the table and the bundles", examples=["URI"])
    task: str | None = Field(
        None,
        description="learn this task: the manifest's column of that name (ingest --label), which the labels are called "
        "by too; default: the config's `task` and `target`",
        examples=["NAME"],
    )
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
    show_test: bool = Field(False, description="show the test part's metrics for all rows, not only for the winner")
    workers: int | None = Field(None, ge=1, description="trials at once; default: as many as there are CPUs, or GPUs")
    gpus_per_worker: int = Field(0, ge=0, description="GPUs of each trial")
    features: list[Location] = Field(
        [],
        description="feature table of the same works, to compare with a logistic regression on their embedding, one "
        "for each --data; default: --data, where it is one",
        examples=["URI"],
    )
    baseline: bool = Field(
        True, description="fit a logistic regression to the same works, to compare with; --no-baseline: don't"
    )
    cache: Location | None = CACHE
    in_memory: float = IN_MEMORY


@dataclass(frozen=True)
class Setting:
    """One combination: what differs from the config, and a config for each seed."""

    values: dict[str, Any]
    configs: list[TrainConfig]


@dataclass(frozen=True)
class _Trial:
    """One training: a config on one of the data sets, and where its bundle goes.

    Attributes:
        config: What is trained.
        data: The data set's number.
        source: The digest of what the bundle is made from.
        run: The bundle's place.
    """

    config: TrainConfig
    data: int
    source: str
    run: Location


def settings_of(options: SearchOptions) -> list[Setting]:
    """All combinations, the last key of the grid changing fastest.

    Raises:
        InputError: A key or a value is not one of a config's.
    """
    axes = [[{key: value} for value in grid_values(key, text)] for key, text in options.grid.items()]
    if options.ablate:
        if options.grid.keys() & {"columns", "colormaps"}:
            raise InputError("--ablate: chooses the columns and colormaps itself: leave them out of --grid")
        axes.insert(0, _ablation(read_config(options.config, options.set, options.task)))
    if not axes and len(options.data) * len(options.seeds) == 1:
        raise InputError("--grid: say what to try, as KEY=VALUE,VALUE")
    settings = []
    for combination in itertools.product(*axes):
        values = {key: value for setting in combination for key, value in setting.items()}
        texts = {key: json.dumps(value) for key, value in values.items()}  # JSON is YAML
        configs = [
            read_config(options.config, {**options.set, **texts, "seed": str(seed)}, options.task)
            for seed in options.seeds
        ]
        settings.append(Setting(values, configs))
    return settings


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


def search(options: SearchOptions) -> Counts:
    """Train what is not trained yet, and write `results.parquet` and `results.csv`, a row a combination.

    Raises:
        InputError: The config, the grid or the data can't be used.
        ArtrayError: Not one trial could be trained.
    """
    return searches([options], options.out)[0]


@dataclass(frozen=True)
class _Search:
    """What a search is to do: its settings, and the trials of each."""

    options: SearchOptions
    settings: list[Setting]
    trials: list[list[_Trial]]

    @property
    def by_run(self) -> dict[Location, _Trial]:
        """Its trials by their place."""
        return {trial.run: trial for trials in self.trials for trial in trials}


def searches(several: Sequence[SearchOptions], shared: Location, *, shown: bool = True) -> list[Counts]:
    """Several searches, each as `search` does it, whose trials share processes.

    Args:
        several: They differ in their data, place and settings only.
        shared: Pictures are decoded below this place.
        shown: Whether the rankings are printed.

    Raises:
        InputError: As `search`.
        ArtrayError: Likewise.
    """
    starts = itertools.accumulate((len(options.data) for options in several), initial=0)
    planned = [_planned(options, start) for options, start in zip(several, starts, strict=False)]
    trials = {run: trial for item in planned for run, trial in item.by_run.items()}
    todo = [trial for run, trial in trials.items() if not (run / BUNDLE).exists()]
    combinations = sum(len(item.settings) for item in planned)
    console.say(f"{combinations} combinations, {len(trials)} trials; {len(trials) - len(todo)} done before")
    together = several[0].model_copy(
        update={
            "data": [uri for options in several for uri in options.data],
            "features": [uri for options in several for uri in options.features],
            "out": shared,
        }
    )
    failed = _train(together, todo) if todo else {}
    remove_examples(shared)
    return [_told(item, failed, shown) for item in planned]


def _planned(options: SearchOptions, start: int) -> _Search:
    """Check what a search is asked for; `start` is the number of its first data set."""
    settings = settings_of(options)
    if options.features and len(options.features) != len(options.data):
        raise InputError(
            f"--features: {len(options.features)} tables for {len(options.data)} --data: give one for each"
        )
    out = options.out
    keep_apart(out, {}, {"--data": options.data, "--features": options.features})
    refuse_other_job(out, "search")
    out.ensure_writable()
    tables = [uri.dataset() for uri in options.data]
    if labels := labels_found(settings[0].configs[0], tables[0].schema):
        settings = settings_of(options.model_copy(update={"set": options.set | labels}))
    digests = [dataset_digest(table) for table in tables]
    read = cache(source_with_vocabulary)
    trials = []
    for setting in settings:
        trials_of_setting = []
        for data, digested in enumerate(digests, start):
            for config in setting.configs:
                source = read(digested, config.vocabulary)
                trials_of_setting.append(_Trial(config, data, source, _run(out, config, source)))
        trials.append(trials_of_setting)
    return _Search(options, settings, trials)


def _told(done: _Search, failed: Mapping[Location, str], shown: bool) -> Counts:
    """Write a search's tables, and show them if that is wanted."""
    options, settings, trials, out = done.options, done.settings, done.by_run, done.options.out
    trained = [run for run in trials if run not in failed]
    lost = [run for run in trials if run in failed]
    if not trained:
        raise ArtrayError(f"not one of {len(trials)} trials could be trained: {failed[lost[0]]}")
    evaluations = {run: read_evaluation(run) for run in trained}
    rows = [
        _row(item, [trial.run for trial in of_setting], evaluations, failed)
        for item, of_setting in zip(settings, done.trials, strict=True)
    ]
    rows.sort(key=lambda row: _rank(row, options.metric))
    if not options.show_test:
        for row in rows[1:]:
            row.update({name: None for name in row if name.startswith("test_")})
    write_results(out, rows)
    best = rows[0]
    sign = 1 if options.metric == "log_loss" else -1
    best_runs = [run for run in map(Location, best["runs"]) if run in evaluations]
    reached = {run: metric(evaluations[run]["validation"]["artwork"], options.metric) or 0.0 for run in best_runs}
    winner = min(reached, key=lambda run: sign * reached[run])
    if shown:
        _show(options, rows, list(settings[0].values), [evaluations[run] for run in best_runs])
    return {
        "rows": len(trials),
        "ok": len(trained),
        "failed": len(lost),
        "out": str(out),
        "best": {name: best[name] for name in settings[0].values},
        "best_run": str(winner),
        **{name: value for name, value in best.items() if name.startswith(("validation_", "test_"))},
    }


def _run(out: Location, config: TrainConfig, source: str) -> Location:
    return out / "runs" / digest(config.model_dump_json().encode(), source.encode())[:12]


def _train(options: SearchOptions, trials: Sequence[_Trial]) -> dict[Location, str]:
    """Train; returns why those trials failed that did, by their run."""
    cluster.connect()
    check_nodes(options.data, [options.out])
    read = _Reader(options, trials)
    read.decode()
    free = _workers(options, len(trials))
    failed: dict[Location, str] = {}
    running: dict[Any, tuple[Any, Location]] = {}
    # Trials that see the same examples follow each other, so that few examples are in memory at once.
    waiting = sorted(trials, key=lambda trial: (trial.data, _examples_key(trial.config.examples)), reverse=True)
    with console.bar("search", len(trials), note=f"starting {len(free)} worker(s)") as bar:
        while waiting or running:
            while waiting and free:
                trial = waiting.pop()
                worker = free.pop()
                training = replace(read.training(trial), out=trial.run)
                started = worker.train.remote(training, options.gpus_per_worker)
                running[started] = worker, trial.run
            done = ray.wait(list(running))[0][0]
            worker, run = running.pop(done)
            free.append(worker)
            try:
                error = ray.get(done)
            except RayError as lost:  # the process died; Ray starts another
                error = " ".join(str(lost).split())[:200]
            if not (run / BUNDLE).exists():
                failed[run] = error or "ended without a bundle"
            bar.advance(note=f"{len(failed)} failed" if failed else "")
    return failed


def _workers(options: SearchOptions, trials: int) -> list[Any]:
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
    return [process.remote() for _ in range(number)]


class _Trials:
    """A process that trains one trial after the other."""

    def train(self, training: ClassifierTraining, gpus: int) -> str | None:
        """Train; returns why it can't be trained, if it can't."""
        progress = Progress()
        config = {"trainings": [training], "progress": InProcess(progress), "gpus": gpus}
        # No workers: Ray Train runs the loop here, in this process.
        DataParallelTrainer(run_trainings, train_loop_config=config, scaling_config=ScalingConfig(num_workers=0)).fit()
        error = progress.error()
        return None if error is None else str(error)


def _examples_key(config: ExamplesConfig) -> str:
    return json.dumps(asdict(config), sort_keys=True)


class _Reader:
    """Reads what trials share, once: pictures, examples, the baseline."""

    def __init__(self, options: SearchOptions, trials: Sequence[_Trial]):
        self._options = options
        # A trial of each set of pictures; the sets share the memory.
        sets = {(trial.data, trial.config.input, trial.config.size, trial.config.target): trial for trial in trials}
        self._pictures = [trial for key, trial in sorted(sets.items()) if trial.config.input != "features"]
        share = options.in_memory / max(1, len(self._pictures))
        self._cache = cache_of(options.cache, options.out, options.data, share)
        self._decoded: list[dict[Any, Any]] = [{} for _ in options.data]
        self._baselines: dict[tuple[int, str], Baseline | None] = {}
        self._last: tuple[tuple[int, str], dict[str, Any]] | None = None
        self._said: set[str] = set()

    def decode(self) -> None:
        """Decode the pictures of all trials: it needs CPUs, and the trials' processes will have taken all of them."""
        for trial in self._pictures:
            self.training(trial)

    def training(self, trial: _Trial) -> ClassifierTraining:
        """A trial's training, still without a place to write to."""
        key = trial.data, _examples_key(trial.config.examples)
        if self._last is None or self._last[0] != key:
            examples = load_examples(
                trial.config.examples,
                self._options.data[trial.data],
                cache=self._cache,
                decoded=self._decoded[trial.data],
            )
            baseline = self._baseline(trial, examples)
            self._last = (
                key,
                {
                    "examples": examples,
                    "standardize": standardization(examples),
                    "baseline": baseline,
                    "out": self._options.out,
                },
            )
        shared = self._last[1]
        classes, vocabulary = shared["examples"].classes, trial.config.vocabulary
        known = concepts(trial.config.target, classes, vocabulary)
        if (lacking := lacking_told(vocabulary, classes, known)) and lacking not in self._said:
            console.say(lacking)
            self._said.add(lacking)
        return training_class(trial.config)(config=trial.config, source=trial.source, known=known, **shared)

    def _baseline(self, trial: _Trial, examples: Examples) -> Baseline | None:
        config, options = trial.config, self._options
        if not options.baseline:
            return None
        given = options.features[trial.data] if options.features else None
        features = baseline_features(given, options.data[trial.data], config)
        if features is None:
            return None
        columns = baseline_columns(features, config.columns)
        key = trial.data, _examples_key(replace(config.examples, columns=columns, colormaps=False))
        if key not in self._baselines:
            self._baselines[key] = fit_baseline(examples, features, config.columns, config.multilabel)
        return self._baselines[key]


def _row(
    setting: Setting,
    runs: Sequence[Location],
    evaluations: Mapping[Location, Mapping[str, Any]],
    failed: Mapping[Location, str],
) -> dict[str, Any]:
    """A row of the table: the settings, and each metric's mean and spread (standard deviation) over its trials."""
    row: dict[str, Any] = {name: readable(value) for name, value in setting.values.items()}
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
            values = [value for level in levels if (value := metric(level, name)) is not None]
            row[f"{part}_{name}"] = round(float(np.mean(values)), 4) if values else None
            row[f"{part}_{name}_spread"] = round(float(np.std(values, ddof=1)), 4) if len(values) > 1 else None
    row["runs"] = [str(run) for run in runs]
    row["error"] = "; ".join(dict.fromkeys(failed[run] for run in runs if run in failed)) or None
    return row


def _rank(row: Mapping[str, Any], metric: str) -> tuple[bool, float]:
    value = row[f"validation_{metric}"]
    return value is None, 0.0 if value is None else value if metric == "log_loss" else -value


def _show(
    options: SearchOptions, rows: Sequence[Mapping[str, Any]], keys: Sequence[str], best: Sequence[Mapping[str, Any]]
) -> None:
    shown = list(dict.fromkeys([options.metric, *_SHOWN]))

    def cells(row: Mapping[str, Any], part: str) -> list[str]:
        texts = []
        for name in shown:
            value, spread = row[f"{part}_{name}"], row[f"{part}_{name}_spread"]
            text = "–" if value is None else f"{value:.3f}"
            texts.append(text if spread is None else f"{text} ± {spread:.3f}")
        return texts

    header = [*keys, *(name.replace("_", " ") for name in shown)]
    parts_told = "validation part, then test part" if options.show_test else "validation part"
    lines = [
        [*(row[key] for key in keys), *cells(row, "validation"), *(cells(row, "test") if options.show_test else [])]
        for row in rows
    ]
    if options.show_test:
        header += [f"test {name.replace('_', ' ')}" for name in shown]
    count = len(options.data) * len(options.seeds)
    console.table(f"{len(rows)} combinations, mean ± spread over {count} trial(s): {parts_told}", header, lines)
    values = ", ".join(f"{key}={rows[0][key]}" for key in keys)
    tried = [["this model", *cells(rows[0], "test")]]
    levels = [evaluation["levels"]["artwork"] for evaluation in best]
    for name, kind in (("always the same label", "majority"), ("logistic regression", "baseline")):
        if all(level[kind] for level in levels):
            means = [np.mean([metric(level[kind], key) or 0 for level in levels]) for key in shown]
            tried.append([name, *(f"{value:.3f}" for value in means)])
    header = ["", *(name.replace("_", " ") for name in shown)]
    chosen = f"the best on the validation part, on the test part: {values}" if keys else "on the test part"
    console.table(chosen, header, tried)
    for row in rows:
        if row["error"]:
            console.say(f"failed: {', '.join(f'{key}={row[key]}' for key in keys)}: {row['error']}")
