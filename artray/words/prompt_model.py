"""A classifier from prompts: what a model that knows words makes of the classes' names becomes a dense layer.

Without a single labelled work it labels a collection; its scores are those of the model's own logits. With some, its
scores are calibrated on them and it is evaluated; and it can be mixed with a trained model, by a weight that is chosen
on works which neither of the two has seen.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from artray import cluster, console
from artray.bundles.classifier import BUNDLE, Bundle, load_bundle, save_bundle
from artray.bundles.description import write_description, write_history
from artray.bundles.inputs import BundleInput, FeatureInput, PictureInput
from artray.bundles.keras_files import keras_file, made_now
from artray.bundles.thresholds import TARGET, abstention_told
from artray.classifiers.bundling import bundle_classes, concepts
from artray.classifiers.calibration import fit_temperature
from artray.classifiers.config import ExamplesConfig
from artray.classifiers.evaluation import evaluation_of, metric
from artray.classifiers.examples import Examples, load_examples
from artray.errors import InputError
from artray.features.specs import columns_of
from artray.ingest.splits import PARTS
from artray.job import Counts, Options
from artray.storage import Location, dataset_digest, digest, keep_apart, refuse_other_job
from artray.storage.located_rows import read_rows
from artray.storage.passes import read_run
from artray.words.mixing import mix
from artray.words.prompts import Prompts, read_prompts

Floats = npt.NDArray[np.floating[Any]]


class PromptOptions(Options):
    """Make a classifier of a model that knows words and the classes' names; it needs no labelled works."""

    backbone: str = Field(
        description="a preset of keras-hub that knows words (CLIP, SigLIP, MetaCLIP 2), by name or folder",
        examples=["NAME|DIR"],
    )
    prompts: Location = Field(description="a YAML file: task, classes, templates", examples=["FILE"])
    out: Location = Field(description="folder or s3:// prefix for the model bundle", examples=["URI"])
    data: Location | None = Field(
        None,
        description="feature table with this backbone's embedding: the model then looks at features, not at pictures",
        examples=["URI"],
    )
    column: str | None = Field(
        None, description="the embedding's column in --data; default: the one of this backbone", examples=["NAME"]
    )
    target: str | None = Field(
        None,
        description="column with the true labels of some works in --data or --manifest: calibrates and evaluates",
        examples=["NAME"],
    )
    manifest: Location | None = Field(
        None, description="labels and split from this manifest, not from --data", examples=["URI"]
    )
    mix: Location | None = Field(
        None,
        description="a trained model of the same classes that looks at features of --data: the bundle is the mean of "
        "both, weighted by what fits works that neither has learned from",
        examples=["URI"],
    )
    precision_target: float = Field(
        TARGET,
        gt=0.5,
        lt=1,
        description="with --target: say labels from the score on at which so many are right, with 95 % confidence, and "
        "call the rest uncertain",
    )
    overwrite: bool = Field(False, description="replace a bundle of other prompts or another backbone")


@dataclass(frozen=True)
class _Words:
    """The prompts as the model sees them.

    Attributes:
        kernel: (d, classes) and
        bias: (classes,) from an embedding of length 1 to the model's own logits.
    """

    kernel: Floats
    bias: Floats

    def logits(self, embeddings: Floats) -> Floats:
        """(n, classes)."""
        lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return np.asarray(embeddings / np.maximum(lengths, 1e-12) @ self.kernel + self.bias)


