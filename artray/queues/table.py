"""All queues of a collection as one table, a row a work and task: the places that a work has in them, from 1 on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from artray.bundles.novelty import LIMIT
from artray.catalogs.corrections import Corrections, has_correction
from artray.catalogs.targets import encode_targets
from artray.labeling.contract import Models
from artray.queues.confident_learning import likely_wrong
from artray.queues.contradictions import different_twins, disagreements
from artray.queues.unseen import unseen_scores
from artray.queues.usefulness import margins, most_useful
from artray.storage import stack_lists

Floats = npt.NDArray[np.floating[Any]]
Indices = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

QUEUES = ("uncertain", "differs", "disagree", "useful", "duplicates", "novel")
SCHEMA = pa.schema(
    [
        pa.field("object_id", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("learned_from", pa.bool_()),
        pa.field("catalogue", pa.string()),  # the catalogue's label
        pa.field("catalogue_score", pa.float32()),  # of it, by a model that has not seen the work's group
        pa.field("unseen_label", pa.string()),  # what that model says
        pa.field("unseen_score", pa.float32()),
        *(pa.field(name, pa.int32()) for name in QUEUES),
        pa.field("duplicate_of", pa.string()),  # a work that looks the same, and has another label in the catalogue
    ]
)
"""Places in the queues are null where a work is not in them; two tasks' queues are counted apart."""

_LEAST = 20  # labelled works, of two classes: fewer tell nothing about each other
_BATCH = 4096
_EMBEDDING = "embedding"


@dataclass(frozen=True)
class Alike:
    """Which works look alike.

    Attributes:
        object_ids: n works.
        nearest: (n, k) those most like each, as places in `object_ids`.
        similarity: (n, k) the cosine to each of them.
    """

    object_ids: Sequence[str]
    nearest: npt.NDArray[np.integer[Any]]
    similarity: Floats


def make_queues(
    labels: pa.Table,
    features: pads.Dataset | None = None,
    *,
    models: Models | None = None,
    reviewed: Corrections | None = None,
    alike: Alike | None = None,
) -> pa.Table:
    """The queues of a collection.

    Args:
        labels: Rows under the labels' contract with `task`; each object_id once a task.
        features: The feature table of the same works: embeddings, groups and the catalogue's labels; without it only
            `uncertain`, `disagree` and `novel` are known.
        models: What the labels say of their models: from which column of the catalogue each has learned; default: the
            one called like its task.
        reviewed: What curators have said: these works have no place any more, nor have those of which the feature table
            says so, in the columns that ingest has written.
        alike: Which works look alike, for near-duplicates.

    Returns:
        Rows of `SCHEMA`, of works that have a place or a label in the catalogue.
    """
    models, reviewed = models or Models(), reviewed or Corrections({})
    tasks = sorted(pc.unique(labels["task"]).to_pylist())
    task_of = {task: _Task(labels.filter(pc.equal(labels["task"], task)), task, models) for task in tasks}
    for task in task_of.values():
        task.leave(has_correction(task.ids, reviewed, task.task))
        task.leave(pc.is_in(task.ids, value_set=_looked_at(features, task.target)))
        task.rank_uncertain()
        task.rank_novel()
    _disagree(list(task_of.values()))
    if features is not None:
        works = _Works(features, {task.target for task in task_of.values()}, pc.unique(labels["object_id"]))
        for task in task_of.values():
            _catalogue(task, works, alike)
    return pa.concat_tables([SCHEMA.empty_table(), *(task.table() for task in task_of.values())])


def ranked(queues: pa.Table, queue: str, task: str) -> list[str]:
    """The works of a queue, the first to look at first."""
    queued = queues.filter(pc.and_(pc.equal(queues["task"], task), pc.is_valid(queues[queue])))
    ids: list[str] = queued.sort_by(queue)["object_id"].to_pylist()
    return ids


