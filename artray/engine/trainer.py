"""What every trainer shares: one global batch, dealt out to all replicas.

Keras 3's `fit` does not run on several workers (ray issue 47464, keras issue 20585), so the step is our own, on the
strategy that fits the workers which Ray Train started and the GPUs of each: that of one network in `supervised`, that
of two in `adversarial`.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from artray.engine import feed
from artray.engine.views import Views

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

T = TypeVar("T")
U = TypeVar("U")

SIDE = 64
"""Taken for the side of pictures, by networks that take any: how many batches go to TensorFlow together."""

# What goes to TensorFlow at a time, and how many calls are fetched ahead. Beyond a CPU's cache nothing is gained; a
# GPU's memory is its own, and the next calls should lie there before it asks for them (the size is not measured).
_CALL_BYTES, _DEPTH = 4 << 20, 2
_GPU_CALL_BYTES, _GPU_DEPTH = 32 << 20, 3


class Trainer(ABC):
    """What every trainer shares: a strategy, everybody's share of a global batch, and a state by stable names.

    Promised: each example of a global batch is seen by exactly one replica, and gradients are sums over replicas, so an
    update equals the one a single process would make of the same batch, up to floating point (and dropout's random
    numbers). Every worker must make the same calls in the same order.

    Args:
        strategy: Default: the one that fits the environment (`TF_CONFIG`) and the GPUs.
        views: Makes other views of the examples, if any are wanted: on the GPU where there is one, else beforehand.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None, views: Views | None = None):
        workers, worker = _worker()
        self.strategy = strategy or _strategy(workers)
        self.count = int(self.strategy.num_replicas_in_sync)
        self._here = self.count // workers
        self._first = worker * self._here
        self.on_gpu = bool(tf.config.list_logical_devices("GPU"))
        self._views, self._view_on_device = views, self.on_gpu

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
        """Which batches go to TensorFlow together; `row_bytes` is what one example needs."""
        share = -(-len(batches[0]) // max(1, self.count // self._here))
        return feed.calls(batches, share * row_bytes, _GPU_CALL_BYTES if self.on_gpu else _CALL_BYTES)

    def feed(
        self, fetch: Callable[[slice], T], send: Callable[[T], U], calls: Sequence[slice]
    ) -> Iterator[tuple[U, float]]:
        """What `send` makes of what `fetch` gives for each call, and for how many seconds it had to be waited for.

        Both are called in threads, for the next calls while one is worked on; what `send` gives should be on its
        device.
        """
        return feed.ahead(fetch, send, calls, _GPU_DEPTH if self.on_gpu else _DEPTH)

    def shares(self, values: Array, examples: int) -> list[Array]:
        """Each local replica's part of a value of the `share` of some batches of equal size.

        Args:
            values: (batches · share, …).
            examples: Of each of the global batches.

        Returns:
            (batches, a replica's examples, …) for each replica; views.
        """
        bounds = self.bounds(examples)
        share = int(bounds[-1, -1])
        batches = values.reshape(len(values) // share, share, *values.shape[1:])
        return [batches[:, begin:end] for begin, end in bounds]

    def put(self, values: Sequence[Any]) -> Any:
        """A value for each local replica, each sent to its device and to no other, as `strategy.run` takes them.

        Args:
            values: Arrays, or tuples of arrays, one for each replica here.
        """

        def sent(replica: int, device: str) -> Any:
            with tf.device(device):
                return tf.nest.map_structure(tf.constant, values[replica])

        if self.count == 1:
            return sent(0, "GPU:0" if self.on_gpu else "CPU:0")
        devices = self.strategy.extended.worker_devices

        def of_replica(context: Any) -> Any:
            replica = context.replica_id_in_sync_group - self._first
            return sent(replica, devices[replica])

        return self.strategy.experimental_distribute_values_from_function(of_replica)

    def put_here(self, values: Any) -> Any:
        """Arrays that steer a step, the same for all replicas, as tensors in this machine's memory."""
        with tf.device("CPU:0"):
            return tf.nest.map_structure(tf.constant, values)

    def view_here(
        self, x: Array, examples: Indices, draw: Callable[[Indices], Array] | None
    ) -> tuple[Array, npt.NDArray[np.float32]]:
        """Inputs as they go to the device, and the numbers by which `view` changes them there, (n, 0) if it does not.

        Args:
            x: (n, …) inputs of these examples.
            examples: (n,).
            draw: Gives the numbers; None where nothing is to be changed.
        """
        nothing = np.zeros((len(x), 0), np.float32)
        if draw is None or self._views is None:
            return x, nothing
        numbers = draw(examples)
        return (x, numbers) if self._view_on_device else (self._views.on_host(x, numbers), nothing)

    def view(self, x: Any, numbers: Any) -> Any:
        """Tensors that `view_here` gave, on the device: inputs as the network sees them."""
        if numbers.shape[-1] == 0 or self._views is None:
            return x
        return self._views.on_device(x, numbers)

    @abstractmethod
    def variables(self) -> dict[str, Any]:
        """All that a checkpoint must hold, by a name that is the same in every run."""

    def state(self) -> dict[str, Array]:
        """The values of `variables`."""
        return {name: variable.numpy() for name, variable in self.variables().items()}

    def load(self, state: Mapping[str, Array]) -> None:
        """Put back what `state` gave; names that are not there stay as they are."""
        for name, variable in self.variables().items():
            if name in state:
                variable.assign(state[name])


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


def numbered(groups: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Variables of several kinds by names that are the same in every run, as `Trainer.variables` gives them."""
    return {f"{kind}/{index}": variable for kind, some in groups.items() for index, variable in enumerate(some)}


def synchronize(model: keras.Model) -> bool:
    """Let every BatchNormalization of a model take its statistics from the global batch; whether there is one."""
    found = False
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = found = True
        elif hasattr(layer, "layers"):
            found |= synchronize(layer)
    return found


def _worker() -> tuple[int, int]:
    """How many workers there are, and which one this is."""
    config = json.loads(os.environ.get("TF_CONFIG") or "{}")
    return len(config.get("cluster", {}).get("worker", [])) or 1, config.get("task", {}).get("index", 0)


@cache  # trainings that share a process share it: each strategy would number its collectives anew
def _strategy(workers: int) -> tf.distribute.Strategy:
    if workers > 1:
        kinds = tf.distribute.experimental.CommunicationImplementation
        # Physical devices: logical ones can't be asked for before the workers have found each other.
        kind = kinds.NCCL if tf.config.list_physical_devices("GPU") else kinds.AUTO
        options = tf.distribute.experimental.CommunicationOptions(implementation=kind)
        return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()  # one device: nothing to mirror, and nothing to pay for it
