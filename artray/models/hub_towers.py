"""keras-hub's image towers by kind: what each is like, and its weights by the layers of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt

from artray.errors import InputError
from artray.models.vision_transformer import Activation, VisionTransformer

Weights = list[npt.NDArray[Any]]

Tower: TypeAlias = tuple[VisionTransformer, dict[str, Weights]]


def set_weights(model: keras.Model, weights: Mapping[str, Weights]) -> None:
    """Give a model's layers their weights, by their names."""
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
    heads: Weights = []
    for number in range(4):
        kernel = values[number * step]
        kernel = kernel.reshape(-1, kernel.shape[-1]) if number == 3 else kernel.reshape(kernel.shape[0], -1)
        bias = values[number * step + 1].reshape(-1) if step == 2 else np.zeros(kernel.shape[1], "float32")
        heads += _scaled(kernel, bias, scale if number == 3 else 1.0)
    return heads


def _block(attention: Any, up: Any, down: Any, before: Any, after: Any) -> Weights:
    """A transformer block's weights, in the order of ours.

    Args:
        attention: Keras' attention.
        up: The first dense layer of its network.
        down: The second.
        before: The normalisation before the attention.
        after: That before the network.
    """
    return [*_heads(attention), *_dense(up), *_dense(down), *after.get_weights(), *before.get_weights()]


def _clip(made: Any) -> Tower:
    tower = made.vision_encoder
    embedding, blocks = tower.embedding, tower.encoder_layers
    norm = tower.layer_norm if hasattr(tower, "layer_norm") else made.vision_post_layer_norm
    # Of a preset that was made by hand they may be any.
    positions = embedding.position_embedding.get_weights()[0][np.asarray(embedding.position_ids)[0]]
    learned = np.asarray(embedding.class_embedding).reshape(1, 1, -1) + positions[:1]
    weights = {
        "patches": _dense(embedding.patch_embedding),
        "tokens": [learned, positions[None, 1:]],
        "first_norm": tower.pre_layer_norm.get_weights(),
        "last_norm": norm.get_weights(),
        "embedding": made.vision_projection.get_weights(),
    }
    for number, block in enumerate(blocks):
        norms = block.layer_norm_1, block.layer_norm_2
        weights[f"block{number}"] = _block(block.attention, block.dense_1, block.dense_2, *norms)
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
        "patches": _dense(tower.embedding.patch_embedding),
        "tokens": [tower.embedding.position_embedding.get_weights()[0][np.asarray(tower.embedding.position_ids)]],
        "last_norm": tower.post_layer_norm.get_weights(),
        "pooled": [
            np.asarray(head.probe),
            *(*_heads(head.attention), *_dense(head.mlp.fc1), *_dense(head.mlp.fc2)),
            *head.layer_norm.get_weights(),
        ],
    }
    for number, block in enumerate(blocks):
        norms = block.layer_norm1, block.layer_norm2
        weights[f"block{number}"] = _block(block.self_attn, block.mlp.fc1, block.mlp.fc2, *norms)
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
        "patches": _dense(embeddings.patch_embeddings.projection),
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
        "patches": _dense(embeddings.patch_embeddings.projection),
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
        "patches": _dense(embedding.patch_embedding),
        "tokens": [*tokens, positions[:, prefix:]],
        "last_norm": encoder.layer_norm.get_weights(),
    }
    for number, block in enumerate(encoder.encoder_layers):
        up = block.mlp.dense if is_deit else block.mlp.dense_1
        down = block.output_layer.dense if is_deit else block.mlp.dense_2
        weights[f"block{number}"] = _block(block.mha, up, down, block.layer_norm_1, block.layer_norm_2)
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


TOWERS: dict[str, Callable[[Any], Tower]] = {
    "CLIPBackbone": _clip,
    "MetaCLIP2Backbone": _clip,
    "SigLIPBackbone": _siglip,
    "DINOV2Backbone": _dino_v2,
    "DINOV3Backbone": _dino_v3,
    "ViTBackbone": _vit,
    "DeiTBackbone": _vit,
}
"""The kinds known here, by their class in keras-hub."""
