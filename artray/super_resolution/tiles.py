"""A picture of any size enlarged tile by tile, as if at once.

A tile is seen with the network's margin around it, so that nothing of its result depends on where tiles end; the margin
is cut off the result. Memory is that of one tile's maps, whatever the picture's size, and the two pictures themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from artray.images.pictures import Picture

TILE = 192
"""Pixels of the small picture a side, without margins."""


class Span(NamedTuple):
    """A tile along one axis of the small picture.

    Attributes:
        begin: Its first pixel.
        end: That after its last.
        first: The first pixel that the network sees.
        last: That after the last one it sees.
    """

    begin: int
    end: int
    first: int
    last: int


def spans(length: int, tile: int, margin: int) -> list[Span]:
    """An axis cut into tiles of about one size, none larger than `tile`."""
    number = -(-length // tile)
    edges = [length * index // number for index in range(number + 1)]
    return [Span(begin, end, max(0, begin - margin), min(length, end + margin)) for begin, end in pairwise(edges)]


def strips(
    picture: Picture, model: Callable[[Picture], npt.NDArray[Any]], scale: int, margin: int, *, tile: int = TILE
) -> Iterator[npt.NDArray[np.float32]]:
    """The enlarged picture from top to bottom, a row of tiles at a time.

    Args:
        picture: (height, width, 3).
        model: From (1, h, w, 3) to (1, scale h, scale w, 3).
        scale: The model's.
        margin: Its margin.
        tile: Side of a tile.

    Yields:
        (rows, scale width, 3) float32, not clipped.
    """
    height, width = picture.shape[:2]
    for down in spans(height, tile, margin):
        strip = np.empty(((down.end - down.begin) * scale, width * scale, 3), np.float32)
        for across in spans(width, tile, margin):
            seen = picture[down.first : down.last, across.first : across.last]
            large = model(seen[None])[0]
            top, left = (down.begin - down.first) * scale, (across.begin - across.first) * scale
            inner = large[top : top + len(strip), left : left + (across.end - across.begin) * scale]
            strip[:, across.begin * scale : across.end * scale] = inner
        yield strip


def enlarged(
    picture: Picture, model: Callable[[Picture], npt.NDArray[Any]], scale: int, margin: int, *, tile: int = TILE
) -> Image.Image:
    """The enlarged picture, rounded; arguments as for `strips`."""
    height, width = picture.shape[:2]
    whole = Image.new("RGB", (width * scale, height * scale))
    top = 0
    for strip in strips(picture, model, scale, margin, tile=tile):
        whole.paste(Image.fromarray(np.rint(strip).clip(0, 255).astype(np.uint8)), (0, top))
        top += len(strip)
    return whole
