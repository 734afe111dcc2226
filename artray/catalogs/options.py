"""The flags of every job that reads a catalogue."""

import pyarrow as pa
from pydantic import Field, field_validator

from artray import console
from artray.catalogs.catalog import SAVE_ANEW, Catalog, Reading
from artray.catalogs.encodings import codec
from artray.catalogs.folder import load_catalog
from artray.errors import InputError, count_of
from artray.job import Options
from artray.storage import Location


class CatalogOptions(Options):
    """How a catalogue is to be read, where it is not found rightly."""

    encoding: str | None = Field(
        None, description="the catalogue's encoding, such as mac_roman; default: found", examples=["NAME"]
    )
    sheet: str | None = Field(
        None,
        description="the workbook's sheet; default: the first with a table, and all with its columns",
        examples=["TITLE"],
    )
    records: str | None = Field(
        None,
        description="where the list of records lies in JSON, such as response.items; default: found",
        examples=["PATH"],
    )
    header_line: int | None = Field(
        None, ge=0, description="the line, or row of the sheet, with the columns' names; 0: none; default: found"
    )
    max_catalog_mb: int | None = Field(
        None,
        ge=1,
        description="the largest catalogue read, unpacked, in MiB; default: 4096; packed: 256 or 100 times its size",
    )

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, encoding: str | None) -> str | None:
        if encoding is not None:
            try:
                codec(encoding)
            except InputError as error:
                raise ValueError(str(error).removeprefix(f"--encoding {encoding}: ")) from None
        return encoding

    def read_catalog(self, location: Location) -> Catalog:
        """Read the catalogue, and say how that was done and what looks wrong.

        Raises:
            InputError: It can't be read.
        """
        reading = Reading(self.encoding, self.sheet, self.records, self.header_line, self._limit())
        return _said(load_catalog(location, reading), "catalogue", location)

    def read_attached(self, location: Location) -> pa.Table:
        """Read a second table, of whose form the flags say nothing.

        Raises:
            InputError: It can't be read.
        """
        reading = Reading(max_bytes=self._limit(), remedy=SAVE_ANEW)
        return _said(load_catalog(location, reading), "attached", location).table

    def _limit(self) -> int | None:
        return None if self.max_catalog_mb is None else self.max_catalog_mb << 20


def _said(catalog: Catalog, what: str, location: Location) -> Catalog:
    if not len(catalog.table):
        raise InputError(f"{location}: holds no records, at most a header")
    console.say(f"{what}: {count_of(len(catalog.table), 'row')}, {catalog.form}")
    for problem in catalog.problems:
        console.say(f"{what}: {problem}")
    return catalog
