"""Image towers of keras-hub as models that need no keras-hub: same outputs, in layers of Keras and of ours.

keras-hub (extra `hub`) reads presets by name, which are downloaded once, or from a folder, without internet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from artray.errors import InputError
from artray.models.vision_transformer import Activation, VisionTransformer

Scaling: TypeAlias = Literal["preset", "imagenet", "clip", "one", "symmetric"]
"""What the weights expect of RGB 0..255. imagenet, clip: less the mean of what they were trained on, by its deviation;
one: 0..1; symmetric: -1..1."""

Floats = npt.NDArray[np.floating[Any]]
Weights = list[npt.NDArray[Any]]


def _standardising(mean: Sequence[float], deviation: Sequence[float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(1 / (255 * each) for each in deviation), tuple(
        -each / by for each, by in zip(mean, deviation, strict=True)
    )


SCALINGS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": _standardising((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "clip": _standardising((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "one": ((1 / 255,) * 3, (0.0,) * 3),
    "symmetric": ((1 / 127.5,) * 3, (-1.0,) * 3),
}
_OWN_SCALING = {"DINOV2Backbone": "imagenet", "DINOV3Backbone": "imagenet", "ViTBackbone": "symmetric"}
_OWN_SCALING |= {"DeiTBackbone": "imagenet", "SigLIPBackbone": "symmetric"}
_OWN_SCALING |= {"CLIPBackbone": "clip", "MetaCLIP2Backbone": "clip"}
_LICENCES = {"DINOV3Backbone": "DINOv3 License (Meta), with terms of its own", "CLIPBackbone": "MIT"}
_LICENCES |= {"SigLIPBackbone": "Apache-2.0", "DINOV2Backbone": "Apache-2.0", "DeiTBackbone": "Apache-2.0"}
_LICENCES |= {"ViTBackbone": "Apache-2.0", "MetaCLIP2Backbone": "CC-BY-NC-4.0"}
_BATCH = 64


@dataclass(frozen=True)
class HubBackbone:
    """A preset's image tower.

    Attributes:
        model: From RGB (n, size, size, 3), 0..255, to embeddings (n, d).
        hub: The preset as keras-hub has it.
        preset: Its name or folder.
        notes: As JSON: `preset`, `kind`, `size`, `width` of the embedding, `scale`, `offset`, `licence`, and whether it
            is `portable`, which means that it needs no keras-hub to be loaded.
    """

    model: keras.Model
    hub: Any
    preset: str
    notes: dict[str, Any]

    @property
    def has_words(self) -> bool:
        """Whether it knows texts too."""
        return hasattr(self.hub, "get_text_embeddings")

    def logit_scale(self) -> tuple[float, float]:
        """By what a cosine is multiplied, and what is added, to become a logit.

        Raises:
            InputError: It knows no texts.
        """
        head = next((getattr(self.hub, name) for name in _HEADS if hasattr(self.hub, name)), None)
        if head is None:
            raise InputError(f"{self.preset}: knows no words: CLIP, SigLIP and MetaCLIP 2 do")
        bias = getattr(head, "logit_bias", None)
        return float(np.exp(np.asarray(head.logit_scale))), 0.0 if bias is None else float(np.asarray(bias))

    def text_embeddings(self, texts: Sequence[str]) -> Floats:
        """What it makes of texts, (n, d), each of length 1.

        Raises:
            InputError: It knows no texts, or brings no tokenizer along.
        """
        self.logit_scale()
        tokens = self._tokens()
        found = []
        for start in range(0, len(texts), _BATCH):
            some = np.asarray(self.hub.get_text_embeddings(tokens(list(texts[start : start + _BATCH]))))
            found.append(some / np.linalg.norm(some, axis=1, keepdims=True))
        return np.concatenate(found)

    def _tokens(self) -> Callable[[list[str]], Any]:
        hub = keras_hub()
        length = (
            self.hub.text_encoder.max_sequence_length if hasattr(self.hub.text_encoder, "max_sequence_length") else 77
        )
        try:
            made = hub.models.Preprocessor.from_preset(self.preset, image_converter=None)
        except Exception:
            made = _preprocessor(hub, self.hub, self.preset)
        side = self.model.input_shape[1]

        def tokens(texts: list[str]) -> Any:
            images = np.zeros((len(texts), side, side, 3), "float32")
            return made({"images": images, "prompts": texts}, sequence_length=length)["token_ids"]

        return tokens


_HEADS = ("siglip_head", "clip_head", "metaclip_2_head")


def is_preset(name: str) -> bool:
    """Whether a backbone's name is keras-hub's: a preset's folder, an address such as `hf://…`, or a known name."""
    if "://" in name or (Path(name) / "config.json").is_file():
        return True
    try:
        hub = keras_hub()
    except InputError:
        return False
    return any(name in kind.presets for kind in _kinds(hub))


