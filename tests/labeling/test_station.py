"""Runs over a small collection in this process: what is computed, what stays, what readers see."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from artray.bundles.classifier import BUNDLE, PREDICTIONS, load_bundle, load_model
from artray.errors import ArtrayError, InputError
from artray.features.brightness import Brightness
from artray.images.decoding import decode
from artray.labeling import models, published, station
from artray.labeling.exports.source import read_source
from artray.labeling.published import labelled_pictures, read_labels, read_published
from artray.patches.squares import draw
from artray.storage import Location
from tests.labeling.bundles import (
    write_bundle,
    write_manifest,
    write_novelty,
    write_pictures,
)
from tests.labeling.labelled import ROWS, decisions, of, rows

pytestmark = pytest.mark.slow  # whole stations


def test_labels_are_keras_own_predictions(label, bundles, collection, tmp_path):
    """Of models on pictures, features and patches in one pass: by the decoded picture and nothing else."""
    label(bundles["pictures"], bundles["features"], bundles["patches"])
    by_task = {
        kind: load_model(Location.parse(bundles[kind]), load_bundle(Location.parse(bundles[kind])))
        for kind in ("pictures", "features", "patches")
    }
    found = rows(tmp_path / "out")
    assert len(found) == 3 * ROWS
    for row in found:
        if row["object_id"] in ("W38", "W39"):
            assert (row["status"], row["label"], row["score"], row["scores"]) == ("truncated", None, None, None)
            continue
        data = Path(collection[row["object_id"]]).read_bytes()
        model = by_task[row["task"]]
        if row["task"] == "pictures":
            expected = model.predict_on_batch(decode(data, 16).image[None])[0]
        elif row["task"] == "features":
            brightness = Brightness(size=32)(decode(data, 32).image[None])["brightness"].to_pylist()
            expected = model.predict_on_batch(np.array([brightness], np.float32))[0]
        else:
            squares = draw(decode(data, 64, fit="inside").image, row["object_id"], size=24, per_image=3, seed=5)
            halves = squares.reshape(3, 12, 2, 12, 2, 3).mean((2, 4)).round()  # a box filter to half the size
            expected = model.predict_on_batch(halves.astype(np.float32)).mean(axis=0)
        tolerance = 0.01 if row["task"] == "patches" else 1e-5
        assert list(row["scores"].values()) == pytest.approx(expected, abs=tolerance)
        assert row["label"] == f"{row['task']} {expected.argmax()}"
        assert row["score"] == max(row["scores"].values())


def test_neither_batch_nor_order_nor_company_matters(label, bundles, collection, tmp_path, monkeypatch):
    label(bundles["pictures"], bundles["features"])
    expected = rows(tmp_path / "out")
    backwards = write_manifest(str(tmp_path / "backwards"), dict(reversed(collection.items())))
    monkeypatch.setattr(models, "BATCH", 5)
    label(bundles["features"], bundles["patches"], bundles["pictures"], manifest=backwards, out=f"{tmp_path}/other")
    found = [row for row in rows(tmp_path / "other") if row["task"] != "patches"]
    assert of(found, "object_id", "task", "label", "status") == of(expected, "object_id", "task", "label", "status")
    for row, other in zip(found, expected, strict=True):
        assert (row["scores"] or {}) == pytest.approx(other["scores"] or {}, abs=1e-5)


def test_nothing_to_do(label, bundles, passes, tmp_path):
    first = label(bundles["pictures"])
    assert (first["rows"], first["ok"], first["failed"], first["computed"]) == (ROWS, ROWS - 2, 2, ROWS)
    second = label(bundles["pictures"])
    assert (second["rows"], second["computed"], second["kept"], second["run_id"]) == (ROWS, 0, ROWS, first["run_id"])
    assert (second["ok"], second["failed"]) == (ROWS - 2, 2)
    assert len(passes) == 1


def test_what_a_bundle_says_anew_of_its_model_reaches_labels_that_are_there(label, bundles, passes, tmp_path, capsys):
    """A doubt that was unknown when the labels were written, as to earlier releases."""
    model = shutil.copytree(bundles["pictures"], tmp_path / "model")
    first = label(str(model))
    told = json.loads((model / BUNDLE).read_text())
    level = {"n": 40, "accuracy": 0.3, "majority": {"accuracy": 0.4, "balanced_accuracy": 0.33}}
    level["intervals"] = {"balanced_accuracy": [0.2, 0.5]}
    told["metrics"] = {"test": {"artwork": level}}
    (model / BUNDLE).write_text(json.dumps(told))
    second = label(str(model))
    assert (second["computed"], second["kept"], len(passes)) == (0, ROWS, 1)
    assert second["run_id"] != first["run_id"]
    assert "pictures: what the bundle says of its model has changed, and is written to its labels" in (
        capsys.readouterr().err
    )
    for file in (
        tmp_path / "out/task=pictures/labels.parquet",
        tmp_path / f"out/_runs/{second['run_id']}/pictures.parquet",
    ):
        (doubt,) = (bundle["doubt"] for bundle in json.loads(pq.read_metadata(file).metadata[b"artray"])["bundles"])
        assert doubt.startswith("This model is no better than always giving the same label")
    run = json.loads((tmp_path / "out/_run.json").read_text())
    assert [bundle["doubt"] for bundle in run["bundles"]] == [doubt]
    assert read_source(Location.parse(tmp_path / "out")).tasks[0].doubts == {"pictures-0": doubt}
    assert label(str(model))["run_id"] == second["run_id"]  # now there is nothing to do


def test_a_users_files_in_scratch_folders_stay(label, bundles, tmp_path):
    mine = [tmp_path / "out/_staging/mine.parquet", tmp_path / "out/_staging/thesis/parts/part-000000.parquet"]
    for file in mine:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"mine")
    killed = tmp_path / "out/_staging" / (24 * "a")
    (killed / "parts").mkdir(parents=True)
    (killed / "parts" / "part-000000.parquet").write_bytes(b"x")
    label(bundles["pictures"])
    assert [file.read_bytes() for file in mine] == [b"mine"] * 2
    assert not killed.exists()
    label(bundles["pictures"])
    assert sorted(file.name for file in (tmp_path / "out/_staging").rglob("*") if file.is_file()) == [
        "mine.parquet",
        "part-000000.parquet",
    ]


def test_what_is_new_or_changed_is_labelled_and_the_rest_stays(label, bundles, collection, manifest, passes, tmp_path):
    first = label(bundles["pictures"])
    before = {row["object_id"]: row for row in rows(tmp_path / "out")}
    grown = write_pictures(tmp_path / "scans", ROWS + 3)
    moved = tmp_path / "scans" / "moved.png"
    Path(grown["W5"]).rename(moved)
    grown["W5"] = str(moved)
    del grown["W0"], grown["W1"]
    write_manifest(manifest, grown, {"W2": "2", "W38": "2"})
    second = label(bundles["pictures"])
    fresh = {"W2", "W5", "W38", "W40", "W41", "W42"}
    assert set(passes[1]) == fresh
    assert (second["computed"], second["kept"], second["gone"]) == (len(fresh), ROWS + 1 - len(fresh), 2)
    after = {row["object_id"]: row for row in rows(tmp_path / "out")}
    assert set(after) == set(grown)
    for name, row in after.items():
        if name in fresh:
            assert (row["run_id"], row["status"]) == (second["run_id"], "ok")
        else:
            assert row == before[name]
            assert row["run_id"] == first["run_id"]


def test_a_reason_that_may_have_passed_is_looked_at_again(label, bundles, collection, manifest, passes, tmp_path):
    gone = Path(collection["W3"])
    data = gone.read_bytes()
    gone.unlink()
    assert label(bundles["pictures"])["statuses"] == {"ok": ROWS - 3, "truncated": 2, "missing": 1}
    gone.write_bytes(data)
    assert label(bundles["pictures"])["statuses"] == {"ok": ROWS - 2, "truncated": 2}
    assert set(passes[1]) == {"W3"}


def test_another_model_labels_everything_again_and_other_tasks_stay(label, bundles, passes, tmp_path):
    first = label(bundles["pictures"], bundles["features"])
    label(bundles["other"])
    found = rows(tmp_path / "out")
    assert len(passes[1]) == ROWS
    assert {(row["task"], row["model_id"]) for row in found} == {("pictures", "pictures-9"), ("features", "features-0")}
    assert {row["run_id"] for row in found if row["task"] == "features"} == {first["run_id"]}
    third = label(bundles["patches"], bundles["other"])  # only the first of them has something to do
    found = rows(tmp_path / "out")
    assert len(found) == 3 * ROWS
    assert {row["task"] for row in found if row["run_id"] == third["run_id"]} == {"patches"}


def test_a_run_that_died_goes_on(label, bundles, passes, tmp_path, monkeypatch):
    label(bundles["pictures"])
    expected = rows(tmp_path / "out")
    call = models.LabelWorker.__call__
    calls = []

    def dying(self: Any, table: pa.Table) -> pa.Table:
        calls.append(table)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        return call(self, table)

    monkeypatch.setattr(models.LabelWorker, "__call__", dying)
    with pytest.raises(OSError, match="No space"):
        label(bundles["pictures"], out=f"{tmp_path}/other")
    assert read_published(Location.parse(f"{tmp_path}/other")) is None
    monkeypatch.setattr(models.LabelWorker, "__call__", call)
    label(bundles["pictures"], out=f"{tmp_path}/other")
    assert len(passes[-1]) == ROWS - 3 * 7
    names = ("object_id", "label", "scores", "status", "error", "image_uri")
    assert of(rows(tmp_path / "other"), *names) == of(expected, *names)
    assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["_run.json", "_runs", "task=pictures"]


@pytest.mark.parametrize("step", ["parquet_writer", "commit", "_show", "_tidy"])
def test_a_full_disk_at_any_step_of_publishing(label, bundles, tmp_path, monkeypatch, step):
    """Readers see the old run or the new one; the same command goes on."""
    label(bundles["pictures"], bundles["features"])
    before = rows(tmp_path / "out")

    module = station if step in ("parquet_writer", "commit") else published
    original, calls = getattr(module, step), []

    def full(*arguments: Any) -> None:
        calls.append(arguments)
        if step in ("_show", "_tidy") and len(calls) == 1:  # at the start of the run
            return original(*arguments)
        raise InputError("out: no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, step, full)
        with pytest.raises(InputError, match="no space"):
            label(bundles["pictures"], bundles["features"], overwrite=True)
    committed = read_published(Location.parse(tmp_path / "out"))
    after = read_labels(Location.parse(tmp_path / "out")).to_table().to_pylist()
    assert {row["run_id"] for row in after} == {committed.run_id}
    assert len(after) == 2 * ROWS
    assert (committed.run_id == before[0]["run_id"]) == (step in ("parquet_writer", "commit"))
    label(bundles["pictures"], bundles["features"])
    names = ("object_id", "task", "label", "scores", "status")
    assert of(rows(tmp_path / "out"), *names) == of(before, *names)
    committed = read_published(Location.parse(tmp_path / "out"))
    left = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out" / "_runs").glob("*/*")}
    assert left == {*committed.files(), *committed.previous}
    assert not (tmp_path / "out" / "_staging").exists()


def test_which_version_of_a_picture_labels_are_from(label, bundles, collection, tmp_path):
    """Where tasks were labelled at different times: the newest run's."""
    label(bundles["pictures"], bundles["features"])
    grown = write_manifest(str(tmp_path / "grown"), collection, {"W3": "2"})
    label(bundles["features"], manifest=grown)
    found = {row["object_id"]: row for row in labelled_pictures(Location.parse(tmp_path / "out")).to_pylist()}
    assert {name: row["version"] for name, row in found.items() if row["version"] != "1"} == {"W3": "2"}
    assert {name: row["image_uri"] for name, row in found.items()} == collection


