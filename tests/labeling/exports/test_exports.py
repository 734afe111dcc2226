"""What the formats have in common: read back, each of them gives the labels."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from artray.collection.formulas import unguard
from artray.errors import InputError
from artray.job import validate
from artray.labeling.exports import ExportOptions, export_labels
from artray.labeling.exports.source import read_source
from artray.labeling.published import Published, TaskLabels
from tests.labeling.exports.collection import labels, write_features, write_labels
from tests.labeling.exports.conftest import THRESHOLD

ALL = ["csv", "annotations", "linked_art", "croissant", "dataset_card"]
Answer = tuple[str, str | None, float, str]  # label, URI, score, decision


def said(rows: dict[str, list[dict]], thresholds: dict[str, float]) -> dict[tuple[str, str], Answer]:
    """What the exports must say of each task and object with a label."""
    return {
        (task, row["object_id"]): (
            row["label"],
            row["label_uri"],
            row["score"],
            "label" if row["score"] >= thresholds.get(task, -math.inf) else "uncertain",
        )
        for task, own in rows.items()
        for row in own
        if row["label"] is not None
    }


def export(labels: str, out: Path, **options) -> dict:
    features = options.pop("features", None)
    return export_labels(ExportOptions(export=ALL, **options), labels, out, features)


def from_csv(out: Path) -> dict[tuple[str, str], Answer]:
    found = {}
    with (out / "exports" / "labels.csv").open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            cells = {name: unguard(cell) for name, cell in row.items()}
            for task in ("medium", "style"):
                if cells.get(f"{task}_label"):
                    label, uri, decision = (cells[f"{task}_{name}"] for name in ("label", "label_uri", "decision"))
                    found[task, cells["object_id"]] = (label, uri or None, float(cells[f"{task}_score"]), decision)
    return found


def pages(out: Path) -> Iterator[dict]:
    """The annotations' pages, by their links."""
    folder = out / "exports" / "annotations"
    name = json.loads((folder / "collection.json").read_text("utf-8"))["first"]
    while name:
        page = json.loads((folder / name.rsplit("/", 1)[-1]).read_text("utf-8"))
        yield page
        name = page.get("next")


def from_annotations(out: Path, rows: dict[str, list[dict]]) -> dict[tuple[str, str], Answer]:
    source = read_source(str(out.parent / "labels"))
    names = {
        source.uri("annotation", f"{task}/{row['object_id']}"): (task, row["object_id"])
        for task, own in rows.items()
        for row in own
    }
    found = {}
    for page in pages(out):
        for item in page["items"]:
            text, *concept = item["body"]
            decision = {"tagging": "label", "questioning": "uncertain"}[item["motivation"]]
            uri = concept[0]["source"] if concept else None
            found[names[item["id"]]] = (text["value"], uri, item["score"], decision)
    return found


def from_linked_art(out: Path) -> dict[tuple[str, str], Answer]:
    found = {}
    for line in (out / "exports" / "linked_art.jsonl").open(encoding="utf-8"):
        record = json.loads(line)
        (object_id,) = (item["content"] for item in record["identified_by"] if item["type"] == "Identifier")
        for assignment in record["attributed_by"]:
            (concept,) = assignment["assigned"]
            task = assignment["identified_by"][0]["content"]
            known = concept["id"].startswith("http://vocab.getty.edu/aat/")
            score = float(assignment["referred_to_by"][0]["content"].removeprefix("score "))
            decision = "uncertain" if "classified_as" in assignment else "label"
            found[task, object_id] = (concept["_label"], concept["id"] if known else None, score, decision)
    return found


def from_dataset(out: Path) -> dict[tuple[str, str], Answer]:
    found = {}
    for task in ("medium", "style"):
        path = out / "exports" / "dataset" / "data" / f"{task}.parquet"
        for row in pq.read_table(path).to_pylist() if path.exists() else []:
            if row["status"] == "ok":
                found[task, row["object_id"]] = tuple(row[name] for name in ("label", "label_uri", "score", "decision"))
    return found


def close(found: dict[tuple[str, str], Answer], wanted: dict[tuple[str, str], Answer]) -> bool:
    assert found.keys() == wanted.keys()
    for key, (label, uri, score, decision) in wanted.items():
        assert found[key] == (label, uri, pytest.approx(score, abs=1e-7), decision)
    return True


@pytest.fixture(params=["as labelled", "by the user"])
def thresholds(request: pytest.FixtureRequest) -> tuple[dict[str, float], dict[str, float]]:
    """What is asked for, and what counts then."""
    given = {"medium": 0.8, "style": 0.9} if request.param == "by the user" else {}
    return given, given or {"style": THRESHOLD}


@pytest.mark.parametrize("with_features", [False, True])
def test_every_export_read_back_gives_the_labels(tmp_path, collection, features, rows, thresholds, with_features):
    given, counting = thresholds
    wanted = said(rows, counting)
    assert {answer[3] for answer in wanted.values()} == {"label", "uncertain"}
    out = tmp_path / "page"
    export(collection, out, threshold=given)
    assert close(from_csv(out), wanted)
    assert close(from_annotations(out, rows), wanted)
    assert close(from_linked_art(out), wanted)
    assert close(from_dataset(out), wanted)


