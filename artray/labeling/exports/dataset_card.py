"""A Hugging Face data set card: YAML that the hub reads, and text for people."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import yaml

import artray
from artray.errors import count_of
from artray.job import Counts
from artray.labeling.exports.croissant import FIELDS
from artray.labeling.exports.dataset import TaskFile
from artray.labeling.exports.files import whole_file
from artray.labeling.exports.source import LabelledTask, Source

_SHOWN = 50
_LONGEST = 200
_SIZES = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M", 10_000_000: "1M<n<10M"}


def write_dataset_card(source: Source, dataset: Sequence[TaskFile], folder: Path, license: str | None) -> Counts:
    """Write `README.md` beside the data: one configuration a task.

    Args:
        source: The labels.
        dataset: Their files.
        folder: Where the files lie.
        license: Of the data set, by the hub's name for it.
    """
    rows = max((item.rows for item in dataset), default=0)
    metadata = {
        **({"license": license} if license else {}),
        "pretty_name": "Labels by artray",
        "task_categories": ["image-classification"],
        "tags": ["art", "museum", "croissant"],
        "size_categories": [next((name for limit, name in _SIZES.items() if rows < limit), "10M<n<100M")],
        "annotations_creators": ["machine-generated"],
        "configs": [
            {
                "config_name": item.task,
                "data_files": [{"split": "train", "path": item.file}],
                **({"default": True} if item is dataset[0] else {}),
            }
            for item in dataset
        ],
    }
    head = yaml.safe_dump(metadata, allow_unicode=True, sort_keys=False)
    path = folder / "README.md"
    with whole_file(path) as scratch:
        scratch.write_text(f"---\n{head}---\n\n{_text(source, dataset)}", encoding="utf-8")
    return {"file": str(path), "rows": sum(item.rows for item in dataset)}


def _text(source: Source, dataset: Sequence[TaskFile]) -> str:
    version = source.run.get("artray", artray.__version__)
    paragraphs = [
        "# Labels by artray",
        f"Labels of a museum's pictures, given by classifiers (artray {plain(str(version))}), not by people. "
        "Each configuration is one task, each row one picture; `split: train` means no more than that the hub wants "
        "a split's name. The pictures themselves are not part of this data set.",
        "## Columns",
        _table(["column", "meaning"], [[f"`{name}`", plain(meaning)] for name, (_, meaning) in FIELDS.items()]),
    ]
    for task, item in zip(source.tasks, dataset, strict=True):
        ranked = item.labels.most_common()
        paragraphs += [
            f"## {plain(item.task)}",
            f"{count_of(item.rows, 'picture')}: {item.labelled:,} labelled, {item.uncertain:,} uncertain"
            f"{_threshold(task)}, {item.unlabelled:,} that could not be read. "
            f"Models: {', '.join(map(plain, item.models))}.",
            *(f"**{plain(doubt)}**" for doubt in item.doubts),
            *(["A picture may have several labels here, or none."] if task.multilabel else []),
        ]
        if ranked:
            rows = [[plain(label), f"{count:,}"] for label, count in ranked[:_SHOWN]]
            paragraphs.append(_table(["label", "pictures"], rows))
        if len(ranked) > _SHOWN:
            paragraphs.append(f"… and {count_of(len(ranked) - _SHOWN, 'label')} more.")
    return "\n\n".join(paragraphs) + "\n"


def _threshold(task: LabelledTask) -> str:
    values = [task.threshold] if task.threshold is not None else list(task.thresholds.values())
    known = [f"{value:.3g}" for value in values if value != math.inf]
    return f" (score below {' or '.join(known)})" if known else ""


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(text: str, longest: int | None = _LONGEST) -> str:
    r"""Any text as text in Markdown: no markup, no HTML, no line breaks, and no mark that turns the line around.

    Args:
        text: Of a stranger's or of ours.
        longest: After so many characters it is cut; None: it isn't.

    >>> plain("<b>*x*</b> | y")
    '&lt;b&gt;\\*x\\*&lt;/b&gt; \\| y'
    """
    text = re.sub(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]", "", " ".join(text[:longest].split()))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", text)
