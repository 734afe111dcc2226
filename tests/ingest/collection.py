"""A folder of pictures with a catalogue, ingested as a user would."""

import csv
from pathlib import Path

import pyarrow.parquet as pq

from artray.ingest.manifest import FILE
from artray.ingest.station import IngestOptions, ingest

CATALOG = [
    {"id": "1939.1", "file": "monet/a.jpg", "title": "Haystacks", "artist": "Monet", "style": "Impressionism"},
    {"id": "1939.2", "file": "monet/b.jpg", "title": "Poplars", "artist": "Monet", "style": "Impressionism"},
    {"id": "1940.1", "file": "c.png", "title": "The Wave", "artist": "Hokusai", "style": "Ukiyo-e"},
    {"id": "1941.1", "file": "gone.jpg", "title": "Lost", "artist": "Klee", "style": "Expressionism"},
    {"id": "1941.2", "file": "", "title": "Never photographed", "artist": "Klee", "style": "Expressionism"},
]


class Collection:
    """A folder with pictures, a catalogue and a manifest."""

    def __init__(self, folder: Path):
        self.images = folder / "images"
        self.catalog = folder / "catalog.csv"
        self.out = folder / "manifest"
        self.images.mkdir()

    def add(self, *names: str) -> None:
        for name in names:
            file = self.images / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(name.encode())

    def describe(self, rows: list[dict[str, str]]) -> None:
        with self.catalog.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def ingest(self, **options: object) -> tuple[dict[str, object], list[dict[str, object]]]:
        if self.catalog.exists():
            options.setdefault("catalog", str(self.catalog))
        options.setdefault("near_duplicates", False)
        counts = ingest(IngestOptions(images=str(self.images), out=str(self.out), **options))
        return counts, pq.read_table(self.out / FILE).to_pylist()


def by_id(rows, *names):
    return {row["object_id"]: tuple(row[name] for name in names) for row in rows}


def sides_of(rows, name):
    """For each value of a column the parts that its rows are in."""
    sides: dict[str, set[str]] = {}
    for row in rows:
        sides.setdefault(row[name], set()).add(row["split"])
    return sides