def load_hub_backbone(preset: str, *, size: int | None = None, scaling: Scaling = "preset") -> HubBackbone:
    """A preset's image tower, as a model of Keras' own layers and ours where it is a transformer of a kind known here.

    Args:
        preset: Its name, an address (`hf://keras/…`, `kaggle://…`), or a folder.
        size: Side of the pictures in pixels; default: the preset's.
        scaling: What the weights expect; default: what the preset says, or where it says nothing, what is usual.

    Raises:
        InputError: keras-hub is not installed, or there is no such preset, or it has no image tower.
    """
    hub = keras_hub()
    given = {} if size is None else {"image_shape": (size, size, 3)}
    try:
        made = hub.models.Backbone.from_preset(preset, dtype="float32", **given)
    except Exception as error:
        raise InputError(f"backbone {preset}: {_told(error, preset)}") from error
    kind = type(made).__name__
    found = _side(made)
    if found is None:
        raise InputError(f"backbone {preset}: {kind} looks at no pictures")
    if size is not None and found != size:
        raise InputError(f"backbone {preset}: {kind} takes pictures of {found} pixels, not {size}")
    scale, offset = _scaling(hub, preset, kind, scaling)
    if kind in _TOWERS:
        shape, weights = _TOWERS[kind](made)
        shape = replace(shape, size=found, scale=scale, offset=offset)
        model = shape.build(_plain(preset))
        _set_weights(model, weights)
        portable = True
    else:
        model = _whole(made, found, scale, offset, _plain(preset))
        portable = all(module.split(".")[0] == "keras" for module in _modules(json.loads(model.to_json())))
    notes = {
        "preset": preset,
        "kind": kind,
        "size": found,
        "width": model.output_shape[1],
        "scale": list(scale),
        "offset": list(offset),
        "licence": _LICENCES.get(kind, "see the preset's page"),
        "portable": portable,
    }
    return HubBackbone(model, made, preset, notes)


def keras_hub() -> Any:
    """The library.

    Raises:
        InputError: It is not installed.
    """
    try:
        import keras_hub as library
    except ImportError as error:
        raise InputError("keras-hub is not installed: pip install 'artray[hub]' (Python 3.11 and later)") from error
    return library


def _kinds(hub: Any) -> list[Any]:
    names = (name for name in dir(hub.models) if name.endswith("Backbone"))
    return [getattr(hub.models, name) for name in names if hasattr(getattr(hub.models, name), "presets")]


def _preprocessor(hub: Any, made: Any, preset: str) -> Any:
    kind = type(made).__name__.removesuffix("Backbone")
    found = getattr(hub.models, f"{kind}Preprocessor", None) or getattr(hub.models, f"{kind}CausalLMPreprocessor", None)
    tokenizer = getattr(hub.models, f"{kind}Tokenizer", None)
    try:
        assert found is not None
        assert tokenizer is not None
        return found(tokenizer.from_preset(preset))
    except Exception as error:
        raise InputError(f"backbone {preset}: brings no tokenizer for its words ({_told(error, preset)})") from error


def _told(error: Exception, preset: str) -> str:
    first = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    if "://" not in preset and not Path(preset).exists():
        first += "; without internet name a folder with the preset"
    return first[:300]


def _plain(preset: str) -> str:
    """A model's name, of letters, digits, `_` and `-`."""
    name = preset.rstrip("/").rpartition("/")[2]
    return "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name) or "backbone"


