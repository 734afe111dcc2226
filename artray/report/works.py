"""Works as the page shows them: the labels of each picture joined with its record, palette, objects and thumbnail."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from artray.errors import InputError

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
_BATCH = 4096


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
    """

    label: str | None
    score: float | None
    scores: Mapping[str, float] = field(default_factory=dict)
    label_uri: str | None = None
    model_id: str = ""
    labels: Sequence[str] | None = None

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


def assemble_works(
    labels: pa.Table, features: pa.Table | None = None, thumbnails: Mapping[str, str] | None = None
) -> list[Work]:
    """Joins the labels of each picture with its catalogue record, palette, objects and thumbnail.

    Args:
        labels: The label dataset under the labels' contract: one row a picture and task, `task` among the columns.
        features: The feature table, keyed by `object_id`. Of its columns the page takes the museum's (`record_columns`)
            and `NUMBER_COLUMNS`. Works without labels are left out.
        thumbnails: The thumbnails' paths relative to the page, by `object_id`.

    Returns:
        One work an `object_id` of `labels`, sorted by it.

    Raises:
        InputError: `labels` lacks a column of the contract, or an id stands twice where it may stand once.
    """
    missing = [name for name in LABEL_COLUMNS if name not in labels.column_names]
    if missing:
        raise InputError(f"the labels lack the column {', '.join(missing)}")
    columns = [*LABEL_COLUMNS, *(["labels"] if "labels" in labels.column_names else [])]
    thumbnails = thumbnails or {}
    records = _feature_rows(features) if features is not None else {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in _rows(labels.select(columns)):
        said = row.get("labels") or ()
        # Next to nothing is what most of many classes have: it would fill the memory, and half the page's files.
        row["scores"] = {
            name: score for name, score in (row["scores"] or {}).items() if shown_score(score) > 0 or name in said
        }
        rows.setdefault(row["object_id"], []).append(row)
    works = []
    for object_id, own in sorted(rows.items()):
        by_task = {row["task"]: row for row in own}
        if len(by_task) < len(own):
            raise InputError(f"the labels hold {object_id!r} twice for one task")
        # A picture that one of the models could not use is one that the curator should hear about.
        worst = next((row for row in own if row["status"] != "ok"), own[0])
        works.append(
            Work(
                object_id=object_id,
                image_uri=worst["image_uri"] or "",
                status=worst["status"],
                error=worst["error"],
                labels={
                    task: Label(
                        label=row["label"],
                        score=row["score"],
                        scores=row["scores"],
                        label_uri=row["label_uri"],
                        model_id=row["model_id"],
                        labels=row.get("labels"),
                    )
                    for task, row in by_task.items()
                    if row["status"] == "ok"
                },
                thumbnail=thumbnails.get(object_id),
                **records.get(object_id, {}),
            )
        )
    return works


def record_columns(schema: pa.Schema) -> list[str]:
    """The museum's columns of a feature table: every text column that artray did not write."""
    return [item.name for item in schema if _is_text(item.type) and item.name not in MACHINE_COLUMNS]


def _feature_rows(features: pa.Table) -> dict[str, dict[str, Any]]:
    """The keyword arguments of `Work` that the feature table knows, by object_id."""
    catalogue = record_columns(features.schema)
    numbers = [name for name in NUMBER_COLUMNS if name in features.column_names]
    rows: dict[str, dict[str, Any]] = {}
    for row in _rows(features.select(["object_id", *catalogue, *numbers])):
        if row["object_id"] in rows:
            raise InputError(f"the features hold {row['object_id']!r} twice")
        colours = zip(row.get("palette_rgb") or (), row.get("palette_share") or (), strict=True)
        rows[row["object_id"]] = {
            "record": {name: row[name] or "" for name in catalogue},
            "palette": [(tuple(rgb), share) for rgb, share in list(colours)[:PALETTE_COLOURS]],
            "brightness": row.get("brightness"),
            "objects": [tuple(item.values()) for item in row.get("objects") or () if item["score"] >= LEAST_OBJECT],
        }
    return rows


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """A table's rows; only some of them are Python objects at one time."""
    for batch in table.to_batches(max_chunksize=_BATCH):
        yield from batch.to_pylist(maps_as_pydicts="strict")


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
