"""Training on several workers."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from artray.agreement.station import AgreementOptions, agreement
from artray.bundles.classifier import load_bundle, load_model, read_evaluation, read_predictions
from artray.bundles.description import read_history
from artray.classifiers.station import TrainOptions, train
from artray.errors import ArtrayError, InputError
from artray.storage import Location
from tests.integration.conftest import trainings_in_process
from tests.integration.tables import CONFIG, EXAMPLES
from tests.tools.kill_training import killing_a_worker

pytestmark = pytest.mark.usefixtures("ray_session")


def run(features: str, out: Path, workers: int, **changes: str) -> dict[str, object]:
    options = TrainOptions(config=CONFIG, data=features, out=str(out), workers=workers, set=changes)
    return train(options)


def test_neither_two_workers_nor_a_killed_one_change_the_result(features: str, tmp_path: Path) -> None:
    """The same global batches give the same model up to floating point; 7 does not divide by 2, nor 37 by 7.

    One of the two is killed after the first checkpoint, in the middle of an epoch.
    """
    changes = {"epochs": "4", "batch_size": "7", "checkpoint_steps": "2", "ema": "0.9"}
    out = tmp_path / "2"
    with killing_a_worker(out):
        result = run(features, out, 2, **changes)

    # The same command does not train a bundle again, and another does not overwrite it.
    written = (out / "model.keras").stat().st_mtime_ns
    again = run(features, out, 2, **changes)["model_id"]
    assert again == result["model_id"] == load_bundle(Location.parse(out)).model_id
    with pytest.raises(InputError, match="--overwrite"):
        run(features, out, 2, **{**changes, "epochs": "2"})
    assert (out / "model.keras").stat().st_mtime_ns == written

    with trainings_in_process():
        run(features, tmp_path / "1", 1, **changes)
    scores = {}
    for workers in (1, 2):
        out = tmp_path / str(workers)
        assert result["rows"] == EXAMPLES
        table = Location.parse(f"{out}/predictions.parquet").dataset().to_table()
        scores[workers] = np.array(
            [[dict(row)[name] for name in ("code", "hand")] for row in table["scores"].to_pylist()]
        )
    assert np.allclose(scores[1], scores[2], atol=1e-5)
    one, other = (read_history(Location.parse(tmp_path / name)) for name in ("1", "2"))
    for undisturbed, disturbed in zip(one, other, strict=True):
        assert disturbed == pytest.approx(undisturbed, abs=1e-5)
    assert not np.allclose(scores[1], 0.5, atol=0.05)  # something was learned


def test_a_pruned_model_of_what_people_said_is_as_sparse_as_asked_and_as_sure_as_they(
    in_process: None, features: str, tmp_path: Path
) -> None:
    """From labels of three people by `agreement` to `labels: soft`: of works by code they all say so, else two do."""
    rows = ["object_id,annotator,medium"]
    for number in range(EXAMPLES):
        said = ["code"] * 3 if number % 2 else ["hand", "hand", "code"]
        rows += [f"work-{number:02d},{who},{label}" for who, label in zip(("anna", "ben", "carl"), said, strict=True)]
    annotations = Location.parse(tmp_path / "annotations.csv")
    annotations.write_bytes("\n".join(rows).encode())
    told = AgreementOptions(
        annotations=annotations, label={"medium": "medium"}, consensus_of="all", resamples=10, out=tmp_path / "agreed"
    )
    agreement(told)

    out = tmp_path / "model"
    pruning = "{target: 0.5, skip_last: false, end: 0.6, every: 2}"
    options = TrainOptions(
        config=CONFIG,
        data=features,
        out=str(out),
        corrections=[str(tmp_path / "agreed" / "soft_labels.csv")],
        set={"task": "medium", "labels": "soft", "epochs": "12", "batch_size": "7", "ema": "0.9", "pruning": pruning},
    )
    result = train(options)
    bundle = load_bundle(Location.parse(out))
    assert bundle.metrics["sparsity"]["layers"] == {"logits": 0.5}  # of the averages too, which the bundle holds
    assert bundle.metrics["best_epoch"] >= 8  # before, it was not sparse enough
    assert result["sparsity"] == 0.5
    table = read_predictions(Location.parse(out))
    scores = np.array([dict(row)["code"] for row in table["scores"].to_pylist()])
    assert scores.mean() == pytest.approx(2 / 3, abs=0.1)  # of the votes; with a label each it would be a half
    by_code = np.array([int(name[-2:]) % 2 == 1 for name in table["object_id"].to_pylist()])
    assert scores[by_code].mean() > scores[~by_code].mean() + 0.1


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


def test_a_bundle_is_not_written_into_data_or_another_jobs_output(features: str, tmp_path: Path) -> None:
    for out, message in ((features, "is the place of --data"), (f"{features}/model", "lies within --data")):
        with pytest.raises(InputError, match=message):
            run(features, Path(out), 1)
    (tmp_path / "_run.json").write_text('{"counts": {}}')
    with pytest.raises(InputError, match=r"holds the output of another job \(manifest"):
        run(features, tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["_run.json"]


def test_finalize_fits_on_all_parts_and_keeps_the_evaluation(in_process: None, features: str, tmp_path: Path) -> None:
    changes = {
        "epochs": "30",
        "schedule": "cosine",
        "class_weights": "balanced",
        "early_stopping": "{patience: 2}",
        "optimizer.learning_rate": "0.05",
        "model.l2": "folds",
    }
    first = run(features, tmp_path, 1, **changes)
    bundle, evaluation = load_bundle(Location.parse(tmp_path)), read_evaluation(Location.parse(tmp_path))
    penalty = bundle.metrics["chosen"]["l2"]
    assert load_model(Location.parse(tmp_path), bundle).get_layer("logits").kernel_regularizer.l2 == penalty > 0
    assert len(read_history(Location.parse(tmp_path))) == bundle.metrics["best_epoch"] + 2 < 30
    options = TrainOptions(
        config=CONFIG, data=features, out=str(tmp_path), finalize=True, tensorboard=True, set=changes
    )
    second = train(options)
    final = load_bundle(Location.parse(tmp_path))
    assert second["accuracy"] == first["accuracy"]
    assert second["model_id"] != first["model_id"]
    assert final.metrics["finalized"]
    assert final.metrics["chosen"] == {"l2": penalty}
    assert [final.data[part] for part in ("train", "validation", "test")] == [EXAMPLES, 0, 0]
    assert {**read_evaluation(Location.parse(tmp_path)), "model_id": ""} == {**evaluation, "model_id": ""}
    assert load_model(Location.parse(tmp_path), final).output_shape == (None, 2)
    assert list((tmp_path / "tensorboard" / "refit").iterdir())
    assert train(options)["model_id"] == second["model_id"]
    with pytest.raises(InputError, match="fitted on all parts"):
        run(features, tmp_path, 1, **changes)


def test_a_loss_that_is_no_number_is_one_line_at_once(in_process: None, features: str, tmp_path: Path) -> None:
    options = {"optimizer": "{name: sgd, learning_rate: 1.0e+30}", "epochs": "3"}
    with pytest.raises(ArtrayError, match=r"loss is no longer a number in epoch [12]: try a smaller learning rate"):
        run(features, tmp_path, 1, **options)


def test_several_labels_a_work_and_a_task_that_can_not_be_learned(
    in_process: None, features: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Location.parse(tmp_path / "features")
    table = Location.parse(features).dataset().to_table()
    chance = np.random.default_rng(0)
    old = table["medium"].to_pylist()
    motifs = [[medium, "always"] if medium == "code" or number % 4 else [medium] for number, medium in enumerate(old)]
    table = table.append_column("motif", pa.array(motifs, pa.list_(pa.string())))
    table = table.append_column("guess", pa.array(chance.permutation(old).tolist()))
    (data / "part-000000.parquet").write_table(table)
    (data / "_run.json").write_bytes((Location.parse(features) / "_run.json").read_bytes())

    def learn(task: str, **changes: str) -> dict[str, object]:
        out = str(tmp_path / task)
        return train(TrainOptions(config=CONFIG, data=str(data), out=out, task=task, set={"epochs": "20", **changes}))

    counts = learn("motif", labels="multilabel")
    bundle = load_bundle(Location.parse(tmp_path / "motif"))
    assert (bundle.task, bundle.target, bundle.labels) == ("motif", "motif", "multilabel")
    assert list(bundle.thresholds) == ["always", "code", "hand"]
    assert read_evaluation(Location.parse(tmp_path / "motif"))["thresholds"] == bundle.thresholds
    assert counts["doubt"] is None
    for row in read_predictions(Location.parse(tmp_path / "motif")).to_pylist(maps_as_pydicts="strict"):
        assert row["label"] == [name for name, score in row["scores"].items() if score >= bundle.thresholds[name]]
    capsys.readouterr()
    doubt = learn("guess")["doubt"]
    assert doubt.endswith("all its labels are uncertain.")
    assert f"guess: {doubt}" in capsys.readouterr().err
    assert load_bundle(Location.parse(tmp_path / "guess")).doubt == doubt
