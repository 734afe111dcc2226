"""Training on several workers."""

from pathlib import Path

import numpy as np
import pytest

from artray.collection import storage
from artray.errors import InputError
from artray.training.bundle import load_bundle, read_json
from artray.training.station import TrainOptions, train
from tests.integration.tables import EXAMPLES, write_features

CONFIG = str(Path(__file__).parents[2] / "jobs" / "configs" / "hand_or_code_head.yaml")

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("features"))
    write_features(folder)
    return folder


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


def test_a_bundle_is_not_trained_again_nor_overwritten(features: str, tmp_path: Path) -> None:
    first = run(features, tmp_path, 1, epochs="1")
    assert (
        run(features, tmp_path, 1, epochs="1")["model_id"] == first["model_id"] == load_bundle(str(tmp_path)).model_id
    )
    with pytest.raises(InputError, match="--overwrite"):
        run(features, tmp_path, 1, epochs="2")


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
