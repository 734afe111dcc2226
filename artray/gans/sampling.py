"""Pictures from a generator bundle, as a collection with a manifest that all other jobs read.

Picture 17 of a seed is the same picture however many are made, in whatever order and on however many machines: its
latent is drawn from the seed and its number alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import ray

from artray import cluster, console
from artray.bundles.conditions import Vectors, slices_of, with_wishes
from artray.bundles.generator import GeneratorBundle, load_generator, load_generator_bundle, read_descriptions
from artray.errors import InputError
from artray.gans.latents import draw_latents
from artray.gans.sample_sheets import to_pictures
from artray.images.digital_source import generated_by
from artray.images.encoding import png
from artray.images.pictures import Picture
from artray.ingest.manifest import FILE, PLACE
from artray.job import Counts
from artray.models.batches import batch_of, largest_batch, predict
from artray.storage import (
    PASS_FILES,
    RUN,
    Location,
    digest,
    keep_apart,
    refuse_other_job,
    remove_scratch,
    remove_written,
)
from artray.storage.chunks import BATCH
from artray.storage.gpus import gpu_memory
from artray.storage.passes import run_pass

PICTURES = "pictures"
MANIFEST = "manifest"
_PLAN = "_plan"
_PLANNED = (r"rows\.parquet", *(f"parts/{name}" for name in PASS_FILES))
LIKE = r"like/(\d{2,}\.png|like\.json)"
WRITTEN = (
    rf"{MANIFEST}/_run\.json",
    rf"{MANIFEST}/manifest\.parquet",
    *(f"{_PLAN}/{name}" for name in _PLANNED),  # before the pictures: what it says is done would be taken for done
    rf"{PICTURES}/\d{{4,}}/\d{{6,}}\.png",
    LIKE,
)
"""The files below `OUT`, as `storage.remove_written` takes them."""
EMBEDDED = (r"_mean\.png", r"_rows/rows\.parquet", *PASS_FILES)
"""What lies where works or samples are embedded for scores, likewise."""
_JOB = "generated"
_GOLDEN = (5**0.5 - 1) / 2

T = TypeVar("T")


class GeneratorModel:
    """A bundle's generator at work: latents in, pictures out. TensorFlow is imported when it is made.

    Args:
        uri: The generator bundle.
        batch: How many pictures of 224 by 224, or smaller ones, it makes at once.
        condition: What all pictures are to be, by the conditions' names.

    Raises:
        InputError: As `load_generator_bundle`, `load_generator` and `with_wishes`.
    """

    def __init__(self, uri: Location, batch: int = BATCH, condition: Mapping[str, str] | None = None):
        self.bundle = load_generator_bundle(uri)
        described = read_descriptions(uri, self.bundle)
        if condition or self.bundle.conditions:
            described = with_wishes(self.bundle.conditions, described, condition or {})
        one_hot = np.eye(len(self.bundle.classes), dtype=np.float32)
        # What can be asked for, a row each: the classes, or the descriptions of some works.
        self._kinds = described if self.bundle.conditions else one_hot
        self._model = load_generator(uri, self.bundle)
        self._batch = largest_batch(batch, self.bundle.size)

    @property
    def kinds(self) -> int:
        """How many classes there are, or descriptions; 0 where pictures can't be asked for by anything."""
        return len(self._kinds)

    def __call__(self, latents: npt.NDArray[np.float32], classes: Sequence[int] | None = None) -> Picture:
        """Pictures of latents.

        Args:
            latents: (n, bundle.latent_size).
            classes: Each one's class, as an index into `bundle.classes`, where there are classes; or its description,
                as an index into the bundle's.

        Returns:
            RGB (n, size, size, 3), 0..255.
        """
        size, number = self.bundle.size, self.kinds
        if not len(latents):
            return np.empty((0, size, size, 3), np.uint8)
        inputs: list[npt.NDArray[np.float32]] = [latents]
        if number:
            assert classes is not None  # a generator with classes makes nothing without one
            inputs.append(self._kinds[np.asarray(classes)])
        return to_pictures(predict(self._model, inputs if number else latents, self._batch))

    def differentiable(self, latents: Any, classes: npt.NDArray[np.int64]) -> Any:
        """A tensor of pictures, 0..255, of a tensor of latents, with a way back; `classes` as in a call, or -1."""
        if not self.kinds:
            return self._model(latents, training=False)
        from keras import ops

        given = [ops.convert_to_tensor(values) for values in (latents, self._kinds[classes])]
        return self._model(given, training=False)

    def numbered(
        self,
        numbers: Sequence[int],
        seed: int,
        classes: Sequence[int] | None = None,
        truncation: float | None = None,
    ) -> Picture:
        """The pictures with some numbers of a seed; `classes` as in a call."""
        return self(numbered_latents(self.bundle, numbers, seed, truncation), classes)


