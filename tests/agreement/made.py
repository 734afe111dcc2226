"""Annotations made for tests: from a matrix, or by people whose errors are known."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from artray.agreement.annotations import Annotations, Rows, encode

EMOTIONS = ["anger", "fear", "joy", "love"]


def table(rows: Sequence[tuple[str | None, str | None, str | None]]) -> pa.Table:
    """`object`, `annotator`, `emotion`."""
    columns = zip(*rows, strict=True)
    return pa.table({name: pa.array(cells, pa.string()) for name, cells in zip(NAMES, columns, strict=True)})


NAMES = ["object", "annotator", "emotion"]


def rows_of(rows: Sequence[tuple[str | None, str | None, str | None]], gold: Sequence[bool] = ()) -> Rows:
    return Rows(table(rows), np.array(gold or [False] * len(rows)), {"emotion": "emotion"})


def of_matrix(labels: Sequence[Sequence[object]], **how: object) -> Annotations:
    """Annotations of a matrix: a row an annotator, a column a work; None where there is none."""
    rows = [
        (f"w{work:03}", f"p{who:03}", str(label))
        for who, line in enumerate(labels)
        for work, label in enumerate(line)
        if label is not None
    ]
    return encode(rows_of(rows), "emotion", **how)


def simulated(
    works: int, right: Sequence[float], seed: int = 0, share: float = 1.0
) -> tuple[list[tuple[str, str, str]], np.ndarray]:
    """Labels of people who are right so often, and else say anything; and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(EMOTIONS), works)
    rows = []
    for who, often in enumerate(right):
        said = np.where(rng.random(works) < often, truth, rng.integers(0, len(EMOTIONS), works))
        seen = np.flatnonzero(rng.random(works) < share).tolist()
        rows += [(f"w{work:05}", f"p{who:02}", EMOTIONS[said[work]]) for work in seen]
    return rows, truth
