"""What was sampled as a timeline: shots, which frames are labelled, and each task's scores by second."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.film.curves import Scores, chosen_of_shots, smoothed
from artray.film.cuts import find_cuts
from artray.ingest.manifest import PLACE

_SCORES = pa.map_(pa.string(), pa.float32())
SECONDS = pa.schema(
    [
        ("film", pa.string()),
        ("second", pa.float64()),  # null: the whole film can't be read
        ("task", pa.string()),
        ("object_id", pa.string()),  # of the frame, as in manifest and labels
        ("at", pa.float64()),  # when the frame begins to be seen, in seconds
        ("label", pa.string()),
        ("score", pa.float32()),
        ("scores", _SCORES),  # null where the frame was not labelled
        ("smoothed", _SCORES),  # null where no labelled frame is near enough
        ("shot", pa.int32()),  # counted from 0
        ("cut", pa.bool_()),  # whether a shot begins between the frame before and this one
        ("difference", pa.float32()),  # from the frame before, 0..1
        ("status", pa.string()),
        ("error", pa.string()),
    ]
)
"""`seconds.parquet`: a row a film, moment and task."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One task's scores over a film.

    Attributes:
        task: Its name.
        classes: Their names in the model's order.
        exclusive: Whether a frame has one label, so that scores sum to 1.
        scores: (moments, classes), NaN where a frame was not labelled.
        smoothed: Likewise, NaN where no labelled frame is near.
        doubt: Why the model can't be relied on, if it can't.
    """

    task: str
    classes: Sequence[str]
    exclusive: bool
    scores: Scores
    smoothed: Scores
    doubt: str | None = None


def with_shots(moments: pa.Table, threshold: float, per_shot: int | None) -> pa.Table:
    """The moments with `shot`, `cut`, and `labelled`: whether the frame is one of those to be labelled.

    Args:
        moments: As from `sample_films`, film by film.
        threshold: Of `find_cuts`.
        per_shot: How many frames of each shot are labelled; None: all.
    """
    cuts = np.zeros(len(moments), bool)
    shots = np.zeros(len(moments), np.int64)
    chosen = np.asarray(pc.is_valid(moments["image_uri"]), bool)
    difference = moments["difference"].to_numpy().astype(np.float32)
    for start, end in films_in(moments):
        cuts[start:end] = find_cuts(difference[start:end], threshold)
        shots[start:end] = np.cumsum(cuts[start:end])
        if per_shot is not None:
            chosen[start:end] = chosen_of_shots(shots[start:end], chosen[start:end], per_shot)
    # What can't be read is nobody's choice: it stays in every table, with its status.
    chosen |= np.asarray(pc.is_null(moments["image_uri"]), bool)
    table = moments.append_column("shot", pa.array(shots, pa.int32()))
    return table.append_column("cut", pa.array(cuts)).append_column("labelled", pa.array(chosen))


def films_in(moments: pa.Table) -> Iterator[tuple[int, int]]:
    """The first row of each film, and the one after its last."""
    codes = pc.dictionary_encode(moments["film"].combine_chunks()).indices.to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)] if len(codes) else [0]
    yield from pairwise(edges)


def manifest_of(timeline: pa.Table) -> pa.Table:
    """The frames to be labelled as a manifest; those that can't be read, and whole films, have no `image_uri`."""
    chosen = timeline.filter(timeline["labelled"])
    table = chosen.select(PLACE.names).cast(PLACE)
    for name in ("film", "second", "shot", "cut"):
        table = table.append_column(name, chosen[name])
    # Not `status` and `error`: these names are the stations'.
    return table.append_column("frame_status", chosen["status"]).append_column("frame_error", chosen["error"])


def places_in(labels: pa.Table, timeline: pa.Table) -> npt.NDArray[np.int64]:
    """For each moment its row among some labels, -1 where it has none."""
    indices = pc.index_in(timeline["object_id"], labels["object_id"].combine_chunks())
    rows: npt.NDArray[np.int64] = np.asarray(pc.fill_null(indices, -1)).astype(np.int64)
    return rows


def curve_of(
    labels: pa.Table, seconds: npt.NDArray[np.float64], classes: Sequence[str], task: str, **about: Any
) -> Curve:
    """A film's curve of one task.

    Args:
        labels: The film's moments' labels, nulls where they have none.
        seconds: The moments.
        classes: Of the task's model.
        task: Its name.
        about: `window`, the seconds that are averaged; `exclusive` and `doubt` as in `Curve`.
    """
    window = about.pop("window")
    scores = np.full((len(labels), len(classes)), np.nan)
    for row, scores_told in enumerate(labels["scores"].to_pylist(maps_as_pydicts="strict")):
        if scores_told:
            scores[row] = [scores_told.get(name, np.nan) for name in classes]
    return Curve(task=task, classes=classes, scores=scores, smoothed=smoothed(seconds, scores, window), **about)


def second_rows(moments: pa.Table, labels: pa.Table, curve: Curve) -> pa.Table:
    """The rows of `seconds.parquet` for one film and task.

    Args:
        moments: The film's, as from `with_shots`.
        labels: Theirs, as in `curve_of`.
        curve: Of the task.
    """
    columns: dict[str, Any] = {name: moments[name] for name in SECONDS.names if name in moments.column_names}
    sound = pc.equal(moments["status"], "ok")
    status = pc.if_else(sound, pc.coalesce(labels["status"], moments["status"]), moments["status"])
    columns |= {
        "task": pa.repeat(curve.task, len(moments)),
        "label": labels["label"],
        "score": labels["score"],
        "scores": labels["scores"],
        "smoothed": _maps(curve.smoothed, curve.classes),
        "status": status,
        "error": pc.if_else(sound, labels["error"], moments["error"]),
    }
    return pa.table([columns[name] for name in SECONDS.names], schema=SECONDS)


def _maps(scores: Scores, classes: Sequence[str]) -> pa.Array:
    known: npt.NDArray[np.bool_] = np.asarray(~np.isnan(scores).any(axis=1))
    offsets = pa.array(np.concatenate([[0], np.cumsum(known * len(classes))]).astype(np.int32))
    keys = pa.array(list(classes), pa.string()).take(pa.array(np.tile(np.arange(len(classes)), int(known.sum()))))
    maps = pa.MapArray.from_arrays(offsets, keys, pa.array(scores[known].ravel(), pa.float32()))
    return maps.take(pa.array(np.arange(len(known)), pa.int64(), mask=~known)).cast(_SCORES)
