"""The models that are compared, and whether they can be: only on the same works, with the same truth, seen by none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from artray.bundles.classifier import BUNDLE, Bundle, load_bundle, read_evaluation, read_predictions
from artray.classifiers.evaluation import metric
from artray.classifiers.metrics import one_hot, tallies
from artray.engine.grids import RESULTS
from artray.errors import InputError
from artray.storage import Location

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

Part: TypeAlias = Literal["test", "out-of-fold"]
"""Works not learned from: those of the test part, or all others, each by the model that had not seen it."""

_NAMED = 3  # works that a message names


@dataclass(frozen=True)
class Subject:
    """One model, and what it said of the works.

    Attributes:
        name: What it is called here.
        location: Of its bundle.
        bundle: What that says of itself.
        evaluation: Its `evaluation.json`.
        predictions: Its rows of `predictions.parquet`, of the works that all subjects share, in their order.
    """

    name: str
    location: Location
    bundle: Bundle
    evaluation: dict[str, Any]
    predictions: pa.Table

    @property
    def classes(self) -> list[str]:
        """The classes' names."""
        return [item.name for item in self.bundle.classes]


@dataclass(frozen=True)
class Works:
    """The works on which models are compared, as arrays.

    Attributes:
        subjects: The models.
        classes: The classes' names, in the first model's order.
        part: Which works these are.
        object_ids: (n,).
        image_uris: (n,), None where it isn't known.
        groups: (n,) what the split kept together, else the object_id.
        true: (n,) class indices, or (n, classes) zeros and ones where a work may have several.
        scores: For each model (n, classes).
        given: For each model what it said, in the form of `true`.
    """

    subjects: list[Subject]
    classes: list[str]
    part: Part
    object_ids: list[str]
    image_uris: list[str | None]
    groups: list[str]
    true: Ints
    scores: list[Floats]
    given: list[Ints]

    def __len__(self) -> int:
        return len(self.object_ids)

    @property
    def multilabel(self) -> bool:
        """Whether a work may have several labels."""
        return self.true.ndim == 2

    @property
    def grouped(self) -> bool:
        """Whether some works belong together."""
        return len(set(self.groups)) < len(self)

    @cached_property
    def right(self) -> list[Flags]:
        """For each model (n,) whether what it said is wholly right."""
        return [
            (given == self.true).all(axis=1) if self.multilabel else np.asarray(given == self.true)
            for given in self.given
        ]

    @cached_property
    def tallies(self) -> list[Ints]:
        """For each model (n, 2 + 3 classes), as `metrics.tallies`, of what it said."""
        return [tallies(self.true, one_hot(given, len(self.classes)).astype(float)) for given in self.given]

    def labels(self, values: Ints) -> list[str]:
        """Classes as text, several with `; ` between them."""
        if self.multilabel:
            return ["; ".join(name for name, has in zip(self.classes, row, strict=True) if has) for row in values]
        return [self.classes[value] for value in values.tolist()]


def found_bundles(locations: Sequence[Location], every_trial: bool = False) -> list[Location]:
    """The bundles that are meant: a bundle is itself, a search the best of its combinations.

    Args:
        locations: Bundles, or what searches have written.
        every_trial: A search is all of its combinations, of each the best run.

    Raises:
        InputError: A place is neither.
    """
    bundles = []
    for location in locations:
        if (location / BUNDLE).exists() or not (location / RESULTS).exists():
            bundles.append(location)
            continue
        rows = (location / RESULTS).dataset().to_table().to_pylist()
        if "runs" not in rows[0] or "validation_balanced_accuracy" not in rows[0]:
            raise InputError(f"{location}: holds no trainings of classifiers; give bundles, or a search's --out")
        bundles += [_best_run(location, row["runs"]) for row in (rows if every_trial else rows[:1])]
    return bundles


