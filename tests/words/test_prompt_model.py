"""Classifiers from prompts: the model's own logits without labelled works, calibrated and mixed with some."""

import json

import numpy as np
import pyarrow as pa
import pytest

from artray.bundles.classifier import load_bundle, load_model, read_evaluation, read_predictions
from artray.bundles.thresholds import abstention_told
from artray.classifiers.calibration import softmax
from artray.classifiers.station import TrainOptions, train
from artray.errors import InputError
from artray.storage import Location, list_column
from artray.words.mixing import WEIGHTS
from artray.words.preparing import PrepareOptions, prepare_backbone
from artray.words.prompt_model import PromptOptions, prompt_model
from artray.words.terms import read_terms
from tests.integration.conftest import trainings_in_process

presets = pytest.importorskip("tests.words.presets", reason="keras-hub (extra `hub`) needs Python 3.11")

pytestmark = pytest.mark.slow

CLASSES = ["cubism", "impressionism", "baroque"]
PROMPTS = """
task: style
templates: ["a painting of {}", "the {} style"]
classes: [cubism, impressionism, {name: baroque, words: [baroque, gemälde]}]
"""
WORKS = 240


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a preset, prompts, what prepare-backbone makes, and features that the prompts tell something of."""
    folder = tmp_path_factory.mktemp("words")
    hub = presets.save_siglip(folder / "preset")
    (folder / "prompts.yaml").write_text(PROMPTS, encoding="utf-8")
    (folder / "words.txt").write_text("cubism\n# no word\n\nphoto\ncubism\n", encoding="utf-8")
    place = Location.parse(folder)
    options = PrepareOptions(
        preset=str(folder / "preset"), out=place / "siglip.keras", words=place / "words.txt", template=["{}"]
    )
    counts = prepare_backbone(options)
    assert counts["portable"]
    assert counts["words"] == 2
    chance = np.random.default_rng(3)
    embeddings = chance.normal(size=(WORKS, 16)).astype(np.float32)
    prompted = logits_of(hub, folder, embeddings)
    true = (prompted + chance.gumbel(size=prompted.shape) * 1.5).argmax(axis=1)
    hints = (np.eye(3)[true] + chance.normal(size=(WORKS, 3)) * 0.7).astype(np.float32)
    table = pa.table(
        {
            "object_id": [f"{number:03}" for number in range(WORKS)],
            "image_uri": [f"/nowhere/{number}.png" for number in range(WORKS)],
            "style": [CLASSES[number] for number in true.tolist()],
            "split": [
                "test" if number % 4 == 0 else "validation" if number % 4 == 1 else "train" for number in range(WORKS)
            ],
            "status": ["ok"] * WORKS,
            "embedding_siglip": list_column(embeddings),
            "embedding": list_column(hints),
        }
    )
    (place / "features" / "part-000000.parquet").write_table(table)
    specs = [
        {"name": "embedding", "size": 224, "backbone": "efficientnet-lite0"},
        {"name": "embedding", "size": 32, "backbone": str(folder / "siglip.keras"), "column": "embedding_siglip"},
    ]
    run = {"arguments": {"features": specs}, "job": "features"}
    (place / "features" / "_run.json").write_bytes(json.dumps(run).encode())
    return place, hub, embeddings


def logits_of(hub, folder, embeddings):
    """By keras-hub's own parts: texts, lengths, head."""
    tokens = presets.models.SigLIPPreprocessor.from_preset(str(folder / "preset"))
    columns = []
    for words in (["cubism"], ["impressionism"], ["baroque", "gemälde"]):
        texts = [template.replace("{}", word) for word in words for template in ("a painting of {}", "the {} style")]
        images = np.zeros((len(texts), 32, 32, 3), "float32")
        ids = tokens({"images": images, "prompts": texts}, sequence_length=8)["token_ids"]
        each = np.asarray(hub.get_text_embeddings(ids))
        columns.append((each / np.linalg.norm(each, axis=1, keepdims=True)).mean(axis=0))
    scores, _ = hub.siglip_head(embeddings, np.stack(columns).astype("float32"))
    return np.asarray(scores)


def options(place, out, **more):
    given = {"backbone": str(place / "preset"), "prompts": place / "prompts.yaml", "out": place / out}
    return PromptOptions(**given, **more)


