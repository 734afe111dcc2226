"""A trained model put together as a bundle, which labelling, evaluation pages and people read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from typing import Any

import pyarrow as pa

from artray.bundles.classifier import Bundle, BundleClass, save_bundle
from artray.bundles.keras_files import keras_file, versions
from artray.bundles.novelty import Novelty, novelty_bytes
from artray.bundles.thresholds import abstention_of
from artray.catalogs.vocabularies import read_vocabulary
from artray.classifiers.config import TrainConfig
from artray.classifiers.examples import Examples
from artray.engine.sparsity import sparsity_of
from artray.images.decoding import DECODE_VERSION
from artray.ingest.splits import PARTS
from artray.storage import Location, digest
from artray.vocabulary import Vocabulary, load_vocabulary, vocabularies


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
        novelty: What tells works of none of the classes, where it is known.
    """
    sparsity = {"sparsity": sparsity_of(model)} if config.pruning else {}
    data = keras_file(model)
    arrays = None if novelty is None else novelty_bytes(novelty)
    weights = digest(*(weight.tobytes() for weight in model.get_weights()), str(temperature).encode())
    ids = [f"{row['object_id']}\0{row['part']}" for row in examples.table.to_pylist()]
    # An evaluation of before doesn't say it.
    abstain = evaluation["abstain"] if "abstain" in evaluation else abstention_of(predictions, config.precision_target)
    bundle = Bundle(
        model_id=f"{config.task}-{weights[:12]}",
        task=config.task,
        target=config.target,
        classes=[
            BundleClass(name=name, uri=concept(config.target, name, config.vocabulary)) for name in examples.classes
        ],
        input=examples.input,
        decode_version=DECODE_VERSION,
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
        versions=versions(),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    save_bundle(out, bundle, data, evaluation=evaluation, predictions=predictions, history=history, novelty=arrays)
    return bundle


def concept(target: str, label: str, vocabulary: str | None = None) -> str | None:
    """The URI of a label's concept, or None.

    Args:
        target: The catalogue column, by which a vocabulary may be called.
        label: A class.
        vocabulary: The name or file of the one that counts, if it is another.

    Raises:
        InputError: There is no such vocabulary.
    """
    known = _vocabulary(target, vocabulary)
    return None if known is None else known.uri(known.find(label) or "")


@cache
def _vocabulary(target: str, name: str | None) -> Vocabulary | None:
    if name is not None:
        return read_vocabulary(name)
    return load_vocabulary(target) if target in vocabularies() else None
