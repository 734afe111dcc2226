"""An upscaler bundle: a folder with `upscaler.keras` and `upscaler.json`, all that enlarging needs to know.

Besides these two it holds `history.json` (the metrics of every epoch), `evaluation.json` and `examples/`: pictures of
the test part, each made small, enlarged, and as it was. `upscaler.json` is written last: a folder without it is no
bundle.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from artray.bundles.description import AnyBundle, read_description, write_description, write_history
from artray.bundles.keras_files import load_keras
from artray.errors import InputError
from artray.storage import Location

BUNDLE = "upscaler.json"
NETWORK = "upscaler.keras"
EVALUATION = "evaluation.json"
EXAMPLES = "examples"


class UpscalerBundle(AnyBundle):
    """`upscaler.json`.

    Attributes:
        scale: How many times as high and wide pictures become.
        margin: How far the network sees around a pixel, in pixels of the small picture.
        data: `train`, `validation` and `test` examples, of which `dropped` were left out and why; `source` of the data
            set; `start`: the model_id of the bundle that training began with, if it did.
    """

    scale: int = Field(ge=2, le=8)
    margin: int = Field(ge=0, le=4096)
    upscaler_sha: str


def load_upscaler_bundle(uri: Location) -> UpscalerBundle:
    """What an upscaler bundle says of itself.

    Raises:
        InputError: It is not one, or one that this release can't use.
    """
    return read_description(uri, BUNDLE, UpscalerBundle, "upscaler")


def load_upscaler(uri: Location, bundle: UpscalerBundle) -> Any:
    """The bundle's network, checked to be the one that `upscaler.json` was written for.

    Input: (n, h, w, 3) RGB 0..255. Output: (n, scale h, scale w, 3) float32, not clipped.

    Raises:
        InputError: It is damaged, was replaced, holds layers that can't be loaded safely, or is no such network.
    """
    importlib.import_module("artray.models.super_resolution")  # its layers make themselves known to Keras
    model = load_keras(uri, NETWORK, bundle.upscaler_sha, BUNDLE)
    shapes = [tuple(shape) for shape in (model.input_shape, model.output_shape)]
    if shapes != [(None, None, None, 3)] * 2:
        raise InputError(f"{uri}: {NETWORK} does not take pictures of any size and give pictures")
    return model


def read_evaluation(uri: Location) -> dict[str, Any]:
    """How near to the originals a bundle's pictures are (see `artray.super_resolution.evaluation`)."""
    evaluation: dict[str, Any] = (uri / EVALUATION).read_json()
    return evaluation


def save_upscaler_bundle(
    out: Location,
    bundle: UpscalerBundle,
    network: bytes,
    history: Sequence[Mapping[str, Any]],
    evaluation: Mapping[str, Any],
) -> None:
    """Write a bundle's files, `upscaler.json` last.

    Args:
        out: Folder or s3:// prefix.
        bundle: What it says of itself; its `upscaler_sha` is the network's digest.
        network: The Keras file.
        history: The metrics of each epoch.
        evaluation: On the test part.
    """
    (out / NETWORK).write_bytes(network)
    write_history(out, history)
    (out / EVALUATION).write_json(evaluation)
    write_description(out, BUNDLE, bundle)
