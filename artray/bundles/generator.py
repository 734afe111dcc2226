"""A generator bundle: a folder with `generator.keras` and `generator.json`, all that sampling needs to know.

Besides these two it holds `discriminator.keras`, `history.json` (the metrics of every epoch), and `samples/`: the
pictures of the same latents after each epoch, and `samples.webp`, which shows them one after the other.
`generator.json` is written last: a folder without it is no bundle.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import model_validator

from artray.bundles.classifier import AnyBundle, Names, load_keras, read_bundle
from artray.storage import Location

BUNDLE = "generator.json"
GENERATOR = "generator.keras"
DISCRIMINATOR = "discriminator.keras"
HISTORY = "history.json"
SAMPLES = "samples"
ANIMATION = "samples.webp"

Distribution: TypeAlias = Literal["normal", "uniform"]
"""Of the numbers in a latent."""


class GeneratorBundle(AnyBundle):
    """`generator.json`.

    Attributes:
        size: Side of the pictures in pixels.
        latent_size: Numbers in a latent; `codes` in bundles of 0.1.
        distribution: From which they are drawn (see `artray.gans.latents`).
        classes: Labels in the order of the generator's second input, which is one-hot; empty if it has none.
        data: `train` pictures, of which `dropped` were left out and why; `fingerprint` of them, `source` of the data
            set.
    """

    size: int
    latent_size: int
    distribution: Distribution
    classes: Names
    generator_sha: str
    discriminator_sha: str

    @model_validator(mode="before")
    @classmethod
    def _in_the_words_of_today(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {"latent_size" if key == "codes" else key: value for key, value in values.items()}


def load_generator_bundle(uri: Location) -> GeneratorBundle:
    """What a generator bundle says of itself.

    Raises:
        InputError: It is not one, or one that this release can't use.
    """
    return read_bundle(uri, BUNDLE, GeneratorBundle, "generator")


def load_generator(uri: Location, bundle: GeneratorBundle) -> Any:
    """The bundle's generator, checked to be the one that `generator.json` was written for.

    Inputs: latents (n, latent_size) float32, and with classes labels (n, classes), one-hot. Output: (n, size, size, 3)
    float32 RGB 0..255.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    return load_keras(uri, GENERATOR, bundle.generator_sha, BUNDLE)
