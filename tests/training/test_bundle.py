import json
import zipfile

import keras
import numpy as np
import pytest

from artray.collection import storage
from artray.collection.decoding import DECODE_VERSION
from artray.errors import InputError
from artray.models.classifiers import calibrated, classifier
from artray.training.bundle import BUNDLE, MODEL, Bundle, Class, load_bundle, load_model, read_json


def describe(**changes: object) -> Bundle:
    values = {
        "model_id": "style-0123456789ab",
        "task": "style",
        "target": "style",
        "classes": [Class(name="oil"), Class(name="ink", uri="http://vocab.getty.edu/aat/300015012")],
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
    bundle = describe(model_sha=storage.fingerprint((folder / MODEL).read_bytes()), **changes)
    (folder / BUNDLE).write_text(bundle.model_dump_json())
    return str(folder)


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
    bundle = load_bundle(uri)
    assert [item.name for item in bundle.classes] == ["oil", "ink"]
    assert bundle == describe(model_sha=bundle.model_sha)
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    again = load_model(uri, bundle)
    assert np.array_equal(np.asarray(again(pictures)), np.asarray(model(pictures)))
    assert read_json(uri, BUNDLE)["task"] == "style"


@pytest.mark.parametrize("place", ["nothing", "empty", "file"])
def test_not_a_bundle(tmp_path, place):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(InputError) as raised:
        load_bundle(str(tmp_path / place))
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
        load_bundle(str(tmp_path))
    line = one_line(raised)
    assert line.startswith(f"{tmp_path}: not a model bundle of this release: {BUNDLE}: ")
    assert words in line


def test_unknown_and_missing_keys(tmp_path):
    values = describe().model_dump()
    for changed in (values | {"extra": 1}, {name: value for name, value in values.items() if name != "classes"}):
        (tmp_path / BUNDLE).write_text(json.dumps(changed))
        with pytest.raises(InputError, match=r"bundle.json: (extra: Extra|classes: Field required)"):
            load_bundle(str(tmp_path))


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
        *(({"temperature": value}, "temperature: ") for value in (0, -1, float("nan"), float("inf"))),
    ],
)
def test_a_strangers_bundle(tmp_path, changes, words):
    """What becomes a path, a column or a divisor is seen before it does."""
    (tmp_path / BUNDLE).write_text(json.dumps(describe().model_dump() | changes))
    with pytest.raises(InputError) as raised:
        load_bundle(str(tmp_path))
    assert one_line(raised).startswith(f"{tmp_path}: not a model bundle of this release: {BUNDLE}: {words}")


def test_names_of_many_tongues_are_names(tmp_path):
    names = ["Ukiyo-e", "浮世絵", "rücken\u200d figur", "'; DROP TABLE", "</script>"]
    (tmp_path / BUNDLE).write_text(describe(classes=[Class(name=name) for name in names]).model_dump_json())
    assert [item.name for item in load_bundle(str(tmp_path)).classes] == names


def test_pictures_decoded_otherwise(tmp_path):
    (tmp_path / BUNDLE).write_text(describe(decode_version=DECODE_VERSION + 1).model_dump_json())
    with pytest.raises(InputError) as raised:
        load_bundle(str(tmp_path))
    line = one_line(raised)
    assert f"decode version {DECODE_VERSION + 1}, this release has {DECODE_VERSION}: train it again" in line


def test_a_replaced_model(tmp_path):
    uri = write(tmp_path, head())
    bundle = load_bundle(uri)
    head(seed=1).save(tmp_path / MODEL)
    with pytest.raises(InputError) as raised:
        load_model(uri, bundle)
    assert one_line(raised) == f"{uri}: {MODEL} is not the one {BUNDLE} was written for"


def test_no_model(tmp_path):
    uri = write(tmp_path, head())
    (tmp_path / MODEL).unlink()
    with pytest.raises(InputError, match=r"model.keras: not found"):
        load_model(uri, load_bundle(uri))


def fingerprinted(folder) -> tuple[str, Bundle]:
    """A bundle whose author wrote the fingerprint of whatever lies there."""
    return str(folder), describe(model_sha=storage.fingerprint((folder / MODEL).read_bytes()))


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / MODEL).write_bytes(b"not a zip file")
    with pytest.raises(InputError, match=r"model.keras can't be loaded safely") as raised:
        load_model(*fingerprinted(tmp_path))
    one_line(raised)


def test_a_model_with_python_code_in_it(tmp_path):
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Lambda(lambda x: x / 255)(inputs)
    uri = write(tmp_path, keras.Model(inputs, outputs))
    with pytest.raises(InputError, match=r"model.keras can't be loaded safely") as raised:
        load_model(uri, load_bundle(uri))
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
        load_model(*fingerprinted(tmp_path))
