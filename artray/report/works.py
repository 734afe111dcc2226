"""Works as the page shows them: the labels of each picture joined with its record, palette, objects and thumbnail."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.novelty import LIMIT
from artray.errors import InputError
from artray.labeling.contract import ADDED

PALETTE_COLOURS = 8
SCORE_DECIMALS = 4
LEAST_OBJECT = 0.01
"""Objects less sure than this are not on the page: a detector gives up to a hundred of them a picture."""

LABEL_COLUMNS = (
    "object_id",
    "image_uri",
    "task",
    "label",
    "label_uri",
    "score",
    "scores",
    "model_id",
    "status",
    "error",
)
# Text columns of the feature table that the manifest or a job wrote, not the museum.
MACHINE_COLUMNS = {"object_id", "image_uri", "version", "group", "split", "change", "status", "error"}
NUMBER_COLUMNS = ("palette_rgb", "palette_share", "brightness", "objects")
_BATCH = 1024  # works that are objects at one time


@dataclass(frozen=True, slots=True)
class Label:
    """What one model said about one work.

    Attributes:
        label: The class, or None where the model gave none.
        score: The label's calibrated score, 0..1.
        scores: The score of each class, 0..1.
        label_uri: The label's AAT id as a URI.
        model_id: The bundle that gave it.
        labels: All that are said, the surest first, where there may be several or none; None: `label` is.
        novelty: How little the work looks like any class, 0..1; None: nobody knows.
        learned_from: Whether the model was made with this work; None: nobody knows.
    """

    label: str | None
    score: float | None
    scores: Mapping[str, float] = field(default_factory=dict)
    label_uri: str | None = None
    model_id: str = ""
    labels: Sequence[str] | None = None
    novelty: float | None = None
    learned_from: bool | None = None

    @property
    def said(self) -> Sequence[str]:
        """The labels that are said."""
        if self.labels is not None:
            return self.labels
        return () if self.label is None else (self.label,)


@dataclass(frozen=True, slots=True)
class Work:
    """One picture of the collection with all that the page shows of it.

    Attributes:
        object_id: The museum's key.
        image_uri: Where the original lies.
        status: `ok`, or why the picture has no label (see `artray.images.decoding`).
        error: The reader's own words where the status is not `ok`.
        labels: The label of each task.
        record: The catalogue's fields as text, among them `title`, `artist` and `date` where the museum has them.
        palette: The dominant colours, most important first, each as ((red, green, blue) 0..255, share 0..1).
        brightness: Perceived brightness, 0..255 (system B2).
        objects: What a detector saw (system B5): (label, score 0..1, ymin, xmin, ymax, xmax in 0..1 of the picture).
        thumbnail: The thumbnail's path relative to the page, with forward slashes.
        zoom: Likewise that of a larger picture.
        maps: Likewise, by task, those of pictures that show what spoke for the label.
    """

    object_id: str
    image_uri: str
    status: str = "ok"
    error: str | None = None
    labels: Mapping[str, Label] = field(default_factory=dict)
    record: Mapping[str, str] = field(default_factory=dict)
    palette: Sequence[tuple[tuple[int, int, int], float]] = ()
    brightness: float | None = None
    objects: Sequence[tuple[str, float, float, float, float, float]] = ()
    thumbnail: str | None = None
    zoom: str | None = None
    maps: Mapping[str, str] = field(default_factory=dict)


class Works(Collection[Work]):
    """A collection's works by id, made of their tables as they are gone through: few of them are objects at one time.

    Args:
        labels: As for `assemble_works`, with a status and no task twice.
        features: Likewise, or None.
        thumbnails: Likewise.
        zooms: Likewise.
        learned: Likewise.
        maps: Likewise.
    """

    def __init__(
        self,
        labels: pa.Table,
        features: pa.Table | None,
        thumbnails: Mapping[str, str],
        zooms: Mapping[str, str],
        learned: Mapping[str, Collection[str]],
        *,
        maps: Mapping[str, Mapping[str, str]],
    ):
        self._labels = labels
        # Not taken as a whole: together columns may hold more than Arrow's lists can.
        self._batches = labels.to_batches()
        self._begins = np.cumsum([0, *(len(batch) for batch in self._batches)])
        self._order = pc.sort_indices(labels["object_id"]).to_numpy().astype(np.int64)
        counted = pc.value_counts(labels["object_id"].take(self._order))  # as they come: by id
        self._ids: pa.Array = counted.field("values")
        self._starts = np.concatenate([[0], np.cumsum(counted.field("counts").to_numpy())])
        self._thumbnails, self._zooms, self._learned, self._maps = thumbnails, zooms, learned, maps
        self._catalogue: list[str] = []
        self._features: pa.Table | None = None
        if features is not None:
            self._catalogue = record_columns(features.schema)
            numbers = [name for name in NUMBER_COLUMNS if name in features.column_names]
            indices = pc.index_in(self._ids, features["object_id"].combine_chunks())
            # A row a work; where the table has none, one without an object_id.
            self._features = features.select(["object_id", *self._catalogue, *numbers]).take(indices)

    def __len__(self) -> int:
        """How many works."""
        return len(self._ids)

    def __contains__(self, item: object) -> bool:
        """Whether this is one of the works."""
        return any(work == item for work in self)

    def __iter__(self) -> Iterator[Work]:
        """The works by id; as often as asked."""
        for start in range(0, len(self), _BATCH):
            end = min(start + _BATCH, len(self))
            first, last = int(self._starts[start]), int(self._starts[end])
            rows = self._rows(self._order[first:last])
            records = [{}] * (end - start) if self._features is None else self._records(start, end)
            for number, record in enumerate(records, start):
                yield self._work(rows[self._starts[number] - first : self._starts[number + 1] - first], record)

    @property
    def failed(self) -> int:
        """Of how many works a model could not use the picture."""
        return len(pc.unique(self._labels["object_id"].filter(pc.not_equal(self._labels["status"], "ok"))))

    def titles(self) -> dict[str, str]:
        """The titles of those works that have one, by id."""
        if self._features is None or "title" not in self._catalogue:
            return {}
        pairs = zip(self._ids.to_pylist(), self._features["title"].to_pylist(), strict=True)
        return {object_id: title for object_id, title in pairs if title}

    def _rows(self, numbers: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
        """Some rows of the labels, in this order."""
        batch_of = np.searchsorted(self._begins, numbers, side="right") - 1
        found: list[dict[str, Any]] = [{}] * len(numbers)
        for batch in np.unique(batch_of).tolist():
            there = np.flatnonzero(batch_of == batch)
            rows = self._batches[batch].take(pa.array(numbers[there] - self._begins[batch]))
            for number, row in zip(there.tolist(), rows.to_pylist(maps_as_pydicts="strict"), strict=True):
                found[number] = row
        return found

    def _records(self, start: int, end: int) -> list[dict[str, Any]]:
        """The keyword arguments of `Work` that the feature table knows."""
        assert self._features is not None
        records: list[dict[str, Any]] = []
        for row in self._features.slice(start, end - start).to_pylist(maps_as_pydicts="strict"):
            if row["object_id"] is None:
                records.append({})
                continue
            colours = zip(row.get("palette_rgb") or (), row.get("palette_share") or (), strict=True)
            records.append(
                {
                    "record": {name: row[name] or "" for name in self._catalogue},
                    "palette": [(tuple(rgb), share) for rgb, share in list(colours)[:PALETTE_COLOURS]],
                    "brightness": row.get("brightness"),
                    "objects": [
                        tuple(item.values()) for item in row.get("objects") or () if item["score"] >= LEAST_OBJECT
                    ],
                }
            )
        return records

    def _learned_from(self, row: Mapping[str, Any]) -> bool | None:
        told: bool | None = row.get("learned_from")
        if told is None and row["model_id"] in self._learned:  # labels of before don't say; the model's bundle does
            return row["object_id"] in self._learned[row["model_id"]]
        return told

    def _work(self, rows: Sequence[dict[str, Any]], record: Mapping[str, Any]) -> Work:
        # A picture that one of the models could not use is one that the curator should hear about.
        worst = next((row for row in rows if row["status"] != "ok"), rows[0])
        return Work(
            object_id=worst["object_id"],
            image_uri=worst["image_uri"] or "",
            status=worst["status"],
            error=worst["error"],
            labels={
                row["task"]: Label(
                    label=row["label"],
                    score=row["score"],
                    # Next to nothing is what most of many classes have: it would fill half the page's files.
                    scores={
                        name: score
                        for name, score in (row["scores"] or {}).items()
                        if shown_score(score) > 0 or name in (row.get("labels") or ())
                    },
                    label_uri=row["label_uri"],
                    model_id=row["model_id"],
                    labels=row.get("labels"),
                    novelty=row.get("novelty"),
                    learned_from=self._learned_from(row),
                )
                for row in rows
                if row["status"] == "ok"
            },
            thumbnail=self._thumbnails.get(worst["object_id"]),
            zoom=self._zooms.get(worst["object_id"]),
            maps={task: drawn[worst["object_id"]] for task, drawn in self._maps.items() if worst["object_id"] in drawn},
            **record,
        )


def certainty(labels: pa.Table) -> pa.ChunkedArray:
    """By what the least certain of some labels come first: the score, and below all scores what nothing can be said of.

    Args:
        labels: `score`, and `novelty` where there is one: a label of what is unlike anything learned is uncertain,
            whatever its score.

    Returns:
        -1..1; -1 of works without a score.
    """
    score = pc.fill_null(labels["score"], -1)
    if "novelty" not in labels.column_names:
        return score
    novel = pc.fill_null(pc.greater_equal(labels["novelty"], pa.scalar(LIMIT, pa.float32())), False)
    return pc.subtract(score, novel.cast(pa.float32()))


def assemble_works(
    labels: pa.Table,
    features: pa.Table | None = None,
    thumbnails: Mapping[str, str] | None = None,
    *,
    zooms: Mapping[str, str] | None = None,
    learned: Mapping[str, Collection[str]] | None = None,
    maps: Mapping[str, Mapping[str, str]] | None = None,
) -> Works:
    """Joins the labels of each picture with its catalogue record, palette, objects and thumbnail.

    Args:
        labels: The label dataset under the labels' contract: one row a picture and task, `task` among the columns.
        features: The feature table, keyed by `object_id`. Of its columns the page takes the museum's (`record_columns`)
            and `NUMBER_COLUMNS`. Works without labels are left out.
        thumbnails: The thumbnails' paths relative to the page, by `object_id`.
        zooms: Likewise those of larger pictures.
        learned: By model_id, the works that it was made with: for labels that don't say so.
        maps: By task and `object_id`, pictures that show what spoke for the label.

    Returns:
        One work an `object_id` of `labels`, sorted by it.

    Raises:
        InputError: `labels` lacks a column of the contract, or an id stands twice where it may stand once.
    """
    missing = [name for name in LABEL_COLUMNS if name not in labels.column_names]
    if missing:
        raise InputError(f"the labels lack the column {', '.join(missing)}")
    columns = [*LABEL_COLUMNS, *(name for name in ADDED if name in labels.column_names)]
    rows = labels.select(["object_id", "task"]).group_by(["object_id", "task"]).aggregate([([], "count_all")])
    _refuse_twice(rows, "labels", " for one task")
    if features is not None:
        rows = features.select(["object_id"]).group_by("object_id").aggregate([([], "count_all")])
        _refuse_twice(rows, "features", "")
    return Works(labels.select(columns), features, thumbnails or {}, zooms or {}, learned or {}, maps=maps or {})


def _refuse_twice(rows: pa.Table, name: str, where: str) -> None:
    twice = pc.min(rows["object_id"].filter(pc.greater(rows["count_all"], 1))).as_py()
    if twice is not None:
        raise InputError(f"the {name} hold {twice!r} twice{where}")


def record_columns(schema: pa.Schema) -> list[str]:
    """The museum's columns of a feature table: every text column that artray did not write."""
    return [item.name for item in schema if _is_text(item.type) and item.name not in MACHINE_COLUMNS]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def rounded(value: float | None, decimals: int) -> float | None:
    """A number as the page's JSON has it; None where it is none."""
    return round(value, decimals) if value is not None and math.isfinite(value) else None


def shown_score(score: float | None) -> float:
    """A score as the page has it, 0 where there is none."""
    return rounded(score, SCORE_DECIMALS) or 0.0
