"""How one sees whether a GAN learns: sheets of samples, an animation of them, and whether they are all alike."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from artray.bundles.generator import ANIMATION, SAMPLES
from artray.features.embedding import Embedding
from artray.images.digital_source import generated_by
from artray.images.encoding import png, webp
from artray.storage import Location

_EMBEDDED_SIDE = 128
_EMBEDDED = 64
_ALIKE = 0.5
_FRAMES = 120
_FRAME_MILLISECONDS = 150
_LAST_MILLISECONDS = 2000

Picture = npt.NDArray[np.uint8]


def to_pictures(values: npt.NDArray[Any]) -> Picture:
    """A generator's output as pictures: (n, size, size, 3) uint8."""
    pictures: Picture = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return pictures


def sheet(pictures: Picture) -> Picture:
    """Pictures side by side in rows that are as long as there are rows, or one longer; what is left is white."""
    count, size = pictures.shape[:2]
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    filled = np.full((rows * columns, size, size, 3), 255, np.uint8)
    filled[:count] = pictures
    tiled = filled.reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    return np.ascontiguousarray(tiled).reshape(rows * size, columns * size, 3)


def sample_file(out: Location, epoch: int) -> Location:
    """Where the sheet of an epoch lies; 0 is before training."""
    return out / SAMPLES / f"epoch-{epoch:03d}.png"


def write_sheet(out: Location, epoch: int, pictures: Picture, *, model: str) -> None:
    """Write the samples after an epoch; `model` is what the generator is called in the file's metadata."""
    sample_file(out, epoch).write_bytes(png(sheet(pictures), source=generated_by(model)))


def write_animation(out: Location, epochs: Sequence[int], *, model: str) -> None:
    """Write the sheets of some epochs as one looping picture; of very many epochs, some of them."""
    chosen = sorted({epochs[index] for index in np.linspace(0, len(epochs) - 1, _FRAMES).round().astype(int)})
    frames = [_opened(sample_file(out, epoch)) for epoch in chosen]
    durations = [_FRAME_MILLISECONDS] * (len(frames) - 1) + [_LAST_MILLISECONDS]
    (out / ANIMATION).write_bytes(webp(frames, 80, milliseconds=durations, source=generated_by(model)))


def _opened(file: Location) -> Picture:
    return np.asarray(Image.open(io.BytesIO(file.read_bytes())).convert("RGB"))


class Diversity:
    """How different samples are from each other, beside how different the collection's pictures are.

    Both are mean distances from a picture to the one most like it, of their embeddings (the default backbone's). So a
    generator that makes a few pictures over and over is seen, however good and different these few are.

    Args:
        real: (n, size, size, 3) some pictures of the collection.
    """

    def __init__(self, real: Picture):
        self._embed = Embedding(size=_EMBEDDED_SIDE)
        self._number = min(len(real), _EMBEDDED)  # more pictures lie nearer together
        self._real = self._spread(real)

    def __call__(self, samples: Picture) -> float:
        """The samples' distance over that of real pictures: 1 is as diverse, 0 is the same pictures over and over.

        Args:
            samples: (m, size, size, 3), at least as many as there were real ones, or 64.
        """
        return self._spread(samples) / max(self._real, 1e-9)

    def _spread(self, pictures: Picture) -> float:
        sides = (_EMBEDDED_SIDE, _EMBEDDED_SIDE)
        resized = [np.asarray(Image.fromarray(picture).resize(sides)) for picture in pictures[: self._number]]
        embedded = self._embed(np.stack(resized))["embedding"]
        return nearest_distance(embedded.flatten().to_numpy().reshape(len(embedded), -1))


def nearest_distance(points: npt.NDArray[Any]) -> float:
    """The mean Euclidean distance of a row from the nearest other one."""
    points = points.astype(np.float64)
    squares = (points**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    np.fill_diagonal(distances, np.inf)
    return float(np.sqrt(distances.min(axis=1)).mean())


def warning(diversity: float) -> str | None:
    """What to say where samples are alike, in words."""
    if diversity >= _ALIKE:
        return None
    return (
        f"the samples look alike: they differ from each other {diversity:.0%} as much as the collection's pictures do. "
        "Early on that is so; if it stays, the generator has collapsed: try another loss (hinge, wgan_gp), "
        "diff_augment or a smaller learning rate"
    )
