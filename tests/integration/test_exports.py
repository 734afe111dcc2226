"""Exports as `report` writes them."""

import csv
from pathlib import Path

import pytest

from artray.report.station import ReportOptions, report
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
