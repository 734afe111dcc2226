"""How good a generator is (D8): `scores.json`.

    settings    what was compared with what; asked for again with the same, nothing is computed
    n           pictures in each comparison
    works, samples  how many there were to choose from
    rows        of the generator, and of works, noise and the works' mean picture in its place:
                  fid, kid, kid_error, precision, recall (see `metrics`) and closer (`metrics.share_closer`)
    nearest     the samples most like a training work, the most alike first: number, class, object_id, image_uri of the
                  work, distance (cosine)
    distances   median cosine distance of samples to their nearest work, and of works to their nearest other work

Embeddings are EfficientNet-Lite0's, so the metrics don't compare with those of Inception's FID. Real pictures are
brought to the generator's size first: what it can't draw is not held against it. Training works are dealt into two
halves; each candidate is compared with both at the same number of pictures, and the mean is said. So the row of the
works themselves, one half against the other, is the best that can be reached with so few pictures, and the rows of
noise and of the mean picture are what a generator has to be better than.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from artray import console
from artray.bundles.generator import (
    GeneratorBundle,
    is_scored,
    load_generator_bundle,
    read_descriptions,
    read_scores,
    write_scores,
)
from artray.catalogs.targets import read_targets
from artray.errors import InputError
from artray.features.columns import matrix
from artray.features.embedding import Embedding
from artray.gans.metrics import (
    NEIGHBOURS,
    Floats,
    frechet_distance,
    kernel_distance,
    kernel_distance_error,
    nearest,
    precision_and_recall,
    share_closer,
)
from artray.gans.sampling import EMBEDDED, GeneratorModel, in_task, keep_table, spread_classes
from artray.images.decoding import DECODE_VERSION
from artray.images.encoding import png
from artray.images.pictures import DecodeSize, Picture, Pictures, read_pictures, spread
from artray.models.batches import batch_of
from artray.patches.squares import resized
from artray.storage import Location, dataset_digest, remove_scratch
from artray.storage.chunks import BATCH
from artray.storage.gpus import StagedWorker, gpu_memory
from artray.storage.passes import run_pass

METRICS = ("fid", "kid", "precision", "recall", "closer")
HEADER = ("FID", "KID × 1000", "precision", "recall", "nearer than works are")
CANDIDATES = {
    "generator": "this generator",
    "works": "works, half against half",
    "mean": "the mean picture",
    "noise": "noise",
}
"""The rows of `scores.json`, and what they are called."""

SEED = 0
"""Of the samples that are scored: they are those that `sampling.sample` writes first with this seed."""

_FOLDER = "_scores"
_AVERAGED = 256  # works in the mean picture
_SHOWN = 24
_JUDGED = 16_384  # works whose distance to the nearest other is looked for
_FEWEST = NEIGHBOURS + 1


def score(model: Location, data: Location, samples: int = 1000, *, works: Location | None = None) -> dict[str, Any]:
    """Score a generator against its training works, and write `scores.json` into its bundle.

    Args:
        model: URI of the generator bundle.
        data: The manifest (or feature table) that it was trained from.
        samples: How many pictures it is judged by; no more are made than half of the works.
        works: Where to keep the works' embeddings for other generators of the same size and data; default: they are
            removed when all is done.

    Returns:
        The contents of `scores.json`.

    Raises:
        InputError: No generator bundle, other data, or fewer than 8 works that can be read.
    """
    bundle = load_generator_bundle(model)
    settings = {
        "generator": bundle.generator_sha,
        "data": dataset_digest(data.dataset()),
        "samples": samples,
        "backbone": Embedding().backbone,
    }
    if is_scored(model):
        before = read_scores(model)
        if before["settings"] == settings:
            return before
    table = training_works(data, bundle.config.get("target"), bundle.classes)
    count = min(samples, len(table) // 2)
    if count < _FEWEST:
        raise InputError(f"{data}: {len(table)} training works are too few for scores; {2 * _FEWEST} are needed")
    scratch = model / _FOLDER
    real = embed_works(table, works or scratch / "works", bundle.size, count)
    shares = class_counts(table, bundle) or [1.0] * len(read_descriptions(model, bundle))
    made = _embed_samples(model, bundle, scratch / "samples", count, shares)
    scores = {"settings": settings, "embedding": settings["backbone"], "seed": SEED, **compare(real, made)}
    scores["nearest"] = _nearest(real["work"], made, bundle)
    told = {**bundle.metrics, "scores": {"n": scores["n"], **scores["rows"]["generator"]}}
    write_scores(model, scores, bundle.model_copy(update={"metrics": told}))
    remove_scratch(scratch, [f"(works|samples)/{name}" for name in EMBEDDED])
    return scores


def show(scores: Mapping[str, Any]) -> None:
    """The scores as a table on the terminal, with what they are to be read by."""
    rows = [[title, *cells(scores["rows"][name])] for name, title in CANDIDATES.items()]
    console.table(heading(scores), ["", *HEADER], rows)
    console.say(memorisation(scores))


def heading(scores: Mapping[str, Any]) -> str:
    """What a table of scores is of."""
    return f"{scores['n']} pictures against {scores['n']}, embedding {scores['embedding']} (not Inception's FID)"


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row of scores as text, for the columns of `HEADER`."""
    if row["fid"] is None:
        return ["–"] * len(HEADER)
    error = "" if row["kid_error"] is None else f" ± {1000 * row['kid_error']:.2f}"
    rest = [f"{row[name]:.3f}" for name in METRICS[2:]]
    return [f"{row['fid']:.2f}", f"{1000 * row['kid']:.2f}{error}", *rest]


