"""Tables of artray, for pandas, Polars and Arrow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from artray.errors import InputError, did_you_mean
from artray.labeling.published import read_labels as _labels
from artray.storage import RUN, Location

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_SHOWN = 10


class Collection:
    """A table of artray: a manifest, features, patches, labels, or what a model says of pictures.

    Nothing is read before it is asked for. A row is a picture (of labels: a picture and task), and `object_id` says of
    which work.

    Attributes:
        dataset: The same as a `pyarrow.dataset.Dataset`, for what pandas has no room for: DuckDB reads it, and
            `dataset.to_batches` goes through it piece by piece.
    """

    def __init__(self, data: pads.Dataset | pa.Table):
        """A table, or a data set.

        Args:
            data: With a column `object_id`.
        """
        self.dataset: pads.Dataset = pads.dataset(data) if isinstance(data, pa.Table) else data

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.dataset.schema.names)

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self.dataset.count_rows())

    def to_arrow(self, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pa.Table:
        """As a table of Arrow.

        Args:
            columns: Which ones; default: all.
            where: Which rows, as in `pyarrow.compute.field("style") == "Cubism"`; default: all.

        Raises:
            InputError: There is no such column.
        """
        for name in columns or []:
            if name not in self.columns:
                hint = did_you_mean(name, self.columns)
                raise InputError(f"{name}: no such column{hint} (there are: {', '.join(self.columns)})")
        return self.dataset.to_table(columns=None if columns is None else list(columns), filter=where)

    def to_pandas(self, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pd.DataFrame:
        """As a data frame of pandas; maps (`scores`) become dictionaries, lists stay arrays.

        Args:
            columns: As `to_arrow`.
            where: Likewise.

        Raises:
            InputError: Likewise.
        """
        frame: pd.DataFrame = self.to_arrow(columns, where).to_pandas(maps_as_pydicts="strict")
        return frame

    def to_polars(self, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pl.DataFrame:
        """As a data frame of Polars (`pip install polars`).

        Args:
            columns: As `to_arrow`.
            where: Likewise.

        Raises:
            InputError: Likewise, or Polars is not installed.
        """
        try:
            import polars as pl
        except ModuleNotFoundError as error:
            raise InputError("to_polars: needs Polars: pip install polars") from error
        frame = pl.from_arrow(self.to_arrow(columns, where))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def __repr__(self) -> str:
        return f"<{len(self):,} rows: {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        """The first rows, for notebooks."""
        frame = self.dataset.head(_SHOWN).to_pandas(maps_as_pydicts="strict")
        told = f"<p>{len(self):,} rows</p>" if len(self) > _SHOWN else ""
        html: str = frame.to_html(notebook=True, max_cols=20)
        return html + told


def open_collection(uri: str | os.PathLike[str] | Location) -> Collection:
    """Open a table that a station of artray wrote: a manifest, features, patches, labels, films' curves.

    Args:
        uri: Its folder, file or s3:// prefix.

    Raises:
        InputError: There is no table.

    Example:
        `artray.open_collection("work/manifest").to_pandas()`
    """
    location = Location.parse(uri)
    if (location / RUN).exists() and "tasks" in (told := (location / RUN).read_json()) and told.get("job") == "labels":
        return read_labels(location)
    return Collection(location.dataset())


def read_labels(uri: str | os.PathLike[str] | Location) -> Collection:
    """The labels of all tasks as of one run, even while another one is being published.

    Args:
        uri: The labels' folder or s3:// prefix.

    Returns:
        A row a picture and task, with the columns of [the contract](labels.md), and `task`. `labels` is filled in for
        labels of earlier versions too.

    Raises:
        InputError: There are none.
    """
    return Collection(_labels(uri))


def as_rows(table: Any) -> pa.Table | None:
    """`object_id` and `image_uri` of what is a manifest already: a `Collection`, or a table; None of all else.

    Raises:
        InputError: It is a table, and has no such columns.
    """
    if isinstance(table, Collection):
        table = table.to_arrow([name for name in ("object_id", "image_uri") if name in table.columns])
    elif type(table).__module__.partition(".")[0] == "pandas" and hasattr(table, "columns"):
        table = pa.Table.from_pandas(table[[name for name in table.columns if name in ("object_id", "image_uri")]])
    elif hasattr(table, "to_arrow") and hasattr(table, "columns"):  # Polars
        table = table.select([name for name in table.columns if name in ("object_id", "image_uri")]).to_arrow()
    if not isinstance(table, pa.Table):
        return None
    if "image_uri" not in table.column_names:
        raise InputError("a table of pictures needs a column image_uri, as a manifest has it")
    ids = table["object_id"] if "object_id" in table.column_names else table["image_uri"]
    return pa.table({"object_id": ids.cast(pa.string()), "image_uri": table["image_uri"].cast(pa.string())})
