"""Keras optimizers from a config."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from artray.errors import InputError


class OptimizerConfig(BaseModel):
    """A Keras optimizer; all other keys are its keyword arguments."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Literal["sgd", "rmsprop", "adam", "adamw"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)

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
