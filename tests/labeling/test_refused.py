"""What a run refuses, in one line; what it never removes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import pyarrow as pa
import pytest

from artray.bundles.classifier import BUNDLE, MODEL
from artray.errors import ArtrayError, InputError
from artray.images.decoding import DECODE_VERSION
from artray.labeling import published, station
from artray.labeling.published import discard, read_labels
from artray.storage import Location
from tests.labeling.bundles import (
    save_bundle,
    write_bundle,
    write_manifest,
)
from tests.labeling.labelled import ROWS, refused, rows

pytestmark = pytest.mark.slow  # whole stations


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"image_uri": ["a.png"]}, "no column object_id"),
        ({"object_id": ["A"]}, "no column image_uri"),
        ({"object_id": [], "image_uri": []}, "has no rows"),
        ({"object_id": ["A", "B", "A"], "image_uri": ["a", "b", "c"]}, "the object_id 'A' stands in 2 rows"),
        ({"object_id": ["A", None], "image_uri": ["a", "b"]}, "1 row has no object_id"),
    ],
)
def test_a_manifest_that_is_none(label, bundles, tmp_path, content, words):
    Location.parse(f"{tmp_path}/bad/manifest.parquet").write_table(pa.table(content))
    with pytest.raises(InputError) as raised:
        label(bundles["pictures"], manifest=f"{tmp_path}/bad")
    assert words in refused(raised)
    assert not (tmp_path / "out").exists()


def test_a_manifest_by_others(label, bundles, collection, tmp_path):
    """Numbers for ids, and no versions: then nothing is known of what has changed."""
    names = list(collection)
    content = {"object_id": [int(name[1:]) for name in names], "image_uri": list(collection.values())}
    Location.parse(f"{tmp_path}/theirs/m.parquet").write_table(pa.table(content))
    for _ in range(2):
        counts = label(bundles["pictures"], manifest=f"{tmp_path}/theirs")
        assert (counts["computed"], counts["ok"]) == (ROWS, ROWS - 2)
    assert {row["object_id"] for row in rows(tmp_path / "out")} == {name[1:] for name in names}


def test_no_picture_can_be_read(label, bundles, collection, passes, tmp_path):
    label(bundles["pictures"])
    before = rows(tmp_path / "out")
    for path in collection.values():
        Path(path).rename(f"{path}.away")
    with pytest.raises(ArtrayError, match=r"no picture could be read: 40 missing \(not found\)") as raised:
        label(bundles["pictures"], overwrite=True)
    assert not isinstance(raised.value, InputError)  # status 1
    assert rows(tmp_path / "out") == before
    for path in collection.values():
        Path(f"{path}.away").rename(path)
    assert label(bundles["pictures"], overwrite=True)["ok"] == ROWS - 2


def test_labels_of_another_collection_are_not_dropped_by_mistake(label, bundles, collection, tmp_path):
    label(bundles["pictures"])
    before = rows(tmp_path / "out")
    strangers = {f"X{name}": path for name, path in collection.items()}
    other = write_manifest(str(tmp_path / "strangers"), strangers)
    with pytest.raises(InputError, match="40 of 40 labelled works are not in"):
        label(bundles["pictures"], manifest=other)
    assert rows(tmp_path / "out") == before
    assert label(bundles["pictures"], manifest=other, overwrite=True)["rows"] == ROWS
    assert {row["object_id"] for row in rows(tmp_path / "out")} == set(strangers)


def test_another_jobs_folder_is_not_written_to(label, bundles, table):
    with pytest.raises(InputError, match="holds something other than labels"):
        label(bundles["pictures"], out=table)


@pytest.mark.parametrize("place", ["manifest", "manifest/labels", "features", "features/labels"])
def test_labels_are_apart_from_what_they_are_made_from(label, bundles, table, tmp_path, place):
    with pytest.raises(InputError, match=r"^--out .*--(manifest|features)"):
        label(bundles["pictures"], features=table, out=f"{tmp_path}/{place}")
    with pytest.raises(InputError, match="is the place of --model"):
        label(bundles["pictures"], out=bundles["pictures"])
    assert not list(tmp_path.glob("**/task=*"))


def test_a_pass_that_did_not_finish_is_not_written_to(label, bundles, tmp_path):
    Location.parse(f"{tmp_path}/out/_plan.json").write_bytes(b'{"job": "features", "chunks": []}')
    with pytest.raises(InputError, match="holds the output of another job"):
        label(bundles["pictures"])


def test_a_bundles_task_does_not_lead_out_of_the_output(label, tmp_path):
    bundle = Path(write_bundle(f"{tmp_path}/bundle", "pictures", "pictures"))
    values = json.loads((bundle / BUNDLE).read_text())
    (bundle / BUNDLE).write_text(json.dumps({**values, "task": "../../escaped"}))
    with pytest.raises(InputError, match=r"bundle.json: task: ") as raised:
        label(str(bundle))
    refused(raised)
    assert not list(tmp_path.rglob("*escaped*"))


@pytest.mark.parametrize("key", ["task", "labels", "pictures"])
def test_a_strangers_run_does_not_lead_out_of_the_labels(label, bundles, tmp_path, key):
    label(bundles["pictures"])
    run = json.loads((tmp_path / "out" / "_run.json").read_text())
    (task,) = run["tasks"].values()
    run["tasks"] = (
        {"../escaped": task} if key == "task" else {"pictures": {**task, key: "../manifest/manifest.parquet"}}
    )
    (tmp_path / "out" / "_run.json").write_text(json.dumps(run))
    for read in (read_labels, label):
        with pytest.raises(InputError):
            read(Location.parse(tmp_path / "out") if read is read_labels else bundles["pictures"])
    assert not list(tmp_path.rglob("*escaped*"))


def test_a_bundle_that_is_replaced_meanwhile(label, tmp_path, passes):
    bundle = write_bundle(f"{tmp_path}/bundle", "pictures", "pictures")
    begin = station.run_pass

    def replaced(*arguments: Any, **options: Any) -> Any:
        write_bundle(f"{tmp_path}/bundle", "pictures", "pictures", seed=4)
        return begin(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(station, "run_pass", replaced)
        with pytest.raises(InputError, match="was replaced while it was labelling"):
            label(bundle)
    label(bundle)
    assert {row["model_id"] for row in rows(tmp_path / "out")} == {"pictures-4"}


def test_a_bundles_backbone_with_code_in_it_is_not_loaded(label, tmp_path):
    given = keras.Input((16, 16, 3))
    keras.Model(given, keras.layers.Lambda(lambda x: x[:, 0, 0])(given)).save(tmp_path / "theirs.keras")
    network = keras.Model(given := keras.Input((3,)), keras.layers.Dense(3, activation="softmax")(given))
    spec = {
        "name": "embedding",
        "size": 16,
        "backbone": f"{tmp_path}/theirs.keras",
        "weights": None,
        "statistics": False,
    }
    given_input = {"kind": "features", "features": [spec], "columns": ["embedding"]}
    with pytest.raises(InputError, match=r"theirs.keras: not a Keras model that can be loaded"):
        label(save_bundle(f"{tmp_path}/bundle", network, given_input, "unsafe", 3))


def test_damaged_and_unsafe_bundles(label, tmp_path):
    bundle = write_bundle(f"{tmp_path}/damaged", "pictures", "damaged")
    data = bytearray((Path(bundle) / MODEL).read_bytes())
    data[len(data) // 2] ^= 1
    (Path(bundle) / MODEL).write_bytes(data)
    with pytest.raises(InputError, match="is not the one"):
        label(bundle)
    given = keras.Input((16, 16, 3))
    network = keras.Model(given, keras.layers.Lambda(lambda x: x[:, 0, 0])(given))
    unsafe = save_bundle(f"{tmp_path}/lambda", network, {"kind": "pictures", "size": 16}, "unsafe", 3)
    with pytest.raises(InputError, match="can't be loaded safely"):
        label(unsafe)
    old = write_bundle(f"{tmp_path}/old", "pictures", "old", decode_version=DECODE_VERSION + 1)
    with pytest.raises(InputError, match="decode version"):
        label(old)
    assert json.loads((Path(old) / BUNDLE).read_text())["task"] == "old"
    assert not (tmp_path / "out" / "_run.json").exists()


@pytest.mark.parametrize("committing", [False, True])
def test_a_run_that_fails_leaves_its_files_on_s3_only_if_it_may_be_committed_yet(s3_bucket, committing):
    out = Location.parse(f"{s3_bucket}/failed-{committing}")
    (out / "_runs" / "run" / "style.parquet").write_bytes(b"labels")
    discard(out, "run", committing=committing)
    assert (out / "_runs" / "run" / "style.parquet").exists() == committing


def test_a_users_notes_beside_the_runs_stay(tmp_path):
    for name in ("_runs/notes.txt", "_runs/old/notes.txt", "_runs/old/style.parquet"):
        Location.parse(tmp_path / name).write_bytes(b"a")
    published.settle(Location.parse(tmp_path), None)
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == ["notes.txt", "notes.txt"]
