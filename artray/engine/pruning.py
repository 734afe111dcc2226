"""Masks of weights that are 0, on every replica: magnitude pruning as part of the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

NO_CHANGE = -1.0
"""The sparsity of a step after which masks stay as they are."""

_HALF = 16  # bits


class Masks:
    """Which weights are 0; to be made in the strategy's scope.

    All replicas hold the same weights, and so find the same masks.

    Args:
        strategy: Whose variables they are.
        groups: Keras variables; the weights of a group are compared with each other.
    """

    def __init__(self, strategy: tf.distribute.Strategy, groups: Sequence[Sequence[Any]]):
        self._strategy = strategy
        self._sizes = [len(group) for group in groups]
        self._weights = [variable for group in groups for variable in group]
        self.values = [tf.Variable(tf.ones(variable.shape, tf.bool), trainable=False) for variable in self._weights]

    def update(self, sparsity: Any) -> None:
        """Make the masks for a sparsity, unless it is `NO_CHANGE`, and apply them; outside of replicas."""
        first, *others = [variable.value for variable in self._weights]
        self._strategy.extended.update(first, self._update_here, (others, self.values, sparsity))

    def apply(self) -> None:
        """Make the weights 0 that are so by the masks."""
        self.update(NO_CHANGE)

    def _update_here(self, first: Any, others: list[Any], masks: list[Any], sparsity: Any) -> None:
        weights = [first, *others]

        def anew() -> None:
            start = 0
            for size in self._sizes:
                group = slice(start, start + size)
                least = threshold([weight.read_value() for weight in weights[group]], sparsity)
                for weight, mask in zip(weights[group], masks[group], strict=True):
                    mask.assign(tf.abs(weight) >= least)
                start += size

        tf.cond(tf.greater_equal(sparsity, 0.0), anew, lambda: None)
        for weight, mask in zip(weights, masks, strict=True):
            weight.assign(weight * tf.cast(mask, weight.dtype))


def threshold(values: Sequence[Any], sparsity: Any) -> Any:
    """The size of the smallest weight that is kept where a share of all becomes 0.

    As sorting would find it, by counting: numbers that are not negative have the order of their bits. The upper half of
    these is counted, then what falls together with the one looked for is sorted.

    Args:
        values: Float32 tensors.
        sparsity: 0..1, of all of them together.
    """
    bits = [tf.bitcast(tf.reshape(tf.abs(value), [-1]), tf.int32) for value in values]
    size = sum(int(value.shape.num_elements()) for value in values)
    kept = tf.cast(tf.round(size * (1.0 - tf.cast(sparsity, tf.float64))), tf.int32)
    kept = tf.maximum(kept, 1)
    upper = [tf.bitwise.right_shift(each, _HALF) for each in bits]
    bins = 1 << (31 - _HALF)
    counts = tf.add_n([tf.math.bincount(each, minlength=bins, maxlength=bins) for each in upper])
    reached = tf.cumsum(counts, reverse=True)  # so many are in this place or a higher one
    bucket = tf.reduce_max(tf.where(reached >= kept, tf.range(bins), 0))
    near = tf.concat([tf.boolean_mask(each, above == bucket) for each, above in zip(bits, upper, strict=True)], axis=0)
    among = kept - (reached[bucket] - counts[bucket])
    return tf.bitcast(tf.sort(near, direction="DESCENDING")[among - 1], tf.float32)
