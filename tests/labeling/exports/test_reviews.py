"""What people said of labels goes out with them, in every form, and comes back."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cromulent import vocab
from cromulent.reader import Reader

from artray.catalogs.corrections import read_corrections
from artray.catalogs.formulas import unguard
from artray.labeling.exports import ExportOptions, export_labels
from artray.storage import Location
from tests.labeling.exports.collection import HOSTILE, write_features

AT = "2026-06-01T10:00:00Z"


@pytest.fixture
def said(tmp_path, rows) -> dict[str, tuple[str | None, str]]:
    """By work: the reviewer's label and the decision, of three works that were looked at and one that is gone."""
    first, second, third = rows["style"][21:24]
    other = next(name for name, _ in first["scores"] if name != second["label"])
    given = {
        first["object_id"]: (first["label"], "accepted"),
        second["object_id"]: (other, "corrected"),
        third["object_id"]: (None, "rejected"),
    }
    with (tmp_path / "corrections.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["object_id", "task", "label", "predicted", "score", "corrected_at", "reviewer", "reviewed_at"])
        for object_id, (label, _) in given.items():
            writer.writerow([object_id, "style", label, "x", ".5", AT, "'=Ann <b>", AT])
        writer.writerow(["gone", "style", "Rococo", "x", ".5", AT, "Bob", AT])
    return given


@pytest.fixture
def export(tmp_path, collection, features, said):
    def run(*formats: str, **options) -> Path:
        values = {"export": list(formats), "corrections": [str(tmp_path / "corrections.csv")], **options}
        export_labels(
            ExportOptions.model_validate(values), Location.parse(collection), tmp_path, Location.parse(features)
        )
        return tmp_path / "exports"

    return run


def test_the_spreadsheet_says_who_decided_what(export, said, capsys):
    with (export("csv") / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = {unguard(row["object_id"]): row for row in csv.DictReader(file)}
    for object_id, (label, decision) in said.items():
        row = rows[object_id]
        assert (row["style_review"], row["style_reviewed_label"]) == (decision, label or "")
        assert (row["style_reviewer"], row["style_reviewed_at"]) == ("'=Ann <b>", AT)
        assert row["style_labeled_at"].startswith("2026-05-04")
        assert row["style_model_id"] == "style-0123456789ab"
    assert sum(row["style_review"] != "" for row in rows.values()) == 3
    told = capsys.readouterr().err
    assert "style: 1 accepted, 1 corrected, 1 rejected, 1 of works that are not here" in " ".join(told.split())


def test_annotations_of_people_stand_beside_those_of_software(export, said):
    folder = export("annotations") / "annotations"
    items = [each for page in sorted(folder.glob("page-*.json")) for each in json.loads(page.read_text())["items"]]
    human = [each for each in items if each["motivation"] == "assessing"]
    assert len(human) == 3
    for each in human:
        assert each["creator"]["name"] == "=Ann <b>"
        assert each["creator"]["type"] == "Person"
        assert each["generator"]["type"] == "Software"
        assert each["created"] == AT
    back = read_corrections([Location.parse(page) for page in sorted(folder.glob("page-*.json"))])
    assert len(back.unplaced) == 3  # what software said is no correction


def test_annotations_that_went_out_come_back(export, said, collection, tmp_path):
    folder = export("annotations", base_uri="https://museum.org") / "annotations"
    pages = [str(page) for page in sorted(folder.glob("page-*.json"))]
    with (export("csv", corrections=pages) / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = {unguard(row["object_id"]): row for row in csv.DictReader(file)}
    for object_id, (label, decision) in said.items():
        row = rows[object_id]
        assert (row["style_review"], row["style_reviewed_label"]) == (decision, label or "")
        assert row["style_reviewed_at"] == AT


def test_linked_art_is_attributed_by_software_and_by_a_person(export, said):
    records = [
        json.loads(line) for line in (export("linked_art") / "linked_art.jsonl").read_text("utf-8").split("\n") if line
    ]
    given = {
        record["identified_by"][-1]["content"]: [
            item for item in record["attributed_by"] if item["carried_out_by"][0]["type"] == "Person"
        ]
        for record in records
    }
    people = {object_id: items for object_id, items in given.items() if items}
    vocab.add_attribute_assignment_check()
    for record in records:
        Reader(validate_props=True, validate_profile=True).read(json.loads(json.dumps(record)))
    assert people.keys() == {object_id for object_id, (label, _) in said.items() if label}
    for object_id, (item,) in people.items():
        assert item["assigned"][0]["_label"] == said[object_id][0]
        assert item["carried_out_by"][0]["_label"] == "=Ann <b>"
        assert item["timespan"]["end_of_the_end"] == AT
    notes = [
        note["content"]
        for record in records
        for item in record["attributed_by"]
        for note in item.get("referred_to_by", ())
    ]
    assert sum(note.startswith(("accepted by", "corrected by", "rejected by")) for note in notes) == 3


@pytest.mark.parametrize("name", ["csv", "annotations", "linked_art", "dataset_card", "croissant"])
def test_only_what_somebody_has_accepted_goes_out(export, said, name, capsys):
    folder = export(name, only_accepted=True)
    kept = {object_id: label for object_id, (label, _) in said.items() if label}
    if name == "csv":
        with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
            found = {unguard(row["object_id"]): row["style_label"] for row in csv.DictReader(file)}
    elif name == "annotations":
        items = json.loads((folder / "annotations" / "page-000001.json").read_text())["items"]
        assert {each["motivation"] for each in items} == {"assessing"}
        assert sorted(each["body"][0]["value"] for each in items) == sorted(kept.values())
        return
    elif name == "linked_art":
        records = [json.loads(line) for line in (folder / "linked_art.jsonl").read_text("utf-8").split("\n") if line]
        found = {
            each["identified_by"][-1]["content"]: each["attributed_by"][0]["assigned"][0]["_label"] for each in records
        }
        assert all(len(each["attributed_by"]) == 1 for each in records)
    else:
        table = pq.read_table(folder / "dataset" / "data" / "style.parquet")
        found = dict(zip(table["object_id"].to_pylist(), table["label"].to_pylist(), strict=True))
        assert set(table["decision"].to_pylist()) == {"label"}
    assert found == kept
    assert "left out: 79 labels that nobody has accepted or given" in " ".join(capsys.readouterr().err.split())


def test_nothing_accepted_is_an_empty_file_and_a_word(export, tmp_path, capsys):
    (tmp_path / "corrections.csv").write_text("object_id,task,label\n")
    for name in ("csv", "annotations", "linked_art", "dataset_card"):
        export(name, only_accepted=True)
    assert (tmp_path / "exports" / "labels.csv").read_text().count("\n") == 1
    assert "left out: 81 labels" in " ".join(capsys.readouterr().err.split())


def test_what_ingest_has_written_is_taken_where_no_file_is_given(tmp_path, collection, rows):
    ids = [row["object_id"] for row in rows["style"]]
    label = rows["style"][25]["label"]
    columns = {
        "style": [label if n == 25 else None for n in range(len(ids))],
        "style_reviewer": ["Ann" if n in (25, 26) else None for n in range(len(ids))],
        "style_reviewed_at": [AT if n in (25, 26) else None for n in range(len(ids))],
        "style_decision": {25: "accepted", 26: "rejected"},
    }
    columns["style_decision"] = [columns["style_decision"].get(n) for n in range(len(ids))]
    write_features(tmp_path / "f.parquet", ids, columns)
    options = ExportOptions.model_validate({"export": ["csv"]})
    export_labels(options, Location.parse(collection), tmp_path, Location.parse(tmp_path / "f.parquet"))
    with (tmp_path / "exports" / "labels.csv").open(newline="", encoding="utf-8") as file:
        found = {
            unguard(row["object_id"]): (row["style_review"], row["style_reviewer"]) for row in csv.DictReader(file)
        }
    assert found[ids[25]] == ("accepted", "Ann")
    assert found[ids[26]] == ("rejected", "Ann")
    assert len(HOSTILE) + 60 == len(found)
