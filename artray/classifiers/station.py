"""Station 4: train a classifier with Ray Train and write a model bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import ray
from pydantic import Field

from artray import cluster, console
from artray.bundles.classifier import BUNDLE, MODEL, Bundle, load_bundle, read_evaluation
from artray.bundles.description import made_from, write_description
from artray.bundles.thresholds import abstention_told, doubt_of
from artray.classifiers.baseline import Baseline, fit_baseline
from artray.classifiers.bundling import concepts, lacking_told, source_with_vocabulary
from artray.classifiers.closed_form import others_told, training_class
from artray.classifiers.config import TrainConfig, labels_found, read_config
from artray.classifiers.evaluation import metric, true_classes
from artray.classifiers.examples import Examples, load_examples
from artray.classifiers.fold_ensemble import FoldEnsemble
from artray.classifiers.half_precision_check import check_half
from artray.classifiers.loop import CHOSEN, ClassifierTraining
from artray.classifiers.metrics import one_hot
from artray.classifiers.novelty import novelty_sentence
from artray.classifiers.pooled import pooled_accuracy, show_pooled
from artray.engine.arithmetic import Precision
from artray.engine.options import TrainingOptions
from artray.engine.outputs import earlier_bundle, say_left_out
from artray.engine.shards import EXAMPLE_FILES, ExampleCache, cache_of, remove_examples
from artray.engine.worker_group import (
    CHECKPOINTS,
    Training,
    WorkerGroup,
    join_cluster,
    remove_checkpoints,
)
from artray.errors import InputError
from artray.ingest.splits import PARTS
from artray.job import Counts
from artray.labeling.half_precision import KEY as HALF
from artray.storage import Location, dataset_digest, digest, keep_apart, refuse_other_job, remove_written
from artray.vocabulary import Class

# The bundles' own files first: a folder without them holds no bundle, whatever else is left where the job is killed.
_WRITTEN = (
    r"bundle\.json",
    r"folds/\d+/bundle\.json",
    r"(folds/\d+/)?(model\.keras|novelty\.npz|evaluation\.json|history\.json|predictions\.parquet)",
    r"(folds/\d+/)?tensorboard/(training|refit)/events\.out\.tfevents\.[^/]+",
    rf"(folds/\d+/)?{CHECKPOINTS}",
    EXAMPLE_FILES,
)


class TrainOptions(TrainingOptions):
    """Train a classifier as a config says, on several workers, and evaluate it on works it never saw."""

    config: str = Field(
        "default", description="what to train: a packaged config's name, or a file", examples=["NAME|FILE"]
    )
    data: Location = Field(
        description="feature table, patches or manifest, as the config's `input` says", examples=["URI"]
    )
    manifest: Location | None = Field(
        None,
        description="labels, split and groups are this manifest's, only inputs are from --data: for another split or "
        "column of pictures whose features are there; default: those that --data has",
        examples=["URI"],
    )
    out: Location = Field(description="folder or s3:// prefix for the model bundle", examples=["URI"])
    task: str | None = Field(
        None,
        description="learn this task: the manifest's column of that name (ingest --label), which the labels are called "
        "by too; default: the config's `task` and `target`",
        examples=["NAME"],
    )
    features: Location | None = Field(
        None,
        description="feature table of the same works, for the logistic regression that the model is compared with; "
        "default: --data, where it is one",
        examples=["URI"],
    )
    folds: int | None = Field(
        None,
        ge=2,
        description="cross-validate: deal training and validation part anew into so many folds, train a model on all "
        "but each, and make their mean the bundle",
    )
    repeats: int = Field(
        1, ge=1, le=100, description="with --folds: deal them so many times, each time in another way, for the figures"
    )
    finalize: bool = Field(
        False, description="then fit again on all parts, test included, for as many epochs as were best"
    )
    baseline: bool = Field(
        True, description="fit a logistic regression to the same works, to compare with; --no-baseline: don't"
    )
    precision: Precision | None = Field(
        None,
        description="compute in this precision; default: the config's, which is auto unless it says another",
        examples=["auto|float32|bfloat16|float16"],
    )
    precision_target: float | None = Field(
        None,
        gt=0.5,
        lt=1,
        description="say labels from the score on at which so many are right, with 95 % confidence, and call the rest "
        "uncertain; default: the config's, .9",
    )
    check_bfloat16: bool = Field(
        False,
        description="see whether labels stay the same in bfloat16, on up to 400 works of the test part: "
        "if they do, label-catalog's networks take about half the time on processors that have it",
    )
    tensorboard: bool = Field(False, description="write logs for TensorBoard below OUT/tensorboard")
    corrections: list[Location] = Field(
        [],
        description="what curators said, on top of the target column: the page's CSV, Label Studio's export, "
        "annotation pages",
        examples=["FILE"],
    )


def train(options: TrainOptions) -> Counts:
    """Train, or go on with a run that was interrupted, or say that the bundle is there already.

    Raises:
        InputError: The config or the data can't be used, or `out` holds another bundle or another job's output, or is
            a place of data.
        ArtrayError: Training failed.
    """
    if options.repeats > 1 and options.folds is None:
        raise InputError("--repeats: needs --folds, which it deals anew each time")
    changes = options.changes()
    if options.precision_target is not None:
        changes["precision_target"] = str(options.precision_target)
    config = read_config(options.config, changes, options.task)
    training_class(config)  # a model that can't be learned so is said at once
    out = options.out
    keep_apart(out, {}, {"--data": options.data, "--features": options.features, "--manifest": options.manifest})
    refuse_other_job(out, "model")
    out.ensure_writable()
    works = (options.manifest or options.data).dataset()
    if labels := labels_found(config, works.schema):
        config = read_config(options.config, changes | labels, options.task)
        training_class(config)
    source = dataset_digest(options.data.dataset())
    if options.manifest is not None:
        source = digest(source.encode(), dataset_digest(works).encode())
    if options.corrections:
        files = [uri.read_bytes() for uri in options.corrections]
        source = digest(source.encode(), *files)
    source = source_with_vocabulary(source, config.vocabulary)
    cache = cache_of(options.cache, out, [options.data], options.in_memory)
    if options.folds is not None:
        return _train_folds(options, config, cache, source)
    evaluated = earlier_bundle(
        out,
        load_bundle,
        lambda bundle: made_from(bundle, config, source),
        file=BUNDLE,
        network=MODEL,
        overwrite=options.overwrite,
    )
    if evaluated is not None:
        finalized = evaluated.metrics.get("finalized", False)
        if finalized and not options.finalize:
            raise InputError(f"{out}: holds this model fitted on all parts (--finalize); give another --out")
        if finalized == options.finalize:
            console.say(f"{out} holds this model already")
            _check_half(options)
            return _summary(out, config)
    join_cluster(options.workers, options.gpus_per_worker, options.data, out)
    console.say(f"reading examples from {options.data}")
    read = partial(
        load_examples,
        data=options.data,
        cache=cache,
        corrections=options.corrections,
        decoded={},
        manifest=options.manifest,
    )
    trainings: list[ClassifierTraining] = []
    if evaluated is None:
        examples = read(config.examples)
        _show(config, examples)
        if config.other == "learn":
            console.say(others_told(config, examples))
        known = _known(config, examples.classes)
        baseline = _baseline(options, config, examples)
        if (out / BUNDLE).exists():  # removed only now that the data can be used
            remove_written(out, _WRITTEN)
        trainings.append(_training(options, config, examples, out, source=source, baseline=baseline, known=known))
        classes = examples.classes
    else:
        classes = [item.name for item in evaluated.classes]
        known = {item.name: Class(item.name, item.uri, (), item.equivalents) for item in evaluated.classes}
    if options.finalize:
        everything = read(replace(config.examples, classes=classes), all_for_training=True)
        trainings.append(_training(options, config, everything, out, source=source, known=known, refit=True))
    _group(options, config, out, source).run(trainings)
    _check_half(options)
    remove_checkpoints(out)
    remove_examples(out)
    return _summary(out, config)


def _train_folds(options: TrainOptions, config: TrainConfig, cache: ExampleCache, source: str) -> Counts:
    """A model a fold, each a bundle below `out/folds/`, and their mean as the bundle in `out`."""
    out = options.out
    # `learn_from` draws works by part, which is another one in each fold.
    if options.finalize or config.folds is not None or config.colormaps or config.learn_from < 1:
        raise InputError(
            "--folds: goes neither with --finalize nor with the config's `folds`, `colormaps` or `learn_from`"
        )
    folds = options.folds or 0
    config = config.model_copy(update={"folds": options.folds})

    def is_the_same(bundle: Bundle) -> bool:
        trained = bundle.metrics.get("fold_ensemble"), bundle.metrics.get("repeats", 1)
        return trained == (folds * options.repeats, options.repeats) and made_from(bundle, config, source)

    earlier = earlier_bundle(
        out,
        load_bundle,
        is_the_same,
        file=BUNDLE,
        network=None if (out / "folds").exists() else MODEL,
        overwrite=options.overwrite,
    )
    if earlier is not None:
        console.say(f"{out} holds this model already")
        _check_half(options)
        return _summary(out, config)
    join_cluster(options.workers, options.gpus_per_worker, options.data, out)
    console.say(f"reading examples from {options.data}")
    decoded: dict[Any, Any] = {}
    read = partial(
        load_examples,
        data=options.data,
        cache=cache,
        corrections=options.corrections,
        decoded=decoded,
        manifest=options.manifest,
    )
    examples = read(replace(config.examples, folds=None))
    _show(config, examples)
    if config.other == "learn":
        console.say("other: learn: is of no use with --folds: the mean of the folds knows no novelty")
    known = _known(config, examples.classes)
    baseline = _baseline(options, config, examples)
    if (out / BUNDLE).exists():
        remove_written(out, _WRITTEN)
    members = [out / "folds" / str(number) for number in range(folds * options.repeats)]
    trainings: list[Training] = []
    for number, member in enumerate(members):
        repeat, fold = divmod(number, folds)
        told = config.model_copy(update={"fold": fold, "repeat": repeat, "classes": examples.classes})
        if (member / BUNDLE).exists():
            if made_from(load_bundle(member), told, source):
                console.say(f"fold {number}: done before")
                continue
            remove_written(member, _WRITTEN)
        dealt = read(told.examples)
        # The same examples, dealt otherwise: their inputs need not lie in memory once for each fold.
        dealt = replace(dealt, blocks=examples.blocks, positions=examples.positions, others=examples.others)
        trainings.append(_training(options, told, dealt, member, source=source, known=known))
    whole = _training(options, config, examples, out, source=source, known=known, baseline=baseline)
    _group(options, config, out, source).run(
        [*trainings, FoldEnsemble(members=members, training=whole, repeats=options.repeats)]
    )
    _check_half(options)
    remove_checkpoints(out)
    evaluation = read_evaluation(out)
    remove_examples(out)
    figures = evaluation["folds"]["figures"]
    rows = [[name, f"{item['mean']:.3f}", f"± {item['spread']:.3f}"] for name, item in figures.items()]
    times = f", dealt {options.repeats} times" if options.repeats > 1 else ""
    console.table(
        f"{config.task}: each of {options.folds} folds{times}, on its validation part", ["", "mean", "spread"], rows
    )
    show_pooled(config.task, evaluation["out_of_fold"])
    return _summary(out, config) | {"folds": figures, "out_of_fold": pooled_accuracy(evaluation["out_of_fold"])}


def _baseline(options: TrainOptions, config: TrainConfig, examples: Examples) -> Baseline | None:
    if not options.baseline:
        return None
    features = baseline_features(options.features, options.data, config)
    return fit_baseline(examples, features, config.columns, config.multilabel)


def baseline_features(features: Location | None, data: Location, config: TrainConfig) -> Location | None:
    """The table whose embedding the baseline sees: the one given, else the data if they are features."""
    return features or (data if config.input == "features" else None)


def _training(
    options: TrainOptions,
    config: TrainConfig,
    examples: Examples,
    out: Location,
    *,
    source: str,
    known: Mapping[str, Class],
    baseline: Baseline | None = None,
    refit: bool = False,
) -> ClassifierTraining:
    """What workers are told of one training."""
    return training_class(config)(
        config=config,
        examples=examples,
        standardize=standardization(examples),
        baseline=baseline,
        out=out,
        source=source,
        known=known,
        summaries=out / "tensorboard" / ("refit" if refit else "training") if options.tensorboard else None,
        refit=refit,
    )


def _group(options: TrainOptions, config: TrainConfig, out: Location, source: str) -> WorkerGroup:
    """The workers for all trainings of one command."""
    return options.group(
        out,
        # As `ClassifierTraining.name` of the first: from when each fit was a run of its own, and left checkpoints.
        name=digest(config.model_dump_json().encode(), source.encode(), str(False).encode()),
        title=config.task,
        note=partial(_note, monitor=config.monitor),
    )


def _note(metrics: Mapping[str, Any], monitor: str) -> str:
    note = f"epoch {metrics['epoch']}  loss {metrics['loss']:.3f}"
    if "validation_loss" in metrics:
        note += f"  validation loss {metrics['validation_loss']:.3f}"
        shown = "validation_accuracy" if monitor == "validation_loss" else monitor
        note += f"  {shown.removeprefix('validation_').replace('_', ' ')} {metrics[shown]:.2f}"
    return f"{note}  {metrics['rate']:,.0f} examples/s"


def standardization(examples: Examples) -> tuple[list[float], list[float]] | None:
    """Mean and variance of each feature over the training part; pictures are scaled by their model."""
    if examples.moments is None:
        return None
    variance = examples.moments.variance
    return examples.moments.mean.tolist(), np.where(variance > 1e-8, variance, 1.0).tolist()


def _show(config: TrainConfig, examples: Examples) -> None:
    true = one_hot(true_classes(examples.targets, config.multilabel), len(examples.classes))
    counts = {part: true[examples.part(part)].sum(axis=0) for part in PARTS}
    rows: list[list[Any]] = [
        [name, *(int(counts[part][index]) for part in PARTS)] for index, name in enumerate(examples.classes)
    ]
    console.table("examples", ["class", *PARTS], rows)
    for part, column in zip(PARTS[1:], (2, 3), strict=True):
        lacking = [str(row[0]) for row in rows if not row[column]]
        if lacking:
            console.say(f"no {part} example of {', '.join(lacking)}: what is said of the {part} part leaves them out")
    say_left_out(examples.dropped)
    if config.multilabel and not (true.sum(axis=1) > 1).any():
        console.say(
            f"no work has more than one label in column {config.target!r}: ingest --multilabel {config.target} keeps "
            "all values of a cell"
        )


def _known(config: TrainConfig, classes: Sequence[str]) -> dict[str, Class]:
    """The classes' concepts; where a vocabulary was asked for, what it lacks is said."""
    known = concepts(config.target, classes, config.vocabulary)
    if lacking := lacking_told(config.vocabulary, classes, known):
        console.say(lacking)
    return known


