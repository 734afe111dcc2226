import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pyarrow as pa
import pytest

from artray.bundles.classifier import (
    BUNDLE,
    MODEL,
    Bundle,
    BundleClass,
    load_bundle,
    load_model,
    read_evaluation,
    read_predictions,
    save_bundle,
)
from artray.bundles.description import read_history
from artray.bundles.keras_files import keras_file
from artray.errors import InputError
from artray.images.decoding import DECODE_VERSION, USABLE_VERSIONS
from artray.models.classifiers import calibrated, classifier
from artray.storage import Location, digest


def describe(**changes: object) -> Bundle:
    values = {
        "model_id": "style-0123456789ab",
        "task": "style",
        "target": "style",
        "classes": [BundleClass(name="oil"), BundleClass(name="ink", uri="http://vocab.getty.edu/aat/300015012")],
        "input": {"kind": "pictures", "size": 8},
        "decode_version": DECODE_VERSION,
        "temperature": 1.5,
        "model_sha": "",
        "data": {"train": 3},
        "config": {},
        "metrics": {},
        "versions": {},
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    return Bundle.model_validate(values | changes)


def write(folder, model: keras.Model, **changes: object) -> str:
    folder.mkdir(exist_ok=True)
    model.save(folder / MODEL)
    bundle = describe(model_sha=digest((folder / MODEL).read_bytes()), **changes)
    (folder / BUNDLE).write_text(bundle.model_dump_json())
    return str(folder)


@pytest.mark.slow
def test_equal_models_are_equal_files_whenever_they_are_saved():
    with zipfile.ZipFile(io.BytesIO(keras_file(head()))) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert set(json.loads(archive.read("metadata.json"))) == {"keras_version"}
        assert archive.namelist() == sorted(archive.namelist())
    assert keras_file(head()) == keras_file(head())
    assert keras_file(head()) != keras_file(head(1))


def head(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    return calibrated(classifier("one_block_vgg", (8, 8, 3), 2, {"filters": 2, "dense": 2}), 1.5)


def one_line(raised) -> str:
    line = str(raised.value)
    assert "\n" not in line
    return line


def test_round_trip(tmp_path):
    model = head()
    uri = write(tmp_path / "bundle", model)
    bundle = load_bundle(Location.parse(uri))
    assert [item.name for item in bundle.classes] == ["oil", "ink"]
    assert bundle == describe(model_sha=bundle.model_sha)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    again = load_model(Location.parse(uri), bundle)
    assert np.array_equal(np.asarray(again(pictures)), np.asarray(model(pictures)))
    assert (Location.parse(uri) / BUNDLE).read_json()["task"] == "style"


def test_what_is_saved_is_read_again(tmp_path):
    out, model = Location.parse(tmp_path), head()
    data = keras_file(model)
    bundle = describe(model_sha=digest(data))
    predictions = pa.table({"object_id": ["a", "b"], "part": ["train", "test"]})
    history = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    save_bundle(out, bundle, data, evaluation={"levels": {}}, predictions=predictions, history=history)
    assert load_bundle(out) == bundle
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    assert np.array_equal(np.asarray(load_model(out, bundle)(pictures)), np.asarray(model(pictures)))
    assert read_evaluation(out) == {"model_id": bundle.model_id, "levels": {}}
    assert read_history(out) == history
    assert read_predictions(out).equals(predictions)
    assert read_predictions(out, ["part"]).column_names == ["part"]
    assert max(tmp_path.iterdir(), key=lambda path: path.stat().st_mtime_ns).name == BUNDLE  # a whole bundle, or none


@pytest.mark.parametrize("place", ["nothing", "empty", "file"])
def test_not_a_bundle(tmp_path, place):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError) as raised:
        load_bundle(Location.parse(tmp_path / place))
    assert one_line(raised).startswith(f"{tmp_path / place}: not a model bundle: {BUNDLE}: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "JSON"),
        ("[]", "the file"),
        ("{}", "model_id: Field required"),
        ('{"schema_version": 2}', "schema_version: Input should be 1"),
        (b"\xff\xfe", "JSON"),
    ],
)
def test_a_bundle_file_that_is_none(tmp_path, text, words):
    (tmp_path / BUNDLE).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as raised:
        load_bundle(Location.parse(tmp_path))
    line = one_line(raised)
    assert line.startswith(f"{tmp_path}: not a model bundle of this release: {BUNDLE}: ")
    assert words in line


def test_unknown_and_missing_keys(tmp_path):
    values = describe().model_dump()
    for changed in (values | {"extra": 1}, {name: value for name, value in values.items() if name != "classes"}):
        (tmp_path / BUNDLE).write_text(json.dumps(changed))
        with pytest.raises(InputError, match=r"bundle.json: (extra: Extra|classes: Field required)"):
            load_bundle(Location.parse(tmp_path))