def test_folders_of_tasks_alone_are_labels_too(label, bundles, tmp_path):
    label(bundles["pictures"], bundles["features"])
    shutil.copytree(tmp_path / "out" / "task=features", tmp_path / "copy" / "task=features")
    order = [("object_id", "ascending")]
    copied = read_labels(Location.parse(tmp_path / "copy")).to_table().sort_by(order)
    whole = read_labels(Location.parse(tmp_path / "out")).to_table(filter=pc.field("task") == "features").sort_by(order)
    assert copied.drop_columns("task").equals(whole.drop_columns("task"))
    assert labelled_pictures(Location.parse(tmp_path / "copy")) is None


def test_works_that_look_like_none_of_the_classes_are_uncertain(label, bundles, tmp_path, capsys):
    for name, most in (("all", 1e9), ("none", 1e-9)):
        uri = f"{tmp_path}/{name}"
        write_bundle(uri, "features", name, novelty_sha=write_novelty(uri, most))
    label(f"{tmp_path}/all", f"{tmp_path}/none", bundles["features"])
    assert "none: 38 works look like none of the classes" in " ".join(capsys.readouterr().err.split())
    out = tmp_path / "out"
    assert decisions(out) == {
        "all": {"label": ROWS - 2, None: 2},
        "none": {"uncertain": ROWS - 2, None: 2},
        "features": {"label": ROWS - 2, None: 2},
    }
    for row in rows(out):
        known = row["status"] == "ok" and row["task"] != "features"
        assert (row["novelty"] is not None) == known
        if known:
            assert (row["novelty"] < 0.95) == (row["task"] == "all")
    # Another novelty is another model: its works are labelled again.
    write_bundle(f"{tmp_path}/none", "features", "none", novelty_sha=write_novelty(f"{tmp_path}/none", 1e9))
    assert label(f"{tmp_path}/all", f"{tmp_path}/none", bundles["features"])["computed"] > 2
    assert decisions(out)["none"] == {"label": ROWS - 2, None: 2}