def _check_half(options: TrainOptions) -> None:
    """Have a bundle say whether its labels stay the same in bfloat16, where that is asked for."""
    out = options.out
    if not options.check_bfloat16 or HALF in load_bundle(out).metrics:
        return
    console.say("comparing its labels in bfloat16 with those in float32")
    cluster.connect()
    with cluster.unwrapped_errors():
        checked = ray.get(ray.remote(check_half).remote(out))
    bundle = load_bundle(out)
    write_description(out, BUNDLE, bundle.model_copy(update={"metrics": {**bundle.metrics, HALF: checked}}))
    if "agreement" not in checked:
        console.say(f"bfloat16: only {checked['n']:,} works could be read, too few to tell: labels are made in float32")
        return
    errors = checked["calibration_error"]
    told = f"{checked['agreement']:.1%} of {checked['n']:,} labels are the same"
    end = "label-catalog may use it" if checked["holds"] else "labels are made in float32"
    error = f"calibration error {errors['bfloat16']:.3f} ({errors['float32']:.3f} in float32)"
    console.say(f"bfloat16: {told}, {error}: {end}")


def _metrics(values: dict[str, Any]) -> list[str]:
    return [f"{metric(values, name) or 0:.3f}" for name in ("accuracy", "balanced_accuracy", "macro_f1")]


