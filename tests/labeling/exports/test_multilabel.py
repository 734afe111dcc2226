"""Every export of a task in which a work may have several labels, and of a model that is no better than chance."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from artray.labeling.contract import LABELS, METADATA_KEY
from artray.labeling.exports import ExportOptions, export_labels
from artray.storage import Location
from tests.labeling.exports.collection import AT
from tests.labeling.exports.test_exports import pages

URIS = {"river": "http://vocab.getty.edu/aat/300008707"}
WORKS = {
    "three": (["river", "bridge", "sky"], {"river": 0.9, "bridge": 0.7, "sky": 0.3}),
    "one": (["sky"], {"river": 0.1, "bridge": 0.6, "sky": 0.4}),  # bridge would need more
    "none": ([], {"river": 0.1, "bridge": 0.3, "sky": 0.2}),
    "broken": (None, None),
}
DOUBT = "This model is not surely better than chance: all its labels are uncertain."


def write(folder: Path, doubt: str | None = None) -> str:
    rows = []
    for name, (labels, scores) in WORKS.items():
        best = max(scores, key=scores.get) if scores else None
        rows.append(
            {
                "object_id": name,
                "image_uri": f"/scans/{name}.jpg",
                "label": best,
                "labels": labels,
                "label_uri": URIS.get(best),
                "score": scores[best] if scores else None,
                "scores": list(scores.items()) if scores else None,
                "model_id": "motif-1",
                "run_id": "run",
                "labeled_at": AT,
                "status": "ok" if scores else "truncated",
                "error": None,
            }
        )
    bundle = {"model_id": "motif-1", "abstain": None, "labels": "multilabel", "concepts": URIS, "doubt": doubt}
    schema = LABELS.with_metadata({METADATA_KEY: json.dumps({"schema_version": 1, "bundles": [bundle]})})
    path = folder / "labels" / "task=motif" / "labels.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return str(folder / "labels")


def export(folder: Path, labels: str, doubts: dict[str, str] | None = None, **options: object) -> Path:
    formats = ["csv", "annotations", "linked_art", "croissant", "dataset_card"]
    export_labels(ExportOptions(export=formats, **options), Location.parse(labels), folder, doubts=doubts)
    return folder / "exports"


def table(exports: Path) -> dict[str, dict[str, str]]:
    with (exports / "labels.csv").open(newline="", encoding="utf-8") as file:
        return {row["object_id"]: row for row in csv.DictReader(file)}


def assigned(exports: Path) -> dict[str, list[tuple[str, str, bool]]]:
    """Of each work in Linked Art: label, concept, and whether it is only possible."""
    records = [json.loads(line) for line in (exports / "linked_art.jsonl").read_text("utf-8").splitlines()]
    return {
        record["_label"]: [
            (item["assigned"][0]["_label"], item["assigned"][0]["id"], "classified_as" in item)
            for item in record["attributed_by"]
        ]
        for record in records
    }


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    return export(tmp_path / "page", write(tmp_path))


def test_a_work_with_three_labels_has_three(exports):
    rows = table(exports)
    assert {name: row["motif_labels"] for name, row in rows.items()} == {
        "three": "river; bridge; sky",
        "one": "sky",
        "none": "",
        "broken": "",
    }
    assert [row["motif_decision"] for row in rows.values()] == ["label", "label", "uncertain", ""]
    assert [row["motif_label"] for row in rows.values()] == ["river", "bridge", "bridge", ""]
    found = assigned(exports)
    assert [name for name, *_ in found["three"]] == ["river", "bridge", "sky"]
    assert found["three"][0] == ("river", URIS["river"], False)
    assert [(name, possible) for name, _, possible in found["one"]] == [("sky", False)]
    assert [(name, possible) for name, _, possible in found["none"]] == [("bridge", True)]
    items = [item for page in pages(exports.parent) for item in page["items"]]
    said = [(item["body"][0]["value"], item["score"], item["motivation"]) for item in items]
    assert said == [
        ("river", 0.9, "tagging"),
        ("bridge", 0.7, "tagging"),
        ("sky", 0.3, "tagging"),
        ("sky", 0.4, "tagging"),
        ("bridge", 0.3, "questioning"),
    ]
    assert len({item["id"] for item in items}) == len(items)


def test_the_data_set_counts_labels_and_works(exports):
    read = pq.read_table(exports / "dataset" / "data" / "motif.parquet")
    assert read["labels"].to_pylist() == [labels for labels, _ in WORKS.values()]
    card = (exports / "dataset" / "README.md").read_text("utf-8")
    assert "4 pictures: 2 labelled, 1 uncertain, 1 that could not be read." in card
    assert "| sky | 2 |" in card
    assert "several labels" in card


def test_the_users_threshold_is_for_all_labels(tmp_path):
    rows = table(export(tmp_path / "page", write(tmp_path), threshold={"motif": 0.55}))
    assert [row["motif_labels"] for row in rows.values()] == ["river; bridge", "bridge", "", ""]
    assert [row["motif_decision"] for row in rows.values()] == ["label", "label", "uncertain", ""]


def test_a_reviewers_cell_without_a_label_rejects_all(tmp_path):
    file = tmp_path / "corrections.csv"
    file.write_text("object_id,task,label\nthree,motif,;\none,motif,sky; river\n")
    rows = table(export(tmp_path / "page", write(tmp_path), corrections=[str(file)], only_accepted=True))
    assert {name: row["motif_labels"] for name, row in rows.items()} == {"one": "sky; river"}


@pytest.mark.parametrize("told_by", ["labels", "evaluation"])
def test_a_model_that_is_no_better_than_chance_says_nothing_for_certain(tmp_path, told_by):
    labels = write(tmp_path, DOUBT if told_by == "labels" else None)
    told = {"motif-1": DOUBT} if told_by == "evaluation" else None
    exports = export(tmp_path / "page", labels, told, threshold={"motif": 0.25})
    assert [row["motif_decision"] for row in table(exports).values()] == ["uncertain"] * 3 + [""]
    assert all(possible for labels in assigned(exports).values() for *_, possible in labels)
    card = (exports / "dataset" / "README.md").read_text("utf-8")
    assert DOUBT in card
    assert "0 labelled, 3 uncertain" in card
    assert DOUBT in (exports / "dataset" / "croissant.json").read_text("utf-8")


def test_scores_are_those_of_the_labels(exports):
    records = [json.loads(line) for line in (exports / "linked_art.jsonl").read_text("utf-8").splitlines()]
    texts = [item["referred_to_by"][0]["content"] for item in records[0]["attributed_by"]]
    assert texts == [f"score {score}" for score in (0.9, 0.7, 0.3)]
    assert np.float32(0.9) == np.float32(texts[0].split()[1])
