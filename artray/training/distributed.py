"""The distributed step: one global batch, shared by all replicas; training's only module that imports TensorFlow.

Keras 3's `fit` does not run on several workers (ray issue 47464, keras issue 20585), so the step is our own:
`MultiWorkerMirroredStrategy` over the workers that Ray Train started, with all GPUs of each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

Array = npt.NDArray[Any]


class Replicas:
    """A model mirrored on every device of every worker, trained in step.

    What is promised: each example of a global batch counts once whatever the number of replicas, so the update equals
    the one a single process would make of the same batch, up to floating point (and dropout's random numbers).
    """

    def __init__(
        self,
        build: Callable[[], keras.Model],
        optimizer: Callable[[], keras.optimizers.Optimizer],
        label_smoothing: float = 0.0,
    ):
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
        self._smoothing = label_smoothing
        with self._strategy.scope():
            self.model = build()
            self.optimizer = optimizer()
            self.optimizer.build(self.model.trainable_variables)

    @property
    def count(self) -> int:
        """How many replicas share a batch."""
        return int(self._strategy.num_replicas_in_sync)

    def step(
        self, take: Callable[[npt.NDArray[np.int64]], tuple[Array, Array]], indices: npt.NDArray[np.int64]
    ) -> float:
        """Train on one global batch.

        Args:
            take: Inputs and targets (n, classes) of some examples; called for this worker's share only.
            indices: The examples of the global batch; the same on every worker.

        Returns:
            The mean loss over the batch.
        """
        # Every replica gets a share of the same size, or the all-reduce would wait for ever: the last batch of an
        # epoch is filled up with examples of weight 0.
        share = -(-len(indices) // self.count)
        filled = np.resize(indices, share * self.count)
        weights = (np.arange(len(filled)) < len(indices)).astype(np.float32)

        def values(context: Any) -> tuple[tf.Tensor, ...]:
            replica = slice(context.replica_id_in_sync_group * share, (context.replica_id_in_sync_group + 1) * share)
            x, y = take(filled[replica])
            return tf.constant(x), tf.constant(y), tf.constant(weights[replica])

        batch = self._strategy.experimental_distribute_values_from_function(values)
        return float(self._train(batch, tf.constant(weights.sum())))

    def predict(
        self, take: Callable[[npt.NDArray[np.int64]], Array], indices: npt.NDArray[np.int64], batch: int
    ) -> Array:
        """The model's output for some examples, in their order, computed by all replicas together."""
        share = -(-batch // self.count)
        outputs = []
        for start in range(0, len(indices), share * self.count):
            part = indices[start : start + share * self.count]
            filled = np.resize(part, share * self.count)

            def values(context: Any, filled: npt.NDArray[np.int64] = filled) -> tf.Tensor:
                replica = context.replica_id_in_sync_group
                return tf.constant(take(filled[replica * share : (replica + 1) * share]))

            batch_values = self._strategy.experimental_distribute_values_from_function(values)
            outputs.append(self._predict(batch_values).numpy()[: len(part)])
        return np.concatenate(outputs)

    def state(self) -> dict[str, Array]:
        """Weights and optimizer variables, by a name that is the same in every run."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def load(self, state: dict[str, Array]) -> None:
        """Put back what `state` gave; names that are not there stay as they are."""
        for name, variable in self._variables().items():
            if name in state:
                variable.assign(state[name])

    def _variables(self) -> dict[str, Any]:
        found = {f"model/{index}": variable for index, variable in enumerate(self.model.variables)}
        return found | {f"optimizer/{index}": variable for index, variable in enumerate(self.optimizer.variables)}

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def _train(self, batch: Any, total: tf.Tensor) -> tf.Tensor:
        def replica_step(x: tf.Tensor, y: tf.Tensor, weight: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                logits = self.model(x, training=True)
                losses = keras.losses.categorical_crossentropy(
                    y, logits, from_logits=True, label_smoothing=self._smoothing
                )
                data_loss = tf.reduce_sum(losses * weight) / total
                # A penalty on the weights is the same in every replica, and the sum over replicas is what is minimised.
                loss = data_loss + sum(self.model.losses) / self.count
            gradients = tape.gradient(loss, self.model.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
            return data_loss

        losses = self._strategy.run(replica_step, args=(*batch, total))
        return self._strategy.reduce(tf.distribute.ReduceOp.SUM, losses, axis=None)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def _predict(self, batch: Any) -> tf.Tensor:
        outputs = self._strategy.run(lambda x: self.model(x, training=False), args=(batch,))
        return self._strategy.gather(outputs, axis=0)
