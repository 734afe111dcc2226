"""Pictures changed by gradient descent until some losses of theirs are small: no network learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from artray.engine.compilation import graph
from artray.engine.trainer import Array

_MOMENTUM, _SCALE, _EPSILON = 0.9, 0.999, 1e-8
_BLUR = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]).astype(np.float32) / 256


class PictureDescent:
    """Adam on a batch of pictures, all steps in one graph.

    The pictures of a batch don't know of each other: each is what it would be alone. One graph serves all sizes.

    What is added to a picture is a smoothed field (binomial, 5 by 5). Networks that halve a picture's side by leaving
    out every second place see some patterns of single pixels much better than people do, and would fill pictures with
    them.

    Args:
        losses: From pictures (n, height, width, 3), float32 0..255, and the constants of a call to (n, terms); their
            sum is made small.
        smooth: Whether changes are smoothed.
    """

    def __init__(self, losses: Callable[[Any, Sequence[Any]], Any], *, smooth: bool = True):
        self._losses, self._smooth = losses, smooth
        self._graphs: dict[tuple[Any, ...], Any] = {}

    def __call__(self, pictures: Array, constants: Sequence[Array], *, steps: int, rate: float) -> tuple[Array, Array]:
        """Pictures after so many steps, and their losses on the way.

        Args:
            pictures: (n, height, width, 3), 0..255.
            constants: What the losses compare them with: maps (n, h, w, channels), a number a picture (n,), or others,
                the same for all.
            steps: How many.
            rate: How many grey levels a pixel moves in the first step; it falls to 0 as a cosine.

        Returns:
            float32 pictures within 0..255, and (steps + 1, n, terms): the losses before each step and after the last.
        """
        arrays = tuple(np.asarray(value, np.float32) for value in constants)
        specs = tuple(_spec(value) for value in arrays)
        descend = self._graphs.get(specs)
        if descend is None:
            signature = [tf.TensorSpec([None, None, None, 3]), specs, tf.TensorSpec([], tf.int32), tf.TensorSpec([])]
            descend = self._graphs[specs] = graph(self._descend, input_signature=signature)
        painted, history = descend(np.asarray(pictures, np.float32), arrays, np.int32(steps), np.float32(rate))
        return painted.numpy(), history.numpy()

    def _changed(self, pictures: Any, field: Any) -> Any:
        if self._smooth:
            kernel = np.tile(_BLUR[:, :, None, None], (1, 1, 3, 1))
            field = tf.nn.depthwise_conv2d(field, kernel, [1, 1, 1, 1], "SAME")
        return tf.clip_by_value(pictures + field, 0.0, 255.0)

    def _descend(self, pictures: Any, constants: tuple[Any, ...], steps: Any, rate: Any) -> tuple[Any, Any]:
        def step(number: Any, field: Any, mean: Any, square: Any, history: Any) -> tuple[Any, ...]:
            with tf.GradientTape() as tape:
                tape.watch(field)
                losses = self._losses(self._changed(pictures, field), constants)
            gradient = tape.gradient(losses, field)
            mean = _MOMENTUM * mean + (1 - _MOMENTUM) * gradient
            square = _SCALE * square + (1 - _SCALE) * tf.square(gradient)
            done = tf.cast(number, tf.float32)
            unbiased = mean / (1 - _MOMENTUM ** (done + 1))
            length = tf.sqrt(square / (1 - _SCALE ** (done + 1))) + _EPSILON
            now = rate * 0.5 * (1 + tf.cos(np.pi * done / tf.cast(steps, tf.float32)))
            return number + 1, field - now * unbiased / length, mean, square, history.write(number, losses)

        none, shape = tf.zeros_like(pictures), tf.TensorShape([None, None, None, 3])
        # One after the other: each needs the one before, and the memory of one is enough.
        _, field, _, _, history = tf.while_loop(
            lambda number, *_: number < steps,
            step,
            (tf.constant(0), none, none, none, tf.TensorArray(tf.float32, steps + 1)),
            shape_invariants=(tf.TensorShape([]), shape, shape, shape, tf.TensorShape(None)),
            parallel_iterations=1,
        )
        changed = self._changed(pictures, field)
        return changed, history.write(steps, self._losses(changed, constants)).stack()


def _spec(value: Array) -> tf.TensorSpec:
    """Maps may be of any number and size; a number for each picture of any number."""
    if value.ndim == 4:
        return tf.TensorSpec([None, None, None, value.shape[-1]])
    return tf.TensorSpec([None] if value.ndim == 1 else value.shape)
