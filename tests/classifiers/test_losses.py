import keras
import numpy as np
import pytest
from scipy.special import expit, log_softmax
from sklearn.utils.class_weight import compute_class_weight

from artray.classifiers.losses import CrossEntropy, class_weights
from artray.errors import InputError

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (20, 4)).astype(np.float32)
ONE = np.eye(4, dtype=np.float32)[RNG.integers(0, 4, 20)]
SOFT = RNG.dirichlet([1] * 4, 20).astype(np.float32)
SEVERAL = (RNG.random((20, 4)) < 0.4).astype(np.float32)
CLASSES = ["a", "b", "c", "d"]


@pytest.mark.parametrize("targets", [ONE, SOFT])
@pytest.mark.parametrize("smoothing", [0, 0.2])
def test_softmax_cross_entropy(targets, smoothing):
    smoothed = targets * (1 - smoothing) + smoothing / 4
    expected = -(smoothed * log_softmax(LOGITS, axis=1)).sum(axis=1)
    found = np.asarray(CrossEntropy(label_smoothing=smoothing)(targets, LOGITS))
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0, 0.2])
@pytest.mark.parametrize("positive", [None, [1, 2, 3, 0.5]])
def test_sigmoid_cross_entropy(smoothing, positive):
    smoothed = SEVERAL * (1 - smoothing) + smoothing / 2
    weight = np.ones(4) if positive is None else np.array(positive)
    expected = -(weight * smoothed * np.log(expit(LOGITS)) + (1 - smoothed) * np.log(expit(-LOGITS))).mean(axis=1)
    loss = CrossEntropy(True, smoothing, None if positive is None else np.float32(positive))
    assert np.asarray(loss(SEVERAL, LOGITS)) == pytest.approx(expected, rel=1e-5)
    if positive is None:  # Keras', too
        keras_loss = keras.losses.binary_crossentropy(SEVERAL, LOGITS, from_logits=True, label_smoothing=smoothing)
        assert np.asarray(loss(SEVERAL, LOGITS)) == pytest.approx(np.asarray(keras_loss), rel=1e-5)


@pytest.mark.parametrize("multilabel", [False, True])
def test_large_half_precision_logits_have_a_finite_loss(multilabel):
    logits = keras.ops.cast(np.float32([[6e4, -6e4, 0, 1]]), "float16")
    found = np.asarray(CrossEntropy(multilabel)(np.float32([[0, 1, 0, 1]]) / (1 if multilabel else 2), logits))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_class_weights():
    true = ONE.argmax(axis=1)
    assert class_weights(None, CLASSES, ONE) is None
    balanced = class_weights("balanced", CLASSES, ONE)
    assert balanced == pytest.approx(compute_class_weight("balanced", classes=np.arange(4), y=true), rel=1e-5)
    assert class_weights({"b": 3, "d": 0}, CLASSES, ONE).tolist() == [1, 3, 1, 0]
    several = class_weights("balanced", CLASSES, SEVERAL, multilabel=True)
    assert several == pytest.approx((1 - SEVERAL).sum(axis=0) / SEVERAL.sum(axis=0))
    with pytest.raises(InputError, match=r"class_weights: there is no class 'e' \(a, b, c, d\)"):
        class_weights({"e": 1}, CLASSES, ONE)
