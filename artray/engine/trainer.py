"""The distributed step: one global batch, shared by all replicas.

This module and `adversarial`, the step of two networks, are the only ones that import TensorFlow. Keras 3's `fit` does
not run on several workers (ray issue 47464, keras issue 20585), so the step is our own, on the strategy that fits the
workers which Ray Train started and the GPUs of each.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from artray.storage import Location

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

_CALL_BYTES = 4 << 20
_CALL_STEPS = 32
_FIRST_SCALE = 2.0**15
_SCALE_GROWS_AFTER = 2_000


class Trainer:
    """What every trainer shares: a strategy, everybody's share of a global batch, and a state by stable names.

    Promised: each example of a global batch is seen by exactly one replica, and gradients are sums over replicas, so an
    update equals the one a single process would make of the same batch, up to floating point (and dropout's random
    numbers). Every worker must make the same calls in the same order.

    Args:
        strategy: Default: the one that fits the environment (`TF_CONFIG`) and the GPUs.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None):
        workers, worker = _place()
        self.strategy = strategy or _strategy(workers)
        self.count = int(self.strategy.num_replicas_in_sync)
        self._here = self.count // workers
        self._first = worker * self._here

    def optimizer(self, optimizer: keras.optimizers.Optimizer, variables: Sequence[Any]) -> keras.optimizers.Optimizer:
        """Build an optimizer for variables; it is to be given gradients that `total` has summed."""
        with self.strategy.scope():
            optimizer.build(variables)
        # Keras sums gradients over replicas after clipping them, which would make the result depend on the number of
        # replicas. `total` does it before.
        if not hasattr(optimizer, "_all_reduce_sum_gradients"):
            raise RuntimeError(f"Keras {keras.__version__} sums gradients elsewhere: artray's step must follow")
        optimizer._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables
        return optimizer

    def total(self, values: Sequence[Any]) -> list[Any]:
        """Sums over all replicas; to be called in a replica."""
        if self.count == 1:
            return list(values)
        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(values))
        return list(summed)

    def replica(self) -> Any:
        """The number of a replica among this worker's; to be called in a replica."""
        return tf.distribute.get_replica_context().replica_id_in_sync_group - self._first

    def share(self, indices: Indices) -> Indices:
        """The examples of a global batch that this worker's replicas see.

        Shares differ by one example at most, and none is empty: some kernels can't compute nothing. Of a batch that
        has fewer examples than there are replicas, every replica sees all: see `weight`.
        """
        if len(indices) < self.count:
            return np.tile(indices, self._here)
        cuts = self._cuts(len(indices))
        return indices[cuts[0] : cuts[-1]]

    def weight(self, examples: int) -> float:
        """What an example counts in a replica, so that it counts once in all of them."""
        return 1.0 if examples >= self.count else 1 / self.count

    def bounds(self, examples: int, pieces: int = 1) -> Indices:
        """Where each replica's pieces begin and end in the `share` of a batch, (local replicas, pieces + 1)."""
        cuts = np.arange(self._here + 1) * examples if examples < self.count else self._cuts(examples)
        shares = np.diff(cuts)[:, None]
        return np.asarray(cuts[:-1, None] - cuts[0] + np.arange(pieces + 1) * shares // pieces)

    def pieces(self, examples: int, most: int) -> int:
        """In how many pieces each replica can compute its share of a batch, none of them empty."""
        return max(1, min(most, examples // self.count))

    def _cuts(self, examples: int) -> Indices:
        replicas = np.arange(self._first, self._first + self._here + 1)
        return replicas * examples // self.count

    def gathered(self, values: Any) -> Array:
        """The rows that all replicas computed, in their order; equally many of each."""
        if self.count == 1:
            return np.asarray(values)
        return np.asarray(self.strategy.gather(values, axis=0))

    def calls(self, batches: Sequence[Indices], row_bytes: int) -> list[slice]:
        """Which batches go to TensorFlow together.

        Small ones go several at a time: what a step costs beside its arithmetic is paid once for all of them.

        Args:
            batches: The examples of each global batch.
            row_bytes: What one example needs.
        """
        found = []
        start = size = 0
        for number, batch in enumerate(batches):
            size += row_bytes * -(-len(batch) // max(1, self.count // self._here))
            if number - start + 1 == _CALL_STEPS or size >= _CALL_BYTES or number + 1 == len(batches):
                found.append(slice(start, number + 1))
                start, size = number + 1, 0
        return found

    def feed(
        self, fetch: Callable[[slice], tuple[Array, ...]], calls: Sequence[slice]
    ) -> Iterator[tuple[list[Any], float]]:
        """What `fetch` gives for each call, as tensors, and for how many seconds it had to be waited for.

        It is called in a thread, for the next call while one is worked on.
        """
        with ThreadPoolExecutor(1) as fetcher:
            coming = [fetcher.submit(fetch, call) for call in calls[:2]]
            for number in range(len(calls)):
                began = time.perf_counter()
                arrays = coming.pop(0).result()
                waited = time.perf_counter() - began
                coming += [fetcher.submit(fetch, later) for later in calls[number + 2 : number + 3]]
                yield [tf.constant(array) for array in arrays], waited

    def variables(self) -> dict[str, Any]:
        """All that a checkpoint must hold, by a name that is the same in every run."""
        raise NotImplementedError

    def state(self) -> dict[str, Array]:
        """The values of `variables`."""
        return {name: variable.numpy() for name, variable in self.variables().items()}

    def load(self, state: Mapping[str, Array]) -> None:
        """Put back what `state` gave; names that are not there stay as they are."""
        for name, variable in self.variables().items():
            if name in state:
                variable.assign(state[name])


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

        def fetch(call: slice) -> tuple[Array, ...]:
            shares = [self.share(batch) for batch in batches[call]]
            x, y, weights = take(np.concatenate(shares))
            starts = np.cumsum([0, *map(len, shares[:-1])])
            sizes = np.array([len(batch) for batch in batches[call]])
            pieces = np.array([self.pieces(size, self._accumulate) for size in sizes])
            bounds = np.zeros((len(sizes), self._here, self._accumulate + 1), np.int64)
            for step, (size, number, start) in enumerate(zip(sizes, pieces, starts, strict=True)):
                bounds[step, :, : number + 1] = self.bounds(size, number) + start
            scale = np.array([self.weight(size) / size for size in sizes], np.float32)
            return x, y, weights, bounds, pieces, scale, np.asarray(rates[call], np.float32)

        for tensors, _ in self.feed(fetch, calls):
            yield self._train(*tensors).numpy()

    def _steps(self, x: Any, y: Any, weights: Any, bounds: Any, pieces: Any, scale: Any, rates: Any) -> Any:
        losses = tf.TensorArray(tf.float32, size=tf.shape(rates)[0])
        for step in tf.range(tf.shape(rates)[0]):
            self._optimizer.learning_rate.assign(rates[step])
            losses = losses.write(step, self._step(x, y, weights, bounds[step], pieces[step], scale[step]))
        return losses.stack()

    def _step(self, *batch: Any) -> Any:
        loss, gradients = self.strategy.run(self._gradients, args=batch)
        if self._scaling:
            finite = self.strategy.experimental_local_results(self.strategy.run(_finite, args=(gradients,)))[0]
            tf.cond(finite, lambda: self._update(gradients), lambda: None)
            self._rescale(finite)
        else:
            self._update(gradients)
        return self.strategy.experimental_local_results(loss)[0]

    def _gradients(self, x: Any, y: Any, weights: Any, bounds: Any, pieces: Any, scale: Any) -> tuple[Any, list[Any]]:
        """The loss of the whole batch and its gradient, in a replica: the same in all of them."""
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
            part = indices[start : start + share * self.count]
            filled = np.resize(part, share * self.count)  # every replica gives equally many rows
            found = self._predict(tf.constant(take(self.share(filled))), tf.constant(self.bounds(len(filled))))
            outputs.append(self.gathered(found)[: len(part)])
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
        return {f"{group}/{index}": variable for group, found in groups.items() for index, variable in enumerate(found)}


class MovingAverage:
    """The moving average of variables; to be made in the strategy's scope.

    Args:
        strategy: Whose variables they are.
        variables: Keras variables.
        momentum: How much of an average is kept in an update.
    """

    def __init__(self, strategy: tf.distribute.Strategy, variables: Sequence[Any], momentum: float):
        self._strategy, self._variables, self._momentum = strategy, list(variables), momentum
        self.values = [tf.Variable(variable.numpy(), trainable=False) for variable in self._variables]

    def update(self, updates: Any) -> None:
        """Follow the variables after so many updates of theirs; to be called outside of replicas."""
        # A young average is nearer to the weights: else it would be made of what they were before training.
        updates = tf.cast(updates, tf.float32)
        keep = tf.minimum(self._momentum, (1 + updates) / (10 + updates))
        for average, variable in zip(self.values, self._variables, strict=True):
            self._strategy.extended.update(
                average, lambda mean, value, keep: mean.assign(keep * mean + (1 - keep) * value), (variable.value, keep)
            )

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The averages in the place of the variables."""
        values = [variable.numpy() for variable in self._variables]
        for variable, average in zip(self._variables, self.values, strict=True):
            variable.assign(average.numpy())
        try:
            yield
        finally:
            for variable, value in zip(self._variables, values, strict=True):
                variable.assign(value)


class Summaries:
    """Scalars for TensorBoard; TensorBoard itself is not needed.

    Args:
        uri: The folder or prefix to write to.
    """

    def __init__(self, uri: Location):
        self._uri = uri
        self._folder = tempfile.TemporaryDirectory()  # TensorFlow's writer knows files only
        self._writer = tf.summary.create_file_writer(self._folder.name)
        self._kind = tf.compat.v1.SummaryMetadata()
        self._kind.plugin_data.plugin_name = "scalars"

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """The values of one step."""
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step=step, metadata=self._kind)
        self._writer.flush()
        for file in Path(self._folder.name).iterdir():
            (self._uri / file.name).write_bytes(file.read_bytes())


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


def synchronize(model: keras.Model) -> None:
    """Let every BatchNormalization of a model take its statistics from the global batch."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
        elif hasattr(layer, "layers"):
            synchronize(layer)


def _place() -> tuple[int, int]:
    """How many workers there are, and which one this is."""
    config = json.loads(os.environ.get("TF_CONFIG") or "{}")
    return len(config.get("cluster", {}).get("worker", [])) or 1, config.get("task", {}).get("index", 0)


def _strategy(workers: int) -> tf.distribute.Strategy:
    if workers > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()  # one device: nothing to mirror, and nothing to pay for it


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
