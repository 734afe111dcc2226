"""Small collections and small model bundles of every kind, quick to make and quick to run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
from keras import layers
from PIL import Image

from artray.bundles.classifier import BUNDLE, MODEL, Bundle, BundleClass
from artray.bundles.novelty import GRID, NOVELTY, Distance, Novelty, novelty_bytes
from artray.images.decoding import DECODE_VERSION
from artray.storage import Location, digest

BRIGHTNESS = {"name": "brightness", "size": 32}
TEXTURE = {"name": "texture"}
INPUTS: dict[str, dict[str, Any]] = {
    "pictures": {"kind": "pictures", "size": 16},
    "features": {"kind": "features", "features": [BRIGHTNESS, TEXTURE], "columns": ["brightness"]},
    "patches": {"kind": "patches", "size": 24, "per_image": 3, "seed": 5, "long_side": 64, "model_size": 12},
}
SHAPES = {"pictures": (16, 16, 3), "features": (1,), "patches": (12, 12, 3)}


def write_pictures(folder: Path, count: int, broken: int = 0, seed: int = 0, side: int = 60) -> dict[str, str]:
    """Pictures that differ, and broken ones after them; paths by id."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    paths = {}
    for number in range(count + broken):
        path = folder / f"w{number:05d}.png"
        colors = chance.integers(0, 256, (6, 5, 3), np.uint8)
        Image.fromarray(colors).resize((side, side * 6 // 5), Image.Resampling.NEAREST).save(path)
        if number >= count:
            path.write_bytes(path.read_bytes()[:100])
        paths[f"W{number}"] = str(path)
    return paths


def write_manifest(uri: str, pictures: dict[str, str], versions: dict[str, str] | None = None) -> str:
    """A manifest of some pictures; all of version 1 unless said otherwise."""
    table = pa.table(
        {
            "object_id": list(pictures),
            "image_uri": list(pictures.values()),
            "version": [(versions or {}).get(name, "1") for name in pictures],
        }
    )
    (Location.parse(uri) / "manifest.parquet").write_table(table)
    return uri


def model(kind: str, classes: int, seed: int) -> keras.Model:
    """A small model with scores that differ from picture to picture."""
    keras.utils.set_random_seed(seed)
    given = keras.Input(SHAPES[kind])
    x = layers.Rescaling(1 / 64)(given)
    if kind != "features":
        x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, strides=2, activation="relu")(x))
    return keras.Model(given, layers.Dense(classes, activation="softmax", bias_initializer="normal")(x))


def write_bundle(uri: str, kind: str, task: str, classes: int = 3, seed: int = 0, **changes: Any) -> str:
    """A bundle with that small model."""
    return save_bundle(uri, model(kind, classes, seed), INPUTS[kind], task, classes, seed, **changes)


def write_novelty(uri: str, most: float, features: int = 1, classes: int = 3) -> str:
    """Arrays for the bundle that will be there, by which works are novel whose features are longer than `most`.

    Returns:
        Their digest, for the bundle's `novelty_sha`.
    """
    distance = Distance(
        directions=np.zeros((features, 0)),
        gains=np.zeros(0),
        spread=np.ones(()),
        weights=np.zeros((features, classes)),
        bias=np.zeros(classes),
    )
    novelty = Novelty(
        mean=np.zeros(features),
        deviation=np.ones(features),
        distance=distance,
        weights=np.zeros((features, classes)),
        bias=np.zeros(classes),
        usual=np.array([[0, 1], [-1e6, 1]]),
        values=np.linspace(-50, 2 * np.log(most), len(GRID)),
    )
    data = novelty_bytes(novelty)
    (Location.parse(uri) / NOVELTY).write_bytes(data)
    return digest(data)


def save_bundle(
    uri: str, network: keras.Model, given: dict[str, Any], task: str, classes: int, seed: int = 0, **changes: Any
) -> str:
    with tempfile.TemporaryDirectory() as folder:
        network.save(Path(folder) / MODEL)
        data = (Path(folder) / MODEL).read_bytes()
    (Location.parse(uri) / MODEL).write_bytes(data)
    values = {
        "model_id": f"{task}-{seed}",
        "task": task,
        "target": task,
        "classes": [BundleClass(name=f"{task} {number}") for number in range(classes)],
        "input": given,
        "decode_version": DECODE_VERSION,
        "temperature": 1.0,
        "model_sha": digest(data),
        "data": {},
        "config": {},
        "metrics": {},
        "versions": {},
        "created_at": "2026-01-01T00:00:00+00:00",
    }
    (Location.parse(uri) / BUNDLE).write_bytes(Bundle.model_validate(values | changes).model_dump_json().encode())
    return uri