def numbered_latents(
    bundle: GeneratorBundle, numbers: Sequence[int], seed: int, truncation: float | None = None
) -> npt.NDArray[np.float32]:
    """The latents with some numbers of a seed, (n, bundle.latent_size)."""
    size, distribution = bundle.latent_size, bundle.distribution
    latents = [draw_latents(1, size, distribution, (seed, number), truncation) for number in numbers]
    return np.concatenate(latents) if latents else np.zeros((0, size), np.float32)


def spread_classes(count: int, shares: Sequence[float]) -> list[int]:
    """A class for each of some pictures, such that any first ones of them have nearly the wanted shares.

    Args:
        count: How many pictures.
        shares: Each class's weight; they need not sum to 1.

    Returns:
        Indices into `shares`; the same beginning for every count.
    """
    edges = np.cumsum(np.asarray(shares, np.float64)) / np.sum(shares)
    # Multiples of the golden ratio fill the unit interval evenly at every moment (Weyl's sequence).
    spread_evenly = (np.arange(1, count + 1) * _GOLDEN) % 1
    chosen: list[int] = np.minimum(np.searchsorted(edges, spread_evenly, side="right"), len(edges) - 1).tolist()
    return chosen


def class_shares(bundle: GeneratorBundle, uri: Location, wanted: Sequence[str]) -> list[float]:
    """Equal shares for some of a bundle's classes, none for the others; empty for a bundle without classes.

    Args:
        bundle: The bundle.
        uri: Its place, for messages.
        wanted: Names; none: all.

    Raises:
        InputError: There is no such class.
    """
    for name in wanted:
        if name not in bundle.classes:
            known = ", ".join(bundle.classes) or "none: it was trained without labels"
            raise InputError(f"{uri}: has no class {name!r} (classes: {known})")
    return [float(not wanted or name in wanted) for name in bundle.classes]


def sample(
    model: Location,
    out: Location,
    count: int,
    *,
    classes: Sequence[str] = (),
    shares: Sequence[float] | None = None,
    condition: Mapping[str, str] | None = None,
    seed: int = 0,
    truncation: float | None = None,
    overwrite: bool = False,
) -> Counts:
    """Write pictures of a generator as a collection: `OUT/pictures`, and `OUT/manifest` as ingest would write it.

    The manifest has a row a picture: `object_id`, `image_uri`, `size`, `version`, the column that the generator's
    labels came from (where it has classes), or those of its conditions but for embeddings, `generator` (the model_id),
    `group` and `split`, which is `train`: no generated picture is for testing anything. A run that died goes on with
    the same command.

    Args:
        model: URI of the generator bundle.
        out: Folder or s3:// prefix.
        count: How many pictures.
        classes: Names of classes that are wanted, each equally often; none: all.
        shares: Or the weight of each of the bundle's classes.
        condition: Of a bundle with conditions what all pictures are to be.
        seed: Of the latents.
        truncation: As in `draw_latents`.
        overwrite: Replace samples of another generator, or made with other options.

    Returns:
        Counts: `rows`, `ok`, `failed`, `out`, `manifest`, and `classes`, counted, where there are some.

    Raises:
        InputError: No generator bundle, no such class or condition, or `out` holds other samples or another job's
            manifest, or can't be written.
    """
    bundle = load_generator_bundle(model)
    keep_apart(out, {"--model": model}, within=True)
    refuse_other_job(out / MANIFEST, _JOB)
    out.ensure_writable()
    if truncation is not None:
        draw_latents(0, bundle.latent_size, bundle.distribution, 0, truncation)  # so that a bad one is said now
    weights = list(shares) if shares is not None else class_shares(bundle, model, classes)
    described = read_descriptions(model, bundle)
    if condition or bundle.conditions:
        described = with_wishes(bundle.conditions, described, condition or {})
        weights = [1.0] * len(described)
    drawn = spread_classes(count, weights) if weights else None
    settings = {
        "generator": bundle.generator_sha,
        "count": count,
        "shares": weights,
        "seed": seed,
        "truncation": truncation,
    }
    counts: Counts = {"rows": count, "ok": count, "failed": 0, "out": str(out), "manifest": str(out / MANIFEST)}
    if bundle.conditions:
        settings = settings | {"shares": len(described), "condition": dict(condition or {})}
    if drawn is not None and bundle.classes:
        numbers = Counter(drawn)
        counts["classes"] = {name: numbers[index] for index, name in enumerate(bundle.classes) if numbers[index]}
    if _made_before(out, settings, overwrite):
        console.say(f"{out} holds these pictures already")
        return counts
    rows = _planned(out, bundle, settings, count, drawn)
    plan = out / _PLAN / "rows.parquet"
    keep_table(plan, rows)
    run_pass(
        "pictures",
        plan,
        out / _PLAN / "parts",
        _Drawer,
        {"model": str(model), "seed": seed, "truncation": truncation, "condition": dict(condition or {})},
        overwrite=True,
        gpus=True,
    )
    (out / MANIFEST / FILE).write_table(_manifest(out, bundle, rows, described))
    run = {"job": _JOB, "arguments": settings, "model_id": bundle.model_id, "counts": counts}
    (out / MANIFEST / RUN).write_json(run)
    remove_scratch(out / _PLAN, _PLANNED)
    return counts


