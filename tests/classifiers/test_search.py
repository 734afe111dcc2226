import pytest

from artray.classifiers import feature_inputs
from artray.classifiers import search as station
from artray.classifiers.search import SearchOptions, search, settings_of
from artray.errors import ArtrayError, InputError
from artray.job import parse, validate
from artray.storage import Location
from tests.integration.tables import write_features

TEXT = """\
task: style
target: style
input: features
columns: [embedding, palette_rgb, brightness]
model: {name: linear_head, dropout: 0.2}
optimizer: {name: sgd, learning_rate: 0.01, momentum: 0.9}
"""


@pytest.fixture
def found(tmp_path):
    """The settings of a command line."""
    path = tmp_path / "style.yaml"
    path.write_text(TEXT)

    def read(*flags):
        values, _ = parse(SearchOptions, ["--config", str(path), "--data", "d", "--out", "o", *flags])
        return settings_of(validate(SearchOptions, values))

    return read


def test_a_grid_is_every_combination_on_every_seed(found):
    settings = found("--grid", "model.l2=0,0.1", "--grid", "optimizer.learning_rate=1e-3,0.01,0.1", "--seeds", "3,4")
    assert [tuple(item.values.values()) for item in settings] == [
        (l2, rate) for l2 in (0, 0.1) for rate in ("1e-3", 0.01, 0.1)
    ]
    assert [[config.seed for config in item.configs] for item in settings] == [[3, 4]] * 6
    assert settings[0].configs[0].optimizer.learning_rate == 0.001
    assert settings[4].configs[1].model.settings() == {"dropout": 0.2, "l2": 0.1}
    assert settings[4].configs[1].optimizer.settings() == {"learning_rate": 0.01, "momentum": 0.9}


def test_values_may_be_lists_and_mappings(found):
    settings = found("--grid", "columns=[embedding],[embedding, brightness]")
    assert [item.configs[0].columns for item in settings] == [["embedding"], ["embedding", "brightness"]]
    settings = found("--grid", "model={name: linear_head},{name: cv_fc}", "--set", "epochs=3")
    assert [item.configs[0].model.name for item in settings] == ["linear_head", "cv_fc"]
    assert {item.configs[0].epochs for item in settings} == {3}


def test_an_options_file_may_hold_lists(found, tmp_path):
    file = tmp_path / "search.yaml"
    file.write_text("grid: {epochs: [2, 3], columns: [[embedding], [brightness]]}\nseeds: [1]\n")
    options = {
        "config": str(tmp_path / "style.yaml"),
        "data": ["d"],
        "out": "o",
        "grid": {"epochs": [2, 3], "columns": [["embedding"], ["brightness"]]},
    }
    assert len(settings_of(validate(SearchOptions, options))) == 4


def test_an_ablation_takes_all_columns_all_but_one_and_each_alone(found):
    columns = [item.configs[0].columns for item in found("--ablate")]
    assert columns == [
        ["embedding", "palette_rgb", "brightness"],
        ["palette_rgb", "brightness"],
        ["embedding", "brightness"],
        ["embedding", "palette_rgb"],
        ["embedding"],
        ["palette_rgb"],
        ["brightness"],
    ]
    assert len(found("--ablate", "--grid", "epochs=1,2")) == 14
    two = [item.configs[0].columns for item in found("--ablate", "--set", "columns=[a, b]")]
    assert two == [["a", "b"], ["b"], ["a"]]
    settings = found("--ablate", "--set", "columns=[embedding]", "--set", "colormaps=true")
    assert [(item.configs[0].columns, item.configs[0].colormaps) for item in settings] == [
        (["embedding"], True),
        ([], True),
        (["embedding"], False),
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "--grid: say what to try"),
        (["--grid", "epochs"], "must be key=value"),
        (["--grid", "epochs=[1"], "not YAML values"),
        (["--grid", "epochs="], "must be a list of values"),
        (["--grid", "epoch=1,2"], "epoch: unknown key"),
        (["--grid", "epochs=1,0"], "epochs: Input should be greater than"),
        (["--ablate", "--grid", "columns=[a],[b]"], "leave them out of --grid"),
        (["--ablate", "--set", "columns=[a]"], "two or more columns"),
        (["--grid", "epochs=1", "--metric", "auc"], "--metric"),
    ],
)
def test_wrong_grids_are_said_in_one_line(found, flags, words):
    with pytest.raises(InputError) as raised:
        found(*flags)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_edited_thesaurus_asks_for_other_trials_and_each_trial_has_its_own_concepts(tmp_path, monkeypatch):
    trainings = []

    def not_trained(options, trials):
        read = station._Reader(options, trials)
        trainings.append({trial.run: read.training(trial) for trial in trials})
        return dict.fromkeys(trainings[-1], "not tried here")

    monkeypatch.setattr(station, "_train", not_trained)
    monkeypatch.setattr(station, "cache_of", lambda *_: None)
    monkeypatch.setattr(feature_inputs.ray, "put", lambda values: values)
    write_features(str(tmp_path / "features"))
    (tmp_path / "config.yaml").write_text(TEXT.replace("palette_rgb, brightness", ""))
    thesauri = [tmp_path / "ours.csv", tmp_path / "theirs.csv"]
    for number, file in enumerate(thesauri):
        file.write_text(f"name,uri\ncode,https://museum.example/{number}\n")
    options = SearchOptions(
        config=str(tmp_path / "config.yaml"),
        task="medium",
        data=[str(tmp_path / "features")],
        out=tmp_path / "out",
        grid={"vocabulary": [str(file) for file in thesauri]},
        baseline=False,
    )

    def asked():
        with pytest.raises(ArtrayError, match="not tried here"):
            search(options)
        return trainings[-1]

    first = asked()
    assert {each.known["code"].uri[-1] for each in first.values()} == {"0", "1"}
    assert asked().keys() == first.keys()
    thesauri[1].write_text("name,uri\ncode,https://museum.example/2\n")
    edited = asked()
    (new,) = edited.keys() - first.keys()
    assert edited[new].known["code"].uri[-1] == "2"
    assert len({each.source for each in edited.values()} | {each.source for each in first.values()}) == 3
    (Location.parse(new) / "bundle.json").write_bytes(b"{}")
    with pytest.raises(ArtrayError):
        search(options)
    assert new not in trainings[-1]
