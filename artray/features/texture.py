"""Texture as likeness to six reference textures between soft and hard (B3).

The references are Perlin noise; how hard a texture feels follows from the noise's parameters (`hardness`). A picture's
texture is its structural similarity (SSIM; Wang et al. 2004) to each of them.
"""

from functools import cache
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from artray.collection import storage
from artray.features.perlin import perlin_noise

SIZE = 224
WINDOW = 7
# scikit-image's default for floating-point pictures at the time of the published numbers: the range from -1 to 1.
DATA_RANGE = 2.0


class NoiseParameters(NamedTuple):
    """What a reference texture is drawn from."""

    scale: float
    """Pixels per lattice cell of the first octave."""
    octaves: int
    persistence: float
    lacunarity: float


# The published six, from the smallest Hard-Soft value to the largest.
REFERENCES = (
    NoiseParameters(200, 100, 0.75, 2),
    NoiseParameters(100, 4, 0.5, 6),
    NoiseParameters(80, 75, 0.05, 2),
    NoiseParameters(75, 1, 0.75, 3),
    NoiseParameters(10, 1, 0.90, 0.1),
    NoiseParameters(2, 1, 0.95, 0.01),
)


def hardness(parameters: NoiseParameters) -> float:
    """The Hard-Soft value of Perlin noise: where its texture lies between soft and hard.

    HS = 586.33 - 178.78 octaves^0.01 - 84.20 scale^0.01 - 106.83 persistence^0.02 - 213.89 lacunarity^0.01
    """
    scale, octaves, persistence, lacunarity = parameters
    value: float = (
        586.33 - 178.78 * octaves**0.01 - 84.20 * scale**0.01 - 106.83 * persistence**0.02 - 213.89 * lacunarity**0.01
    )
    return value


def reference_texture(parameters: NoiseParameters) -> NDArray[np.float64]:
    """Draw a reference texture, (224, 224), every column stretched to 0..1 as in the published code."""
    steps = np.arange(SIZE) / parameters.scale
    noise = perlin_noise(
        steps[:, None],
        steps[None, :],
        octaves=parameters.octaves,
        persistence=parameters.persistence,
        lacunarity=parameters.lacunarity,
    ).astype(np.float64)
    low, spread = noise.min(axis=0), np.ptp(noise, axis=0)
    stretched: NDArray[np.float64] = (noise - low) / np.where(spread > 0, spread, 1)
    return stretched


class Texture:
    """Six structural similarities, to `REFERENCES` in that order.

    Column `texture`: six float32 between -1 and 1, 1 being the reference itself. The mean over the three channels of
    SSIM with a 7x7 uniform window, sample covariance and a data range of 2, pictures and references in 0..1, as
    `skimage.metrics.structural_similarity` computes it.

    >>> grey = np.full((1, 224, 224, 3), 128, np.uint8)
    >>> Texture()(grey)["texture"].type
    ListType(list<item: float>)
    """

    name = "texture"
    size = SIZE
    fields: ClassVar[list[pa.Field]] = [pa.field("texture", pa.list_(pa.float32()))]

    def __call__(self, images: NDArray[np.uint8]) -> dict[str, pa.Array]:
        """Compare pictures, (n, 224, 224, 3), with the six references."""
        return {"texture": storage.list_column(_similarities(images))}


_POINTS = np.float32(WINDOW**2)
_C1 = np.float32((0.01 * DATA_RANGE) ** 2)
_C2 = np.float32((0.03 * DATA_RANGE) ** 2)

Floats = NDArray[np.float32]


class _Channel(NamedTuple):
    """What SSIM needs of a channel of its own; all but the pixels one value per window."""

    pixels: Floats
    """Centred on 0, so that float32 is exact enough for variances."""
    sums: Floats
    means: Floats
    """Of the pixels in 0..1."""
    luminance: Floats
    """Mean squared, the channel's part of the first factor of SSIM's denominator."""
    contrast: Floats
    """Variance, its part of the second."""

    def as_reference(self) -> "_Channel":
        """Fold in SSIM's constants once, so that they needn't be applied to every picture."""
        twice_sample = 2 / (_POINTS - 1)
        return _Channel(
            pixels=self.pixels * twice_sample,
            sums=self.sums * (twice_sample / _POINTS),
            means=self.means * 2,
            luminance=self.luminance + _C1,
            contrast=self.contrast + _C2,
        )


