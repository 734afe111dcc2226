"""Labels go out to other programs, and what people made of them comes back."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from artray.catalogs.corrections import read_corrections
from artray.catalogs.formulas import unguard
from artray.errors import InputError
from artray.labeling.exports import ExportOptions, export_labels
from artray.storage import Location
from tests.labeling.exports.collection import HOSTILE


@pytest.fixture
def export(tmp_path, collection, features):
    def run(name: str, **options) -> Path:
        values = ExportOptions.model_validate({"export": [name], **options})
        export_labels(values, Location.parse(collection), tmp_path, Location.parse(features))
        return tmp_path / "exports"

    return run


def test_label_studio_out_and_back(export, rows, tmp_path):
    folder = export("label_studio") / "label_studio"
    tasks = json.loads((folder / "tasks.json").read_text("utf-8"))
    assert [task["data"]["object_id"] for task in tasks] == [row["object_id"] for row in rows["style"]]
    config = ElementTree.parse(folder / "config.xml").getroot()
    controls = {item.get("name"): {each.get("value") for each in item} for item in config.iter("Choices")}
    assert controls.keys() == {"medium", "style"}
    annotated = []
    for task, row in zip(tasks, rows["style"], strict=True):
        assert set(task) == {"data", "predictions"}
        assert bool(task["predictions"]) == (row["status"] == "ok")
        for prediction in task["predictions"]:
            assert set(prediction) == {"model_version", "score", "result"}
            assert 0 <= prediction["score"] <= 1
            for result in prediction["result"]:
                assert (result["to_name"], result["type"]) == ("image", "choices")
                (choice,) = result["value"]["choices"]
                if choice not in HOSTILE:
                    assert choice in controls[result["from_name"]]
            # As Label Studio writes it: the task with what a person made of the prediction.
            done = {"completed_by": {"email": "ann@museum.org"}, "result": prediction["result"], "ground_truth": False}
            annotated.append({**task, "id": len(annotated), "annotations": [done]})
    (tmp_path / "export.json").write_text(json.dumps(annotated), encoding="utf-8")
    back = read_corrections([Location.parse(tmp_path / "export.json")])
    # Spaces around an answer are none of it.
    given = {row["object_id"]: row["label"].strip() for row in rows["style"] if row["status"] == "ok"}
    assert back.labels["style"] == given
    assert {said.decision for said in back.said("medium").values()} == {"accepted"}
    assert back.reviewers("medium").startswith("ann@museum.org ")


def test_json_lines_out_and_back(export, rows, tmp_path):
    path = export("json_lines") / "labels.jsonl"
    lines = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
    ok = [row for row in rows["style"] if row["status"] == "ok"]
    assert len(lines) == 2 * len(ok)
    assert {line["decision"] for line in lines} == {"label", "uncertain"}
    back = read_corrections([Location.parse(path)])
    assert back.labels == {}
    assert f"{len(lines)} labels of a model that nobody has looked at, left out" in back.problems[-1]
    for line in lines[:3]:
        line |= {"label": "Rococo", "reviewer": "Ann", "reviewed_at": "2026-06-01T10:00:00Z"}
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    back = read_corrections([Location.parse(path)])
    assert {task: set(found.values()) for task, found in back.labels.items()} == {"medium": {"Rococo"}}
    assert back.reviewers("medium") == "Ann 3"


def test_vikus_viewer(export, rows):
    path = export("vikus") / "vikus" / "data.csv"
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert set(found[0]) == {"id", "keywords", "year", "_title", "_medium", "_medium_score", "_style", "_style_score"}
    assert [unguard(row["id"]) for row in found] == [row["object_id"] for row in rows["style"]]
    for row, own in zip(found[len(HOSTILE) :], rows["style"][len(HOSTILE) :], strict=True):
        if own["label"] and own["label"] not in HOSTILE and own["score"] >= 0.3:
            assert own["label"] in row["keywords"].split(",")
            assert row["_style"] == own["label"]
        if own["label"] is None:
            assert (row["keywords"], row["_style"]) == ("", "")


def test_the_museums_own_file_with_columns_more(export, rows, tmp_path, capsys):
    lines = ["Nr;Titel;style_label"] + [f"work-{n};Bild für {n};alt" for n in range(50)] + ["unknown;x;y"]
    own = tmp_path / "Katalog.csv"
    own.write_bytes("\r\n".join(lines).encode("cp1252"))
    written = export("catalogue", catalog=str(own)) / "catalogue" / "Katalog.csv"
    with written.open(newline="", encoding="cp1252") as file:
        found = {row["Nr"]: row for row in csv.DictReader(file, delimiter=";")}
    assert list(found) == [line.split(";")[0] for line in lines[1:]]
    labels = {row["object_id"]: row for row in rows["style"]}
    for number in range(50):
        row, label = found[f"work-{number}"], labels[f"work-{number}"]
        assert (row["Titel"], row["style_label"]) == (f"Bild für {number}", "alt")
        assert unguard(row["artray_style_label"]) == (label["label"] or "").replace("🖼️👩‍🎨", "?????") or label["label"]
        assert bool(row["medium_score"]) == (label["status"] == "ok")
    assert found["unknown"]["artray_style_label"] == ""
    assert "50 of 81 labelled works have a row in Katalog.csv, by its column 'Nr'" in " ".join(
        capsys.readouterr().err.split()
    )


def test_what_is_wrong_with_the_museums_file_is_one_line(export, tmp_path):
    with pytest.raises(InputError, match="--catalog FILE names it"):
        export("catalogue")
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column of it holds the works' object_ids"):
        export("catalogue", catalog=str(tmp_path / "c.csv"))
