"""The labels as the exports read them: task by task, batch by batch, with what is certain enough to be said."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from artray.bundles.description import TASK
from artray.bundles.novelty import LIMIT
from artray.catalogs.annotation_pages import urn_of
from artray.catalogs.corrections import Corrections, placed, read_corrections
from artray.catalogs.statements import HISTORY, Statement, statements_of
from artray.catalogs.targets import separate
from artray.errors import InputError, count_of
from artray.labeling.contract import LABELS, LabelDataset, models_of, read_notes
from artray.labeling.exports.reviews import REVIEW, Reviews
from artray.labeling.published import read_labels
from artray.storage import Location
from artray.vocabulary import load_vocabulary, vocabularies

BATCH = 16_384
LABEL, UNCERTAIN = "label", "uncertain"
DECISION = pa.field("decision", pa.string())
"""`label`, or `uncertain` where the score is below the threshold, the work looks like none of the classes or nothing is
said; null where there is no label."""
SEPARATOR = "; "
"""Between several labels in one cell."""


@dataclass(frozen=True)
class Said:
    """One label of a work.

    Attributes:
        label: The class.
        uri: Its concept's, where one is known.
        score: Its score; None where a person has given a label that the model doesn't know.
    """

    label: str
    uri: str | None
    score: float | None


@dataclass(frozen=True)
class LabelledTask:
    """One task's labels.

    Attributes:
        name: The task.
        data: Its Parquet data set, under the labels' contract.
        thresholds: By model_id; a model that is not here has none, and all its labels are certain.
        threshold: Given by the user, for all models and classes.
        multilabel: A work may have several labels.
        concepts: The classes' URIs by model_id; labels of before have them only where a work may have several.
        equivalents: The URIs of the same concepts elsewhere, by model_id.
        doubts: By model_id, why nothing that a model says can be relied on: all its labels are uncertain, whatever the
            user's threshold.
        target: The column of the catalogue that it is about.
        reviews: What people said of its labels.
        only_accepted: Labels that nobody has accepted or given are left out.
    """

    name: str
    data: pads.Dataset
    thresholds: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None
    multilabel: bool = False
    concepts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    equivalents: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    doubts: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    reviews: Reviews | None = None
    only_accepted: bool = False

    def batches(self, columns: Sequence[str], size: int = BATCH) -> Iterator[pa.Table]:
        """Rows in their stored order, `size` at a time, with the columns `decision` and `REVIEW`."""
        needed = dict.fromkeys([*columns, "object_id", "label", "labels", "score", "model_id", "novelty"])
        again = self.multilabel and self.threshold is not None
        if again or self.only_accepted:
            needed |= dict.fromkeys(["scores", "label_uri"])
        wanted = [*columns, DECISION.name, *(item.name for item in REVIEW)]
        reviews = self.reviews or Reviews({}, multilabel=self.multilabel)
        for table in rebatched(self.data.to_batches(columns=list(needed), batch_size=size), size):
            if again:
                table = self._said_again(table)
            table = reviews.beside(table.append_column(DECISION, self.decisions(table)))
            if self.only_accepted:
                table = reviews.accepted(table, self.concept)
                said = pa.repeat(pa.scalar(LABEL), len(table))
                table = table.set_column(table.column_names.index(DECISION.name), DECISION, said)
            yield table.select(wanted)

    def several(self, cell: str) -> list[str]:
        """The labels that a person has given."""
        return list(separate(cell)) if self.multilabel else [cell]

    def elsewhere(self, label: str) -> tuple[str, ...]:
        """The URIs of a label's concept beside the one that labels have."""
        told = (tuple(uris[label]) for uris in self.equivalents.values() if uris.get(label))
        return next(told, ()) or _concepts(self.target, label)[1]

    def concept(self, label: str) -> str | None:
        """The URI of a label that a person has given."""
        told = (uris[label] for uris in self.concepts.values() if uris.get(label))
        return next(told, None) or _concepts(self.target, label)[0]

    def said(self, row: Mapping[str, Any]) -> list[Said]:
        """The labels of a row that has a `decision`; the most likely where none is sure enough to be said.

        Args:
            row: `label`, `label_uri`, `score`, and where there may be several labels also `labels`, `scores` and
                `model_id`.
        """
        best = Said(row["label"], row["label_uri"], row["score"])
        if not self.multilabel or not row["labels"]:
            return [best]
        uris, scores = self.concepts.get(row["model_id"], {}), dict(row["scores"])
        return [best if name == best.label else Said(name, uris.get(name), scores.get(name)) for name in row["labels"]]

    def _said_again(self, table: pa.Table) -> pa.Table:
        """The rows with those labels whose score reaches the user's threshold, the surest first."""
        least = np.float32(self.threshold)
        labels = [
            None
            if scores is None
            else [name for score, name in sorted(((-score, name) for name, score in scores)) if -score >= least]
            for scores in table["scores"].to_pylist()
        ]
        column = table.column_names.index("labels")
        return table.set_column(column, "labels", pa.array(labels, pa.list_(pa.string())))

    def decisions(self, table: pa.Table) -> pa.ChunkedArray:
        """`DECISION` of rows.

        Args:
            table: `label`, `labels`, `score`, `model_id` and `novelty`.
        """
        if self.threshold is not None:
            least: Any = pa.scalar(self.threshold, pa.float32())
        else:
            models = pc.unique(table["model_id"])
            known = pa.array([self.thresholds.get(name, -math.inf) for name in models.to_pylist()], pa.float32())
            least = known.take(pc.index_in(table["model_id"], models))
        # As float32 on both sides: a score that is written as 0.7 reaches a threshold of 0.7.
        sure = pc.fill_null(pc.greater_equal(table["score"], least), False)
        # A score is a share among the classes: it says nothing of a work that is of none of them.
        sure = pc.and_not(sure, pc.fill_null(pc.greater_equal(table["novelty"], pa.scalar(LIMIT, pa.float32())), False))
        if self.multilabel:
            sure = pc.and_(sure, pc.fill_null(pc.greater(pc.list_value_length(table["labels"]), 0), False))
        if self.doubts:
            sure = pc.and_not(sure, pc.is_in(table["model_id"], pa.array(list(self.doubts), pa.string())))
        decision = pc.if_else(sure, LABEL, UNCERTAIN)
        return pc.if_else(pc.is_valid(table["label"]), decision, pa.scalar(None, pa.string()))

    def rows(self) -> int:
        """How many rows there are."""
        return int(self.data.count_rows())


