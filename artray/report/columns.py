"""What finding and sorting need of all works, column by column and in little memory; JSON written piece by piece."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.novelty import LIMIT
from artray.errors import InputError
from artray.labeling.contract import Models
from artray.report.image_services import image_service, origin
from artray.report.works import SCORE_DECIMALS, Label, Work, rounded

SEARCHED = 200
STRIP_COLOURS = 5
# What a card shows comes first, whatever the catalogue's order.
LEADING_FIELDS = ("title", "artist", "date")

_PIECE = 4096  # values of a column that are Python's at one time
_NOVEL = float(np.float32(LIMIT))  # as the labels hold it
_NONE = -(2**31)


class Texts:
    """A column of texts, or None."""

    def __init__(self, texts: int = 0) -> None:
        self._chunks: list[pa.Array] = [pa.array([""] * texts, pa.string())]
        self._last: list[str | None] = []

    def add(self, text: str | None) -> None:
        """One more."""
        self._last.append(text)
        if len(self._last) == _PIECE:
            self._flush()

    def _flush(self) -> pa.ChunkedArray:
        if self._last:
            self._chunks.append(pa.array(self._last, pa.string()))
            self._last = []
        return pa.chunked_array(self._chunks, pa.string())

    def whole(self) -> pa.Array:
        """The values."""
        return self._flush().combine_chunks()

    def pieces(self) -> Iterator[list[Any]]:
        """The values, some at a time."""
        return _pieces(self._flush())

    def shared(self) -> dict[str, Any]:
        """The column as `collection.js` has it: where works share their texts, each text once."""
        texts = self._flush()
        different = pc.unique(texts)
        if 2 * len(different) > len(texts):
            return {"values": self}
        return {"values": different.to_pylist(), "places": Numbers(pc.index_in(texts, different))}


class Numbers:
    """A column of whole numbers, or None."""

    def __init__(self, numbers: pa.Array | pa.ChunkedArray):
        self._numbers = numbers

    @classmethod
    def of(cls, numbers: array[int]) -> Numbers:
        """Of numbers of which `_NONE` is none."""
        values = np.array(numbers, np.int32)
        return cls(pa.array(values, mask=values == _NONE))

    def pieces(self) -> Iterator[list[Any]]:
        """The values, some at a time."""
        return _pieces(self._numbers)


def _pieces(values: pa.Array | pa.ChunkedArray) -> Iterator[list[Any]]:
    for start in range(0, len(values), _PIECE):
        yield values.slice(start, _PIECE).to_pylist()


class Said:
    """For each work place and score of every label that is said, flat; None of works without."""

    def __init__(self, counts: array[int], names: array[int], scores: array[int]):
        self._counts, self._names, self._scores = counts, names, scores

    def pieces(self) -> Iterator[list[Any]]:
        """The values, some at a time."""
        at = 0
        for start in range(0, len(self._counts), _PIECE):
            piece: list[list[int | None] | None] = []
            for count in self._counts[start : start + _PIECE]:
                if count == _NONE:
                    piece.append(None)
                    continue
                pairs = zip(self._names[at : at + count], self._scores[at : at + count], strict=True)
                piece.append([None if number == _NONE else number for pair in pairs for number in pair])
                at += count
            yield piece


Column = (Texts, Numbers, Said)


def written(value: object) -> Iterator[str]:
    """JSON as `json.dumps` writes it without spaces, of dictionaries and lists that hold columns, piece by piece."""
    if isinstance(value, Column):
        yield "["
        for number, piece in enumerate(value.pieces()):
            yield ("," if number else "") + as_json(piece)[1:-1]
        yield "]"
    elif isinstance(value, Mapping):
        for number, (key, item) in enumerate(value.items()):
            yield ("," if number else "{") + as_json(key) + ":"
            yield from written(item)
        yield "}" if value else "{}"
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for number, item in enumerate(value):
            yield "," if number else "["
            yield from written(item)
        yield "]"
    else:
        yield as_json(value)


def as_json(value: object) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


class Gathered:
    """Columns of all works, each work looked at once, in the order of the page.

    Args:
        models: What is known of the models.
        evaluations: As the page shows them.

    Attributes:
        origins: Of the IIIF image services that records name.
    """

    def __init__(self, models: Models, evaluations: Sequence[Mapping[str, Any]]):
        self.count = 0
        self.ids, self.files, self.status, self.thumbnails, self.zooms, self.palettes = (Texts() for _ in range(6))
        self.has_zooms = False
        self.origins: set[str] = set()
        self._fields = _Fields()
        self._models, self._evaluations = models, evaluations
        self._labels: dict[str, _TaskLabels] = {}
        self._multilabel = {evaluation["task"] for evaluation in evaluations if evaluation["multilabel"]}

    def add(self, work: Work) -> None:
        """One more work."""
        self.ids.add(work.object_id)
        self.files.add(work.image_uri.rpartition("/")[2])
        self.status.add(work.status)
        self.thumbnails.add(relative_url(work.thumbnail))
        self.zooms.add(relative_url(work.zoom))
        self.has_zooms |= work.zoom is not None
        self.palettes.add(_strip(work.palette))
        self._fields.add(work.record)
        if service := image_service(work.record):
            self.origins.add(origin(service) or "")
        for task, label in work.labels.items():
            if label.model_id in self._models.multilabel or list(label.said) != [label.label]:
                self._multilabel.add(task)
            if task not in self._labels:
                self._labels[task] = _TaskLabels(self._models)
            self._labels[task].add(self.count, label)
        self.count += 1

    def id_array(self) -> pa.Array:
        """The works' ids."""
        return self.ids.whole()

    def fields(self) -> list[str]:
        """The names of the fields, in their order."""
        return self._fields.names()

    def texts(self, name: str) -> dict[str, Any]:
        """A field's column."""
        return self._fields.texts(name).shared()

    def tasks(self) -> list[dict[str, Any]]:
        """Each task's classes, in the bundle's order where an evaluation tells it, else by name."""
        order: dict[str, dict[str, None]] = {}
        for evaluation in self._evaluations:
            order.setdefault(evaluation["task"], {}).update(dict.fromkeys(evaluation["classes"]))
        fields = self.fields()
        tasks = []
        for task, labels in sorted(self._labels.items()):
            classes = list({**order.get(task, {}), **dict.fromkeys(sorted(labels.uris))})
            targets = {self._models.targets.get(model) for model in labels.models}
            # Of labels of before nobody knows the column: a task is mostly called as its column is.
            target = next(iter(targets)) if len(targets) == 1 and None not in targets else None
            known = target or task
            tasks.append(
                {
                    "name": task,
                    "question": f"column {target}" if target else as_json(sorted(classes)) if classes else task,
                    "multilabel": task in self._multilabel,
                    "catalogue": fields.index(known) if known in fields else None,
                    "classes": [{"label": name, "uri": labels.uris.get(name)} for name in classes],
                    "models": [
                        {
                            "id": model,
                            # JSON has no infinity; no score reaches 2.
                            "threshold": rounded(min(self._models.thresholds.get(model, math.nan), 2), SCORE_DECIMALS),
                            "doubt": self._models.doubts.get(model),
                        }
                        for model in sorted(labels.models)
                    ],
                }
            )
        return tasks

    def labels(self, task: Mapping[str, Any], codes: Mapping[str, int]) -> dict[str, Any]:
        """A task's columns.

        Args:
            task: As from `tasks`.
            codes: Its classes' numbers.
        """
        return self._labels[task["name"]].columns(self.count, codes, task["multilabel"])


