"""The station on small label datasets made here; `tests/integration/test_walk.py` has it at the end of the walk."""

import json
import re
import shutil
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from artray.errors import InputError
from artray.labeling.contract import LABELS, METADATA_KEY
from artray.report.page import write_page
from artray.report.station import ReportOptions, report
from tests.integration.conftest import passes_in_process
from tests.report.bundles import write_bundle

COUNT = 8


@pytest.fixture
def labels(tmp_path: Path) -> str:
    """Eight works, the last one not readable; the score of work i is (i + 1) / 10. One is unlike what a model knows."""
    for i in range(COUNT - 1):
        Image.new("RGB", (400 + 10 * i, 300), (30 * i, 90, 120)).save(tmp_path / f"{i}.jpg")
    for task, threshold in (("style", 0.35), ("genre", None)):
        notes = {"bundles": [{"model_id": f"{task}-1", "abstain": {"threshold": threshold}}]}
        rows = [
            {
                "object_id": f"w{i}",
                "image_uri": f"{tmp_path}/{i}.jpg",
                "label": "a" if i < COUNT - 1 else None,
                "score": (i + 1) / 10 if i < COUNT - 1 else None,
                "scores": [("a", (i + 1) / 10)] if i < COUNT - 1 else None,
                "model_id": f"{task}-1",
                "run_id": "run-1",
                "labeled_at": datetime(2026, 11, 22, tzinfo=timezone.utc),
                "status": "ok" if i < COUNT - 1 else "missing",
                "error": None,
                "novelty": 0.97 if (task, i) == ("genre", 5) else 0.1,
            }
            for i in range(COUNT)
        ]
        folder = tmp_path / "labels" / f"task={task}"
        folder.mkdir(parents=True)
        schema = LABELS.with_metadata({METADATA_KEY: json.dumps(notes)})
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "labels.parquet")
    return f"{tmp_path}/labels"


@pytest.fixture
def features(tmp_path: Path) -> str:
    vectors = np.eye(COUNT, 16, dtype=np.float32) + np.roll(np.eye(COUNT, 16, dtype=np.float32), 1, axis=0) / 2
    table = pa.table(
        {
            "object_id": [f"w{i}" for i in reversed(range(COUNT))],
            "title": [f"Work {i}" for i in reversed(range(COUNT))],
            "embedding": pa.array([None, *vectors[::-1][1:].tolist()], pa.list_(pa.float32(), 16)),
        }
    )
    pq.write_table(table, tmp_path / "features.parquet")
    return f"{tmp_path}/features.parquet"


def collection(folder: Path) -> dict:
    text = (folder / "data" / "collection.js").read_text()
    literal = re.fullmatch(r"globalThis\.artrayPage = JSON\.parse\('(.*)'\);\n", text)[1]
    return json.loads(literal.replace("\\'", "'").replace("\\\\", "\\"))


@pytest.mark.usefixtures("ray_session")
def test_page_with_thumbnails_map_and_thresholds(labels: str, features: str, tmp_path: Path) -> None:
    options = ReportOptions(labels=labels, features=features, out=f"{tmp_path}/page", thumbnail=100)
    counts = report(options)
    assert {name: counts[name] for name in ("rows", "ok", "failed", "thumbnails", "on_map")} == {
        "rows": 8,
        "ok": 7,
        "failed": 1,
        "thumbnails": 7,
        "on_map": 7,
    }
    data = collection(tmp_path / "page")
    genre, style = data["labels"]
    assert style["uncertain"] == [0, 1, 2], "below 0.35"
    assert genre["uncertain"] == [0, 1, 2, 3, 4, 5, 6], "there is no score at which enough labels are right"
    assert data["position"]["x"][7] is None
    assert len({*zip(data["position"]["x"][:7], data["position"]["y"][:7], strict=True)}) == 7
    for i, thumbnail in enumerate(data["thumbnail"][:7]):
        with Image.open(tmp_path / "page" / thumbnail) as image:
            assert image.size == (100, round(100 * 300 / (400 + 10 * i)))
    assert data["thumbnail"][7] is None
    assert sorted(path.name for path in (tmp_path / "page").iterdir() if path.name.startswith("_")) == []
    before = (tmp_path / "page" / "data" / "collection.js").read_bytes()
    report(options)
    assert (tmp_path / "page" / "data" / "collection.js").read_bytes() == before


