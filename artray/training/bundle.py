"""A model bundle: a folder with `model.keras` and `bundle.json`, all that labelling needs to know.

Besides these two it holds what people want to see of a model: `evaluation.json` and `predictions.parquet` (every
labelled artwork with its true label, part and scores) and `history.json`. `bundle.json` is written last: a folder
without it is no bundle.
"""

from __future__ import annotations

import json
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from artray.collection import storage
from artray.collection.decoding import DECODE_VERSION
from artray.errors import InputError

BUNDLE = "bundle.json"
MODEL = "model.keras"


TASK = r"^[a-z0-9][a-z0-9_-]*$"
"""What a task may be called: it becomes a part of files' and folders' names."""


def check_names(names: Sequence[str]) -> Sequence[str]:
    """The names of classes, if all can be told apart, also on a terminal and in a file of lines.

    Raises:
        ValueError: One is empty, holds control characters or stands there twice.
    """
    for name, number in Counter(names).items():
        if not name.strip():
            raise ValueError("a class without a name")
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
            raise ValueError(f"the class {name!a}: line breaks or other control characters in its name")
        if number > 1:
            raise ValueError(f"the class {name!r} stands there {number} times")
    return names


Names = Annotated[list[str], AfterValidator(check_names)]
"""The names of a bundle's classes."""


class Class(BaseModel):
    """One class: its label as in the catalogue, and its AAT URI where one is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    uri: str | None = None


class AnyBundle(BaseModel):
    """What every kind of bundle says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    model_id: str
    decode_version: int
    data: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, Any]
    versions: dict[str, str]
    created_at: str


BundleT = TypeVar("BundleT", bound=AnyBundle)


class Bundle(AnyBundle):
    """`bundle.json`. A bundle may be a stranger's: what becomes a path or a column's name is checked here."""

    task: str = Field(pattern=TASK)
    target: str
    classes: list[Class] = Field(min_length=1)
    input: dict[str, Any]
    temperature: float = Field(gt=0, allow_inf_nan=False)
    model_sha: str

    @field_validator("classes")
    @classmethod
    def _have_names(cls, classes: list[Class]) -> list[Class]:
        check_names([item.name for item in classes])
        return classes


def load_bundle(uri: str) -> Bundle:
    """What a bundle says of itself.

    Raises:
        InputError: It is not a bundle, or one that this release can't use.
    """
    return read_bundle(uri, BUNDLE, Bundle, "model")


def read_bundle(uri: str, file: str, bundle_type: type[BundleT], kind: str) -> BundleT:
    """What a bundle of any kind says of itself; it has a `decode_version`.

    Args:
        uri: The bundle.
        file: Its JSON file.
        bundle_type: What that must hold.
        kind: What people are told that it is not.

    Raises:
        InputError: It is not one, or one that this release can't use.
    """
    try:
        text = storage.read_bytes(storage.join(uri, file))
    except InputError as error:
        raise InputError(f"{uri}: not a {kind} bundle: {file}: {str(error).rsplit(': ', 1)[-1]}") from error
    try:
        bundle = bundle_type.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        reason = fault["msg"].removeprefix("Value error, ")
        raise InputError(f"{uri}: not a {kind} bundle of this release: {file}: {where}: {reason}") from error
    if bundle.decode_version != DECODE_VERSION:
        raise InputError(
            f"{uri}: was trained on pictures of decode version {bundle.decode_version}, this release has "
            f"{DECODE_VERSION}: train it again"
        )
    return bundle


def made_from(bundle: AnyBundle, config: BaseModel, source: str) -> bool:
    """Whether a bundle is what this config makes of the data set with this fingerprint."""
    try:
        return type(config).model_validate(bundle.config) == config and bundle.data["source"] == source
    except ValidationError:  # the config of another release
        return False


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