class _Task:
    """A task's rows, and what is found out of them.

    Attributes:
        ids: (n,) the works.
        target: The column of the catalogue that this task is about.
        checked: (n,) works that a curator has looked at.
        fresh: (n,) works with a label that nobody has looked at, and that the model has not learned from.
    """

    def __init__(self, rows: pa.Table, task: str, models: Models):
        self.task = task
        self.ids: pa.Array = rows["object_id"].combine_chunks()
        model_ids = pc.unique(rows["model_id"]).to_pylist()
        named = [models.targets[name] for name in model_ids if name in models.targets]
        self.target = named[0] if named else task
        self.label: pa.Array = rows["label"].combine_chunks()
        self.score = np.asarray(pc.fill_null(rows["score"], 0.0), np.float64)
        self.checked = np.zeros(len(rows), bool)
        learned = rows["learned_from"] if "learned_from" in rows.column_names else pa.nulls(len(rows), pa.bool_())
        self.learned = np.asarray(pc.fill_null(learned, False))
        self.fresh = np.asarray(pc.is_valid(self.label)) & ~self.learned
        other = pc.any(pc.not_equal(pc.list_value_length(rows["labels"]), 1)).as_py()
        novelty = rows["novelty"] if "novelty" in rows.column_names else pa.nulls(len(rows), pa.float32())
        self.novelty = np.asarray(pc.fill_null(novelty, 0.0), np.float32)
        self.margin = _margins(rows["scores"], bool(other) or not models.multilabel.isdisjoint(model_ids))
        self.columns: dict[str, pa.Array] = {"learned_from": _one_chunk(learned)}

    def leave(self, checked: Any) -> None:
        """Leave out works that a curator has looked at."""
        self.checked |= np.asarray(checked, bool)
        self.fresh &= ~self.checked

    def rank_uncertain(self) -> None:
        """The queue `uncertain`."""
        fresh = np.flatnonzero(self.fresh)
        self.rank("uncertain", fresh[np.argsort(self.margin[fresh], kind="stable")])

    def rank_novel(self) -> None:
        """The queue `novel`."""
        novel = np.flatnonzero(self.fresh & (self.novelty >= np.float32(LIMIT)))
        self.rank("novel", novel[np.argsort(-self.novelty[novel], kind="stable")])

    def rank(self, queue: str, rows: Indices) -> None:
        """Give places in a queue to rows in this order."""
        rank = np.zeros(len(self.ids), np.int32)
        rank[rows] = np.arange(1, len(rows) + 1)
        self.columns[queue] = pa.array(rank, mask=rank == 0)

    def table(self) -> pa.Table:
        """Rows of `SCHEMA`."""
        n = len(self.ids)
        known = {"object_id": self.ids, "task": pa.repeat(self.task, n), **self.columns}
        table = pa.table({item.name: known.get(item.name, pa.nulls(n, item.type)) for item in SCHEMA}).cast(SCHEMA)
        told = [pc.is_valid(table[name]) for name in (*QUEUES, "catalogue")]
        some = told[0]
        for each in told[1:]:
            some = pc.or_(some, each)
        return table.filter(some)


class _Works:
    """The feature table's works that have labels.

    Attributes:
        ids: (n,) the works.
        vectors: (n, d) embeddings; None where there are none.
        there: (n,) works that have one.
    """

    def __init__(self, features: pads.Dataset, targets: set[str], ids: pa.Array):
        names = [name for name in ("group", *sorted(targets)) if name in features.schema.names]
        wanted = pads.field("object_id").isin(ids)
        self._table = table = features.to_table(columns=["object_id", *names], filter=wanted)
        self.ids = table["object_id"].combine_chunks()
        self.vectors: npt.NDArray[np.float32] | None = None
        self.there = np.zeros(len(table), bool)
        if _EMBEDDING in features.schema.names:
            for rows, vectors in self._embeddings(features, wanted):
                if self.vectors is None:
                    self.vectors = np.zeros((len(table), vectors.shape[1]), np.float32)
                self.vectors[rows], self.there[rows] = vectors, True

    def _embeddings(self, features: pads.Dataset, wanted: Any) -> Iterator[tuple[Indices, Floats]]:
        kept = wanted & pads.field(_EMBEDDING).is_valid()
        scanner = features.scanner(columns=["object_id", _EMBEDDING], filter=kept, batch_size=_BATCH, batch_readahead=2)
        for batch in scanner.to_batches():
            if len(batch):
                rows = pc.index_in(batch.column("object_id"), self.ids).to_numpy().astype(np.int64)
                yield rows, stack_lists(batch.column(_EMBEDDING), _EMBEDDING)

    def given(self, target: str) -> tuple[list[str], Indices] | None:
        """A column's labels, and (n,) each work's as a place among them, -1 where it has none or several."""
        if target not in self._table.column_names:
            return None
        targets = encode_targets(self._table[target], "one", target)
        codes = targets.main()
        codes[targets.counts != 1] = -1
        return targets.names, codes

    def groups(self, rows: Indices) -> list[str]:
        """What folds must not divide, of some works."""
        name = "group" if "group" in self._table.column_names else "object_id"
        return [text or "" for text in self._table[name].take(pa.array(rows)).to_pylist()]


def _looked_at(features: pads.Dataset | None, target: str) -> pa.Array:
    """The works that a curator has looked at, as ingest has written it."""
    name = f"{target}_decision"
    if features is None or not {name, f"{target}_reviewer"} <= set(features.schema.names):
        return pa.array([], pa.string())
    ids = features.to_table(columns=["object_id"], filter=pads.field(name).is_valid())["object_id"]
    return ids.combine_chunks().cast(pa.string())


