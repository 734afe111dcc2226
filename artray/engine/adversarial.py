"""The distributed step of two networks: a generator and a discriminator, trained against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from artray.engine import feed
from artray.engine.arithmetic import Compile, Precision, computed_in, policy
from artray.engine.compilation import Compiled, Jit, as_it_is
from artray.engine.trainer import SIDE, Array, Indices, MovingAverage, Trainer, numbered, synchronize
from artray.engine.views import Views
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


class _Shares(NamedTuple):
    """A replica's shares of some global batches of one size; arrays or tensors.

    Attributes:
        x: (batches, share, …) real examples.
        changes: (batches, share, n) numbers that say how they are to be changed, none where nothing is.
        y: (batches, share, classes) their labels.
        latents: (batches, share, updates, latent size).
    """

    x: Any
    changes: Any
    y: Any
    latents: Any


class _Steps(NamedTuple):
    """What steers the steps of these batches, the same in all replicas; arrays or tensors.

    Attributes:
        rates: (batches, 2) the generator's and the discriminator's learning rate.
        first: The first step's number.
        size: Examples in a global batch.
    """

    rates: Any
    first: Any
    size: Any


class _Chance(NamedTuple):
    """A replica's random numbers of a step.

    Attributes:
        augment: (share, NUMBERS) for each time that examples are changed before the discriminator sees them.
        slope: (share, …) for the places where the gradient penalty looks.
    """

    augment: tuple[Any, ...]
    slope: tuple[Any, ...]


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
        objective: Gives what the generator minimises, where that is not the adversarial loss alone: a function of
            that loss (n,), the generated examples and the real ones, to losses (n,). Called in the strategy's scope.
        precision: As `engine.arithmetic` has it; not float16, whose gradients would have to be scaled.
        compile: Whether XLA compiles the step; see `engine.compilation`.
        views: As for `Trainer`.
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
        objective: Callable[[], Callable[[Any, Any, Any], Any]] | None = None,
        precision: Precision = "float32",
        compile: Compile = "auto",
        views: Views | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ):
        super().__init__(strategy, views)
        self._loss = LOSSES[loss]
        self._constants = {"label_smoothing": 0.0, "clip": 0.01, "penalty": 10.0, "noise": 0.5, "balance": 0.5}
        self._constants |= {"gain": 0.001, **(constants or {})}
        self._latents, self._changes, self._seed, self._unit = latents, tuple(changes), seed, unit
        self._every, self._updates_a_step = discriminator_steps, generator_steps
        with self.strategy.scope():
            with computed_in(policy(precision)):
                self.generator, self.discriminator = generator(), discriminator()
            self._objective = objective() if objective else None
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
        self._train = Compiled(self._steps, compile, self.count)

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
        draw: Callable[[Indices], Array] | None = None,
    ) -> Iterator[tuple[npt.NDArray[np.float32], float]]:
        """Train on global batches, a step each.

        Args:
            take: Some real examples and their labels (n, classes), with no columns where there are none; called in a
                thread, for this worker's share only.
            batches: The examples of each global batch, as many as there are replicas at least; the same on every
                worker.
            first: The number of the first step, from 0 at the beginning of the run.
            rates: The generator's and the discriminator's learning rate in each step.
            draw: How some examples are to be changed, as `augmentation.draw` says; called as `take` is.

        Yields:
            `METRICS` of the steps that are done since the last time, (steps, 6), and the seconds for which examples had
            to be waited for. The next ones have been begun by then: variables hold what the metrics tell of only when
            all of them have come.
        """
        if not len(batches):
            return

        def fetch(call: slice) -> tuple[_Shares, _Steps]:
            some, size = batches[call], len(batches[call.start])
            examples = np.concatenate([self.share(batch) for batch in some])
            x, y = take(examples)
            x, changes = self.view_here(x, examples, draw)
            rows = self.share(np.arange(size))
            latents = [
                self._latents(step, size * self._updates_a_step).reshape(size, self._updates_a_step, -1)[rows]
                for step in range(first + call.start, first + call.stop)
            ]
            values = (x, changes, np.asarray(y, np.float32), np.concatenate(latents))
            shares = [_Shares(*share) for share in zip(*(self.shares(array, size) for array in values), strict=True)]
            steps = _Steps(np.asarray(rates[call], np.float32), np.int64(first + call.start), np.int64(size))
            return self.put(shares), self.put_here(steps)

        def metrics() -> Iterator[tuple[Any, float]]:
            size = int(np.prod([side or SIDE for side in self.generator.output_shape[1:]]))
            for tensors, waited in self.feed(fetch, self.calls(batches, size)):
                yield self._train(*tensors), waited

        for done, waited in feed.behind(metrics()):
            yield done.numpy(), waited

    def _steps(self, shares: _Shares, steps: _Steps, jit: Jit) -> Any:
        # Sums over replicas are nothing for XLA. Random numbers are drawn before: XLA's own would be others.
        one = (jit if self.count == 1 else as_it_is)(self._step)
        number = tf.shape(steps.rates)[0]
        metrics = tf.TensorArray(tf.float32, size=number, element_shape=[len(METRICS)])
        for step in tf.range(number):
            current = steps.first + tf.cast(step, tf.int64)
            batch = self.strategy.run(_batch, args=(shares, step))
            chance = self.strategy.run(self._chance, args=(batch, current, steps.size))
            metrics = metrics.write(step, one(batch, chance, _Steps(steps.rates[step], current, steps.size)))
        return metrics.stack()

    def _step(self, batch: _Shares, chance: _Chance, step: _Steps) -> Any:
        self._generator_optimizer.learning_rate.assign(step.rates[0])
        self._discriminator_optimizer.learning_rate.assign(step.rates[1])
        scale = 1 / tf.cast(step.size, tf.float32)
        if self._every == 1:
            metrics = self._both(batch, chance, scale)
        else:
            metrics = tf.cond(
                (step.first + 1) % self._every == 0,
                lambda: self._both(batch, chance, scale),
                lambda: self._one(batch, chance, scale),
            )
        if self._loss.discriminator is None:
            constants = self._constants
            self._balance.assign(
                next_balance(self._balance, metrics[1], metrics[2], constants["balance"], constants["gain"])
            )
        return metrics

    def _both(self, *share: Any) -> Any:
        metrics = self.strategy.run(self._play, args=share)
        self._updates.assign_add(self._updates_a_step)
        if self._average is not None:
            self._average.update(self._updates)
        return self.strategy.experimental_local_results(metrics)[0]

    def _one(self, *share: Any) -> Any:
        metrics = self.strategy.run(self._discriminate, args=share)
        return self.strategy.experimental_local_results(metrics)[0]

    def _seen(self, batch: _Shares) -> tuple[Any, Any, Any]:
        """Real examples as they are shown, their labels, and latents."""
        return tf.cast(self.view(batch.x, batch.changes), tf.float32), batch.y, batch.latents

    def _discriminate(self, batch: _Shares, chance: _Chance, scale: Any) -> Any:
        real, labels, latents = self._seen(batch)
        fake = self.generator(self._labeled(latents[:, 0], labels), training=True)
        nothing = tf.fill([2], np.float32(np.nan))
        return tf.concat([self._train_discriminator(real, fake, labels, chance, scale), nothing], 0)

    def _play(self, batch: _Shares, chance: _Chance, scale: Any) -> Any:
        real, labels, latents = self._seen(batch)
        with tf.GradientTape() as tape:
            fake = self.generator(self._labeled(latents[:, 0], labels), training=True)
        metrics = self._train_discriminator(real, fake, labels, chance, scale)
        learned = self._train_generator(tape, fake, real, labels, chance=chance, scale=scale, update=0)
        for update in range(1, self._updates_a_step):
            with tf.GradientTape() as tape:
                fake = self.generator(self._labeled(latents[:, update], labels), training=True)
            learned = self._train_generator(tape, fake, real, labels, chance=chance, scale=scale, update=update)
        return tf.concat([metrics, learned], 0)

    def _train_discriminator(self, real: Any, fake: Any, labels: Any, chance: _Chance, scale: Any) -> Any:
        loss, constants = self._loss, self._constants
        variables = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            seen_real, seen_fake = self._changed(real, chance, 0), self._changed(fake, chance, 1)
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
                points = self._points(seen_real, seen_fake, chance)
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
        self, tape: tf.GradientTape, fake: Any, real: Any, labels: Any, *, chance: _Chance, scale: Any, update: int
    ) -> Any:
        variables = self.generator.trainable_variables
        # The gradient in two parts: first down to the examples, past the discriminator's weights, which it leaves out.
        with tf.GradientTape(watch_accessed_variables=False) as last:
            last.watch(fake)
            seen = self._changed(fake, chance, 2 + update)
            score = self._judge(seen, labels)
            if self._loss.generator is None:
                losses = reconstruction(seen, score, self._unit)
            else:
                losses = self._loss.generator(score)
            if self._objective is not None:
                losses = self._objective(losses, fake, real)
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
        return tf.cast(self.discriminator(self._labeled(examples, labels), training=True), tf.float32)

    def _changed(self, examples: Any, chance: _Chance, part: int) -> Any:
        return diff_augment(examples, chance.augment[part], self._changes) if self._changes else examples

    def _points(self, real: Any, fake: Any, chance: _Chance) -> Any:
        """Where the gradient penalty looks."""
        if self._loss.slope == "between":
            return between(real, fake, chance.slope[0])
        return around(real, chance.slope[0], self._constants["noise"])

    def _slopes(self, points: Any, labels: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(points)
            scores = self._judge(points, labels)
        return tape.gradient(scores, points)

    def _chance(self, batch: _Shares, step: Any, size: Any) -> _Chance:
        """This replica's random numbers: those of its rows of the global batch."""
        with tf.device("CPU:0"):  # where a slice's ends are read: a GPU would have to be waited for
            replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64)
            here = slice(replica * size // self.count, (replica + 1) * size // self.count)

        def random(draw: Callable[..., Any], shape: Sequence[int], purpose: int, part: int) -> Any:
            number = step * (2 * (2 + self._updates_a_step)) + purpose + 2 * part
            seed = tf.stack([tf.cast(self._seed, tf.int64), number])
            found = draw(tf.concat([[size], tf.cast(shape, tf.int64)], 0), seed)
            if self.count > 1:
                found = found[here]
            return tf.ensure_shape(found, [batch.x.shape[0], *shape])

        parts = range(2 + self._updates_a_step if self._changes else 0)
        augment = [random(tf.random.stateless_uniform, (NUMBERS,), _AUGMENT, part) for part in parts]
        slope = []
        if self._loss.slope == "between":
            slope = [random(tf.random.stateless_uniform, (), _SLOPE, 0)]
        elif self._loss.slope is not None:
            slope = [random(tf.random.stateless_normal, batch.x.shape[1:], _SLOPE, 0)]
        return _Chance(tuple(augment), tuple(slope))

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


def _batch(shares: _Shares, step: Any) -> _Shares:
    """One of the batches, in a replica."""
    return _Shares(*(values[step] for values in shares))
