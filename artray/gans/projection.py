"""A real picture in a generator's latent space: the picture that it can make which is most like it.

First the best of many latents by chance, then gradient descent from the best few. Likeness is the cosine of
EfficientNet-Lite0's embeddings of both at 128 pixels, and the mean difference of both at 16. Pictures that a generator
learned from are found better than others only if it remembers them: give it some of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from artray import console
from artray.bundles.generator import load_generator_bundle
from artray.errors import InputError
from artray.gans.latent_walks import Latents, grid
from artray.gans.sampling import LIKE, GeneratorModel, in_task
from artray.images.digital_source import generated_by
from artray.images.encoding import png
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.storage import Location, remove_written

FOLDER = "like"
_TRIED, _BEGUN, _STEPS, _RATE = 256, 4, 120, 0.1
_SEEN, _SMALL, _PIXELS = 128, 16, 0.5


class Projection(NamedTuple):
    """What was found for some pictures.

    Attributes:
        pictures: (n, size, size, 3) the generator's most like each.
        chosen: (n, size, size, 3) the best by chance, before the descent.
        latents: (n, latent_size) of `pictures`.
        kinds: (n,) the class, or description, of each; -1 without.
        losses: (n, 2) before and after; 0 would be the picture itself.
    """

    pictures: Picture
    chosen: Picture
    latents: Latents
    kinds: npt.NDArray[np.int64]
    losses: npt.NDArray[np.float64]


def project(model: Location, wanted: Picture, *, steps: int = _STEPS, seed: int = 0) -> Projection:
    """Find a generator's pictures that are most like some others; loads TensorFlow.

    Args:
        model: The generator bundle.
        wanted: (n, size, size, 3) at the generator's size.
        steps: Of the descent.
        seed: Of the latents that are tried.
    """
    import keras
    from keras import ops

    from artray.engine.latent_descent import descend
    from artray.gans.latents import draw_latents

    generator = GeneratorModel(model)
    bundle, look = generator.bundle, _look()
    latents = draw_latents(_TRIED, bundle.latent_size, bundle.distribution, (seed, _TRIED))
    kinds = np.arange(_TRIED) % generator.kinds if generator.kinds else np.full(_TRIED, -1)
    made = generator(latents, kinds.tolist() if generator.kinds else None)
    targets = [np.asarray(value) for value in look(wanted.astype(np.float32))]
    tried = [np.asarray(value) for value in look(made.astype(np.float32))]
    likely = np.stack([_unlike(tried, [value[row] for value in targets]) for row in range(len(wanted))])
    begun = np.argsort(likely, axis=1, kind="stable")[:, :_BEGUN]
    rows = begun.ravel()
    aims = [ops.convert_to_tensor(np.repeat(value, begun.shape[1], axis=0)) for value in targets]

    def losses(values: Any) -> Any:
        return _unlike(look(generator.differentiable(values, kinds[rows])), aims)

    def kept(values: Any) -> Any:
        if bundle.distribution == "uniform":
            return ops.clip(values, -1.0, 1.0)
        return keras.ops.normalize(values, axis=-1) * float(np.sqrt(bundle.latent_size))

    latents_found, least = descend(losses, latents[rows], steps=steps, rate=_RATE, kept=kept)
    best = least.reshape(begun.shape).argmin(axis=1) + np.arange(len(wanted)) * begun.shape[1]
    classes = kinds[rows[best]]
    first = begun[:, 0]
    return Projection(
        pictures=generator(latents_found[best], classes.tolist() if generator.kinds else None),
        chosen=made[first],
        latents=latents_found[best],
        kinds=classes,
        losses=np.stack([likely[np.arange(len(wanted)), first], least[best]], axis=1).astype(np.float64),
    )


def write_projections(model: Location, uris: Sequence[Location], out: Location) -> dict[str, Any]:
    """Write `OUT/like/00.png`, …: each picture, the best by chance, and the one that was found; and `like.json`.

    What an earlier call has written there goes.

    Args:
        model: The generator bundle.
        uris: Pictures.
        out: Folder or s3:// prefix.

    Returns:
        Counts: `rows`, `ok`, `failed`, `out`, and `losses`, (before, after) of each that could be read.

    Raises:
        InputError: No generator bundle, or not one of the pictures can be read.
    """
    bundle = load_generator_bundle(model)
    table, decode_size = pa.table({"image_uri": pa.array([str(uri) for uri in uris])}), DecodeSize(bundle.size)
    readable: list[str] = []
    wanted: list[Picture] = []
    left: list[str] = []
    for pictures in read_pictures(table, [decode_size]):
        names = pictures.rows["image_uri"].to_pylist()
        readable += [names[row] for row in pictures.readable]
        wanted += list(pictures.images[decode_size])
        states = pictures.state["status"].to_pylist()
        left += [f"{name} ({state})" for name, state in zip(names, states, strict=True) if state != "ok"]
    if not wanted:
        raise InputError(f"--like {uris[0]}: not one of {len(uris)} pictures can be read")
    if left:
        console.say(f"left out: {', '.join(left)}")
    projection: Projection = in_task(project, model, np.stack(wanted))
    remove_written(out, [LIKE])
    source, told = generated_by(bundle.model_id), []
    for number, uri in enumerate(readable):
        name = f"{number:02d}.png"
        row = np.stack([wanted[number], projection.chosen[number], projection.pictures[number]])
        (out / FOLDER / name).write_bytes(png(grid([row]), source=source))
        kind = int(projection.kinds[number])
        told.append(
            {
                "image_uri": uri,
                "picture": name,
                "class": bundle.classes[kind] if bundle.classes else None,
                "before": round(float(projection.losses[number, 0]), 6),
                "after": round(float(projection.losses[number, 1]), 6),
                "latent": [round(float(value), 6) for value in projection.latents[number]],
            }
        )
    (out / FOLDER / "like.json").write_json({"model_id": bundle.model_id, "pictures": told})
    return {
        "rows": len(uris),
        "ok": len(told),
        "failed": len(uris) - len(told),
        "out": str(out / FOLDER),
        "losses": [(one["before"], one["after"]) for one in told],
    }


def _look() -> Any:
    """From pictures, (n, size, size, 3) float, to unit embeddings, and the pictures at 16 pixels, -1..1."""
    from keras import ops

    from artray.models.backbones import backbone
    from artray.models.gans.projected import Resampled

    model, large = backbone(size=_SEEN), Resampled(_SEEN)

    def look(pictures: Any) -> tuple[Any, Any]:
        pictures = ops.convert_to_tensor(pictures)
        small, side = pictures, pictures.shape[1]
        if side > _SMALL and side % _SMALL == 0:
            small = ops.average_pool(small, side // _SMALL)
        return ops.normalize(model(large(pictures), training=False), axis=-1), small / 127.5 - 1

    return look


def _unlike(seen: Any, aims: Any) -> Any:
    """How unlike pictures are one, or as many: 1 - cos, and half of the mean difference at 16 pixels, (n,)."""
    from keras import ops

    embeddings, small = seen
    away = ops.mean(ops.absolute(small - aims[1]), axis=(1, 2, 3))
    return 1 - ops.sum(embeddings * aims[0], axis=-1) + _PIXELS * away