@cache
def _concepts(target: str, label: str) -> tuple[str | None, tuple[str, ...]]:
    """A label's URI in the vocabulary that is called like a column of the catalogue, and those elsewhere."""
    if target not in vocabularies():
        return None, ()
    vocabulary = load_vocabulary(target)
    name = vocabulary.find(label) or ""
    return vocabulary.uri(name), vocabulary.equivalents(name)


@dataclass(frozen=True)
class Source:
    """All that the exports are made of.

    Attributes:
        tasks: By name, sorted.
        features: The feature table, where there is one.
        base_uri: What URIs begin with.
        run: The labels' notes: versions, bundles, options.
        problems: What was left out of the corrections, in words.
    """

    tasks: Sequence[LabelledTask]
    features: pads.Dataset | None
    base_uri: str | None
    run: Mapping[str, Any]
    problems: Sequence[str] = ()

    def lines(self) -> list[str]:
        """What is uncertain and what people said, for a terminal."""
        lines = [f"corrections: {problem}" for problem in self.problems]
        lines += [_reviewed(task) for task in self.tasks if task.only_accepted or task.reviews]
        for task in self.tasks:
            if task.doubts:
                lines.append(
                    f"{task.name}: all labels of {', '.join(task.doubts)} are uncertain, no better than chance"
                )
                continue
            values = [task.threshold] if task.threshold is not None else sorted(task.thresholds.values())
            said = " or ".join("any score" if value == math.inf else f"a score of {value:.3f}" for value in values)
            unknown = f"no threshold is known, no label is uncertain (--threshold {task.name}=SCORE sets one)"
            if task.multilabel:
                unknown = "each class is said from its own score on; uncertain are works of which none is"
            lines.append(f"{task.name}: {f'uncertain below {said}' if values else unknown}")
        return lines

    def person(self, name: str | None) -> str:
        """The URI of somebody, known by name only."""
        return self.uri("person", name or "unknown")

    def uri(self, kind: str, name: str) -> str:
        """A URI for something that has none; the same for the same name."""
        if self.base_uri is None:
            return urn_of(kind, name)
        return f"{self.base_uri}/{kind}/{quote(name, safe='')}"

    def column(self, *words: str) -> str | None:
        """The features' text column that is called like one of the parts, or else has one in its name."""
        if self.features is None:
            return None
        texts = [item.name for item in self.features.schema if is_text(item.type)]
        named = ((name for name in texts if word == name.casefold()) for word in words)
        like = ((name for name in texts if word in name.casefold()) for word in words)
        return next((name for names in (*named, *like) for name in names), None)

    def lookup(self, column: str | None) -> Lookup | None:
        """A column of the features by object_id."""
        if self.features is None or column is None:
            return None
        table = self.features.to_table(columns=["object_id", column])
        return Lookup(table["object_id"].cast(pa.large_string()), table[column].cast(pa.large_string()))


