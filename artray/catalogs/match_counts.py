"""What is counted of a catalogue's columns and rows once it is matched."""

import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.columns import Mapping
from artray.catalogs.name_keys import Flags, flags, strings


def row_names(catalog: pa.Table, mapping: Mapping) -> pa.Array:
    """A name for each row to show: its id, or else what it is matched by."""
    names = [mapping.object_id, mapping.file, mapping.url, mapping.title, *mapping.folder.values()]
    columns = [strings(catalog[name]) for name in names if name is not None]
    return pc.coalesce(*columns, "?") if columns else pa.array(["?"] * catalog.num_rows, pa.large_string())


def column_counts(catalog: pa.Table, matched: Flags) -> dict[str, tuple[int, int, int]]:
    """For each column its filled cells, different values, and filled cells of rows with a picture."""
    counts = {}
    for name, column in zip(catalog.column_names, catalog.columns, strict=True):
        filled = flags(pc.is_valid(column))
        different: int = pc.count_distinct(column).as_py()
        counts[name] = (int(filled.sum()), different, int((filled & matched).sum()))
    return counts
