"""The inputs of examples that are features: read block by block, by those who work; the driver never holds them all."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import ray

from artray import cluster
from artray.bundles.inputs import COLOR_MAP, FeatureInput
from artray.engine.examples import Shard
from artray.engine.shards import ExampleCache
from artray.errors import InputError
from artray.features.columns import matrix
from artray.storage import Location, digest
from artray.storage.located_rows import LocatedRows

ALL = "all"
"""As the one column of a config: all groups of features that a table has."""
_HAND_MADE = ("brightness", "texture", "palette_hsv")
_MORE, _STATISTICS = "embedding_", "_statistics"
_BLOCK_ROWS = 8192

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """Of some examples' features.

    Attributes:
        count: How many examples.
        mean: (width,) float64.
        squares: (width,) float64, sums of squared deviations from the mean.
    """

    count: int
    mean: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Moments:
        """Those of (n, width) values."""
        mean = values.mean(axis=0, dtype=np.float64) if len(values) else np.zeros(values.shape[1])
        return cls(len(values), mean, ((values - mean) ** 2).sum(axis=0))

    def __add__(self, other: Moments) -> Moments:
        """Those of both sets (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * (self.count * other.count / count)
        return Moments(count, self.mean + apart * (other.count / count), squares)

    @property
    def variance(self) -> npt.NDArray[np.float64]:
        """Of each feature, (width,)."""
        return self.squares / max(self.count, 1)


def all_columns(names: Sequence[str]) -> list[str]:
    """All groups of features among a table's columns; none where it has none.

    The embedding only where there are no style statistics: their last ones repeat it. Other backbones' embeddings
    (`embedding_NAME`), or statistics likewise, come too.
    """
    deep = [name for name in ("style_statistics", "embedding") if name in names][:1]
    more = [name for name in names if name.startswith(_MORE) and f"{name}{_STATISTICS}" not in names]
    return [*deep, *more, *(name for name in _HAND_MADE if name in names)]


@dataclass(frozen=True)
class Features:
    """What was read.

    Attributes:
        blocks: As `Inputs` takes them.
        positions: Likewise.
        widths: Of each group of numbers, in their order.
        moments: Of the training part.
    """

    blocks: list[Any]
    positions: Indices
    widths: dict[str, int]
    moments: Moments


def read_features(
    data: Location, rows: LocatedRows, given: FeatureInput, training: npt.NDArray[np.bool_], cache: ExampleCache | None
) -> Features:
    """Read examples' features into blocks, of which each is in memory or, where all don't fit, a shard.

    Args:
        data: The feature table.
        rows: The examples.
        given: How their inputs come out of the table.
        training: (n,) which are of the training part.
        cache: Where shards go; None: all are in memory.

    Raises:
        InputError: A column is not numeric, or holds values that are not finite.
        ArtrayError: The disk is full.
    """
    order = rows.stored()
    blocks_of_rows = [order[start : start + _BLOCK_ROWS] for start in range(0, len(order), _BLOCK_ROWS)]
    positions = np.empty((len(order), 2), np.int64)
    for number, rows_of_block in enumerate(blocks_of_rows):
        positions[rows_of_block, 0], positions[rows_of_block, 1] = number, np.arange(len(rows_of_block))
    # Of the first example, to know how much there will be.
    _, widths, _ = _read(data, rows.take(order[:1]), given, training[order[:1]])
    shape = (sum(widths.values()),)
    files: list[Location | None] = [None] * len(blocks_of_rows)
    if cache is not None and not cache.holds(len(order) * shape[0] * 4):
        key = digest(given.model_dump_json().encode(), rows.file.tobytes(), rows.row.tobytes(), str(data).encode())
        folder = cache.folder / f"features-{key[:16]}"
        files = [folder / f"{number:06d}.raw" for number in range(len(blocks_of_rows))]
    tasks = [
        (data, rows.take(rows_of_block).alone(), given, training[rows_of_block], file)
        for rows_of_block, file in zip(blocks_of_rows, files, strict=True)
    ]
    if len(blocks_of_rows) == 1:  # few: a task would only take longer
        widths, moments, values = _read_block(*tasks[0])
        blocks = [None if values is None else ray.put(values)]
    else:
        read = ray.remote(num_returns=3)(_read_block)
        started = [read.remote(*task) for task in tasks]
        with cluster.unwrapped_errors():
            results = [ray.get(list(task[:2])) for task in started]
        for there, _ in results:
            if there != widths:
                raise InputError(f"{data}: {_different(widths, there)}")
        moments = reduce(operator.add, (each for _, each in results))
        blocks = [task[2] for task in started]
    for number, (rows_of_block, file) in enumerate(zip(blocks_of_rows, files, strict=True)):
        if file is not None:
            blocks[number] = Shard(file, len(rows_of_block), shape, "float32")
    return Features(blocks, positions, widths, moments)


def read_color_maps(data: Location, rows: LocatedRows) -> npt.NDArray[np.float32]:
    """The colour maps of some examples, (n, colours · 3)."""
    table = rows.read(data, [COLOR_MAP])
    return matrix(table[COLOR_MAP], COLOR_MAP)


def _different(one: Mapping[str, int], other: Mapping[str, int]) -> str:
    name = next(name for name in one if one[name] != other[name])
    return f"column {name!r} holds lists of different lengths"


def _read(
    data: Location, rows: LocatedRows, given: FeatureInput, training: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], dict[str, int], Moments]:
    columns = list(dict.fromkeys([*given.columns, *([COLOR_MAP] if given.color_maps else [])]))
    table = rows.read(data, columns)
    groups = given.groups({name: table[name] for name in columns})
    values = np.concatenate(list(groups.values()), axis=1)
    return values, {name: group.shape[1] for name, group in groups.items()}, Moments.of(values[training])


def _read_block(
    data: Location, rows: LocatedRows, given: FeatureInput, training: npt.NDArray[np.bool_], file: Location | None
) -> tuple[dict[str, int], Moments, npt.NDArray[np.float32] | None]:
    """A task: a block into memory, or into a shard."""
    values, widths, moments = _read(data, rows, given, training)
    if file is None:
        return widths, moments, values
    file.write_bytes(values.tobytes())
    return widths, moments, None
