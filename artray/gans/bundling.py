"""A trained pair of networks put together as a generator bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from artray.bundles.generator import GeneratorBundle, save_generator_bundle
from artray.bundles.keras_files import keras_file, made_now
from artray.gans.config import GanConfig
from artray.gans.descriptions import KEPT, spread
from artray.gans.examples import Pictures
from artray.storage import Location, digest


def write_generator_bundle(
    out: Location,
    *,
    generator: Any,
    discriminator: Any,
    config: GanConfig,
    pictures: Pictures,
    history: Sequence[Mapping[str, Any]],
) -> GeneratorBundle:
    """Write a generator bundle; `generator.json` comes last, so a folder that has it is whole.

    Args:
        out: Folder or s3:// prefix.
        generator: A Keras model of ordinary variables.
        discriminator: Likewise.
        config: What was trained.
        pictures: From what.
        history: The metrics of each epoch; the last one's are the bundle's `metrics`.
    """
    generator_file, discriminator_file = keras_file(generator), keras_file(discriminator)
    weights = digest(*(weight.tobytes() for weight in generator.get_weights()))
    bundle = GeneratorBundle(
        model_id=f"{config.model.name}-{weights[:12]}",
        config=json.loads(config.model_dump_json()),
        size=config.size,
        latent_size=config.latent_size,
        distribution=config.distribution,
        classes=pictures.classes,
        conditions=pictures.conditions,
        generator_sha=digest(generator_file),
        discriminator_sha=digest(discriminator_file),
        data={
            "fingerprint": digest("\n".join(pictures.ids).encode(), pictures.labels.tobytes()),
            "train": len(pictures.ids),
            "dropped": pictures.dropped,
            "source": pictures.source,
        },
        metrics=dict(history[-1]),
        **made_now(),
    )
    descriptions = spread(pictures.labels, min(KEPT, len(pictures.labels))) if pictures.conditions else None
    save_generator_bundle(out, bundle, generator_file, discriminator_file, history, descriptions=descriptions)
    return bundle
