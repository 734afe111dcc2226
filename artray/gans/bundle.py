"""A generator bundle: a folder with `generator.keras` and `generator.json`, all that sampling needs to know.

Besides these two it holds `discriminator.keras`, `history.json` (the figures of every epoch), and `samples/`: the
pictures of the same codes after each epoch, and `samples.webp`, which shows them one after the other.
`generator.json` is written last: a folder without it is no bundle.
"""

from __future__ import annotations

from typing import Any

from artray.gans.codes import Distribution
from artray.training.bundle import AnyBundle, Names, load_keras, read_bundle

BUNDLE = "generator.json"
GENERATOR = "generator.keras"
DISCRIMINATOR = "discriminator.keras"
HISTORY = "history.json"
SAMPLES = "samples"
ANIMATION = "samples.webp"


class GeneratorBundle(AnyBundle):
    """`generator.json`.

    Attributes:
        size: Side of the pictures in pixels.
        codes: Numbers in a code.
        distribution: From which they are drawn (see `artray.gans.codes`).
        classes: Labels in the order of the generator's second input, which is one-hot; empty if it has none.
        data: `train` pictures, of which `dropped` were left out and why; `fingerprint` of them, `source` of the data
            set.
    """

    size: int
    codes: int
    distribution: Distribution
    classes: Names
    generator_sha: str
    discriminator_sha: str


def load_generator_bundle(uri: str) -> GeneratorBundle:
    """What a generator bundle says of itself.

    Raises:
        InputError: It is not one, or one that this release can't use.
    """
    return read_bundle(uri, BUNDLE, GeneratorBundle, "generator")


def load_generator(uri: str, bundle: GeneratorBundle) -> Any:
    """The bundle's generator, checked to be the one that `generator.json` was written for.

    Inputs: codes (n, codes) float32, and with classes labels (n, classes), one-hot. Output: (n, size, size, 3) float32
    RGB 0..255.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    return load_keras(uri, GENERATOR, bundle.generator_sha, BUNDLE)


def load_discriminator(uri: str, bundle: GeneratorBundle) -> Any:
    """The bundle's discriminator, checked likewise.

    Inputs: pictures (n, size, size, 3) RGB 0..255, and with classes labels (n, classes). Output: (n, 1) scores, higher
    for pictures that look like those of the collection; of a BEGAN, the pictures as its autoencoder sees them.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    import artray.models.gans.residual  # noqa: F401  its layers are known to Keras then

    return load_keras(uri, DISCRIMINATOR, bundle.discriminator_sha, BUNDLE)
