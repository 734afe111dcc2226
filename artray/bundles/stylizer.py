"""A stylizer bundle: a folder with `stylizer.keras` and `stylizer.json`, all that painting in its styles needs to know.

Besides these two it holds `history.json`. `stylizer.json` is written last: a folder without it is no bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from artray.bundles.description import AnyBundle, Names, read_description, write_description, write_history
from artray.bundles.keras_files import load_keras
from artray.storage import Location

BUNDLE = "stylizer.json"
NETWORK = "stylizer.keras"


class StylizerBundle(AnyBundle):
    """`stylizer.json`.

    Attributes:
        size: Side of the pictures that it was trained on, in pixels; it takes others too.
        styles: In the order of the network's second input, which is one-hot.
        stylizer_sha: The network's digest.
        data: `train` pictures, of which `dropped` were left out and why; `works` of each style; `source` of the data
            set.
    """

    size: int = Field(ge=1, le=8192)
    styles: Names = Field(min_length=1)
    stylizer_sha: str


def load_stylizer_bundle(uri: Location) -> StylizerBundle:
    """What a stylizer bundle says of itself.

    Raises:
        InputError: It is not one, or one that this release can't use.
    """
    return read_description(uri, BUNDLE, StylizerBundle, "stylizer")


def load_stylizer(uri: Location, bundle: StylizerBundle) -> Any:
    """The bundle's network, checked to be the one that `stylizer.json` was written for.

    Inputs: pictures (n, height, width, 3), RGB 0..255, sides that 4 divides, and styles (n, styles). Output: pictures.

    Raises:
        InputError: It is damaged, was replaced, or holds layers that can't be loaded safely.
    """
    return load_keras(uri, NETWORK, bundle.stylizer_sha, BUNDLE)


def save_stylizer_bundle(
    out: Location, bundle: StylizerBundle, network: bytes, history: Sequence[Mapping[str, Any]]
) -> None:
    """Write a bundle's files, `stylizer.json` last.

    Args:
        out: Folder or s3:// prefix.
        bundle: What it says of itself; its `stylizer_sha` is the network's digest.
        network: The Keras file.
        history: The metrics of each epoch.
    """
    (out / NETWORK).write_bytes(network)
    write_history(out, history)
    write_description(out, BUNDLE, bundle)
