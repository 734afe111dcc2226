"""A grid of trials, and folds: many models trained by one command."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from artray.bundles.classifier import load_bundle, load_model, read_evaluation
from artray.classifiers.search import SearchOptions, search
from artray.classifiers.station import TrainOptions, train
from artray.errors import InputError
from artray.storage import Location
from tests.integration.tables import CONFIG, EXAMPLES

pytestmark = pytest.mark.usefixtures("ray_session")


def times(folder: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns for file in folder.rglob("bundle.json")}


def test_a_search_ranks_by_validation_and_goes_on_where_it_was(features: str, tmp_path: Path) -> None:
    options = SearchOptions(
        config=CONFIG,
        data=[features],
        out=str(tmp_path),
        # The second dropout can't be built: one row says so, the others are trained.
        grid={"optimizer.learning_rate": [0.00001, 0.05], "model.dropout": [0, 2]},
        seeds=[0, 1],
        set={"epochs": "3", "model.l2": "0"},
    )
    counts = search(options)
    assert (counts["rows"], counts["ok"], counts["failed"]) == (8, 4, 4)
    table = pq.read_table(tmp_path / "results.parquet")
    rows = table.to_pylist()
    assert len(rows) == 4
    assert rows[0]["optimizer.learning_rate"] == counts["best"]["optimizer.learning_rate"]
    ranked = [row["validation_balanced_accuracy"] for row in rows]
    assert ranked[:2] == sorted(ranked[:2], reverse=True)
    assert ranked[2:] == [None, None]
    assert [row["trials"] for row in rows] == [2, 2, 0, 0]
    assert "can't be built" in rows[2]["error"]
    # Only the winner's metrics on the test part are shown.
    assert rows[0]["test_accuracy"] is not None
    assert [row["test_accuracy"] for row in rows[1:]] == [None] * 3
    for row in rows[:2]:
        found = [read_evaluation(Location.parse(run))["validation"]["artwork"]["accuracy"] for run in row["runs"]]
        assert row["validation_accuracy"] == pytest.approx(np.mean(found), abs=1e-4)
        assert row["validation_accuracy_spread"] == pytest.approx(np.std(found, ddof=1), abs=1e-4)
    evaluation = read_evaluation(Location.parse(counts["best_run"]))
    assert evaluation["levels"]["artwork"]["baseline"]["columns"] == ["embedding"]
    assert (tmp_path / "results.csv").read_text().startswith("optimizer.learning_rate,model.dropout,trials,")
    before = times(tmp_path)
    assert len(before) == 4
    again = search(options.model_copy(update={"grid": {"optimizer.learning_rate": [0.05], "model.dropout": [0]}}))
    assert (again["rows"], again["ok"]) == (2, 2)
    assert times(tmp_path) == before
    assert again["validation_accuracy"] == counts["validation_accuracy"]


def test_a_search_over_several_splits(features: str, tmp_path: Path) -> None:
    table = Location.parse(features).dataset().to_table()
    parts = table["split"].to_pylist()
    swapped = [{"validation": "test", "test": "validation"}.get(part, part) for part in parts]
    other = str(tmp_path / "other")
    Location.parse(f"{other}/part-0.parquet").write_table(
        table.set_column(table.column_names.index("split"), "split", pa.array(swapped))
    )
    Location.parse(f"{other}/_run.json").write_bytes(Location.parse(f"{features}/_run.json").read_bytes())
    options = SearchOptions(
        config=CONFIG, data=[features, other], out=str(tmp_path / "search"), set={"epochs": "3"}, workers=1
    )
    counts = search(options)
    assert counts["rows"] == 2
    (row,) = pq.read_table(tmp_path / "search" / "results.parquet").to_pylist()
    assert row["trials"] == 2
    # The same training part gives the same model, whose validation part is the other's test part.
    assert row["validation_accuracy"] == row["test_accuracy"]
    with pytest.raises(InputError, match="--features: 1 tables for 2 --data"):
        search(options.model_copy(update={"features": [features]}))
    with pytest.raises(InputError, match="--grid: say what to try"):
        search(options.model_copy(update={"data": [features]}))


def test_a_search_on_pictures_decodes_them_before_its_processes_take_all_cpus(two_cpus: None, tmp_path: Path) -> None:
    rows = []
    for number in range(12):
        uri = str(tmp_path / f"{number:02d}.png")
        Image.new("RGB", (16, 16), ["red", "blue"][number % 2]).save(uri)
        part = ["train", "train", "validation", "test"][number // 2 % 4]
        rows.append({"object_id": f"{number:02d}", "image_uri": uri, "made": "ab"[number % 2], "split": part})
    Location.parse(f"{tmp_path}/manifest/part-0.parquet").write_table(pa.Table.from_pylist(rows))
    config = tmp_path / "config.yaml"
    config.write_text(
        "{task: made, target: made, input: pictures, size: 16, model: {name: one_block_vgg, filters: 2, dense: 4},"
        " epochs: 1}"
    )
    options = SearchOptions(
        config=str(config), data=[f"{tmp_path}/manifest"], out=f"{tmp_path}/search", grid={"size": [16, 12]}
    )
    counts = search(options)
    assert (counts["ok"], counts["failed"]) == (2, 0)


def test_folds_dealt_twice_have_one_result(in_process: None, features: str, tmp_path: Path) -> None:
    given = {"config": CONFIG, "data": features, "out": str(tmp_path), "folds": 2, "set": {"epochs": "1"}}
    with pytest.raises(InputError, match="--repeats: needs --folds"):
        train(TrainOptions(**given | {"folds": None}, repeats=2))
    result = train(TrainOptions(**given, repeats=2, baseline=False))
    out = Location.parse(str(tmp_path))
    pooled, bundle = read_evaluation(out)["out_of_fold"], load_bundle(out)
    assert (bundle.metrics["fold_ensemble"], bundle.metrics["repeats"]) == (4, 2)
    assert (pooled["repeats"], len(pooled["by_repeat"]["accuracy"])) == (2, 2)
    assert result["out_of_fold"]["accuracy"] == pooled["figures"]["accuracy"]

    def scores(place: Location) -> dict[str, np.ndarray]:
        """Of the works that were held out."""
        rows = (place / "predictions.parquet").dataset().to_table().to_pylist(maps_as_pydicts="strict")
        return {row["object_id"]: np.array(list(row["scores"].values())) for row in rows if row["part"] == "validation"}

    members = [scores(out / "folds" / str(number)) for number in range(4)]
    assert members[0].keys() != members[2].keys()  # dealt otherwise
    for name, told in scores(out).items():
        own = [member[name] for member in members if name in member]
        assert len(own) == 2
        assert np.allclose(told, np.mean(own, axis=0), atol=1e-5)
    assert pooled["n"] == len(scores(out))


def test_folds_make_an_ensemble_and_go_on_where_they_were(in_process: None, features: str, tmp_path: Path) -> None:
    mine = ["notes.txt", "manifest/manifest.parquet", "features/part-000000.parquet", "folds/mine.txt", "model.txt"]
    for name in mine:
        Location.parse(f"{tmp_path}/{name}").write_bytes(name.encode())
    given = {"config": CONFIG, "data": features, "out": str(tmp_path), "tensorboard": True}
    options = TrainOptions(**given, folds=2, set={"epochs": "2", "model.dropout": "0.3"})
    result = train(options)
    uri = str(tmp_path)
    members = [f"{uri}/folds/{fold}" for fold in range(2)]
    evaluation, bundle = read_evaluation(Location.parse(uri)), load_bundle(Location.parse(uri))
    assert bundle.metrics["fold_ensemble"] == evaluation["folds"]["n"] == 2
    found = [read_evaluation(Location.parse(member))["validation"]["artwork"]["accuracy"] for member in members]
    assert result["folds"]["accuracy"]["values"] == found
    assert result["folds"]["accuracy"]["mean"] == pytest.approx(np.mean(found), abs=1e-4)

    # The test part is the same for all, and judged by the mean; every other work by the model that had not seen it.
    def predictions(place: str) -> dict[str, tuple[str, np.ndarray]]:
        rows = Location.parse(f"{place}/predictions.parquet").dataset().to_table().to_pylist(maps_as_pydicts="strict")
        return {row["object_id"]: (row["part"], np.array(list(row["scores"].values()))) for row in rows}

    ensemble, parts = predictions(uri), [predictions(member) for member in members]
    assert len(ensemble) == EXAMPLES
    held_out = 0
    for name, (part, scores) in ensemble.items():
        own = [member[name] for member in parts]
        if part == "test":
            assert {where for where, _ in own} == {"test"}
            assert np.allclose(scores, np.mean([values for _, values in own], axis=0), atol=1e-5)
        else:
            (unseen,) = [values for where, values in own if where == "validation"]
            assert part == "validation"
            assert np.allclose(scores, unseen, atol=1e-5)
            held_out += 1
    assert evaluation["validation"]["artwork"]["n"] == held_out
    table = Location.parse(features).dataset().to_table()
    points = np.stack(table["embedding"].to_pylist()).astype(np.float32)
    model = load_model(Location.parse(uri), bundle)
    for name, scores in zip(table["object_id"].to_pylist(), np.asarray(model(points)), strict=True):
        if ensemble[name][0] == "test":
            assert np.allclose(scores, ensemble[name][1], atol=1e-5)
    assert len({epoch["fold"] for epoch in storage_history(uri)}) == 2

    before = times(tmp_path)
    assert train(options)["model_id"] == result["model_id"]
    assert times(tmp_path) == before
    (tmp_path / "bundle.json").unlink()
    (tmp_path / "folds" / "1" / "bundle.json").unlink()
    assert train(options)["model_id"] == result["model_id"]  # the same training gives the same models
    after = times(tmp_path)
    unchanged = {file for file in before if after[file] == before[file]}
    assert unchanged == {f"{uri}/folds/0/bundle.json"}

    # Of a folder of work with a bundle among it, another training replaces the bundle, and nothing else.
    other = train(TrainOptions(**given | {"tensorboard": False}, overwrite=True, set={"epochs": "1"}))
    assert other["model_id"] != result["model_id"]
    own = {"bundle.json", "model.keras", "evaluation.json", "history.json", "predictions.parquet"}
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*mine, *own}
    assert all((tmp_path / name).read_text() == name for name in mine)


def storage_history(uri: str) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads(Location.parse(f"{uri}/history.json").read_bytes())
    return found


def test_folds_of_another_bundle_are_refused(features: str, tmp_path: Path) -> None:
    for changes in ({"finalize": True}, {"set": {"folds": "3"}}):
        with pytest.raises(InputError, match="--folds: goes neither"):
            train(TrainOptions(config=CONFIG, data=features, out=str(tmp_path), folds=3, **changes))
