"""Perlin's improved noise in two dimensions, summed over octaves: the material of the reference textures.

Perlin, K. (2002). Improving Noise. ACM Transactions on Graphics 21(3). Permutation, gradients, lattice and float32
arithmetic are those of `pnoise2` in the Python package noise 1.2, with which the published references were drawn.
"""

import numpy as np
from numpy.typing import NDArray

# Perlin's permutation of 0..255, from his reference implementation.
# fmt: off
_PERMUTATION = np.array(
    [
        151, 160, 137, 91, 90, 15, 131, 13, 201, 95, 96, 53, 194, 233, 7, 225, 140, 36, 103, 30, 69, 142, 8, 99, 37,
        240, 21, 10, 23, 190, 6, 148, 247, 120, 234, 75, 0, 26, 197, 62, 94, 252, 219, 203, 117, 35, 11, 32, 57, 177,
        33, 88, 237, 149, 56, 87, 174, 20, 125, 136, 171, 168, 68, 175, 74, 165, 71, 134, 139, 48, 27, 166, 77, 146,
        158, 231, 83, 111, 229, 122, 60, 211, 133, 230, 220, 105, 92, 41, 55, 46, 245, 40, 244, 102, 143, 54, 65, 25,
        63, 161, 1, 216, 80, 73, 209, 76, 132, 187, 208, 89, 18, 169, 200, 196, 135, 130, 116, 188, 159, 86, 164, 100,
        109, 198, 173, 186, 3, 64, 52, 217, 226, 250, 124, 123, 5, 202, 38, 147, 118, 126, 255, 82, 85, 212, 207, 206,
        59, 227, 47, 16, 58, 17, 182, 189, 28, 42, 223, 183, 170, 213, 119, 248, 152, 2, 44, 154, 163, 70, 221, 153,
        101, 155, 167, 43, 172, 9, 129, 22, 39, 253, 19, 98, 108, 110, 79, 113, 224, 232, 178, 185, 112, 104, 218, 246,
        97, 228, 251, 34, 242, 193, 238, 210, 144, 12, 191, 179, 162, 241, 81, 51, 145, 235, 249, 14, 239, 107, 49,
        192, 214, 31, 181, 199, 106, 157, 184, 84, 204, 176, 115, 121, 50, 45, 127, 4, 150, 254, 138, 236, 205, 93,
        222, 114, 67, 29, 24, 72, 243, 141, 128, 195, 78, 66, 215, 61, 156, 180,
    ],
    dtype=np.uint8,
)
# The plane part of the sixteen edge directions; the last four repeat others to fill a power of two.
_GRADIENTS = np.array(
    [
        (1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (1, 0), (-1, 0),
        (0, 1), (0, -1), (0, 1), (0, -1), (1, 0), (-1, 0), (0, -1), (0, 1),
    ],
    dtype=np.float32,
)
# fmt: on


def perlin_noise(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    *,
    octaves: int = 1,
    persistence: float = 0.5,
    lacunarity: float = 2.0,
) -> NDArray[np.float32]:
    """Fractal Perlin noise at points that are not negative.

    Args:
        x: First coordinates, in lattice cells.
        y: Second coordinates; broadcast against `x`.
        octaves: How many layers of noise are summed, at least 1.
        persistence: Each layer's amplitude, as a multiple of the layer before.
        lacunarity: Each layer's frequency, as a multiple of the layer before.

    Returns:
        Noise between -1 and 1, 0 on the lattice of a single octave, in the broadcast shape.
    """
    x, y = np.broadcast_arrays(np.asarray(x, np.float32), np.asarray(y, np.float32))
    # Float32 throughout: after some twenty octaves the coordinates have no fraction left and the layers fall silent,
    # which a wider type would postpone, and so draw other pictures than the published ones.
    frequency = amplitude = np.float32(1)
    total = np.zeros(x.shape, np.float32)
    amplitudes = np.float32(0)
    for _ in range(octaves):
        layer_x, layer_y = x * frequency, y * frequency
        if np.any(layer_x % 1) or np.any(layer_y % 1):  # else all on the lattice: zero
            total += _noise(layer_x, layer_y) * amplitude
        amplitudes += amplitude
        frequency *= np.float32(lacunarity)
        amplitude *= np.float32(persistence)
    total /= amplitudes
    return total


def _noise(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float32]:
    """One octave."""
    cell_x, cell_y = np.floor(x), np.floor(y)
    x, y = x - cell_x, y - cell_y
    # The lattice repeats every 256 cells. np.mod keeps this exact where the cell no longer fits an integer.
    i, j = np.mod(cell_x, 256).astype(np.uint8), np.mod(cell_y, 256).astype(np.uint8)
    fade_x, fade_y = x * x * x * (x * (x * 6 - 15) + 10), y * y * y * (y * (y * 6 - 15) + 10)

    def corner(right: int, up: int) -> NDArray[np.float32]:
        # uint8 wraps at 256, as the lattice does.
        hashes = _PERMUTATION[_PERMUTATION[_PERMUTATION[i + np.uint8(right)] + j + np.uint8(up)]]
        gradient = _GRADIENTS[hashes & 15]
        value: NDArray[np.float32] = gradient[..., 0] * (x - right) + gradient[..., 1] * (y - up)
        return value

    low, high = ((left := corner(0, up)) + fade_x * (corner(1, up) - left) for up in (0, 1))
    noise: NDArray[np.float32] = low + fade_y * (high - low)
    return noise
