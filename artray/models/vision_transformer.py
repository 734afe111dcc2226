"""Vision transformers in Keras alone, wide enough for the image towers of CLIP, SigLIP, DINOv2, DINOv3, ViT and DeiT.

A picture's patches become tokens (Dosovitskiy et al. 2021), some learned tokens stand before them, and blocks of
attention and a small network change them:

    x = x + attention(norm(x));  x = x + network(norm(x))

What such models differ in is folded into these few layers where that is the same: a layer's scale (Touvron et al. 2021)
into the weights before it, the position of the class token into the token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

Activation: TypeAlias = Literal["gelu", "gelu_approximate", "quick_gelu", "silu"]
Pooling: TypeAlias = Literal["class", "class_and_mean", "mean", "attention"]

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": lambda x: keras.activations.gelu(x, approximate=False),
    "gelu_approximate": lambda x: keras.activations.gelu(x, approximate=True),
    "quick_gelu": lambda x: x * ops.sigmoid(1.702 * x),
    "silu": keras.activations.silu,
}


@dataclass(frozen=True, kw_only=True)
class VisionTransformer:
    """What a vision transformer is like.

    Attributes:
        size: Side of the pictures in pixels.
        patch: Side of a patch.
        width: Numbers of a token.
        depth: How many blocks.
        heads: Of attention.
        hidden: Width of the small networks.
        activation: In them.
        gated: Their hidden values are multiplied by others that are computed beside them.
        epsilon: Of the layer normalisations.
        prefix: How many learned tokens stand before the patches; the first of them is the class token.
        first_norm: Tokens are normalised before the first block.
        last_norm: And after the last.
        pooling: How tokens become an embedding. class: the class token; class_and_mean: beside it the mean of the
            patches; mean: of the patches; attention: by a token that asks all others (SigLIP).
        projection: Width that a linear layer gives the embedding; None: none.
        theta: Base of the rotations by which DINOv3 tells positions; None: positions are learned.
        scale: By channel, and
        offset: what RGB 0..255 is multiplied by, and what is added.
    """

    size: int
    patch: int
    width: int
    depth: int
    heads: int
    hidden: int
    activation: Activation = "gelu"
    gated: bool = False
    epsilon: float = 1e-6
    prefix: int = 1
    first_norm: bool = False
    last_norm: bool = True
    pooling: Pooling = "class"
    projection: int | None = None
    theta: float | None = None
    scale: tuple[float, float, float] = (1 / 255,) * 3
    offset: tuple[float, float, float] = (0.0,) * 3

    def build(self, name: str = "vision_transformer") -> keras.Model:
        """The model, with random weights: from RGB (n, size, size, 3), 0..255, to embeddings (n, d).

        Its layers are called `patches`, `tokens`, `first_norm`, `block0` …, `last_norm`, `pooled`, `embedding`.
        """
        side = self.size // self.patch
        inputs = x = keras.Input((self.size, self.size, 3), name="picture")
        x = layers.Rescaling(list(self.scale), offset=list(self.offset), name="scaling")(x)
        x = layers.Conv2D(self.width, self.patch, strides=self.patch, name="patches")(x)
        x = layers.Reshape((side * side, self.width), name="sequence")(x)
        x = Tokens(self.prefix, positions=self.theta is None, name="tokens")(x)
        if self.first_norm:
            x = layers.LayerNormalization(epsilon=self.epsilon, name="first_norm")(x)
        rotations = None if self.theta is None else {"side": side, "theta": self.theta, "prefix": self.prefix}
        for number in range(self.depth):
            x = Block(
                self.heads,
                self.hidden,
                activation=self.activation,
                gated=self.gated,
                epsilon=self.epsilon,
                rotations=rotations,
                name=f"block{number}",
            )(x)
        if self.last_norm:
            x = layers.LayerNormalization(epsilon=self.epsilon, name="last_norm")(x)
        if self.pooling == "attention":
            x = AttentionPooling(
                self.heads, self.hidden, activation=self.activation, epsilon=self.epsilon, name="pooled"
            )(x)
        else:
            x = TokenPooling(self.pooling, self.prefix, name="pooled")(x)
        if self.projection is None:
            x = layers.Identity(name="embedding")(x)
        else:
            x = layers.Dense(self.projection, use_bias=False, name="embedding")(x)
        return keras.Model(inputs, x, name=name)


@keras.saving.register_keras_serializable("artray")
class Tokens(layers.Layer):  # type: ignore[misc]
    """Learned tokens before the patches, and positions added to these.

    Args:
        prefix: How many tokens.
        positions: Whether positions are learned.
    """

    def __init__(self, prefix: int, positions: bool = True, **kwargs: Any):
        super().__init__(**kwargs)
        self.prefix, self.positions = prefix, positions

    def build(self, shape: Sequence[int | None]) -> None:
        """Weights for sequences (n, patches, d)."""
        self.learned = self.add_weight(shape=(1, self.prefix, shape[2]), name="learned") if self.prefix else None
        self.position = self.add_weight(shape=(1, *shape[1:]), name="position") if self.positions else None

    def call(self, x: Any) -> Any:
        """(n, prefix + patches, d)."""
        if self.position is not None:
            x = ops.add(x, self.position)
        if self.learned is None:
            return x
        learned = ops.broadcast_to(self.learned, (ops.shape(x)[0], self.prefix, x.shape[2]))
        return ops.concatenate([ops.cast(learned, x.dtype), x], axis=1)

    def compute_output_shape(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """The tokens are added to the patches."""
        return (shape[0], None if shape[1] is None else shape[1] + self.prefix, shape[2])

    def get_config(self) -> dict[str, Any]:
        """Its arguments."""
        return {**super().get_config(), "prefix": self.prefix, "positions": self.positions}


class _Attention(layers.Layer):  # type: ignore[misc]
    """What attention and a small network after it have in common."""

    def __init__(
        self,
        heads: int,
        hidden: int,
        *,
        activation: Activation = "gelu",
        gated: bool = False,
        epsilon: float = 1e-6,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.heads, self.hidden, self.activation, self.gated = heads, hidden, activation, gated
        self.epsilon = epsilon

    def build(self, shape: Sequence[int | None]) -> None:
        """Weights for sequences (n, tokens, d)."""
        width = shape[2]
        dense = [("query", width), ("key", width), ("value", width), ("out", width), ("up", self.hidden)]
        dense += [("gate", self.hidden)] if self.gated else []
        for name, units in dense:
            layer = layers.Dense(units, dtype=self.dtype_policy, name=name)
            layer.build((None, None, width))
            setattr(self, name, layer)
        self.down = layers.Dense(width, dtype=self.dtype_policy, name="down")
        self.down.build((None, None, self.hidden))
        self.network_norm = self._norm(width, "network_norm")

    def own_layers(self) -> list[Any]:
        """The layers that it is made of; a method, as what Keras finds as an attribute it saves."""
        names = ("query", "key", "value", "out", "up", "gate", "down", "network_norm", "attention_norm")
        return [getattr(self, name) for name in names if hasattr(self, name)]

    def _norm(self, width: int | None, name: str) -> Any:
        norm = layers.LayerNormalization(epsilon=self.epsilon, dtype=self.dtype_policy, name=name)
        norm.build((None, None, width))
        return norm

    def _attended(self, asked: Any, seen: Any, turn: Callable[[Any], Any] = lambda x: x) -> Any:
        each = int(seen.shape[2]) // self.heads
        split = layers.Reshape((-1, self.heads, each))  # has no weights: nothing of it is kept
        query, key, value = split(self.query(asked)), split(self.key(seen)), split(self.value(seen))
        attended = ops.dot_product_attention(turn(query), turn(key), value, scale=each**-0.5)
        return self.out(ops.reshape(attended, (-1, asked.shape[1], each * self.heads)))

    def _network(self, x: Any) -> Any:
        active = _ACTIVATIONS[self.activation]
        up = self.up(x)
        return self.down(ops.multiply(active(self.gate(x)), up) if self.gated else active(up))

    def get_config(self) -> dict[str, Any]:
        """Its arguments."""
        names = ("heads", "hidden", "activation", "gated", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("artray")
class Block(_Attention):
    """A block: attention and a small network, each on what is normalised before it, added to what comes in.

    Args:
        heads: Of attention.
        hidden: Width of the network.
        rotations: `side`, `theta` and `prefix`: queries and keys of the patches of a square are turned by their place.
        **kwargs: `activation`, `gated` and `epsilon`, as of `VisionTransformer`; and a layer's.
    """

    def __init__(self, heads: int, hidden: int, *, rotations: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(heads, hidden, **kwargs)
        self.rotations = rotations

    def build(self, shape: Sequence[int | None]) -> None:
        """Weights for sequences (n, tokens, d)."""
        super().build(shape)
        self.attention_norm = self._norm(shape[2], "attention_norm")

    def call(self, x: Any) -> Any:
        """(n, tokens, d), as it comes in."""
        seen = self.attention_norm(x)
        x = ops.add(x, self._attended(seen, seen, self._turned if self.rotations else lambda each: each))
        return ops.add(x, self._network(self.network_norm(x)))

    def compute_output_shape(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """As it comes in."""
        return tuple(shape)

    def _turned(self, x: Any) -> Any:
        assert self.rotations is not None
        prefix = self.rotations["prefix"]
        cos, sin = (ops.cast(each, x.dtype) for each in rotation(x.shape[3], **self.rotations))
        patches = x[:, prefix:]
        half = x.shape[3] // 2
        crossed = ops.concatenate([-patches[..., half:], patches[..., :half]], axis=-1)
        return ops.concatenate([x[:, :prefix], patches * cos + crossed * sin], axis=1)

    def get_config(self) -> dict[str, Any]:
        """Its arguments."""
        return {**super().get_config(), "rotations": self.rotations}


def rotation(
    width: int, *, side: int, theta: float, prefix: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Cosines and sines by which the queries of a square's patches are turned, (patches, 1, width) each.

    Patches lie from -1 to 1 in height and width, and frequencies fall from 1 to 1/theta, as in DINOv3.
    """
    del prefix
    frequencies = 1.0 / theta ** np.arange(0, 1, 4 / width, dtype=np.float32)
    points = 2 * (np.arange(0.5, side, dtype=np.float32) / np.float32(side)) - 1
    square = np.stack(np.meshgrid(points, points, indexing="ij"), axis=-1).reshape(-1, 2, 1)
    angles = (2 * np.pi * square * frequencies).reshape(side * side, -1)
    turns = np.tile(angles, (1, 2))[:, None].astype(np.float32)
    return np.cos(turns), np.sin(turns)


