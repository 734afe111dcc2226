"""Labels in the forms that other systems read; one module a format.

    csv            labels.csv                a row an object, for the museum's own system
    annotations    annotations/              W3C Web Annotations, for IIIF viewers and annotation servers
    linked_art     linked_art.jsonl          Linked Art records with AttributeAssignments
    croissant      dataset/croissant.json    Croissant 1.1, for data set search
    dataset_card   dataset/README.md         Hugging Face data set card
    label_studio   label_studio/tasks.json   Label Studio's tasks, labels as predictions
    json_lines     labels.jsonl              a label a line
    vikus          vikus/data.csv            VIKUS Viewer
    catalogue      catalogue/                the museum's own file (`--catalog`) with the labels' columns added

`croissant` and `dataset_card` describe `dataset/data/TASK.parquet`, which is written with them. The labels are read and
the files written batch by batch, and each file takes the place of its predecessor when it is whole.

A label with a score below its task's threshold is `uncertain` in all of them, as are works of which no label is said,
and all labels of a model that is no better than chance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from artray import console
from artray.errors import InputError
from artray.job import Counts, Options
from artray.labeling.exports.annotations import write_annotations
from artray.labeling.exports.catalogue import write_catalogue
from artray.labeling.exports.croissant import write_croissant
from artray.labeling.exports.dataset import TaskFile, write_dataset
from artray.labeling.exports.dataset_card import write_dataset_card
from artray.labeling.exports.json_lines import write_json_lines
from artray.labeling.exports.label_studio import write_label_studio
from artray.labeling.exports.linked_art import write_linked_art
from artray.labeling.exports.source import read_source
from artray.labeling.exports.spreadsheet import write_csv
from artray.labeling.exports.vikus import write_vikus
from artray.storage import Location

FOLDER = "exports"

Format = Literal[
    "csv",
    "annotations",
    "linked_art",
    "croissant",
    "dataset_card",
    "label_studio",
    "json_lines",
    "vikus",
    "catalogue",
]


class ExportOptions(Options):
    """What becomes of the labels besides the page."""

    export: list[Format] = Field(
        [],
        description="csv, annotations, linked_art, croissant, dataset_card, label_studio, json_lines, vikus, catalogue",
        examples=["FORMAT"],
    )
    catalog: Location | None = Field(
        None, description="the museum's own file (CSV, .xlsx), for the export `catalogue`", examples=["FILE"]
    )
    corrections: list[Location] = Field(
        [],
        description="what curators said, for page and exports: the page's CSV, Label Studio's export, annotation "
        "pages; default for the exports: what ingest has written of it",
        examples=["FILE"],
    )
    only_accepted: bool = Field(False, description="export only labels that somebody has accepted or given")
    threshold: dict[str, float] = Field(
        {}, description="labels with a lower score are uncertain; default: the bundle's own", examples=["TASK=SCORE"]
    )
    base_uri: str | None = Field(
        None,
        description="what the exports' URIs of works begin with: BASE/object/ID (default: urn:uuid:…)",
        examples=["URI"],
    )
    object_score: float = Field(0.5, ge=0, le=1, description="detected objects with a lower score are not annotated")
    csv_bom: bool = Field(False, description="begin labels.csv with a byte order mark, which older Excel needs")
    license: str | None = Field(
        None, description="of the labels as a data set, by Hugging Face's name, such as cc0-1.0 or cc-by-4.0"
    )

    @field_validator("base_uri")
    @classmethod
    def _absolute(cls, uri: str | None) -> str | None:
        if uri is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+", uri):
            raise ValueError("must be an absolute URI")
        return uri and uri.rstrip("/")

    @field_validator("threshold")
    @classmethod
    def _shares(cls, thresholds: dict[str, float]) -> dict[str, float]:
        if not all(0 <= score <= 1 for score in thresholds.values()):
            raise ValueError("must lie between 0 and 1")
        return thresholds


def export_labels(
    options: ExportOptions,
    labels: Location,
    out: Path,
    features: Location | None = None,
    *,
    doubts: Mapping[str, str] | None = None,
) -> Counts:
    """Write the formats asked for into `exports/` below a folder.

    Args:
        options: Which formats, and how.
        labels: The labels of label_catalog.
        out: A folder on this machine.
        features: A feature table of the same pictures: titles, IIIF addresses, objects with their boxes.
        doubts: By model_id, why nothing that a model says can be relied on, beside what the labels say themselves.

    Returns:
        For each format the file to open and what it holds.

    Raises:
        InputError: The labels or features can't be read, a threshold's task does not exist, or `out` can't be written.
    """
    if not options.export:
        return {}
    if "catalogue" in options.export and options.catalog is None:
        raise InputError("--export catalogue adds columns to the museum's own file: --catalog FILE names it")
    source = read_source(
        labels,
        features,
        options.threshold,
        options.base_uri,
        doubts=doubts,
        corrections=options.corrections,
        only_accepted=options.only_accepted,
    )
    for line in source.lines():
        console.say(line)
    folder = out / FOLDER
    dataset: list[TaskFile] = []
    writers: dict[str, Callable[[], Counts]] = {
        "csv": lambda: write_csv(source, folder / "labels.csv", bom=options.csv_bom),
        "annotations": lambda: write_annotations(source, folder / "annotations", least_score=options.object_score),
        "linked_art": lambda: write_linked_art(source, folder / "linked_art.jsonl"),
        "croissant": lambda: write_croissant(source, dataset, folder / "dataset", options.license),
        "dataset_card": lambda: write_dataset_card(source, dataset, folder / "dataset", options.license),
        "label_studio": lambda: write_label_studio(source, folder / "label_studio"),
        "json_lines": lambda: write_json_lines(source, folder / "labels.jsonl"),
        "vikus": lambda: write_vikus(source, folder / "vikus" / "data.csv"),
    }
    if options.catalog is not None:
        writers["catalogue"] = partial(write_catalogue, source, options.catalog, folder / "catalogue")
    written: Counts = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not {"croissant", "dataset_card"}.isdisjoint(options.export):
            dataset = write_dataset(source, folder / "dataset")
        for name in dict.fromkeys(options.export):
            written[name] = writers[name]()
    except OSError as error:
        raise InputError(f"can't write the exports to {folder}: {error.strerror or error}") from error
    console.table("exports", ["format", "file"], [(name, counts["file"]) for name, counts in written.items()])
    return written
