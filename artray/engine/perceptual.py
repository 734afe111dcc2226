"""The distributed step of a network that is judged by another one's maps: no targets, but the losses themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from artray.engine.arithmetic import Compile, Precision
from artray.engine.supervised import SupervisedTrainer
from artray.engine.views import Views


class PerceptualTrainer(SupervisedTrainer):
    """A network within a model that gives its losses, trained in step.

    Args:
        build: Gives the model, from pictures and what is asked of each (in the place of a classifier's targets) to
            losses (n, terms); all of it but the network is frozen.
        optimizer: Gives the optimizer, unbuilt.
        row_bytes: Of a picture.
        clip_norm: As for `SupervisedTrainer`.
        precision: Likewise.
        compile: Likewise.
        views: Likewise.
        strategy: Likewise.
    """

    def __init__(
        self,
        build: Callable[[], keras.Model],
        optimizer: Callable[[], keras.optimizers.Optimizer],
        *,
        row_bytes: int,
        clip_norm: float | None = None,
        precision: Precision = "float32",
        compile: Compile = "auto",
        views: Views | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ):
        super().__init__(
            build, optimizer, _sum, clip_norm=clip_norm, precision=precision, compile=compile, views=views,
            strategy=strategy,
        )  # fmt: skip
        self._picture_bytes = row_bytes

    def _answers(self, inputs: Any, y: Any) -> Any:
        return tf.cast(self.model([tf.cast(inputs, tf.float32), y], training=True), tf.float32)

    def _row_bytes(self) -> int:
        return self._picture_bytes


def _sum(_: Any, losses: Any) -> Any:
    return tf.reduce_sum(losses, axis=-1)
