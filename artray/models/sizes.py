"""The side of the pictures that a backbone looks at, without loading it, or Keras."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from artray.models import EMBEDDED

_USUAL = 224


def backbone_size(name: str) -> int:
    """The side in pixels at which pictures are decoded for a backbone, where nobody says another.

    Args:
        name: One with weights of its own, a `.keras` file, the folder of a preset of keras-hub, or any other, for which
            it is the usual 224.
    """
    if name in EMBEDDED:
        return EMBEDDED[name]
    try:
        if name.endswith(".keras"):
            with zipfile.ZipFile(name) as archive:
                size = _input_shape(json.loads(archive.read("config.json")))
        else:
            config = json.loads((Path(name) / "config.json").read_text(encoding="utf-8"))
            size = _image_shape(config)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile):  # it is said by whoever loads it
        return _USUAL
    return size if isinstance(size, int) else _USUAL


def _input_shape(config: Any) -> Any:
    """Of the first layer of a functional model."""
    try:
        return config["config"]["layers"][0]["config"]["batch_shape"][1]
    except (IndexError, KeyError, TypeError):
        return None


def _image_shape(config: Any) -> Any:
    """Of a preset in Keras' format, or in that of Hugging Face."""
    waiting = [config]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            shape, size = item.get("image_shape"), item.get("image_size")
            if isinstance(shape, list) and len(shape) == 3:
                return shape[0]
            if isinstance(size, int):
                return size
            waiting += item.values()
    return None