@dataclass(frozen=True)
class Lookup:
    """A text by object_id, kept in Arrow's form: one string each, not one object."""

    ids: pa.ChunkedArray
    texts: pa.ChunkedArray

    def of(self, ids: pa.ChunkedArray) -> list[str | None]:
        """The texts of some objects, None where there is none."""
        indices = pc.index_in(ids.cast(pa.large_string()), value_set=self.ids)
        texts: list[str | None] = self.texts.take(indices).to_pylist()
        return texts


def read_source(
    labels: Location,
    features: Location | None = None,
    thresholds: Mapping[str, float] | None = None,
    base_uri: str | None = None,
    *,
    doubts: Mapping[str, str] | None = None,
    corrections: Sequence[Location] = (),
    only_accepted: bool = False,
) -> Source:
    """The labels in a folder.

    Args:
        labels: What label_catalog wrote, or its `task=NAME/` folders alone.
        features: A feature table of the same pictures.
        thresholds: By task, instead of the bundles' own.
        base_uri: See `Source.uri`.
        doubts: By model_id, why nothing that a model says can be relied on, beside what the labels say themselves.
        corrections: Files that say what people said of the labels; default: what the feature table says of it, in the
            columns that ingest has written.
        only_accepted: Leave out what nobody has accepted or given.

    Raises:
        InputError: There are no labels, or none of a task in `thresholds`.
    """
    whole = read_labels(labels)
    fragments: dict[str, list[Any]] = {}
    for fragment in whole.get_fragments():
        task = pads.get_partition_keys(fragment.partition_expression)["task"]
        fragments.setdefault(str(task), []).append(fragment)
    for name in fragments:
        if not re.fullmatch(TASK, name):  # files are called so
            raise InputError(f"{labels}: {name!r} is no task's name: it must be of a-z, 0-9, _ and -")
    unknown = sorted(set(thresholds or ()) - fragments.keys())
    if unknown:
        raise InputError(f"--threshold {unknown[0]}: there are no labels of that task, but of {', '.join(fragments)}")
    table = features.dataset() if features else None
    said = statements_about(corrections, whole, table)
    run: dict[str, Any] = {}
    tasks = []
    for name, files in sorted(fragments.items()):
        notes = [read_notes(file) for file in files]
        run |= notes[-1]
        known = models_of(notes).doubted(doubts or {})
        data = LabelDataset(files, LABELS, whole.format, whole.filesystem)
        models = sorted(_models(data))
        target = next((known.targets[model] for model in models if model in known.targets), name)
        multilabel = any(model in known.multilabel for model in models)
        said_of_task = said.said(name) if corrections else _written(table, target)
        tasks.append(
            LabelledTask(
                name,
                data,
                thresholds={model: known.thresholds[model] for model in models if model in known.thresholds},
                threshold=(thresholds or {}).get(name),
                multilabel=multilabel,
                concepts=known.concepts,
                equivalents=known.equivalents,
                doubts={model: known.doubts[model] for model in models if model in known.doubts},
                target=target,
                reviews=Reviews(said_of_task, multilabel=multilabel),
                only_accepted=only_accepted,
            )
        )
    return Source(tasks, table, base_uri, run, said.problems)


def statements_about(
    corrections: Sequence[Location], labels: pads.Dataset, features: pads.Dataset | None
) -> Corrections:
    """What people said of labels in some files; annotations find their works by their pictures or canvases.

    Raises:
        InputError: A file can't be read.
    """
    corrections_read = read_corrections(corrections) if corrections else Corrections({})
    if not corrections_read.unplaced:
        return corrections_read
    rows = labels.to_table(columns=["object_id", "image_uri", "task", "label"])
    tasks: dict[str, set[str]] = {}
    for each in rows.group_by(["task", "label"]).aggregate([]).to_pylist():
        tasks.setdefault(str(each["task"]), set()).update([each["label"]] if each["label"] else [])
    works = rows.select(["object_id", "image_uri"]).group_by("object_id").aggregate([("image_uri", "min")])
    works = works.rename_columns(["object_id", "image_uri"])
    if features is not None:
        names = [item.name for item in features.schema if is_text(item.type)]
        names = [name for name in names if any(word in name.casefold() for word in ("canvas", "iiif"))]
        table = features.to_table(columns=["object_id", *names])
        at = pc.index_in(works["object_id"], table["object_id"].combine_chunks())
        for name in names:
            works = works.append_column(name, table[name].take(at))
    return placed(corrections_read, works, tasks)


