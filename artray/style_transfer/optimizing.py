"""Style transfer by optimisation: the pixels themselves are changed until a frozen network's maps are as wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from artray.images.pictures import Picture
from artray.models import DEFAULT_BACKBONE
from artray.style_transfer.shapes import at_scale, side_lengths

Grams = list[npt.NDArray[np.float32]]
"""Of each layer (channels, channels)."""

_RATE = 6.0  # grey levels a pixel moves in the first step
_STYLE = 3.0  # what strength 1 is, beside content's 1


class Looks(BaseModel):
    """Through which network style and content are seen, and how much each counts.

    Attributes:
        backbone: As `artray.models.style.style_network` takes it.
        weights: Likewise.
        soften: Likewise.
        smoothness: What total variation counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = DEFAULT_BACKBONE
    weights: str | None = "imagenet"
    soften: bool | None = None
    smoothness: float = Field(10.0, ge=0)


class StyleTransfer:
    """Pictures in, the same in another style out. TensorFlow is imported when it is made.

    Args:
        looks: By which network.
        size: Long side of the pictures.
        scales: From how many sizes on, each half of the next: the coarsest decides on large areas.
        steps: Of all scales together.
    """

    def __init__(self, looks: Looks, size: int, scales: int = 3, steps: int = 150):
        from artray.engine.picture_descent import PictureDescent
        from artray.models.style import style_network

        self._network = style_network(looks.backbone, looks.weights, soften=looks.soften)
        self.channels = [output.shape[-1] for output in self._network.model.outputs[:-1]]
        self.scales = len(side_lengths(size, scales))
        self._steps = [steps // self.scales + (scale < steps % self.scales) for scale in range(self.scales)]
        self._smoothness = looks.smoothness
        self._descent = PictureDescent(self._losses)

    def grams(self, pictures: Picture) -> npt.NDArray[np.float32]:
        """The Gram matrices of pictures (n, height, width, 3) at all scales, from coarse to fine, in a row each."""
        from artray.models.style import flat_grams

        rows = [flat_grams(self._network(self._scaled(pictures, scale))[0]) for scale in range(self.scales)]
        return np.concatenate(rows, axis=1)

    def __call__(
        self, pictures: Picture, strengths: Sequence[float], targets: Sequence[Grams]
    ) -> tuple[Picture, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Pictures in another style.

        Args:
            pictures: (n, height, width, 3) RGB, sides that 16 divides.
            strengths: Of each, what style counts beside content; 1 is usual.
            targets: The style's Gram matrices at each scale.

        Returns:
            Pictures of the same shape, and their losses of style, content and variation before and after, (n, 3) each,
            at the finest scale; style without its strength.
        """
        style = np.asarray(strengths, np.float32) * _STYLE
        change: npt.NDArray[np.float32] = np.zeros((len(pictures), 1, 1, 3), np.float32)
        for scale, target in enumerate(targets):
            wanted = self._scaled(pictures, scale)
            content = np.asarray(self._network(wanted)[1])
            constants = [style, content, *target]
            if scale + 1 == self.scales:
                first = self._descent(wanted, constants, steps=0, rate=0.0)[1][0]
            begun = np.clip(wanted + _stretched(change, wanted.shape[1:3]), 0, 255)
            painted, history = self._descent(begun, constants, steps=self._steps[scale], rate=_RATE)
            change = painted - wanted
        share = np.stack([style, np.ones_like(style), np.ones_like(style)], axis=1)
        return np.round(painted).astype(np.uint8), first / share, history[-1] / share

    def _scaled(self, pictures: Picture, scale: int) -> npt.NDArray[np.float32]:
        return at_scale(pictures, 1 << (self.scales - 1 - scale)).astype(np.float32)

    def _losses(self, pictures: Any, constants: Sequence[Any]) -> Any:
        from keras import ops

        from artray.models.style import content_losses, style_losses, total_variation

        strengths, wanted, *targets = constants
        maps, content = self._network(pictures)
        style = strengths * style_losses(maps, targets)
        smooth = self._smoothness * total_variation(pictures)
        return ops.stack([style, content_losses(content, wanted), smooth], axis=-1)


def _stretched(change: npt.NDArray[np.float32], shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """A coarser scale's change at this one's size."""
    from keras import ops

    if change.shape[1] == 1:
        return change
    return np.asarray(ops.image.resize(change, tuple(shape), interpolation="bilinear"), np.float32)


def unflattened(row: npt.NDArray[Any], channels: Sequence[int]) -> Grams:
    """The Gram matrices of layers with so many channels, from a row of `models.style.flat_grams` or a mean."""
    cuts = np.cumsum([number**2 for number in channels])[:-1]
    blocks = np.split(np.asarray(row, np.float32), cuts)
    return [block.reshape(number, number) for block, number in zip(blocks, channels, strict=True)]
