"""Several models as one: the folds of a cross-validation, averaged (C11).

Each model was fitted on all but one fold of the training and validation parts. Their mean is one Keras model, so that
labelling needs nothing new. What it is like on works it never saw is measured on the test part; for every other work
the one model speaks that had not seen it (`predictions.parquet` calls these works validation).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.classifier import BUNDLE, Bundle, load_bundle, load_model, read_evaluation, read_predictions
from artray.bundles.description import read_history
from artray.bundles.thresholds import deciding
from artray.classifiers.bundling import write_bundle
from artray.classifiers.evaluation import METRICS, evaluation_of, metric
from artray.classifiers.loop import ClassifierTraining
from artray.classifiers.pooled import pooled_figures
from artray.engine.checkpoints import Checkpoints
from artray.engine.examples import Inputs
from artray.errors import InputError
from artray.models.batches import predict
from artray.storage import Location

_BATCH = 64


def averaged(models: Sequence[Any]) -> Any:
    """The mean of several Keras models' scores, as one Keras model.

    Args:
        models: With equal inputs and outputs; they get the names `fold_0`, `fold_1`, ….
    """
    import keras

    first = models[0]
    inputs = keras.Input(first.input.shape[1:], dtype=first.input.dtype, name=first.input.name)
    for number, model in enumerate(models):
        model.name = f"fold_{number}"
    scores = keras.layers.Average(name="scores")([model(inputs) for model in models])
    return keras.Model(inputs, scores, name="fold_ensemble")


@dataclass(frozen=True, kw_only=True)
class FoldEnsemble:
    """The folds' mean, as the last thing that the workers do which trained them.

    Attributes:
        members: The folds' bundles, in order.
        training: As for `write_fold_ensemble`.
        repeats: Likewise.
    """

    members: Sequence[Location]
    training: ClassifierTraining
    repeats: int = 1

    @property
    def name(self) -> str:
        """It has no checkpoints."""
        return "fold ensemble"

    @property
    def title(self) -> str:
        """What tells it from the folds."""
        return "the mean of all folds"

    @property
    def length(self) -> int:
        """No example is trained on."""
        return 0

    def is_done(self) -> bool:
        """Whether the bundle is there."""
        return (self.training.out / BUNDLE).exists()

    def work(self, rank: int, checkpoints: Checkpoints, progress: Any) -> None:
        """Write the bundle, in one of the workers."""
        if rank == 0:
            write_fold_ensemble(self.members, self.training, self.repeats)


def write_fold_ensemble(members: Sequence[Location], training: ClassifierTraining, repeats: int = 1) -> None:
    """Write the bundle of the folds' mean, with its evaluation; TensorFlow comes with it.

    Args:
        members: The folds' bundles, in order.
        training: Its examples have the parts of the data set, not those of a fold.
        repeats: How many times the folds were dealt; of each dealing the members follow each other.

    Raises:
        InputError: The models don't take the same input.
    """
    bundles = [load_bundle(uri) for uri in members]
    _check(members, bundles)
    models = [load_model(uri, bundle) for uri, bundle in zip(members, bundles, strict=True)]
    examples, inputs = training.examples, training.examples.inputs
    model = averaged(models)
    test = examples.part("test")
    scores = np.zeros(examples.targets.shape, np.float32)
    _predict(model, inputs, test, scores)
    owners = examples.table["object_id"].combine_chunks()
    dealings = np.zeros((repeats, *scores.shape), np.float32)
    for number, (uri, member) in enumerate(zip(members, models, strict=True)):
        table = read_predictions(uri, ["object_id", "part"])
        held_out = table.filter(pc.equal(table["part"], "validation"))["object_id"].combine_chunks()
        rows = np.flatnonzero(pc.is_in(owners, held_out).to_numpy(zero_copy_only=False))
        _predict(member, inputs, rows, dealings[number * repeats // len(members)])
    held = np.flatnonzero(np.asarray(examples.table["part"]) != "test")
    scores[held] = dealings[:, held].mean(axis=0)
    parts = np.where(np.asarray(examples.table["part"]) == "test", "test", "validation")
    column = examples.table.column_names.index("part")
    judged = replace(examples, table=examples.table.set_column(column, "part", pa.array(parts.tolist(), pa.string())))
    config = training.config
    part_known = np.flatnonzero(parts != "test")
    shares = training.shares(part_known)
    evaluation, predictions = evaluation_of(
        judged,
        _logits(scores, config.multilabel),
        1.0,
        task=config.task,
        labels=config.labels,
        baseline=training.baseline,
        decision=config.decision,
        shares=shares,
        precision_target=config.precision_target,
    )
    evaluation["folds"] = fold_metrics([read_evaluation(uri) for uri in members])
    told = deciding(examples.classes, evaluation["thresholds"], decision=config.decision, shares=shares)
    evaluation["out_of_fold"] = pooled_figures(judged, predictions, dealings, config.multilabel, thresholds=told)
    history = []
    for fold, uri in enumerate(members):
        history += [{"fold": fold, **epoch} for epoch in read_history(uri)]
    write_bundle(
        training.out,
        model=model,
        temperature=1.0,
        config=config,
        examples=examples,
        source=training.source,
        evaluation=evaluation,
        predictions=predictions,
        history=history,
        metrics={
            "fold_ensemble": len(members),
            **({"repeats": repeats} if repeats > 1 else {}),
            "best_epoch": [bundle.metrics["best_epoch"] for bundle in bundles],
        },
        known=training.known,
    )


def _check(members: Sequence[Location], bundles: Sequence[Bundle]) -> None:
    for uri, bundle in zip(members, bundles, strict=True):
        if bundle.input != bundles[0].input or bundle.classes != bundles[0].classes:
            raise InputError(
                f"{uri}: can't be averaged with {members[0]}, which takes another input or gives other classes"
            )


def _predict(model: Any, inputs: Inputs, rows: npt.NDArray[np.int64], scores: npt.NDArray[np.float32]) -> None:
    """Fill in the scores of some rows; not all their pictures are in memory at once."""
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        scores[some] = predict(model, inputs.take(some), _BATCH)


def _logits(scores: npt.NDArray[np.float32], multilabel: bool) -> npt.NDArray[np.float64]:
    safe = np.clip(scores.astype(np.float64), 1e-12, 1 - 1e-12 if multilabel else 1)
    return np.asarray(np.log(safe) - np.log1p(-safe) if multilabel else np.log(safe))


def fold_metrics(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each metric of the folds' validation parts, with mean and spread (standard deviation).

    Args:
        evaluations: The folds' `evaluation.json`, in order.
    """
    metrics = {}
    for name in METRICS:
        values = [metric(evaluation["validation"]["artwork"], name) for evaluation in evaluations]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            spread = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
            metrics[name] = {"mean": round(float(np.mean(known)), 4), "spread": round(spread, 4), "values": known}
    return {"n": len(evaluations), "figures": metrics}
