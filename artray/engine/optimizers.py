"""Keras optimizers from a config."""

from __future__ import annotations

import difflib
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from artray.errors import InputError


class OptimizerConfig(BaseModel):
    """A Keras optimizer; all other keys are its keyword arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)

    @model_validator(mode="after")
    def _no_slip_of_the_pen(self) -> OptimizerConfig:
        for key in self.model_extra or {}:
            if near := difflib.get_close_matches(key, type(self).model_fields, n=1, cutoff=0.8):
                raise ValueError(f"{key}: unknown key; did you mean {near[0]}?")
        return self

    def settings(self) -> dict[str, Any]:
        """The optimizer's keyword arguments."""
        return {"learning_rate": self.learning_rate, **(self.model_extra or {})}


def optimizer(config: OptimizerConfig, key: str = "optimizer") -> Any:
    """The optimizer, unbuilt.

    Args:
        config: Its name and arguments.
        key: The config's key, for messages.

    Raises:
        InputError: It does not take these arguments.
    """
    import keras

    try:
        return keras.optimizers.get({"class_name": config.name, "config": config.settings()})
    except (TypeError, ValueError) as error:
        raise InputError(f"{key}: {config.name}: {' '.join(str(error).split())[:200]}") from error
