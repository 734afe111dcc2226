"""Classifiers from prompts without labelled works: the model's own logits (with some: see `test_mixing.py`)."""

import numpy as np
import pytest

from artray.bundles.classifier import load_bundle, load_model
from artray.bundles.thresholds import abstention_told
from artray.classifiers.calibration import softmax
from artray.errors import InputError
from artray.storage import Location
from artray.words.preparing import PrepareOptions, prepare_backbone
from artray.words.prompt_model import PromptOptions, prompt_model
from artray.words.terms import read_terms

presets = pytest.importorskip("tests.words.presets", reason="keras-hub (extra `hub`) needs Python 3.11")

pytestmark = pytest.mark.slow

PROMPTS = """
task: style
templates: ["a painting of {}", "the {} style"]
classes: [cubism, impressionism, {name: baroque, words: [baroque, gemälde]}]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a preset, prompts, and what prepare-backbone makes of it."""
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
    return place, hub


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
    place, hub = made
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
    (place / "others.yaml").write_bytes(b"task: style\nclasses: [cubism, baroque]\n")
    with pytest.raises(InputError, match="holds another bundle"):
        prompt_model(options(place, "plain").model_copy(update={"prompts": place / "others.yaml"}))


def test_what_is_prepared(made):
    place, _ = made
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
        read_terms(place / "siglip.keras")
