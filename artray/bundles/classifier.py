"""A model bundle: a folder with `model.keras` and `bundle.json`, all that labelling needs to know.

Besides these two it holds what people want to see of a model: `evaluation.json` and `predictions.parquet` (every
labelled artwork with its true label, part and scores) and `history.json`. `bundle.json` is written last: a folder
without it is no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from artray.bundles.description import (
    TASK,
    AnyBundle,
    check_names,
    read_description,
    write_description,
    write_history,
)
from artray.bundles.inputs import BundleInput
from artray.bundles.keras_files import load_keras
from artray.bundles.novelty import NOVELTY, Novelty, read_novelty
from artray.bundles.thresholds import deciding, doubt_of
from artray.catalogs.targets import Labels
from artray.storage import Location

BUNDLE = "bundle.json"
MODEL = "model.keras"
EVALUATION = "evaluation.json"
PREDICTIONS = "predictions.parquet"

Decision: TypeAlias = Literal["likely", "balanced"]
"""Which label is said of a work of one: the most likely, or that whose score is the largest multiple of its share."""


class BundleClass(BaseModel):
    """One class.

    Attributes:
        name: Its label as in the catalogue.
        uri: Of its concept, in the Getty's AAT or the museum's own thesaurus; None: not known.
        equivalents: URIs of the same concept elsewhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    uri: str | None = None
    equivalents: tuple[str, ...] = ()

    @model_serializer(mode="wrap")
    def _as_before(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = dump(self)
        if not self.equivalents:  # what is known of a bundle by its digest stays
            del told["equivalents"]
        return told


class Bundle(AnyBundle):
    """`bundle.json`. A bundle may be a stranger's: what becomes a path or a column's name is checked here.

    Attributes:
        labels: How many labels a work may have, as in the config. Bundles of before say so in their config only.
        thresholds: Where it may have several: by class, from which score on it is said.
        decision: Of one label, whether it is the most likely, or the one whose score is the largest multiple of its
            share (balanced).
        shares: By class, the mix of classes under which scores are probabilities: that of the training part. Bundles
            of before don't say it.
        novelty_sha: The digest of the arrays that tell how little a work looks like any class; None: there are none.
    """

    task: str = Field(pattern=TASK)
    target: str
    classes: list[BundleClass] = Field(min_length=1)
    input: BundleInput
    temperature: float = Field(gt=0, allow_inf_nan=False)
    model_sha: str
    labels: Labels = "one"
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    decision: Decision = "likely"
    shares: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    novelty_sha: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _labels_of_the_config(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "labels" in values or not isinstance(values.get("config"), dict):
            return values
        told = values["config"].get("labels", "one")
        return {**values, "labels": "multilabel" if told == "several" else told}  # so called by 0.1

    @field_validator("metrics", mode="before")
    @classmethod
    def _in_the_words_of_today(cls, metrics: Any) -> Any:
        if not isinstance(metrics, dict):
            return metrics
        return {"fold_ensemble" if name == "bagged" else name: value for name, value in metrics.items()}  # 0.1

    @field_validator("classes")
    @classmethod
    def _have_names(cls, classes: list[BundleClass]) -> list[BundleClass]:
        check_names([item.name for item in classes])
        return classes

    @model_validator(mode="after")
    def _thresholds_are_of_the_classes(self) -> Bundle:
        unknown = sorted(self.thresholds.keys() - {item.name for item in self.classes})
        if unknown:
            raise ValueError(f"thresholds: there is no class {unknown[0]!r}")
        if self.thresholds and not self.multilabel:
            raise ValueError(f"thresholds: are for labels: multilabel, not {self.labels}")
        return self

    @model_validator(mode="after")
    def _shares_are_of_all_classes(self) -> Bundle:
        if self.shares and self.shares.keys() != {item.name for item in self.classes}:
            raise ValueError("shares: must be of all classes, and of no other")
        if self.decision == "balanced" and (not self.shares or self.multilabel):
            raise ValueError("decision: balanced needs the classes' shares, and works of one label")
        return self

    @property
    def multilabel(self) -> bool:
        """Whether a work may have several labels, each said for itself."""
        return self.labels == "multilabel"

    @property
    def doubt(self) -> str | None:
        """Why nothing that the model says can be relied on; None where it is better than chance (see `doubt_of`)."""
        tested = self.metrics.get("test")
        return doubt_of(tested) if isinstance(tested, dict) else None

    def class_thresholds(self) -> npt.NDArray[np.float32]:
        """From which score on each class is said where a work may have several: (classes,).

        Where it has one label, it is that whose score is the largest multiple of its number here.
        """
        names = [item.name for item in self.classes]
        told = deciding(names, self.thresholds, decision=self.decision, shares=self.class_shares())
        return told.astype(np.float32)

    def class_shares(self) -> npt.NDArray[np.float64] | None:
        """The mix of classes under which scores are probabilities, (classes,) of sum 1; None where it is not known."""
        if not self.shares:
            return None
        shares = np.array([self.shares[item.name] for item in self.classes], np.float64)
        return np.asarray(shares / shares.sum())


def load_bundle(uri: Location) -> Bundle:
    """What a bundle says of itself.

    Raises:
        InputError: It is not a bundle, or one that this release can't use.
    """
    return read_description(uri, BUNDLE, Bundle, "model")


def load_model(uri: Location, bundle: Bundle) -> Any:
    """The bundle's Keras model, checked to be the one that `bundle.json` was written for.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    return load_keras(uri, MODEL, bundle.model_sha, BUNDLE)


def load_novelty(uri: Location, bundle: Bundle) -> Novelty | None:
    """What tells how little a work looks like any of the bundle's classes; None where it knows nothing of it.

    Raises:
        InputError: It is damaged, or was replaced.
    """
    return None if bundle.novelty_sha is None else read_novelty(uri, bundle.novelty_sha, len(bundle.classes))


def read_evaluation(uri: Location) -> dict[str, Any]:
    """How good a bundle's model is on works it never saw (see `artray.classifiers.evaluation`)."""
    evaluation: dict[str, Any] = (uri / EVALUATION).read_json()
    return evaluation


def read_predictions(uri: Location, columns: Sequence[str] | None = None) -> pa.Table:
    """What is true of each labelled work, and what was said of it; all columns unless some are named."""
    return (uri / PREDICTIONS).dataset().to_table(columns=None if columns is None else list(columns))


def works_of_training(uri: Location, bundle: Bundle) -> pa.Array | None:
    """The ids of the works that a bundle's model was made with; None where it doesn't say.

    These are the training part's, from which the weights are, and the validation part's, by which settings were chosen
    (a model that is solved for has learned from both); of a finalized model all.
    """
    if not (uri / PREDICTIONS).is_file():
        return None
    table = read_predictions(uri, ["object_id", "part"])
    if not bundle.metrics.get("finalized"):
        table = table.filter(pc.not_equal(table["part"], "test"))
    return pc.unique(table["object_id"])


def save_bundle(
    out: Location,
    bundle: Bundle,
    model: bytes,
    *,
    evaluation: Mapping[str, Any],
    predictions: pa.Table,
    history: Sequence[Mapping[str, Any]],
    novelty: bytes | None = None,
) -> None:
    """Write a bundle's files, `bundle.json` last.

    Args:
        out: Folder or s3:// prefix.
        bundle: What it says of itself; its `model_sha` is the model's digest.
        model: The Keras file.
        evaluation: For `evaluation.json`.
        predictions: For `predictions.parquet`.
        history: The metrics of each epoch.
        novelty: The file of `novelty_sha`.
    """
    if novelty is not None:
        (out / NOVELTY).write_bytes(novelty)
    (out / MODEL).write_bytes(model)
    told = {"model_id": bundle.model_id, **evaluation}
    (out / EVALUATION).write_json(told)
    write_history(out, history)
    (out / PREDICTIONS).write_table(predictions)
    write_description(out, BUNDLE, bundle)
