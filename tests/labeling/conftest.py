"""A small collection, bundles, and runs in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from artray.features.brightness import Brightness
from artray.images.decoding import DECODE_VERSION, decode
from artray.labeling import models
from artray.labeling.station import LabelOptions, label_catalog
from artray.storage import Location
from tests.labeling import serial
from tests.labeling.bundles import (
    BRIGHTNESS,
    TEXTURE,
    write_bundle,
    write_manifest,
    write_pictures,
)
from tests.labeling.labelled import ROWS


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    return serial.install(monkeypatch)


@pytest.fixture
def collection(tmp_path: Path) -> dict[str, str]:
    return write_pictures(tmp_path / "scans", ROWS - 2, broken=2)


@pytest.fixture
def manifest(tmp_path: Path, collection: dict[str, str]) -> str:
    return write_manifest(str(tmp_path / "manifest"), collection)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A bundle of each kind, and another of the first one's task."""
    root = tmp_path_factory.mktemp("bundles")
    kinds = {kind: write_bundle(f"{root}/{kind}", kind, kind) for kind in ("pictures", "features", "patches")}
    return kinds | {"other": write_bundle(f"{root}/other", "pictures", "pictures", seed=9)}


@pytest.fixture
def label(tmp_path: Path, manifest: str, passes: list[list[str]]):
    """Labels the collection."""

    def run(*bundles: str, **options: Any) -> dict[str, Any]:
        values = {"manifest": manifest, "model": list(bundles), "out": f"{tmp_path}/out", **options}
        return label_catalog(LabelOptions.model_validate(values))

    return run


@pytest.fixture
def table(tmp_path: Path, collection: dict[str, str]) -> str:
    """A feature table of the collection, in parts of which none is in the manifest's order."""
    uri = tmp_path / "features"
    names = sorted(collection)
    for number in range(3):
        part = names[number::3]
        pictures = [decode(Path(collection[name]).read_bytes(), 32) for name in part]
        values = [
            Brightness(size=32)(item.image[None])["brightness"][0].as_py() if item.status == "ok" else None
            for item in pictures
        ]
        content = pa.table(
            {
                "object_id": part,
                "image_uri": [collection[name] for name in part],
                "version": ["1"] * len(part),
                "status": [item.status for item in pictures],
                "error": pa.array([item.error for item in pictures], pa.string()),
                "brightness": pa.array(values, pa.float64()),
            }
        )
        Location.parse(str(uri / f"part-{number:06d}.parquet")).write_table(content)
    arguments = {"features": [BRIGHTNESS, TEXTURE], "decode_version": DECODE_VERSION}
    run = {"arguments": arguments, "fingerprint": "f", "finished_at": "2026-01-01"}
    (uri / "_run.json").write_text(json.dumps(run))
    return str(uri)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the pictures that are read."""
    found: list[str] = []
    read = models.read_pictures

    def counted(table: pa.Table, *arguments: Any) -> Any:
        found.extend(table["object_id"].to_pylist())
        return read(table, *arguments)

    monkeypatch.setattr(models, "read_pictures", counted)
    return found
