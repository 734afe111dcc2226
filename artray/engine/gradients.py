"""Gradients outside of training, for explanations of what a model saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from artray.engine.trainer import Array


def gradients(function: Callable[[Any], tuple[Any, Any]], inputs: Array) -> tuple[Array, Array]:
    """A function's first result, and the gradient of its second result's sum with respect to the first.

    Args:
        function: From inputs, as a float tensor, to two tensors, of which the second depends on the first.
        inputs: An array.
    """
    x = tf.cast(tf.constant(inputs), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        values, target = function(x)
    slopes = tape.gradient(target, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return np.asarray(values), np.asarray(slopes)