def prompt_model(options: PromptOptions) -> Counts:
    """Write the bundle.

    Raises:
        InputError: The prompts, the backbone or the data can't be used, or `out` holds something else.
    """
    out, prompts = options.out, read_prompts(options.prompts)
    datasets = {"--data": options.data, "--manifest": options.manifest}
    keep_apart(out, {"--prompts": options.prompts, "--mix": options.mix}, datasets)
    refuse_other_job(out, "model")
    for flag, told in (("target", options.target), ("mix", options.mix), ("manifest", options.manifest)):
        if told is not None and options.data is None:
            raise InputError(f"--{flag}: needs --data, a feature table with the backbone's embedding")
    if options.mix is not None and (options.target is None or prompts.labels != "one"):
        raise InputError("--mix: needs --target, by which the weight is chosen, and prompts with `labels: one`")
    if options.precision_target != TARGET and options.target is None:
        raise InputError("--precision-target: needs --target, by whose works it is told which labels are certain")
    out.ensure_writable()
    source = _source(options)
    if (out / BUNDLE).exists() and not options.overwrite:
        known = load_bundle(out)
        if known.data.get("source") != source:
            raise InputError(f"{out}: holds another bundle; give another --out, or --overwrite")
        console.say(f"{out} holds this model already")
        return _counts(out, known)
    with console.silent_stderr(), redirect_stdout(io.StringIO()):
        from artray.models.hub import load_hub_backbone

        backbone = load_hub_backbone(options.backbone)
        words = _words(prompts, backbone)
    given: BundleInput
    if options.data is None:
        given = PictureInput(size=backbone.notes["size"])
        network: Any = backbone.model
    else:
        run = read_run(options.data)["arguments"]
        specs = run["features"]
        column = options.column or _column(specs, options.backbone, backbone.notes)
        given, network = FeatureInput(features=specs, columns=[column], files=run.get("files")), None
        _check_width(options, given, len(words.kernel))
    made = _Made(options=options, prompts=prompts, words=words, notes=backbone.notes, source=source, given=given)
    if options.target is None:
        _write_unlabelled(made, _network(words, network))
    else:
        cluster.connect()
        _write_labelled(made)
    bundle = load_bundle(out)
    if bundle.doubt:
        console.say(f"{prompts.task}: {bundle.doubt}")
    elif options.target is not None and bundle.metrics.get("abstain"):
        console.say(f"{prompts.task}: {abstention_told(bundle.metrics['abstain'])}")
    return _counts(out, bundle)


@dataclass(frozen=True)
class _Made:
    """What is known before labelled works are looked at."""

    options: PromptOptions
    prompts: Prompts
    words: _Words
    notes: dict[str, Any]
    source: str
    given: BundleInput

    def bundle(self, model: bytes, weights: str, **more: Any) -> Bundle:
        """What the bundle says of itself."""
        prompts, target = self.prompts, self.options.target or self.prompts.task
        told = {
            "temperature": 1.0,
            "input": self.given,
            "metrics": {"test": {}, "abstain": _UNSURE},
            "data": {"source": self.source},
            **more,
        }
        told["metrics"] = {**told["metrics"], "prompts": {name: self.notes[name] for name in _NOTED}}
        return Bundle(
            model_id=f"{prompts.task}-{weights[:12]}",
            task=prompts.task,
            target=target,
            classes=bundle_classes(prompts.names, concepts(target, prompts.names)),
            labels=prompts.labels,
            model_sha=digest(model),
            config={"task": prompts.task, "labels": prompts.labels, "prompts": prompts.model_dump(mode="json")},
            **made_now(),
            **told,
        )


_NOTED = ("preset", "kind", "size", "licence")
_UNSURE = {"target": TARGET, "threshold": None, "coverage": 0.0, "accuracy": None, "lower": None, "n": 0}
"""Without labelled works nobody knows from which score on labels are right: all are uncertain."""


def _source(options: PromptOptions) -> str:
    datasets = [None if location is None else location.dataset() for location in (options.data, options.manifest)]
    pieces = [
        options.backbone.encode(),
        options.prompts.read_bytes(),
        f"{options.column} {options.target}".encode(),
        *(b"" if dataset is None else dataset_digest(dataset).encode() for dataset in datasets),
        b"" if options.mix is None else load_bundle(options.mix).model_sha.encode(),
    ]
    if options.precision_target != TARGET:  # bundles from when there was no other keep their digest
        pieces.append(str(options.precision_target).encode())
    return digest(*pieces)