def nested(depth: int) -> dict[str, object]:
    values: dict[str, object] = {}
    for _ in range(min(depth, 500)):
        values = {"a": values}
    return values


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        *(({"task": task}, "task: ") for task in ("../../escaped", "/tmp/x", "a/b", "", "Style", "a\n", "..", "é")),
        ({"classes": []}, "classes: "),
        *(
            ({"classes": [{"name": name}, {"name": "x"}]}, "classes: ")
            for name in ("", " ", "a\nb", "\x1b[2J", "\u2028")
        ),
        ({"classes": [{"name": "oil"}, {"name": "oil"}]}, "classes: the class 'oil' stands there 2 times"),
        ({"classes": [{"name": "\u00e9"}, {"name": "e\u0301"}]}, "classes: the class '\u00e9' stands there 2 times"),
        *(({"temperature": value}, "temperature: ") for value in (0, -1, float("nan"), float("inf"))),
        ({"input": {"kind": "pictures", "size": 10**9}}, "input.pictures.size: "),
        (
            {"input": {"kind": "features", "features": [], "columns": [], "color_maps": {"oil": [[float("nan")]]}}},
            "input.features.color_maps.oil.0.0: ",
        ),
        *(({"model_id": text}, "model_id: ") for text in ("a\nb", "\x1b[2J", "x" * 201)),
        ({"data": nested(5000)}, ""),
    ],
)
def test_a_strangers_bundle(tmp_path, changes, words):
    """What becomes a path, a column or a divisor is seen before it does."""
    (tmp_path / BUNDLE).write_text(json.dumps(describe().model_dump() | changes))
    with pytest.raises(InputError) as raised:
        load_bundle(Location.parse(tmp_path))
    assert one_line(raised).startswith(f"{tmp_path}: not a model bundle of this release: {BUNDLE}: {words}")


def test_names_of_many_tongues_are_names(tmp_path):
    names = ["Ukiyo-e", "浮世絵", "rücken\u200d figur", "'; DROP TABLE", "</script>"]
    (tmp_path / BUNDLE).write_text(describe(classes=[BundleClass(name=name) for name in names]).model_dump_json())
    assert [item.name for item in load_bundle(Location.parse(tmp_path)).classes] == names


def test_pictures_decoded_otherwise(tmp_path):
    (tmp_path / BUNDLE).write_text(describe(decode_version=DECODE_VERSION + 1).model_dump_json())
    with pytest.raises(InputError) as raised:
        load_bundle(Location.parse(tmp_path))
    line = one_line(raised)
    assert f"decode version {DECODE_VERSION + 1}, this release has {DECODE_VERSION}: train it again" in line


@pytest.mark.parametrize("version", sorted(USABLE_VERSIONS))
def test_pictures_decoded_alike(tmp_path, version):
    (tmp_path / BUNDLE).write_text(describe(decode_version=version).model_dump_json())
    assert load_bundle(Location.parse(tmp_path)).decode_version == version


def test_a_replaced_model(tmp_path):
    uri = write(tmp_path, head())
    bundle = load_bundle(Location.parse(uri))
    head(seed=1).save(tmp_path / MODEL)
    with pytest.raises(InputError) as raised:
        load_model(Location.parse(uri), bundle)
    assert one_line(raised) == f"{uri}: {MODEL} is not the one {BUNDLE} was written for"


def test_no_model(tmp_path):
    uri = write(tmp_path, head())
    (tmp_path / MODEL).unlink()
    with pytest.raises(InputError, match=r"model.keras: not found"):
        load_model(Location.parse(uri), load_bundle(Location.parse(uri)))


def with_digest(folder) -> tuple[Location, Bundle]:
    """A bundle whose author wrote the digest of whatever lies there."""
    return Location.parse(folder), describe(model_sha=digest((folder / MODEL).read_bytes()))


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / MODEL).write_bytes(b"not a zip file")
    with pytest.raises(InputError, match=r"model.keras can't be loaded safely") as raised:
        load_model(*with_digest(tmp_path))
    one_line(raised)


def test_a_model_with_python_code_in_it(tmp_path):
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Lambda(lambda x: x / 255)(inputs)
    uri = write(tmp_path, keras.Model(inputs, outputs))
    with pytest.raises(InputError, match=r"model.keras can't be loaded safely") as raised:
        load_model(Location.parse(uri), load_bundle(Location.parse(uri)))
    one_line(raised)


