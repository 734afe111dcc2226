"""Tasks in which a work may have several labels, from a bundle to the rows that readers see; and labels of before."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq

from artray.bundles.classifier import Bundle
from artray.labeling.contract import LABELS, models_of
from artray.labeling.models import identity
from artray.labeling.published import read_labels
from artray.labeling.station import LabelOptions, label_catalog, label_rows
from artray.storage import Location, digest
from tests.labeling import serial
from tests.labeling.bundles import write_bundle, write_manifest, write_pictures
from tests.labeling.test_contract import AT, NAMES, bundle, labels, staged


def several(**thresholds: float) -> Bundle:
    values = bundle().model_dump() | {"labels": "multilabel", "thresholds": thresholds}
    return Bundle.model_validate(values)


def scored(*rows: list[float] | None) -> pa.Table:
    table = staged(["truncated" if row is None else "ok" for row in rows])
    return table.set_column(4, "scores_0", pa.array(rows, pa.list_(pa.float32())))


def test_each_class_is_said_from_its_threshold_on_the_surest_first():
    table = scored([0.3, 0.9, 0.95], [0.1, 0.4, 0.1], None, [0.25, 0.5, 0.7])
    found = label_rows(table, "scores_0", several(Impressionism=0.25, Cubism=0.75), "run-1", AT).cast(LABELS)
    assert found["labels"].to_pylist() == [
        ["Cubism", "浮世絵", "Impressionism"],
        [],
        None,
        ["浮世絵", "Impressionism"],
    ]
    # The most likely class stands in `label` whether it is said or not.
    assert found["label"].to_pylist() == ["Cubism", "浮世絵", None, "Cubism"]
    assert found["score"].to_pylist() == [np.float32(0.95), np.float32(0.4), None, np.float32(0.7)]


def test_labels_of_one_label_are_as_old_as_their_model():
    """A bundle of before, whose labels are not to be made again; with several labels the thresholds count."""
    parts = bundle().model_dump(include={"task", "classes", "input", "decode_version", "model_sha"})
    assert identity(bundle()) == digest(json.dumps(parts, sort_keys=True).encode())
    assert len({identity(bundle()), identity(several()), identity(several(Cubism=0.25))}) == 3


def write_old(tmp_path):
    """Labels as the release before wrote them, and beside them a task of this release."""
    table = labels(staged(["ok", "truncated", "ok"]))
    for task, rows in (("style", table.drop_columns("labels")), ("zzz", table)):
        (tmp_path / f"task={task}").mkdir()
        pq.write_table(rows, tmp_path / f"task={task}" / "labels.parquet")
    return table


def test_labels_of_before_are_filled_in_as_they_are_read(tmp_path):
    table = write_old(tmp_path)
    dataset = read_labels(Location.parse(tmp_path))
    expected = [None if label is None else [label] for label in table["label"].to_pylist()] * 2
    assert dataset.to_table()["labels"].to_pylist() == expected
    assert dataset.to_table(columns=["labels"]).column_names == ["labels"]
    assert [row for batch in dataset.to_batches(columns=["labels"]) for row in batch["labels"].to_pylist()] == expected
    one = dataset.to_table(columns={"all": pads.field("labels")}, filter=pads.field("task") == "style")
    assert one["all"].to_pylist() == expected[:3]
    assert dataset.to_table(columns=["object_id"]).num_rows == dataset.count_rows() == 6
    assert dataset.head(1)["labels"].to_pylist() == expected[:1]
    assert set(NAMES) >= {label for row in expected if row for label in row}


def test_what_files_say_of_their_models():
    notes = [
        {
            "bundles": [
                {"model_id": "a", "abstain": {"threshold": 0.5}},
                {"model_id": "b", "abstain": {"threshold": None}},
                {"model_id": "c", "abstain": None},
                {"model_id": "d", "abstain": {"threshold": 0.5}, "doubt": "No better than chance."},
                {"model_id": "e", "abstain": None, "labels": "multilabel", "concepts": {"x": "http://x"}},
            ]
        },
        {},
    ]
    found = models_of(notes)
    assert found.thresholds == {"a": 0.5, "b": float("inf"), "d": float("inf")}
    assert found.doubts == {"d": "No better than chance."}
    assert (found.multilabel, found.concepts) == ({"e"}, {"e": {"x": "http://x"}})


def test_rows_that_stay_from_a_run_of_before_have_all_columns(tmp_path, monkeypatch):
    serial.install(monkeypatch)
    pictures = write_pictures(tmp_path / "scans", 4, broken=1)
    first = dict(list(pictures.items())[:3])
    model = write_bundle(f"{tmp_path}/model", "features", "tone")
    out = tmp_path / "out"

    def run() -> dict[str, object]:
        manifest = f"{tmp_path}/manifest"
        return label_catalog(LabelOptions(manifest=manifest, model=[model], out=str(out)))

    write_manifest(f"{tmp_path}/manifest", first)
    run()
    (file,) = (out / "_runs").glob("*/tone.parquet")
    pq.write_table(pq.read_table(file).drop_columns("labels"), file)  # as the release before wrote it
    write_manifest(f"{tmp_path}/manifest", pictures)
    counts = run()
    assert (counts["kept"], counts["computed"]) == (3, 2)
    found = pq.read_table(out / "task=tone" / "labels.parquet")
    assert found["labels"].to_pylist() == [label and [label] for label in found["label"].to_pylist()]
    assert found["label"].null_count == 1


def test_a_run_counts_labels_and_the_works_without_any(tmp_path, monkeypatch, capsys):
    serial.install(monkeypatch)
    write_manifest(f"{tmp_path}/manifest", write_pictures(tmp_path / "scans", 6))
    thresholds = {"motif 0": 0.0, "motif 1": 0.0, "motif 2": 1.0}
    level = {
        "n": 9,
        "accuracy": 0.5,
        "hamming_loss": 0.3,
        "majority": {"accuracy": 0.2, "balanced_accuracy": 0.5},
        "intervals": {"balanced_accuracy": [0.4, 0.7]},
    }
    changes = {"labels": "multilabel", "thresholds": thresholds, "metrics": {"test": {"artwork": level}}}
    options = {"manifest": f"{tmp_path}/manifest", "out": f"{tmp_path}/out"}
    model = write_bundle(f"{tmp_path}/model", "features", "motif", **changes)
    counts = label_catalog(LabelOptions(model=[model], **options))
    assert counts["tasks"] == {"motif": {"motif 0": 6, "motif 1": 6}}
    said = capsys.readouterr().err
    assert "motif: This model is not surely better than chance" in said
    assert "have no label" not in said
    model = write_bundle(
        f"{tmp_path}/other", "features", "motif", **changes | {"thresholds": dict.fromkeys(thresholds, 1)}
    )
    label_catalog(LabelOptions(model=[model], **options))
    assert "motif: 6 works have no label: no class reaches its threshold" in capsys.readouterr().err
    (run,) = {note["doubt"] for note in json.loads((tmp_path / "out" / "_run.json").read_text())["bundles"]}
    assert "all its labels are uncertain" in run
