"""Runs over a small collection in this process: what is computed, what stays, what readers see."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from artray.bundles.classifier import BUNDLE, MODEL, PREDICTIONS, load_bundle, load_model
from artray.errors import ArtrayError, InputError
from artray.features.brightness import Brightness
from artray.features.objects import ENCODING, Objects
from artray.images.decoding import DECODE_VERSION, decode
from artray.labeling import models, published, station
from artray.labeling.exports.source import read_source
from artray.labeling.published import discard, labelled_pictures, read_labels, read_published
from artray.labeling.station import LabelOptions, label_catalog
from artray.patches.squares import draw
from artray.storage import Location
from tests.features.test_objects import save_detector
from tests.labeling import serial
from tests.labeling.bundles import (
    BRIGHTNESS,
    TEXTURE,
    save_bundle,
    write_bundle,
    write_manifest,
    write_novelty,
    write_pictures,
)

ROWS = 40


@pytest.fixture(autouse=True)
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
def label(tmp_path: Path, manifest: str):
    """Labels the collection."""

    def run(*bundles: str, **options: Any) -> dict[str, Any]:
        values = {"manifest": manifest, "model": list(bundles), "out": f"{tmp_path}/out", **options}
        return label_catalog(LabelOptions.model_validate(values))

    return run


def rows(out: Path | str) -> list[dict[str, Any]]:
    """All labels by the commit, after a look that plain readers see the same."""
    table = read_labels(Location.parse(out)).to_table().sort_by([("task", "ascending"), ("object_id", "ascending")])
    plain = Location.parse(str(out)).dataset().to_table(columns=table.column_names)
    plain = plain.sort_by([("task", "ascending"), ("object_id", "ascending")])
    assert plain.to_pylist() == table.to_pylist()
    keys = Counter(zip(table["task"].to_pylist(), table["object_id"].to_pylist(), strict=True))
    assert not keys or max(keys.values()) == 1
    return table.to_pylist(maps_as_pydicts="strict")


def of(found: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in found]


@pytest.mark.slow
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
            expected = model.predict(decode(data, 16).image[None], verbose=0)[0]
        elif row["task"] == "features":
            brightness = Brightness(size=32)(decode(data, 32).image[None])["brightness"].to_pylist()
            expected = model.predict(np.array([brightness], np.float32), verbose=0)[0]
        else:
            squares = draw(decode(data, 64, fit="inside").image, row["object_id"], size=24, per_image=3, seed=5)
            halves = squares.reshape(3, 12, 2, 12, 2, 3).mean((2, 4)).round()  # a box filter to half the size
            expected = model.predict(halves.astype(np.float32), verbose=0).mean(axis=0)
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


def decisions(out: Path) -> dict[str, Counter[str | None]]:
    """How often each decision is made, by task."""
    source = read_source(Location.parse(out))
    return {task.name: Counter(pa.concat_tables(task.batches([]))["decision"].to_pylist()) for task in source.tasks}


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
    file = pq.ParquetFile(tmp_path / "out" / "task=pictures" / "labels.parquet")
    assert json.loads(file.metadata.metadata[b"artray"])["run_id"] == counts["run_id"]
    assert file.num_row_groups == 1  # from many staged parts


# -- features at hand --------------------------------------------------------------------------------------------------


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


def test_what_is_prepared_elsewhere_and_finished_together_is_the_same(label, bundles, table, tmp_path, monkeypatch):
    """As beside a GPU."""
    models_of_all = [bundles[kind] for kind in ("features", "patches", "pictures")]
    label(*models_of_all, features=table)
    expected = rows(tmp_path / "out")

    def staged(self: models.LabelWorker, work: pa.Table) -> pa.Table:
        parts = [part for start in range(0, len(work), 3) for part in self.prepare(work.slice(start, 3))]
        self.warm()
        return self.finish(pickle.loads(pickle.dumps(parts)))

    monkeypatch.setattr(models.LabelWorker, "__call__", staged)
    label(*models_of_all, features=table, out=f"{tmp_path}/other")
    found = rows(tmp_path / "other")
    assert of(found, "task", "object_id", "label", "status", "error") == of(
        expected, "task", "object_id", "label", "status", "error"
    )
    for one, other in zip(found, expected, strict=True):
        assert dict(one["scores"] or []) == pytest.approx(dict(other["scores"] or []), abs=1e-6)


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


# -- bad input ---------------------------------------------------------------------------------------------------------


def refused(raised: pytest.ExceptionInfo[Exception]) -> str:
    line = str(raised.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"image_uri": ["a.png"]}, "no column object_id"),
        ({"object_id": ["A"]}, "no column image_uri"),
        ({"object_id": [], "image_uri": []}, "has no rows"),
        ({"object_id": ["A", "B", "A"], "image_uri": ["a", "b", "c"]}, "the object_id 'A' stands in 2 rows"),
        ({"object_id": ["A", None], "image_uri": ["a", "b"]}, "1 rows have no object_id"),
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
