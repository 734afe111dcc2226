"""ICC profiles written byte by byte (ICC.1:2001-04), so that tests need none from elsewhere.

The colorants are the published D50 values (Lindbloom; Apple for Display P3); what a profile means is computed in
`srgb_of` by the plain formula, apart from LittleCMS.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

# name: (columns: XYZ of red, green, blue at D50; to linear light)
RGB_SPACES: dict[str, tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]] = {}
_SRGB = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])


def srgb_to_linear(v: np.ndarray) -> np.ndarray:
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(v: np.ndarray) -> np.ndarray:
    v = v.clip(0, 1)
    return np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)


RGB_SPACES["sRGB"] = (_SRGB, srgb_to_linear)
RGB_SPACES["Adobe RGB"] = (
    np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]),
    lambda v: v ** (563 / 256),
)
RGB_SPACES["ProPhoto"] = (
    np.array([[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0.0, 0.0, 0.82521]]),
    lambda v: v**1.8,
)
RGB_SPACES["Display P3"] = (
    np.array([[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]),
    srgb_to_linear,
)


def srgb_of(space: str, rgb: np.ndarray) -> np.ndarray:
    """What uint8 colours of a space are in sRGB, by the formula; float 0..255."""
    matrix, linear = RGB_SPACES[space]
    return linear_to_srgb(linear(rgb / 255) @ matrix.T @ np.linalg.inv(_SRGB).T) * 255


def rgb_profile(space: str) -> bytes:
    matrix, linear = RGB_SPACES[space]
    tags = {name: _xyz(matrix[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _curve(linear)))


def gray_profile(gamma: float) -> bytes:
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": _curve(lambda v: v**gamma)})


def cmyk_to_rgb(cmyk: np.ndarray) -> np.ndarray:
    """Inks 0..1 to sRGB 0..1 of the made-up press of `cmyk_profile`: much darker than Pillow's plain formula."""
    return ((1 - cmyk[..., :3]) * (1 - cmyk[..., 3:])) ** 2


def cmyk_profile() -> bytes:
    grid = 11
    inks = np.stack(np.meshgrid(*[np.linspace(0, 1, grid)] * 4, indexing="ij"), axis=-1)
    f = np.cbrt(srgb_to_linear(cmyk_to_rgb(inks)) @ _SRGB.T / _D50)
    xyz = f**3
    f = np.where(xyz > 216 / 24389, f, (24389 / 27 * xyz + 16) / 116)
    lab = np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]) + 128, 200 * (f[..., 1] - f[..., 2]) + 128], axis=-1
    )
    lab[..., 0] *= 2.55
    ramp = bytes(range(256))
    identity = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    table = lab.round().clip(0, 255).astype(np.uint8).tobytes()
    lut = b"mft1\0\0\0\0" + bytes((4, 3, grid, 0)) + identity + ramp * 4 + table + ramp * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut})


def _xyz(value: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(v) * 65536) for v in value))


def _curve(linear: Callable[[np.ndarray], np.ndarray], points: int = 1024) -> bytes:
    values = (linear(np.linspace(0, 1, points)) * 65535).round().astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", points) + values.tobytes()


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    description = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {b"desc": description, b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(_D50), **tags}
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"test", 0x02100000, kind, space, connection)
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + _xyz(_D50)[8:]
    return header.ljust(128, b"\0") + table + body
