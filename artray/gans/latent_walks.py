"""What lies between latents, and what their sums are (D6): strips of pictures.

interpolation.png   a row each: from one latent to another in even steps
arithmetic.png      a row each: z₁, z₂, z₃, and z₁ − z₂ + z₃
classes.png         a row each: one latent as each of the classes, in the bundle's order
truncation.png      a row each: one latent, its far numbers drawn again nearer and nearer to 0 (`TRUNCATIONS`)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from artray.bundles.generator import Distribution
from artray.gans.sampling import GeneratorModel, in_task, numbered_latents
from artray.images.digital_source import generated_by
from artray.images.encoding import png
from artray.images.pictures import Picture
from artray.storage import Location

FOLDER = "latent"
STRIPS = ("interpolation.png", "arithmetic.png", "classes.png", "truncation.png")
TRUNCATIONS = {"normal": (None, 1.5, 1.0, 0.7, 0.4, 0.2), "uniform": (None, 0.8, 0.6, 0.4, 0.2, 0.1)}
"""The farthest from 0 that numbers may be, by the latents' distribution; None: as far as they are."""
_ROWS = 6
_STEPS = 9
_GAP = 2  # white pixels between pictures

Latents = npt.NDArray[np.float32]


def interpolate(first: Latents, last: Latents, steps: int, distribution: Distribution) -> Latents:
    """Latents on the way from one to another.

    Normal latents lie near a sphere, and nothing was trained inside it: between them the way is along an arc (slerp;
    White, "Sampling Generative Networks", 2016). Uniform latents fill a cube, where it is straight.

    Args:
        first: (size,).
        last: (size,).
        steps: How many latents, both ends included.
        distribution: Of the latents.

    Returns:
        (steps, size).
    """
    progress = np.linspace(0, 1, steps)[:, None]
    one, two = first.astype(np.float64), last.astype(np.float64)
    straight = (1 - progress) * one + progress * two
    if distribution == "uniform":
        return straight.astype(np.float32)
    cosine = one @ two / max(float(np.linalg.norm(one) * np.linalg.norm(two)), 1e-12)
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < 1e-6:  # one direction, or opposite ones: there is no arc, or there are many
        return straight.astype(np.float32)
    arc = (np.sin((1 - progress) * angle) * one + np.sin(progress * angle) * two) / np.sin(angle)
    return np.asarray(arc, np.float32)


def combine(first: Latents, second: Latents, third: Latents, distribution: Distribution) -> Latents:
    """The sum first − second + third, brought back to where latents lie.

    Of normal latents the sum is √3 times as long as they are, so it is shortened to the mean of their lengths; of
    uniform ones each number is cut to -1..1.

    Args:
        first: (…, size).
        second: Likewise.
        third: Likewise.
        distribution: Of the latents.

    Radford et al., "Unsupervised Representation Learning with Deep Convolutional GANs" (2015).
    """
    total = first - second + third
    if distribution == "uniform":
        return np.asarray(np.clip(total, -1, 1), np.float32)
    lengths = [np.linalg.norm(latents, axis=-1, keepdims=True) for latents in (first, second, third)]
    length = np.linalg.norm(total, axis=-1, keepdims=True)
    return np.asarray(total * np.mean(lengths, axis=0) / np.maximum(length, 1e-12), np.float32)


def latent_strips(uri: Location, seed: int = 0) -> list[str]:
    """Write the strips of a generator bundle below it, over older ones.

    Args:
        uri: The generator bundle.
        seed: Of the latents, and of the classes of a generator that has some.

    Returns:
        The files' paths below the bundle.
    """
    strips = in_task(_draw_strips, uri, seed)
    for name, content in strips.items():
        (uri / FOLDER / name).write_bytes(content)
    return [f"{FOLDER}/{name}" for name in strips]


def _draw_strips(uri: Location, seed: int) -> dict[str, bytes]:
    generator_model = GeneratorModel(uri)
    bundle, count = generator_model.bundle, generator_model.kinds
    latents = numbered_latents(bundle, range(3 * _ROWS), seed).reshape(_ROWS, 3, bundle.latent_size)
    # A row is of one class, and another row of the next; of descriptions they are from everywhere.
    classes = [row * max(1, count // _ROWS) % count for row in range(_ROWS)] if count else []
    if bundle.classes:
        classes = [row % count for row in range(_ROWS)]

    def rows(latents: Latents) -> list[Picture]:
        each = latents.shape[1]
        labels = np.repeat(classes, each).tolist() if count else None
        pictures = generator_model(latents.reshape(-1, bundle.latent_size), labels)
        return list(pictures.reshape(_ROWS, each, *pictures.shape[1:]))

    ways = [interpolate(row[0], row[1], _STEPS, bundle.distribution) for row in latents]
    results = combine(latents[:, 0], latents[:, 1], latents[:, 2], bundle.distribution)
    nearer = [
        numbered_latents(bundle, range(0, 3 * _ROWS, 3), seed, truncation)
        for truncation in TRUNCATIONS[bundle.distribution]
    ]
    strips = {
        "interpolation.png": grid(rows(np.stack(ways))),
        "arithmetic.png": grid(rows(np.concatenate([latents, results[:, None]], axis=1))),
        "truncation.png": grid(rows(np.stack(nearer, axis=1))),
    }
    if bundle.classes:
        pictures = generator_model(np.repeat(latents[:, 0], count, axis=0), list(range(count)) * _ROWS)
        strips["classes.png"] = grid(list(pictures.reshape(_ROWS, count, *pictures.shape[1:])))
    return {name: png(strip, source=generated_by(bundle.model_id)) for name, strip in strips.items()}


def grid(rows: list[Picture]) -> Picture:
    """One picture of rows of pictures, (n, h, w, 3) each, with white between them."""
    height, width = rows[0].shape[1:3]
    most = max(len(row) for row in rows)
    shape = len(rows) * (height + _GAP) - _GAP, most * (width + _GAP) - _GAP, 3
    whole = np.full(shape, 255, np.uint8)
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            top, left = down * (height + _GAP), across * (width + _GAP)
            whole[top : top + height, left : left + width] = picture
    return whole