def _side(made: Any) -> int | None:
    tower = getattr(made, "vision_encoder", made)
    shape = getattr(tower, "image_shape", None)
    if shape is None or len(shape) != 3 or shape[2] != 3:
        return None
    return 224 if shape[0] is None else int(shape[0])


def _scaling(
    hub: Any, preset: str, kind: str, scaling: Scaling
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    if scaling == "preset":
        try:
            converter = hub.layers.ImageConverter.from_preset(preset)
        except Exception:  # a folder of Hugging Face's has none, which it says in many ways
            scaling = _OWN_SCALING.get(kind, "imagenet")  # type: ignore[assignment]
        else:
            scale, offset = (1.0 if converter.scale is None else converter.scale), converter.offset or 0.0
            return _three(scale), _three(offset)
    scale, offset = SCALINGS[scaling]
    return _three(scale), _three(offset)


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = np.broadcast_to(np.asarray(values, np.float64), 3).tolist()
    return red, green, blue


def _modules(config: Any) -> set[str]:
    """The modules of the classes that a model's configuration names."""
    found, waiting = set(), [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                found.add(str(item.get("module") or "keras"))
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found


def _whole(made: Any, size: int, scale: Any, offset: Any, name: str) -> keras.Model:
    """Any other kind: keras-hub's own model, its maps or tokens averaged."""
    inputs = keras.Input((size, size, 3), name="picture")
    x = layers.Rescaling(list(scale), offset=list(offset), name="scaling")(inputs)
    names = list(made.input) if isinstance(made.input, Mapping) else None
    if names is not None and len(names) > 1:
        raise InputError(f"{type(made).__name__} takes more than pictures: {', '.join(names)}")
    if isinstance(made.output, Mapping):
        raise InputError(f"{type(made).__name__} gives several outputs, not one embedding")
    # Its graph without its class: where that is of Keras' layers alone, nothing of keras-hub is left.
    x = keras.Model(made.inputs[0], made.output, name="tower")(x)
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="embedding")(x)
    elif len(x.shape) == 3:
        x = layers.GlobalAveragePooling1D(name="embedding")(x)
    return keras.Model(inputs, x, name=name)


# -- the kinds known here: what they are like, and their weights by layer ------------------------------------------

Tower: TypeAlias = tuple[VisionTransformer, dict[str, Weights]]


def _set_weights(model: keras.Model, weights: Mapping[str, Weights]) -> None:
    for name, values in weights.items():
        model.get_layer(name).set_weights(values)


def _dense(layer: Any, scale: Any = 1.0) -> Weights:
    """A dense layer's kernel and bias; what is added after it is multiplied by `scale`."""
    kernel, *bias = layer.get_weights()
    return _scaled(kernel, bias[0] if bias else np.zeros(kernel.shape[-1], "float32"), scale)


def _scaled(kernel: Any, bias: Any, scale: Any) -> Weights:
    return [kernel * scale, bias * scale]


def _heads(attention: Any, scale: Any = 1.0) -> Weights:
    """Keras' attention as four dense layers: query, key, value, out."""
    values = attention.get_weights()
    step = 2 if len(values) == 8 else 1
    found: Weights = []
    for number in range(4):
        kernel = values[number * step]
        kernel = kernel.reshape(-1, kernel.shape[-1]) if number == 3 else kernel.reshape(kernel.shape[0], -1)
        bias = values[number * step + 1].reshape(-1) if step == 2 else np.zeros(kernel.shape[1], "float32")
        found += _scaled(kernel, bias, scale if number == 3 else 1.0)
    return found


def _patches(layer: Any) -> Weights:
    return _dense(layer)


def _clip(made: Any) -> Tower:
    tower = made.vision_encoder
    embedding, blocks = tower.embedding, tower.encoder_layers
    norm = tower.layer_norm if hasattr(tower, "layer_norm") else made.vision_post_layer_norm
    # Of a preset that was made by hand they may be any.
    positions = embedding.position_embedding.get_weights()[0][np.asarray(embedding.position_ids)[0]]
    learned = np.asarray(embedding.class_embedding).reshape(1, 1, -1) + positions[:1]
    weights = {
        "patches": _patches(embedding.patch_embedding),
        "tokens": [learned, positions[None, 1:]],
        "first_norm": tower.pre_layer_norm.get_weights(),
        "last_norm": norm.get_weights(),
        "embedding": made.vision_projection.get_weights(),
    }
    for number, block in enumerate(blocks):
        weights[f"block{number}"] = [
            *(*_heads(block.attention), *_dense(block.dense_1), *_dense(block.dense_2)),
            *(*block.layer_norm_2.get_weights(), *block.layer_norm_1.get_weights()),
        ]
    shape = VisionTransformer(
        size=1,
        patch=embedding.patch_size,
        width=tower.hidden_dim,
        depth=len(blocks),
        heads=tower.num_heads,
        hidden=tower.intermediate_dim,
        activation=_activation(tower.intermediate_activation),
        epsilon=1e-5,
        first_norm=True,
        projection=made.projection_dim,
    )
    return shape, weights


def _siglip(made: Any) -> Tower:
    tower = made.vision_encoder
    blocks, head = tower.encoder_layers, tower.head
    weights = {
        "patches": _patches(tower.embedding.patch_embedding),
        "tokens": [tower.embedding.position_embedding.get_weights()[0][np.asarray(tower.embedding.position_ids)]],
        "last_norm": tower.post_layer_norm.get_weights(),
        "pooled": [
            np.asarray(head.probe),
            *(*_heads(head.attention), *_dense(head.mlp.fc1), *_dense(head.mlp.fc2)),
            *head.layer_norm.get_weights(),
        ],
    }
    for number, block in enumerate(blocks):
        weights[f"block{number}"] = [
            *(*_heads(block.self_attn), *_dense(block.mlp.fc1), *_dense(block.mlp.fc2)),
            *(*block.layer_norm2.get_weights(), *block.layer_norm1.get_weights()),
        ]
    shape = VisionTransformer(
        size=1,
        patch=tower.patch_size,
        width=tower.hidden_dim,
        depth=len(blocks),
        heads=tower.num_heads,
        hidden=tower.intermediate_dim,
        activation=_activation(tower.intermediate_activation),
        epsilon=tower.layer_norm_epsilon,
        prefix=0,
        pooling="attention",
    )
    return shape, weights


def _dino_v2(made: Any) -> Tower:
    embeddings = made.embeddings
    positions = np.asarray(embeddings.interpolated_position_embeddings)
    learned = [np.asarray(embeddings.cls_token) + positions[:, :1]]
    if made.num_register_tokens:
        learned.append(np.asarray(embeddings.register_tokens))
    weights: dict[str, Weights] = {
        "patches": _patches(embeddings.patch_embeddings.projection),
        "tokens": [np.concatenate(learned, axis=1), positions[:, 1:]],
        "last_norm": made.layernorm.get_weights(),
    }
    gated, hidden = made.use_swiglu_ffn, made.intermediate_dim
    for number, block in enumerate(made.encoder.layers):
        after = np.asarray(block.layer_scale2.lambda1)
        if gated:
            kernel, bias = _dense(block.mlp.weights_in)
            hidden = kernel.shape[1] // 2
            network = [kernel[:, hidden:], bias[hidden:], kernel[:, :hidden], bias[:hidden]]
            network += _dense(block.mlp.weights_out, after)
        else:
            network = [*_dense(block.mlp.fc1), *_dense(block.mlp.fc2, after)]
        attention = _heads(block.attention.attention, np.asarray(block.layer_scale1.lambda1))
        norms = [*block.norm2.get_weights(), *block.norm1.get_weights()]
        weights[f"block{number}"] = [*attention, *network, *norms]
    shape = VisionTransformer(
        size=1,
        patch=made.patch_size,
        width=made.hidden_dim,
        depth=made.num_layers,
        heads=made.num_heads,
        hidden=hidden,
        activation="silu" if gated else "gelu",
        gated=gated,
        prefix=1 + made.num_register_tokens,
        pooling="class_and_mean",
    )
    return shape, weights


def _dino_v3(made: Any) -> Tower:
    embeddings = made.embeddings
    learned = [np.asarray(embeddings.cls_token)]
    if made.num_register_tokens:
        learned.append(np.asarray(embeddings.register_tokens))
    weights: dict[str, Weights] = {
        "patches": _patches(embeddings.patch_embeddings.projection),
        "tokens": [np.concatenate(learned, axis=1)],
        "last_norm": made.layernorm.get_weights(),
    }
    for number, block in enumerate(made.encoder.layers):
        attention = block.attention
        dense = [*_dense(attention.query_dense), *_dense(attention.key_dense), *_dense(attention.value_dense)]
        dense += _dense(attention.output_dense, np.asarray(block.layer_scale1.lambda1))
        network = _dense(block.mlp.up_proj)
        if made.use_gated_mlp:
            network += _dense(block.mlp.gate_proj)
        network += _dense(block.mlp.down_proj, np.asarray(block.layer_scale2.lambda1))
        norms = [*block.norm2.get_weights(), *block.norm1.get_weights()]
        weights[f"block{number}"] = [*dense, *network, *norms]
    shape = VisionTransformer(
        size=1,
        patch=made.patch_size,
        width=made.hidden_dim,
        depth=made.num_layers,
        heads=made.num_heads,
        hidden=made.intermediate_dim,
        activation=_activation(made.hidden_activation),
        gated=made.use_gated_mlp,
        epsilon=made.layer_norm_eps,
        prefix=1 + made.num_register_tokens,
        pooling="class_and_mean",
        theta=made.rope_theta,
    )
    return shape, weights


def _vit(made: Any) -> Tower:
    """ViT and DeiT, which has a second learned token."""
    is_deit = type(made).__name__ == "DeiTBackbone"
    embedding, encoder = made.layers[1], made.layers[2]
    positions = embedding.position_embedding
    positions = np.asarray(positions) if is_deit else positions.get_weights()[0][None]
    learned = [np.asarray(embedding.class_token)] if getattr(embedding, "use_class_token", True) else []
    if is_deit:
        learned.append(np.asarray(embedding.distillation_token))
    prefix = len(learned)
    tokens: Weights = [np.concatenate(learned, axis=1) + positions[:, :prefix]] if prefix else []
    weights: dict[str, Weights] = {
        "patches": _patches(embedding.patch_embedding),
        "tokens": [*tokens, positions[:, prefix:]],
        "last_norm": encoder.layer_norm.get_weights(),
    }
    for number, block in enumerate(encoder.encoder_layers):
        up = block.mlp.dense if is_deit else block.mlp.dense_1
        down = block.output_layer.dense if is_deit else block.mlp.dense_2
        weights[f"block{number}"] = [
            *(*_heads(block.mha), *_dense(up), *_dense(down)),
            *(*block.layer_norm_2.get_weights(), *block.layer_norm_1.get_weights()),
        ]
    patch = made.patch_size
    shape = VisionTransformer(
        size=1,
        patch=int(patch if isinstance(patch, int) else patch[0]),
        width=made.hidden_dim,
        depth=made.num_layers,
        heads=made.num_heads,
        hidden=made.intermediate_dim if is_deit else made.mlp_dim,
        epsilon=made.layer_norm_epsilon,
        prefix=prefix,
        pooling="class_and_mean" if prefix else "mean",
    )
    return shape, weights


def _activation(name: Any) -> Activation:
    known: dict[str, Activation] = {
        "gelu": "gelu",
        "gelu_approximate": "gelu_approximate",
        "quick_gelu": "quick_gelu",
        "silu": "silu",
        "swish": "silu",
    }
    if name not in known:
        raise InputError(f"the backbone's activation {name!r} is not known here")
    return known[name]


_TOWERS: dict[str, Callable[[Any], Tower]] = {
    "CLIPBackbone": _clip,
    "MetaCLIP2Backbone": _clip,
    "SigLIPBackbone": _siglip,
    "DINOV2Backbone": _dino_v2,
    "DINOV3Backbone": _dino_v3,
    "ViTBackbone": _vit,
    "DeiTBackbone": _vit,
}
