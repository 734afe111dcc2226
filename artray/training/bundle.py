"""A model bundle: a folder with `model.keras` and `bundle.json`, all that labelling needs to know.

Besides these two it holds what people want to see of a model: `evaluation.json` and `predictions.parquet` (every
labelled artwork with its true label, part and scores) and `history.json`. `bundle.json` is written last: a folder
without it is no bundle.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from artray.collection import storage
from artray.collection.decoding import DECODE_VERSION
from artray.errors import InputError

BUNDLE = "bundle.json"
MODEL = "model.keras"


class Class(BaseModel):
    """One class: its label as in the catalogue, and its AAT URI where one is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    uri: str | None = None


class Bundle(BaseModel):
    """`bundle.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    model_id: str
    task: str
    target: str
    classes: list[Class]
    input: dict[str, Any]
    decode_version: int
    temperature: float
    model_sha: str
    data: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, Any]
    versions: dict[str, str]
    created_at: str


def load_bundle(uri: str) -> Bundle:
    """What a bundle says of itself.

    Raises:
        InputError: It is not a bundle, or one that this release can't use.
    """
    try:
        text = storage.read_bytes(storage.join(uri, BUNDLE))
    except InputError as error:
        raise InputError(f"{uri}: not a model bundle: {BUNDLE}: {str(error).rsplit(': ', 1)[-1]}") from error
    try:
        bundle = Bundle.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        raise InputError(f"{uri}: not a model bundle of this release: {BUNDLE}: {where}: {fault['msg']}") from error
    if bundle.decode_version != DECODE_VERSION:
        raise InputError(
            f"{uri}: was trained on pictures of decode version {bundle.decode_version}, this release has "
            f"{DECODE_VERSION}: train it again"
        )
    return bundle


def load_model(uri: str, bundle: Bundle) -> Any:
    """The bundle's Keras model, checked to be the one that `bundle.json` was written for.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    return load_keras(uri, MODEL, bundle.model_sha, BUNDLE)


def load_keras(uri: str, name: str, sha: str, told_by: str) -> Any:
    """A bundle's Keras file, in safe mode.

    Args:
        uri: The bundle.
        name: The file's.
        sha: What its fingerprint must be.
        told_by: The file that says so.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    import keras

    data = storage.read_bytes(storage.join(uri, name))
    if storage.fingerprint(data) != sha:
        raise InputError(f"{uri}: {name} is not the one {told_by} was written for")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(data)
        try:
            return keras.models.load_model(file, compile=False, safe_mode=True)
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{uri}: {name} can't be loaded safely: {reason}") from error


def read_json(uri: str, name: str) -> dict[str, Any]:
    """One of the bundle's JSON files."""
    values: dict[str, Any] = json.loads(storage.read_bytes(storage.join(uri, name)))
    return values
