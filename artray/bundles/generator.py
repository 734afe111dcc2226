"""A generator bundle: a folder with `generator.keras` and `generator.json`, all that sampling needs to know.

Besides these two it holds `discriminator.keras`, `history.json` (the metrics of every epoch), `samples/`: the pictures
of the same latents after each epoch, `samples.webp`, which shows them one after the other, and, once it is scored,
`scores.json`. With conditions `descriptions.parquet` holds those of some training works: what samples are asked for as,
unless the user says. `generator.json` is written last: a folder without it is no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from artray.bundles.conditions import Condition, Vectors
from artray.bundles.description import AnyBundle, Names, read_description, write_description, write_history
from artray.bundles.keras_files import load_keras
from artray.errors import InputError
from artray.storage import Location

BUNDLE = "generator.json"
GENERATOR = "generator.keras"
DISCRIMINATOR = "discriminator.keras"
SAMPLES = "samples"
ANIMATION = "samples.webp"
SCORES = "scores.json"
DESCRIPTIONS = "descriptions.parquet"

Distribution: TypeAlias = Literal["normal", "uniform"]
"""Of the numbers in a latent; normal: of mean 0 and deviation 1, uniform: from -1 to 1."""


class GeneratorBundle(AnyBundle):
    """`generator.json`.

    Attributes:
        size: Side of the pictures in pixels.
        latent_size: Numbers in a latent; `codes` in bundles of 0.1.
        distribution: From which they are drawn (see `artray.gans.latents`).
        classes: Labels in the order of the generator's second input, which is one-hot; empty if it has none.
        conditions: What pictures can be asked for by, in the order of the second input, where that is a description;
            none in bundles with classes, and in those of before.
        data: `train` pictures, of which `dropped` were left out and why; `fingerprint` of them, `source` of the data
            set.
    """

    size: int = Field(ge=1, le=8192)
    latent_size: int = Field(ge=1, le=65_536)
    distribution: Distribution
    classes: Names
    conditions: list[Condition] = Field([], max_length=1000)
    generator_sha: str
    discriminator_sha: str

    @model_validator(mode="before")
    @classmethod
    def _in_the_words_of_today(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {"latent_size" if key == "codes" else key: value for key, value in values.items()}

    @model_validator(mode="after")
    def _has_one_second_input(self) -> GeneratorBundle:
        if self.classes and self.conditions:
            raise ValueError("it has classes and conditions")
        return self


def load_generator_bundle(uri: Location) -> GeneratorBundle:
    """What a generator bundle says of itself.

    Raises:
        InputError: It is not one, or one that this release can't use.
    """
    return read_description(uri, BUNDLE, GeneratorBundle, "generator")


def load_generator(uri: Location, bundle: GeneratorBundle) -> Any:
    """The bundle's generator, checked to be the one that `generator.json` was written for.

    Inputs: latents (n, latent_size) float32, and with classes labels (n, classes), one-hot, or with conditions
    descriptions (n, width). Output: (n, size, size, 3)
    float32 RGB 0..255.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    return load_keras(uri, GENERATOR, bundle.generator_sha, BUNDLE)


def is_scored(uri: Location) -> bool:
    """Whether somebody has scored a bundle's generator."""
    return (uri / SCORES).exists()


def read_scores(uri: Location) -> dict[str, Any]:
    """How good a bundle's generator is (see `artray.gans.scores`).

    Raises:
        InputError: It was not scored.
    """
    scores: dict[str, Any] = (uri / SCORES).read_json()
    return scores


def write_scores(uri: Location, scores: Mapping[str, Any], bundle: GeneratorBundle) -> None:
    """Write a generator's scores, and what its bundle says of itself since."""
    (uri / SCORES).write_json(scores)
    write_description(uri, BUNDLE, bundle)


def read_descriptions(uri: Location, bundle: GeneratorBundle) -> Vectors:
    """The descriptions of some training works, (n, width); (0, 0) for a bundle without conditions.

    Raises:
        InputError: They are not what the bundle's conditions say.
    """
    if not bundle.conditions:
        return np.zeros((0, 0), np.float32)
    width = sum(condition.width for condition in bundle.conditions)
    table = pq.read_table(pa.BufferReader((uri / DESCRIPTIONS).read_bytes()))
    try:
        vectors = np.array(table["description"].to_pylist(), np.float32)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"{uri}: {DESCRIPTIONS} can't be read: {str(error)[:200]}") from error
    if not len(vectors) or vectors.shape[1:] != (width,) or not np.isfinite(vectors).all():
        raise InputError(f"{uri}: {DESCRIPTIONS} does not hold descriptions of {width} numbers")
    return vectors


def save_generator_bundle(
    out: Location,
    bundle: GeneratorBundle,
    generator: bytes,
    discriminator: bytes,
    history: Sequence[Mapping[str, Any]],
    *,
    descriptions: Vectors | None = None,
) -> None:
    """Write a bundle's files, `generator.json` last.

    Args:
        out: Folder or s3:// prefix.
        bundle: What it says of itself; its `generator_sha` and `discriminator_sha` are the networks' digests.
        generator: The Keras file.
        discriminator: Likewise.
        history: The metrics of each epoch.
        descriptions: (n, width) of some training works, where there are conditions.
    """
    if descriptions is not None:
        (out / DESCRIPTIONS).write_table(
            pa.table({"description": pa.array(list(descriptions), pa.list_(pa.float32()))})
        )
    (out / GENERATOR).write_bytes(generator)
    (out / DISCRIMINATOR).write_bytes(discriminator)
    write_history(out, history)
    write_description(out, BUNDLE, bundle)