def _made_before(out: Location, settings: dict[str, Any], overwrite: bool) -> bool:
    """Whether the same pictures are there; others are removed or refused."""
    finished = out / MANIFEST / RUN
    if not finished.exists():
        return False
    if finished.read_json().get("arguments") == settings:
        return True
    if not overwrite:
        raise InputError(f"{out}: holds other pictures or another manifest; give another --out, or --overwrite")
    remove_written(out, WRITTEN)
    return False


def _planned(
    out: Location, bundle: GeneratorBundle, settings: dict[str, Any], count: int, drawn: Sequence[int] | None
) -> pa.Table:
    """A row a picture: its id, where it will lie, its number and class."""
    # Of what makes the picture, the number of pictures excepted: united with others it stays itself.
    told = json.dumps({name: value for name, value in settings.items() if name != "count"}).encode()
    prefix = f"generated-{digest(told)[:10]}"
    numbers = range(count)
    return pa.table(
        {
            "object_id": [f"{prefix}-{number:06d}" for number in numbers],
            # A thousand a folder: some file systems, and people, are slow with more.
            "image_uri": [str(out / PICTURES / f"{number // 1000:04d}" / f"{number:06d}.png") for number in numbers],
            "number": pa.array(numbers, pa.int64()),
            "class": pa.array([None] * count if drawn is None else drawn, pa.int32()),
        }
    )


def keep_table(uri: Location, table: pa.Table, row_group_size: int = 4096) -> None:
    """Write a table unless it is there: a pass over it goes on only if its file is the same one."""
    if not uri.exists() or not pq.read_table(pa.BufferReader(uri.read_bytes())).equals(table):
        uri.write_table(table, row_group_size)


def _manifest(out: Location, bundle: GeneratorBundle, rows: pa.Table, described: Vectors) -> pa.Table:
    files = {info.uri: info for info in (out / PICTURES).list_files()}
    infos = [files[uri] for uri in rows["image_uri"].to_pylist()]
    arrays = [
        rows["object_id"].combine_chunks(),
        rows["image_uri"].combine_chunks(),
        pa.array([info.size for info in infos], pa.int64()),
        pa.array([info.version for info in infos], pa.string()),
    ]
    table = pa.table(arrays, schema=PLACE)
    if bundle.classes:
        names = [bundle.classes[index] for index in rows["class"].to_pylist()]
        table = table.append_column(bundle.config["target"], pa.array(names, pa.string()))
    for condition, columns in slices_of(bundle.conditions):
        if condition.kind != "vector" and condition.name not in (*PLACE.names, "generator", "group", "split"):
            said = [condition.told(vector[columns]) for vector in described]
            kind = {"number": pa.float64(), "label": pa.string(), "labels": pa.list_(pa.string())}[condition.kind]
            column = pa.array([said[index] for index in rows["class"].to_pylist()], kind)
            table = table.append_column(condition.name, column)
    table = table.append_column("generator", pa.array([bundle.model_id] * len(rows), pa.string()))
    table = table.append_column("group", rows["object_id"])
    return table.append_column("split", pa.array(["train"] * len(rows), pa.string()))


class _Drawer:
    """Makes the pictures of planned rows and writes them."""

    def __init__(self, model: str, seed: int, truncation: float | None, condition: Mapping[str, str]):
        self._generator = GeneratorModel(Location(model), batch_of(gpu_memory()), condition)
        self._seed, self._truncation = seed, truncation

    def __call__(self, rows: pa.Table) -> pa.Table:
        classes = rows["class"].to_pylist() if self._generator.kinds else None
        pictures = self._generator.numbered(rows["number"].to_pylist(), self._seed, classes, self._truncation)
        source = generated_by(self._generator.bundle.model_id)
        for uri, picture in zip(rows["image_uri"].to_pylist(), pictures, strict=True):
            Location(uri).write_bytes(png(picture, source=source))
        return rows.select(["object_id"]).append_column("status", pa.array(["ok"] * len(rows), pa.string()))


def in_task(function: Callable[..., T], *arguments: Any) -> T:
    """A function's result from a Ray task: the driver needs no TensorFlow, and on a cluster no GPU."""
    cluster.connect()
    with cluster.unwrapped_errors():
        result: T = ray.get(ray.remote(num_cpus=1)(function).remote(*arguments))
    return result
