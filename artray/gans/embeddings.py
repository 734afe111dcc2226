"""Embeddings of real works and of generated ones, by passes, for `scores`.

Works may be a whole collection: the driver holds their ids and addresses, and of patches where their bytes lie. Their
embeddings stay in files.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from PIL import Image

from artray.bundles.generator import GeneratorBundle
from artray.catalogs.targets import encode_targets
from artray.errors import InputError
from artray.features.embedding import Embedding
from artray.gans.judges import content_of
from artray.gans.sampling import GeneratorModel, in_task, keep_table, spread_classes
from artray.images.decoding import DECODE_VERSION
from artray.images.encoding import png
from artray.images.pictures import DecodeSize, Picture, Pictures, read_pictures, spread
from artray.models import DEFAULT_BACKBONE
from artray.models.batches import batch_of
from artray.models.sizes import backbone_size
from artray.patches.squares import resized
from artray.storage import Location
from artray.storage.chunks import BATCH
from artray.storage.gpus import StagedWorker, gpu_memory
from artray.storage.located_rows import cells_of, read_rows
from artray.storage.passes import run_pass

SEED = 0
"""Of the samples that are scored: they are those that `sampling.sample` writes first with this seed."""

_AVERAGED = 256  # works in the mean picture


def training_works(data: Location, target: str | None = None, classes: Sequence[str] = ()) -> pa.Table:
    """The works, or patches, that a generator learns from, by object_id.

    Args:
        data: A manifest, a feature table made from one, or patches.
        target: The column with the labels.
        classes: Which labels; none: every work, labelled or not.

    Returns:
        `object_id`, `image_uri`, of patches `file` and `row`, where each lies, and, with classes, `class`.

    Raises:
        InputError: A column is missing.
    """
    dataset = data.dataset()
    names = dataset.schema.names
    patches = "patch" in names
    labelled = target is not None and bool(classes)
    needed = ["object_id", *([] if patches else ["image_uri"]), *([str(target)] if labelled else [])]
    for name in needed:
        if name not in names:
            raise InputError(f"{data}: has no column {name!r} (it has {', '.join(names)})")
    needed += [name for name in ("split", "status") if name in names and name not in needed]
    rows = read_rows(dataset, needed, _is_of_training)
    rows = rows.take(pc.sort_indices(rows.table["object_id"]).to_numpy().astype(np.int64))
    table = rows.addresses() if patches else rows.table.select(["object_id", "image_uri"])
    if patches:
        table = table.append_column("image_uri", pa.nulls(len(table), pa.string()))
    if labelled:
        read = encode_targets(rows.table[str(target)], "one", str(target))
        labels = pa.array(np.array([*read.names, None], object)[read.main()], pa.string())  # -1: None, the last
        table = table.append_column("class", labels)
        table = table.filter(pc.is_in(labels, pa.array(list(classes), pa.string())))
    return table


def _is_of_training(table: pa.Table) -> pa.ChunkedArray:
    wanted = pa.chunked_array([pa.array(np.ones(len(table), bool))])
    for name, value in (("split", "train"), ("status", "ok")):
        if name in table.column_names:
            wanted = pc.and_(wanted, pc.equal(table[name], value))
    return wanted


def class_counts(works: pa.Table, bundle: GeneratorBundle) -> list[float]:
    """How many works each of a bundle's classes has; empty for a bundle without classes."""
    counted = pc.value_counts(works["class"]).to_pylist() if bundle.classes else []
    counts = {item["values"]: item["counts"] for item in counted}
    return [float(counts.get(name, 0)) for name in bundle.classes]


