"""Upscaler bundles to try things on."""

from typing import Any

import numpy as np

from artray.bundles.keras_files import keras_file
from artray.bundles.upscaler import UpscalerBundle, save_upscaler_bundle
from artray.images.decoding import DECODE_VERSION
from artray.models.super_resolution import edsr, margin
from artray.storage import Location, digest
from artray.super_resolution.evaluation import evaluation_of, write_examples
from artray.super_resolution.pairs import resized

SCALE = 2


def write_upscaler(uri: Location, *, examples: int = 2, **changes: Any) -> UpscalerBundle:
    """A bundle of an EDSR that only interpolates; `changes` are fields of `upscaler.json`."""
    network = keras_file(edsr(SCALE, blocks=1, width=4, interpolated=True))
    rng = np.random.default_rng(0)
    figures = rng.normal(30, 1, (examples, 4))
    shown = write_examples(
        uri,
        lambda small: np.stack([resized(picture, 24, 24) for picture in small]),
        rng.integers(0, 256, (examples, 24, 24, 3), np.uint8),
        SCALE,
        model="edsr-x2-untrained",
        figures=figures,
    )
    values = {
        "model_id": "edsr-x2-untrained",
        "config": {"loss": {"name": "l1"}},
        "scale": SCALE,
        "margin": margin(SCALE, 1),
        "upscaler_sha": digest(network),
        "decode_version": DECODE_VERSION,
        "data": {"train": 5, "validation": 0, "test": examples, "dropped": {"unreadable": 0}, "source": ""},
        "metrics": {"steps": 12},
        "versions": {},
        "created_at": "2026-01-01T00:00:00+00:00",
        **changes,
    }
    history = [{"epoch": epoch, "psnr": 20.0 + epoch, "loss": 1 / epoch} for epoch in (1, 2, 3)]
    bundle = UpscalerBundle.model_validate(values)
    save_upscaler_bundle(uri, bundle, network, history, evaluation_of(figures) | {"examples": shown})
    return bundle
