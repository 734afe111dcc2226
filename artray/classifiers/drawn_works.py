"""A share of the labelled works, drawn by lot: what a model would be that had fewer to learn from."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray.catalogs.targets import Targets

_LEAST = {"train": 2, "validation": 1}  # of a class in a part, where there are as many


def drawn_share(
    table: pa.Table, labels: Targets, parts: npt.NDArray[Any], share: float, draw: int
) -> npt.NDArray[np.bool_]:
    """Which rows stay: of each class so large a share of its training works and of its validation works.

    Whole groups come first, as who labels fewer works labels fewer artists; works of a group stay in an order of their
    own. It depends on ids alone, and what a share holds, a larger one of the same draw holds too.

    Args:
        table: `object_id` and, where it is known, `group`.
        labels: Of the rows.
        parts: (rows,) the part of each; works of the test part stay.
        share: 0..1.
        draw: Which lot.
    """
    names = table["object_id"].to_pylist()
    groups = table["group"].to_pylist() if "group" in table.column_names else names
    key = str(draw).encode()
    stays = np.ones(len(table), bool)
    main = labels.main()
    for name, least in _LEAST.items():
        rows = np.flatnonzero((parts == name) & (labels.counts > 0))
        for label in np.unique(main[rows]):
            rows_of_label = rows[main[rows] == label]
            order = sorted(rows_of_label.tolist(), key=lambda row: (_lot(groups[row], key), _lot(names[row], key)))
            stays[order[max(math.ceil(share * len(rows_of_label) - 1e-9), least) :]] = False
    return stays


def _lot(name: str | None, key: bytes) -> bytes:
    return blake2b((name or "").encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()