def test_works_that_the_model_was_made_with_are_marked(label, bundles, tmp_path):
    def learned() -> dict[str, bool | None]:
        found = read_labels(Location.parse(tmp_path / "out")).to_table()
        return dict(zip(found["object_id"].to_pylist(), found["learned_from"].to_pylist(), strict=True))

    bundle = Location.parse(bundles["features"])
    label(bundles["features"])
    assert set(learned().values()) == {None}
    table = pa.table({"object_id": ["W0", "W1", "W2", "gone"], "part": ["train", "validation", "test", "train"]})
    (bundle / PREDICTIONS).write_table(table)
    try:
        label(bundles["features"], overwrite=True)
    finally:
        (bundle / PREDICTIONS).remove()
    told = learned()
    assert {name for name, known in told.items() if known} == {"W0", "W1"}
    assert {name for name, known in told.items() if known is None} == {f"W{n}" for n in (ROWS - 2, ROWS - 1)}


def test_labels_of_before_have_no_novelty(label, bundles, tmp_path):
    label(bundles["features"])
    whole = read_labels(Location.parse(tmp_path / "out")).to_table()
    (file,) = (tmp_path / "out" / "task=features").glob("*.parquet")
    old = tmp_path / "old" / "task=features" / "labels.parquet"
    old.parent.mkdir(parents=True)
    pq.write_table(pq.read_table(file, partitioning=None).drop_columns(["novelty"]), old)
    found = read_labels(Location.parse(tmp_path / "old")).to_table()
    assert found["novelty"].null_count == len(found) == len(whole)
    assert decisions(tmp_path / "old") == {"features": {"label": ROWS - 2, None: 2}}


