"""Smaller copies that a web system makes beside a picture: `sea-300x200.jpg` and `sea-scaled.jpg` of `sea.jpg`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.name_keys import flags, last_part, normal, strings, without_size, without_suffix
from artray.errors import first_of

_MAY_BE_NAMED = r"(?i)[-_](?:[0-9]{2,5}x[0-9]{2,5}|scaled)\.[a-z0-9]{3,4}"
_EXAMPLES = 3


def without_scaled_copies(pictures: pa.Table, cells: Iterable[pa.ChunkedArray]) -> tuple[pa.Table, str]:
    """The pictures without copies of others that are there; one that the catalogue names stays.

    Args:
        pictures: As from `list_pictures`.
        cells: The catalogue's columns.

    Returns:
        What is left, and a line for the user, empty where nothing is left out.
    """
    keys = without_suffix(normal(strings(pictures["path"])))
    whole = without_size(keys)
    is_copy = flags(pc.and_(pc.not_equal(whole, keys), pc.is_in(whole, value_set=keys)))
    if not is_copy.any():
        return pictures, ""
    named = {name for column in cells for name in _named(column)}
    if named:
        names = last_part(keys.filter(pa.array(is_copy)))
        is_copy[np.flatnonzero(is_copy)[flags(pc.is_in(names, value_set=pa.array(sorted(named), names.type)))]] = False
    copies = pictures.filter(pa.array(is_copy))["path"]
    if not len(copies):
        return pictures, ""
    shown = first_of(copies.slice(0, _EXAMPLES + 1).to_pylist(), _EXAMPLES)
    said = f"left out, smaller copies of pictures that are there: {len(copies):,} ({shown}); --no-views takes them too"
    return pictures.filter(pa.array(~is_copy)), said


def _named(column: pa.ChunkedArray) -> list[str]:
    """The names of scaled copies that cells hold, alone or as the end of an address or path."""
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        return []
    cells = strings(column.filter(pc.fill_null(pc.match_substring_regex(column, _MAY_BE_NAMED), False)))
    words = pc.list_flatten(pc.split_pattern_regex(cells, r"[;|,\s\"'<>?#]+"))
    names: list[str] = without_suffix(last_part(normal(words))).to_pylist()
    return names