def embed_works(
    data: Location, works: pa.Table, at: Location, *, size: int, noise: int, judge: str = DEFAULT_BACKBONE
) -> dict[str, pads.Dataset]:
    """Embeddings of works at a generator's size, of their mean picture, and of noise; resumable.

    Args:
        data: Where the works are from.
        works: As from `training_works`.
        at: Folder or s3:// prefix for the embeddings, which stay there.
        size: Of the generator's pictures.
        noise: How many pictures of even noise.
        judge: The backbone.

    Returns:
        By kind (`work`, `mean`, `noise`) the readable rows in the order of `works`, with `object_id`, `image_uri`,
        `embedding` and, where `works` has it, `class`: they are read batch by batch.
    """
    mean = at / "_mean.png"
    if not mean.exists():
        mean.write_bytes(in_task(_mean_picture, works.slice(0, _AVERAGED), str(data), size))
    kept = ("object_id", "image_uri", "file", "row", "class")
    chosen = works.select([name for name in kept if name in works.column_names])
    tables = [
        chosen.append_column("kind", pa.array(["work"] * len(works), pa.string())),
        pa.table({"object_id": ["mean"], "image_uri": [str(mean)], "kind": ["mean"]}),
        pa.table({"object_id": [f"noise-{number:06d}" for number in range(noise)], "kind": ["noise"] * noise}),
    ]
    plan = at / "_rows" / "rows.parquet"
    keep_table(plan, pa.concat_tables(tables, promote_options="default"))
    arguments = {"data": str(data), "size": size, "decode_version": DECODE_VERSION, "judge": judge}
    arguments |= content_of(judge)
    run_pass("works", plan, at, _WorkEmbedder, arguments, overwrite=True, gpus=True)
    readable = at.dataset().filter(pc.field("status") == "ok")
    return {kind: readable.filter(pc.field("kind") == kind) for kind in ("work", "mean", "noise")}


def embed_samples(
    model: Location,
    bundle: GeneratorBundle,
    at: Location,
    count: int,
    shares: Sequence[float],
    *,
    judge: str = DEFAULT_BACKBONE,
) -> pa.Table:
    """Embeddings of a generator's first samples; resumable.

    Args:
        model: URI of its bundle.
        bundle: What the bundle says.
        at: Folder or s3:// prefix for them.
        count: How many.
        shares: How many of each class or description, in proportion; none of a generator without.
        judge: The backbone.

    Returns:
        `number`, `class` and `embedding`, by number.
    """
    drawn = spread_classes(count, shares) if shares else [None] * count
    rows = pa.table(
        {
            "object_id": [f"{number:06d}" for number in range(count)],
            "image_uri": pa.nulls(count, pa.string()),
            "number": pa.array(range(count), pa.int64()),
            "class": pa.array(drawn, pa.int32()),
        }
    )
    plan = at / "_rows" / "rows.parquet"
    keep_table(plan, rows)
    arguments = {"model": str(model), "sha": bundle.generator_sha, "seed": SEED, "judge": judge}
    arguments |= content_of(judge)
    run_pass("samples", plan, at, _SampleEmbedder, arguments, overwrite=True, gpus=True)
    return at.dataset().to_table(columns=["number", "class", "embedding"]).sort_by("number")


def _mean_picture(works: pa.Table, data: str, size: int) -> bytes:
    total, count = np.zeros((size, size, 3)), 0
    decode_size = DecodeSize(size)
    for pictures in _read(works, Location(data), decode_size):
        for picture in pictures.images[decode_size]:
            total += picture
            count += 1
    return png(np.rint(total / max(count, 1)).astype(np.uint8))


class _WorkEmbedder(StagedWorker):
    """Embeds real works, and noise where a row is of that kind."""

    def __init__(self, data: str, size: int, decode_version: int, judge: str, file: str | None = None):
        self._data, self._size = Location(data), size
        self.batch = batch_of(gpu_memory())
        self._embed = _Embedder(self.batch, judge)

    def prepare(self, rows: pa.Table) -> Iterator[tuple[pa.Table, list[int], Picture]]:
        """Rows with their status, which of them are readable, and the pictures of those at the embedding's size."""
        decode_size = DecodeSize(self._size)
        for kind in ("work", "mean", "noise"):
            rows_of_kind = rows.filter(pc.equal(rows["kind"], kind))
            for pictures in _read(rows_of_kind, self._data, decode_size):
                table = pictures.rows.append_column("status", pictures.state["status"])
                table = table.drop_columns([name for name in ("file", "row") if name in table.column_names])
                yield table, pictures.readable, self._embed.enlarged(pictures.images[decode_size])

    def warm(self) -> None:
        """One picture."""
        self._embed(self._embed.enlarged([np.zeros((1, 1, 3), np.uint8)]))

    def finish(self, prepared: Sequence[tuple[pa.Table, list[int], Picture]]) -> pa.Table:
        """The rows with `status` and `embedding`."""
        embeddings = self._embed(np.concatenate([images for _, _, images in prepared]))
        tables, start = [], 0
        for rows, readable, images in prepared:
            embeddings_here = embeddings.slice(start, len(images))
            tables.append(rows.append_column("embedding", spread(embeddings_here, readable, len(rows))))
            start += len(images)
        return pa.concat_tables(tables)


