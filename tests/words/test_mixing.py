"""Prompts with labelled works, by a backbone that is made up: calibrated, and mixed with a trained model."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pyarrow as pa
import pytest

from artray.bundles.classifier import Bundle, BundleClass, load_bundle, load_model, read_evaluation, save_bundle
from artray.bundles.inputs import FeatureInput
from artray.bundles.keras_files import keras_file
from artray.classifiers import feature_inputs
from artray.classifiers.calibration import softmax
from artray.errors import InputError
from artray.images.decoding import DECODE_VERSION
from artray.models import hub
from artray.storage import Location, dataset_digest, digest, list_column
from artray.words import prompt_model as station
from artray.words.mixing import mix
from artray.words.prompt_model import PromptOptions, prompt_model
from tests.comparison.made import CLASSES as SAID
from tests.comparison.made import write_model

CLASSES = ["cubism", "baroque", "rococo"]
WORKS = 240
PARTS = ["test", "validation", "train", "train"] * (WORKS // 4)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with prompts, features of which embeddings tell something, and a trained model of the hints beside."""
    chance = np.random.default_rng(1)
    words = {name: chance.normal(size=8) for name in CLASSES}

    def text_embeddings(texts):
        found = np.stack([words[next(name for name in CLASSES if name in text)] for text in texts])
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    notes = {"preset": "made", "kind": "SigLIPBackbone", "size": 16, "licence": "none"}
    made = SimpleNamespace(
        notes=notes, text_embeddings=text_embeddings, logit_scale=lambda: (9.0, -2.0), preset="made", model=None
    )
    monkeypatch.setattr(hub, "load_hub_backbone", lambda preset: made)
    monkeypatch.setattr(station.cluster, "connect", lambda: None)
    monkeypatch.setattr(feature_inputs.ray, "put", lambda values: values)
    monkeypatch.setattr("artray.engine.examples.ray.get", lambda blocks: blocks)
    embeddings = chance.normal(size=(WORKS, 8)).astype(np.float32)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    prompted = unit @ text_embeddings(CLASSES).T * 9 - 2
    true = (prompted + chance.gumbel(size=prompted.shape) * 1.5).argmax(axis=1)
    hints = (np.eye(3)[true] + chance.normal(size=(WORKS, 3)) * 0.7).astype(np.float32)
    folder = Location.parse(tmp_path)
    (folder / "prompts.yaml").write_bytes(
        b"task: style\ntemplates: ['a {} work']\nclasses: [cubism, baroque, rococo]\n"
    )
    columns = {
        "object_id": [f"{number:03}" for number in range(WORKS)],
        "style": [CLASSES[number] for number in true.tolist()],
        "split": PARTS,
        "status": ["ok"] * WORKS,
        "embedding": list_column(hints),
        "embedding_made": list_column(embeddings),
    }
    (folder / "features" / "part-000000.parquet").write_table(pa.table(columns))
    specs = [
        {"name": "embedding", "size": 224},
        {"name": "embedding", "size": 16, "backbone": "made", "column": "embedding_made"},
    ]
    (folder / "features" / "_run.json").write_bytes(json.dumps({"arguments": {"features": specs}}).encode())
    write_trained(folder / "trained", columns, hints, specs)
    return SimpleNamespace(at=folder, embeddings=embeddings, hints=hints, logits=prompted)


def write_trained(out, columns, hints, specs):
    """A bundle that says the largest hint, with its classes in another order."""
    names = sorted(CLASSES)
    order = [CLASSES.index(name) for name in names]
    inputs = keras.Input((3,))
    scores = keras.layers.Activation("softmax", name="scores")(keras.layers.Dense(3, name="logits")(inputs))
    model = keras.Model(inputs, scores)
    model.get_layer("logits").set_weights([2 * np.eye(3)[:, order].astype("float32"), np.zeros(3, "float32")])
    data = keras_file(model)
    said = model.predict_on_batch(hints)
    rows = [list(zip(names, row, strict=True)) for row in said.tolist()]
    predictions = pa.table(
        {
            "object_id": columns["object_id"],
            "part": columns["split"],
            "true": columns["style"],
            "label": [names[number] for number in said.argmax(axis=1).tolist()],
            "scores": pa.array(rows, pa.map_(pa.string(), pa.float32())),
        }
    )
    bundle = Bundle(
        model_id="trained",
        task="style",
        target="style",
        classes=[BundleClass(name=name) for name in names],
        input=FeatureInput(features=specs, columns=["embedding"]),
        temperature=1.0,
        model_sha=digest(data),
        decode_version=DECODE_VERSION,
        data={"source": "x"},
        config={},
        metrics={},
        versions={},
        created_at="",
    )
    save_bundle(out, bundle, data, evaluation={}, predictions=predictions, history=[])


def prompted(place, out, **more):
    given = {"backbone": "made", "prompts": place.at / "prompts.yaml", "data": place.at / "features", "target": "style"}
    return prompt_model(PromptOptions(out=place.at / out, **{**given, **more}))


