import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from artray.classifiers.config import TrainConfig, labels_found, read_config
from artray.engine.optimizers import OptimizerConfig
from artray.engine.schedules import Schedule
from artray.errors import InputError
from artray.gans.config import GanConfig
from artray.job import CONFIGS as FOLDER
from artray.job import Options, config_file, read_config_file
from artray.style_transfer.config import StyleConfig
from artray.super_resolution.config import UpscalerConfig

ROOT = Path(__file__).parents[2]
ALL = sorted(FOLDER.glob("*.yaml"))
# By a config's first word.
KINDS: dict[str, type[Options]] = {
    "gan": GanConfig,
    "style": StyleConfig,
    "sr": UpscalerConfig,
}
CONFIGS = [path for path in ALL if path.stem.split("_")[0] not in KINDS]
GANS = [path for path in ALL if path.stem.startswith("gan_")]

TEXT = """\
task: style
target: style
input: features
model: {name: linear_head, dropout: 0.2}
optimizer: {name: sgd, learning_rate: 0.01, momentum: 0.9}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "style.yaml"
    path.write_text(TEXT)
    return str(path)


def test_there_are_configs():
    assert len(CONFIGS) >= 2
    assert len(GANS) >= 2


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_config_is_valid_and_has_a_header(path):
    text = path.read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    config = read_config_file(KINDS.get(path.stem.split("_")[0], TrainConfig), str(path), {})
    assert config.model_dump(exclude_unset=True).keys() == values.keys()
    header = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    for key in ("Command", "Data", "Published", "Ours"):
        assert any(line.startswith(key) for line in header), key
    assert any(re.search(rf"artray train(-gan|-style|-upscaler)? --config {path.stem} ", line) for line in header)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_packaged_config_by_its_name_and_by_its_old_path(path):
    assert config_file(path.stem) == path
    assert (ROOT / "jobs" / "configs" / path.name).samefile(path)


def test_a_name_is_the_packaged_config_and_a_path_is_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("lite0_head", "mine", "mine.yaml"):
        Path(name).write_text(TEXT)
    assert read_config("lite0_head", {}).optimizer.name == "adam"
    for name in ("./lite0_head", str(tmp_path / "lite0_head"), "mine", "mine.yaml"):
        assert read_config(name, {}).optimizer.name == "sgd"


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("lite0_haed", "; did you mean lite0_head?"),
        ("lite0_head.yaml", "; did you mean lite0_head?"),
        ("watercolour", " (packaged:"),
        ("", " (packaged:"),
        (".", " (packaged:"),
    ],
)
def test_a_name_of_no_config_lists_those_there_are(tmp_path, monkeypatch, given, hint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as raised:
        read_config(given, {})
    line = str(raised.value)
    assert line.startswith(f"{given}: no such file, nor a packaged config{hint}")
    assert line.endswith(f"(packaged: {', '.join(path.stem for path in ALL)})")


def test_a_fault_in_a_packaged_config_is_told_by_its_name():
    with pytest.raises(InputError, match=r"^lite0_head: epochs: "):
        read_config("lite0_head", {"epochs": "0"})


def test_a_config_and_its_defaults(file):
    config = read_config(file, {})
    assert config.model.name == "linear_head"
    assert config.model.settings() == {"dropout": 0.2}
    assert config.optimizer.settings() == {"learning_rate": 0.01, "momentum": 0.9}
    assert config.columns == ["embedding"]
    assert config.classes is None
    assert OptimizerConfig().settings() == {"learning_rate": 1e-3}
    assert TrainConfig.model_validate(config.model_dump()) == config


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("epochs", "3", 3),
        ("optimizer.learning_rate", "0.5", 0.5),
        ("optimizer.learning_rate", "1e-4", 1e-4),  # YAML 1.1 takes this for text
        ("model.dropout", "[0.1, 0.2]", [0.1, 0.2]),
        ("model.l2", "0.001", 0.001),
        ("optimizer.nesterov", "true", True),
        ("columns", "[embedding, brightness]", ["embedding", "brightness"]),
        ("classes", "[b, a]", ["b", "a"]),
        ("model", "{name: one_block_vgg}", {"name": "one_block_vgg"}),
        ("classes", "null", None),
    ],
)
def test_set(file, path, text, value):
    found = read_config(file, {path: text}).model_dump()
    for key in path.split("."):
        found = found[key]
    assert found == value


def test_the_learning_rates_schedule(file):
    assert read_config(file, {}).learning_rates == Schedule(highest=0.01, epochs=20)
    changes = {"schedule": "plateau", "warmup_epochs": "2", "decay": "0.3", "decay_epochs": "4", "epochs": "7"}
    found = read_config(file, {**changes, "monitor": "validation_accuracy"}).learning_rates
    assert found == Schedule(
        highest=0.01,
        epochs=7,
        shape="plateau",
        warmup_epochs=2,
        decay=0.3,
        decay_epochs=4,
        monitor="validation_accuracy",
    )


def test_early_stopping(file):
    assert read_config(file, {}).early_stopping is None
    rule = read_config(file, {"early_stopping": "{patience: 2}"}).early_stopping
    assert (rule.metric, rule.patience) == (None, 2)


def test_the_old_word_for_several_labels_is_read(file):
    old = read_config(file, {"labels": "several"})
    assert old == read_config(file, {"labels": "multilabel"})
    assert old.multilabel
    assert old.examples.labels == old.model_dump()["labels"] == "multilabel"
    with pytest.raises(InputError, match=r"labels: Input should be 'one', 'multilabel' or 'soft'"):
        read_config(file, {"labels": "many"})


def test_labels_follow_the_column_where_the_config_says_nothing(file, capsys):
    def found(kind, **changes):
        return labels_found(read_config(file, changes), pa.schema([("style", kind), ("other", pa.list_(pa.string()))]))

    assert found(pa.list_(pa.string())) == found(pa.large_list(pa.string())) == {"labels": "multilabel"}
    assert "style: the column holds lists, so a work may have several labels" in capsys.readouterr().err
    for said in ("one", "soft", "multilabel"):
        assert found(pa.list_(pa.string()), labels=said) == {}
    assert found(pa.string()) == found(pa.map_(pa.string(), pa.int32())) == found(pa.list_(pa.float32())) == {}
    assert found(pa.string(), target="nowhere") == {}


def test_set_makes_what_is_not_there(tmp_path):
    path = tmp_path / "short.yaml"
    path.write_text("task: style\ntarget: style\ninput: pictures\nmodel: {name: one_block_vgg}\n")
    config = read_config(str(path), {"optimizer.name": "rmsprop", "optimizer.rho": "0.8"})
    assert config.optimizer.name == "rmsprop"
    assert config.optimizer.settings() == {"learning_rate": 1e-3, "rho": 0.8}


def test_sets_add_up(file):
    config = read_config(file, {"model.dropout": "0.3", "model.l2": "0.1"})
    assert config.model.settings() == {"dropout": 0.3, "l2": 0.1}


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("epoch", "3", ["epoch: unknown key; did you mean epochs?"]),
        ("epochs", "0", ["epochs", "greater than or equal to 1", "'0'"]),
        ("epochs", "many", ["epochs", "'many'"]),
        ("optimizer.learning_rate", "-1", ["optimizer.learning_rate", "greater than 0"]),
        ("optimizer.name", "adm", ["optimizer.name", "'adam'", "'adm'"]),
        ("task", "A/B", ["task", "pattern"]),
        ("input", "sounds", ["input", "'patches'"]),
        ("columns", "[]", ["columns"]),
        ("label_smoothing", "1", ["label_smoothing", "less than 1"]),
        ("model", "linear_head", ["model"]),
        ("task.name", "x", ["--set task.name", "task is not a mapping"]),
        ("precision", "half", ["precision", "'bfloat16'"]),
        ("monitor", "accuracy", ["monitor", "'validation_accuracy'"]),
        (
            "early_stopping",
            "{patiense: 3}",
            ["early_stopping.patiense: unknown key; did you mean patience?", "known here: metric"],
        ),
        ("class_weights", "{oil: -1}", ["class_weights: a weight must be a number from 0 on"]),
        ("class_weights", "heavy", ["class_weights"]),
        ("unfreeze", "{0: [a]}", ["unfreeze: epochs count from 1"]),
        ("unfreeze", "{a: [a]}", ["unfreeze.a"]),
        ("fold", "-1", ["fold"]),
        ("model.l2", "[1", ["--set model.l2=[1", "not a YAML value"]),
    ],
)
def test_wrong_values_are_one_line(file, path, text, names):
    with pytest.raises(InputError) as raised:
        read_config(file, {path: text})
    line = str(raised.value)
    assert "\n" not in line
    assert [name for name in [*names, *([] if line.startswith("--set") else [file])] if name not in line] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": "3", "fold": "3"}, "fold: 3 folds are numbered 0 to 2"),
        ({"input": "pictures", "colormaps": "true"}, "colormaps: needs input: features, not pictures"),
        ({"labels": "multilabel", "sampling": "balanced"}, "sampling: balanced is for examples of one class"),
    ],
)
def test_values_that_do_not_fit_together(file, changes, message):
    with pytest.raises(InputError) as raised:
        read_config(file, changes)
    assert str(raised.value).startswith(f"{file}: {message}")
    assert "\n" not in str(raised.value)


def test_every_key_is_described():
    plain = {"input", "model", "optimizer", "decay", "decay_epochs", "epochs", "label_smoothing", "seed"}
    assert [name for name, key in TrainConfig.model_fields.items() if not key.description and name not in plain] == []


def test_a_config_survives_json(file):
    config = read_config(file, {"unfreeze": "{2: [a], 10: ['*']}", "class_weights": "{oil: 2}", "ema": "0.99"})
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("key", ["task", "target", "input", "model"])
def test_missing_keys_are_named(tmp_path, key):
    path = tmp_path / "style.yaml"
    path.write_text("\n".join(line for line in TEXT.splitlines() if not line.startswith(f"{key}:")))
    with pytest.raises(InputError, match=f"style.yaml: {key}: Field required$"):
        read_config(str(path), {})


def test_no_file(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.yaml: can't be read: No such file"):
        read_config(str(tmp_path / "nowhere.yaml"), {})


def test_a_task_of_ones_own(file):
    config = read_config(file, {"epochs": "3"}, "genre")
    assert (config.task, config.target, config.epochs) == ("genre", "genre", 3)
    assert read_config(file, {"target": "Genre"}, "genre").target == "Genre"
    assert read_config(file, {}, "1900").task == "1900"  # text, though YAML has a number for it
    with pytest.raises(InputError, match=r"--task Genre: a task's name is of a-z.* --set 'target=Genre'"):
        read_config(file, {}, "Genre")


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"epoch": "3"}, "epoch: unknown key; did you mean epochs?"),
        ({"learning_rate": "0.1"}, "did you mean optimizer.learning_rate?"),
        ({"optimizer.learning_rat": "0.1"}, "learning_rat: unknown key; did you mean learning_rate?"),
        ({"labels": "multilable"}, "did you mean multilabel?"),
    ],
)
def test_a_slip_of_the_pen_in_set_is_answered_with_what_was_meant(file, changes, hint):
    with pytest.raises(InputError) as raised:
        read_config(file, changes)
    assert hint in str(raised.value)