@pytest.mark.usefixtures("ray_session")
def test_a_page_with_its_model_in_another_language_with_larger_pictures(tmp_path: Path) -> None:
    bundle = tmp_path / "model"
    bundle.mkdir()
    write_bundle(bundle, ["Cubism", "Rococo", "Ukiyo-e"])
    predictions = pq.read_table(bundle / "predictions.parquet").slice(0, 12).to_pylist(maps_as_pydicts="strict")
    rows = [
        {
            "object_id": row["object_id"],
            "image_uri": row["image_uri"],
            "label": row["label"],
            "labels": [row["label"]],
            "score": row["scores"][row["label"]],
            "scores": list(row["scores"].items()),
            "model_id": "style-1",
            "run_id": "run-1",
            "labeled_at": datetime(2026, 11, 22, tzinfo=timezone.utc),
            "status": "ok",
        }
        for row in predictions
    ]
    folder = tmp_path / "labels" / "task=style"
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=LABELS), folder / "labels.parquet")
    models = [str(bundle), f"{tmp_path}/other"]
    options = {"labels": f"{tmp_path}/labels", "out": f"{tmp_path}/page", "language": "nl", "zoom": 256, "limit": 10}
    shutil.copytree(bundle, models[1])
    with pytest.raises(InputError, match=r"model and .*other hold the same model, style-1: give one of them"):
        report(ReportOptions(evaluation=models, **options))
    for name in ("bundle.json", "evaluation.json"):
        path = tmp_path / "other" / name
        path.write_text(path.read_text().replace("style-1", "style-2"))
    with passes_in_process():
        counts = report(ReportOptions(evaluation=models, **options))
    data = collection(tmp_path / "page")
    readable = [key for key in data["id"] if int(key[1:]) % 2 == 0]
    assert (counts["rows"], counts["thumbnails"]) == (10, len(readable))
    assert "Naar de werken" in (tmp_path / "page" / "index.html").read_text("utf-8")
    assert "Terug naar de werken" in (tmp_path / "page" / "evaluation-style.html").read_text("utf-8")
    pages = [item["page"] for item in data["evaluations"]]
    assert pages == ["evaluation-style.html", "evaluation-style-2.html"]
    for page, model in zip(pages, ("style-1", "style-2"), strict=True):
        assert model in (tmp_path / "page" / page).read_text("utf-8")
    assert data["run"]["shown"] == "Getoond worden de minst zekere van 12"
    part = {row["object_id"]: row["part"] for row in predictions}
    shown = data["id"]
    assert data["labels"][0]["learned"] == [at for at, key in enumerate(shown) if part[key] != "test"]
    assert [shown[at] for at in data["evaluations"][0]["tested"]["work"]] == [k for k in shown if part[k] == "test"]
    (queue,) = data["queues"]
    assert (queue["name"], queue["task"]) == ("uncertain", 0)
    for at, larger in enumerate(data["zoom"]):
        assert (larger is None) == (data["thumbnail"][at] is None)
        assert larger is None or (tmp_path / "page" / larger).exists()


@pytest.mark.usefixtures("ray_session")
def test_of_too_many_works_the_failed_and_the_least_certain_are_shown(labels: str, tmp_path: Path) -> None:
    counts = report(ReportOptions(labels=labels, out=f"{tmp_path}/page", limit=3))
    assert (counts["rows"], counts["failed"], counts["on_map"]) == (3, 1, 0)
    data = collection(tmp_path / "page")
    assert data["id"] == ["w0", "w5", "w7"]
    assert data["run"]["shown"] == "Shown are the least certain of 8"
    assert data["position"] is None


def test_what_is_no_labels_is_said(features: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not labels"):
        report(ReportOptions(labels=features, out=f"{tmp_path}/page"))
    with pytest.raises(InputError, match="must be a folder on this machine"):
        report(ReportOptions(labels=features, out="s3://museum/page"))


def test_a_users_own_index_html_is_not_replaced(labels: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<h1>Our museum</h1>")
    with pytest.raises(InputError, match=f"{site}: holds index.html, which artray has not written"):
        report(ReportOptions(labels=labels, out=str(site)))
    assert (site / "index.html").read_text() == "<h1>Our museum</h1>"
    assert [file.name for file in site.iterdir()] == ["index.html"]
    write_page(site, [])  # an older page
    with pytest.raises(InputError, match="nowhere"):
        report(ReportOptions(labels=f"{tmp_path}/nowhere", out=str(site)))


@pytest.mark.parametrize("out", [".", "labels", "labels/page", "model", "model/page"])
def test_a_page_is_apart_from_its_inputs(labels: str, tmp_path: Path, out: str) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match=r"^--out .*--(labels|evaluation)"):
        report(ReportOptions(labels=labels, evaluation=[f"{tmp_path}/model"], out=f"{tmp_path}/{out}"))


def test_annotations_find_their_works_by_the_pictures_and_the_rest_is_counted(
    labels: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def annotation(picture: str) -> dict:
        body = {"type": "TextualBody", "value": "style: b", "purpose": "tagging"}
        return {"type": "Annotation", "creator": {"type": "Person", "name": "Ann"}, "body": body, "target": picture}

    items = [annotation(f"{tmp_path}/2.jpg"), annotation("https://museum.org/elsewhere.jpg")]
    (tmp_path / "said.json").write_text(json.dumps({"type": "AnnotationPage", "items": items}))
    options = ReportOptions(labels=labels, out=f"{tmp_path}/page", corrections=[f"{tmp_path}/said.json"])
    monkeypatch.setattr("artray.report.station.make_thumbnails", lambda *given: {})  # no pass: that needs Ray
    report(options)
    data = collection(tmp_path / "page")
    (said,) = data["said"]
    assert (data["id"][said[0]], data["tasks"][said[1]]["name"], said[2], said[4]) == ("w2", "style", "b", "Ann")
    assert "1 annotation whose picture is not here, left out" in " ".join(capsys.readouterr().err.split())
