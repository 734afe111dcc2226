"""Presets of keras-hub as models that need no keras-hub: the same numbers."""

import keras
import numpy as np
import pytest

from artray.bundles.keras_files import _check
from artray.errors import InputError
from artray.features.embedding import Embedding
from artray.features.specs import columns_of
from artray.models.backbones import backbone
from artray.models.sizes import backbone_size

presets = pytest.importorskip("tests.words.presets", reason="keras-hub (extra `hub`) needs Python 3.11")

from artray.models.hub import SCALINGS, is_preset, load_hub_backbone  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("eager")]  # keras-hub takes its time

PICTURES = np.random.default_rng(0).integers(0, 256, (3, presets.SIDE, presets.SIDE, 3), np.uint8)


def own(hub, x):
    """What keras-hub's own model says of scaled pictures."""
    if hasattr(hub, "get_vision_embeddings"):
        return np.asarray(hub.get_vision_embeddings(x))
    names = list(hub.input) if isinstance(hub.input, dict) else None
    tokens = np.asarray(hub({names[0]: x} if names else x))
    before = 1 + getattr(hub, "num_register_tokens", type(hub).__name__ == "DeiTBackbone")
    return np.concatenate([tokens[:, 0], tokens[:, before:].mean(axis=1)], axis=1)


@pytest.mark.parametrize("kind", presets.towers())
def test_an_image_tower_is_the_same(tmp_path, kind):
    presets.shaken(presets.towers()[kind]()).save_to_preset(str(tmp_path / "preset"))
    found = load_hub_backbone(str(tmp_path / "preset"))
    assert found.notes["portable"]
    assert found.notes["size"] == backbone_size(str(tmp_path / "preset")) == presets.SIDE
    x = (PICTURES * np.array(found.notes["scale"]) + np.array(found.notes["offset"])).astype("float32")
    expected = own(found.hub, x)
    assert found.model.predict(PICTURES, verbose=0) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    file = tmp_path / "tower.keras"
    found.model.save(file)
    _check(file.read_bytes())  # nothing of keras-hub is in it
    again = backbone(str(file), presets.SIDE)
    assert again.predict(PICTURES, verbose=0) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_siglip_and_its_words(tmp_path):
    made = presets.save_siglip(tmp_path / "preset")
    found = load_hub_backbone(str(tmp_path / "preset"))
    assert found.notes["licence"] == "Apache-2.0"
    assert found.notes["scale"] == pytest.approx([1 / 127.5] * 3)
    texts = ["a painting of cubism", "the photo"]
    given = presets.models.SigLIPPreprocessor.from_preset(str(tmp_path / "preset"))(
        {"images": PICTURES.astype("float32"), "prompts": texts}, sequence_length=8
    )
    logits = np.asarray(made({"images": given["images"], "token_ids": given["token_ids"]})["vision_logits"])
    pictures = found.model.predict(PICTURES, verbose=0)
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    scale, bias = found.logit_scale()
    assert (scale, bias) == pytest.approx((np.exp(2.0), -1.5))
    rounding = 4 * float(np.finfo(np.float32).eps * scale)
    assert pictures @ found.text_embeddings(texts).T * scale + bias == pytest.approx(logits, abs=rounding, rel=1e-6)


def test_a_network_of_keras_own_layers_is_portable_too(tmp_path):
    made = presets.models.ResNetBackbone([64], [7], [64], [1], [1], "basic_block", image_shape=(32, 32, 3))
    made.save_to_preset(str(tmp_path))
    found = load_hub_backbone(str(tmp_path), scaling="one")
    assert found.notes["portable"]
    assert not found.has_words
    expected = np.asarray(made(PICTURES / np.float32(255))).mean(axis=(1, 2))
    assert found.model.predict(PICTURES, verbose=0) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    with pytest.raises(InputError, match="knows no words"):
        found.text_embeddings(["a"])


def test_by_the_name_of_its_folder(tmp_path):
    presets.shaken(presets.towers()["vit"]()).save_to_preset(str(tmp_path))
    assert is_preset(str(tmp_path))
    assert not is_preset("efficientnet-lite7")
    feature = Embedding(str(tmp_path), presets.SIDE, statistics=True, column="embedding_vit")
    columns = feature(PICTURES)
    spec = {"name": "embedding", "column": "embedding_vit", "statistics": True}
    assert list(columns) == columns_of(spec) == ["embedding_vit", "embedding_vit_statistics"]
    assert [len(column[0]) for column in columns.values()] == [32, 2 * 2 * 16]


def test_what_can_not_be_had(tmp_path):
    with pytest.raises(InputError, match=r"backbone siglip_none: .*; without internet name a folder"):
        load_hub_backbone("siglip_none")
    keras.utils.set_random_seed(0)
    presets.models.BertBackbone(20, 1, 2, 8, 16).save_to_preset(str(tmp_path))
    with pytest.raises(InputError, match="BertBackbone looks at no pictures"):
        load_hub_backbone(str(tmp_path))
    presets.towers()["clip"]().save_to_preset(str(tmp_path / "clip"))
    with pytest.raises(InputError, match="clip"):
        load_hub_backbone(str(tmp_path / "clip"), size=64)


def test_scalings_leave_what_they_say():
    scale, offset = SCALINGS["symmetric"]
    assert [0 * scale[0] + offset[0], 255 * scale[0] + offset[0]] == pytest.approx([-1, 1])
    scale, offset = SCALINGS["imagenet"]
    assert np.array([0.485, 0.456, 0.406]) * 255 * scale + offset == pytest.approx(0)
