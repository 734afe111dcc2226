"""What every bundle says of itself, in a JSON file that is written last: a folder without it is no bundle."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from artray.errors import InputError
from artray.images.decoding import DECODE_VERSION, USABLE_VERSIONS
from artray.storage import Location

HISTORY = "history.json"

_COMPUTED = ("precision", "compile")  # keys of a config that say how

TASK = r"^[a-z0-9][a-z0-9_-]*$"
"""What a task may be called: it becomes a part of files' and folders' names."""


def check_names(names: Sequence[str]) -> Sequence[str]:
    """The names of classes, if all can be told apart, also on a terminal and in a file of lines.

    Raises:
        ValueError: One is empty, holds control characters or stands there twice.
    """
    for name, number in Counter(unicodedata.normalize("NFC", name) for name in names).items():
        if not name.strip():
            raise ValueError("a class without a name")
        if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
            raise ValueError(f"the class {name!a}: line breaks or other control characters in its name")
        if number > 1:
            raise ValueError(f"the class {name!r} stands there {number} times")
    return names


def refuse_bad_names(classes: Sequence[str], data: Location, target: str | None) -> None:
    """Say before anything is trained that a bundle can't have these classes (see `check_names`).

    Raises:
        InputError: It can't.
    """
    try:
        check_names(classes)
    except ValueError as error:
        raise InputError(f"{data}: column {target!r}: {error}; give it another in the catalogue") from error


Names = Annotated[list[str], AfterValidator(check_names)]
"""The names of a bundle's classes."""


class AnyBundle(BaseModel):
    """What every kind of bundle says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    schema_version: Literal[1] = 1
    model_id: str = Field(max_length=200, pattern=r"^\P{Cc}*$")  # it is shown, and stands in each label's row
    decode_version: int
    data: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, Any]
    versions: dict[str, str]
    created_at: str


BundleT = TypeVar("BundleT", bound=AnyBundle)


def read_description(uri: Location, file: str, bundle_type: type[BundleT], kind: str) -> BundleT:
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
        text = (uri / file).read_bytes()
    except InputError as error:
        raise InputError(f"{uri}: not a {kind} bundle: {file}: {str(error).rsplit(': ', 1)[-1]}") from error
    try:
        bundle = bundle_type.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "the file"
        reason = fault["msg"].removeprefix("Value error, ")
        raise InputError(f"{uri}: not a {kind} bundle of this release: {file}: {where}: {reason}") from error
    if bundle.decode_version not in USABLE_VERSIONS:
        raise InputError(
            f"{uri}: was trained on pictures of decode version {bundle.decode_version}, this release has "
            f"{DECODE_VERSION}: train it again"
        )
    return bundle


def write_description(uri: Location, file: str, bundle: AnyBundle) -> None:
    """Write what a bundle says of itself, so that people can read it too."""
    (uri / file).write_bytes(bundle.model_dump_json(indent=1).encode())


def made_from(bundle: AnyBundle, config: BaseModel, source: str) -> bool:
    """Whether a bundle is what this config makes of the data set with this digest.

    How it was computed is no difference where one of the two leaves it to the machine (`auto`).
    """
    try:
        earlier = type(config).model_validate(bundle.config)
    except ValidationError:  # the config of another release
        return False
    left = {key: "auto" for key in _COMPUTED if "auto" in (getattr(config, key, None), getattr(earlier, key, None))}
    same = earlier.model_copy(update=left) == config.model_copy(update=left)
    return same and bundle.data["source"] == source


def read_history(uri: Location) -> list[dict[str, Any]]:
    """The metrics of each epoch of a bundle's training."""
    history: list[dict[str, Any]] = (uri / HISTORY).read_json()
    return history


def write_history(uri: Location, history: Sequence[Mapping[str, Any]]) -> None:
    """Write the metrics of each epoch."""
    (uri / HISTORY).write_json(list(history))