def test_tasks_with_different_objects_in_different_orders(tmp_path, ids, rows):
    later = labels("style", {"Cubist": None, "Rococo": None}, [*reversed(ids[5:]), "new"], seed=3)
    write_labels(tmp_path / "labels", "medium", rows["medium"])
    write_labels(tmp_path / "labels", "style", later)
    out = tmp_path / "page"
    counts = export(str(tmp_path / "labels"), out)
    wanted = said({"medium": rows["medium"], "style": later}, {})
    assert counts["csv"]["rows"] == len(ids) + 1
    assert close(from_csv(out), wanted)
    assert close(from_linked_art(out), wanted)


def test_again_gives_the_same_bytes(tmp_path, collection, features):
    out = tmp_path / "page"
    export(collection, out, features=features)
    before = {path: path.read_bytes() for path in (out / "exports").rglob("*") if path.is_file()}
    export(collection, out, features=features)
    assert {path: path.read_bytes() for path in (out / "exports").rglob("*") if path.is_file()} == before


def test_thresholds_belong_to_models(tmp_path, ids):
    own = labels("style", {"a": None, "b": None}, ids, model="style-1")
    for row in own[::2]:
        row["model_id"] = "style-2"
    write_labels(tmp_path / "labels", "style", own, {"threshold": 0.8})
    source = read_source(str(tmp_path / "labels"))
    assert source.tasks[0].thresholds == {"style-1": 0.8, "style-2": 0.8}


def test_no_score_reaches_the_target_then_all_is_uncertain(tmp_path, ids):
    own = labels("style", {"a": None, "b": None}, ids)
    own[0] |= {"score": 1.0}
    write_labels(tmp_path / "labels", "style", own, {"threshold": None, "coverage": 0.0})
    (task,) = read_source(str(tmp_path / "labels")).tasks
    decisions = {row["decision"] for table in task.batches(["label"]) for row in table.to_pylist() if row["label"]}
    assert decisions == {"uncertain"}


def test_a_score_written_like_the_threshold_reaches_it(tmp_path):
    """0.7 as float32 is a little less than 0.7."""
    own = labels("style", {"a": None, "b": None}, ["x", "y"])
    own[0]["score"], own[1]["score"] = float(np.float32(0.7)), float(np.nextafter(np.float32(0.7), np.float32(0)))
    write_labels(tmp_path / "labels", "style", own)
    source = read_source(str(tmp_path / "labels"), thresholds={"style": 0.7})
    (table,) = source.tasks[0].batches(["score"])
    assert table["decision"].to_pylist() == ["label", "uncertain"]


def test_batches_of_any_size_are_the_same_rows(collection, rows):
    (_, style) = read_source(collection).tasks
    for size in (1, 7, 10_000):
        read = [row["object_id"] for table in style.batches(["object_id"], size) for row in table.to_pylist()]
        assert read == [row["object_id"] for row in rows["style"]]


def test_errors(tmp_path, collection):
    with pytest.raises(InputError, match=r"no labels of that task, but of medium, style"):
        export(collection, tmp_path / "out", threshold={"genre": 0.5})
    with pytest.raises(InputError, match="must lie between 0 and 1"):
        validate(ExportOptions, {"threshold": {"style": 70}})
    with pytest.raises(InputError, match="absolute URI"):
        validate(ExportOptions, {"base_uri": "museum"})
    with pytest.raises(InputError, match="--export"):
        validate(ExportOptions, {"export": ["pdf"]})
    pq.write_table(pq.read_table(f"{collection}/task=style").select(["object_id"]), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="not labels: there is no column image_uri"):
        export(str(tmp_path / "x.parquet"), tmp_path / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't write the exports"):
        export(collection, tmp_path / "file")


def test_a_task_does_not_lead_out_of_the_exports(tmp_path, collection, rows):
    write_labels(Path(collection), "..%2F..%2F..%2Fescaped", rows["style"])
    with pytest.raises(InputError, match=r"'../../../escaped' is no task's name"):
        export(collection, tmp_path / "page")
    assert not list(tmp_path.glob("**/escaped*"))


def test_nothing_asked_for_nothing_written(tmp_path, collection):
    assert export_labels(ExportOptions(), collection, tmp_path / "out") == {}
    assert not (tmp_path / "out").exists()


def test_what_label_catalog_has_published_is_read(tmp_path, collection, rows):
    """Labels as of one run, whatever the files for plain readers hold at this moment."""
    folder, run = Path(collection), "_runs/20260504T030201Z-0"
    (folder / run).mkdir(parents=True)
    tasks = {}
    for task, own in rows.items():
        (folder / f"task={task}" / "labels.parquet").rename(folder / run / f"{task}.parquet")
        tasks[task] = TaskLabels(
            run_id=own[0]["run_id"],
            model_id=own[0]["model_id"],
            source="",
            rows=len(own),
            labels=f"{run}/{task}.parquet",
            pictures=f"{run}/_pictures.parquet",
        )
    (folder / "_run.json").write_text(Published(run_id=rows["style"][0]["run_id"], tasks=tasks).model_dump_json())
    export(collection, tmp_path / "page")
    assert close(from_csv(tmp_path / "page"), said(rows, {"style": THRESHOLD}))


def test_a_column_called_so_comes_before_one_that_sounds_so(tmp_path, collection):
    features = tmp_path / "features.parquet"
    write_features(features, ["a"], {"artist_title": ["x"], "Title": ["y"], "iiifurl": ["z"]})
    source = read_source(collection, str(features))
    assert (source.column("title"), source.column("canvas", "iiif"), source.column("genre")) == (
        "Title",
        "iiifurl",
        None,
    )
