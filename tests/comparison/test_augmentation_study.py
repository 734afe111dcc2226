"""Generated works join the training part, and nothing else changes."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from artray.comparison import augmentation_study as augmenting
from artray.comparison.augmentation_study import AugmentationOptions, compare_augmentation
from artray.errors import ArtrayError, InputError
from artray.storage import Location, dataset_digest, list_column
from tests.comparison.made import write_model
from tests.gans.bundles import write_generator
from tests.gans.serial import Serial
from tests.integration.tables import CONFIG, EXAMPLES, write_features

pytestmark = pytest.mark.slow  # whole stations

GAN = "gan.yaml"
WIDTH = 16


class Steps:
    """The steps around the generated works, in the place of training."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, serial: Serial):
        self.trained: list[Any] = []
        self.searched: list[Any] = []
        self.serial = serial
        monkeypatch.setattr(augmenting, "train_gan", self.train_gan)
        monkeypatch.setattr(augmenting, "train_gans", self.train_gans)
        monkeypatch.setattr(augmenting, "searches", self.searches)
        monkeypatch.setattr(augmenting, "compute_features", self.compute_features)

    def train_gan(self, options: Any) -> None:
        self.trained.append(options)
        if not (options.out / "generator.json").exists():
            write_generator(options.out, ["code", "hand"], config={"target": "medium"})
            for epoch in ("0001", "0002"):
                (options.out / "samples" / f"epoch-{epoch}.png").write_bytes(f"sheet {epoch}".encode())

    def train_gans(self, several: Any, shared: Location) -> dict[Location, str]:
        for title, options in several:
            assert title == f"seed {options.set['seed']}"
            assert str(options.out).startswith(f"{shared}/")
            self.train_gan(options)
        return {}

    def compute_features(self, manifest: Location, out: Location, specs: Any, *, overwrite: bool) -> None:
        assert specs == [{"name": "embedding", "size": 224}]
        table = manifest.dataset().to_table()
        values = np.arange(len(table) * WIDTH, dtype=np.float32).reshape(-1, WIDTH)
        table = table.append_column("status", pa.array(["ok"] * len(table)))
        table = table.append_column("embedding", list_column(values))
        (out / "part-0.parquet").write_table(table)

    def searches(self, several: list[Any], shared: Location) -> list[dict[str, str]]:
        assert shared.name == "classifiers"
        return [self.search(options) for options in several]

    def search(self, options: Any) -> dict[str, str]:
        self.searched.append(options)
        runs = []
        skill = 0.6 if options.out.name == "0" else 0.8
        for seed in options.seeds:
            share = len(self.searched) / 10
            figures = {"accuracy": share + seed / 100, "balanced_accuracy": share, "macro": {"f1": share}}
            baseline = {**figures, "balanced_accuracy": 0.77}
            level = {**figures, "majority_share": 0.5, "n": 12, "baseline": baseline}
            runs.append(write_model(str(options.out / "runs" / str(seed)), skill=skill, seed=seed, works=12))
            (Location(runs[-1]) / "evaluation.json").write_json({"levels": {"artwork": level}})
        (options.out / "results.parquet").write_table(pa.table({"runs": [runs]}))
        return {"out": str(options.out)}


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
    real = options.data.dataset().to_table()
    parts = Counter(real["split"].to_pylist())
    assert [found.data for found in steps.searched] == [[options.out / "data" / str(share)] for share in (0, 50, 100)]
    added = []
    for found in steps.searched:
        table = found.data[0].dataset().to_table()
        assert table.slice(0, EXAMPLES).equals(real)
        assert (found.data[0] / "_run.json").exists()
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
    page = Path(options.out, "augmentation.html").read_text()
    assert "37 real works" in page
    assert "--gan-seeds trains several" in page
    assert Path(options.out, "augmentation", "samples.png").read_bytes() == b"sheet 0002"


def test_each_of_several_generators_has_its_own_works_and_classifiers(
    options: AugmentationOptions, steps: Steps
) -> None:
    several = options.model_copy(update={"gan_seeds": [4, 7], "shares": [0, 50]})
    counts = compare_augmentation(several)
    assert [trained.set["seed"] for trained in steps.trained] == ["4", "7"]
    places = [options.out / "generators" / seed for seed in ("4", "7")]
    assert [trained.out for trained in steps.trained] == [place / "gan" for place in places]
    assert [found.data for found in steps.searched] == [
        [options.out / "data" / "0"],  # without generated works there is nothing to be trained twice
        *([place / "data" / "50"] for place in places),
    ]
    results = json.loads(Path(options.out, "augmentation.json").read_text())
    assert results["rows"][1]["balanced_accuracy"] == {"mean": 0.25, "spread": 0.0548}  # of .2 and .3, three each
    assert results["rows"][0]["difference"] is None
    assert counts["difference"] == {"50": results["rows"][1]["difference"]["balanced_accuracy"]}
    assert "2 generators with 3 seeds each" in Path(options.out, "augmentation.html").read_text()
    with pytest.raises(InputError, match=r"is of generators of the seeds 4,7; give another, or --gan-seeds 4,7"):
        compare_augmentation(options)


