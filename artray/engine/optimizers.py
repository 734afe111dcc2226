"""Keras optimizers from a config."""

from __future__ import annotations

from typing import Any

from artray.classifiers.config import OptimizerConfig
from artray.errors import InputError


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