def _best_run(location: Location, runs: Sequence[str]) -> Location:
    """Of a combination's runs the best on the validation part."""
    # A search that was moved is still whole.
    there = [
        run if (run / BUNDLE).exists() else location / "runs" / str(run).rpartition("/")[2]
        for run in map(Location.parse, runs)
    ]
    trained = [run for run in there if (run / BUNDLE).exists()]
    if not trained:
        raise InputError(f"{location}: its best combination has no model ({', '.join(runs[:_NAMED])})")

    def reached(run: Location) -> float:
        return (
            metric((read_evaluation(run).get("validation") or {}).get("artwork") or {"macro": {}}, "balanced_accuracy")
            or 0.0
        )

    return max(trained, key=reached)


def distinct_names(locations: Sequence[Location], names: Sequence[str]) -> list[str]:
    """What models are called: as they are told, else by as much of their place as tells them apart.

    Raises:
        InputError: There are not as many names as models, or two are the same.
    """
    if names:
        if len(names) != len(locations):
            raise InputError(
                f"--names: {len(names)} names for {len(locations)} models ({', '.join(map(str, locations))})"
            )
        if len(set(names)) < len(names):
            raise InputError(f"--names: {', '.join(names)}: two are the same")
        return list(names)
    pieces = [[piece for piece in str(location).split("/") if piece] for location in locations]
    for length in range(1, max(map(len, pieces)) + 1):
        told = ["/".join(names_of_path[-length:]) for names_of_path in pieces]
        if len(set(told)) == len(told):
            return told
    raise InputError(f"--model: {', '.join(map(str, locations))}: the same model stands there twice")


def read_works(locations: Sequence[Location], names: Sequence[str], part: Part) -> Works:
    """The models' predictions of the works that none of them has learned from.

    Args:
        locations: The bundles.
        names: What they are called.
        part: Which works.

    Raises:
        InputError: They are of other tasks or classes, or were not judged by the same works.
    """
    subjects = [_subject(location, name, part) for location, name in zip(locations, names, strict=True)]
    first = subjects[0]
    for other in subjects[1:]:
        _refuse_other_question(first, other)
        _refuse_other_split(first, other, part)
    aligned = [first, *(_in_order_of(first, other) for other in subjects[1:])]
    for other in aligned[1:]:
        _refuse_other_truth(first, other)
    classes = first.classes
    table = first.predictions
    objects = table["object_id"].to_pylist()
    known = table.column_names
    groups = table["group"].to_pylist() if "group" in known else objects
    return Works(
        subjects=aligned,
        classes=classes,
        part=part,
        object_ids=objects,
        image_uris=table["image_uri"].to_pylist() if "image_uri" in known else [None] * len(objects),
        groups=[group if group is not None else name for group, name in zip(groups, objects, strict=True)],
        true=_indices(table["true"], classes),
        scores=[_scores(one.predictions["scores"], classes) for one in aligned],
        given=[_indices(one.predictions["label"], classes) for one in aligned],
    )


def _subject(location: Location, name: str, part: Part) -> Subject:
    bundle, evaluation = load_bundle(location), read_evaluation(location)
    predictions = read_predictions(location)
    if part == "out-of-fold" and not bundle.metrics.get("fold_ensemble"):
        raise InputError(
            f"{location}: has no out-of-fold predictions: train it with --folds, or compare on the test part "
            "(--part test)"
        )
    stored = "test" if part == "test" else "validation"
    rows = predictions.filter(pc.equal(predictions["part"], stored))
    if not len(rows):
        raise InputError(f"{location}: has no predictions of works of the {stored} part")
    return Subject(name, location, bundle, evaluation, rows)


def _refuse_other_question(first: Subject, other: Subject) -> None:
    if first.bundle.multilabel != other.bundle.multilabel:
        one, several = (other, first) if first.bundle.multilabel else (first, other)
        raise InputError(
            f"{several.location} gives a work several labels, {one.location} one: they don't answer the same question"
        )
    if set(first.classes) != set(other.classes):
        lacking = sorted(set(first.classes) - set(other.classes))
        more = sorted(set(other.classes) - set(first.classes))
        told = [f"lacks {', '.join(lacking)}"] * bool(lacking) + [f"has {', '.join(more)} as well"] * bool(more)
        raise InputError(f"{other.location}: has other classes than {first.location}: it {' and '.join(told)}")


