"""The distributed step of two networks: a generator and a discriminator, trained against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from artray.engine import feed
from artray.engine.adversarial_step import METRICS, Adaptive, Blur, Chance, Shares, Steps, Weights
from artray.engine.arithmetic import Compile, Precision, computed_in, policy
from artray.engine.compilation import Compiled, Jit, as_it_is, one_by_one
from artray.engine.trainer import SIDE, Array, Indices, MovingAverage, Trainer, numbered, synchronize
from artray.engine.views import Views
from artray.models.gans.augment import CHANGES, NUMBERS, blurred, diff_augment, next_strength
from artray.models.gans.losses import (
    LOSSES,
    around,
    between,
    convergence,
    next_balance,
    no_slope,
    reconstruction,
    unit_slope,
)
from artray.models.gans.projected import parts_of

_SLOPE, _AUGMENT, _CHOICE = range(3)
_ADAPTED = 4  # steps between two looks at the signs, as in the paper


class AdversarialTrainer(Trainer):
    """A generator and a discriminator on every replica, trained in step.

    A step is one global batch: one update of the discriminator, and in every `discriminator_steps`-th step
    `generator_steps` updates of the generator, against the discriminator as it is then. Pictures are generated once for
    both. Real and generated examples go through the discriminator one after the other, so that its batch
    normalisations don't mix them.

    Where a part of the discriminator is frozen (`models.gans.projected.parts_of`), it sees the real and the generated
    examples once each, changed in one way for both updates; only the way back from its maps of generated ones to these
    is gone, as no weight of it learns.

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
        adaptive: How likely these are; None: always.
        blur: Of what the discriminator sees, in the beginning.
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
        adaptive: Adaptive | None = None,
        blur: Blur | None = None,
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
        self._adaptive, self._blur = adaptive if changes else None, blur
        self._every, self._updates_a_step = discriminator_steps, generator_steps
        with self.strategy.scope():
            with computed_in(policy(precision, compile, self.count)):
                self.generator, self.discriminator = generator(), discriminator()
            self._frozen, self._judging = parts_of(self.discriminator)
            self._objective = objective() if objective else None
            if self.count > 1:
                synchronize(self.generator)
                synchronize(self.discriminator)
            unbuilt = [optimizer() for optimizer in optimizers]
            self._average = MovingAverage(self.strategy, self.generator.weights, ema) if ema else None
            self._updates = tf.Variable(0, dtype=tf.int64, trainable=False)  # of the generator
            self._balance = tf.Variable(0.0, trainable=False)  # k_t
            self._strength = tf.Variable(0.0, trainable=False)  # p
            self._signs = tf.Variable(0.0, trainable=False)  # summed since p was last looked at
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
        *,
        penalties: Sequence[float] | None = None,
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
            penalties: The weight of the gradient penalty in each step; None: that of `constants`, always.

        Yields:
            `METRICS` of the steps that are done since the last time, a row each, and the seconds for which examples had
            to be waited for. The next ones have been begun by then: variables hold what the metrics tell of only when
            all of them have come.
        """
        if not len(batches):
            return
        weights = [self._constants["penalty"]] * len(batches) if penalties is None else penalties

        def fetch(call: slice) -> tuple[list[Shares], Steps]:
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
            shares = [Shares(*share) for share in zip(*(self.shares(array, size) for array in values), strict=True)]
            now, penalty = (np.asarray(values[call], np.float32) for values in (rates, weights))
            return shares, Steps(now, penalty, np.int64(first + call.start), np.int64(size))

        def send(fetched: tuple[list[Shares], Steps]) -> tuple[Shares, Steps]:
            return self.put(fetched[0]), self.put_here(fetched[1])

        def metrics() -> Iterator[tuple[Any, float]]:
            size = int(np.prod([side or SIDE for side in self.generator.output_shape[1:]]))
            for tensors, waited in self.feed(fetch, send, self.calls(batches, size)):
                yield self._train(*tensors), waited

        for done, waited in feed.behind(metrics()):
            yield done.numpy(), waited

    def _steps(self, shares: Shares, steps: Steps, jit: Jit) -> Any:
        # Sums over replicas are nothing for XLA. Random numbers are drawn before: XLA's own would be others.
        one = (jit if self.count == 1 else as_it_is)(self._step)

        def metrics(step: Any) -> Any:
            current = steps.first + tf.cast(step, tf.int64)
            batch = self.strategy.run(_batch, args=(shares, step))
            chance = self.strategy.run(self._chance, args=(batch, current, steps.size))
            return one(batch, chance, Steps(steps.rates[step], steps.penalties[step], current, steps.size))

        return one_by_one(tf.shape(steps.rates)[0], metrics, [len(METRICS)])

    def _step(self, batch: Shares, chance: Chance, step: Steps) -> Any:
        self._generator_optimizer.learning_rate.assign(step.rates[0])
        self._discriminator_optimizer.learning_rate.assign(step.rates[1])
        weights = Weights(1 / tf.cast(step.size, tf.float32), step.penalties)
        if self._every == 1:
            metrics = self._both(batch, chance, weights)
        else:
            metrics = tf.cond(
                (step.first + 1) % self._every == 0,
                lambda: self._both(batch, chance, weights),
                lambda: self._one(batch, chance, weights),
            )
        if self._loss.discriminator is None:
            constants = self._constants
            self._balance.assign(
                next_balance(self._balance, metrics[1], metrics[2], constants["balance"], constants["gain"])
            )
        return self._adapted(metrics, step) if self._adaptive else metrics

    def _adapted(self, metrics: Any, step: Steps) -> Any:
        """Follow the signs; the metrics with the strength that the step had."""
        how = self._adaptive
        assert how is not None
        strength = tf.convert_to_tensor(self._strength)
        self._signs.assign_add(metrics[6])
        due = (step.first + 1) % _ADAPTED == 0
        change = tf.cast(step.size, tf.float32) * (_ADAPTED / how.length)
        moved = next_strength(strength, self._signs / _ADAPTED, how.target, change, how.most)
        self._strength.assign(tf.where(due, moved, strength))
        self._signs.assign(tf.where(due, 0.0, tf.convert_to_tensor(self._signs)))
        return tf.concat([metrics[:7], strength[None]], 0)

    def _both(self, *share: Any) -> Any:
        metrics = self.strategy.run(self._play, args=share)
        self._updates.assign_add(self._updates_a_step)
        if self._average is not None:
            self._average.update(self._updates)
        return self.strategy.experimental_local_results(metrics)[0]

    def _one(self, *share: Any) -> Any:
        metrics = self.strategy.run(self._discriminate, args=share)
        return self.strategy.experimental_local_results(metrics)[0]

    def _seen(self, batch: Shares) -> tuple[Any, Any, Any]:
        """Real examples as they are shown, their labels, and latents."""
        return tf.cast(self.view(batch.x, batch.changes), tf.float32), batch.y, batch.latents

    def _discriminate(self, batch: Shares, chance: Chance, weights: Weights) -> Any:
        real, labels, latents = self._seen(batch)
        fake = self.generator(self._labeled(latents[:, 0], labels), training=True)
        seen, made = (self._shown(examples, chance, number) for number, examples in enumerate((real, fake)))
        nothing = tf.fill([2], np.float32(np.nan))
        metrics = self._train_discriminator(seen, made, labels, chance, weights)
        return tf.concat([metrics[:4], nothing, metrics[4:]], 0)

    def _play(self, batch: Shares, chance: Chance, weights: Weights) -> Any:
        real, labels, latents = self._seen(batch)
        with tf.GradientTape() as tape:
            fake = self.generator(self._labeled(latents[:, 0], labels), training=True)
        with tf.GradientTape(watch_accessed_variables=False) as down:
            down.watch(fake)
            seen = self._shown(fake, chance, 1)
        shown_real = self._shown(real, chance, 0)
        metrics = self._train_discriminator(shown_real, seen, labels, chance, weights)
        for update in range(self._updates_a_step):
            if update:
                with tf.GradientTape() as tape:
                    fake = self.generator(self._labeled(latents[:, update], labels), training=True)
            if update or self._frozen is None:  # what is frozen has looked already
                with tf.GradientTape(watch_accessed_variables=False) as down:
                    down.watch(fake)
                    seen = self._shown(fake, chance, 2 + update)
            learned = self._train_generator((tape, down), (fake, seen), (real, shown_real), labels, weights)
        return tf.concat([metrics[:4], learned, metrics[4:]], 0)

    def _train_discriminator(self, real: Any, fake: Any, labels: Any, chance: Chance, weights: Weights) -> Any:
        loss, constants, scale = self._loss, self._constants, weights.example
        variables = self._judging.trainable_variables
        with tf.GradientTape() as tape:
            at_real, at_fake = loss.slope in ("real", "both"), loss.slope == "both"
            (real_score, real_slope), (fake_score, fake_slope) = (
                self._scored(seen, labels, slope) for seen, slope in ((real, at_real), (fake, at_fake))
            )
            if loss.discriminator is None:
                real_score = reconstruction(real, real_score, self._unit)
                fake_score = reconstruction(fake, fake_score, self._unit)
                losses = real_score - self._balance * fake_score
            elif loss.smoothing:
                losses = loss.discriminator(real_score, fake_score, constants["label_smoothing"])
            else:
                losses = loss.discriminator(real_score, fake_score)
            for slope in (real_slope, fake_slope):
                if slope is not None:
                    losses += weights.penalty * no_slope(slope, self._unit)
            if loss.slope in ("between", "around"):
                _, slope = self._scored(self._points(real, fake, chance), labels, True)
                losses += weights.penalty * unit_slope(slope, self._unit)
            # A penalty on the weights is the same in every replica.
            whole = tf.reduce_sum(losses) * scale + sum(self._judging.losses) / self.count
        gradients = tape.gradient(whole, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        means = [loss.shown(real_score), loss.shown(fake_score), tf.sign(real_score)]
        means = [tf.reduce_sum(_by_example(values)) * scale for values in means]
        total, real_mean, fake_mean, sign, *gradients = self.total([tf.reduce_sum(losses) * scale, *means, *gradients])
        self._discriminator_optimizer.apply(gradients, variables)
        if loss.clipped:
            tf.distribute.get_replica_context().merge_call(self._clip)
        strength = 1.0 if self._changes else 0.0
        return tf.stack([total, real_mean, fake_mean, tf.linalg.global_norm(gradients), sign, strength])

    def _train_generator(
        self,
        tapes: tuple[tf.GradientTape, tf.GradientTape],
        fake: tuple[Any, Any],
        real: tuple[Any, Any],
        labels: Any,
        weights: Weights,
    ) -> Any:
        """Update the generator.

        Args:
            tapes: How the generated examples came about, and how that came about which the discriminator is shown.
            fake: Generated examples, and what it is shown of them.
            real: Likewise of real ones.
            labels: Of both.
            weights: Of the step.
        """
        made, last = tapes
        variables = self.generator.trainable_variables
        # The gradient in two parts: first down to the examples, past the discriminator's weights, which it leaves out.
        with last:
            score = self._judge(fake[1], labels)
            if self._loss.generator is None:
                losses = reconstruction(fake[1], score, self._unit)
            elif self._loss.relativistic:
                losses = self._loss.generator(self._judge(real[1], labels), score)
            else:
                losses = self._loss.generator(score)
            if self._objective is not None:
                losses = self._objective(losses, fake[0], real[0])
            whole = tf.reduce_sum(losses) * weights.example
        gradients = made.gradient(
            fake[0],
            variables,
            output_gradients=last.gradient(whole, fake[0]),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        total, *gradients = self.total([whole, *gradients])
        self._generator_optimizer.apply(gradients, variables)
        return tf.stack([total, tf.linalg.global_norm(gradients)])

    def _labeled(self, values: Any, labels: Any) -> Any:
        return [values, labels] if self._labelled else values

    def _shown(self, examples: Any, chance: Chance, number: int) -> Any:
        """What the part of the discriminator that learns is shown of examples: these changed, or maps of them."""
        for sigma in chance.sigma:
            examples = blurred(examples, sigma)
        if self._changes:
            chosen = chance.chosen[number] if chance.chosen else None
            examples = diff_augment(examples, chance.augment[number], self._changes, chosen)
        return examples if self._frozen is None else self._frozen(examples, training=False)

    def _judge(self, seen: Any, labels: Any) -> Any:
        if self._labelled:
            seen = [*seen, labels] if isinstance(seen, list) else [seen, labels]
        return tf.cast(self._judging(seen, training=True), tf.float32)

    def _scored(self, seen: Any, labels: Any, sloped: bool) -> tuple[Any, Any]:
        """Scores of what is shown, and, if it is wanted, their slope there."""
        if not sloped:
            return self._judge(seen, labels), None
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(seen)
            scores = self._judge(seen, labels)
        return scores, tape.gradient(scores, seen)

    def _points(self, real: Any, fake: Any, chance: Chance) -> Any:
        """Where the gradient penalty looks."""
        if self._loss.slope == "between":
            return between(real, fake, chance.slope[0])
        return around(real, chance.slope[0], self._constants["noise"])

    def _chance(self, batch: Shares, step: Any, size: Any) -> Chance:
        """This replica's random numbers: those of its rows of the global batch."""
        with tf.device("CPU:0"):  # where a slice's ends are read: a GPU would have to be waited for
            replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int64)
            here = slice(replica * size // self.count, (replica + 1) * size // self.count)

        def random(draw: Callable[..., Any], shape: Sequence[int], purpose: int, batch_number: int) -> Any:
            number = step * (2 * (2 + self._updates_a_step)) + purpose % 2 + 2 * batch_number
            seed = tf.stack([tf.cast(self._seed + (purpose // 2 << 32), tf.int64), number])
            drawn = draw(tf.concat([[size], tf.cast(shape, tf.int64)], 0), seed)
            if self.count > 1:
                drawn = drawn[here]
            return tf.ensure_shape(drawn, [batch.x.shape[0], *shape])

        batches = range(2 + self._updates_a_step if self._changes else 0)
        augment = [random(tf.random.stateless_uniform, (NUMBERS,), _AUGMENT, number) for number in batches]
        slope = []
        if self._loss.slope == "between":
            slope = [random(tf.random.stateless_uniform, (), _SLOPE, 0)]
        elif self._loss.slope == "around":
            slope = [random(tf.random.stateless_normal, batch.x.shape[1:], _SLOPE, 0)]
        chosen, sigma = [], []
        if self._adaptive is not None:
            drawn = [random(tf.random.stateless_uniform, (len(CHANGES),), _CHOICE, number) for number in batches]
            chosen = [tf.cast(values < self._strength, tf.float32) for values in drawn]
        if self._blur is not None:
            gone = tf.cast(step * size, tf.float32) / self._blur.length
            sigma = [self._blur.sigma * tf.maximum(1 - gone, 0)]
        return Chance(tuple(augment), tuple(slope), tuple(chosen), tuple(sigma))

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
            "step": [self._updates, self._balance, self._strength, self._signs],
        }
        return numbered(groups)


def _by_example(values: Any) -> Any:
    """The mean of each example's numbers."""
    return tf.reduce_mean(tf.reshape(values, [tf.shape(values)[0], -1]), 1)


def _batch(shares: Shares, step: Any) -> Shares:
    """One of the batches, in a replica."""
    return Shares(*(values[step] for values in shares))
