"""Pictures of works, and what in them spoke for a class, as files beside a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import ray
from PIL import Image

from artray import cluster, console
from artray.bundles.classifier import Bundle, load_bundle, load_model
from artray.bundles.inputs import PictureInput, Works
from artray.errors import count_of
from artray.images.encoding import jpeg
from artray.images.pictures import DecodeSize, Picture, read_pictures
from artray.report.works import certainty
from artray.storage import Location, remove_scratch

MAPS_FOLDER = "activation"
_THUMBNAIL = 360
_NAME = r"\d{3,}-\d+\.jpg"


def remove_pictures(out: Path, name: str) -> None:
    """Remove what `write_pictures` has written there."""
    remove_scratch(Location.parse(out / name), [_NAME])


def maps_of_models(
    models: Mapping[str, Location], labels: pa.Table, most: int, out: Path, *, layer: str | None, method: str | None
) -> dict[str, dict[str, str]]:
    """Draw what spoke for the labels of some models, each as by `maps_of_works`.

    Args:
        models: URIs of the bundles, by what the folder of their pictures is called.
        labels: As there, like the others.
        most: How many works of each model.
        out: The page's folder.
        layer: As there.
        method: Likewise.

    Returns:
        By task, the pictures' paths by object_id.

    Raises:
        InputError: A model has no such maps.
    """
    found: dict[str, dict[str, str]] = {}
    for name, uri in models.items():
        if drawn := maps_of_works(uri, labels, most, out, name=name, layer=layer, method=method):
            # Of two models of a task each has given other works their labels.
            found.setdefault(load_bundle(uri).task, {}).update(drawn)
    return found


def maps_of_works(
    uri: Location,
    labels: pa.Table,
    most: int,
    out: Path,
    *,
    name: str | None = None,
    layer: str | None,
    method: str | None,
) -> dict[str, str]:
    """Draw what spoke for the labels that a model is least certain of, first of works unlike anything it has learned.

    Args:
        uri: Of the model's bundle.
        labels: Rows of labels.
        most: How many works.
        out: The page's folder.
        name: What the folder of its pictures is called; default: its task.
        layer: As of `ActivationMaps`.
        method: Likewise.

    Returns:
        The pictures' paths by object_id; empty where the model looks at no pictures, or is not the labels'.

    Raises:
        InputError: The model has no such maps.
    """
    bundle = load_bundle(uri)
    folder = f"{MAPS_FOLDER}/{name or bundle.task}"
    mine = pc.and_(pc.equal(labels["model_id"], bundle.model_id), pc.is_valid(labels["label"]))
    labels = labels.filter(mine)
    labels = labels.append_column("certainty", certainty(labels))
    rows = labels.sort_by([("certainty", "ascending"), ("object_id", "ascending")]).slice(0, most)
    if not isinstance(bundle.input, PictureInput) or not len(rows):
        return {}
    told = rows.select(["object_id", "image_uri", "label"]).to_pylist()
    works = [{"subject": row["label"], "true": [], **row} for row in told]
    written = write_pictures(works, out, folder, ActivationMaps(uri, bundle, layer, method), plain=False)
    if lost := len(works) - len(written):
        console.say(f"--maps: {bundle.task}: {count_of(lost, 'picture')} of {len(works):,} can't be read")
    return {key: path for key, ((path, _),) in written.items()}


def remove_maps(out: Path) -> None:
    """Remove an earlier page's activation maps of works."""
    for folder in (out / MAPS_FOLDER).glob("*"):
        remove_pictures(folder.parent, folder.name)


