"""Classifiers of the published systems by name: functions from an input tensor to one logit a class.

A classifier that takes pictures takes RGB 0..255 and scales them itself, so that no caller can scale them differently
in training and in labelling. Softmax and calibration are put on top when a bundle is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any

import keras
from keras import layers, ops

from artray.errors import InputError, did_you_mean
from artray.models.convolutional import baseline_cnn, one_block_vgg, shallnet, valence_cnn
from artray.models.fusion import fusion
from artray.models.heads import cv_fc, lda, linear_head, linear_mean, logistic, palette_cnn
from artray.models.residual import resnet50
from artray.models.transfer import transfer

CLASSIFIERS: dict[str, Callable[..., Any]] = {
    "palette_cnn": palette_cnn,
    "valence_cnn": valence_cnn,
    "one_block_vgg": one_block_vgg,
    "linear_head": linear_head,
    "lda": lda,
    "logistic": logistic,
    "linear_mean": linear_mean,
    "shallnet": shallnet,
    "cv_fc": cv_fc,
    "baseline_cnn": baseline_cnn,
    "resnet50": resnet50,
    "transfer": transfer,
    "fusion": fusion,
}
"""What a config's `model: {name: …}` can name. The first parameter says what a classifier takes: `picture`, `features`
(standardised), or `palette` (as the feature table has it)."""


def classifier(
    name: str,
    shape: Sequence[int],
    classes: int,
    settings: Mapping[str, object],
    *,
    standardize: tuple[Sequence[float], Sequence[float]] | None = None,
    widths: Mapping[str, int] | None = None,
) -> keras.Model:
    """A classifier by its name, as a model.

    Args:
        name: One of `CLASSIFIERS`.
        shape: Of one example: (d,) for features, (height, width, 3) for pictures.
        classes: Number of classes.
        settings: The classifier's own keyword arguments.
        standardize: Mean and variance of each feature over the training part; features only.
        widths: Each feature column's width, in order; for classifiers that treat columns differently.

    Raises:
        InputError: No such classifier, it does not take these settings, or not this kind of input.
    """
    if name not in CLASSIFIERS:
        hint = did_you_mean(name, CLASSIFIERS)
        raise InputError(f"model.name: there is no model {name!r} ({', '.join(CLASSIFIERS)}){hint}")
    build = CLASSIFIERS[name]
    parameters = list(signature(build).parameters)
    takes, given = parameters[0], "picture" if len(shape) == 3 else "features"
    if (takes == "picture") != (given == "picture"):
        wanted = "pictures or patches" if takes == "picture" else "features"
        raise InputError(f"model.name: {name} takes {wanted}: the config's `input` must say so")
    known = [setting for setting in parameters[2:] if setting != "widths"]
    for setting in settings.keys() - set(known):
        hint = did_you_mean(setting, known)
        raise InputError(f"model: {name} has no setting {setting!r}{hint} (it has: {', '.join(known) or 'none'})")
    inputs = x = keras.Input(tuple(shape), name=given)
    if standardize and takes == "features":
        mean, variance = standardize
        x = layers.Normalization(mean=list(mean), variance=list(variance), name="standardize")(x)
    columns = {"widths": widths or {given: shape[0]}} if "widths" in parameters else {}
    try:
        outputs = build(x, classes, **columns, **settings)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"model: {name} can't be built so: {' '.join(str(error).split())[:200]}") from error
    return keras.Model(inputs, outputs, name=name)


def calibrated(
    model: keras.Model,
    temperature: float,
    multilabel: bool = False,
    test_time_flip: bool = False,
) -> keras.Model:
    """The model with scores that mean what they say (Guo et al. 2017): its logits, divided by a temperature.

    Args:
        model: From inputs to logits.
        temperature: Fitted on the validation part.
        multilabel: Each label has a score for itself (sigmoid); else a work's scores sum to 1 (softmax).
        test_time_flip: Whether a picture and its mirror image are both looked at, and their logits averaged before
            anything else. The temperature must have been fitted on such averages.

    Raises:
        InputError: `test_time_flip` for a model that takes no pictures.
    """
    logits = mirrored(model).output if test_time_flip else model.output
    scaled = layers.Rescaling(1 / temperature, dtype="float32", name="temperature")(logits)
    activation = "sigmoid" if multilabel else "softmax"
    scores = layers.Activation(activation, dtype="float32", name="scores")(scaled)
    return keras.Model(model.input, scores, name=model.name)


def mirrored(model: keras.Model) -> keras.Model:
    """The mean of a model's outputs for a picture and for its mirror image.

    Raises:
        InputError: The model takes no pictures.
    """
    if len(model.input.shape) != 4:
        raise InputError("test_time_flip: only pictures and patches have a mirror image, not features")
    both = [model(model.input), model(ops.flip(model.input, axis=2))]
    return keras.Model(model.input, layers.Average(name="test_time_flip")(both), name=model.name)