def _words(prompts: Prompts, backbone: Any) -> _Words:
    """The mean of what the backbone makes of a class's sentences, each of length 1, as a column of the kernel."""
    scale, bias = backbone.logit_scale()
    columns = []
    for item in prompts.classes:
        mean = backbone.text_embeddings(prompts.texts(item)).mean(axis=0)
        columns.append(mean / np.linalg.norm(mean))
    kernel = (np.stack(columns, axis=1) * scale).astype(np.float32)
    return _Words(kernel, np.full(len(columns), bias, np.float32))


def _column(specs: list[dict[str, Any]], preset: str, notes: Mapping[str, Any]) -> str:
    """The column of a feature table that holds a backbone's embeddings."""
    columns = [
        columns_of(spec)[0]
        for spec in specs
        if spec["name"] == "embedding"
        and (spec.get("backbone") == preset or _preset_of(spec.get("backbone")) == preset)
    ]
    if len(columns) != 1:
        there = ", ".join(columns_of(spec)[0] for spec in specs if spec["name"] == "embedding") or "none"
        raise InputError(
            f"--data: doesn't say which column is the embedding of {preset} ({notes['kind']}; it has {there}): name it "
            "with --column, or compute it with extract-features --embed NAME=FILE"
        )
    return columns[0]


def _check_width(options: PromptOptions, given: FeatureInput, wanted: int) -> None:
    """Refuse a column that is no feature, or of another length than the words' vectors; without works nobody knows."""
    given.specs()
    column = given.columns[0]
    width = _widths(options.data, given).get(column, wanted)
    if width != wanted:
        raise InputError(
            f"--data {options.data}: {column} holds {width:,} numbers a work, and embeddings of {options.backbone} are "
            f"{wanted:,}: it is of another backbone; --column names the right one"
        )


def _preset_of(backbone: str | None) -> str | None:
    """The preset that a `.keras` file was made from by prepare-backbone; None where nobody says."""
    if backbone is None or not backbone.endswith(".keras"):
        return None
    about = Location.parse(backbone.removesuffix(".keras") + ".json")
    try:
        notes = about.read_json() if about.exists() else {}
    except (InputError, ValueError):
        return None
    return notes.get("preset") if isinstance(notes, dict) else None


def _network(words: _Words, before: Any = None) -> Any:
    """From pictures, or from embeddings where nothing stands before it, to the model's own logits."""
    import keras
    from keras import layers

    inputs = keras.Input((words.kernel.shape[0],), name="features") if before is None else before.input
    x = inputs if before is None else before.output
    x = layers.UnitNormalization(name="length_1")(x)
    x = layers.Dense(words.kernel.shape[1], name="logits")(x)
    model = keras.Model(inputs, x, name="prompts")
    model.get_layer("logits").set_weights([words.kernel, words.bias])
    return model


def _write_unlabelled(made: _Made, network: Any) -> None:
    from artray.models.classifiers import calibrated

    out = made.options.out
    model = calibrated(network, 1.0, made.prompts.labels == "multilabel")
    data = keras_file(model)
    bundle = made.bundle(data, _weights_of(model))
    write_history(out, [])
    (out / "model.keras").write_bytes(data)
    write_description(out, BUNDLE, bundle)
    console.say("no labelled works: scores are the model's own, and all labels are uncertain (--target calibrates)")


def _weights_of(model: Any) -> str:
    return digest(*(np.asarray(weight).tobytes() for weight in model.get_weights()))


