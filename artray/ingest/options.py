"""What `ingest` is asked for."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from artray.catalogs.options import CatalogOptions
from artray.catalogs.unicode import composed
from artray.ingest.splits import PARTS
from artray.storage import Location


class IngestOptions(CatalogOptions):
    """List the pictures of a collection, join its catalogue, write the manifest."""

    images: Location = Field(description="folder or s3:// prefix with the pictures", examples=["URI"])
    catalog: Location | None = Field(
        None, description="CSV, TSV, XLSX, JSON (or a folder of it), JSON lines or Parquet", examples=["FILE"]
    )
    attach: Location | None = Field(
        None, description="a second table on the same works, where the mapping says how", examples=["FILE"]
    )
    out: Location = Field(description="folder or s3:// prefix for the manifest", examples=["URI"])
    mapping: str | None = Field(
        None, description="a YAML file, or a ready one's name; default: found from the columns", examples=["NAME|FILE"]
    )
    id_column: str | None = Field(None, description="the column with the works' numbers", examples=["COLUMN"])
    file_column: str | None = Field(
        None, description="the column with the pictures' names, or several: recto,verso", examples=["COLUMN"]
    )
    url_column: str | None = Field(
        None, description="the column with the pictures' addresses, or several", examples=["COLUMN"]
    )
    title_column: str | None = Field(None, description="the column with the works' titles", examples=["COLUMN"])
    artist_column: str | None = Field(None, description="the column with the works' makers", examples=["COLUMN"])
    date_column: str | None = Field(None, description="the column with the works' dates", examples=["COLUMN"])
    separator: str | None = Field(None, description="what stands between several values of a cell")
    label: dict[str, str] = Field({}, description="the column of a task's labels", examples=["TASK=COLUMN"])
    multilabel: list[str] = Field(
        [],
        description="a task in which a work may have several labels: all values of a cell are kept, not only of those "
        "with a single one; --separator alone does so where a cell holds several",
        examples=["TASK"],
    )
    one_label: list[str] = Field(
        [],
        description="a task in which a work has one label, though cells hold several: such a cell gives none",
        examples=["TASK"],
    )
    vocabulary: dict[str, str] = Field(
        {},
        description="a task's classes: a vocabulary's name, a YAML, CSV or SKOS file, or none; default: the one of the "
        "task's name",
        examples=["TASK=NAME"],
    )
    grouping: dict[str, str] = Field(
        {}, description="take a vocabulary's groups for classes", examples=["TASK=GROUPING"]
    )
    only: dict[str, str] = Field(
        {}, description="label only rows with this value, such as genre=portrait", examples=["COLUMN=VALUE"]
    )
    min_class_size: int | None = Field(None, ge=1, description="drop the labels of classes with fewer rows")
    corrections: list[Location] = Field(
        [],
        description="what curators said: the page's CSV, Label Studio's export, annotation pages; give the flag "
        "again for more",
        examples=["FILE"],
    )
    corrections_column: dict[str, str] = Field(
        {},
        description="the column that a task's corrections are about; default: named like it",
        examples=["TASK=COLUMN"],
    )
    near_duplicates: bool = Field(True, description="keep pictures that look alike on one side of the split")
    views: bool = Field(
        True, description="keep pictures that are called as views of one work (w1_front, w1_back) on one side"
    )
    split_by: list[str] = Field(
        [], description="columns whose values a split must not divide; default: artist, else work", examples=["COLUMN"]
    )
    split: dict[str, float] = Field(
        {"train": 0.6, "validation": 0.2, "test": 0.2}, description="share of each part", examples=["PART=SHARE"]
    )
    test_from: str | None = Field(
        None,
        description="the test part is given: a column's value, or a file with an object_id a line",
        examples=["COLUMN=VALUE|FILE"],
    )
    folds: int | None = Field(None, ge=2, description="divide what is not test into folds too, column fold")
    seed: int = Field(0, ge=0, description="other seeds give other splits and folds")
    new_split: bool = Field(
        False, description="forget the parts of the manifest that is there and deal them out anew; ids stay"
    )

    @field_validator(
        *("id_column", "file_column", "url_column", "title_column", "artist_column", "date_column"),
        *("separator", "label", "only", "split_by", "corrections_column"),
    )
    @classmethod
    def _composed(cls, value: Any) -> Any:
        return composed(value)

    @field_validator("split")
    @classmethod
    def _fractions(cls, split: dict[str, float]) -> dict[str, float]:
        if set(split) != set(PARTS) or min(split.values()) < 0 or sum(split.values()) <= 0:
            raise ValueError("must give train, validation and test a share, like train=0.6 validation=0.2 test=0.2")
        return split