def test_a_generator_that_could_not_be_trained_ends_the_study(
    options: AugmentationOptions, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = options.out / "generators" / "1" / "gan"
    monkeypatch.setattr(augmenting, "train_gans", lambda several, shared: {place: "no longer a number"})
    with pytest.raises(ArtrayError, match="generators/1/gan: no longer a number"):
        compare_augmentation(options.model_copy(update={"gan_seeds": [0, 1]}))
    assert not steps.searched


def test_the_generator_learns_the_classifiers_labels(options: AugmentationOptions, steps: Steps) -> None:
    compare_augmentation(options.model_copy(update={"set_gan": {"epochs": "3"}, "set": {"classes": "[code, hand]"}}))
    (trained,) = steps.trained
    assert trained.config == GAN
    assert trained.set == {"epochs": "3", "target": '"medium"', "classes": '["code", "hand"]'}


def test_of_few_real_works_all_learn_alike(options: AugmentationOptions, steps: Steps) -> None:
    compare_augmentation(options.model_copy(update={"shares": [0], "real": 25, "out": options.out / "few"}))
    compare_augmentation(options.model_copy(update={"shares": [0], "real": 50, "out": options.out / "more"}))
    real = {row["object_id"]: row for row in options.data.dataset().to_table().to_pylist()}
    kept = []
    places = [options.out / "few" / "real" / "25", options.out / "more" / "real" / "50"]
    for name, place, share in (("few", places[0], 0.25), ("more", places[1], 0.5)):
        found = place.dataset().to_table().to_pylist()
        assert all(row == real[row["object_id"]] for row in found)
        assert len([row for row in found if row["split"] != "train"]) == EXAMPLES - 37  # judged on all of these
        training = [row for row in found if row["split"] == "train"]
        for label in ("code", "hand"):
            of_label = [row["split"] == "train" and row["medium"] == label for row in real.values()]
            assert [row["medium"] for row in training].count(label) == math.ceil(share * sum(of_label))
        kept.append({row["object_id"] for row in training})
        without = (options.out / name / "data" / "0").dataset().to_table()
        assert without.equals(place.dataset().to_table())
    assert kept[0] < kept[1]
    assert [trained.data for trained in steps.trained] == places


def test_a_share_of_the_real_works_is_whole_works_and_none_too_many() -> None:
    columns = {"object_id": [f"w{number}" for number in range(104)], "style": ["a"] * 100 + ["b"] * 4}
    table = pa.table(columns | {"split": ["train"] * 103 + [None]})
    for percent in (7, 14, 28, 55, 12.5):
        found = Counter(augmenting._fewer(table, "style", percent)["style"].to_pylist())
        assert found == {"a": math.ceil(percent), "b": math.ceil(3 * percent / 100) + 1}  # one is of no part


def test_another_share_of_the_real_works_leaves_what_the_generator_learned_from(
    options: AugmentationOptions, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = options.model_copy(update={"shares": [0], "real": 25})
    compare_augmentation(few)
    learned = dataset_digest(steps.trained[0].data.dataset())
    with pytest.raises(InputError, match=r"is of 25 % of the real works; give another, or --real 25"):
        compare_augmentation(options)
    Path(options.out, "augmentation.json").unlink()  # as of a run that was killed

    def refuse(_: Any) -> None:
        raise InputError("made from other data")

    monkeypatch.setattr(augmenting, "train_gan", refuse)
    with pytest.raises(InputError):
        compare_augmentation(few.model_copy(update={"real": 50}))
    assert dataset_digest(steps.trained[0].data.dataset()) == learned


def test_data_of_a_run_that_was_killed_are_whole(
    options: AugmentationOptions, steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = options.model_copy(update={"shares": [0], "real": 25})
    write = Location.write_table

    def killed(place: Location, table: pa.Table) -> None:
        write(place, table)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Location, "write_table", killed)
        with pytest.raises(KeyboardInterrupt):
            compare_augmentation(few)
    compare_augmentation(few)
    assert (steps.trained[0].data / "_run.json").exists()


def test_a_feature_tables_detector_is_not_loaded(options: AugmentationOptions, steps: Steps) -> None:
    run = {"arguments": {"features": [{"name": "objects", "detector": "/theirs"}]}}
    Path(options.data, "_run.json").write_text(json.dumps(run))
    with pytest.raises(InputError, match=r"'/theirs'\): name one that you trust with --detector DIR"):
        compare_augmentation(options)
    assert not steps.trained  # said before the hours that it takes


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
        ({"labels": "multilabel"}, "labels: one"),
    ],
)
def test_what_can_not_be_augmented_is_said(
    options: AugmentationOptions, steps: Steps, change: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        compare_augmentation(options.model_copy(update={"set": change}))
    assert not steps.trained