def _write_labelled(made: _Made) -> None:
    """Calibrate on the works outside the test part, none of which the prompts know, and judge by the test part."""
    from artray.models.classifiers import calibrated

    options, prompts = made.options, made.prompts
    examples = _examples(made)
    rows = np.arange(len(examples.table))
    logits = made.words.logits(examples.inputs.take(rows).astype(np.float64))
    parts = np.asarray(examples.table["part"])
    known = np.flatnonzero(parts != "test")
    multilabel = prompts.labels == "multilabel"
    true = (examples.targets >= 0.5).astype(np.int64) if multilabel else examples.targets.argmax(axis=1)
    temperature = fit_temperature(true[known], logits[known])
    network, more = _network(made.words), {}
    if options.mix is not None:
        assert isinstance(made.given, FeatureInput)
        mixed = mix(options.mix, examples, logits / temperature, true, made.given)
        network = mixed.network(network, made.given.columns[0], temperature, _widths(options.data, mixed.given))
        logits, known = mixed.logits, mixed.known
        temperature = fit_temperature(true[known], logits[known])
        made = replace(made, given=mixed.given)
        more = {"mix": {"model": str(options.mix), "weight": mixed.weight}}
        console.say(f"weight of {options.mix}: {mixed.weight:.2f}, chosen on {len(known):,} works")
    # Nothing but a temperature was fitted: all works outside the test part can tell from which score on labels hold.
    told = np.where(parts == "test", "test", "train").astype(object)
    told[known] = "validation"
    judged = replace(examples, table=_with_part(examples.table, told))
    shares = None if multilabel else examples.targets[known].mean(axis=0).astype(np.float64)
    evaluation, predictions = evaluation_of(
        judged,
        logits,
        temperature,
        task=prompts.task,
        labels=prompts.labels,
        shares=shares,
        precision_target=options.precision_target,
    )
    model = calibrated(network, temperature, multilabel)
    data = keras_file(model)
    has_all = shares is not None and bool((shares > 0).all())
    bundle = made.bundle(
        data,
        _weights_of(model),
        temperature=temperature,
        thresholds=evaluation.get("thresholds") or {},
        shares=evaluation["shares"] if has_all else {},
        metrics={"test": evaluation["levels"], "abstain": evaluation["abstain"], **more},
        data={
            "source": made.source,
            **{name: len(examples.part(name)) for name in PARTS},
            "dropped": examples.dropped,
        },
    )
    save_bundle(options.out, bundle, data, evaluation=evaluation, predictions=predictions, history=[])


def _widths(data: Location | None, given: FeatureInput) -> dict[str, int]:
    """How wide each of the input's columns is; empty where no work has them."""
    assert data is not None
    rows = read_rows(data.dataset(), ["status"], lambda table: pc.equal(table["status"], "ok"))
    if not len(rows.table):
        return {}
    table = rows.take(np.zeros(1, np.int64)).read(data, given.columns)
    return {name: group.shape[1] for name, group in given.groups({name: table[name] for name in given.columns}).items()}


def _with_part(table: pa.Table, parts: Any) -> pa.Table:
    column = table.column_names.index("part")
    return table.set_column(column, "part", pa.array(parts.tolist(), pa.string()))


def _examples(made: _Made) -> Examples:
    """Labelled works with the backbone's embeddings, with a column of targets for each of the prompts' classes."""
    options, prompts = made.options, made.prompts
    assert options.data is not None
    assert options.target is not None
    assert isinstance(made.given, FeatureInput)
    config = ExamplesConfig(
        task=prompts.task,
        target=options.target,
        labels=prompts.labels,
        classes=None,
        input="features",
        columns=made.given.columns,
        colormaps=False,
        size=64,
        folds=None,
        fold=0,
    )
    there = load_examples(config, options.data, manifest=options.manifest).classes
    wanted = [name for name in prompts.names if name in there]
    if len(wanted) < 2:
        raise InputError(
            f"--target {options.target}: its labels ({', '.join(there)}) are not the prompts' classes "
            f"({', '.join(prompts.names)})"
        )
    examples = load_examples(replace(config, classes=wanted), options.data, manifest=options.manifest)
    targets = np.zeros((len(examples.targets), len(prompts.names)), np.float32)
    targets[:, [prompts.names.index(name) for name in wanted]] = examples.targets
    return replace(examples, classes=prompts.names, targets=targets)


def _counts(out: Location, bundle: Bundle) -> Counts:
    counts: Counts = {"model_id": bundle.model_id, "classes": len(bundle.classes), "out": str(out)}
    level = bundle.metrics["test"].get("artwork")
    if level:
        counts |= {"n": level["n"], **{name: metric(level, name) for name in ("accuracy", "balanced_accuracy")}}
    if "mix" in bundle.metrics:
        counts["weight"] = bundle.metrics["mix"]["weight"]
    return counts
