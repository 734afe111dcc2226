"""Generator bundles to try things on, with networks that have learned nothing."""

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from artray.bundles.conditions import Condition
from artray.bundles.generator import BUNDLE, DESCRIPTIONS, DISCRIMINATOR, GENERATOR, GeneratorBundle
from artray.images.decoding import DECODE_VERSION
from artray.storage import Location, digest

SIZE, LATENT_SIZE = 16, 8


CONDITIONS = [
    Condition(name="style", kind="label", names=["Cubism", "Rococo"]),
    Condition(name="genre", kind="labels", names=["nude", "portrait"]),
    Condition(name="date", kind="number", mean=[1800], deviation=50),
    Condition(name="embedding", kind="vector", mean=[0, 0]),
]
WORKS = np.array([[1, 0, 0, 1, 2, 0.6, 0.8], [0, 1, 1, 1, -1, 1, 0], [0, 0, 0, 0, 0, 0, 0]], np.float32)
"""Their descriptions."""


def write_generator(
    uri: str, classes: list[str] | None = None, *, described: bool = False, **changes: Any
) -> GeneratorBundle:
    """A bundle of a small DCGAN as it is before training; `changes` are fields of `generator.json`."""
    classes = classes or []
    files = _networks(len(classes) or sum(condition.width for condition in CONDITIONS if described))
    for name, file in files.items():
        (Location.parse(uri) / name).write_bytes(file)
    shas = {name: digest(file) for name, file in files.items()}
    return write_description(uri, classes, shas, described=described, **changes)


@cache
def _networks(width: int) -> dict[str, bytes]:
    """The networks' files: built once, since that takes longer than most of what is tried on them."""
    import keras

    from artray.models.gans import discriminator, generator

    keras.utils.set_random_seed(0)
    settings = {"width": 4}
    networks = {
        GENERATOR: generator("dcgan", SIZE, LATENT_SIZE, width, settings),
        DISCRIMINATOR: discriminator("dcgan", SIZE, width, settings),
    }
    files = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in networks.items():
            file = Path(folder) / name
            model.save(file)
            files[name] = file.read_bytes()
    return files


def write_description(
    uri: str, classes: list[str], shas: dict[str, str], *, described: bool = False, **changes: Any
) -> GeneratorBundle:
    """What a bundle says of its networks, without these; `changes` are fields of `generator.json`."""
    values = {
        "model_id": "untrained",
        "config": {"target": "style" if classes else None},
        "size": SIZE,
        "latent_size": LATENT_SIZE,
        "distribution": "normal",
        "classes": classes,
        "generator_sha": shas[GENERATOR],
        "discriminator_sha": shas[DISCRIMINATOR],
        "decode_version": DECODE_VERSION,
        "data": {"train": 0, "source": "", "fingerprint": ""},
        "metrics": {},
        "versions": {},
        "created_at": "2026-01-01T00:00:00+00:00",
        **({"conditions": [condition.model_dump() for condition in CONDITIONS]} if described else {}),
        **changes,
    }
    if described:
        rows = pa.table({"description": pa.array(list(WORKS), pa.list_(pa.float32()))})
        (Location.parse(uri) / DESCRIPTIONS).write_table(rows)
    (Location.parse(uri) / BUNDLE).write_bytes(json.dumps(values).encode())
    return GeneratorBundle.model_validate(values)