def test_a_model_with_a_class_that_is_no_layer(tmp_path):
    """A config can name any class of any module; Keras makes only its own and registered ones."""
    write(tmp_path, head())
    foreign = {"module": "subprocess", "class_name": "Popen", "config": {"args": ["true"]}, "registered_name": None}
    with zipfile.ZipFile(tmp_path / MODEL) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1] |= foreign
    with zipfile.ZipFile(tmp_path / MODEL, "w") as archive:
        for name, data in (parts | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match=r"model.keras can't be loaded safely"):
        load_model(*with_digest(tmp_path))


def rewritten(folder: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(folder / MODEL) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(folder / MODEL, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def add_class(parts: dict[str, bytes], module: str | None, name: str) -> None:
    config = json.loads(parts["config.json"])
    config["config"]["extra"] = [{"module": module, "class_name": name, "config": {}, "registered_name": None}]
    parts["config.json"] = json.dumps(config).encode()


def linked(parts: dict[str, bytes]) -> None:
    file = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(file, "a") as store:
        store["stolen"] = h5py.ExternalLink("/etc/passwd", "/")
    parts["model.weights.h5"] = file.getvalue()


def swollen(parts: dict[str, bytes]) -> None:
    file = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(file, "a") as store:
        store.create_dataset("zeros", (1 << 34,), "f4", chunks=(1 << 20,), compression="gzip")
    parts["model.weights.h5"] = file.getvalue()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda parts: parts.update({"metadata.json": bytes(40_000_000)}), "unpacked it would have 40,"),
        (lambda parts: parts.update({"assets/vocabulary.txt": b"a"}), "it holds assets/vocabulary.txt"),
        (lambda parts: parts.pop("config.json"), "it holds metadata.json, model.weights.h5, not"),
        (lambda parts: add_class(parts, "keras.layers", "StringLookup"), "keras.layers.StringLookup"),
        (lambda parts: add_class(parts, "keras.layers", "TFSMLayer"), "keras.layers.TFSMLayer"),
        (lambda parts: add_class(parts, None, "__lambda__"), "keras.__lambda__"),
        (lambda parts: add_class(parts, "kerasx.layers", "Dense"), "kerasx.layers.Dense"),
        (lambda parts: add_class(parts, "artray.job", "main"), "artray.job.main"),
        (lambda parts: parts.update({"config.json": b"[" * 100_000}), "recursion"),
        (linked, "its weights 'stolen' are a link"),
        (swollen, "larger than the file could hold"),
    ],
)
def test_a_strangers_keras_file(tmp_path, monkeypatch, change, words):
    """It is refused before Keras opens it."""
    write(tmp_path, head())
    rewritten(tmp_path, lambda parts: change(parts) and None)
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("Keras was asked"))
    with pytest.raises(InputError, match=r"model.keras can't be loaded safely") as raised:
        load_model(*with_digest(tmp_path))
    assert words in one_line(raised)


def test_a_file_that_was_packed_tightly_is_read(tmp_path):
    write(tmp_path, head())
    rewritten(tmp_path, lambda parts: None)
    assert load_model(*with_digest(tmp_path)).count_params() == head().count_params()


def test_the_old_word_for_a_fold_ensemble_is_read():
    assert describe(metrics={"bagged": 5, "best_epoch": 3}).metrics == {"fold_ensemble": 5, "best_epoch": 3}


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        ({}, "one"),
        ({"labels": "soft"}, "soft"),
        ({"labels": "several"}, "multilabel"),
        ({"labels": "multilabel"}, None),
    ],
)
def test_bundles_of_before_say_in_their_config_how_many_labels_a_work_may_have(tmp_path, config, labels):
    values = json.loads(describe(config=config).model_dump_json())
    for name in ("labels", "thresholds"):
        del values[name]
    (tmp_path / BUNDLE).write_text(json.dumps(values))
    bundle = load_bundle(Location.parse(tmp_path))
    assert bundle.labels == (labels or "multilabel")
    assert bundle.class_thresholds().tolist() == [0.5, 0.5]
    assert bundle.doubt is None


def test_thresholds_are_kept_by_class(tmp_path):
    bundle = describe(labels="multilabel", thresholds={"ink": 0.25})
    (tmp_path / BUNDLE).write_text(bundle.model_dump_json())
    assert load_bundle(Location.parse(tmp_path)).class_thresholds().tolist() == [0.5, 0.25]
    for changes in ({"thresholds": {"chalk": 0.5}}, {"thresholds": {"ink": 2}}, {"labels": "one"}):
        (tmp_path / BUNDLE).write_text(json.dumps(json.loads(bundle.model_dump_json()) | changes))
        with pytest.raises(InputError, match=r"not a model bundle of this release: .*threshold"):
            load_bundle(Location.parse(tmp_path))