def _written(features: pads.Dataset | None, target: str) -> dict[str, Statement]:
    """What ingest has written of a column's history."""
    if features is None:
        return {}
    names = [target, *(f"{target}_{name}" for name in HISTORY)]
    if any(name not in features.schema.names for name in names):
        return {}
    reviewed = pads.field(names[-1]).is_valid()
    return dict(statements_of(features.to_table(columns=["object_id", *names], filter=reviewed), target))


def _reviewed(task: LabelledTask) -> str:
    """How many labels somebody has looked at; of how many works of the labels."""
    counted: Counter[str] = Counter()
    rows = 0
    for table in replace(task, only_accepted=False).batches(["object_id"]):
        rows += len(table)
        counted.update(each for each in table["review"].to_pylist() if each)
    told = f"{task.name}: {', '.join(f'{counted[name]:,} {name}' for name in ('accepted', 'corrected', 'rejected'))}"
    gone = len(task.reviews or ()) - counted.total()
    if gone:
        told += f", {gone:,} of works that are not here"
    if task.only_accepted:
        left = rows - counted["accepted"] - counted["corrected"]
        told += f"; left out: {count_of(left, 'label')} that nobody has accepted or given"
    return told


def _models(data: pads.Dataset) -> set[str]:
    found: set[str] = set()
    for batch in data.to_batches(columns=["model_id"]):
        found |= set(pc.unique(batch["model_id"]).to_pylist())
    return found


def side_by_side(tasks: Sequence[LabelledTask], columns: Sequence[str]) -> Iterator[list[pa.Table]]:
    """A table a task, again and again, whose rows are about the same objects; nulls where a task has no such row.

    Args:
        tasks: Each object once in each.
        columns: Of the contract, `object_id` among them.
    """
    if _same_objects(tasks):
        yield from map(list, zip(*(task.batches(columns) for task in tasks), strict=True))
        return
    # Tasks labelled at different times: some have objects that others have not, and their order may differ.
    wholes = [pa.concat_tables(task.batches(columns)) for task in tasks]
    ids = pc.unique(pa.chunked_array([chunk for whole in wholes for chunk in whole["object_id"].chunks]))
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH]
        yield [whole.take(pc.index_in(some, value_set=whole["object_id"])) for whole in wholes]


def _same_objects(tasks: Sequence[LabelledTask]) -> bool:
    """Whether all tasks have the same objects in the same order."""
    for tables in zip_longest(*(task.batches(["object_id"]) for task in tasks)):
        if any(table is None or not table["object_id"].equals(tables[0]["object_id"]) for table in tables):
            return False
    return True


def rebatched(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Batches as tables of exactly `size` rows, but for the last; none is empty."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        held.append(batch)
        rows += len(batch)
        while rows >= size:
            table = pa.Table.from_batches(held)
            yield table.slice(0, size)
            held, rows = table.slice(size).to_batches(), rows - size
    if rows:
        yield pa.Table.from_batches(held)


def iri(uri: str) -> str:
    """A picture's place as an IRI: paths of this machine become file://, and no character has to be guessed.

    >>> iri("s3://museum/scans/a b.jpg")
    's3://museum/scans/a%20b.jpg'
    >>> iri("/scans/ü.jpg")
    'file:///scans/%C3%BC.jpg'
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return Path(uri).as_uri() if Path(uri).is_absolute() else quote(uri)
    # An S3 key is any text; an address from the web is an address already.
    return f"{scheme}://{quote(rest, safe='/' if scheme == 's3' else '/:?#[]@!$&()*+,;=%~')}"


def utc(at: Any) -> str:
    """A time as XML Schema writes it."""
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z" if at.microsecond else f"{at:%Y-%m-%dT%H:%M:%S}Z"


def shortest(score: float) -> float:
    """A float32 read as a Python float, as the shortest number that stands for it: 0.1, not 0.10000000149011612."""
    return float(str(np.float32(score)))


def is_text(kind: pa.DataType) -> bool:
    """Whether a column is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