def _catalogue(task: _Task, works: _Works, alike: Alike | None) -> None:
    """What needs the feature table."""
    work_rows = _indices(task.ids, works.ids)  # of each label's work in the feature table, -1: none
    has_vector = (work_rows >= 0) & works.there[work_rows]
    if works.vectors is not None and works.there.any():
        known = has_vector & (task.learned | task.checked)
        fresh = np.flatnonzero(has_vector & task.fresh)
        chosen = most_useful(task.margin[fresh], works.vectors[work_rows[fresh]], works.vectors[work_rows[known]])
        task.rank("useful", fresh[chosen])
    given = works.given(task.target)
    if given is None:
        return
    names, codes = given
    given_codes = np.where(work_rows >= 0, codes[work_rows], -1)
    task.columns["catalogue"] = _named(names, given_codes)
    if works.vectors is not None:
        _differs(task, works, names, given_codes, work_rows=work_rows)
    if alike is not None:
        at = _indices(pa.array(alike.object_ids, pa.string()), task.ids)  # of each of these the row of the task
        label = np.where(at >= 0, given_codes[at], -1)
        one, two = different_twins(label, np.asarray(alike.nearest, np.int64), alike.similarity)
        unchecked = ~task.checked[at[one]]
        one, two = one[unchecked], two[unchecked]
        task.rank("duplicates", at[one])
        others: list[str | None] = [None] * len(task.ids)
        for row, other in zip(at[one].tolist(), two.tolist(), strict=True):
            others[row] = alike.object_ids[other]
        task.columns["duplicate_of"] = pa.array(others, pa.string())


def _differs(task: _Task, works: _Works, names: Sequence[str], codes: Indices, *, work_rows: Indices) -> None:
    """The queue `differs`, by a classifier of the embeddings."""
    assert works.vectors is not None
    rows = np.flatnonzero((codes >= 0) & (work_rows >= 0) & works.there[work_rows])
    present, given = np.unique(codes[rows], return_inverse=True)
    if len(rows) < _LEAST or len(present) < 2:
        return
    scores = unseen_scores(works.vectors[work_rows[rows]], given, len(present), works.groups(work_rows[rows]))
    judged = np.flatnonzero(~np.isnan(scores[:, 0]))
    rows, given, scores = rows[judged], given[judged], scores[judged]
    wrong = likely_wrong(given, scores)
    task.rank("differs", rows[wrong][~task.checked[rows[wrong]]])
    best = scores.argmax(axis=1)
    of = np.full(len(task.ids), -1, np.int64)
    of[rows] = present[best]
    task.columns["unseen_label"] = _named(names, of)
    for name, number in (("unseen_score", best), ("catalogue_score", given)):
        values = np.full(len(task.ids), np.nan, np.float32)
        values[rows] = scores[np.arange(len(rows)), number]
        task.columns[name] = pa.array(values, pa.float32(), mask=np.isnan(values))


def _disagree(tasks: Sequence[_Task]) -> None:
    """The queue `disagree` of those tasks that ask the same."""
    asked: dict[str, list[_Task]] = {}
    for task in tasks:
        asked.setdefault(task.target, []).append(task)
    for group in asked.values():
        if len(group) < 2:
            continue
        ids = pc.unique(pa.chunked_array([task.ids for task in group]))
        names = pc.unique(pa.chunked_array([task.label for task in group])).drop_null()
        indices = [_indices(ids, task.ids) for task in group]
        labels = np.stack([_codes(task.label, names, at) for task, at in zip(group, indices, strict=True)], axis=1)
        scores = np.stack([task.score[at] for task, at in zip(group, indices, strict=True)], axis=1)
        order = disagreements(labels, scores)
        for task, at in zip(group, indices, strict=True):
            rows = at[order]
            rows = rows[rows >= 0]
            task.rank("disagree", rows[task.fresh[rows]])


def _codes(labels: pa.Array, names: pa.Array, at: Indices) -> Indices:
    codes = np.asarray(pc.fill_null(pc.index_in(labels, names), -1), np.int64)
    return np.where(at >= 0, codes[at], -1)


def _indices(of: pa.Array, among: pa.Array) -> Indices:
    """Where each id stands among others; -1: nowhere."""
    return np.asarray(pc.fill_null(pc.index_in(of, value_set=among), -1), np.int64)


def _named(names: Sequence[str], codes: Indices) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(codes, mask=codes < 0))


def _one_chunk(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _margins(scores: pa.ChunkedArray, several: bool) -> Floats:
    """How sure each work's label is, (n,) 0..1; 1 where there are no scores.

    Args:
        scores: Maps from class to score.
        several: Whether a work may have several labels: then each is sure that is far from one half.
    """
    found: list[Floats] = [np.zeros(0)]
    for chunk in scores.chunks:
        offsets = np.asarray(chunk.offsets, np.int64)
        lengths = np.where(np.asarray(pc.is_valid(chunk)), np.diff(offsets), 0)
        values = np.asarray(chunk.items, np.float64)
        sure = np.ones(len(chunk))
        for width in np.unique(lengths[lengths > 0]).tolist():  # one model's classes are as many in all rows
            rows = np.flatnonzero(lengths == width)
            table = values[offsets[:-1][rows, None] + np.arange(width)]
            if several:
                sure[rows] = np.abs(2 * table - 1).min(axis=1)
            elif width > 1:
                sure[rows] = margins(table)
        found.append(sure)
    return np.concatenate(found)
