"""What a training config says; `jobs/configs/` holds one YAML file a published system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from artray.errors import InputError
from artray.job import Options, read_yaml, validate
from artray.training.augmentation import Augmentation


class ModelConfig(BaseModel):
    """`name` of a classifier in `artray.models.classifiers`; all other keys are its keyword arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    def settings(self) -> dict[str, Any]:
        """The classifier's keyword arguments."""
        return dict(self.model_extra or {})


class OptimizerConfig(BaseModel):
    """A Keras optimizer; all other keys are its keyword arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)

    def settings(self) -> dict[str, Any]:
        """The optimizer's keyword arguments."""
        return {"learning_rate": self.learning_rate, **(self.model_extra or {})}


class TrainConfig(Options):
    """One experiment: what is learned, from what, by which model and how."""

    task: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", description="name of the labels, as in `task=NAME/`")
    target: str = Field(description="the catalogue column that holds the true label")
    classes: list[str] | None = Field(None, description="which labels, in order; default all of the training part")
    input: Literal["features", "patches", "pictures"]
    columns: list[str] = Field(["embedding"], min_length=1, description="feature columns, where input is features")
    size: int = Field(64, ge=8, le=1024, description="side at which the model sees a picture or patch")
    model: ModelConfig
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    batch_size: int = Field(64, ge=1, description="of all workers together")
    epochs: int = Field(20, ge=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    augment: Augmentation = Field(default_factory=Augmentation, description="of pictures and patches, in training only")
    seed: int = Field(0, ge=0)


def read_config(file: str, changes: Mapping[str, str]) -> TrainConfig:
    """A config file with changes from the command line (`optimizer.learning_rate=0.01`).

    Raises:
        InputError: The file can't be read, or a key or value is not one.
    """
    values = read_yaml(file)
    for path, text in changes.items():
        *parents, key = path.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise InputError(f"--set {path}: {parent} is not a mapping in {file}")
        try:
            place[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--set {path}={text}: not a YAML value") from error
    return validate(TrainConfig, values, source=file)