def test_without_a_labelled_work(made):
    place, hub, _ = made
    counts = prompt_model(options(place, "plain"))
    assert counts["classes"] == 3
    bundle = load_bundle(place / "plain")
    assert (bundle.input.kind, bundle.input.size) == ("pictures", 32)
    assert "all are uncertain" in abstention_told(bundle.metrics["abstain"])
    assert bundle.doubt is None
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    found = load_model(place / "plain", bundle).predict_on_batch(pictures)
    seen = np.asarray(hub.get_vision_embeddings((pictures / np.float32(127.5) - 1).astype("float32")))
    assert found == pytest.approx(softmax(logits_of(hub, place, seen)), abs=1e-6)
    assert prompt_model(options(place, "plain")) == counts
    with pytest.raises(InputError, match="holds another bundle"):
        prompt_model(options(place, "plain", data=place / "features"))


def test_calibrated_on_some(made, ray_session):
    place, hub, embeddings = made
    counts = prompt_model(options(place, "calibrated", data=place / "features", target="style"))
    bundle = load_bundle(place / "calibrated")
    assert bundle.input.columns == ["embedding_siglip"]
    assert bundle.temperature > 1  # the labels were drawn with more chance than the logits say
    assert counts["balanced_accuracy"] > 0.4
    assert bundle.metrics["abstain"]["n"] == WORKS * 3 // 4
    found = load_model(place / "calibrated", bundle).predict_on_batch(embeddings)
    expected = softmax(logits_of(hub, place, embeddings) / bundle.temperature)
    assert found == pytest.approx(expected, abs=1e-6)
    level = read_evaluation(place / "calibrated")["levels"]["artwork"]
    assert level["n"] == WORKS // 4
    assert set(read_predictions(place / "calibrated")["part"].to_pylist()) == {"test", "validation"}


def test_mixed_with_a_trained_model(made, ray_session):
    place, _, embeddings = made
    config = place / "lda.yaml"
    config.write_bytes(b"task: style\ntarget: style\ninput: features\ncolumns: [embedding]\nmodel: {name: lda}\n")
    with trainings_in_process():
        train(TrainOptions(config=str(config), data=place / "features", out=place / "lda", baseline=False))
    alone = prompt_model(options(place, "alone", data=place / "features", target="style"))
    mixed = options(place, "mixed", data=place / "features", target="style", mix=place / "lda")
    counts = prompt_model(mixed)
    assert counts["weight"] in WEIGHTS[1:-1]
    losses = {
        name: read_evaluation(place / name)["validation"]["artwork"]["log_loss"] for name in ("lda", "alone", "mixed")
    }
    assert losses["mixed"] < min(losses["lda"], losses["alone"])
    assert counts["balanced_accuracy"] > alone["balanced_accuracy"]
    bundle = load_bundle(place / "mixed")
    assert bundle.input.columns == ["embedding", "embedding_siglip"]
    hints = np.stack((place / "features").dataset().to_table()["embedding"].to_numpy())
    found = load_model(place / "mixed", bundle).predict_on_batch(np.concatenate([hints, embeddings], axis=1))
    trained = load_model(place / "lda", load_bundle(place / "lda")).predict_on_batch(hints)
    names = [item.name for item in load_bundle(place / "lda").classes]
    own = np.log(trained[:, [names.index(name) for name in CLASSES]])
    told = np.log(load_model(place / "alone", load_bundle(place / "alone")).predict_on_batch(embeddings))
    expected = softmax((counts["weight"] * own + (1 - counts["weight"]) * told) / bundle.temperature)
    assert found == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match="--mix: needs --target"):
        prompt_model(options(place, "wrong", data=place / "features", mix=place / "lda"))


def test_what_is_prepared(made):
    place, _, _ = made
    notes = (place / "siglip.json").read_json()
    assert (notes["preset"], notes["size"], notes["width"]) == (str(place / "preset"), 32, 16)
    assert (notes["licence"], notes["words"], notes["portable"]) == ("Apache-2.0", True, True)
    terms, vectors, told = read_terms(place / "siglip.words.parquet")
    assert terms == ["cubism", "photo"]
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert told["preset"] == str(place / "preset")
    with pytest.raises(InputError, match="is of another preset"):
        prepare_backbone(PrepareOptions(preset="other", out=place / "siglip.keras"))
    with pytest.raises(InputError, match=r"must be a file whose name ends in \.keras"):
        prepare_backbone(PrepareOptions(preset="other", out=place / "siglip"))
    with pytest.raises(InputError, match="not words of prepare-backbone"):
        read_terms(place / "features" / "part-000000.parquet")
