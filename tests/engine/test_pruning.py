import keras
import numpy as np
import pytest
import tensorflow as tf

from artray.engine.pruning import NO_CHANGE, Masks, threshold


def by_sorting(values: list[np.ndarray], sparsity: float) -> np.float32:
    """As tfmot has it: of the sorted sizes, the one at the end of those that are kept."""
    sizes = np.sort(np.abs(np.concatenate([value.ravel() for value in values])))[::-1]
    return sizes[max(int(np.round(len(sizes) * (1 - np.float64(np.float32(sparsity))))), 1) - 1]


@pytest.mark.parametrize("sparsity", [0.0, 0.1, 0.25, 0.5, 0.66, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["normal", "ties", "zeros", "tiny", "one size"])
def test_the_threshold_is_that_of_sorting(kind, sparsity):
    rng = np.random.default_rng(0)
    values = [rng.normal(size=shape).astype(np.float32) for shape in ((7, 3), (400,), (2, 2, 5, 4))]
    if kind == "ties":
        values = [value.round(1) for value in values]
    if kind == "zeros":
        values = [np.where(rng.random(value.shape) < 0.7, 0, value).astype(np.float32) for value in values]
    if kind == "tiny":  # below the smallest normal number
        values = [value * np.float32(1e-39) for value in values]
    if kind == "one size":
        values = [np.sign(value).astype(np.float32) * np.float32(0.1) for value in values]
    found = threshold([tf.constant(value) for value in values], tf.constant(sparsity))
    assert found.numpy() == by_sorting(values, sparsity)


@pytest.mark.parametrize("together", [False, True])
def test_masks_are_those_of_sorting_and_stay(together):
    rng = np.random.default_rng(1)
    start = [rng.normal(size=(5, 8)).astype(np.float32), 3 * rng.normal(size=(6, 7)).astype(np.float32)]
    weights = [keras.Variable(value) for value in start]
    masks = Masks(tf.distribute.get_strategy(), [weights] if together else [[weight] for weight in weights])
    masks.update(tf.constant(0.4))
    bounds = [by_sorting(start, 0.4)] * 2 if together else [by_sorting([value], 0.4) for value in start]
    for weight, mask, value, bound in zip(weights, masks.values, start, bounds, strict=True):
        assert np.array_equal(mask.numpy(), np.abs(value) >= bound)
        assert np.array_equal(weight.numpy(), np.where(np.abs(value) >= bound, value, 0))
    kept = [mask.numpy() for mask in masks.values]
    assert sum(int(mask.sum()) for mask in kept) == (49 if together else 24 + 25)
    for weight in weights:
        weight.assign_add(keras.ops.ones_like(weight))  # as an optimizer's momentum might
    masks.update(tf.constant(NO_CHANGE))
    for weight, mask, before in zip(weights, masks.values, kept, strict=True):
        assert np.array_equal(mask.numpy(), before)
        assert np.array_equal(weight.numpy() != 0, before)