def _refuse_other_split(first: Subject, other: Subject, part: Part) -> None:
    """Only works that both were judged by can be compared, and only if neither has learned from them."""
    one, two = (set(each.predictions["object_id"].to_pylist()) for each in (first, other))
    if one == two:
        return
    learned = _learned_from(other, one - two) or _learned_from(first, two - one)
    parted = (
        f"{len(one & two):,} works are in both, {len(one - two):,} only in {first.name}'s, {len(two - one):,} only in "
        f"{other.name}'s"
    )
    why = "" if not learned else f"; {learned}, so its figures there would flatter it"
    raise InputError(
        f"{first.location} and {other.location} were not judged by the same works ({parted}){why}. Train both on data "
        "of one ingest (the same --split-by, --seed and --label), or make its split anew and train them again"
        if part == "test"
        else f"{first.location} and {other.location} have out-of-fold predictions of different works ({parted}): train "
        "both on data of one ingest"
    )


def _learned_from(subject: Subject, works: set[str]) -> str | None:
    """Of some works those that are in a model's training or validation part, in words."""
    if not works:
        return None
    table = read_predictions(subject.location, ["object_id", "part"])
    seen = table.filter(pc.not_equal(table["part"], "test"))["object_id"].to_pylist()
    seen_works = sorted(works & set(seen))
    if not seen_works:
        return None
    more = f" and {len(seen_works) - _NAMED:,} more" if len(seen_works) > _NAMED else ""
    return f"{subject.name} has learned from {', '.join(seen_works[:_NAMED])}{more}"


def _in_order_of(first: Subject, other: Subject) -> Subject:
    indices = pc.index_in(first.predictions["object_id"], value_set=other.predictions["object_id"].combine_chunks())
    return replace(other, predictions=other.predictions.take(indices.combine_chunks()))


def _refuse_other_truth(first: Subject, other: Subject) -> None:
    one, two = first.predictions["true"].to_pylist(), other.predictions["true"].to_pylist()
    apart = [at for at, (mine, its) in enumerate(zip(one, two, strict=True)) if _same(mine) != _same(its)]
    if apart:
        at = apart[0]
        raise InputError(
            f"{first.location} and {other.location} were judged by other true labels: of {len(apart):,} of "
            f"{len(one):,} works, such as {first.predictions['object_id'][at].as_py()} ({one[at]} and {two[at]}). "
            "Corrections, or another catalogue? Train both on the same labels"
        )


def _same(label: Any) -> Any:
    return frozenset(label) if isinstance(label, list) else label


def _indices(labels: pa.ChunkedArray, classes: Sequence[str]) -> Ints:
    names = pa.array(classes, pa.string())
    if pa.types.is_string(labels.type):
        return np.asarray(pc.index_in(labels, value_set=names).to_numpy(), np.int64)
    column_of = {name: at for at, name in enumerate(classes)}
    has = np.zeros((len(labels), len(classes)), np.int64)
    for row, labels_of_work in enumerate(labels.to_pylist()):
        has[row, [column_of[name] for name in labels_of_work]] = 1
    return has


def _scores(maps: pa.ChunkedArray, classes: Sequence[str]) -> Floats:
    array = maps.combine_chunks() if isinstance(maps, pa.ChunkedArray) else maps
    columns = np.asarray(pc.index_in(array.keys, value_set=pa.array(classes, pa.string())).to_numpy(), np.int64)
    row = np.repeat(np.arange(len(array)), np.diff(array.offsets.to_numpy()))
    scores = np.zeros((len(array), len(classes)))
    scores[row, columns] = np.asarray(array.items.to_numpy(), np.float64)
    return scores
