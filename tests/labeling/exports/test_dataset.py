"""The data set read by mlcroissant and by the hub's card reader."""

import json
import logging

import mlcroissant as mlc
import pandas as pd
import pytest
from huggingface_hub import DatasetCard

from artray.labeling.exports.croissant import FIELDS, license_url, write_croissant
from artray.labeling.exports.dataset import write_dataset
from artray.labeling.exports.dataset_card import plain, write_dataset_card
from artray.labeling.exports.source import read_source
from artray.storage import Location
from tests.labeling.exports.collection import HOSTILE


@pytest.fixture
def folder(tmp_path, collection):
    source = read_source(Location.parse(collection))
    folder = tmp_path / "dataset"
    dataset = write_dataset(source, folder)
    write_croissant(source, dataset, folder, "cc0-1.0")
    write_dataset_card(source, dataset, folder, "cc0-1.0")
    return folder


def test_mlcroissant_reads_every_row(folder, rows, caplog):
    with caplog.at_level(logging.WARNING):
        dataset = mlc.Dataset(jsonld=folder / "croissant.json")
    assert not dataset.metadata.issues.errors
    assert not dataset.metadata.issues.warnings
    assert "not standard" not in caplog.text
    assert dataset.metadata.ctx.is_v1_1()
    for task, own in rows.items():
        read = list(dataset.records(task))
        assert len(read) == len(own)
        for record, row in zip(read, own, strict=True):
            values = {name.split("/")[1]: value for name, value in record.items()}
            assert values.keys() == FIELDS.keys()
            texts = {name: value.decode() if isinstance(value, bytes) else None for name, value in values.items()}
            for name in ("object_id", "image_uri", "label", "label_uri", "model_id", "status", "error"):
                assert texts[name] == row[name], name
            assert pd.Timestamp(values["labeled_at"]) == pd.Timestamp(row["labeled_at"])
            if row["label"] is None:
                assert values["score"] is None
            else:
                assert values["score"] == pytest.approx(row["score"])


def test_the_hub_reads_the_card(folder, rows):
    card = DatasetCard.load(folder / "README.md")
    assert card.data.license == "cc0-1.0"
    assert card.data.size_categories == ["n<1K"]
    assert [config["config_name"] for config in card.data.configs] == ["medium", "style"]
    assert [config.get("default") for config in card.data.configs] == [True, None]
    for config in card.data.configs:
        (file,) = config["data_files"]
        read = pd.read_parquet(folder / file["path"])
        assert read["object_id"].tolist() == [row["object_id"] for row in rows[config["config_name"]]]


def test_the_cards_text_is_only_text(folder):
    text = (folder / "README.md").read_text("utf-8").split("\n---\n", 1)[1]
    assert "<" not in text
    assert not any(mark in text for mark in "\u202e\u200f\u2028")
    assert max(map(len, text.split("\n"))) < 1_000


@pytest.mark.parametrize("label", HOSTILE)
def test_a_label_in_a_markdown_table_is_one_cell(label):
    cell = plain(label)
    assert "\n" not in cell
    assert cell.replace("\\\\", "").replace("\\|", "").count("|") == 0


def test_checksums(folder):
    import hashlib

    for item in json.loads((folder / "croissant.json").read_text("utf-8"))["distribution"]:
        data = (folder / item["contentUrl"]).read_bytes()
        assert item["sha256"] == hashlib.sha256(data).hexdigest()
        assert item["contentSize"] == f"{len(data)} B"


def test_license_url():
    assert license_url("cc-by-4.0") == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert license_url("https://example.org/terms") == "https://example.org/terms"
