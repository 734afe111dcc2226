"""A trained model and prompts together: the weighted mean of the logarithms of what both say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from artray.bundles.classifier import load_bundle, load_model, read_predictions
from artray.bundles.inputs import FeatureInput
from artray.classifiers.calibration import fit_temperature, log_loss, softmax
from artray.classifiers.examples import Examples
from artray.errors import InputError
from artray.storage import Location

WEIGHTS = tuple(number / 20 for number in range(21))
"""Of the trained model: each is tried."""
_LEAST = 1e-12

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Mixed:
    """A mix.

    Attributes:
        trained: The trained model, from its columns to scores.
        order: Its classes' places, in the order of the prompts'.
        weight: Of the trained model, 0..1.
        logits: (n, classes) of all examples, not yet calibrated; those of `known` from scores of works that the trained
            model had not learned.
        known: Works by which the weight was chosen.
        given: The columns of both.
    """

    trained: Any
    order: Sequence[int]
    weight: float
    logits: Floats
    known: npt.NDArray[np.int64]
    given: FeatureInput

    def network(self, prompts: Any, column: str, temperature: float, widths: Mapping[str, int]) -> Any:
        """The mix as one model, from the columns side by side to logits.

        Args:
            prompts: A model from the embeddings of
            column: one of the columns to logits, and
            temperature: what these are divided by.
            widths: Of each column, in order.
        """
        import keras
        from keras import layers, ops

        inputs = keras.Input((sum(widths.values()),), name="features")
        seen = self.trained.input_shape[1]
        scores = self.trained(inputs if seen == inputs.shape[1] else inputs[:, :seen])
        scores = ops.log(ops.clip(scores, _LEAST, 1.0))
        if list(self.order) != list(range(len(self.order))):
            scores = ops.take(scores, np.array(self.order), axis=-1)
        start = sum(width for name, width in list(widths.items())[: list(widths).index(column)])
        told = prompts(inputs[:, start : start + widths[column]])
        logits = layers.Add(name="logits")(
            [
                layers.Rescaling(self.weight, name="trained_weight")(scores),
                layers.Rescaling((1 - self.weight) / temperature, name="prompts_weight")(told),
            ]
        )
        return keras.Model(inputs, logits, name="prompts_and_trained")


def mix(model: Location, examples: Examples, told: Floats, true: npt.NDArray[np.int64], given: FeatureInput) -> Mixed:
    """Choose the weight of a trained model by log loss, on works outside the test part that it has not learned.

    Such works are its validation part; of a model that is solved for they are all, as its folds have seen them.

    Args:
        model: The trained model's bundle.
        examples: Labelled works.
        told: (n, classes) the prompts' logits, calibrated.
        true: (n,) their classes.
        given: What the prompts look at: one column.

    Raises:
        InputError: The model is of other classes, other features, another network's or another split, or was not
            validated.
    """
    bundle = load_bundle(model)
    trained, names = bundle.input, [item.name for item in bundle.classes]
    if not isinstance(trained, FeatureInput) or trained.color_maps or bundle.multilabel:
        raise InputError(f"--mix {model}: must look at columns of features, and give one label")
    if sorted(names) != sorted(examples.classes):
        raise InputError(
            f"--mix {model}: has the classes {', '.join(names)}, and the prompts {', '.join(examples.classes)}"
        )
    for spec in trained.specs():
        if spec not in given.features:
            raise InputError(f"--mix {model}: --data has no {spec['name']} with the settings that it learned from")
        trained.check_backbone(spec, given.files or {})
    predictions = read_predictions(model).to_pylist()
    trained_logits = np.zeros(told.shape)
    parts_trained = np.full(len(trained_logits), "", object)
    rows = {name: row for row, name in enumerate(examples.table["object_id"].to_pylist())}
    for each in predictions:
        row = rows.get(each["object_id"])
        if row is not None:
            scores = dict(each["scores"])
            trained_logits[row] = np.log(np.clip([scores[name] for name in examples.classes], _LEAST, 1))
            parts_trained[row] = each["part"]
    parts = np.asarray(examples.table["part"])
    if wrong := int(((parts == "test") != (parts_trained == "test")).sum()):
        raise InputError(
            f"--mix {model}: {wrong:,} works are in its test part alone, or in that of the labels: train "
            "it on the same split"
        )
    known = np.flatnonzero(parts_trained == "validation")
    if len(known) < 2:
        raise InputError(f"--mix {model}: has no validation part to choose the weight by")

    def loss(weight: float) -> float:
        logits = weight * trained_logits[known] + (1 - weight) * told[known]
        return log_loss(true[known], softmax(logits / fit_temperature(true[known], logits)))

    weight = min(WEIGHTS, key=loss)
    return Mixed(
        trained=load_model(model, bundle),
        order=[names.index(name) for name in examples.classes],
        weight=weight,
        logits=weight * trained_logits + (1 - weight) * told,
        known=known,
        given=FeatureInput(
            features=given.features,
            columns=list(dict.fromkeys([*trained.columns, *given.columns])),
            files=given.files,
        ),
    )
