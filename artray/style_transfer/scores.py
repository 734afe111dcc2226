"""How well a transfer went, by strength: style nearer, content kept, and what a classifier says of the results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.classifier import Bundle
from artray.style_transfer.transferring import FIGURES

SCORES = "scores.json"


def scores_of(
    made: pa.Table, strengths: Sequence[float], *, judge: str | None, classified: Classified | None
) -> dict[str, Any]:
    """Means over the pictures of each strength.

    Args:
        made: Rows of `transferring.STATE`.
        strengths: Which there are.
        judge: The network that measured, None for none.
        classified: What a classifier said.

    Returns:
        What `scores.json` holds: `judge`, and `strengths`, each with `strength`, `pictures`, the mean of each of
        `FIGURES` and `nearer`, the share of pictures whose style distance fell; and with a classifier `classifier`, and
        for each strength the mean score of the style's class and the share that got it as label, before and after.
        None where there is nothing to say.
    """
    rows = []
    for strength in strengths:
        rows_of_strength = made.filter(pc.and_(pc.equal(made["strength"], strength), pc.equal(made["status"], "ok")))
        row: dict[str, Any] = {"strength": strength, "pictures": len(rows_of_strength)}
        row |= {name: _rounded(pc.mean(rows_of_strength[name]).as_py()) for name in FIGURES}
        fell = pc.less(rows_of_strength["style_distance"], rows_of_strength["style_distance_before"])
        row["nearer"] = _rounded(pc.mean(pc.cast(fell, pa.float64())).as_py())
        if classified is not None:
            row |= classified.of(rows_of_strength)
        rows.append(row)
    scores: dict[str, Any] = {"judge": judge, "strengths": rows}
    if classified is not None:
        scores["classifier"] = {"model_id": classified.bundle.model_id, "task": classified.bundle.task}
        scores["classifier"] |= {"class": classified.name, "doubt": classified.bundle.doubt}
    return scores


class Classified:
    """What a classifier says of pictures before and after.

    Args:
        bundle: The classifier.
        name: The class that was aimed at, None where it knows no such class.
        before: Labels of the content, as of label_catalog.
        after: Labels of what was made of it.
    """

    def __init__(self, bundle: Bundle, name: str | None, before: pa.Table, after: pa.Table):
        known = [item.name for item in bundle.classes]
        self.bundle, self.name = bundle, name if name in known else None
        self._before, self._after = (_by_id(table, self.name) for table in (before, after))

    def of(self, made: pa.Table) -> dict[str, float | None]:
        """Mean scores of the class, and the shares that got it as label; and how many labels changed."""
        pairs = [
            (self._before.get(content), self._after.get(stylised))
            for content, stylised in zip(made["content"].to_pylist(), made["object_id"].to_pylist(), strict=True)
        ]
        there = [(before, after) for before, after in pairs if before is not None and after is not None]
        shares: dict[str, float | None] = {"changed": _mean([before[0] != after[0] for before, after in there])}
        if self.name is not None:
            for when, some in (("before", [pair[0] for pair in there]), ("after", [pair[1] for pair in there])):
                shares[f"score_{when}"] = _mean([score for _, score in some])
                shares[f"labelled_{when}"] = _mean([label == self.name for label, _ in some])
        return shares


def _by_id(labels: pa.Table, name: str | None) -> dict[str, tuple[str | None, float]]:
    """Each picture's label, and its score of a class."""
    found = {}
    for row in labels.to_pylist(maps_as_pydicts="strict"):
        if row["scores"]:
            found[row["object_id"]] = (row["label"], row["scores"].get(name, math.nan))
    return found


def _mean(values: Sequence[float | bool]) -> float | None:
    numbers: npt.NDArray[np.float64] = np.asarray(values, np.float64)
    return _rounded(float(numbers.mean())) if len(numbers) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 4)