@keras.saving.register_keras_serializable("artray")
class AttentionPooling(_Attention):
    """A learned token that asks all others, and a small network after it (SigLIP)."""

    def build(self, shape: Sequence[int | None]) -> None:
        """Weights for sequences (n, tokens, d)."""
        super().build(shape)
        self.probe = self.add_weight(shape=(1, 1, shape[2]), name="probe")

    def call(self, x: Any) -> Any:
        """(n, d)."""
        probe = ops.broadcast_to(self.probe, (ops.shape(x)[0], 1, x.shape[2]))
        attended = self._attended(ops.cast(probe, x.dtype), x)
        return ops.add(attended, self._network(self.network_norm(attended)))[:, 0]

    def compute_output_shape(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """One token."""
        return (shape[0], shape[2])


@keras.saving.register_keras_serializable("artray")
class TokenPooling(layers.Layer):  # type: ignore[misc]
    """Tokens as one embedding: the class token, the mean of the patches, or both side by side.

    Args:
        kind: Which.
        prefix: How many tokens stand before the patches.
    """

    def __init__(self, kind: Pooling, prefix: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.kind, self.prefix = kind, prefix

    def call(self, x: Any) -> Any:
        """(n, d), or (n, 2 d) of both."""
        if self.kind == "class":
            return x[:, 0]
        mean = ops.mean(x[:, self.prefix :], axis=1)
        return mean if self.kind == "mean" else ops.concatenate([x[:, 0], mean], axis=-1)

    def compute_output_shape(self, shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """One token, or two."""
        assert shape[2] is not None
        return (shape[0], shape[2] * (2 if self.kind == "class_and_mean" else 1))

    def get_config(self) -> dict[str, Any]:
        """Its arguments."""
        return {**super().get_config(), "kind": self.kind, "prefix": self.prefix}


def token_statistics(model: keras.Model) -> keras.KerasTensor | None:
    """Means and standard deviations of every block's output over the patches; None where a model has no blocks.

    The second form of B6 for transformers: (n, 2 · depth · width), for each block the means and then the deviations.
    """
    blocks = [layer for layer in model.layers if isinstance(layer, Block)]
    tokens = next((layer for layer in model.layers if isinstance(layer, Tokens)), None)
    if not blocks or tokens is None:
        return None
    patches = [block.output[:, tokens.prefix :] for block in blocks]
    return ops.concatenate([moment(x, axis=1) for x in patches for moment in (ops.mean, ops.std)], axis=-1)
