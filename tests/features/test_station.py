"""The pass of `extract_features`, without Ray."""

import io
import pickle

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from artray.features import station
from artray.features.embedding import Embedding
from artray.images.decoding import DECODE_VERSION
from artray.storage import list_column

SPECS = [{"name": "brightness", "size": 24}, {"name": "embedding", "size": 16}, {"name": "palette", "size": 24, "n": 3}]


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of the embedding gets, which is a picture's mean colour here."""
    found: list[int] = []

    def means(_: Embedding, images: np.ndarray) -> dict[str, pa.Array]:
        found.append(len(images))
        return {"embedding": list_column(images.mean(axis=(1, 2), dtype=np.float32))}

    monkeypatch.setattr(Embedding, "__call__", means)
    monkeypatch.setattr(Embedding, "fields", [pa.field("embedding", pa.list_(pa.float32()))])
    return found


@pytest.fixture
def rows(tmp_path):
    """40 rows; every fifth has no picture, the first sixteen have none at all."""
    uris = []
    for number in range(40):
        file = io.BytesIO()
        picture = np.random.default_rng(number).integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(picture).save(file, "PNG")
        path = tmp_path / f"{number}.png"
        if number >= 16 and number % 5:
            path.write_bytes(file.getvalue())
        uris.append(str(path))
    return pa.table({"object_id": [str(number) for number in range(40)], "image_uri": uris, "status": ["x"] * 40})


def test_what_is_prepared_elsewhere_and_finished_together_is_the_same(rows, batches):
    worker = station._FeatureWorker(SPECS, DECODE_VERSION)
    expected = worker(rows)
    assert expected.column_names == [
        *("object_id", "image_uri", "catalog_status", "status", "error", "width", "height"),
        *("brightness", "embedding", "palette_rgb", "palette_hsv", "palette_share"),
    ]
    assert batches == [13, 7]
    batches.clear()
    prepared = [batch for start in range(0, 40, 16) for batch in worker.prepare(rows.slice(start, 16))]
    sent = pickle.dumps(prepared)
    assert worker.finish(pickle.loads(sent)).equals(expected.combine_chunks().replace_schema_metadata())
    assert batches == [20]
    worker.warm()
    assert batches == [20, 1]


def test_of_no_picture_there_are_nulls(rows, batches):
    worker = station._FeatureWorker(SPECS, DECODE_VERSION)
    found = worker.finish(list(worker.prepare(rows.slice(0, 16))))
    assert found["embedding"].null_count == found["brightness"].null_count == 16
    assert not batches
