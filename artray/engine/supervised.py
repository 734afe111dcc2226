"""The distributed step of one network: a classifier, trained on targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from artray.engine.trainer import Array, Indices, MovingAverage, Trainer, numbered, synchronize

_FIRST_SCALE = 2.0**15
_SCALE_GROWS_AFTER = 2_000


class _Batches(NamedTuple):
    """This worker's shares of some global batches, or of one; arrays or tensors.

    Attributes:
        x: Inputs of all examples, batch after batch.
        y: Their targets.
        weights: Their weights.
        bounds: (batches, local replicas, pieces + 1) where in them each replica's pieces begin and end.
        pieces: (batches,) in how many pieces a replica computes its share.
        scale: (batches,) what an example's loss counts in a replica.
        rates: (batches,) learning rates.
    """

    x: Any
    y: Any
    weights: Any
    bounds: Any
    pieces: Any
    scale: Any
    rates: Any


class SupervisedTrainer(Trainer):
    """A classifier on every replica, trained in step.

    Args:
        build: Gives the model, from inputs to (n, classes) logits.
        optimizer: Gives the optimizer, unbuilt.
        loss: From targets and logits to a loss for each example.
        trainable: From the model to the variables that learn at some time; default: those that learn now.
        accumulate: In how many pieces a replica computes its share of a batch.
        clip_norm: The longest that the gradient of a batch may be.
        ema: Momentum of the weights' moving average; see `averaged`.
        precision: Keras' name of the computation's precision.
        strategy: As for `Trainer`.
    """

    def __init__(
        self,
        build: Callable[[], keras.Model],
        optimizer: Callable[[], keras.optimizers.Optimizer],
        loss: Callable[[Any, Any], Any],
        *,
        trainable: Callable[[keras.Model], list[Any]] | None = None,
        accumulate: int = 1,
        clip_norm: float | None = None,
        ema: float | None = None,
        precision: str = "float32",
        strategy: tf.distribute.Strategy | None = None,
    ):
        super().__init__(strategy)
        self._loss = loss
        self._accumulate = accumulate
        self._clip_norm = clip_norm
        with self.strategy.scope():
            with _precision(precision):
                self.model = build()
            if self.count > 1:
                synchronize(self.model)
            self._learning = trainable(self.model) if trainable else list(self.model.trainable_variables)
            unbuilt = optimizer()
            self._average = MovingAverage(self.strategy, self._learning, ema) if ema else None
            self._updates = tf.Variable(0, dtype=tf.int64, trainable=False)
            # Half floats end at 6e-8: gradients are computed of a larger loss, as large as it can be.
            self._scaling = precision == "mixed_float16"
            self._scale = tf.Variable(_FIRST_SCALE, trainable=False)
            self._finite_steps = tf.Variable(0, trainable=False)
        self._optimizer = self.optimizer(unbuilt, self._learning)
        self.compile()

    def compile(self) -> None:
        """To be called when other layers are trainable than before."""
        self._train = tf.function(self._steps, reduce_retracing=True)
        self._predict = tf.function(self._outputs, reduce_retracing=True)

    def train(
        self,
        take: Callable[[Indices], tuple[Array, Array, Array]],
        batches: Sequence[Indices],
        rates: Sequence[float],
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Train on global batches, one update each.

        Args:
            take: Inputs, targets (n, classes) and weights (n,) of some examples; called in a thread, for this worker's
                share only.
            batches: The examples of each global batch; the same on every worker.
            rates: The learning rate of each.

        Yields:
            The mean losses of the batches that are done since the last time, at least one.
        """
        if not len(batches):
            return
        x, y, _ = take(batches[0][:1])
        calls = self.calls(batches, x[0].nbytes + y[0].nbytes)

        def fetch(call: slice) -> _Batches:
            shares = [self.share(batch) for batch in batches[call]]
            x, y, weights = take(np.concatenate(shares))
            starts = np.cumsum([0, *map(len, shares[:-1])])
            sizes = np.array([len(batch) for batch in batches[call]])
            pieces = np.array([self.pieces(size, self._accumulate) for size in sizes])
            bounds = np.zeros((len(sizes), self._here, self._accumulate + 1), np.int64)
            for step, (size, number, start) in enumerate(zip(sizes, pieces, starts, strict=True)):
                bounds[step, :, : number + 1] = self.bounds(size, number) + start
            scale = np.array([self.weight(size) / size for size in sizes], np.float32)
            return _Batches(
                x=x,
                y=y,
                weights=weights,
                bounds=bounds,
                pieces=pieces,
                scale=scale,
                rates=np.asarray(rates[call], np.float32),
            )

        for tensors, _ in self.feed(fetch, calls):
            yield self._train(_Batches(*tensors)).numpy()

    def _steps(self, batches: _Batches) -> Any:
        number = tf.shape(batches.rates)[0]
        losses = tf.TensorArray(tf.float32, size=number)
        for step in tf.range(number):
            batch = _Batches(*batches[:3], *(values[step] for values in batches[3:]))
            losses = losses.write(step, self._step(batch))
        return losses.stack()

    def _step(self, batch: _Batches) -> Any:
        self._optimizer.learning_rate.assign(batch.rates)
        loss, gradients = self.strategy.run(self._gradients, args=(batch,))
        if self._scaling:
            finite = self.strategy.experimental_local_results(self.strategy.run(_finite, args=(gradients,)))[0]
            tf.cond(finite, lambda: self._update(gradients), lambda: None)
            self._rescale(finite)
        else:
            self._update(gradients)
        return self.strategy.experimental_local_results(loss)[0]

    def _gradients(self, batch: _Batches) -> tuple[Any, list[Any]]:
        """The loss of the whole batch and its gradient, in a replica: the same in all of them."""
        x, y, weights, bounds, pieces, scale, _ = batch
        variables = self.model.trainable_variables
        cuts = bounds[self.replica()]

        def piece(number: Any) -> tuple[Any, ...]:
            with tf.device("CPU:0"):  # cut there, so that no GPU is sent another's share
                rows = slice(cuts[number], cuts[number + 1])
                inputs, targets, weight = x[rows], y[rows], weights[rows]
            with tf.GradientTape() as tape:
                logits = self.model(inputs, training=True)
                loss = tf.reduce_sum(self._loss(targets, logits) * weight) * scale
                # A penalty on the weights is the same in every replica and piece, and their sum is what is minimised.
                penalty = sum(self.model.losses) / tf.cast(self.count * pieces, tf.float32)
                whole = (loss + penalty) * (self._scale if self._scaling else 1.0)
            gradients = tape.gradient(whole, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return loss, *gradients

        if self._accumulate == 1:
            sums = piece(0)
        else:
            none = (tf.constant(0.0), *(tf.zeros(variable.shape, variable.dtype) for variable in variables))
            _, sums = tf.while_loop(
                lambda number, _: number < pieces,
                lambda number, sums: (
                    number + 1,
                    tuple(a + b for a, b in zip(sums, piece(number), strict=True)),
                ),
                (tf.zeros_like(pieces), none),
                parallel_iterations=1,  # one piece at a time in memory is what pieces are for
            )
        loss, *gradients = self.total(sums)
        if self._scaling:
            gradients = [gradient / self._scale for gradient in gradients]
        return loss, gradients

    def _update(self, gradients: Any) -> None:
        self.strategy.run(self._apply, args=(gradients,))
        self._updates.assign_add(1)
        if self._average is not None:
            self._average.update(self._updates)

    def _apply(self, gradients: list[Any]) -> None:
        if self._clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        self._optimizer.apply(gradients, self.model.trainable_variables)

    def _rescale(self, finite: Any) -> None:
        """Half the scale after an overflow, twice after long without one."""
        steps = tf.where(finite, self._finite_steps + 1, 0)
        grow = steps >= _SCALE_GROWS_AFTER
        factor = tf.where(finite, tf.where(grow, 2.0, 1.0), 0.5)
        self._scale.assign(tf.maximum(self._scale * factor, 1.0))
        self._finite_steps.assign(tf.where(grow, 0, steps))

    def predict(self, take: Callable[[Indices], Array], indices: Indices, batch: int) -> Array:
        """The model's logits for some examples, in their order, computed by all replicas together."""
        share = -(-min(batch, max(len(indices), 1)) // self.count)
        outputs = []
        for start in range(0, len(indices), share * self.count):
            wanted = indices[start : start + share * self.count]
            filled = np.resize(wanted, share * self.count)  # every replica gives equally many rows
            logits = self._predict(tf.constant(take(self.share(filled))), tf.constant(self.bounds(len(filled))))
            outputs.append(self.gathered(logits)[: len(wanted)])
        return np.concatenate(outputs)

    def _outputs(self, x: Any, bounds: Any) -> Any:
        def outputs(x: Any, bounds: Any) -> Any:
            begin, end = tf.unstack(bounds[self.replica()])
            return tf.cast(self.model(x[begin:end], training=False), tf.float32)

        return self.strategy.run(outputs, args=(x, bounds))

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The weights' moving average in the place of the weights; with no `ema`, the weights themselves."""
        if self._average is None:
            yield
            return
        with self._average.in_place():
            yield

    def variables(self) -> dict[str, Any]:
        """Model, optimizer, averages and counters."""
        groups = {
            "model": self.model.variables,
            "optimizer": self._optimizer.variables,
            "average": self._average.values if self._average is not None else [],
            "step": [self._updates, self._scale, self._finite_steps],
        }
        return numbered(groups)


def _finite(gradients: list[Any]) -> Any:
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])


@contextmanager
def _precision(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