def memorisation(scores: Mapping[str, Any]) -> str:
    """What the scores say of pictures that were learned by heart, in a sentence."""
    closer, usual = scores["rows"]["generator"]["closer"], scores["rows"]["works"]["closer"]
    text = (
        f"{closer:.0%} of its pictures are nearer to a work they may be learned from than that work is to any other; "
        f"of works that were not looked at it would be {usual:.0%}"
    )
    return f"{text}: it seems to repeat what it has seen." if closer > (1 + usual) / 2 else f"{text}."


def training_works(data: Location, target: str | None = None, classes: Sequence[str] = ()) -> pa.Table:
    """The works, or patches, that a generator learns from, by object_id.

    Args:
        data: A manifest, a feature table made from one, or patches.
        target: The column with the labels.
        classes: Which labels; none: every work, labelled or not.

    Returns:
        `object_id`, `image_uri`, of patches `data` (the file's bytes), and, with classes, `class`.

    Raises:
        InputError: A column is missing.
    """
    dataset = data.dataset()
    patches = "patch" in dataset.schema.names
    fields = {"object_id": pc.field("object_id"), "image_uri": pc.field("image_uri")}
    if patches:
        fields |= {"image_uri": pc.scalar(pa.scalar(None, pa.string())), "data": pc.field("image", "bytes")}
    labelled = bool(classes) and target is not None
    if labelled:
        fields["class"] = pc.field(target)
    for name in ["object_id", *([] if patches else ["image_uri"]), *([target] if labelled else [])]:
        if name not in dataset.schema.names:
            raise InputError(f"{data}: has no column {name!r} (it has {', '.join(dataset.schema.names)})")
    wanted = pc.field("split") == "train" if "split" in dataset.schema.names else pc.scalar(True)
    if "status" in dataset.schema.names:
        wanted &= pc.field("status") == "ok"
    table = dataset.to_table(columns=fields, filter=wanted).sort_by("object_id")
    if labelled:
        labels = [next(iter(shares), None) for shares in read_targets(table["class"], "one", str(target))]
        table = table.set_column(table.column_names.index("class"), "class", pa.array(labels, pa.string()))
        table = table.filter(pc.is_in(table["class"], pa.array(list(classes), pa.string())))
    return table


def class_counts(works: pa.Table, bundle: GeneratorBundle) -> list[float]:
    """How many works each of a bundle's classes has; empty for a bundle without classes."""
    labels = works["class"].to_pylist() if bundle.classes else []
    return [float(labels.count(name)) for name in bundle.classes]


