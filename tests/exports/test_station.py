"""The job, in this process: what is written, what is not, and what a second run does."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from artray import __version__, cluster
from artray.bundles.classifier import PREDICTIONS
from artray.bundles.keras_files import keras_file
from artray.errors import ArtrayError, InputError
from artray.exports import page, station
from artray.exports.forms import Form, MissingPackageError
from artray.exports.station import ExportOptions, export_model
from artray.job import validate
from artray.storage import Location
from tests.labeling.bundles import BRIGHTNESS, model, save_bundle, write_pictures

pytestmark = pytest.mark.slow  # whole stations


def write_predictions(bundle: str, pictures: dict[str, str] | list[str], labels: list[str]) -> None:
    ids = list(pictures)
    columns = {
        "object_id": ids,
        "part": [("train", "test", "validation")[number % 3] for number in range(len(ids))],
        "true": [labels[number % len(labels)] for number in range(len(ids))],
    }
    if isinstance(pictures, dict):
        columns["image_uri"] = list(pictures.values())
    (Location.parse(bundle) / PREDICTIONS).write_table(pa.table(columns))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of pictures with 8 works of the test part, 2 of which can't be read; a quarter of its kernels is 0."""
    folder = tmp_path_factory.mktemp("bundle")
    network = model("pictures", 3, 1)
    for layer in network.layers:
        if layer.weights:
            kernel = layer.kernel.numpy()
            kernel.ravel()[: kernel.size // 4] = 0
            layer.kernel.assign(kernel)
    uri = save_bundle(str(folder / "model"), network, {"kind": "pictures", "size": 16}, "style", 3)
    pictures = write_pictures(folder / "pictures", 24)
    for number in (1, 4):
        Path(pictures[f"W{number}"]).unlink()
    write_predictions(uri, pictures, [f"style {number}" for number in range(3)])
    return uri


wrote: list[str] = []


def fake_forms() -> dict[str, Form]:
    """Forms that need no converter."""

    def write(source, folder):
        assert source.representative.dtype == np.float32
        wrote.append("plain")
        (folder / "model.bin").write_bytes(keras_file(source.model))

    def load(folder):
        import keras

        (folder / "model.keras").write_bytes((folder / "model.bin").read_bytes())
        loaded = keras.models.load_model(folder / "model.keras", compile=False)
        (folder / "model.keras").unlink()
        return lambda inputs: loaded.predict_on_batch(inputs)

    def fail(source, folder):
        wrote.append("failing")
        raise ValueError("no such\noperation: Fancy")

    def lack(source, folder):
        raise MissingPackageError("needs the package onnx: pip install 'artray[export]'")

    def blind(folder):
        run = load(folder)
        return lambda inputs: np.roll(run(inputs), 1, axis=1)

    return {
        "plain": Form("Plain", write, load, (r"model\.bin",)),
        "failing": Form("Failing", fail, load, (r"model\.bin",)),
        "lacking": Form("Lacking", lack, load, (r"model\.bin",)),
        "blind": Form("Blind", write, blind, (r"model\.bin",), exact=False),
    }


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray, and with forms that are quick."""
    monkeypatch.setattr(station, "_task", lambda function, *arguments, **named: function(*arguments, **named))
    monkeypatch.setattr(station, "_get", lambda value: value)
    monkeypatch.setattr(station, "check_nodes", lambda *_: None)
    monkeypatch.setattr(station, "rate_of", lambda run, inputs: 12.345)
    monkeypatch.setattr(cluster, "connect", lambda: None)
    monkeypatch.setattr(cluster, "quicken_keras", lambda: None)
    forms = fake_forms()
    monkeypatch.setattr(station, "FORMS", forms)
    monkeypatch.setattr(page, "FORMS", forms)
    wrote.clear()


def options(bundle: str, out: Path, **values: object) -> ExportOptions:
    return validate(ExportOptions, {"model": bundle, "out": str(out), "forms": list(fake_forms()), **values})


def test_what_can_be_written_is_and_the_rest_is_counted(bundle, tmp_path, capsys):
    counts = export_model(options(bundle, tmp_path))
    assert (counts["rows"], counts["ok"], counts["failed"]) == (4, 2, 2)
    assert counts["forms"] == {"plain": "ok", "failing": "failed", "lacking": "missing", "blind": "ok"}
    assert (counts["works"], counts["works_left_out"]) == (6, 2)
    assert 0.2 < counts["sparsity"] < 0.3
    figures = json.loads((tmp_path / "export.json").read_text())
    assert figures["model"]["agreement"] == figures["forms"]["plain"]["agreement"] == 1
    assert figures["forms"]["plain"]["difference"] == 0
    assert figures["forms"]["plain"]["accuracy"] == figures["model"]["accuracy"]
    assert figures["model"]["left_out"] == {"missing": 2}
    assert figures["model"]["representative"] == 8
    assert figures["forms"]["failing"]["error"] == "ValueError: no such operation: Fancy"
    assert figures["model"]["bytes"] > figures["model"]["compressed"] > 0
    assert not (tmp_path / "failing").exists()
    said = capsys.readouterr().err
    assert "failing: not written: ValueError: no such operation: Fancy" in said
    assert "lacking: not written: needs the package onnx: pip install 'artray[export]'" in said
    assert "works of the test part that can't be read: 2 (2 missing)" in said
    about = json.loads((tmp_path / "model.json").read_text())
    assert [item["name"] for item in about["classes"]] == ["style 0", "style 1", "style 2"]
    assert (about["decision"], about["shares"], about["input_shape"]) == ("likely", None, [16, 16, 3])
    text = (tmp_path / "export.md").read_text()
    assert "| Plain | " in text
    assert "- Failing: ValueError: no such operation: Fancy" in text
    assert "2 more can't be read" in text
    assert "Failing: ValueError" in (tmp_path / "export.html").read_text()


def test_a_form_with_other_labels_is_said_aloud(bundle, tmp_path, capsys):
    export_model(options(bundle, tmp_path, forms=["blind"]))
    figures = json.loads((tmp_path / "export.json").read_text())
    assert figures["forms"]["blind"]["agreement"] == 0
    assert "blind: gives only 0% of the works the model's label" in " ".join(capsys.readouterr().err.split())


def test_a_second_run_does_what_is_missing(bundle, tmp_path):
    export_model(options(bundle, tmp_path, forms=["plain"]))
    assert wrote == ["plain"]
    counts = export_model(options(bundle, tmp_path, forms=["failing", "blind"]))
    assert wrote == ["plain", "failing", "plain"]  # blind is written plain
    assert counts["forms"] == {"plain": "ok", "failing": "failed", "blind": "ok"}
    (tmp_path / "blind" / "form.json").unlink()  # as if it had been killed there
    export_model(options(bundle, tmp_path, forms=["plain", "blind"]))
    assert wrote[3:] == ["plain"]


def test_what_an_older_release_has_judged_is_judged_again(bundle, tmp_path, capsys):
    export_model(options(bundle, tmp_path, forms=["plain"]))
    for file in ("_plan.json", "_model/form.json", "plain/form.json"):
        path = tmp_path / file
        path.write_text(path.read_text().replace(f'"{__version__}"', '"0.0.9"'))
    counts = export_model(options(bundle, tmp_path, forms=["blind"]))
    assert wrote == ["plain", "plain", "plain"]  # blind is written plain
    assert counts["forms"] == {"plain": "ok", "blind": "ok"}
    assert "written by artray 0.0.9: its forms are written and judged again" in " ".join(
        capsys.readouterr().err.split()
    )


def test_an_export_of_something_else_is_kept(bundle, tmp_path):
    export_model(options(bundle, tmp_path, forms=["plain"]))
    (tmp_path / "plain" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds the export of this model with other settings; give another --out"):
        export_model(options(bundle, tmp_path, forms=["blind"], works=3))
    counts = export_model(options(bundle, tmp_path, forms=["blind"], works=3, overwrite=True))
    assert counts["forms"] == {"blind": "ok"}
    assert counts["works"] <= 3
    assert [file.name for file in (tmp_path / "plain").iterdir()] == ["notes.txt"]
    other = str(tmp_path.with_name("another-model"))
    save_bundle(other, model("pictures", 3, 2), {"kind": "pictures", "size": 16}, "style", 3)
    write_predictions(other, {}, ["style 0"])
    with pytest.raises(InputError, match="holds the export of another model"):
        export_model(options(other, tmp_path, works=3))


def test_if_none_can_be_written_that_is_an_error(bundle, tmp_path):
    with pytest.raises(ArtrayError, match="no form could be written; failing: ValueError: no such operation"):
        export_model(options(bundle, tmp_path, forms=["failing"]))


def test_bad_options(bundle, tmp_path):
    (tmp_path / "bundle.json").write_text("{}")
    with pytest.raises(InputError, match="holds the output of another job"):
        export_model(options(bundle, tmp_path))
    with pytest.raises(InputError, match="is the place of --model"):
        export_model(options(bundle, Path(bundle)))
    with pytest.raises(InputError, match=r"there is no form 'plane' \(.*\); did you mean plain\?"):
        options(bundle, tmp_path, forms=["plane"])
    with pytest.raises(InputError, match="not a model bundle"):
        export_model(options(str(tmp_path / "nowhere"), tmp_path / "out"))


def test_works_that_are_gone(bundle, tmp_path):
    uri = save_bundle(str(tmp_path / "model"), model("pictures", 2, 1), {"kind": "pictures", "size": 16}, "style", 2)
    write_predictions(uri, {f"W{number}": str(tmp_path / f"{number}.png") for number in range(6)}, ["style 0"])
    with pytest.raises(InputError, match=r"none of the 2 works of the test part can be read \(2 missing\)"):
        export_model(options(uri, tmp_path / "out"))
    write_predictions(uri, {}, ["style 0"])
    with pytest.raises(InputError, match="name no work of the test part"):
        export_model(options(uri, tmp_path / "out"))


def test_a_model_of_features(tmp_path):
    given = {"kind": "features", "features": [BRIGHTNESS], "columns": ["brightness"]}
    uri = save_bundle(str(tmp_path / "model"), model("features", 2, 1), given, "style", 2)
    write_predictions(uri, [f"W{number}" for number in range(9)], ["style 0", "style 1"])
    with pytest.raises(InputError, match="don't say where the pictures are; --features names"):
        export_model(options(uri, tmp_path / "out"))
    table = pa.table(
        {"object_id": ["W7", "W4", "W0", "W2"], "brightness": pa.array([0.5, 0.1, 0.3, 0.2], pa.float32())}
    )
    (tmp_path / "features").mkdir()
    (Location.parse(tmp_path / "features") / "part-000000.parquet").write_table(table)
    counts = export_model(options(uri, tmp_path / "out", features=str(tmp_path / "features"), forms=["plain"]))
    assert (counts["works"], counts["works_left_out"]) == (2, 1)
    figures = json.loads((tmp_path / "out" / "export.json").read_text())
    assert figures["model"]["left_out"] == {"missing": 1}
    assert figures["model"]["representative"] == 1
    (Location.parse(tmp_path / "texture") / "part-000000.parquet").write_table(table.drop_columns(["brightness"]))
    with pytest.raises(InputError, match="has no column 'brightness', which the model needs"):
        export_model(options(uri, tmp_path / "out2", features=str(tmp_path / "texture")))
