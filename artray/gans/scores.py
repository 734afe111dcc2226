"""How good a generator is (D8): `scores.json`.

    settings    what was compared with what; asked for again with the same, nothing is computed
    n           pictures in each comparison
    works, samples  how many there were to choose from
    rows        of the generator, and of works, noise and the works' mean picture in its place:
                  fid, kid, kid_error, precision, recall, density, coverage (see `metrics`) and closer
                  (`metrics.share_closer`)
    classes     of a generator by class those metrics of each class, its samples against its works (intra-FID), and
                  those of its works' halves (`floor`); classes with too few works are named without
    nearest     the samples most like a training work, the most alike first: number, class, object_id, image_uri of the
                  work, distance (cosine)
    distances   median cosine distance of samples to their nearest work, and of works to their nearest other work

Embeddings are those of a network by which no discriminator sees (see `judges`), an ImageNet network nevertheless, and
not Inception. Real pictures are
brought to the generator's size first: what it can't draw is not held against it. Training works are dealt into two
halves; each candidate is compared with both at the same number of pictures, and the mean is said. So the row of the
works themselves, one half against the other, is the best that can be reached with so few pictures, and the rows of
noise and of the mean picture are what a generator has to be better than.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from artray import console
from artray.bundles.generator import (
    GeneratorBundle,
    is_scored,
    load_generator_bundle,
    read_descriptions,
    read_scores,
    write_scores,
)
from artray.errors import InputError
from artray.features.columns import matrix
from artray.gans import judges
from artray.gans.embeddings import SEED, class_counts, embed_samples, embed_works, training_works
from artray.gans.judges import content_of, judge_of
from artray.gans.metrics import (
    DENSITY_NEIGHBOURS,
    Floats,
    Moments,
    Nearest,
    density_and_coverage,
    frechet_distance,
    kernel_distance,
    kernel_distance_error,
    precision_and_recall,
    share_closer,
)
from artray.gans.sampling import EMBEDDED
from artray.storage import Location, dataset_digest, remove_scratch

METRICS = ("fid", "kid", "precision", "recall", "density", "coverage", "closer")
HEADER = ("FID", "KID × 1000", "precision", "recall", "density", "coverage", "nearer than works are")
CANDIDATES = {
    "generator": "this generator",
    "works": "works, half against half",
    "mean": "the mean picture",
    "noise": "noise",
}
"""The rows of `scores.json`, and what they are called."""

_FOLDER = "_scores"
_SHOWN = 24
_JUDGED = 16_384  # works whose distance to the nearest other is looked for
_FEWEST = DENSITY_NEIGHBOURS + 1
_BLOCK = 4096  # works whose embeddings are in memory at once


def score(
    model: Location, data: Location, samples: int = 1000, *, works: Location | None = None, judge: str | None = None
) -> dict[str, Any]:
    """Score a generator against its training works, and write `scores.json` into its bundle.

    Args:
        model: URI of the generator bundle.
        data: The manifest (or feature table) that it was trained from.
        samples: How many pictures it is judged by; no more are made than half of the works.
        works: Where to keep the works' embeddings for other generators of the same size and data; default: they are
            removed when all is done.
        judge: As in `judges.judge_of`.

    Returns:
        The contents of `scores.json`.

    Raises:
        InputError: No generator bundle, other data, a judge that is none, or fewer than 12 works that can be read.
    """
    bundle = load_generator_bundle(model)
    judge = judge_of(judge, [bundle.config.get("model", {}).get("name", "")])
    settings = {
        "generator": bundle.generator_sha,
        "data": dataset_digest(data.dataset()),
        "samples": samples,
        "backbone": judge,
        **content_of(judge),
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
    real = embed_works(data, table, works or scratch / "works", size=bundle.size, noise=count, judge=judge)
    shares = class_counts(table, bundle) or [1.0] * len(read_descriptions(model, bundle))
    made = embed_samples(model, bundle, scratch / "samples", count, shares, judge=judge)
    compared, neighbours = compare(real, made)
    scores = {"settings": settings, "embedding": settings["backbone"], "seed": SEED, **compared}
    if bundle.classes:
        scores["classes"] = by_class(real["work"], made, bundle.classes)
    scores["nearest"] = _nearest(real["work"], made, neighbours, bundle)
    told = {**bundle.metrics, "scores": {"n": scores["n"], **scores["rows"]["generator"]}}
    write_scores(model, scores, bundle.model_copy(update={"metrics": told}))
    remove_scratch(scratch, [f"(works|samples)/{name}" for name in EMBEDDED])
    return scores


def show(scores: Mapping[str, Any]) -> None:
    """The scores as a table on the terminal, with what they are to be read by."""
    rows = [[title, *cells(scores["rows"][name])] for name, title in CANDIDATES.items()]
    console.table(heading(scores), ["", *HEADER], rows)
    if scores.get("classes"):
        console.table("by class", ["class", "works", "compared", *HEADER], class_lines(scores))
    console.say(memorisation(scores))


def heading(scores: Mapping[str, Any]) -> str:
    """What a table of scores is of."""
    embedding = scores["embedding"]
    return f"{scores['n']} pictures against {scores['n']}, embedding {embedding} {judges.told(embedding)}"


def cells(row: Mapping[str, Any]) -> list[str]:
    """A row of scores as text, for the columns of `HEADER`."""
    if row["fid"] is None:
        return ["–"] * len(HEADER)
    error = "" if row["kid_error"] is None else f" ± {1000 * row['kid_error']:.2f}"
    rest = ["–" if row.get(name) is None else f"{row[name]:.3f}" for name in METRICS[2:]]
    return [f"{row['fid']:.2f}", f"{1000 * row['kid']:.2f}{error}", *rest]


def class_lines(scores: Mapping[str, Any]) -> list[list[str]]:
    """The scores of classes as text, each with those of its works' halves below it."""
    lines = []
    for row in scores["classes"]:
        if row["n"] is None:
            lines.append([row["class"], f"{row['works']:,}", "too few", *cells({"fid": None})])
            continue
        lines.append([row["class"], f"{row['works']:,}", f"{row['n']:,}", *cells(row)])
        lines.append(["  its works, half against half", "", "", *cells(row["floor"])])
    return lines


