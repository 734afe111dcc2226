"""Training on several workers."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from artray.collection import storage
from artray.errors import ArtrayError, InputError
from artray.features.colormaps import color_map_distances, learn_color_maps
from artray.training.bundle import load_bundle, load_model, read_json
from artray.training.config import TrainConfig
from artray.training.data import Inputs, feature_matrix, load_examples
from artray.training.groups import worker_range
from artray.training.station import TrainOptions, train
from tests.integration.tables import CONFIG, EXAMPLES
from tests.tools.kill_training import killing_a_worker

pytestmark = pytest.mark.usefixtures("ray_session")


def run(features: str, out: Path, workers: int, **changes: str) -> dict[str, object]:
    options = TrainOptions(config=CONFIG, data=features, out=str(out), workers=workers, set=changes)
    return train(options)


def test_the_number_of_workers_does_not_change_the_result(features: str, tmp_path: Path) -> None:
    """The same global batches give the same model up to floating point; 7 does not divide by 2, nor 37 by 7."""
    changes = {"epochs": "4", "batch_size": "7"}
    scores = {}
    for workers in (1, 2):
        result = run(features, tmp_path / str(workers), workers, **changes)
        assert result["rows"] == EXAMPLES
        table = storage.dataset(f"{tmp_path}/{workers}/predictions.parquet").to_table()
        scores[workers] = np.array(
            [[dict(row)[name] for name in ("code", "hand")] for row in table["scores"].to_pylist()]
        )
        history = read_json(str(tmp_path / str(workers)), "history.json")
        scores[f"history {workers}"] = np.array([[epoch["loss"], epoch["validation_loss"]] for epoch in history])
    assert np.allclose(scores[1], scores[2], atol=1e-5)
    assert np.allclose(scores["history 1"], scores["history 2"], atol=1e-5)
    assert not np.allclose(scores[1], 0.5, atol=0.05)  # something was learned

    # The same command does not train a bundle again, and another does not overwrite it.
    written = (tmp_path / "2" / "model.keras").stat().st_mtime_ns
    again = run(features, tmp_path / "2", 2, **changes)["model_id"]
    assert again == result["model_id"] == load_bundle(str(tmp_path / "2")).model_id
    with pytest.raises(InputError, match="--overwrite"):
        run(features, tmp_path / "2", 2, **{**changes, "epochs": "2"})
    assert (tmp_path / "2" / "model.keras").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "style"}, "no column 'style'"),
        ({"columns": "[palette]"}, "no column 'palette'"),
        ({"classes": "[hand, code, bronze]"}, "no training example of bronze"),
        ({"classes": "[hand]"}, "two classes are needed"),
    ],
)
def test_data_that_does_not_fit_the_config(
    features: str, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(features, tmp_path, 1, **changes)


def test_overwrite_removes_nothing_before_the_data_can_be_used_and_no_other_folder(
    features: str, tmp_path: Path
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    options = TrainOptions(config=CONFIG, data=features, out=str(tmp_path), overwrite=True, set={"target": "style"})
    with pytest.raises(InputError, match="no column 'style'"):
        train(options)
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(InputError, match="no column 'style'"):
        train(options)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / "bundle.json").exists()


def test_a_killed_worker_changes_nothing(features: str, tmp_path: Path) -> None:
    """One of two workers is killed after the first checkpoint, in the middle of an epoch: the same model comes out."""
    changes = {"epochs": "4", "batch_size": "7", "model.dropout": "0.3", "checkpoint_steps": "2", "ema": "0.9"}
    run(features, tmp_path / "calm", 2, **changes)
    with killing_a_worker(tmp_path / "killed"):
        run(features, tmp_path / "killed", 2, **changes)
    calm, disturbed = (read_json(str(tmp_path / name), "history.json") for name in ("calm", "killed"))
    for one, other in zip(calm, disturbed, strict=True):
        assert other == pytest.approx(one, abs=1e-5)


def test_finalize_fits_on_all_parts_and_keeps_the_evaluation(features: str, tmp_path: Path) -> None:
    changes = {
        "epochs": "30",
        "schedule": "cosine",
        "class_weights": "balanced",
        "early_stopping": "{patience: 2}",
        "optimizer.learning_rate": "0.05",
    }
    first = run(features, tmp_path, 1, **changes)
    bundle, evaluation = load_bundle(str(tmp_path)), read_json(str(tmp_path), "evaluation.json")
    assert len(read_json(str(tmp_path), "history.json")) == bundle.metrics["best_epoch"] + 2 < 30
    options = TrainOptions(
        config=CONFIG, data=features, out=str(tmp_path), finalize=True, tensorboard=True, set=changes
    )
    second = train(options)
    final = load_bundle(str(tmp_path))
    assert second["accuracy"] == first["accuracy"]
    assert second["model_id"] != first["model_id"]
    assert final.metrics["finalized"]
    assert [final.data[part] for part in ("train", "validation", "test")] == [EXAMPLES, 0, 0]
    assert {**read_json(str(tmp_path), "evaluation.json"), "model_id": ""} == {**evaluation, "model_id": ""}
    assert load_model(str(tmp_path), final).output_shape == (None, 2)
    assert list((tmp_path / "tensorboard" / "refit").iterdir())
    assert train(options)["model_id"] == second["model_id"]
    with pytest.raises(InputError, match="fitted on all parts"):
        run(features, tmp_path, 1, **changes)


def test_a_loss_that_is_no_number_is_one_line_at_once(features: str, tmp_path: Path) -> None:
    options = {"optimizer": "{name: sgd, learning_rate: 1.0e+30}", "epochs": "3"}
    with pytest.raises(ArtrayError, match=r"loss is no longer a number in epoch [12]: try a smaller learning rate"):
        run(features, tmp_path, 1, **options)


@pytest.mark.parametrize(
    ("workers", "message"), [("0", "from 1 on"), ("4-2", "from 1 on"), ("many", "from 1 on"), ("1-", "from 1 on")]
)
def test_numbers_of_workers(workers: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainOptions(config="c", data="d", out="o", workers=workers)
    assert worker_range("2-4") == (2, 4)
    assert worker_range("3") == worker_range(3) == (3, 3)


def experiment(**changes: object) -> TrainConfig:
    values = {"task": "made", "target": "made", "input": "features", "model": {"name": "linear_head"}}
    return TrainConfig.model_validate({**values, **changes})


def write(uri: str, **columns: object) -> str:
    """A feature table of twelve works, three in a row of one artist."""
    number = 12
    given = {
        "object_id": [f"{row:02d}" for row in range(number)],
        "group": [f"artist-{row // 3}" for row in range(number)],
        "made": ["a", "b", "a"] * 4,
        "split": ["train"] * 6 + ["validation"] * 3 + ["test"] * 3,
        "status": ["ok"] * number,
        "embedding": pa.array(np.arange(number * 2.0).reshape(number, 2).tolist(), pa.list_(pa.float32())),
        "brightness": np.arange(number, dtype=np.float32),
    }
    storage.write_table(storage.join(uri, "part-000000.parquet"), pa.table({**given, **columns}))
    storage.write_bytes(storage.join(uri, "_run.json"), json.dumps({"arguments": {"features": []}}).encode())
    return uri


def test_examples_of_a_feature_table(tmp_path: Path) -> None:
    status = ["ok"] * 11 + ["missing"]
    made = [None, "b", "a", "c", *(["a", "b"] * 4)]
    data = write(str(tmp_path), status=status, made=made)
    found = load_examples(experiment(columns=["brightness", "embedding"], classes=["b", "a"]), data)
    assert found.table["object_id"].to_pylist() == ["01", "02", *(f"{row:02d}" for row in range(4, 11))]
    assert found.dropped == {"unreadable": 1, "unlabelled": 1, "other label": 1}
    assert found.widths == {"brightness": 1, "embedding": 2}
    assert found.targets[:2].tolist() == [[1, 0], [0, 1]]
    taken = Inputs(found.blocks, found.place).take(np.array([1, 0]))
    assert taken.tolist() == [[2, 4, 5], [1, 2, 3]]


def test_folds_divide_training_and_validation_by_group_and_leave_the_test(tmp_path: Path) -> None:
    data = write(str(tmp_path))
    seen = []
    for fold in range(3):
        found = load_examples(experiment(folds=3, fold=fold), data)
        parts = found.table["part"].to_pylist()
        assert parts[9:] == ["test"] * 3
        groups = {part: {row // 3 for row in found.part(part).tolist()} for part in ("train", "validation", "test")}
        assert sum(map(len, groups.values())) == 4
        seen += groups["validation"]
    assert sorted(seen) == [0, 1, 2]
    # Ingest's folds, where there are as many, are taken as they are.
    given = pa.array([2, 2, 2, 0, 0, 0, 1, 1, 1, None, None, None], pa.int32())
    data = write(str(tmp_path / "given"), fold=given)
    found = load_examples(experiment(folds=3, fold=2), data)
    assert found.part("validation").tolist() == [0, 1, 2]
    found = load_examples(experiment(folds=2, fold=1), data)
    assert len(found.part("validation")) in (3, 6)


def test_several_labels_and_shares(tmp_path: Path) -> None:
    data = write(str(tmp_path), made=["a; b", "b", "c;a"] * 4)
    found = load_examples(experiment(labels="several"), data)
    assert found.targets[:3].tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    shares = pa.array([[("a", 1), ("b", 3)], [("b", 2)], [("c", 1), ("a", 1)]] * 4, pa.map_(pa.string(), pa.int32()))
    found = load_examples(experiment(labels="soft", classes=["a", "b"]), write(str(tmp_path), made=shares))
    assert found.targets[:3].tolist() == [[0.25, 0.75], [0, 1], [1, 0]]
    with pytest.raises(InputError, match="set labels to several or soft"):
        load_examples(experiment(), data)


def test_reference_colour_maps_are_learned_from_the_training_part(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).uniform(0, 255, (12, 5, 3)).astype(np.float32)
    data = write(str(tmp_path), color_map=pa.array(maps.tolist(), pa.list_(pa.list_(pa.float32()))))
    found = load_examples(experiment(columns=["brightness"], colormaps=True), data)
    learned = learn_color_maps(maps[:6], ["a", "b", "a"] * 2)
    assert list(found.input["color_maps"]) == ["a", "b"]
    for name, reference in learned.items():
        assert np.allclose(found.input["color_maps"][name], reference, atol=1e-3)
    assert found.widths == {"brightness": 1, "color_map_distances": 2}
    taken = Inputs(found.blocks, found.place).take(np.arange(12))
    assert np.allclose(taken[:, 1:], color_map_distances(maps, learned), atol=1e-4)
    # The same from the bundle's `input`, as JSON keeps it.
    spec = json.loads(json.dumps(found.input))
    table = storage.dataset(data).to_table()
    groups = feature_matrix({name: table[name] for name in ("brightness", "color_map")}, spec)
    assert np.array_equal(np.concatenate(list(groups.values()), axis=1), taken)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"brightness": [*([1.0] * 11), float("nan")]}, "'brightness' holds values that are not finite"),
        ({"brightness": [*([1.0] * 11), None]}, "'brightness' has no value in 1 rows"),
        ({"brightness": ["bright"] * 12}, "'brightness' is not numeric"),
        ({"brightness": [[1.0]] * 11 + [[1.0, 2.0]]}, "'brightness' holds lists of different lengths"),
        # As many numbers as twelve lists of two.
        ({"brightness": [[1.0]] + [[1.0, 2.0]] * 10 + [[1.0] * 3]}, "'brightness' holds lists of different lengths"),
        ({"split": ["train"] * 9 + ["test"] * 3}, "no labelled example in the validation part"),
        ({"made": ["a"] * 12}, "has only 'a'; two classes are needed"),
    ],
)
def test_tables_that_can_not_be_learned_from(tmp_path: Path, columns: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_examples(experiment(columns=["brightness"]), write(str(tmp_path), **columns))


def test_more_folds_than_groups(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 groups can't be divided into 4 folds"):
        load_examples(experiment(folds=4), write(str(tmp_path)))