class ActivationMaps:
    """Draws what in a work spoke for a class.

    Args:
        uri: Of the model bundle.
        bundle: The same.
        layer: Of the class activation maps (C13); default the last.
        method: Of the maps; default: CAM where the model allows it, else Grad-CAM.
    """

    def __init__(self, uri: Location, bundle: Bundle, layer: str | None, method: str | None):
        self._uri, self._layer, self._method = uri, layer, method
        self._classes = [item.name for item in bundle.classes]
        self._input = bundle.input
        self.decode_sizes = bundle.input.decode_sizes()

    def __call__(
        self,
        errors: Sequence[dict[str, Any]],
        images: Mapping[DecodeSize, Sequence[Picture]],
        pictures: Sequence[Picture],
    ) -> list[list[tuple[Picture, str]]]:
        """For each work, the drawn pictures and the class that each explains.

        Args:
            errors: The works, as from `worst_errors`.
            images: Their pictures in `decode_sizes`.
            pictures: The works as they are shown.
        """
        asked = [(row, name) for row, work in enumerate(errors) for name in _explained(work)]
        inputs = self._input.prepare(Works([work["object_id"] for work in errors], images))
        cluster.connect()
        task = ray.remote(num_cpus=1)(_draw).remote(
            self._uri,
            inputs[[row for row, _ in asked]],
            [pictures[row] for row, _ in asked],
            [self._classes.index(name) for _, name in asked],
            layer=self._layer,
            method=self._method,
        )
        with cluster.unwrapped_errors():
            maps = ray.get(task)
        drawn: list[list[tuple[Picture, str]]] = [[] for _ in errors]
        for (row, name), picture in zip(asked, maps, strict=True):
            drawn[row].append((picture, name))
        return drawn


def _explained(work: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes that an error is about: what it was taken for, and what it is."""
    return (work["subject"],) if isinstance(work["true"], list) else (work["subject"], work["true"])


def _draw(
    uri: Location,
    inputs: npt.NDArray[np.uint8],
    pictures: Sequence[Picture],
    classes: Sequence[int],
    *,
    layer: str | None,
    method: Any,
) -> list[Picture]:
    """Pictures with the activation maps of a bundle's model over them; of a fold ensemble's models their mean."""
    from artray.classifiers.activation_maps import activation_maps, overlay  # with it comes TensorFlow

    bundle = load_bundle(uri)
    model = _loaded(uri, bundle.model_sha)
    models = (
        [member for member in model.layers if hasattr(member, "layers")]
        if bundle.metrics.get("fold_ensemble")
        else [model]
    )
    heats = np.mean([activation_maps(one, inputs, classes, layer, method) for one in models], axis=0)
    drawn = []
    for picture, heat in zip(pictures, heats, strict=True):
        size = picture.shape[1], picture.shape[0]
        drawn.append(overlay(picture, np.asarray(Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR))))
    return drawn


@lru_cache(maxsize=1)
def _loaded(uri: Location, sha: str) -> Any:
    """A bundle's model, kept from one batch of pictures to the next in a process that draws; `sha` is its file's."""
    return load_model(uri, load_bundle(uri))


def write_pictures(
    works: Sequence[dict[str, Any]], out: Path, name: str, explain: ActivationMaps | None, *, plain: bool = True
) -> dict[str, list[tuple[str, str | None]]]:
    """Write works' pictures beside a page.

    Args:
        works: Their `object_id`, `image_uri`, `subject` (a class), and `true`: another class, or a list, of which
            nothing is explained.
        out: The page's folder.
        name: Of the folder in it; what we wrote there before goes.
        explain: What draws their activation maps; None: there are none.
        plain: Whether the works without maps are written too.

    Returns:
        By object_id each one's pictures: (path, the class that it explains or None).
    """
    remove_pictures(out, name)
    thumbnail = DecodeSize(_THUMBNAIL, "inside")
    decode_sizes = [thumbnail, *(explain.decode_sizes if explain else [])]
    table = pa.table({key: [work[key] for work in works] for key in ("object_id", "image_uri")})
    written: dict[str, list[tuple[str, str | None]]] = {}
    start = 0
    for batch in read_pictures(table.set_column(1, "image_uri", table["image_uri"].cast(pa.string())), decode_sizes):
        shown = [works[start + row] for row in batch.readable]
        start += len(batch.rows)
        bare = batch.images[thumbnail]
        drawn = explain(shown, batch.images, bare) if explain and shown else [[] for _ in shown]
        for work, picture, maps in zip(shown, bare, drawn, strict=True):
            written[work["object_id"]] = []
            for number, (image, what) in enumerate([*([(picture, None)] if plain else []), *maps]):
                path = f"{name}/{len(written) - 1:03d}-{number}.jpg"  # numbered: an object_id may hold anything
                Location.parse(out / path).write_bytes(jpeg(image, quality=82))
                written[work["object_id"]].append((path, what))
    return written