def _read(rows: pa.Table, data: Location, decode_size: DecodeSize) -> Iterator[Pictures]:
    """The pictures of rows of one kind, from their place, from the data's files, or by chance."""
    size = decode_size.size
    if "kind" in rows.column_names and len(rows) and rows["kind"][0].as_py() == "noise":
        images: Iterator[Picture] = (_noise(name, size) for name in rows["object_id"].to_pylist())
    elif "file" in rows.column_names and len(rows) and rows["file"].null_count == 0:
        images = (resized(np.asarray(patch), size) for patch in _patches(rows, data))
    else:
        yield from read_pictures(rows, [decode_size])
        return
    for start in range(0, len(rows), BATCH):
        chunk = rows.slice(start, BATCH)
        state = pa.table({"status": pa.array(["ok"] * len(chunk), pa.string())})
        yield Pictures(chunk, state, list(range(len(chunk))), {decode_size: list(islice(images, BATCH))})


def _patches(rows: pa.Table, data: Location) -> Iterator[Image.Image]:
    """The patches of rows, in their order; their files' bytes are in memory, which of a chunk are few."""
    contents: dict[tuple[str, int], bytes] = {}
    for file in pc.unique(rows["file"]).to_pylist():
        there = rows["row"].filter(pc.equal(rows["file"], file)).to_pylist()
        contents.update(((file, row), image["bytes"]) for row, image in cells_of(data, file, there, "image"))
    for cell in zip(rows["file"].to_pylist(), rows["row"].to_pylist(), strict=True):
        yield Image.open(io.BytesIO(contents[cell])).convert("RGB")


class _SampleEmbedder:
    """Embeds pictures that a generator makes."""

    def __init__(self, model: str, sha: str, seed: int, judge: str, file: str | None = None):
        batch = batch_of(gpu_memory())
        self._generator = GeneratorModel(Location(model), batch)
        self._embed = _Embedder(batch, judge)
        self._seed = seed

    def __call__(self, rows: pa.Table) -> pa.Table:
        classes = rows["class"].to_pylist() if self._generator.kinds else None
        pictures = self._generator.numbered(rows["number"].to_pylist(), self._seed, classes)
        table = rows.append_column("status", pa.array(["ok"] * len(rows), pa.string()))
        return table.append_column("embedding", self._embed(self._embed.enlarged(pictures)))


class _Embedder:
    """A judge's embedding of pictures of any size."""

    def __init__(self, batch: int, judge: str) -> None:
        self._feature = Embedding(judge, backbone_size(judge), batch_size=batch)

    def enlarged(self, pictures: Sequence[Picture] | Picture) -> Picture:
        """Pictures at the feature's size, (n, side, side, 3), as Parmar et al. advise.

        "On Aliased Resizing and Surprising Subtleties in GAN Evaluation" (2022).
        """
        side = self._feature.size
        whole = np.empty((len(pictures), side, side, 3), np.uint8)
        for index, picture in enumerate(pictures):
            whole[index] = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
        return whole

    def __call__(self, pictures: Picture) -> pa.Array:
        """The embeddings of what `enlarged` gave."""
        if not len(pictures):
            (field,) = self._feature.fields
            return pa.nulls(0, field.type)
        return self._feature(pictures)["embedding"]


def _noise(name: str, size: int) -> Picture:
    """Even noise, the same for a name everywhere."""
    chance = np.random.default_rng(list(name.encode()))
    return chance.integers(0, 256, (size, size, 3), np.uint8)
