"""Latents changed by gradient descent until what is made of them is as wanted: no network learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from artray.engine.compilation import graph
from artray.engine.trainer import Array


def descend(
    losses: Callable[[Any], Any], latents: Array, *, steps: int, rate: float, kept: Callable[[Any], Any]
) -> tuple[Array, Array]:
    """Adam on each of some latents.

    Args:
        losses: From latents (n, size) to a loss of each, (n,).
        latents: Where to begin.
        steps: How many.
        rate: By how much a number changes in the first step; it falls to 0 as a cosine.
        kept: Brings latents back to where latents lie, after each step.

    Returns:
        Of each the latents with the smallest loss on the way, and that loss.
    """
    optimizer = keras.optimizers.Adam(rate, beta_1=0.9, beta_2=0.99)
    variable = keras.Variable(np.asarray(latents, np.float32))
    optimizer.build([variable])

    def step() -> Any:
        with tf.GradientTape() as tape:
            losses_now = losses(variable.value)
            total = tf.reduce_sum(losses_now)
        before = tf.identity(variable.value)
        optimizer.apply([tape.gradient(total, variable.value)], [variable])
        variable.assign(kept(variable.value))
        return losses_now, before

    stepped = graph(step)
    best, least = np.array(latents, np.float32), np.full(len(latents), np.inf, np.float32)
    for number in range(steps + 1):  # the last one only looks
        optimizer.learning_rate = rate * 0.5 * (1 + np.cos(np.pi * number / max(steps, 1)))
        now, before = (value.numpy() for value in stepped())
        better = now < least
        best[better], least[better] = before[better], now[better]
    return best, least
