"""The methods paragraph and the data statement, filled from bundles and manifest.

What neither knows (who labelled the works, and whose the pictures are) is asked for in square brackets, not made up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from artray.bundles.classifier import read_predictions
from artray.bundles.inputs import FeatureInput, PatchInput, PictureInput
from artray.classifiers.out_of_fold import STATISTICS
from artray.comparison.paper.texts import listed
from artray.comparison.results import Results
from artray.comparison.subjects import Subject
from artray.comparison.words import few_groups, unseen_text
from artray.errors import count_of
from artray.features.embedding import Embedding
from artray.features.specs import columns_of
from artray.models import DEFAULT_BACKBONE, EMBEDDED
from artray.storage import Location

_CLASSIFIERS = {
    "lda": "a linear discriminant analysis [@fisher] whose covariance is shrunk [@ledoit-wolf]",
    "logistic": "a logistic regression, fitted by L-BFGS [@lbfgs]",
    "linear_mean": "the mean of a linear discriminant analysis [@fisher] with shrunk covariance [@ledoit-wolf]{middle} "
    "and a logistic regression",
    "linear_head": "a linear layer with softmax",
}
_MIDDLE = " of all features, one of the style statistics of the network's middle blocks,"
_SOLVED = ("lda", "logistic", "linear_mean")
_COLUMNS = {
    "embedding": "the embedding of {backbone}",
    "style_statistics": "means and deviations of the channels of {backbone}, as they tell styles [@gatys]",
    "brightness": "brightness and contrast",
    "texture": "texture statistics",
    "palette_hsv": "a palette of the most frequent colours",
    "palette_rgb": "a palette of the most frequent colours",
}


def split_of(manifest: Location | None) -> dict[str, Any]:
    """By which options a manifest's split was dealt; empty where that isn't known."""
    if manifest is None:
        return {}
    metadata = manifest.dataset().schema.metadata or {}
    try:
        told = json.loads(metadata.get(b"artray.split", b"{}"))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def methods(told: Results, split: Mapping[str, Any]) -> list[str]:
    """The methods, a paragraph each, with citations (see `texts`)."""
    return [_data(told, split), " ".join(_model(subject) for subject in told.works.subjects), _evaluation(told)]


def _checked(data: Mapping[str, Any]) -> str:
    """How many labels people have checked, where some have."""
    reviewed = data.get("reviewed")
    if not reviewed:
        return ""
    people = f" by {count_of(reviewed['people'], 'person', 'people')}" if reviewed["people"] else ""
    return f"; those of {count_of(reviewed['works'], 'work')} were checked{people}"


def _data(told: Results, split: Mapping[str, Any]) -> str:
    first = told.works.subjects[0]
    data = first.bundle.data
    counts = [(part, int(data.get(part, 0))) for part in ("train", "validation", "test")]
    total = sum(number for _, number in counts)
    counted = [f"{number:,} for {_PARTS[part]}" for part, number in counts]
    sentences = [
        f"The task was {first.bundle.task}: {len(first.classes)} classes ({listed(first.classes)}), given by "
        f"{total:,} labelled works"
        + (" of which each may have several." if first.bundle.multilabel else ", one class each."),
        f"They were divided into {listed(counted)}{_kept_together(split, told)}.",
    ]
    left_out = [f"{reason} {number:,}" for reason, number in data.get("dropped", {}).items() if number]
    if left_out:
        sentences.append(f"Left out were, by reason: {listed(left_out)}.")
    if split.get("--near-duplicates") == "on":
        sentences.append("Near-duplicate pictures, found by perceptual hashes, were kept on one side of the split.")
    return " ".join(sentences)


_PARTS = {"train": "training", "validation": "validation", "test": "testing"}


def _kept_together(split: Mapping[str, Any], told: Results) -> str:
    by = split.get("--split-by") or split.get("columns")
    if by:
        names = [str(name) for name in (by if isinstance(by, list) else [by])]
        return f", so that no value of {listed(names)} is on both sides (seed {split.get('--seed', 0)})"
    return ", works that belong together on one side" if told.works.grouped else ""


def _model(subject: Subject) -> str:
    config, given = subject.bundle.config, subject.bundle.input
    name = str(config.get("model", {}).get("name", "unknown"))
    what = _CLASSIFIERS.get(name, f"the classifier {name} of artray")
    if name == "linear_mean":
        has_middle = isinstance(given, FeatureInput) and any(name.endswith(STATISTICS) for name in given.columns)
        what = what.format(middle=_MIDDLE if has_middle else "")
    sentences = [f"Model {subject.name} is {what}. It sees {_input(given)}."]
    if name in _SOLVED:
        sentences.append(
            "Its regularisation, the temperature of its scores [@guo] and the threshold of certain labels were chosen "
            "by five folds of the works that were learned from, no group divided."
        )
    else:
        optimizer = dict(config.get("optimizer", {}))
        cited = " [@adam]" if optimizer.get("name") == "adam" else ""
        sentences.append(
            f"It was trained by {str(optimizer.get('name', 'steps')).capitalize()}{cited} with a learning rate of "
            f"{optimizer.get('learning_rate', 'unknown')} in batches of {config.get('batch_size')} for "
            f"{config.get('epochs')} epochs (seed {config.get('seed', 0)}), the best epoch chosen on the validation "
            "part; its scores were calibrated by temperature scaling there [@guo]."
        )
    settings = {key: value for key, value in config.get("model", {}).items() if key != "name"}
    if settings:
        sentences.append(f"Its settings: {', '.join(f'{key} {value}' for key, value in settings.items())}.")
    weights = config.get("class_weights")
    if weights == "balanced" and name != "lda":
        sentences.append("Each class counted alike in training.")
    if config.get("decision") == "balanced":
        sentences.append(
            "The label given is that whose score is the largest multiple of its share of the training works."
        )
    folds = subject.bundle.metrics.get("fold_ensemble")
    if folds:
        sentences.append(f"The model is the mean of {folds} such models, each trained without one fold.")
    return " ".join(sentences)


def _input(given: Any) -> str:
    if isinstance(given, FeatureInput):
        return listed(list(dict.fromkeys(_column(name, given.features) for name in given.columns)))
    if isinstance(given, PatchInput):
        return f"{given.per_image} random squares of each picture, {given.model_size} pixels wide"
    if isinstance(given, PictureInput):
        return f"pictures of {given.size} × {given.size} pixels"
    return "its input"


def _column(name: str, features: Sequence[Mapping[str, Any]]) -> str:
    """A column of features in words."""
    for spec in features:
        if spec.get("name") == Embedding.name and name in columns_of(spec):
            kind = f"style{STATISTICS}" if name.endswith(STATISTICS) else Embedding.column
            return _COLUMNS[kind].format(backbone=_backbone(spec))
    return _COLUMNS.get(name, name).format(backbone="a network")


def _backbone(spec: Mapping[str, Any]) -> str:
    """An embedding's network, and what it has learned from as far as that is known: of files and presets it isn't."""
    name = str(spec.get("backbone", DEFAULT_BACKBONE))
    is_application = name.isalnum() and name[0].isupper()  # ResNet50V2
    if name not in EMBEDDED and not is_application:
        return f"the network {PurePath(name).name} [what it is, and what it has learned from]"
    title = name.replace("efficientnet-lite", "EfficientNet-Lite")
    cited = " [@efficientnet]" if name.startswith("efficientnet") else ""
    weights = spec.get("weights", "imagenet")
    if weights == "imagenet":
        return f"{title}{cited}, pretrained on ImageNet [@imagenet]"
    return f"{title}{cited}, " + ("with random weights" if weights is None else "[what it has learned from]")


def _evaluation(told: Results) -> str:
    works = told.works
    sentences = [
        f"All figures are of {len(works):,} works {unseen_text(works.part)}"
        + (f"; they fall into {told.groups:,} groups." if works.grouped else "."),
        f"Intervals are 95 % percentile intervals of {told.resamples:,} bootstrap resamples [@efron]"
        + (
            " in which whole groups are drawn [@davison], so that they hold for new groups"
            if works.grouped
            else " of works"
        )
        + (", the same resamples for all models." if told.pairs else "."),
    ]
    if note := few_groups(told):
        sentences.append(note)
    if told.pairs:
        sentences.append(
            "Models were compared by McNemar's exact test [@mcnemar]"
            + (
                " and, since works of a group are not independent, by a permutation test that swaps the two models' "
                "answers for whole groups [@good]"
                if works.grouped
                else ""
            )
            + (
                f"; p values of the {len(told.pairs)} pairs were corrected by Holm's method [@holm]."
                if len(told.pairs) > 1
                else "."
            )
        )
    blocks = any(model.chance.blocks is not None for model in told.models)
    sentences.append(
        "That a model knows more than chance was tested by permuting the true labels [@ojala], of works"
        + (" and of whole groups" if blocks else "")
        + f" (seed {told.seed})."
    )
    sentences.append(f"Everything was computed with {_versions(works.subjects)}.")
    return " ".join(sentences)


def _versions(subjects: Sequence[Subject]) -> str:
    versions = subjects[0].bundle.versions
    known = [("artray", "artray", "artray"), ("keras", "Keras", "keras"), ("tensorflow", "TensorFlow", "tensorflow")]
    told = [f"{title} {versions[name]} [@{key}]" for name, title, key in known if name in versions]
    return listed([*told, "Ray [@ray]"])


def data_statement(told: Results, split: Mapping[str, Any]) -> list[str]:
    """What the data are, a paragraph each; brackets where the author has to say it."""
    first = told.works.subjects[0]
    rows = read_predictions(first.location)
    of_class: Counter[str] = Counter()
    for label in rows["true"].to_pylist():
        of_class.update(label if isinstance(label, list) else [label])
    groups = len(set(rows["group"].to_pylist())) if "group" in rows.column_names else None
    data = first.bundle.data
    counted = listed([f"{name} {number:,}" for name, number in of_class.most_common()])
    paragraphs = [
        f"Works. There are {len(rows):,} labelled works"
        + (f" of {groups:,} groups (artists, or whatever the split kept together)" if groups else "")
        + f": {counted}. {int(data.get('train', 0)):,} works were for training, {int(data.get('validation', 0)):,} for "
        f"validation, {int(data.get('test', 0)):,} for testing.",
        f"Labels. They are those of the catalogue's column {first.bundle.target!r}{_checked(data)}. [Who gave them, "
        "when, by which rules, and how far two people agree.]",
        "Pictures. [Where they come from, how they were digitised, and under which licence they are used.]",
        "What is missing. "
        + (
            "Left out were "
            + listed([f"{number:,} works ({reason})" for reason, number in data.get("dropped", {}).items() if number])
            + ". "
            if any(data.get("dropped", {}).values())
            else ""
        )
        + "[Which works, artists or periods the collection lacks, and why.]",
    ]
    options = {name[2:]: value for name, value in split.items() if name.startswith("--") and value is not None}
    dealt = (
        f"The split was dealt by ingest with {_as_text(options)}" if options else "How the split was dealt is not known"
    )
    paragraphs.append(f"To make it again. {dealt}; the examples' fingerprint is {data.get('fingerprint', 'unknown')}.")
    return paragraphs


def _as_text(options: Mapping[str, Any]) -> str:
    """Options as a sentence has them: `seed 0, split (test 0.2, train 0.8), split-by artist`."""
    told = []
    for name, value in sorted(options.items()):
        if isinstance(value, Mapping):
            value = f"({_as_text(value)})"
        elif isinstance(value, list):
            value = listed([str(each) for each in value])
        told.append(f"{name} {value}")
    return ", ".join(told)
