"""The distributed step of two networks: a generator and a discriminator, trained against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from artray.engine.trainer import Array, Indices, MovingAverage, Trainer, numbered, synchronize
from artray.models.gans.augment import NUMBERS, diff_augment
from artray.models.gans.losses import LOSSES, around, between, convergence, next_balance, reconstruction, unit_slope

METRICS = (
    "discriminator_loss",
    "real_score",
    "fake_score",
    "discriminator_gradient",
    "generator_loss",
    "generator_gradient",
)
"""What a step tells, in this order. Scores are means, of probabilities where the loss has them, and for an autoencoder
of reconstruction errors; gradients are norms. The generator's are NaN in steps in which it does not learn."""

_SLOPE, _AUGMENT = range(2)


class AdversarialTrainer(Trainer):
    """A generator and a discriminator on every replica, trained in step.

    A step is one global batch: one update of the discriminator, and in every `discriminator_steps`-th step
    `generator_steps` updates of the generator, against the discriminator as it is then. Pictures are generated once for
    both. Real and generated examples go through the discriminator one after the other, so that its batch
    normalisations don't mix them.

    Latents and other random numbers follow from the step and an example's place in the global batch, so the number of
    replicas changes nothing but floating point.

    Args:
        generator: Gives the generator: from latents, and labels where the discriminator takes them, to examples.
        discriminator: Gives the discriminator: from examples, and labels, to (n, 1) scores.
        optimizers: Give the two optimizers, unbuilt.
        latents: From a step and a number to so many latents.
        loss: One of `models.gans.losses.LOSSES`.
        constants: The loss's: `label_smoothing`, `clip`, `penalty`, `noise`, `balance`, `gain`.
        changes: Of examples before the discriminator sees them; see `models.gans.augment`.
        discriminator_steps: Steps to one in which the generator learns too.
        generator_steps: Its updates in that step.
        ema: Momentum of the generator's moving average.
        seed: Of random numbers other than latents.
        unit: How much of the examples' scale is 1 of the generator's; 127.5 for RGB.
        strategy: As for `Trainer`.
    """

    def __init__(
        self,
        generator: Callable[[], keras.Model],
        discriminator: Callable[[], keras.Model],
        optimizers: Sequence[Callable[[], keras.optimizers.Optimizer]],
        latents: Callable[[int, int], npt.NDArray[np.float32]],
        *,
        loss: str = "ns",
        constants: Mapping[str, float] | None = None,
        changes: Sequence[str] = (),
        discriminator_steps: int = 1,
        generator_steps: int = 1,
        ema: float | None = None,
        seed: int = 0,
        unit: float = 127.5,
        strategy: tf.distribute.Strategy | None = None,
    ):
        super().__init__(strategy)
        self._loss = LOSSES[loss]
        self._constants = {"label_smoothing": 0.0, "clip": 0.01, "penalty": 10.0, "noise": 0.5, "balance": 0.5}
        self._constants |= {"gain": 0.001, **(constants or {})}
        self._latents, self._changes, self._seed, self._unit = latents, tuple(changes), seed, unit
        self._every, self._updates_a_step = discriminator_steps, generator_steps
        with self.strategy.scope():
            self.generator, self.discriminator = generator(), discriminator()
            if self.count > 1:
                synchronize(self.generator)
                synchronize(self.discriminator)
            unbuilt = [optimizer() for optimizer in optimizers]
            self._average = MovingAverage(self.strategy, self.generator.weights, ema) if ema else None
            self._updates = tf.Variable(0, dtype=tf.int64, trainable=False)  # of the generator
            self._balance = tf.Variable(0.0, trainable=False)  # k_t
        self._generator_optimizer = self.optimizer(unbuilt[0], self.generator.trainable_variables)
        self._discriminator_optimizer = self.optimizer(unbuilt[1], self.discriminator.trainable_variables)
        self._labelled = isinstance(self.generator.input, list)
        self._train = tf.function(self._steps, reduce_retracing=True)

    @property
    def balance(self) -> float:
        """BEGAN's k_t."""
        return float(self._balance.numpy())

    def convergence(self, real: float, fake: float) -> float:
        """BEGAN's measure M of mean scores."""
        return float(convergence(real, fake, self._constants["balance"]))

    def generator_weights(self) -> list[Array]:
        """The generator's weights, or their moving average where there is one, in the order of `model.weights`."""
        values = self._average.values if self._average is not None else self.generator.weights
        return [value.numpy() for value in values]

    def discriminator_weights(self) -> list[Array]:
        """The discriminator's weights, in the order of `model.weights`."""
        return [value.numpy() for value in self.discriminator.weights]

    def train(
        self,
        take: Callable[[Indices], tuple[Array, Array]],
        batches: Sequence[Indices],
        first: int,
        rates: Sequence[tuple[float, float]],
    ) -> Iterator[tuple[npt.NDArray[np.float32], float]]:
        """Train on global batches, a step each.

        Args:
            take: Some real examples and their labels (n, classes), with no columns where there are none; called in a
                thread, for this worker's share only.
            batches: The examples of each global batch, as many as there are replicas at least; the same on every
                worker.
            first: The number of the first step, from 0 at the beginning of the run.
            rates: The generator's and the discriminator's learning rate in each step.

        Yields:
            `METRICS` of the steps that are done since the last time, (steps, 6), and the seconds for which examples had
            to be waited for.
        """
        if not len(batches):
            return
        x, _ = take(batches[0][:1])
        calls = self.calls(batches, x[0].nbytes)

        def fetch(call: slice) -> tuple[Array, ...]:
            sizes = [len(batch) for batch in batches[call]]
            shares = [self.share(batch) for batch in batches[call]]
            x, y = take(np.concatenate(shares))
            steps = range(first + call.start, first + call.stop)
            latents = [
                self._latents(step, size * self._updates_a_step).reshape(size, self._updates_a_step, -1)[
                    self.share(np.arange(size))
                ]
                for step, size in zip(steps, sizes, strict=True)
            ]
            starts = np.cumsum([0, *map(len, shares[:-1])])
            numbers = np.stack([steps, sizes, starts], axis=1).astype(np.int64)
            return x, np.asarray(y, np.float32), np.concatenate(latents), numbers, np.asarray(rates[call], np.float32)

        for tensors, waited in self.feed(fetch, calls):
            yield self._train(*tensors).numpy(), waited

    def _steps(self, x: Any, y: Any, latents: Any, numbers: Any, rates: Any) -> Any:
        metrics = tf.TensorArray(tf.float32, size=tf.shape(rates)[0], element_shape=[len(METRICS)])
        for step in tf.range(tf.shape(rates)[0]):
            self._generator_optimizer.learning_rate.assign(rates[step, 0])
            self._discriminator_optimizer.learning_rate.assign(rates[step, 1])
            metrics = metrics.write(step, self._step(x, y, latents, numbers[step]))
        return metrics.stack()

    def _step(self, x: Any, y: Any, latents: Any, numbers: Any) -> Any:
        batch = x, y, latents, numbers
        if self._every == 1:
            metrics = self._both(batch)
        else:
            metrics = tf.cond((numbers[0] + 1) % self._every == 0, lambda: self._both(batch), lambda: self._one(batch))
        if self._loss.discriminator is None:
            constants = self._constants
            self._balance.assign(
                next_balance(self._balance, metrics[1], metrics[2], constants["balance"], constants["gain"])
            )
        return metrics

    def _both(self, batch: tuple[Any, ...]) -> Any:
        metrics = self.strategy.run(self._play, args=batch)
        self._updates.assign_add(self._updates_a_step)
        if self._average is not None:
            self._average.update(self._updates)
        return self.strategy.experimental_local_results(metrics)[0]

    def _one(self, batch: tuple[Any, ...]) -> Any:
        metrics = self.strategy.run(self._discriminate, args=batch)
        return self.strategy.experimental_local_results(metrics)[0]

    def _share(self, x: Any, y: Any, latents: Any, numbers: Any) -> tuple[Any, ...]:
        """This replica's examples, labels and latents, its rows in the global batch, and what an example counts."""
        step, size, start = tf.unstack(numbers)
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64)
        begin, end = replica * size // self.count, (replica + 1) * size // self.count
        here = start - self._first * size // self.count
        with tf.device("CPU:0"):  # cut there, so that no GPU is sent another's share
            rows = slice(here + begin, here + end)
            real, labels, latents = x[rows], y[rows], latents[rows]
        seen = slice(begin, end)
        return tf.cast(real, tf.float32), labels, latents, (step, size, seen), 1 / tf.cast(size, tf.float32)

    def _discriminate(self, *batch: Any) -> Any:
        real, labels, latents, rows, scale = self._share(*batch)
        fake = self.generator(self._labeled(latents[:, 0], labels), training=True)
        nothing = tf.fill([2], np.float32(np.nan))
        return tf.concat([self._train_discriminator(real, fake, labels, rows, scale), nothing], 0)

    def _play(self, *batch: Any) -> Any:
        real, labels, latents, rows, scale = self._share(*batch)
        with tf.GradientTape() as tape:
            fake = self.generator(self._labeled(latents[:, 0], labels), training=True)
        metrics = self._train_discriminator(real, fake, labels, rows, scale)
        learned = self._train_generator(tape, fake, labels, rows, scale, update=0)
        for update in range(1, self._updates_a_step):
            with tf.GradientTape() as tape:
                fake = self.generator(self._labeled(latents[:, update], labels), training=True)
            learned = self._train_generator(tape, fake, labels, rows, scale, update=update)
        return tf.concat([metrics, learned], 0)

    def _train_discriminator(self, real: Any, fake: Any, labels: Any, rows: Any, scale: Any) -> Any:
        loss, constants = self._loss, self._constants
        variables = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            seen_real, seen_fake = self._changed(real, rows, 0), self._changed(fake, rows, 1)
            real_score, fake_score = self._judge(seen_real, labels), self._judge(seen_fake, labels)
            if loss.discriminator is None:
                real_score = reconstruction(seen_real, real_score, self._unit)
                fake_score = reconstruction(seen_fake, fake_score, self._unit)
                losses = real_score - self._balance * fake_score
            elif loss.smoothing:
                losses = loss.discriminator(real_score, fake_score, constants["label_smoothing"])
            else:
                losses = loss.discriminator(real_score, fake_score)
            if loss.slope is not None:
                points = self._points(seen_real, seen_fake, rows)
                losses += constants["penalty"] * unit_slope(self._slopes(points, labels), self._unit)
            # A penalty on the weights is the same in every replica.
            whole = tf.reduce_sum(losses) * scale + sum(self.discriminator.losses) / self.count
        gradients = tape.gradient(whole, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        means = [tf.reduce_sum(loss.shown(score)) * scale for score in (real_score, fake_score)]
        total, *rest = self.total([tf.reduce_sum(losses) * scale, *means, *gradients])
        self._discriminator_optimizer.apply(rest[2:], variables)
        if loss.clipped:
            tf.distribute.get_replica_context().merge_call(self._clip)
        return tf.stack([total, *rest[:2], tf.linalg.global_norm(rest[2:])])

    def _train_generator(
        self, tape: tf.GradientTape, fake: Any, labels: Any, rows: Any, scale: Any, *, update: int
    ) -> Any:
        variables = self.generator.trainable_variables
        # The gradient in two parts: first down to the examples, past the discriminator's weights, which it leaves out.
        with tf.GradientTape(watch_accessed_variables=False) as last:
            last.watch(fake)
            seen = self._changed(fake, rows, 2 + update)
            score = self._judge(seen, labels)
            if self._loss.generator is None:
                losses = reconstruction(seen, score, self._unit)
            else:
                losses = self._loss.generator(score)
            whole = tf.reduce_sum(losses) * scale
        gradients = tape.gradient(
            fake,
            variables,
            output_gradients=last.gradient(whole, fake),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        total, *gradients = self.total([whole, *gradients])
        self._generator_optimizer.apply(gradients, variables)
        return tf.stack([total, tf.linalg.global_norm(gradients)])

    def _labeled(self, values: Any, labels: Any) -> Any:
        return [values, labels] if self._labelled else values

    def _judge(self, examples: Any, labels: Any) -> Any:
        return self.discriminator(self._labeled(examples, labels), training=True)

    def _changed(self, examples: Any, rows: Any, part: int) -> Any:
        if not self._changes:
            return examples
        return diff_augment(
            examples, self._random(tf.random.stateless_uniform, rows, (NUMBERS,), _AUGMENT, part), self._changes
        )

    def _points(self, real: Any, fake: Any, rows: Any) -> Any:
        """Where the gradient penalty looks."""
        if self._loss.slope == "between":
            return between(real, fake, self._random(tf.random.stateless_uniform, rows, (), _SLOPE, 0))
        noise = self._random(tf.random.stateless_normal, rows, real.shape[1:], _SLOPE, 0)
        return around(real, noise, self._constants["noise"])

    def _slopes(self, points: Any, labels: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(points)
            scores = self._judge(points, labels)
        return tape.gradient(scores, points)

    def _random(self, draw: Callable[..., Any], rows: Any, shape: Sequence[int], purpose: int, part: int) -> Any:
        """Random numbers for this replica's rows of the global batch."""
        step, size, here = rows
        kind = purpose + 2 * part
        seed = tf.stack([tf.cast(self._seed, tf.int64), step * (2 * (2 + self._updates_a_step)) + kind])
        return draw(tf.concat([[size], tf.cast(shape, tf.int64)], 0), seed)[here]

    def _clip(self, strategy: tf.distribute.Strategy) -> None:
        most = self._constants["clip"]
        for variable in self.discriminator.trainable_variables:
            strategy.extended.update(
                variable.value, lambda value: value.assign(tf.clip_by_value(value, -most, most)), group=False
            )

    def variables(self) -> dict[str, Any]:
        """Both networks, both optimizers, the average and the counters."""
        groups = {
            "generator": self.generator.variables,
            "discriminator": self.discriminator.variables,
            "generator_optimizer": self._generator_optimizer.variables,
            "discriminator_optimizer": self._discriminator_optimizer.variables,
            "average": self._average.values if self._average is not None else [],
            "step": [self._updates, self._balance],
        }
        return numbered(groups)