class _Fields:
    """The catalogue's fields: every one that some work has, with title, artist and date first.

    A field that says what one of these three says, in the museum's own word for it, is not shown twice.
    """

    def __init__(self) -> None:
        self._texts: dict[str, Texts] = {}
        self._count = 0
        self._first: dict[str, str] = {}  # of the leading: its first text
        self._varied: set[str] = set()  # the leading that have several
        self._known: set[str] = set()  # the leading that a work had so far
        self._differs: set[tuple[str, str]] = set()

    def add(self, record: Mapping[str, str]) -> None:
        for name in record:
            if name not in self._texts:
                self._texts[name] = Texts(self._count)
                self._differs |= {(name, first) for first in self._known}  # works before had one, and not the other
        for first in LEADING_FIELDS:
            text = record.get(first)
            if text and self._first.setdefault(first, text) != text:
                self._varied.add(first)
            if first in record:
                self._known.add(first)
            for name in self._texts:
                if (name, first) not in self._differs and record.get(name) != text:
                    self._differs.add((name, first))
        for name, texts in self._texts.items():
            texts.add(_cut(record.get(name, "")))
        self._count += 1

    def names(self) -> list[str]:
        # One value may be the same by chance.
        varied = [first for first in LEADING_FIELDS if first in self._varied]
        others = [
            name
            for name in self._texts
            if name not in LEADING_FIELDS and all((name, first) in self._differs for first in varied)
        ]
        return [*LEADING_FIELDS, *others]

    def texts(self, name: str) -> Texts:
        return self._texts.get(name) or Texts(self._count)


