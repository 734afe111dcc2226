"""The distributed step of one network, trained on targets: a classifier, or one from pictures to pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from artray.engine import feed
from artray.engine.arithmetic import Compile, Precision, computed_in, policy
from artray.engine.compilation import Compiled, Jit, as_it_is, one_by_one
from artray.engine.pruning import NO_CHANGE, Masks
from artray.engine.trainer import SIDE, Array, Indices, MovingAverage, Trainer, numbered, synchronize
from artray.engine.views import Views

_FIRST_SCALE = 2.0**15
_SCALE_GROWS_AFTER = 2_000


class _Shares(NamedTuple):
    """A replica's shares of some global batches of one size; arrays or tensors.

    Attributes:
        x: (batches, share, …) inputs.
        changes: (batches, share, n) numbers that say how they are to be changed, none where nothing is.
        y: (batches, share, classes) targets.
        weights: (batches, share).
    """

    x: Any
    changes: Any
    y: Any
    weights: Any


class _Steps(NamedTuple):
    """What steers the steps of these batches, the same in all replicas; arrays or tensors.

    Attributes:
        rates: (batches,) learning rates.
        scale: What an example's loss counts in a replica.
        pieces: In how many pieces a replica computes its share.
        cuts: (local replicas, pieces + 1) where they begin and end in it.
        sparsities: (batches,) for which masks are made after each, or `NO_CHANGE`.
    """

    rates: Any
    scale: Any
    pieces: Any
    cuts: Any
    sparsities: Any


class SupervisedTrainer(Trainer):
    """A network on every replica, trained in step.

    Args:
        build: Gives the model, from inputs to (n, classes) logits, or whatever else the loss compares with targets.
        optimizer: Gives the optimizer, unbuilt.
        loss: From targets and logits to a loss for each example.
        trainable: From the model to the variables that learn at some time; default: those that learn now.
        accumulate: In how many pieces a replica computes its share of a batch.
        clip_norm: The longest that the gradient of a batch may be.
        ema: Momentum of the weights' moving average; see `averaged`.
        prune: From the model and the variables that learn at some time to those that are pruned, in groups whose
            weights are compared with each other.
        precision: As `engine.arithmetic` has it.
        compile: Whether XLA compiles the step; see `engine.compilation`.
        views: As for `Trainer`.
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
        prune: Callable[[keras.Model, list[Any]], Sequence[Sequence[Any]]] | None = None,
        precision: Precision = "float32",
        compile: Compile = "auto",
        views: Views | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ):
        super().__init__(strategy, views)
        self.precision = policy(precision, compile, self.count)
        self._compile = compile
        self._loss = loss
        self._accumulate = accumulate
        self._clip_norm = clip_norm
        with self.strategy.scope():
            with computed_in(self.precision):
                self.model = build()
            self._synchronized = self.count > 1 and synchronize(self.model)
            self._learning = trainable(self.model) if trainable else list(self.model.trainable_variables)
            unbuilt = optimizer()
            self._average = MovingAverage(self.strategy, self._learning, ema) if ema else None
            self._masks = Masks(self.strategy, prune(self.model, self._learning)) if prune else None
            self._updates = tf.Variable(0, dtype=tf.int64, trainable=False)
            # Half floats end at 6e-8: gradients are computed of a larger loss, as large as it can be.
            self._scaling = self.precision == "mixed_float16"
            self._scale = tf.Variable(_FIRST_SCALE, trainable=False)
            self._finite_steps = tf.Variable(0, trainable=False)
        self._optimizer = self.optimizer(unbuilt, self._learning)
        self._largest = 0  # of all batches until now
        self.compile()

    def compile(self) -> None:
        """To be called when other layers are trainable than before."""
        self._train = Compiled(self._steps, self._compile, self.count, varying=2)  # steps, and examples
        self._predict = Compiled(self._outputs, self._compile, self.count)

    def train(
        self,
        take: Callable[[Indices], tuple[Array, Array, Array]],
        batches: Sequence[Indices],
        rates: Sequence[float],
        draw: Callable[[Indices], Array] | None = None,
        sparsities: Sequence[float | None] | None = None,
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Train on global batches, one update each.

        Args:
            take: Inputs, targets (n, …) and weights (n,) of some examples; called in a thread, for this worker's
                share only.
            batches: The examples of each global batch; the same on every worker.
            rates: The learning rate of each.
            draw: How some examples are to be changed, as `augmentation.draw` says; called as `take` is.
            sparsities: For which sparsity masks are made after each batch; None where they stay as they are.

        Yields:
            The mean losses of the batches that are done since the last time, at least one. The next ones have been
            begun by then: variables hold what these losses tell of only when all of them have come.
        """
        if not len(batches):
            return
        planned = np.full(len(batches), NO_CHANGE, np.float32)
        for step, sparsity in enumerate(sparsities or ()):
            planned[step] = NO_CHANGE if sparsity is None else sparsity

        def fetch(call: slice) -> tuple[int, list[_Shares], _Steps]:
            some, size = batches[call], len(batches[call.start])
            examples = np.concatenate([self.share(batch) for batch in some])
            x, y, weights = take(examples)
            x, changes = self.view_here(x, examples, draw)
            pieces = self.pieces(size, self._accumulate)
            cuts = np.zeros((self._here, self._accumulate + 1), np.int32)
            bounds = self.bounds(size, pieces)
            cuts[:, : pieces + 1] = bounds - bounds[:, :1]
            values = [self.shares(array, size) for array in (x, changes, y, weights)]
            shares = [_Shares(*share) for share in zip(*values, strict=True)]
            steps = _Steps(
                rates=np.asarray(rates[call], np.float32),
                scale=np.float32(self.weight(size) / size),
                pieces=np.int32(pieces),
                cuts=cuts,
                sparsities=planned[call],
            )
            return size, shares, steps

        def send(fetched: tuple[int, list[_Shares], _Steps]) -> tuple[int, _Shares, _Steps]:
            size, shares, steps = fetched
            return size, self.put(shares), self.put_here(steps)

        def losses() -> Iterator[Any]:
            for (size, shares, steps), _ in self.feed(fetch, send, self.calls(batches, self._row_bytes())):
                self._largest = max(self._largest, size)
                yield self._train(shares, steps, often=size == self._largest)

        for done in feed.behind(losses()):
            yield done.numpy()

    def _row_bytes(self) -> int:
        shape = [side or SIDE for side in self.model.input_shape[1:]]
        return int(np.prod(shape)) * (1 if len(shape) == 3 else 4)  # pictures are bytes

    def _steps(self, shares: _Shares, steps: _Steps, jit: Jit) -> Any:
        def update(batch: _Shares, step: _Steps) -> Any:
            return self._step(batch, step, as_it_is if whole else jit)

        # Sums over replicas are nothing for XLA: where there are several, it gets what each does for itself.
        whole = self.count == 1 and self._accumulate == 1
        one = jit(update) if whole else update

        def loss(step: Any) -> Any:
            batch = self.strategy.run(_batch, args=(shares, step))
            losses = one(batch, steps._replace(rates=steps.rates[step]))
            if self._masks is not None:  # beside what XLA gets
                self._masks.update(steps.sparsities[step])
            return losses

        return one_by_one(tf.shape(steps.rates)[0], loss)

    def _step(self, batch: _Shares, step: _Steps, jit: Jit) -> Any:
        self._optimizer.learning_rate.assign(step.rates)
        loss, gradients = self.strategy.run(self._gradients, args=(batch, step, jit))
        if self._scaling:
            finite = self.strategy.experimental_local_results(self.strategy.run(_finite, args=(gradients,)))[0]
            tf.cond(finite, lambda: self._update(gradients), lambda: None)
            self._rescale(finite)
        else:
            self._update(gradients)
        return self.strategy.experimental_local_results(loss)[0]

    def _gradients(self, batch: _Shares, step: _Steps, jit: Jit) -> tuple[Any, list[Any]]:
        """The loss of the whole batch and its gradient, in a replica: the same in all of them."""
        variables = self.model.trainable_variables
        jit = as_it_is if self._synchronized else jit
        piece = jit(self._piece)
        if self._accumulate == 1:
            sums = piece(*batch, step)
        else:
            none = (tf.constant(0.0), *(tf.zeros(variable.shape, variable.dtype) for variable in variables))

            def one_more(number: Any, sums: Any) -> Any:
                with tf.device("CPU:0"):  # where a slice's ends are read: a GPU would have to be waited for
                    cuts = step.cuts[self.replica()]
                    rows = slice(cuts[number], cuts[number + 1])
                loss_and_gradients = piece(*(values[rows] for values in batch), step)
                return number + 1, tuple(a + b for a, b in zip(sums, loss_and_gradients, strict=True))

            _, sums = tf.while_loop(
                lambda number, _: number < step.pieces,
                one_more,
                (tf.zeros_like(step.pieces), none),
                parallel_iterations=1,  # one piece at a time in memory is what pieces are for
            )
        loss, *gradients = self.total(sums)
        if self._scaling:
            gradients = [gradient / self._scale for gradient in gradients]
        return loss, gradients

    def _piece(self, x: Any, changes: Any, y: Any, weights: Any, step: _Steps) -> tuple[Any, ...]:
        """A piece's part in the loss and its gradient."""
        variables = self.model.trainable_variables
        inputs = self.view(x, changes)
        with tf.GradientTape() as tape:
            logits = self._answers(inputs, y)
            loss = tf.reduce_sum(self._loss(y, logits) * weights) * step.scale
            # A penalty on the weights is the same in every replica and piece, and their sum is what is minimised.
            penalty = sum(self.model.losses) / tf.cast(self.count * step.pieces, tf.float32)
            whole = (loss + penalty) * (self._scale if self._scaling else 1.0)
        gradients = tape.gradient(whole, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return loss, *gradients

    def _answers(self, inputs: Any, y: Any) -> Any:
        """What the loss is of, besides the targets."""
        return self.model(inputs, training=True)

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
        """The model's logits for some examples, in their order, computed by all replicas together.

        Args:
            take: Inputs of some examples; called in a thread, for this worker's share only.
            indices: The examples.
            batch: How many are computed at a time.
        """
        # Every replica gives equally many rows: the last batch is filled up.
        size = -(-min(batch, max(len(indices), 1)) // self.count) * self.count
        starts = range(0, len(indices), size)

        def fetch(call: slice) -> list[Array]:
            start = starts[call.start]
            x = take(self.share(np.resize(indices[start : start + size], size)))
            return [share[0] for share in self.shares(x, size)]

        def logits() -> Iterator[Any]:
            for x, _ in self.feed(fetch, self.put, [slice(number, number + 1) for number in range(len(starts))]):
                yield self._predict(x)

        gathered = [self.gathered(some) for some in feed.behind(logits())]
        return np.concatenate(gathered)[: len(indices)]

    def _outputs(self, x: Any, jit: Jit) -> Any:
        return self.strategy.run(jit(self._logits), args=(x,))

    def _logits(self, x: Any) -> Any:
        return tf.cast(self.model(x, training=False), tf.float32)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The weights' moving average in the place of the weights; with no `ema`, the weights themselves."""
        if self._average is None:
            yield
            return
        with self._average.in_place():
            if self._masks is not None:  # a mean of weights that were 0 at last is not 0
                self._masks.apply()
            yield

    def variables(self) -> dict[str, Any]:
        """Model, optimizer, averages, masks and counters."""
        groups = {
            "model": self.model.variables,
            "optimizer": self._optimizer.variables,
            "average": self._average.values if self._average is not None else [],
            "mask": self._masks.values if self._masks is not None else [],
            "step": [self._updates, self._scale, self._finite_steps],
        }
        return numbered(groups)


def _batch(shares: _Shares, step: Any) -> _Shares:
    """One of the batches, in a replica."""
    return _Shares(*(values[step] for values in shares))


def _finite(gradients: list[Any]) -> Any:
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])
