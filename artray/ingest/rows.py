"""The manifest's rows in the making: pictures with their records, and rows of pictures that are not there."""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from artray.catalogs.columns import Mapping, path_columns
from artray.catalogs.matching import Match
from artray.errors import InputError
from artray.ingest.manifest import PLACE, Previous, free_name, make_ids
from artray.storage import Location


@dataclass
class Rows:
    """The manifest in the making.

    Attributes:
        table: Its columns so far.
        records: Each picture's row in the catalogue.
        paths: Where its pictures lie below the collection's folder.
        numbers: The museum's number in each record, null where there is none.
        names: What columns of the catalogue and groups of the path are called in the manifest.
    """

    table: pa.Table
    records: list[int | None]
    paths: pa.Array
    numbers: pa.Array
    names: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, values: Any) -> None:
        """Add a column."""
        is_arrow = isinstance(values, (pa.Array, pa.ChunkedArray))
        self.table = self.table.append_column(name, values if is_arrow else pa.array(values))

    def column(self, name: str, flag: str = "") -> pa.ChunkedArray:
        """A column by its name in the catalogue, the path or the manifest.

        Raises:
            InputError: There is none; the line names the flag that asked for it.
        """
        written = self.names.get(name, name)
        if written not in self.table.column_names:
            raise InputError(f"{flag}: there is no such column (there is: {', '.join(self.table.column_names)})")
        return self.table[written]


def join_rows(
    images: Location, pictures: pa.Table, catalog: pa.Table, *, mapping: Mapping, match: Match, previous: Previous
) -> Rows:
    """Pictures with their catalogue rows, and rows for pictures that the catalogue names but that are not there."""
    absent = _absent(match, mapping)
    paths = [*pictures["path"].to_pylist(), *absent["value"].to_pylist()]
    records = pa.concat_arrays([match.table["row"].combine_chunks(), absent["row"].combine_chunks()])
    own_ids = pa.nulls(len(paths), pa.string())
    if mapping.object_id is not None:
        own_ids = catalog[mapping.object_id].combine_chunks().take(records)
    uris = [str(images / path) for path in paths]
    ids = make_ids(paths, own_ids.to_pylist(), [previous.id_of_uri.get(uri) for uri in uris])
    unknown = pa.nulls(len(absent))
    sizes = pa.concat_arrays([pictures["size"].combine_chunks(), unknown.cast(pa.int64())])
    versions = pa.concat_arrays([pictures["version"].combine_chunks(), unknown.cast(pa.string())])
    rows = Rows(
        pa.table([ids, pa.array(uris, pa.string()), sizes, versions], schema=PLACE),
        records.to_pylist(),
        pa.array(paths, pa.string()),
        own_ids,
    )
    columns = {name: catalog[name].combine_chunks().take(records) for name in catalog.column_names}
    groups = path_columns(pa.array(paths, pa.string()), mapping.path) if mapping.path else {}
    described = {role: name for role, name in mapping.described().items() if role not in mapping.labels}
    kept = {*mapping.labels, *(role for role, name in described.items() if role != name)}
    for name, values in [*columns.items(), *groups.items()]:
        if name == mapping.object_id and name not in groups:
            rows.names[name] = "object_id"
        else:
            rows.names[name] = free_name(name, rows.table.column_names, kept)
            rows.add(rows.names[name], values)
    for role, name in described.items():
        if role not in rows.table.column_names:
            rows.add(role, rows.column(name))
    return rows


def _absent(match: Match, mapping: Mapping) -> pa.Table:
    """Rows whose file column names a picture that is not there: they stay, to be seen as `missing`.

    A number or an address that fits no file names no place in the collection, so such rows are only counted. Of
    several rows that name one picture the first stays: the manifest has one row a picture.
    """
    columns = pa.array([name for name in (mapping.file, *mapping.more_files) if name], pa.string())
    by_file = match.missing.filter(pc.is_in(match.missing["column"], value_set=columns))
    first = {value: row for row, value in reversed(list(enumerate(by_file["value"].to_pylist())))}
    return by_file.take(pa.array(sorted(first.values()), pa.int64()))