class _TaskLabels:
    """What is said of a task; of works that have no label of it nothing is kept but that.

    Attributes:
        uris: The classes, with their AAT URI where some label brought one.
        models: Their models' ids.
    """

    def __init__(self, models: Models):
        self._known = models
        self.uris: dict[str, str | None] = {}
        self.models: set[str] = set()
        self._number: dict[str, int] = {}
        self._label, self._score, self._uncertain, self._learned = (array("i") for _ in range(4))
        self._said = array("i"), array("i"), array("i")

    def add(self, row: int, label: Label) -> None:
        self._fill(row)
        concepts = self._known.concepts.get(label.model_id, {})
        for name in label.scores:
            self.uris.setdefault(name, None)
        for name in label.said:
            self.uris[name] = concepts.get(name) or self.uris.get(name)
        if label.label is not None:
            self.uris[label.label] = label.label_uri or self.uris.get(label.label)
        self.models.add(label.model_id)
        self._label.append(_NONE if label.label is None else self._numbered(label.label))
        self._score.append(_scaled(label.score))
        unsure = label.score is not None and label.score < self._known.thresholds.get(label.model_id, 0)
        novel = label.novelty is not None and label.novelty >= _NOVEL
        if label.score is not None and (unsure or novel or not label.said):
            self._uncertain.append(row)
        if label.learned_from:
            self._learned.append(row)
        counts, names, scores = self._said
        known = {label.label: label.score} | dict(label.scores)
        counts.append(len(label.said))
        for name in label.said:
            names.append(self._numbered(name))
            scores.append(_scaled(known.get(name)))

    def columns(self, count: int, codes: Mapping[str, int], multilabel: bool) -> dict[str, Any]:
        self._fill(count)
        code_of = [codes[name] for name in self._number]  # by our numbers
        counts, names, scores = self._said
        return {
            "label": Numbers.of(array("i", (number if number == _NONE else code_of[number] for number in self._label))),
            "score": Numbers.of(self._score),
            "uncertain": Numbers.of(self._uncertain),
            "learned": Numbers.of(self._learned),
            "said": Said(counts, array("i", (code_of[name] for name in names)), scores) if multilabel else None,
        }

    def _numbered(self, name: str) -> int:
        return self._number.setdefault(name, len(self._number))

    def _fill(self, count: int) -> None:
        """Works without a label of the task."""
        missing = array("i", [_NONE]) * (count - len(self._label))
        for numbers in (self._label, self._score, self._said[0]):
            numbers.extend(missing)


def _scaled(score: float | None) -> int:
    return _NONE if score is None or not math.isfinite(score) else round(score * 10**SCORE_DECIMALS)


def _cut(text: str) -> str:
    return text if len(text) <= SEARCHED else text[: SEARCHED - 1] + "…"


def _strip(palette: Sequence[tuple[tuple[int, int, int], float]]) -> str:
    return "".join(
        f"{red:02x}{green:02x}{blue:02x}{round(255 * share):02x}"
        for (red, green, blue), share in palette[:STRIP_COLOURS]
    )


def relative_url(path: str | None) -> str | None:
    """A path below the page's folder as an address.

    Raises:
        InputError: It is not below.
    """
    if path is None:
        return None
    names = PurePosixPath(path).parts
    if PurePosixPath(path).is_absolute() or ".." in names:
        raise InputError(f"{path!r} lies outside the page's folder")
    return quote("/".join(names))