def embed_works(works: pa.Table, at: Location, size: int, noise: int) -> dict[str, pa.Table]:
    """Embeddings of works at a generator's size, of their mean picture, and of noise; resumable.

    Args:
        works: As from `training_works`.
        at: Folder or s3:// prefix for the embeddings, which stay there.
        size: Of the generator's pictures.
        noise: How many pictures of even noise.

    Returns:
        By kind (`work`, `mean`, `noise`) the readable rows, with `object_id`, `image_uri` and `embedding`.
    """
    mean = at / "_mean.png"
    if not mean.exists():
        mean.write_bytes(in_task(_mean_picture, works.slice(0, _AVERAGED), size))
    chosen = works.select([name for name in ("object_id", "image_uri", "data") if name in works.column_names])
    parts = [
        chosen.append_column("kind", pa.array(["work"] * len(works), pa.string())),
        pa.table({"object_id": ["mean"], "image_uri": [str(mean)], "kind": ["mean"]}),
        pa.table({"object_id": [f"noise-{number:06d}" for number in range(noise)], "kind": ["noise"] * noise}),
    ]
    plan = at / "_rows" / "rows.parquet"
    keep_table(plan, pa.concat_tables(parts, promote_options="default"))
    arguments = {"size": size, "decode_version": DECODE_VERSION}
    run_pass("works", plan, at, _WorkEmbedder, arguments, overwrite=True, gpus=True)
    table = at.dataset().to_table(filter=pc.field("status") == "ok").sort_by("object_id")
    return {kind: table.filter(pc.equal(table["kind"], kind)) for kind in ("work", "mean", "noise")}


