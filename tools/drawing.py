"""What families of pictures are drawn with: fields, noise, ramps of colour, a turtle."""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Color: TypeAlias = tuple[int, int, int]
Field: TypeAlias = NDArray[np.float32]
Rng: TypeAlias = np.random.Generator


class Palette(NamedTuple):
    """A ground and the inks that look good on it, as RGB in 0..255; the inks go from one end of a ramp to the other."""

    ground: Color
    inks: list[Color]


def grid(width: int, height: int) -> Field:
    """Every pixel's x and y: (2, height, width)."""
    rows, columns = np.indices((height, width), dtype=np.float32)
    return np.stack([columns, rows])


def turned(grid: Field, angle: float) -> Field:
    """The places of a grid, turned around its origin; the angle in radians."""
    x, y = grid
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return np.stack([x * cos - y * sin, x * sin + y * cos])


def at(field: Field, points: NDArray[np.floating]) -> Field:
    """The field's values at points (n, 2) given as x and y; beyond the border, the border's."""
    column, row = np.clip(points, 0, (field.shape[1] - 1, field.shape[0] - 1)).astype(int).T
    values: Field = field[row, column]
    return values


def noise(rng: Rng, width: int, height: int, cells: float, octaves: int = 4) -> Field:
    """Smooth noise (height, width) in 0..1: random lattices of `cells` across the width, each next twice as fine."""
    total: Field = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        pitch = width / (cells * 2**octave)
        lattice = rng.random((int(height / pitch) + 3, int(width / pitch) + 3), dtype=np.float32)
        total += np.asarray(Image.fromarray(lattice).resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    total -= total.min()
    total /= total.max()
    return total


def ramp(colors: list[Color], place: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The colour at `place` (0..1, any shape) on the ramp through `colors`: (..., 3)."""
    stops = np.linspace(0, 255, len(colors))
    table = np.stack([np.interp(np.arange(256), stops, channel) for channel in zip(*colors, strict=True)], axis=-1)
    return table.astype(np.uint8)[(place * 255).astype(np.uint8)]


def ink(colors: list[Color], place: float) -> Color:
    """One colour of the ramp; a place beyond an end is that end."""
    red, green, blue = ramp(colors, np.clip([place], 0, 1))[0].tolist()
    return red, green, blue


def mix(one: Color, other: Color, share: float) -> Color:
    """A colour between two; a share of 0 is the first."""
    return ink([one, other], share)


def shade(color: Color, factor: float) -> Color:
    """A colour made darker, or lighter by a factor over 1."""
    red, green, blue = (min(255, max(0, round(channel * factor))) for channel in color)
    return red, green, blue


def picture(colors: NDArray[np.number]) -> Image.Image:
    """Colours (height, width, 3) as a picture."""
    return Image.fromarray(np.clip(colors, 0, 255).astype(np.uint8))


class Plant(NamedTuple):
    """What a turtle has drawn."""

    segments: list[tuple[float, float, float, float]]  # x, y, x, y
    tips: list[tuple[float, float]]


def turtle(rng: Rng, word: str, turn: float) -> Plant:
    """Walk an L-system's word, upwards from the origin, no two turns quite alike."""
    x, y, heading = 0.0, 0.0, math.pi / 2 + rng.normal(0, 0.06)
    segments, tips = [], []
    stack: list[tuple[float, float, float]] = []
    for letter, factor in zip(word, rng.normal(1, 0.25, len(word)).tolist(), strict=True):
        match letter:
            case "F":
                ahead = x + math.cos(heading), y + math.sin(heading)
                segments.append((x, y, *ahead))
                x, y = ahead
            case "+":
                heading += turn * factor
            case "-":
                heading -= turn * factor
            case "[":
                stack.append((x, y, heading))
            case "]":
                tips.append((x, y))
                x, y, heading = stack.pop()
    return Plant(segments, tips)
