"""What every trainer shares: one global batch, dealt out to all replicas.

Keras 3's `fit` does not run on several workers (ray issue 47464, keras issue 20585), so the step is our own, on the
strategy that fits the workers which Ray Train started and the GPUs of each: that of one network in `supervised`, that
of two in `adversarial`.
"""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

_CALL_BYTES = 4 << 20
_CALL_STEPS = 32


class Trainer(ABC):
    """What every trainer shares: a strategy, everybody's share of a global batch, and a state by stable names.

    Promised: each example of a global batch is seen by exactly one replica, and gradients are sums over replicas, so an
    update equals the one a single process would make of the same batch, up to floating point (and dropout's random
    numbers). Every worker must make the same calls in the same order.

    Args:
        strategy: Default: the one that fits the environment (`TF_CONFIG`) and the GPUs.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None):
        workers, worker = _worker()
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
        calls = []
        start = size = 0
        for number, batch in enumerate(batches):
            size += row_bytes * -(-len(batch) // max(1, self.count // self._here))
            if number - start + 1 == _CALL_STEPS or size >= _CALL_BYTES or number + 1 == len(batches):
                calls.append(slice(start, number + 1))
                start, size = number + 1, 0
        return calls

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


def synchronize(model: keras.Model) -> None:
    """Let every BatchNormalization of a model take its statistics from the global batch."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True
        elif hasattr(layer, "layers"):
            synchronize(layer)


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
