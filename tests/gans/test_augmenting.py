"""Generated works join the training part, and nothing else changes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from artray.collection import storage
from artray.errors import InputError
from artray.gans import augmenting
from artray.gans.augmenting import AugmentationOptions, compare_augmentation
from tests.gans.bundles import write_generator
from tests.gans.serial import Serial
from tests.integration.tables import CONFIG, EXAMPLES, write_features

GAN = "gan.yaml"
WIDTH = 16


class Steps:
    """The steps around the generated works, in the place of training."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, serial: Serial):
        self.trained: list[Any] = []
        self.searched: list[Any] = []
        self.serial = serial
        monkeypatch.setattr(augmenting, "train_gan", self.train_gan)
        monkeypatch.setattr(augmenting, "search", self.search)
        monkeypatch.setattr(augmenting, "compute_features", self.compute_features)

    def train_gan(self, options: Any) -> None:
        self.trained.append(options)
        if not storage.exists(storage.join(options.out, "generator.json")):
            write_generator(options.out, ["code", "hand"], config={"target": "medium"})

    def compute_features(self, manifest: str, out: str, specs: Any, *, overwrite: bool) -> None:
        assert specs == [{"name": "embedding", "size": 224}]
        table = storage.dataset(manifest).to_table()
        values = np.arange(len(table) * WIDTH, dtype=np.float32).reshape(-1, WIDTH)
        table = table.append_column("status", pa.array(["ok"] * len(table)))
        table = table.append_column("embedding", storage.list_column(values))
        storage.write_table(storage.join(out, "part-0.parquet"), table)

    def search(self, options: Any) -> dict[str, str]:
        self.searched.append(options)
        runs = []
        for seed in options.seeds:
            share = len(self.searched) / 10
            figures = {"accuracy": share + seed / 100, "balanced_accuracy": share, "macro": {"f1": share}}
            baseline = {**figures, "balanced_accuracy": 0.77}
            level = {**figures, "majority_share": 0.5, "n": 12, "baseline": baseline}
            runs.append(storage.join(options.out, "runs", str(seed)))
            text = json.dumps({"levels": {"artwork": level}})
            storage.write_bytes(storage.join(runs[-1], "evaluation.json"), text.encode())
        storage.write_table(storage.join(options.out, "results.parquet"), pa.table({"runs": [runs]}))
        return {"out": options.out}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch, Serial(monkeypatch))


@pytest.fixture
def options(tmp_path: Path) -> AugmentationOptions:
    write_features(str(tmp_path / "features"))
    return AugmentationOptions(
        config=CONFIG, gan=GAN, data=str(tmp_path / "features"), out=str(tmp_path / "out"), shares=[50, 0, 100]
    )


def test_generated_works_join_the_training_part_alone(
    options: AugmentationOptions, steps: Steps, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = compare_augmentation(options)
    real = storage.dataset(options.data).to_table()
    parts = Counter(real["split"].to_pylist())
    assert [found.data for found in steps.searched] == [[f"{options.out}/data/{share}"] for share in (0, 50, 100)]
    added = []
    for found in steps.searched:
        table = storage.dataset(found.data[0]).to_table()
        assert table.slice(0, EXAMPLES).equals(real)
        assert storage.exists(storage.join(found.data[0], "_run.json"))
        added.append(table.slice(EXAMPLES))
    assert [len(table) for table in added] == [0, 19, 37]
    assert parts["train"] == 37
    assert set(added[2]["split"].to_pylist()) == {"train"}
    assert added[2].slice(0, len(added[1])).equals(added[1])
    # As often by label as the training part's works.
    train = [row["medium"] for row in real.to_pylist() if row["split"] == "train"]
    found_labels = Counter(added[2]["medium"].to_pylist())
    assert abs(found_labels["code"] - train.count("code")) <= 3
    assert counts["balanced_accuracy"] == {
        "0": {"mean": 0.1, "spread": 0.0},
        "50": {"mean": 0.2, "spread": 0.0},
        "100": {"mean": 0.3, "spread": 0.0},
    }
    results = json.loads(Path(options.out, "augmentation.json").read_text())
    assert results["rows"][0]["accuracy"] == {"mean": 0.11, "spread": 0.01}
    said = capsys.readouterr().err
    assert "12 test works, all real; mean ± spread over 3 seeds; always the same label: 0.500" in said
    assert f"{parts['train']} + {parts['train']}" in said
    assert "0.110 ± 0.010" in said
    assert "0.770" in said


def test_the_generator_learns_the_classifiers_labels(options: AugmentationOptions, steps: Steps) -> None:
    compare_augmentation(options.model_copy(update={"set_gan": {"epochs": "3"}, "set": {"classes": "[code, hand]"}}))
    (trained,) = steps.trained
    assert trained.config == GAN
    assert trained.set == {"epochs": "3", "target": '"medium"', "classes": '["code", "hand"]'}


def test_run_again_nothing_is_other_data(options: AugmentationOptions, steps: Steps) -> None:
    compare_augmentation(options)
    files = sorted(Path(options.out, "data").rglob("*.parquet"))
    before = [file.stat().st_mtime_ns for file in files]
    compare_augmentation(options)
    assert [file.stat().st_mtime_ns for file in files] == before
    assert len(steps.serial.passes) == 1


def test_without_generated_works_nothing_is_generated(options: AugmentationOptions, steps: Steps) -> None:
    compare_augmentation(options.model_copy(update={"shares": [0]}))
    assert steps.serial.passes == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input": "patches"}, "generated works are pictures"),
        ({"folds": "5"}, "no folds"),
        ({"labels": "several"}, "labels: one"),
    ],
)
def test_what_can_not_be_augmented_is_said(
    options: AugmentationOptions, steps: Steps, change: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        compare_augmentation(options.model_copy(update={"set": change}))
    assert not steps.trained