def _summary(out: Location, config: TrainConfig) -> Counts:
    bundle = load_bundle(out)
    evaluation = read_evaluation(out)
    rows = []
    for level, values in evaluation["levels"].items():
        low, high = values["intervals"]["accuracy"]
        rows.append([level, values["n"], "this model", *_metrics(values), f"{low:.3f} to {high:.3f}"])
        rows.append(["", "", "always the same label", *_metrics(values["majority"]), ""])
        if values["baseline"]:
            rows.append(["", "", "logistic regression", *_metrics(values["baseline"]), ""])
    header = ["per", "n", "", "accuracy", "balanced", "mean F1", "accuracy, 95 %"]
    console.table(f"{config.task}: on the test part, never trained on", header, rows)
    doubt = doubt_of(evaluation["levels"])
    if doubt:
        console.say(f"{config.task}: {doubt}")
    elif evaluation.get("abstain"):
        console.say(f"{config.task}: {abstention_told(evaluation['abstain'])}")
    if evaluation.get("novelty"):
        console.say(f"{config.task}: {novelty_sentence(evaluation['novelty'])}")
    for name, value in bundle.metrics.get(CHOSEN, {}).items():
        console.say(f"{config.task}: model.{name} {value:g}, chosen by folds of the training part")
    sparsity = bundle.metrics.get("sparsity")
    if sparsity:
        console.say(
            f"{config.task}: {sparsity['zeros']:,} of {sparsity['parameters']:,} weights are 0; of the kernels' "
            f"{sparsity['share']:.1%}"
        )
    artwork = evaluation["levels"]["artwork"]
    used = sum(bundle.data[part] for part in PARTS)
    left_out = sum(bundle.data["dropped"].values())
    return {
        "rows": used + left_out,
        "ok": used,
        "failed": bundle.data["dropped"]["unreadable"],
        "out": str(out),
        "model_id": bundle.model_id,
        "accuracy": artwork["accuracy"],
        "balanced_accuracy": artwork["balanced_accuracy"],
        "majority_share": artwork["majority_share"],
        "doubt": doubt,
        **({"sparsity": sparsity["share"]} if sparsity else {}),
        "levels": {level: values["accuracy"] for level, values in evaluation["levels"].items()},
    }
