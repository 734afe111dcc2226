"""A trained model put together as a bundle, which labelling, evaluation pages and people read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from artray.bundles.classifier import Bundle, BundleClass, save_bundle
from artray.bundles.keras_files import keras_file, made_now
from artray.bundles.novelty import Novelty, novelty_bytes
from artray.bundles.thresholds import abstention_of
from artray.catalogs.vocabularies import read_vocabulary
from artray.classifiers.config import TrainConfig
from artray.classifiers.examples import Examples
from artray.engine.sparsity import sparsity_of
from artray.errors import count_of, first_of
from artray.ingest.splits import PARTS
from artray.storage import Location, digest
from artray.vocabulary import Class, fold, load_vocabulary, vocabularies

_SHOWN = 5


def write_bundle(
    out: Location,
    *,
    model: Any,
    temperature: float,
    config: TrainConfig,
    examples: Examples,
    source: str,
    evaluation: Mapping[str, Any],
    predictions: pa.Table,
    history: Sequence[Mapping[str, Any]],
    metrics: Mapping[str, Any],
    known: Mapping[str, Class] = MappingProxyType({}),
    novelty: Novelty | None = None,
) -> Bundle:
    """Write a model bundle; `bundle.json` comes last, so a folder that has it is whole.

    Args:
        out: Folder or s3:// prefix.
        model: A Keras model of ordinary variables, from inputs to scores (see `classifiers.calibrated`).
        temperature: What the logits were divided by.
        config: What was trained.
        examples: From what.
        source: Digest of the data set they were read from.
        evaluation: As from `evaluation.evaluation_of`.
        predictions: Likewise.
        history: The metrics of each epoch.
        metrics: For `bundle.json`, beside `test`, the evaluation's levels, `abstain` (see `thresholds`), and, of a
            pruned model, `sparsity` (see `sparsity_of`).
        known: Of the classes' concepts, as from `concepts`.
        novelty: What tells works of none of the classes, where it is known.
    """
    sparsity = {"sparsity": sparsity_of(model)} if config.pruning else {}
    data = keras_file(model)
    arrays = None if novelty is None else novelty_bytes(novelty)
    weights = digest(*(weight.tobytes() for weight in model.get_weights()), str(temperature).encode())
    ids = [f"{row['object_id']}\0{row['part']}" for row in examples.table.select(["object_id", "part"]).to_pylist()]
    # An evaluation of before doesn't say it.
    abstain = evaluation["abstain"] if "abstain" in evaluation else abstention_of(predictions, config.precision_target)
    bundle = Bundle(
        model_id=f"{config.task}-{weights[:12]}",
        task=config.task,
        target=config.target,
        classes=bundle_classes(examples.classes, known),
        input=examples.input,
        temperature=temperature,
        labels=config.labels,
        thresholds=evaluation.get("thresholds") or {},  # an evaluation of before has none
        decision=evaluation.get("decision") or "likely",
        shares=evaluation.get("shares") or {},
        novelty_sha=None if arrays is None else digest(arrays),
        model_sha=digest(data),
        data={
            "fingerprint": digest("\n".join(ids).encode(), examples.targets.tobytes()),
            **{part: len(examples.part(part)) for part in PARTS},
            "dropped": examples.dropped,
            **({"reviewed": dict(examples.reviewed)} if examples.reviewed else {}),
            "source": source,
        },
        config=json.loads(config.model_dump_json()),
        metrics={**metrics, **sparsity, "test": evaluation["levels"], "abstain": abstain},
        **made_now(),
    )
    save_bundle(out, bundle, data, evaluation=evaluation, predictions=predictions, history=history, novelty=arrays)
    return bundle


def concepts(target: str, labels: Sequence[str], vocabulary: str | None = None) -> dict[str, Class]:
    """What is known of labels' concepts; labels of which nothing is are left out.

    Args:
        target: The catalogue column, by which a vocabulary may be called.
        labels: The classes.
        vocabulary: The name or file of the one that counts, if it is another.

    Raises:
        InputError: There is no such vocabulary.
    """
    if vocabulary is None and target not in vocabularies():
        return {}
    known = load_vocabulary(target) if vocabulary is None else read_vocabulary(vocabulary)
    spellings, classes = known.spellings(), {each.name: each for each in known.classes}
    matched = {label: spellings.get(fold(label)) for label in labels}
    return {label: classes[name] for label, name in matched.items() if name is not None}


def source_with_vocabulary(source: str, vocabulary: str | None) -> str:
    """The digest of what a bundle is made from, as another thesaurus gives other labels.

    Args:
        source: The data's digest.
        vocabulary: The name or file of a vocabulary, where the config names one.

    Raises:
        InputError: There is no such vocabulary.
    """
    if vocabulary is None:
        return source
    return digest(source.encode(), repr(read_vocabulary(vocabulary).classes).encode())


def bundle_classes(labels: Sequence[str], known: Mapping[str, Class]) -> list[BundleClass]:
    """The classes of a bundle, with what `concepts` tells of them."""
    nothing = Class("")
    known_classes = [(label, known.get(label, nothing)) for label in labels]
    return [BundleClass(name=label, uri=each.uri, equivalents=each.equivalents) for label, each in known_classes]


def lacking_told(vocabulary: str | None, labels: Sequence[str], known: Mapping[str, Class]) -> str | None:
    """Which labels have no URI in the vocabulary asked for, for a terminal; None where each has one, or none was."""
    if vocabulary is None:
        return None
    lacking = [label for label in labels if label not in known or not known[label].uri]
    if not lacking:
        return None
    shown = first_of(lacking, _SHOWN)
    return f"{vocabulary}: has no URI for {len(lacking):,} of {count_of(len(labels), 'label')}: {shown}"
