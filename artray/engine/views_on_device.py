"""Changed pictures on the device that trains, all of a batch at once, in keras.ops."""

from __future__ import annotations

from typing import Any, TypeAlias

from keras import ops

from artray.engine.augmentation import LUMA, Augmentation, unpacked

_Taps: TypeAlias = list[tuple[Any, Any]]
"""Pixels along an axis, and what each counts."""


def changed(images: Any, numbers: Any, how: Augmentation) -> Any:
    """Change pictures as `views_by_pillow.changed` does, to a grey level or two; moved pixels are the same.

    Args:
        images: (n, size, size, 3) RGB.
        numbers: As `augmentation.draw` draws them for these pictures.
        how: What may happen.

    Returns:
        Pictures of the same shape: whole numbers from 0 to 255 in float32, or of the same type if pixels only move.
    """
    changes = unpacked(numbers, ops.reshape)
    if how.rotate or how.crop:
        images = _resampled(images, changes.matrix, changes.shift, rotated=bool(how.rotate))
    if how.distort is not None:
        images = _distorted(ops.cast(images, "float32"), changes.color, changes.lift)
    if how.flip or how.turn:
        images = _where(changes.moves[:, 0], ops.flip(images, 2), images)
    if how.flip_vertical:
        images = _where(changes.moves[:, 1], ops.flip(images, 1), images)
    if how.turn:
        turns = ops.cast(changes.moves[:, 2], "int32")
        images = _where(turns % 2, ops.flip(ops.transpose(images, (0, 2, 1, 3)), 1), images)
        images = _where(turns // 2, ops.flip(ops.flip(images, 1), 2), images)
    return images


def _where(condition: Any, then: Any, otherwise: Any) -> Any:
    return ops.where(ops.reshape(condition > 0, (-1, 1, 1, 1)), then, otherwise)


def _resampled(images: Any, matrix: Any, shift: Any, *, rotated: bool) -> Any:
    """Cubic interpolation of four by four pixels, of the picture mirrored at its edges."""
    size = int(images.shape[1])
    centres = ops.arange(size, dtype="float32") + 0.5 - size / 2
    entry = ops.reshape(matrix, (-1, 4, 1, 1))
    move = ops.reshape(shift * size, (-1, 2, 1, 1)) + (size - 1) / 2
    if rotated:
        across, down = centres[None, None, :], centres[None, :, None]
        x = entry[:, 0] * across + entry[:, 1] * down + move[:, 0]
        y = entry[:, 2] * across + entry[:, 3] * down + move[:, 1]
        sampled = _gathered(images, _taps(x, size), _taps(y, size))
    else:
        columns = _mixing(_taps(entry[:, 0, 0] * centres + move[:, 0, 0], size), size)
        rows = _mixing(_taps(entry[:, 3, 0] * centres + move[:, 1, 0], size), size)
        lines = ops.einsum("nyr,nrxc->nyxc", rows, ops.cast(images, "float32"))
        sampled = ops.einsum("nxk,nykc->nyxc", columns, lines)
    return ops.floor(ops.clip(sampled, 0.0, 255.0))  # Pillow cuts off here what it rounds below


def _gathered(images: Any, columns: _Taps, rows: _Taps) -> Any:
    """Gathers of whole pixels from all pictures, as one long row of them."""
    count, size = ops.shape(images)[0], int(images.shape[1])
    # Not in int32: for that TensorFlow's kernels leave the GPU.
    first = ops.reshape(ops.arange(count, dtype="int64") * (size * size), (-1, 1, 1))
    pixels = ops.reshape(images, (-1, 3))
    total = 0.0
    for row, row_weight in rows:
        line = 0.0
        for column, weight in columns:
            taken = ops.take(pixels, first + ops.cast(row * size + column, "int64"), axis=0)
            line = line + ops.cast(taken, "float32") * weight[..., None]
        total = total + line * row_weight[..., None]
    return total


def _mixing(taps: _Taps, size: int) -> Any:
    """What each pixel of a result is made of along an axis that stays one: (n, size of result, size of picture)."""
    pixels = ops.arange(size, dtype="float32")
    return sum(ops.cast(ops.equal(pixel[..., None], pixels), "float32") * weight[..., None] for pixel, weight in taps)


def _taps(points: Any, size: int) -> _Taps:
    """Four pixels along an axis, as floats, and their weights, as Pillow's `transform` has them: cubic, a = -1."""
    low = ops.floor(points)
    fraction = points - low
    rest = 1 - fraction
    weights = [
        -fraction * rest * rest,
        1 - fraction * fraction * (2 - fraction),
        1 - rest * rest * (2 - rest),
        -fraction * fraction * rest,
    ]
    pixels = []
    for tap in range(-1, 3):
        pixel = low + tap
        pixel = pixel - 2 * size * ops.floor(pixel / (2 * size))
        pixels.append(ops.minimum(pixel, 2 * size - 1 - pixel))
    return list(zip(pixels, weights, strict=True))


def _distorted(images: Any, color: Any, lift: Any) -> Any:
    luma = ops.convert_to_tensor(LUMA, "float32")
    grey = ops.sum(ops.mean(images, axis=(1, 2)) * luma, axis=1)
    # One pixel is a row of three: times a matrix for each picture.
    turned = ops.einsum("nyxc,ndc->nyxd", images, color)
    return ops.round(ops.clip(turned + ops.reshape(grey * lift, (-1, 1, 1, 1)), 0.0, 255.0))
