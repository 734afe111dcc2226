"""A detector is a program: it is loaded where the user names it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pytest

from artray.bundles.classifier import load_bundle, load_model
from artray.errors import InputError
from artray.features.objects import ENCODING, Objects
from artray.images.decoding import DECODE_VERSION, decode
from artray.storage import Location
from tests.features.test_objects import save_detector
from tests.labeling.bundles import (
    BRIGHTNESS,
    save_bundle,
    write_manifest,
)
from tests.labeling.labelled import ROWS, of, refused, rows

pytestmark = pytest.mark.slow  # whole stations


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