def memorisation(scores: Mapping[str, Any]) -> str:
    """What the scores say of pictures that were learned by heart, in a sentence."""
    closer, usual = scores["rows"]["generator"]["closer"], scores["rows"]["works"]["closer"]
    text = (
        f"{closer:.0%} of its pictures are nearer to a work they may be learned from than that work is to any other; "
        f"of works that were not looked at it would be {usual:.0%}"
    )
    return f"{text}: it seems to repeat what it has seen." if closer > (1 + usual) / 2 else f"{text}."


def compare(real: Mapping[str, pads.Dataset], samples: pa.Table) -> tuple[dict[str, Any], Nearest]:
    """The metrics of a generator's samples, and of what else could be in their place.

    The works are gone through twice, block by block. In memory are those that are compared, as many as there are
    samples in each half, and those whose distance to others is looked for.

    Args:
        real: As from `embed_works`.
        samples: With a column `embedding`.

    Returns:
        `n`, `works`, `samples`, `rows`, `distances` of `scores.json`; and each sample's nearest work.
    """
    works, made = real["work"], matrix(samples["embedding"], "embedding")
    count = works.count_rows()
    n = min(count // 2, len(made))
    if n < _FEWEST:
        raise InputError(f"{count} works that can be read are too few for scores; {2 * _FEWEST} are needed")
    order = np.random.default_rng(SEED).permutation(count)
    judged = np.sort(order[:_JUDGED])  # of many works the median of some says as much
    taken = _taken(works, np.concatenate([order[: 2 * n], judged]))
    halves = taken[:n], taken[n : 2 * n]
    mean, noise = (matrix(real[kind].to_table(columns=["embedding"])["embedding"], kind) for kind in ("mean", "noise"))
    candidates = {
        "generator": [made[:n]] * 2,
        "works": [halves[1], halves[0]],
        "mean": [np.repeat(mean, n, axis=0)] * 2,
        "noise": [np.resize(noise, halves[0].shape)] * 2,
    }
    rows = {name: measured(halves, sets) for name, sets in candidates.items()}
    neighbours, among = Nearest(made), Nearest(taken[2 * n :], judged)
    for batch in _batches(works, ["embedding"]):
        embeddings = matrix(batch["embedding"], "embedding")
        neighbours.add(embeddings)
        among.add(embeddings)
    told = {
        "n": n,
        "works": count,
        "samples": len(made),
        "rows": rows,
        "distances": {
            "samples": float(np.median(neighbours.distances)),
            "works": float(np.median(among.distances)),
        },
    }
    return told, neighbours


def by_class(works: pads.Dataset, samples: pa.Table, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The metrics of each class's samples against its works.

    Args:
        works: With `embedding` and `class`.
        samples: Likewise, the classes as numbers.
        classes: Their names.

    Returns:
        For each class `class`, `works`, `n`, `METRICS`, `kid_error`, and `floor` with those of its works' halves. Of a
        class with fewer than 12 works or 6 samples `n` is None, and no more is said.
    """
    rows: list[dict[str, Any]] = []
    labels = samples["class"].to_numpy()
    for number, name in enumerate(classes):
        works_of_class = works.filter(pc.field("class") == name)
        count, made = works_of_class.count_rows(), samples.filter(pa.array(labels == number))
        n = min(count // 2, len(made))
        rows.append({"class": name, "works": count, "n": n if n >= _FEWEST else None})
        if n < _FEWEST:
            continue
        embedded = matrix(made["embedding"], "embedding")[:n]
        taken = _taken(works_of_class, np.random.default_rng(SEED).permutation(count)[: 2 * n])
        halves = taken[:n], taken[n:]
        rows[-1] |= {**measured(halves, [embedded] * 2), "floor": measured(halves, halves[::-1])}
    return rows


def _batches(works: pads.Dataset, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Columns of a data set in its order, some rows at a time."""
    scanner = works.scanner(columns=list(columns), batch_size=_BLOCK, batch_readahead=2, fragment_readahead=2)
    waiting: list[pa.RecordBatch] = []
    for batch in scanner.to_batches():  # a part has no more than some hundred
        waiting.append(batch)
        if sum(len(one) for one in waiting) >= _BLOCK:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


def _picked(works: pads.Dataset, rows: npt.NDArray[np.int64], columns: Sequence[str]) -> Iterator[pa.Table]:
    """Columns of some rows of a data set, given in its order."""
    start = 0
    for batch in _batches(works, columns):
        low, high = np.searchsorted(rows, [start, start + len(batch)])
        yield batch.take(rows[low:high] - start)
        start += len(batch)


def _taken(works: pads.Dataset, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """The embeddings of some works, in any order."""
    order = np.argsort(rows, kind="stable")
    taken, start = np.empty((len(rows), 0), np.float32), 0
    for table in _picked(works, rows[order], ["embedding"]):
        if len(table):
            embeddings = matrix(table["embedding"], "embedding")
            if not taken.size:
                taken = np.empty((len(rows), embeddings.shape[1]), np.float32)
            taken[order[start : start + len(table)]] = embeddings
            start += len(table)
    return taken


def measured(halves: Sequence[Floats], candidates: Sequence[Floats]) -> dict[str, float | None]:
    """The mean of a candidate's `METRICS`, and `kid_error`, against each half of the works."""
    by_half = []
    for half, candidate in zip(halves, candidates, strict=True):
        precision, recall = precision_and_recall(half, candidate)
        density, coverage = density_and_coverage(half, candidate)
        by_half.append(
            {
                "fid": frechet_distance(Moments.of(half), Moments.of(candidate)),
                "kid": kernel_distance(half, candidate),
                "kid_error": kernel_distance_error(half, candidate),
                "precision": precision,
                "recall": recall,
                "density": density,
                "coverage": coverage,
                "closer": share_closer(candidate, half),
            }
        )
    values = {name: [item[name] for item in by_half] for name in by_half[0]}
    return {
        name: None if None in each else round(float(np.mean([value for value in each if value is not None])), 6)
        for name, each in values.items()
    }


def _nearest(
    works: pads.Dataset, samples: pa.Table, neighbours: Nearest, bundle: GeneratorBundle
) -> list[dict[str, Any]]:
    """The samples that are most like a work, and the works."""
    distances = neighbours.distances
    shown = np.argsort(distances, kind="stable")[:_SHOWN]
    different, back = np.unique(neighbours.rows[shown], return_inverse=True)
    like = pa.concat_tables(_picked(works, different, ["object_id", "image_uri"])).take(back).to_pylist()
    numbers, classes = (samples[name].take(shown).to_pylist() for name in ("number", "class"))
    return [
        {
            "number": number,
            "class": bundle.classes[label] if bundle.classes else None,
            "description": label if bundle.conditions else None,
            **work,
            "distance": round(float(distances[row]), 6),
        }
        for row, number, label, work in zip(shown.tolist(), numbers, classes, like, strict=True)
    ]
