"""Keras models as files of a bundle."""

from __future__ import annotations

import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

import artray
from artray.errors import InputError
from artray.storage import Location, digest


def keras_file(model: Any) -> bytes:
    """A Keras model as the bytes of a `.keras` file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        model.save(file)
        return file.read_bytes()


def load_keras(uri: Location, name: str, sha: str, told_by: str) -> Any:
    """A bundle's Keras file, in safe mode.

    Args:
        uri: The bundle.
        name: The file's.
        sha: What its digest must be.
        told_by: The file that says so.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    import keras

    data = (uri / name).read_bytes()
    if digest(data) != sha:
        raise InputError(f"{uri}: {name} is not the one {told_by} was written for")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(data)
        try:
            return keras.models.load_model(file, compile=False, safe_mode=True)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{uri}: {name} can't be loaded safely: {reason}") from error


def versions() -> dict[str, str]:
    """What a bundle was made with."""
    return {"artray": artray.__version__, **{name: metadata.version(name) for name in ("keras", "tensorflow")}}