def compare(real: Mapping[str, pa.Table], samples: pa.Table) -> dict[str, Any]:
    """The metrics of a generator's samples, and of what else could be in their place.

    Args:
        real: As from `embed_works`.
        samples: With a column `embedding`.

    Returns:
        `n`, `works`, `samples`, `rows`, `distances` of `scores.json`.
    """
    works, made = _embeddings(real["work"]), _embeddings(samples)
    n = min(len(works) // 2, len(made))
    if n < _FEWEST:
        raise InputError(f"{len(works)} works that can be read are too few for scores; {2 * _FEWEST} are needed")
    order = np.random.default_rng(SEED).permutation(len(works))
    halves = works[order[:n]], works[order[n : 2 * n]]
    candidates = {
        "generator": [made[:n]] * 2,
        "works": [halves[1], halves[0]],
        "mean": [np.repeat(_embeddings(real["mean"]), n, axis=0)] * 2,
        "noise": [np.resize(_embeddings(real["noise"]), halves[0].shape)] * 2,
    }
    rows = {name: _metrics(halves, sets) for name, sets in candidates.items()}
    _, distances = nearest(made, works)
    judged = np.sort(order[:_JUDGED])  # of many works the median of some says as much
    _, among = nearest(works[judged], works, themselves=judged)
    return {
        "n": n,
        "works": len(works),
        "samples": len(made),
        "rows": rows,
        "distances": {"samples": float(np.median(distances)), "works": float(np.median(among))},
    }


def _metrics(halves: Sequence[Floats], candidates: Sequence[Floats]) -> dict[str, float | None]:
    """The mean of a candidate's metrics against each half."""
    by_half = []
    for half, candidate in zip(halves, candidates, strict=True):
        precision, recall = precision_and_recall(half, candidate)
        by_half.append(
            {
                "fid": frechet_distance(half, candidate),
                "kid": kernel_distance(half, candidate),
                "kid_error": kernel_distance_error(half, candidate),
                "precision": precision,
                "recall": recall,
                "closer": share_closer(candidate, half),
            }
        )
    values = {name: [item[name] for item in by_half] for name in by_half[0]}
    return {
        name: None if None in each else round(float(np.mean([value for value in each if value is not None])), 6)
        for name, each in values.items()
    }


def _nearest(works: pa.Table, samples: pa.Table, bundle: GeneratorBundle) -> list[dict[str, Any]]:
    """The samples that are most like a work, and the works."""
    places, distances = nearest(_embeddings(samples), _embeddings(works))
    numbers, classes = samples["number"].to_pylist(), samples["class"].to_pylist()
    ids, uris = works["object_id"].to_pylist(), works["image_uri"].to_pylist()
    return [
        {
            "number": numbers[row],
            "class": bundle.classes[classes[row]] if bundle.classes else None,
            "description": classes[row] if bundle.conditions else None,
            "object_id": ids[places[row]],
            "image_uri": uris[places[row]],
            "distance": round(float(distances[row]), 6),
        }
        for row in np.argsort(distances, kind="stable")[:_SHOWN]
    ]


def _embeddings(table: pa.Table) -> npt.NDArray[np.float32]:
    return matrix(table["embedding"], "embedding")


def _embed_samples(
    model: Location, bundle: GeneratorBundle, at: Location, count: int, shares: Sequence[float]
) -> pa.Table:
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
    arguments = {"model": str(model), "sha": bundle.generator_sha, "seed": SEED}
    run_pass("samples", plan, at, _SampleEmbedder, arguments, overwrite=True, gpus=True)
    return at.dataset().to_table().sort_by("number")


def _mean_picture(works: pa.Table, size: int) -> bytes:
    total, count = np.zeros((size, size, 3)), 0
    decode_size = DecodeSize(size)
    for pictures in _read(works, decode_size):
        for picture in pictures.images[decode_size]:
            total += picture
            count += 1
    return png(np.rint(total / max(count, 1)).astype(np.uint8))


class _WorkEmbedder(StagedWorker):
    """Embeds real works, and noise where a row is of that kind."""

    def __init__(self, size: int, decode_version: int):
        self._size = size
        self.batch = batch_of(gpu_memory())
        self._embed = _Embedder(self.batch)

    def prepare(self, rows: pa.Table) -> Iterator[tuple[pa.Table, list[int], Picture]]:
        """Rows with their status, which of them are readable, and the pictures of those at the embedding's size."""
        decode_size = DecodeSize(self._size)
        for kind in ("work", "mean", "noise"):
            part = rows.filter(pc.equal(rows["kind"], kind))
            for pictures in _read(part, decode_size):
                table = pictures.rows.append_column("status", pictures.state["status"])
                table = table.drop_columns([name for name in ("data",) if name in table.column_names])
                yield table, pictures.readable, self._embed.enlarged(pictures.images[decode_size])

    def warm(self) -> None:
        """One picture."""
        self._embed(self._embed.enlarged([np.zeros((1, 1, 3), np.uint8)]))

    def finish(self, prepared: Sequence[tuple[pa.Table, list[int], Picture]]) -> pa.Table:
        """The rows with `status` and `embedding`."""
        embeddings = self._embed(np.concatenate([images for _, _, images in prepared]))
        tables, start = [], 0
        for rows, readable, images in prepared:
            own = embeddings.slice(start, len(images))
            tables.append(rows.append_column("embedding", spread(own, readable, len(rows))))
            start += len(images)
        return pa.concat_tables(tables)


def _read(rows: pa.Table, decode_size: DecodeSize) -> Iterator[Pictures]:
    """The pictures of rows of one kind, from their place, their bytes, or chance."""
    patches = "data" in rows.column_names and len(rows) and rows["data"].null_count == 0
    noise = "kind" in rows.column_names and len(rows) and rows["kind"][0].as_py() == "noise"
    if not patches and not noise:
        yield from read_pictures(rows, [decode_size])
        return
    for start in range(0, len(rows), BATCH):
        part = rows.slice(start, BATCH)
        if noise:
            images = [_noise(name, decode_size.size) for name in part["object_id"].to_pylist()]
        else:
            opened = [Image.open(io.BytesIO(data)).convert("RGB") for data in part["data"].to_pylist()]
            images = [resized(np.asarray(image), decode_size.size) for image in opened]
        state = pa.table({"status": pa.array(["ok"] * len(part), pa.string())})
        yield Pictures(part, state, list(range(len(part))), {decode_size: images})


class _SampleEmbedder:
    """Embeds pictures that a generator makes."""

    def __init__(self, model: str, sha: str, seed: int):
        batch = batch_of(gpu_memory())
        self._generator = GeneratorModel(Location(model), batch)
        self._embed = _Embedder(batch)
        self._seed = seed

    def __call__(self, rows: pa.Table) -> pa.Table:
        classes = rows["class"].to_pylist() if self._generator.kinds else None
        pictures = self._generator.numbered(rows["number"].to_pylist(), self._seed, classes)
        table = rows.append_column("status", pa.array(["ok"] * len(rows), pa.string()))
        return table.append_column("embedding", self._embed(self._embed.enlarged(pictures)))


class _Embedder:
    """The embedding feature on pictures of any size."""

    def __init__(self, batch: int) -> None:
        self._feature = Embedding(batch_size=batch)

    def enlarged(self, pictures: Sequence[Picture] | Picture) -> Picture:
        """Pictures at the feature's size, (n, side, side, 3), as Parmar et al. advise.

        "On Aliased Resizing and Surprising Subtleties in GAN Evaluation" (2022).
        """
        side = self._feature.size
        whole = np.empty((len(pictures), side, side, 3), np.uint8)
        for place, picture in enumerate(pictures):
            whole[place] = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
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