def test_some_labelled_works_calibrate_and_judge(place):
    counts = prompted(place, "out")
    bundle = load_bundle(place.at / "out")
    assert bundle.input.columns == ["embedding_made"]
    assert bundle.temperature > 1.2  # labels were drawn with more chance than the logits say
    assert counts["n"] == WORKS // 4
    assert counts["balanced_accuracy"] > 0.5
    assert bundle.metrics["abstain"]["n"] == WORKS * 3 // 4  # none of these works was learned from
    assert bundle.data["train"] == WORKS // 2
    prompts, features = (place.at / "prompts.yaml").read_bytes(), dataset_digest((place.at / "features").dataset())
    before = digest(b"made", prompts, b"None style", features.encode(), b"", b"")  # as from before --precision-target
    assert bundle.data["source"] == before
    found = load_model(place.at / "out", bundle).predict_on_batch(place.embeddings)
    assert found == pytest.approx(softmax(place.logits / bundle.temperature), abs=1e-5)


def test_fewer_right_labels_may_be_asked_for_and_a_doubt_is_said(place, capsys):
    strict, easy = (prompted(place, f"{target}", precision_target=target)["out"] for target in (0.95, 0.6))
    strict, easy = (load_bundle(Location.parse(out)).metrics["abstain"] for out in (strict, easy))
    assert (strict["target"], easy["target"]) == (0.95, 0.6)
    assert easy["coverage"] > strict["coverage"]
    with pytest.raises(InputError, match="holds another bundle"):
        prompted(place, "0.6", precision_target=0.7)
    prompts = place.at / "prompts.yaml"
    prompts.write_bytes(prompts.read_bytes().replace(b"a {} work", b"no cubism, a {} work"))  # all classes sound alike
    capsys.readouterr()
    prompted(place, "doubtful")
    said = capsys.readouterr().err
    assert "all its labels are uncertain" in said
    assert "labels are certain" not in said


@pytest.mark.slow
def test_a_mix_is_better_than_both(place):
    alone = prompted(place, "alone")
    counts = prompted(place, "mixed", mix=place.at / "trained")
    assert 0 < counts["weight"] < 1
    assert counts["balanced_accuracy"] >= alone["balanced_accuracy"]
    assert loss(place, "mixed") < loss(place, "alone")
    bundle = load_bundle(place.at / "mixed")
    assert bundle.input.columns == ["embedding", "embedding_made"]
    assert bundle.metrics["abstain"]["n"] == WORKS // 4  # the trained model's validation part
    told = np.log(load_model(place.at / "alone", load_bundle(place.at / "alone")).predict_on_batch(place.embeddings))
    own = np.log(softmax(2 * place.hints))
    expected = softmax((counts["weight"] * own + (1 - counts["weight"]) * told) / bundle.temperature)
    inputs = np.concatenate([place.hints, place.embeddings], axis=1)
    assert load_model(place.at / "mixed", bundle).predict_on_batch(inputs) == pytest.approx(expected, abs=1e-5)


def loss(place, name):
    return read_evaluation(place.at / name)["levels"]["artwork"]["log_loss"]


def test_features_of_another_network_in_the_same_file_are_not_mixed(tmp_path):
    spec = {"name": "embedding", "size": 224, "backbone": "theirs.keras", "weights": "imagenet", "statistics": False}
    told = {"features": [spec], "columns": ["embedding"]}
    trained = write_model(
        tmp_path / "model", input={"kind": "features", **told, "files": {"theirs.keras": digest(b"network")}}
    )
    examples = SimpleNamespace(classes=list(SAID))
    given = FeatureInput(**told, files={"theirs.keras": digest(b"another")})
    with pytest.raises(InputError, match=r"theirs\.keras: is another network than the one"):
        mix(Location.parse(trained), examples, np.zeros((1, 3)), np.zeros(1, np.int64), given)


def test_what_does_not_fit_is_refused(place):
    with pytest.raises(InputError, match="--mix: needs --target"):
        prompted(place, "out", mix=place.at / "trained", target=None)
    with pytest.raises(InputError, match="--precision-target: needs --target"):
        prompted(place, "out", precision_target=0.8, target=None)
    with pytest.raises(InputError, match="--target: needs --data"):
        prompted(place, "out", data=None)
    for target in ("style", None):
        with pytest.raises(InputError, match="embedding holds 3 numbers a work, and embeddings of made are 8"):
            prompted(place, "out", column="embedding", target=target)
        with pytest.raises(InputError, match="split"):
            prompted(place, "out", column="split", target=target)
    with pytest.raises(InputError, match=r"doesn't say which column is the embedding of other \(SigLIP"):
        prompted(place, "out", backbone="other")
    moved = (place.at / "features").dataset().to_table()
    split = pa.array(PARTS[1:] + PARTS[:1])
    moved = moved.set_column(moved.column_names.index("split"), "split", split)
    (place.at / "features" / "part-000000.parquet").write_table(moved)
    with pytest.raises(InputError, match="120 works are in its test part alone, or in that of the labels"):
        prompted(place, "out", mix=place.at / "trained")