class _Windows:
    """Arithmetic on all 7x7 windows inside a channel.

    Everything is written in place: fresh arrays of this size cost more than the arithmetic. Arrays are flat,
    (218 * 224,), for contiguous memory in both directions; the last six of every 224 values would be windows that wrap
    around the edge, and are left out of the mean.
    """

    _INSIDE = SIZE - WINDOW + 1

    def __init__(self) -> None:
        self._products = np.empty(SIZE * SIZE, np.float32)
        self._pairs = np.empty((SIZE - 1) * SIZE, np.float32)
        self._rows = self._empty()
        self._numerator, self._denominator, self._factor = self._empty(), self._empty(), self._empty()

    def channel(self, plane: Floats) -> _Channel:
        """Prepare a channel, (224, 224), 0..1."""
        pixels = plane.ravel() - np.float32(0.5)
        sums = self._sums(pixels, out=self._empty())
        means = sums / _POINTS + np.float32(0.5)
        variances = self._sums(pixels * pixels, out=self._empty())
        variances -= sums * sums / _POINTS
        variances /= _POINTS - 1
        return _Channel(pixels, sums, means, means * means, variances)

    def mean_ssim(self, a: _Channel, b: _Channel) -> float:
        """Mean of (2 μa μb + C1)(2 σab + C2) / ((μa² + μb² + C1)(σa² + σb² + C2)), `b` as a reference."""
        numerator, denominator, factor = self._numerator, self._denominator, self._factor
        self._sums(np.multiply(a.pixels, b.pixels, out=self._products), out=numerator)
        numerator -= np.multiply(a.sums, b.sums, out=factor)
        numerator += _C2
        np.multiply(a.means, b.means, out=factor)
        factor += _C1
        numerator *= factor
        np.add(a.luminance, b.luminance, out=denominator)
        denominator *= np.add(a.contrast, b.contrast, out=factor)
        numerator /= denominator
        return float(numerator.reshape(self._INSIDE, SIZE)[:, : self._INSIDE].mean(dtype=np.float64))

    def _sums(self, values: Floats, out: Floats) -> Floats:
        """Sum every window: down and then along the rows 2 + 2 + 2 + 1 values, four additions."""
        rows, s = self._rows, SIZE
        pairs = np.add(values[:-s], values[s:], out=self._pairs)
        np.add(pairs[: -5 * s], pairs[2 * s : -3 * s], out=rows)
        rows += pairs[4 * s : -s]
        rows += values[6 * s :]
        pairs = np.add(rows[:-1], rows[1:], out=self._pairs[: len(rows) - 1])
        inner = out[:-6]
        np.add(pairs[:-5], pairs[2:-3], out=inner)
        inner += pairs[4:-1]
        inner += rows[6:]
        out[-6:] = 0
        return out

    def _empty(self) -> Floats:
        return np.empty(self._INSIDE * SIZE, np.float32)


@cache
def _references() -> list[_Channel]:
    windows = _Windows()
    return [windows.channel(reference_texture(one).astype(np.float32)).as_reference() for one in REFERENCES]


def _similarities(images: NDArray[np.uint8]) -> Floats:
    """Mean SSIM of each picture with each reference, (n, 6)."""
    windows, references = _Windows(), _references()
    similarities = np.empty((len(images), len(references)), np.float32)
    for image, row in zip(images, similarities, strict=True):
        planes = np.ascontiguousarray(np.moveaxis(image, -1, 0)) / np.float32(255)
        channels = [windows.channel(plane) for plane in planes]
        for index, reference in enumerate(references):
            row[index] = np.mean([windows.mean_ssim(channel, reference) for channel in channels])
    return similarities