def test_plain_readers_find_one_whole_file_a_task(label, bundles, tmp_path):
    for bundle in ("pictures", "other"):
        label(bundles[bundle], bundles["features"])
        found = duckdb.sql(
            f"SELECT task, count(*), count(DISTINCT object_id) FROM '{tmp_path}/out/task=*/*.parquet' GROUP BY 1"
        )
        assert sorted(found.fetchall()) == [("features", ROWS, ROWS), ("pictures", ROWS, ROWS)]
    # The run before stays for those who are reading it, what is older does not.
    label(bundles["pictures"], bundles["features"])
    current = read_published(Location.parse(tmp_path / "out"))
    there = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out" / "_runs").rglob("*.parquet")}
    assert there == {*current.files(), *current.previous}


def test_two_runs_at_once(label, bundles, tmp_path, monkeypatch):
    """The second one to publish is told, and does nothing."""
    plain = station._check_read

    def meanwhile(*arguments: Any) -> None:
        monkeypatch.setattr(station, "_check_read", plain)
        label(bundles["features"])
        plain(*arguments)

    monkeypatch.setattr(station, "_check_read", meanwhile)
    with pytest.raises((ArtrayError, OSError)):
        label(bundles["pictures"])
    assert {row["task"] for row in rows(tmp_path / "out")} == {"features"}
    label(bundles["pictures"])
    assert len(rows(tmp_path / "out")) == 2 * ROWS


def test_the_runs_metadata(label, bundles, manifest, tmp_path):
    counts = label(bundles["pictures"], bundles["features"])
    run = json.loads((tmp_path / "out" / "_run.json").read_text())
    assert run["run_id"] == counts["run_id"]
    assert [(model["task"], model["uri"]) for model in run["bundles"]] == [
        ("pictures", bundles["pictures"]),
        ("features", bundles["features"]),
    ]
    assert run["bundles"][0]["model_sha"] == load_bundle(Location.parse(bundles["pictures"])).model_sha
    assert {"python", "keras", "tensorflow", "ray"} <= set(run["versions"])
    assert run["counts"]["rows"] == ROWS
    assert run["options"]["manifest"] == manifest
    assert run["seconds"] > 0
    assert run["precision"] == {"float32": counts["ok"]}
    file = pq.ParquetFile(tmp_path / "out" / "task=pictures" / "labels.parquet")
    assert json.loads(file.metadata.metadata[b"artray"])["run_id"] == counts["run_id"]
    assert file.num_row_groups == 1  # from many staged parts
