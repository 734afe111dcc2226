"""What a training config says; `artray/configs/` holds one YAML file a published system."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from artray import console
from artray.bundles.classifier import Decision
from artray.bundles.description import TASK
from artray.catalogs.targets import Labels
from artray.engine.arithmetic import Compile, Precision
from artray.engine.augmentation import Augmentation
from artray.engine.optimizers import OptimizerConfig
from artray.engine.schedules import Schedule, Shape
from artray.engine.sparsity import PruningConfig
from artray.errors import InputError
from artray.job import Options, read_config_file

Monitor: TypeAlias = Literal["validation_loss", "validation_accuracy", "validation_balanced_accuracy"]
"""Metrics of an epoch by which training can be steered; the loss is better when lower, the others when higher."""


Input: TypeAlias = Literal["features", "patches", "pictures"]

ClassWeights: TypeAlias = Literal["balanced"] | dict[str, float] | None


class ModelConfig(BaseModel):
    """`name` of a classifier in `artray.models.classifiers`; all other keys are its keyword arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    def settings(self) -> dict[str, Any]:
        """The classifier's keyword arguments."""
        return dict(self.model_extra or {})


class EarlyStopping(BaseModel):
    """When to stop before the last epoch.

    Attributes:
        metric: What must improve; default: the config's `monitor`.
        patience: For how many epochs it may fail to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: Monitor | None = None
    patience: int = Field(10, ge=1)


@dataclass(frozen=True, kw_only=True)
class ExamplesConfig:
    """Which examples are learned from: those keys of a `TrainConfig` on which they depend, described there."""

    task: str
    target: str
    labels: Labels
    classes: list[str] | None
    input: Input
    columns: list[str]
    colormaps: bool
    size: int
    folds: int | None
    fold: int
    repeat: int = 0
    learn_from: float = 1.0
    draw: int = 0


class TrainConfig(Options):
    """One experiment: what is learned, from what, by which model and how."""

    task: str = Field(pattern=TASK, description="name of the labels, as in `task=NAME/`")
    target: str = Field(description="the catalogue column that holds the true label")
    vocabulary: str | None = Field(
        None,
        description="what tells the labels' concepts: a vocabulary's name, or a YAML, CSV or SKOS file, such as the "
        "museum's own thesaurus; default: the one that is called like the target column, if there is one",
    )
    labels: Labels = Field(
        "one",
        description="what a cell of the target column holds; default: multilabel for a column of lists, as ingest "
        "makes them of cells with several values, else one. one: a label. multilabel: several, separated by `;`, or a "
        "list, each learned for itself (sigmoid). soft: shares of labels that several people gave: `sad: 2; calm: 1`, "
        "a JSON object, a map, or a list with a label a person",
    )
    classes: list[str] | None = Field(None, description="which labels, in order; default all of the training part")
    other: Literal["leave", "learn"] = Field(
        "leave",
        description="works of the catalogue whose label is none of `classes`. learn: models that are solved for learn "
        "from those of the training and validation part what is none of the classes, for `novelty`",
    )
    input: Input
    columns: list[str] = Field(
        ["embedding"],
        description="feature columns, where input is features. `[all]`: every group that the table has: the style "
        "statistics, or where it has none the embedding; brightness, texture and palette",
    )
    colormaps: bool = Field(
        False,
        description="add `color_map_distances` to the columns: distances (B4) of a work's colour map to one reference "
        "map a class, learned from the training part and kept in the bundle",
    )
    size: int = Field(64, ge=8, le=1024, description="side at which the model sees a picture or patch")
    folds: int | None = Field(
        None, ge=2, description="deal training and validation part anew into so many folds, by group; the test stays"
    )
    fold: int = Field(0, ge=0, description="which of the folds is the validation part, from 0")
    repeat: int = Field(0, ge=0, description="which of several ways to deal the folds: another number, other folds")
    learn_from: float = Field(
        1.0,
        gt=0,
        le=1,
        description="the share of the labelled works, of each class and part, that is learned from; the test stays",
    )
    draw: int = Field(
        0, ge=0, description="by which lot these are drawn; a larger share has the works of a smaller one"
    )
    model: ModelConfig
    freeze: list[str] = Field(
        [],
        description="layers that don't learn, by name or pattern (`block1_*`); a model inside the model has a name too",
    )
    unfreeze: dict[int, list[str]] = Field(
        {},
        description="from the beginning of which epoch (1 …) which layers learn after all: `{6: [block7*], 11: ['*']}`",
    )
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    schedule: Shape = Field(
        "constant",
        description="of the learning rate. cosine: down to 0 at the last epoch. step: times `decay` every "
        "`decay_epochs`. plateau: times `decay` whenever `monitor` has not improved for `decay_epochs`",
    )
    warmup_epochs: float = Field(0.0, ge=0, description="in which the learning rate rises from 0, before the schedule")
    decay: float = Field(0.1, gt=0, lt=1)
    decay_epochs: int = Field(10, ge=1)
    batch_size: int = Field(64, ge=1, description="of all workers together")
    accumulate: int = Field(
        1,
        ge=1,
        description="compute each batch in so many pieces, to need less memory. The update stays the same, unless the "
        "model has batch normalisation that learns: its statistics are those of each piece, not of the batch",
    )
    clip_norm: float | None = Field(None, gt=0, description="the longest that the gradient of a batch may be")
    epochs: int = Field(20, ge=1)
    precision: Precision = Field(
        "auto",
        description="of the computation; weights are float32 always. auto: bfloat16 where XLA compiles the steps for "
        "GPUs that compute it fast, else float32",
    )
    compile: Compile = Field(
        "auto",
        description="whether XLA compiles the steps. auto: on one GPU, if it can, 4,000 steps and more",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: ClassWeights = Field(
        None,
        description="how much a class's examples count in the loss. balanced: each class as much as any other. Or "
        "`{name: weight}`, 1 for the rest. With several labels: how much having a label counts against not having it",
    )
    decision: Decision = Field(
        "likely",
        description="which label a work gets. likely: the one with the highest score, so that most labels are right. "
        "balanced: the one whose score is the largest multiple of its share of the training part, so that rare classes "
        "are found as often as common ones. Its score is the probability that it is right, in both cases",
    )
    precision_target: float = Field(
        0.9,
        ge=0.5,
        lt=1,
        description="labels are said from the score on at which so many are right, with 95 % confidence; the rest is "
        "uncertain",
    )
    sampling: Literal["all", "balanced"] = Field(
        "all", description="an epoch's examples. balanced: as many again, but of each class the same number"
    )
    augment: Augmentation = Field(default_factory=Augmentation, description="of pictures and patches, in training only")
    test_time_flip: bool = Field(
        False, description="the bundle's model looks at each picture and its mirror image; evaluated so too"
    )
    ema: float | None = Field(
        None, gt=0, lt=1, description="evaluate and keep the weights' moving average, with this momentum (0.999)"
    )
    pruning: PruningConfig | None = Field(
        None,
        description="set the smallest weights to 0 on the way: `{target: 0.5}` in the end; `scope` layer or global, "
        "`begin` and `end` as shares of the training, `skip_last`, `skip_frozen`, `skip`",
    )
    monitor: Monitor = Field("validation_loss", description="which metric says what the best epoch is")
    early_stopping: EarlyStopping | None = Field(None, description="`{patience: 10}`, `metric` if not `monitor`")
    checkpoint_steps: int | None = Field(
        None, ge=1, description="a checkpoint after so many batches too, for epochs that take long"
    )
    seed: int = Field(0, ge=0)

    @field_validator("labels", mode="before")
    @classmethod
    def _in_the_words_of_today(cls, labels: object) -> object:
        return "multilabel" if labels == "several" else labels  # configs of 0.1, and those in its bundles

    @model_validator(mode="after")
    def _fits_together(self) -> TrainConfig:
        if self.input == "features" and not self.columns and not self.colormaps:
            raise ValueError("columns: at least one is needed")
        if self.colormaps and self.input != "features":
            raise ValueError(f"colormaps: needs input: features, not {self.input}")
        if self.folds is not None and self.fold >= self.folds:
            raise ValueError(f"fold: {self.folds} folds are numbered 0 to {self.folds - 1}")
        if self.sampling == "balanced" and self.multilabel:
            raise ValueError("sampling: balanced is for examples of one class; with several labels use class_weights")
        if self.decision == "balanced" and self.multilabel:
            raise ValueError("decision: balanced is for works of one label; of several each has a threshold of its own")
        if isinstance(self.class_weights, dict) and not all(
            0 <= weight < math.inf for weight in self.class_weights.values()
        ):
            raise ValueError("class_weights: a weight must be a number from 0 on")
        if any(epoch < 1 for epoch in self.unfreeze):
            raise ValueError("unfreeze: epochs count from 1")
        return self

    @property
    def multilabel(self) -> bool:
        """Whether a work may have several labels, each learned for itself."""
        return self.labels == "multilabel"

    @property
    def examples(self) -> ExamplesConfig:
        """Which examples are learned from."""
        return ExamplesConfig(**{key.name: getattr(self, key.name) for key in fields(ExamplesConfig)})

    @property
    def learning_rates(self) -> Schedule:
        """How the learning rate changes."""
        return Schedule(
            highest=self.optimizer.learning_rate,
            epochs=self.epochs,
            shape=self.schedule,
            warmup_epochs=self.warmup_epochs,
            decay=self.decay,
            decay_epochs=self.decay_epochs,
            monitor=self.monitor,
        )


def read_config(file: str, changes: Mapping[str, str], task: str | None = None) -> TrainConfig:
    """A config, by name or file, with changes from the command line (`optimizer.learning_rate=0.01`).

    Args:
        file: A packaged config's name, or a path.
        changes: Values in YAML by their key.
        task: Of another task than the config's own: the name of the labels, and of the column that holds them.

    Raises:
        InputError: There is no such config, it can't be read, or a key or value is not one.
    """
    if task is None:
        return read_config_file(TrainConfig, file, changes)
    if not re.fullmatch(TASK, task):
        raise InputError(
            f"--task {task}: a task's name is of a-z, 0-9, _ and -; for a column of another name give both, as in "
            f"--set task=name --set 'target={task}'"
        )
    return read_config_file(TrainConfig, file, {"task": json.dumps(task), "target": json.dumps(task), **changes})


def labels_found(config: TrainConfig, data: pa.Schema) -> dict[str, str]:
    """What a config leaves open of its labels, said by the column that it is about: changes for `read_config`.

    Args:
        config: As it was read.
        data: The columns of what it learns from.
    """
    column = data.get_field_index(config.target)
    if "labels" in config.model_fields_set or column < 0:
        return {}
    kind = data.field(column).type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)) or not pa.types.is_string(kind.value_type):
        return {}
    console.say(f"{config.target}: the column holds lists, so a work may have several labels (labels: multilabel)")
    return {"labels": "multilabel"}
