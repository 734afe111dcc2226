"""Exports as `report` writes them, and the way back: corrections into training."""

import csv
from pathlib import Path

import numpy as np
import pytest

from artray.classifiers.config import TrainConfig
from artray.classifiers.examples import load_examples
from artray.report.station import ReportOptions, report
from artray.storage import Location
from tests.integration.tables import write_features
from tests.labeling.exports.collection import labels, write_labels

pytestmark = pytest.mark.usefixtures("ray_session")


def test_report_writes_the_exports_below_the_page(tmp_path):
    ids = [f"work-{number}" for number in range(20)]
    write_labels(tmp_path / "labels", "style", labels("style", {"Cubist": None, "Rococo": None}, ids))
    formats = ["csv", "annotations", "linked_art", "croissant", "dataset_card"]
    counts = report(
        ReportOptions(
            labels=str(tmp_path / "labels"), out=str(tmp_path / "page"), export=formats, threshold={"style": 0.9}
        )
    )
    assert list(counts["exports"]) == formats
    for written in counts["exports"].values():
        assert Path(written["file"]).is_relative_to(tmp_path / "page" / "exports")
        assert Path(written["file"]).exists()
    with (tmp_path / "page" / "exports" / "labels.csv").open(newline="") as file:
        decisions = {row["style_decision"] for row in csv.DictReader(file)}
    assert decisions == {"label", "uncertain", ""}


def test_training_reads_corrections(tmp_path):
    write_features(str(tmp_path / "features"))
    config = TrainConfig(task="kind", target="medium", input="features", model={"name": "linear"}).examples
    before = load_examples(config, Location.parse(tmp_path / "features"))
    (tmp_path / "corrections.csv").write_text("object_id,task,label\nwork-00,kind,code\nwork-01,kind,print\n")
    after = load_examples(
        config, Location.parse(tmp_path / "features"), corrections=[Location.parse(tmp_path / "corrections.csv")]
    )
    assert (before.classes, after.classes) == (["code", "hand"], ["code", "hand", "print"])
    assert after.table.equals(before.table)  # the same works in the same parts
    changed = np.flatnonzero((before.targets != after.targets[:, :2]).any(axis=1))
    assert after.table["object_id"].take(changed).to_pylist() == ["work-00", "work-01"]
    assert after.targets[changed].tolist() == [[1, 0, 0], [0, 0, 1]]
