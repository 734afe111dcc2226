"""Labelling with a feature table: what is taken from it, and what is not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artray.bundles.classifier import load_bundle, load_model
from artray.errors import InputError
from artray.features.objects import ENCODING, Objects
from artray.images.decoding import DECODE_VERSION, decode
from artray.labeling import models
from artray.storage import Location
from tests.features.test_objects import save_detector
from tests.labeling.bundles import (
    BRIGHTNESS,
    save_bundle,
    write_manifest,
)
from tests.labeling.conftest import ROWS
from tests.labeling.rows import of, refused, rows

pytestmark = pytest.mark.usefixtures("passes")


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


def test_features_that_are_there_are_not_computed_again(label, bundles, table, decoded, tmp_path):
    label(bundles["features"])
    expected = rows(tmp_path / "out")
    decoded.clear()
    label(bundles["features"], features=table, out=f"{tmp_path}/other")
    assert set(decoded) == {"W38", "W39"}  # which could not be read
    names = ("object_id", "label", "scores", "status", "error")
    assert of(rows(tmp_path / "other"), *names) == of(expected, *names)
    decoded.clear()
    label(bundles["features"], bundles["pictures"], features=table, out=f"{tmp_path}/third")
    assert len(decoded) == ROWS  # the other model looks at them
    found = rows(tmp_path / "third")
    assert of([row for row in found if row["task"] == "features"], *names) == of(expected, *names)


def test_stale_features_are_not_used(label, bundles, table, collection, manifest, decoded, tmp_path):
    write_manifest(manifest, collection, {"W7": "2", "W8": "2"})
    label(bundles["features"], features=table)
    assert set(decoded) == {"W7", "W8", "W38", "W39"}


def test_features_with_other_options_are_not_used(label, bundles, table, decoded, tmp_path, capsys):
    run = json.loads((Path(table) / "_run.json").read_text())
    run["arguments"]["features"] = [{"name": "brightness", "size": 64}]
    (Path(table) / "_run.json").write_text(json.dumps(run))
    label(bundles["features"], features=table)
    assert len(decoded) == ROWS
    assert "not used" in capsys.readouterr().err


def test_a_feature_table_that_is_replaced_meanwhile(label, bundles, table, tmp_path):
    work = models.LabelWorker.__call__

    def replaced(self: Any, given: pa.Table) -> pa.Table:
        part = Path(table) / "part-000001.parquet"
        content = pq.read_table(part)
        pq.write_table(content.slice(1), part)
        return work(self, given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models.LabelWorker, "__call__", replaced)
        with pytest.raises(InputError, match="was replaced"):
            label(bundles["features"], features=table)


def test_a_feature_table_of_another_decode_version(label, bundles, table):
    run = json.loads((Path(table) / "_run.json").read_text())
    run["arguments"]["decode_version"] += 1
    (Path(table) / "_run.json").write_text(json.dumps(run))
    with pytest.raises(InputError, match="decode version"):
        label(bundles["features"], features=table)


# -- a detector, which is a program ------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real one, which the user trusts."""
    return save_detector(tmp_path_factory.mktemp("detector"))


@pytest.fixture
def looking(tmp_path: Path) -> str:
    """A bundle that names a detector of its own, which would be seen to be loaded: it is none."""
    Location.parse(f"{tmp_path}/theirs/saved_model.pb").write_bytes(b"not to be loaded")
    keras.utils.set_random_seed(0)
    given = keras.Input((len(ENCODING),))
    network = keras.Model(given, keras.layers.Dense(3, activation="softmax")(given))
    spec = {"name": "objects", "detector": f"{tmp_path}/theirs", "size": 64}
    given_input = {"kind": "features", "features": [spec, BRIGHTNESS], "columns": ["objects_encoding"]}
    return save_bundle(f"{tmp_path}/looking", network, given_input, "looking", 3)


def test_a_bundles_detector_is_not_loaded(label, bundles, looking, tmp_path):
    with pytest.raises(InputError, match=r"/theirs'\): name one that you trust with --detector DIR") as raised:
        label(looking, bundles["pictures"])
    assert refused(raised).startswith(f"{looking}: needs an object detector, which is a program")
    with pytest.raises(InputError, match=r"not a detector: there is no saved_model\.pb"):
        label(looking, detector=f"{tmp_path}/scans")
    assert not (tmp_path / "out" / "_run.json").exists()


def test_the_detector_that_the_user_names_is(label, looking, detector, collection, tmp_path):
    label(looking, detector=detector)
    found = {row["object_id"]: row for row in rows(tmp_path / "out")}
    assert Counter(row["status"] for row in found.values())["ok"] == ROWS - 2
    picture = decode(Path(collection["W3"]).read_bytes(), 64).image
    encoding = Objects(detector, size=64)(picture[None])["objects_encoding"]
    scores = load_model(Location.parse(looking), load_bundle(Location.parse(looking)))(
        np.array(encoding.to_pylist(), np.float32)
    )
    assert np.allclose(list(found["W3"]["scores"].values()), np.asarray(scores)[0], atol=1e-5)
    label(looking)  # nothing to do: no detector is needed


def test_of_objects_in_the_feature_table_no_detector_is_needed(
    label, looking, detector, collection, manifest, tmp_path
):
    """Two pictures that can't be read are read again; a new one can be, and there is nobody to look at it."""
    (spec, _) = load_bundle(Location.parse(looking)).input.features
    names = [name for name in sorted(collection) if name not in ("W38", "W39")]
    pictures = np.stack([decode(Path(collection[name]).read_bytes(), 64).image for name in names])
    state = {"version": ["1"] * len(names), "status": ["ok"] * len(names), "error": pa.nulls(len(names), pa.string())}
    content = {"object_id": names, "image_uri": [collection[name] for name in names], **state}
    table = pa.table({**content, **Objects(detector, size=64)(pictures)})
    Location.parse(f"{tmp_path}/table/part-000000.parquet").write_table(table)
    run = {"arguments": {"features": [spec], "decode_version": DECODE_VERSION}, "fingerprint": "f", "finished_at": "x"}
    Location.parse(f"{tmp_path}/table/_run.json").write_bytes(json.dumps(run).encode())
    label(looking, detector=detector, out=f"{tmp_path}/computed")
    label(looking, features=f"{tmp_path}/table")
    names = ("object_id", "label", "scores", "status")
    assert of(rows(tmp_path / "out"), *names) == of(rows(tmp_path / "computed"), *names)
    grown = write_manifest(manifest, {**collection, "new": collection["W0"]})
    with pytest.raises(InputError, match="--detector DIR"):
        label(looking, manifest=grown, features=f"{tmp_path}/table")
