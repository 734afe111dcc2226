"""Labels, split and groups from a manifest, inputs from a table that was made earlier of the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from artray.errors import InputError
from artray.storage import Location
from artray.storage.located_rows import LocatedRows, read_rows

_ID, _VERSION = "object_id", "version"


def read_joined(
    manifest: Location,
    data: pads.Dataset,
    *,
    of_manifest: Sequence[str],
    of_data: Sequence[str],
    keep: Callable[[pa.Table], pa.Array | pa.ChunkedArray],
) -> tuple[LocatedRows, dict[str, int]]:
    """The rows of a table whose works a manifest has, with the manifest's columns.

    A row counts only if it was made of the version of the picture that the manifest has, where both know one.

    Args:
        manifest: The manifest.
        data: The table; it may have several rows a work.
        of_manifest: What is taken from the manifest.
        of_data: And from the table.
        keep: Says which of the manifest's rows are wanted.

    Returns:
        The rows, as they lie in the table; and how many works have none, by reason.

    Raises:
        InputError: A work stands twice in the manifest.
    """
    known = [_VERSION] if _VERSION in manifest.dataset().schema.names and _VERSION in data.schema.names else []
    wanted = list(dict.fromkeys([_ID, *of_manifest, *known]))
    works = read_rows(manifest.dataset(), wanted, keep).table
    ids = works[_ID].combine_chunks()
    if pc.count_distinct(ids).as_py() < len(ids):
        raise InputError(f"{manifest}: some object_ids stand in several rows; each picture needs one of its own")
    there: list[npt.NDArray[np.bool_]] = []

    def is_wanted(table: pa.Table) -> pa.Array:
        indices = pc.index_in(table[_ID], value_set=ids)
        valid = pc.is_valid(indices)
        there.append(_marked(indices, valid, len(ids)))
        if known:
            same = pc.equal(table[_VERSION], works[_VERSION].take(indices))
            valid = pc.and_(valid, pc.fill_null(same, True))
        return valid

    rows = read_rows(data, list(dict.fromkeys([_ID, *of_data, *known])), is_wanted)
    indices = pc.index_in(rows.table[_ID], value_set=ids)
    table = rows.table.select([name for name in rows.table.column_names if name not in of_manifest or name == _ID])
    for name in of_manifest:
        if name != _ID:
            table = table.append_column(name, works[name].take(indices))
    seen = np.any([*there, np.zeros(len(ids), bool)], axis=0)
    joined = _marked(indices, pc.is_valid(indices), len(ids))
    lost = {
        "labelled but not in --data": int((~seen).sum()),
        "changed since --data was made": int((seen & ~joined).sum()),
    }
    return replace(rows, table=table), lost


def _marked(indices: pa.ChunkedArray, valid: pa.ChunkedArray, number: int) -> npt.NDArray[np.bool_]:
    marked = np.zeros(number, bool)
    marked[indices.filter(valid).to_numpy()] = True
    return marked
