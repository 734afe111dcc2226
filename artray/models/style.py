"""What style transfer compares: the maps of a frozen network, their Gram matrices, and distances between them.

Gatys, Ecker and Bethge 2016, "Image Style Transfer Using Convolutional Neural Networks". Its style distance works well
with VGG alone; Wang, Li and Vasconcelos 2021, "Rethinking and Improving the Robustness of Image Style Transfer" (SWAG),
take a softmax over each layer's activations first, which makes it work with networks of residual blocks too.

All functions are of keras.ops, so they can be differentiated, and work on pictures of any size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from artray.errors import InputError
from artray.models import DEFAULT_BACKBONE, EMBEDDED
from artray.models.backbones import backbone

_SIDE = 224  # at which a network is built before it is opened to all sizes
_COARSEST = 16  # pixels of the picture to one of a map: beyond it, maps tell what is seen, not how it is painted
_CONTENT = 8
_SOFTNESS = 3.0  # temperatures in a map's standard deviations: with 1, single pixels of Lite0 outweigh all others


class StyleNetwork(NamedTuple):
    """A frozen network as style transfer looks through it.

    Attributes:
        model: From RGB pictures (n, height, width, 3), 0..255, of any size to a list of maps (n, h, w, channels): those
            of style, from fine to coarse, and last the one of content.
        temperatures: For each map what activations are divided by before the softmax; empty without softening.
    """

    model: Any
    temperatures: list[float]

    def __call__(self, pictures: Any) -> tuple[list[Any], Any]:
        """The maps of style and the map of content, softened where they are to be."""
        maps = self.model([pictures])
        if self.temperatures:
            maps = [softened(one, heat) for one, heat in zip(maps, self.temperatures, strict=True)]
        return list(maps[:-1]), maps[-1]


def style_network(
    name: str = DEFAULT_BACKBONE, weights: str | None = "imagenet", *, soften: bool | None = None
) -> StyleNetwork:
    """A backbone as a style network.

    Of an EfficientNet-Lite the maps are the stem's and each stage's last, of VGG those of Gatys' paper, of others the
    last of each size, all down to a sixteenth of the picture's side. Content is looked at at an eighth.

    Args:
        name: As for `artray.models.backbones.backbone`.
        weights: Likewise.
        soften: Whether maps go through `softened`; default: all networks' but VGG's.

    Raises:
        InputError: As `backbone`, or it has no such maps.
    """
    whole = backbone(name, _SIDE, weights)
    names = _lite_maps(whole) if name in EMBEDDED else _vgg_maps(whole) or _last_maps(whole)
    sides = {one: _SIDE // whole.get_layer(one).output.shape[1] for one in names}
    content = (
        "block4_conv2" if name.startswith("VGG") else next((o for o in reversed(names) if sides[o] == _CONTENT), None)
    )
    if not names or content is None:
        raise InputError(f"backbone {name}: has no maps at an eighth of the picture's side, which content is seen by")
    network = keras.Model(whole.inputs, [whole.get_layer(one).output for one in (*names, content)])
    model = keras.models.clone_model(network, input_tensors=[keras.Input((None, None, 3))])
    model.set_weights(network.get_weights())
    model.trainable = False
    if soften is None:
        soften = not name.startswith("VGG")
    return StyleNetwork(model, _spreads(model) if soften else [])


def _lite_maps(model: Any) -> list[str]:
    """The stem's map and each stage's last."""
    last: dict[int, str] = {}
    for layer in model.layers:
        if re.fullmatch(r"block\d+", layer.name) and _SIDE // layer.output.shape[1] <= _COARSEST:
            last[layer.output.shape[-1]] = layer.name  # each stage has a number of maps of its own
    return ["stem_relu", *last.values()]


def _vgg_maps(model: Any) -> list[str]:
    return [layer.name for layer in model.layers if re.fullmatch(r"block[1-5]_conv1", layer.name)]


def _last_maps(model: Any) -> list[str]:
    last: dict[int, str] = {}
    for layer in model.layers[1:]:
        shape: tuple[Any, ...] = tuple(layer.output.shape)
        if len(shape) == 4 and shape[1] and 1 < _SIDE / shape[1] <= _COARSEST and shape[-1] > 3:
            last[shape[1]] = layer.name
    return [last[side] for side in sorted(last, reverse=True)]


def _spreads(model: Any) -> list[float]:
    """The standard deviation of each map, of a picture whose frequencies are spread as in pictures of the world.

    So softening means the same for every network: an EfficientNet-Lite's blocks end in values of ±40, whose plain
    softmax would be one peak, the opposite of what it is for.
    """
    chance = np.random.default_rng(0)
    side = 128
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf
    waves = np.fft.rfft2(chance.standard_normal((3, side, side))) / frequency  # a random phase, and 1/f
    picture = np.fft.irfft2(waves, (side, side)).transpose(1, 2, 0)
    picture = np.clip(127.5 + 55 * picture / picture.std(), 0, 255).astype(np.float32)
    return [_SOFTNESS * max(float(np.std(np.asarray(one))), 1e-3) for one in model([picture[None]], training=False)]


def softened(maps: Any, temperature: float = 1.0) -> Any:
    """SWAG's softmax over all activations of a layer, scaled so that their mean is 1.

    Args:
        maps: (n, h, w, channels).
        temperature: What they are divided by first.

    Returns:
        The same shape; each picture's sum is h · w · channels, so pictures of different sizes can be compared.
    """
    shape = ops.shape(maps)
    flat = ops.reshape(maps / temperature, (shape[0], -1))
    number = ops.cast(ops.shape(flat)[1], flat.dtype)
    return ops.reshape(ops.softmax(flat, axis=-1) * number, shape)


def gram(maps: Any) -> Any:
    """The Gram matrices of maps: which channels answer in the same places, wherever these are.

    Args:
        maps: (n, h, w, channels).

    Returns:
        (n, channels, channels), means over places.
    """
    shape = ops.shape(maps)
    flat = ops.reshape(maps, (shape[0], -1, maps.shape[-1]))
    return ops.matmul(ops.transpose(flat, (0, 2, 1)), flat) / ops.cast(ops.shape(flat)[1], flat.dtype)


def style_losses(maps: Sequence[Any], targets: Sequence[Any]) -> Any:
    """How far pictures are from a style, (n,): the mean over layers of squared differences of Gram matrices.

    Each layer's is divided by the variance of its target, so that all count alike and 1 means: no nearer than one
    number for the whole matrix.

    Args:
        maps: Of each layer (n, h, w, channels).
        targets: Gram matrices, (channels, channels) or (n, channels, channels).
    """
    losses = []
    for one, target in zip(maps, targets, strict=True):
        spread = ops.var(target, axis=(-2, -1))
        losses.append(ops.mean(ops.square(gram(one) - target), axis=(1, 2)) / (spread + 1e-12))
    return sum(losses) / len(losses)


def content_losses(maps: Any, wanted: Any) -> Any:
    """How far pictures are from what they showed, (n,): squared differences of a layer, by the variance it had.

    Args:
        maps: (n, h, w, channels).
        wanted: Those of the pictures to be kept.
    """
    return ops.mean(ops.square(maps - wanted), axis=(1, 2, 3)) / (ops.var(wanted, axis=(1, 2, 3)) + 1e-12)


def total_variation(pictures: Any) -> Any:
    """Mean squared difference of neighbouring pixels, (n,), white minus black being 1; pictures are 0..255."""
    across, down = pictures[:, :, 1:] - pictures[:, :, :-1], pictures[:, 1:] - pictures[:, :-1]
    return (ops.mean(ops.square(across), axis=(1, 2, 3)) + ops.mean(ops.square(down), axis=(1, 2, 3))) / 255.0**2


def flat_grams(maps: Sequence[Any]) -> npt.NDArray[np.float32]:
    """The Gram matrices of all layers in a row, (n, numbers)."""
    matrices = [np.asarray(gram(one)) for one in maps]
    return np.concatenate([one.reshape(len(one), -1) for one in matrices], axis=1)
