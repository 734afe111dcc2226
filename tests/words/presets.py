"""Tiny presets of keras-hub with random weights, in its own format."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras_hub = pytest.importorskip("keras_hub", reason="keras-hub (extra `hub`) needs Python 3.11")
models = keras_hub.models

SIDE = 32
WORDS = "a painting of the photo in style impressionism cubism baroque kubismus ein gemälde"


def shaken(made: Any, seed: int = 0) -> Any:
    """The same with weights at random, also where they begin as zeros or ones."""
    chance = np.random.default_rng(seed)
    for weight in made.weights:
        if weight.dtype == "float32":
            weight.assign(np.asarray(weight) + chance.normal(size=weight.shape) * 0.1)
    return made


def save_siglip(folder: Path) -> Any:
    """A SigLIP with tokenizer and converter, as a preset in a folder; and itself."""
    import sentencepiece

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([WORDS] * 5),
        model_writer=written,
        vocab_size=17,
        model_type="WORD",
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        unk_piece="<unk>",
        minloglevel=2,
    )
    tokenizer = models.SigLIPTokenizer(proto=written.getvalue())
    vision = models.SigLIPVisionEncoder(8, 16, 2, 2, 32, image_shape=(SIDE, SIDE, 3))
    text = models.SigLIPTextEncoder(100, 16, 16, 2, 2, 32, max_sequence_length=8)
    made = shaken(models.SigLIPBackbone(vision, text))
    made.siglip_head.logit_scale.assign(2.0)
    made.siglip_head.logit_bias.assign(-1.5)
    made.save_to_preset(str(folder))
    converter = keras_hub.layers.SigLIPImageConverter(image_size=(SIDE, SIDE), scale=1 / 127.5, offset=-1.0)
    models.SigLIPPreprocessor(tokenizer, converter, sequence_length=8).save_to_preset(str(folder))
    return made


def towers() -> dict[str, Any]:
    """One of each kind that is rebuilt in Keras' layers, by name."""
    vision, shape = (8, 16, 2, 2, 32), (SIDE, SIDE, 3)
    texts = {"vocabulary_size": 50, "embedding_dim": 16, "hidden_dim": 16, "num_layers": 1, "num_heads": 2}
    texts |= {"intermediate_dim": 32, "max_sequence_length": 8}
    dino = {"patch_size": 8, "num_layers": 2, "hidden_dim": 16, "num_heads": 2, "intermediate_dim": 32}
    vit = (shape, 8, 2, 2, 16, 32)
    return {
        "clip": lambda: models.CLIPBackbone(
            models.CLIPVisionEncoder(*vision, image_shape=shape), models.CLIPTextEncoder(**texts), 12
        ),
        "metaclip 2": lambda: models.MetaCLIP2Backbone(
            models.MetaCLIP2VisionEncoder(*vision, image_shape=shape), models.MetaCLIP2TextEncoder(**texts), 12
        ),
        "dino v2": lambda: models.DINOV2Backbone(
            **dino, num_register_tokens=3, image_shape=shape, position_embedding_shape=(64, 64, 3)
        ),
        "dino v2, gated": lambda: models.DINOV2Backbone(
            **dino, use_swiglu_ffn=True, image_shape=shape, position_embedding_shape=shape
        ),
        "dino v3": lambda: models.DINOV3Backbone(**dino, use_key_bias=False, image_shape=shape),
        "dino v3, gated": lambda: models.DINOV3Backbone(
            **dino, use_gated_mlp=True, hidden_activation="silu", image_shape=shape
        ),
        "vit": lambda: models.ViTBackbone(*vit),
        "deit": lambda: models.DeiTBackbone(*vit),
    }
