"""A model card in Hugging Face's form for each model, and a CITATION.cff for what is published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import yaml

import artray
from artray.comparison.paper.tables import bounds, number
from artray.comparison.paper.texts import cited_plain
from artray.comparison.results import BY_GROUPS, BY_WORKS, Results
from artray.comparison.words import unseen_text
from artray.labeling.exports.dataset_card import plain


def model_card(told: Results, at: int, methods: Sequence[str], license: str | None) -> str:
    """A model's card: YAML that the hub reads, with its results, and text for people.

    Args:
        told: All results.
        at: Which model.
        methods: The methods' paragraphs.
        license: Of the model, by the hub's name for it.
    """
    model, subject = told.models[at], told.works.subjects[at]
    bundle = subject.bundle
    names = {"accuracy": "accuracy", "balanced_accuracy": "balanced_accuracy", "macro_f1": "f1"}
    metrics = [
        {"type": kind, "name": name.replace("_", " "), "value": model.figures[name].value, "verified": False}
        for name, kind in names.items()
    ]
    results = {
        "task": {"type": "image-classification"},
        "dataset": {"name": f"{bundle.task}: {len(told.works):,} works not learned from", "type": bundle.task},
        "metrics": metrics,
    }
    metadata: dict[str, Any] = {
        **({"license": license} if license else {}),
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["art", "museum", "artray"],
        "metrics": list(dict.fromkeys(names.values())),
        "model-index": [{"name": bundle.model_id, "results": [results]}],
    }
    head = yaml.safe_dump(metadata, allow_unicode=True, sort_keys=False)
    by = BY_GROUPS if told.works.grouped else BY_WORKS
    rows = [
        f"| {name.replace('_', ' ')} | {number(figure.value)} | {bounds(figure.intervals[by])} |"
        for name, figure in model.figures.items()
    ]
    classes = [
        f"| {plain(name)} | {figures['support']:,} | "
        f"{' | '.join(number(figures[key]) for key in ('precision', 'recall', 'f1'))} |"
        for name, figures in model.per_class.items()
    ]
    doubt = bundle.doubt
    sections = [
        f"# {plain(model.name)}",
        f"A classifier of a museum's pictures: {plain(bundle.task)}, {len(bundle.classes)} classes. "
        f"{'A work may have several. ' if bundle.multilabel else ''}Model `{bundle.model_id}`, file digest "
        f"`{bundle.model_sha}`, trained {bundle.created_at[:10]} with artray {bundle.versions.get('artray', '')}.",
        *([f"**{plain(doubt)}**"] if doubt else []),
        "## Uses",
        "To propose labels that curators look at: `artray label-catalog --model …` writes them with scores, and calls "
        "uncertain what the model can't be relied on for. It knows the classes below and no other: a work that is none "
        "of them gets one of them all the same, so look at the column `novelty` and at the scores. It was not made to "
        "decide on authenticity, value or anything about people.",
        "## How good it is",
        f"On {len(told.works):,} works {unseen_text(told.works.part)}, with 95 % intervals by drawing "
        f"{'whole groups' if told.works.grouped else 'works'} again:",
        "\n".join(["| figure | value | 95 % |", "| --- | ---: | --- |", *rows]),
        f"Always giving the same label would have an accuracy of {number(told.majority_share)}.",
        "\n".join(["| class | works | precision | recall | F1 |", "| --- | ---: | ---: | ---: | ---: |", *classes]),
        "## How it was made",
        *(plain(cited_plain(paragraph), None) for paragraph in methods),
        "## What it can't know",
        "It has learned from one collection's labels and pictures, and with them from what that collection has and "
        "lacks. Works of other periods, places or techniques, and photographs of another kind, will be labelled worse "
        "than the figures say.",
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(sections) + "\n"


def citation(task: str, title: str | None, authors: Sequence[str]) -> str:
    """A CITATION.cff of what is published, which cites artray; what it doesn't know stands in brackets.

    Args:
        task: What the models are about.
        title: Of the publication.
        authors: `Given Family` each.
    """
    people: list[dict[str, str]] = []
    for author in authors:
        given, _, family = author.strip().rpartition(" ")
        people.append({"family-names": family, "given-names": given} if given else {"name": family})
    told = {
        "cff-version": "1.2.0",
        "message": "If you use these models or figures, please cite them, and the software that made them.",
        "type": "dataset",
        "title": title or f"[Title]: classifiers of {task}",
        "authors": people or [{"name": "[Authors]"}],
        "date-released": date.today().isoformat(),
        "references": [
            {
                "type": "software",
                "title": "artray",
                "version": artray.__version__,
                "authors": [{"name": "The artray developers"}],
                "license": "Apache-2.0",
            }
        ],
    }
    return yaml.safe_dump(told, allow_unicode=True, sort_keys=False)
